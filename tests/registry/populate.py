"""Logs and registers small ONNX models on a tracking server, and prints what the tests need to know.

Usage: populate.py TRACKING_URI MODEL_DIRECTORY ARCHIVE SCRATCH

No two models give the same answer, so that a test sees which one it got. The last line of the output
is JSON: the run, the names and ids of the logged models, and for every URI where MLflow's own client
downloaded it to.
"""

import json
import pathlib
import sys
import urllib.parse

import mlflow
import onnx

tracking_uri, directory, archive, scratch = sys.argv[1], *map(pathlib.Path, sys.argv[2:5])
mlflow.set_tracking_uri(tracking_uri)
client = mlflow.MlflowClient()
signature = mlflow.models.Model.load(directory).signature


def variant(number):
    """The model with another intercept of its first class."""
    model = onnx.load(directory / "model.onnx")
    classifier = next(node for node in model.graph.node if node.op_type == "LinearClassifier")
    intercepts = next(attribute for attribute in classifier.attribute if attribute.name == "intercepts")
    intercepts.floats[0] += number
    return model


ids = {}
with mlflow.start_run() as run:
    run_id = run.info.run_id
    for number, name in enumerate(["first", "second", "third", "both"], start=1):
        ids[name] = mlflow.onnx.log_model(variant(number), name=name, signature=signature).model_id
    mlflow.log_artifacts(str(directory), "model")
    mlflow.log_artifacts(str(directory), "some folder/model")
    # Files of the run under the name of a logged model, which has some of the same names.
    mlflow.log_artifacts(str(directory), "both")
    mlflow.log_artifact(str(archive))

for name in ["iris", "iris of 2.0"]:
    client.create_registered_model(name)
    for model_id in list(ids.values())[:3]:
        client.create_model_version(name, f"models:/{model_id}", run_id=run_id, model_id=model_id)
    client.transition_model_version_stage(name, "1", "Production")
    client.set_registered_model_alias(name, "champion", "2")
# A version whose files are those of a run, as before MLflow 3.
client.create_registered_model("old")
client.create_model_version("old", f"{run.info.artifact_uri}/model", run_id=run_id)
# The same by the run's URI, which the server gives back as it is.
client.create_registered_model("of a run")
client.create_model_version("of a run", f"runs:/{run_id}/model", run_id=run_id)
client.create_registered_model("empty")

proxied = client.get_logged_model(ids["first"]).artifact_location
place = urllib.parse.urlparse(proxied).path
port = urllib.parse.urlparse(tracking_uri).port
models = [
    "models:/iris/1",
    "models:/iris/2",
    "models:/iris/Production",
    "models:/iris/production",
    "models:/iris@champion",
    "models:/iris/latest",
    "models:/iris/Latest",
    "models:/iris/None",
    "models:/iris of 2.0/1",
    "models:/iris of 2.0@champion",
    "models:/old/1",
    "models:/of a run/1",
    "models:/of a run/latest",
    f"models:/{ids['second']}",
    f"runs:/{run_id}/first",
    f"runs:/{run_id}/model",
    f"runs:/{run_id}/some folder/model",
    f"runs:/{run_id}/both",
    proxied,
    f"{proxied}/",
    f"mlflow-artifacts://127.0.0.1:{port}{place}",
    # By another name, because the test takes the first `http://127.0.0.1` that is printed for the
    # address of the server under test.
    f"http://localhost:{port}/api/2.0/mlflow-artifacts/artifacts{place}",
    f"runs:/{run_id}/{archive.name}",
    directory.as_uri(),
    str(directory),
    str(archive),
]
parts = [
    "models:/iris/1/MLmodel",
    "models:/iris@champion/model.onnx",
    "models:/of a run/1/MLmodel",
    f"runs:/{run_id}/second/MLmodel",
    f"runs:/{run_id}/model/model.onnx",
    f"runs:/{run_id}/some folder",
    f"{proxied}/MLmodel",
]


def download(uri):
    folder = scratch / str(len(list(scratch.iterdir())))
    return {"uri": uri, "path": mlflow.artifacts.download_artifacts(uri, dst_path=str(folder))}


scratch.mkdir()
print(
    json.dumps(
        {
            "run_id": run_id,
            "models": [download(uri) for uri in models],
            "parts": [download(uri) for uri in parts],
        }
    )
)
