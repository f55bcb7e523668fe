"""Logs and registers small ONNX models on a tracking server, and prints what the test needs to know.

Usage: populate.py TRACKING_URI MODEL_DIRECTORY SCRATCH
"""

import json
import pathlib
import sys

import mlflow
import onnx

tracking_uri, directory, scratch = sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
mlflow.set_tracking_uri(tracking_uri)
client = mlflow.MlflowClient()
model = onnx.load(directory / "model.onnx")
signature = mlflow.models.Model.load(directory).signature
example = json.loads((directory / "serving_input_example.json").read_text())["dataframe_split"]

ids = []
with mlflow.start_run() as run:
    for name in ("first", "second"):
        info = mlflow.onnx.log_model(model, name=name, signature=signature)
        ids.append(info.model_id)
    mlflow.log_artifacts(str(directory), "model")

NAMES = ["iris", "iris of 2.0"]
for name in NAMES:
    client.create_registered_model(name)
    for model_id in ids:
        client.create_model_version(name, f"models:/{model_id}", run_id=run.info.run_id, model_id=model_id)
    client.transition_model_version_stage(name, "1", "Production")
    client.set_registered_model_alias(name, "champion", "2")
client.create_registered_model("empty")

downloads = {}
for uri in (f"models:/iris/1", f"models:/{ids[0]}", f"runs:/{run.info.run_id}/model"):
    place = scratch / str(len(downloads))
    mlflow.artifacts.download_artifacts(uri, dst_path=str(place))
    downloads[uri] = str(place)

proxied = client.get_logged_model(ids[0]).artifact_location
print(json.dumps({"run_id": run.info.run_id, "model_ids": ids, "artifacts": proxied, "downloads": downloads}))
