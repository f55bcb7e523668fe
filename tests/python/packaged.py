"""What Python makes of model directories that mlrs packaged, and what it makes of the same models itself.

Reads a JSON list of tasks from standard input, and writes a JSON list of answers as the last line. A task
is an object with `do` and what that needs:

save      mlflow.onnx.save_model of `onnx` to `to`, with `inputs` as its example (or `frame`, a data
          frame, or null for none), metadata, and what infer_signature says
read      the files of the directory `model` as JSON; its example as mlflow.models.Model loads it
predict   mlflow.pyfunc's predictions of the model `model` (a directory or a URI) for `inputs`,
          or for `frame`, a data frame
load      the name of the graph that mlflow.onnx loads, or why the checks of ONNX refuse it
"""

import json
import logging
import os
import sys
from pathlib import Path

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

import mlflow
import numpy as np
import onnx
import onnxruntime
import pandas as pd
import yaml
from mlflow.models import Model, infer_signature


def array(tensor):
    """An array of what `tests/fixtures/onnx/cases.json` has."""
    return np.array(tensor["data"], dtype=tensor["dtype"]).reshape(tensor["shape"])


def arrays(inputs):
    """One array for one tensor, else arrays by name."""
    named = {name: array(tensor) for name, tensor in inputs.items()}
    return next(iter(named.values())) if len(named) == 1 else named


def plain(value):
    """Values that JSON has."""
    if isinstance(value, (np.ndarray, np.generic)):
        return plain(value.tolist())
    if isinstance(value, dict):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(inner) for inner in value]
    return value


def save(task):
    graph = onnx.load(task["onnx"])
    taken = {name: array(tensor) for name, tensor in task["inputs"].items()}
    session = onnxruntime.InferenceSession(task["onnx"], providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    given = dict(zip(names, session.run(names, taken)))
    example = arrays(task["inputs"])
    signature = infer_signature(example, given)
    if "frame" in task:
        frame = task["frame"]
        example = None if frame is None else pd.DataFrame(frame["data"], columns=frame["columns"])
    mlflow.onnx.save_model(
        graph, task["to"], signature=signature, input_example=example, metadata=task.get("metadata")
    )


def read(task):
    folder = Path(task["model"])
    model = Model.load(str(folder))
    example = model.load_input_example(str(folder))
    if isinstance(example, pd.DataFrame):
        example = {"columns": list(example.columns), "data": example.to_numpy()}
    files = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.suffix in (".yaml",) or name == "MLmodel":
            files[name] = yaml.safe_load(path.read_text())
        elif path.suffix in (".json", ".txt"):
            files[name] = path.read_text()
        elif path.is_file():
            files[name] = path.read_bytes().hex()
    return {"files": files, "example": plain(example)}


def predict(task):
    model = mlflow.pyfunc.load_model(task["model"])
    if "frame" in task:
        frame = pd.DataFrame(task["frame"]["data"], columns=task["frame"]["columns"])
        return plain(model.predict(frame).to_dict("list"))
    return plain(model.predict(arrays(task["inputs"])))


def load(task):
    try:
        return mlflow.onnx.load_model(task["model"]).graph.name
    except onnx.checker.ValidationError as error:
        return {"refused": str(error)}


def main():
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    todo = {"save": save, "read": read, "predict": predict, "load": load}
    answers = [todo[task["do"]](task) for task in json.load(sys.stdin)]
    print(json.dumps(answers))


if __name__ == "__main__":
    main()
