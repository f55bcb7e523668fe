"""Makes the model directories and the verdicts beside this file.

Run with MLflow 3.17.2, scikit-learn, skl2onnx, onnx, pandas: `python make.py`.
It writes `mlflow3/<name>/` (what MLflow wrote, without the payload), `manifests.json` (every MLmodel
file here as PyYAML and MLflow read it) and `verdicts.json` (signature texts and what MLflow says to them).
The files in `by_hand/` are written by hand after files of older versions.
"""

import datetime
import json
import pathlib
import re
import shutil
import tempfile

import mlflow
import numpy as np
import pandas as pd
import yaml
from mlflow.models import Model, ModelSignature, infer_signature
from mlflow.types.schema import (
    AnyType, Array, ColSpec, DataType, Map, Object, ParamSchema, ParamSpec, Property, Schema, TensorSpec,
)

HERE = pathlib.Path(__file__).parent
OUT = HERE / "mlflow3"
KEEP = {"MLmodel", "input_example.json", "serving_input_example.json", "requirements.txt", "python_env.yaml",
        "conda.yaml", "environment_variables.txt"}


class Echo(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        return model_input


def keep(name, source):
    target = OUT / name
    target.mkdir(parents=True)
    for path in sorted(pathlib.Path(source).iterdir()):
        if path.is_file() and path.name in KEEP:
            text = path.read_text()
            text = re.sub(r"(artifact_path: |uri: |model_code_path: )/\S*/([^/\s]+)", r"\1/home/user/\2", text)
            (target / path.name).write_text(text)


def save(name, flavor, *args, **kwargs):
    with tempfile.TemporaryDirectory() as folder:
        flavor.save_model(*args, path=f"{folder}/model", **kwargs)
        keep(name, f"{folder}/model")


def all_types():
    columns = [ColSpec(t, n) for t, n in zip(DataType, ["b", "i", "l", "f", "d", "s", "bin", "dt"])]
    columns += [
        ColSpec(DataType.double, "opt", required=False),
        ColSpec(Array(DataType.long), "arr"),
        ColSpec(Object([Property("x", DataType.long), Property("y", DataType.string, required=False)]), "obj"),
        ColSpec(Map(DataType.double), "mp", required=False),
        ColSpec(AnyType(), "any", required=False),
        ColSpec(Array(Array(Object([Property("z", Map(AnyType()))]))), "deep é \"quoted\""),
    ]
    params = ParamSchema([
        ParamSpec("temperature", DataType.double, 0.5), ParamSpec("top_k", DataType.long, 3),
        ParamSpec("tags", DataType.string, ["a"], (-1,)), ParamSpec("flag", DataType.boolean, True),
        ParamSpec("when", DataType.datetime, datetime.datetime(2024, 1, 1)),
        ParamSpec("nothing", DataType.string, None), ParamSpec("limit", DataType.double, float("inf")),
        ParamSpec("options", Object([Property("a", DataType.long)]), {"a": 1}),
    ])
    return ModelSignature(Schema(columns), Schema([ColSpec(AnyType())]), params)


def make_models():
    from sklearn.linear_model import LogisticRegression
    from skl2onnx import to_onnx

    x = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)
    y = (x[:, 0] > 0).astype(np.int64)
    frame = pd.DataFrame(x.astype(float), columns=["a", "b", "c"])
    model = LogisticRegression().fit(x, y)
    onnx_model = to_onnx(model, x[:1], options={"zipmap": False})
    save("onnx", mlflow.onnx, onnx_model, input_example=x[:2])
    save("sklearn", mlflow.sklearn, LogisticRegression().fit(frame, y), input_example=frame[:2],
         signature=infer_signature(frame, y),
         metadata={"team": "lab", "yes": "no", "date": "2024-01-01", "time": "1:30", "list": [1, [2.5, None]],
                   "hash": "1e5", "multi": "a\nb", "ü": "✓", "real": 1e-7, "big": 10**18, "empty": {}})
    shared = ["same"]
    save("pyfunc_all_types", mlflow.pyfunc, python_model=Echo(), signature=all_types(),
         metadata={"one": shared, "two": shared})
    tensors = Schema([TensorSpec(np.dtype("float32"), (-1, 2), "a"), TensorSpec(np.dtype("int64"), (-1,), "b"),
                      TensorSpec(np.dtype("str"), (-1,), "s"), TensorSpec(np.dtype("object"), (-1,), "o")])
    save("pyfunc_tensors", mlflow.pyfunc, python_model=Echo(),
         signature=ModelSignature(tensors, Schema([TensorSpec(np.dtype("float64"), (-1, 4, 4))])))
    save("pyfunc_params", mlflow.pyfunc, python_model=Echo(), input_example=(frame[:2], {"temperature": 0.5}),
         model_config={"k": "v"}, artifacts={"aux": __file__})

    class Chat(mlflow.pyfunc.ChatModel):
        def predict(self, context, messages, params):
            from mlflow.types.llm import ChatChoice, ChatCompletionResponse, ChatMessage
            return ChatCompletionResponse(choices=[ChatChoice(ChatMessage("assistant", "x"))], model="m")

    save("pyfunc_chat", mlflow.pyfunc, python_model=Chat())
    with tempfile.TemporaryDirectory() as folder:
        mlflow.set_tracking_uri(f"sqlite:///{folder}/db")
        mlflow.set_experiment(experiment_id=mlflow.create_experiment("e", artifact_location=f"{folder}/artifacts"))
        with mlflow.start_run():
            info = mlflow.sklearn.log_model(model, name="logged", input_example=x[:2])
        keep("logged", mlflow.artifacts.download_artifacts(info.model_uri))


def manifests():
    read = {}
    for path in sorted(HERE.glob("*/*/MLmodel")):
        model = Model.load(str(path))
        content = yaml.safe_load(path.read_text())
        signature = model.signature.to_dict() if model.signature else None
        read[str(path.parent.relative_to(HERE))] = {"content": content, "signature": signature}
    text = json.dumps(read, indent=1, default=str, ensure_ascii=False)
    (HERE / "manifests.json").write_text(text + "\n")


COLUMN_CASES = [
    "[]", "{}", "null", "3", "[1]", "[{}]", "not json", "[{\"type\": 3}]", "[{\"type\": \"Long\"}]",
    "[{\"type\": \"long\"}]", "[{\"type\": \"long\", \"required\": false}]",
    "[{\"type\": \"long\", \"name\": \"a\"}]", "[{\"type\": \"long\", \"name\": \"a\", \"required\": false}]",
    "[{\"type\": \"long\", \"name\": \"a\", \"required\": null}]",
    "[{\"type\": \"long\", \"name\": \"a\", \"optional\": true}]",
    "[{\"type\": \"long\", \"name\": null}]", "[{\"name\": \"a\"}]",
    "[{\"type\": \"array\", \"items\": {\"type\": \"long\"}}]",
    "[{\"type\": \"array\", \"items\": {\"type\": \"long\"}, \"required\": false}]",
    "[{\"type\": \"array\", \"items\": {\"type\": \"long\"}, \"name\": \"a\"}]",
    "[{\"type\": \"array\", \"items\": {\"type\": \"long\"}, \"name\": \"a\", \"bogus\": 1}]",
    "[{\"type\": \"array\", \"items\": \"long\", \"name\": \"a\"}]", "[{\"type\": \"array\", \"name\": \"a\"}]",
    "[{\"type\": \"array\", \"items\": {}, \"name\": \"a\"}]",
    "[{\"type\": \"array\", \"items\": {\"type\": \"any\"}, \"name\": \"a\", \"required\": true}]",
    "[{\"type\": \"array\", \"items\": {\"type\": \"sparkml_vector\"}, \"name\": \"a\", \"required\": true}]",
    "[{\"type\": \"object\", \"name\": \"a\"}]", "[{\"type\": \"object\", \"properties\": {}, \"name\": \"a\"}]",
    "[{\"type\": \"object\", \"properties\": {\"z\": {\"type\": \"long\"}, \"b\": {\"type\": \"any\"}}, \"name\": \"a\"}]",
    "[{\"type\": \"object\", \"properties\": {\"z\": \"long\"}, \"name\": \"a\"}]",
    "[{\"type\": \"object\", \"properties\": {\"z\": {\"type\": \"sparkml_vector\"}}, \"name\": \"a\"}]",
    "[{\"type\": \"object\", \"properties\": {\"z\": {\"type\": \"long\", \"bogus\": 1}}, \"name\": \"a\", \"required\": true}]",
    "[{\"type\": \"object\", \"properties\": {\"z\": {\"required\": true}}, \"name\": \"a\"}]",
    "[{\"type\": \"map\", \"values\": {\"type\": \"double\"}, \"name\": \"a\", \"required\": true}]",
    "[{\"type\": \"map\", \"name\": \"a\"}]", "[{\"type\": \"map\", \"values\": {\"type\": \"strange\"}, \"name\": \"a\"}]",
    "[{\"type\": \"any\", \"name\": \"a\"}]", "[{\"type\": \"any\", \"required\": true}]",
    "[{\"type\": \"sparkml_vector\", \"name\": \"a\", \"required\": true}]",
    "[{\"type\": \"long\", \"name\": \"a\"}, {\"type\": \"long\"}]",
    "[{\"type\": \"long\", \"name\": \"a\"}, {\"type\": \"tensor\", \"name\": \"b\", \"tensor-spec\": {\"dtype\": \"int64\", \"shape\": [-1]}}]",
    "[{\"type\": \"tensor\", \"tensor-spec\": {\"dtype\": \"float32\", \"shape\": [-1, 4]}}]",
    "[{\"type\": \"tensor\", \"tensor-spec\": {\"dtype\": \"float32\", \"shape\": [-1]}, \"bogus\": 1}]",
    "[{\"type\": \"tensor\", \"tensor-spec\": {\"dtype\": \"float32\", \"shape\": [-1]}}, {\"type\": \"tensor\", \"tensor-spec\": {\"dtype\": \"float32\", \"shape\": [-1]}}]",
    "[{\"type\": \"tensor\", \"tensor-spec\": {\"dtype\": \"float32\"}}]",
    "[{\"type\": \"tensor\", \"tensor-spec\": {\"shape\": [1]}}]", "[{\"type\": \"tensor\"}]",
    "[{\"type\": \"tensor\", \"tensor-spec\": {\"dtype\": \"float32\", \"shape\": 3}}]",
    "[{\"type\": \"tensor\", \"tensor-spec\": {\"dtype\": \"str\", \"shape\": []}}]",
    "[{\"type\": \"tensor\", \"tensor-spec\": {\"dtype\": \"<f4\", \"shape\": [2]}}]",
    "[{\"type\": \"tensor\", \"tensor-spec\": {\"dtype\": \"datetime64[ns]\", \"shape\": [2]}}]",
    "[{\"type\": \"tensor\", \"tensor-spec\": {\"dtype\": \"double\", \"shape\": [2]}, \"name\": \"n\"}]",
    "[{\"type\": \"string\", \"name\": \"\\u00e9\\ud83d\\ude00\\\"\\\\\\u007f\"}]",
    "[{\"type\": \"string\", \"name\": \"a\"}, {\"type\": \"string\", \"name\": \"a\"}]",
]

PARAM_CASES = [
    "[]", "{}", "[{\"name\": \"a\", \"type\": \"long\"}]", "[{\"name\": \"a\", \"default\": 1}]",
    "[{\"type\": \"long\", \"default\": 1}]", "[{\"name\": \"a\", \"type\": \"long\", \"default\": 1}]",
    "[{\"name\": \"a\", \"dtype\": \"long\", \"default\": 1, \"shape\": null}]",
    "[{\"name\": \"a\", \"type\": \"long\", \"default\": 1.5}]", "[{\"name\": \"a\", \"type\": \"double\", \"default\": 0.25}]",
    "[{\"name\": \"a\", \"type\": \"double\", \"default\": NaN}]", "[{\"name\": \"NaN\", \"type\": \"float\", \"default\": -Infinity}]",
    "[{\"name\": \"a\", \"type\": \"binary\", \"default\": \"x\"}]", "[{\"name\": \"a\", \"type\": \"string\", \"default\": 1}]",
    "[{\"name\": \"a\", \"type\": \"string\", \"default\": null}]", "[{\"name\": \"a\", \"type\": \"boolean\", \"default\": 1}]",
    "[{\"name\": \"a\", \"type\": \"boolean\", \"default\": true}]", "[{\"name\": \"a\", \"type\": \"long\", \"default\": true}]",
    "[{\"name\": \"a\", \"type\": \"long\", \"default\": [1], \"shape\": [-1]}]",
    "[{\"name\": \"a\", \"type\": \"long\", \"default\": [], \"shape\": [-1]}]",
    "[{\"name\": \"a\", \"type\": \"long\", \"default\": 1, \"shape\": [-1]}]",
    "[{\"name\": \"a\", \"type\": \"long\", \"default\": [1]}]", "[{\"name\": \"a\", \"type\": \"long\", \"default\": [1], \"shape\": [1]}]",
    "[{\"name\": \"a\", \"type\": \"datetime\", \"default\": \"2024-01-01T00:00:00\"}]",
    "[{\"name\": \"a\", \"type\": \"any\", \"default\": 1}]", "[{\"name\": \"a\", \"type\": \"Long\", \"default\": 1}]",
    "[{\"name\": \"a\", \"type\": \"object\", \"default\": {\"x\": 1}, \"properties\": {\"x\": {\"type\": \"long\"}}}]",
    "[{\"name\": \"a\", \"type\": \"object\", \"default\": {\"x\": 1}}]",
    "[{\"name\": \"a\", \"type\": \"object\", \"default\": 3, \"properties\": {\"x\": {\"type\": \"long\"}}}]",
    "[{\"name\": \"a\", \"type\": \"object\", \"default\": [{\"x\": 1}], \"shape\": [-1], \"properties\": {\"x\": {\"type\": \"long\"}}}]",
    "[{\"name\": \"a\", \"type\": \"long\", \"default\": 1}, {\"name\": \"a\", \"type\": \"long\", \"default\": 2}]",
    "[{\"name\": \"a\", \"type\": \"long\", \"default\": 1, \"bogus\": 2}]", "[3]", "not json",
]


def verdict(read, text):
    try:
        return {"text": text, "written": read(text).to_json()}
    except Exception as error:
        return {"text": text, "error": f"{type(error).__name__}: {error}".split("\n")[0][:200]}


def verdicts():
    result = {"schemas": [verdict(Schema.from_json, text) for text in COLUMN_CASES],
              "params": [verdict(ParamSchema.from_json, text) for text in PARAM_CASES]}
    (HERE / "verdicts.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    shutil.rmtree(OUT, ignore_errors=True)
    make_models()
    manifests()
    verdicts()
