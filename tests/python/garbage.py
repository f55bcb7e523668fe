"""Makes a database with MLflow in which something of everything is deleted.

    garbage.py make FILE FOLDER     the database, and where artifacts go; prints ids as JSON
"""

import json
import sqlite3
import sys
import time

import mlflow
from mlflow.entities import Dataset, DatasetInput, InputTag, LoggedModelInput, LoggedModelOutput
from mlflow.tracking import MlflowClient

DAY = 86_400_000


def make(file, folder):
    uri = f"sqlite:///{file}"
    mlflow.set_tracking_uri(uri)
    client = MlflowClient(uri)
    ids = {}

    def run(name, experiment, model=None):
        id = client.create_run(experiment, run_name=name).info.run_id
        client.log_metric(id, "loss", 1.0, step=1, model_id=model)
        client.log_metric(id, "loss", 2.0, step=2, model_id=model)
        client.log_param(id, "p", "v")
        client.set_tag(id, "t", "v")
        dataset = Dataset("d", "dig", "local", "src", "{}", "{}")
        client.log_inputs(id, [DatasetInput(dataset, [InputTag("a", "b")])], [LoggedModelInput(model)] if model else [])
        client.log_text(id, "text", "deep/file.txt")
        ids[name] = id

    def model(name, experiment):
        made = client.create_logged_model(experiment, name=name, tags={"x": "y"}, params={"k": "v"})
        path = made.artifact_location.removeprefix("file://")
        import os

        os.makedirs(path, exist_ok=True)
        with open(path + "/MLmodel", "w") as out:
            out.write("flavors: {}")
        ids[name] = made.model_id

    kept = client.create_experiment("kept", artifact_location=f"file://{folder}/kept", tags={"a": "b"})
    gone = client.create_experiment("gone", artifact_location=f"file://{folder}/gone", tags={"a": "b"})
    ids["kept"], ids["gone"] = kept, gone
    model("model", kept)
    model("deleted model", kept)
    model("model of gone", gone)
    run("active", kept, ids["deleted model"])
    run("deleted", kept, ids["model"])
    run("long deleted", kept)
    run("of gone", gone, ids["model of gone"])
    run("of gone into kept", gone, ids["model"])
    client.log_outputs(ids["active"], [LoggedModelOutput(ids["model"], step=1)])
    trace = client.start_trace("trace", experiment_id=gone)
    client.end_trace(trace.trace_id)
    mlflow.flush_trace_async_logging()
    for name in ("deleted", "long deleted"):
        client.delete_run(ids[name])
    client.delete_logged_model(ids["deleted model"])
    client.delete_experiment(gone)
    client.create_registered_model("reg")
    client.create_model_version("reg", f"{folder}/kept", ids["deleted"])
    with sqlite3.connect(file) as database:
        long_ago = int(time.time() * 1000) - 20 * DAY
        database.execute("UPDATE runs SET deleted_time = ? WHERE run_uuid = ?", (long_ago, ids["long deleted"]))
    print(json.dumps(ids))


if __name__ == "__main__":
    make(sys.argv[2], sys.argv[3])
