"""What a data scientist does with MLflow's Python client, against the server of MLFLOW_TRACKING_URI.

Prints one JSON object with what the test asks of the server afterwards. Every step asserts its own
result: that the client is content is the point.
"""

import json
import math
import sys
import tempfile
import time
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag, ViewType
from mlflow.exceptions import MlflowException
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

client = MlflowClient()
features, labels = load_iris(return_X_y=True, as_frame=True)


def fluent():
    experiment = mlflow.set_experiment("fluent")
    assert mlflow.set_experiment("fluent").experiment_id == experiment.experiment_id
    with mlflow.start_run(run_name="parent", tags={"team": "red"}, description="a note") as run:
        mlflow.log_param("lr", 0.1)
        mlflow.log_params({"depth": 3, "name": "tree"})
        for step in range(5):
            mlflow.log_metric("loss", 1 / (step + 1), step=step)
        mlflow.log_metrics({"acc": 0.5, "nan": math.nan, "inf": math.inf})
        mlflow.set_tags({"a": 1, "b": "two"})
        mlflow.log_text("hello", "texts/hello.txt")
        mlflow.log_dict({"a": 1}, "dicts/a.json")
        mlflow.log_input(mlflow.data.from_pandas(features, name="iris"), context="training")
        with mlflow.start_run(nested=True, run_name="child"):
            mlflow.log_metric("loss", 2)
    found = client.get_run(run.info.run_id)
    assert found.info.status == "FINISHED" and found.info.run_name == "parent"
    assert found.data.metrics["loss"] == 0.2 and math.isnan(found.data.metrics["nan"])
    assert found.data.params == {"lr": "0.1", "depth": "3", "name": "tree"}
    assert found.inputs.dataset_inputs[0].dataset.name == "iris"
    history = client.get_metric_history(run.info.run_id, "loss")
    assert [point.step for point in history] == [0, 1, 2, 3, 4]
    assert mlflow.artifacts.load_text(f"runs:/{run.info.run_id}/texts/hello.txt") == "hello"
    assert mlflow.artifacts.load_dict(f"runs:/{run.info.run_id}/dicts/a.json") == {"a": 1}
    children = mlflow.search_runs(filter_string=f"tags.mlflow.parentRunId = '{run.info.run_id}'")
    assert list(children["tags.mlflow.runName"]) == ["child"]
    return run.info.run_id


def low_level(run_id):
    run = client.create_run(client.get_run(run_id).info.experiment_id, run_name="low level")
    metrics = [Metric(f"m{i % 10}", i, i, i) for i in range(1500)]
    client.log_batch(run.info.run_id, metrics=metrics, params=[Param("p", "1")], tags=[RunTag("t", "1")])
    assert len(client.get_metric_history(run.info.run_id, "m0")) == 150
    client.log_batch(run.info.run_id, metrics=[Metric("sync", 1, 1, 1)], synchronous=False).wait()
    client.set_terminated(run.info.run_id, "KILLED")
    try:
        client.log_param(run.info.run_id, "p", "2")
    except MlflowException as error:
        assert "Changing param values is not allowed" in str(error)
    else:
        raise AssertionError("a param changed")
    client.delete_run(run.info.run_id)
    assert run.info.run_id not in runs_of(run, ViewType.ACTIVE_ONLY)
    assert run.info.run_id in runs_of(run, ViewType.DELETED_ONLY)
    client.restore_run(run.info.run_id)
    frame = mlflow.search_runs([run.info.experiment_id], order_by=["metrics.m1 DESC"], max_results=3)
    assert isinstance(frame, pd.DataFrame) and frame.iloc[0]["metrics.m1"] == 1491


def runs_of(run, view):
    return [found.info.run_id for found in client.search_runs([run.info.experiment_id], run_view_type=view)]


def paging():
    experiment = client.create_experiment("paging", tags={"k": "v"})
    made = [client.create_run(experiment).info.run_id for _ in range(25)]
    seen, token = [], None
    while True:
        page = client.search_runs([experiment], max_results=10, page_token=token)
        seen += [run.info.run_id for run in page]
        token = page.token
        if not token:
            break
    assert sorted(seen) == sorted(made) and len(set(seen)) == 25
    assert [found.name for found in client.search_experiments(filter_string="tags.k = 'v'")] == ["paging"]


def autolog():
    mlflow.set_experiment("autolog")
    mlflow.sklearn.autolog(log_datasets=False)
    with mlflow.start_run() as run:
        LogisticRegression(max_iter=200).fit(features, labels)
    mlflow.sklearn.autolog(disable=True)
    found = client.get_run(run.info.run_id)
    assert "training_accuracy_score" in found.data.metrics and found.data.params["max_iter"] == "200"
    assert found.outputs.model_outputs, "the model is an output of its run"


def models():
    mlflow.set_experiment("models")
    model = LogisticRegression(max_iter=200).fit(features, labels)
    with mlflow.start_run() as run:
        info = mlflow.sklearn.log_model(
            model, name="sk", input_example=features.head(2), registered_model_name="flowers"
        )
        mlflow.pyfunc.log_model(name="py", python_model=Doubler())
        mlflow.log_metric("score", 0.9, model_id=info.model_id)
    expected = model.predict(features)
    for uri in [info.model_uri, f"runs:/{run.info.run_id}/sk", "models:/flowers/1"]:
        assert (mlflow.sklearn.load_model(uri).predict(features) == expected).all(), uri
    logged = client.get_logged_model(info.model_id)
    assert logged.status == "READY" and logged.metrics[0].key == "score"
    found = mlflow.search_logged_models(filter_string="metrics.score > 0.5", output_format="list")
    assert [model.model_id for model in found] == [info.model_id]
    return run.info.run_id


class Doubler(mlflow.pyfunc.PythonModel):
    def predict(self, model_input: list[float]) -> list[float]:
        return [value * 2 for value in model_input]


def onnx_model():
    import onnx
    from onnx import TensorProto, helper

    mlflow.set_experiment("models")
    value = lambda name: helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, 2])
    graph = helper.make_graph([helper.make_node("Neg", ["x"], ["y"])], "g", [value("x")], [value("y")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    with mlflow.start_run():
        example = np.array([[1.0, 2.0]], dtype=np.float32)
        mlflow.onnx.log_model(model, name="onnx", input_example=example, registered_model_name="negative")
    client.set_registered_model_alias("negative", "champion", "1")


def boosted():
    import lightgbm
    import xgboost

    mlflow.set_experiment("models")
    trees = {"n_estimators": 3, "max_depth": 2}
    for flavor, model in [
        (mlflow.xgboost, xgboost.XGBClassifier(**trees)),
        (mlflow.lightgbm, lightgbm.LGBMClassifier(**trees, verbose=-1)),
    ]:
        name = flavor.__name__.split(".")[-1]
        model.fit(features, labels)
        with mlflow.start_run() as run:
            # The package of CPUs only has another name than the one that MLflow asks for.
            info = flavor.log_model(model, name=name, input_example=features.head(2), pip_requirements=[name])
        for uri in [info.model_uri, f"runs:/{run.info.run_id}/{name}"]:
            assert (flavor.load_model(uri).predict(features) == model.predict(features)).all(), uri
            assert len(mlflow.pyfunc.load_model(uri).predict(features)) == len(features), uri


def system_metrics():
    mlflow.set_experiment("machine")
    mlflow.set_system_metrics_sampling_interval(1)
    with mlflow.start_run(log_system_metrics=True) as run:
        time.sleep(3)
    found = client.get_run(run.info.run_id).data.metrics
    assert "system/cpu_utilization_percentage" in found, found
    assert client.get_metric_history(run.info.run_id, "system/system_memory_usage_megabytes")


def registry():
    client.update_registered_model("flowers", "flowers of three kinds")
    client.set_registered_model_tag("flowers", "team", "red")
    client.set_model_version_tag("flowers", "1", "checked", "yes")
    client.transition_model_version_stage("flowers", "1", "Production")
    client.set_registered_model_alias("flowers", "champion", "1")
    copied = client.copy_model_version("models:/flowers@champion", "copied")
    assert copied.version == 1 or copied.version == "1"
    assert client.get_model_version_by_alias("flowers", "champion").version in (1, "1")
    assert client.get_latest_versions("flowers", ["Production"])[0].current_stage == "Production"
    assert mlflow.sklearn.load_model("models:/copied/1").predict(features.head(1)).shape == (1,)
    assert {model.name for model in client.search_registered_models()} == {"flowers", "copied", "negative"}
    assert len(client.search_model_versions("name = 'flowers'")) == 1
    client.rename_registered_model("copied", "renamed")
    client.delete_registered_model("renamed")


def prompts():
    prompt = mlflow.genai.register_prompt(name="greeting", template="Hello {{name}}", commit_message="first")
    mlflow.genai.set_prompt_alias("greeting", alias="live", version=prompt.version)
    assert mlflow.genai.load_prompt("prompts:/greeting@live").format(name="you") == "Hello you"


def artifacts(run_id):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tree" / "deep"
        path.mkdir(parents=True)
        (path / "big.bin").write_bytes(bytes(range(256)) * 8192)
        (path / "name with ä & ü.txt").write_text("x")
        client.log_artifacts(run_id, folder, "up")
        listed = [item.path for item in client.list_artifacts(run_id, "up/tree/deep")]
        assert listed == ["up/tree/deep/big.bin", "up/tree/deep/name with ä & ü.txt"], listed
        down = mlflow.artifacts.download_artifacts(run_id=run_id, artifact_path="up", dst_path=f"{folder}/down")
        assert (Path(down) / "tree/deep/big.bin").stat().st_size == 256 * 8192
        assert (Path(down) / "tree/deep/name with ä & ü.txt").read_text() == "x"
    mlflow.set_experiment("fluent")
    table = {"input": ["a", "b"], "output": [1, 2]}
    mlflow.log_table(data=table, artifact_file="table.json", run_id=run_id)
    assert mlflow.load_table("table.json", run_ids=[run_id]).shape[0] == 2


run_id = fluent()
low_level(run_id)
paging()
autolog()
models()
onnx_model()
boosted()
system_metrics()
registry()
prompts()
artifacts(run_id)
print(json.dumps({"run_id": run_id, "mlflow": mlflow.__version__}))
sys.stdout.flush()
