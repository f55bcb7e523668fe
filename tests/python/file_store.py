"""Writes a file store with MLflow, and tells all rows of a database.

    file_store.py write FOLDER      a store with everything that it can hold
    file_store.py rows FILE         all rows of an SQLite file, as JSON

Ids that an import makes (of datasets and of edges between runs, datasets and models) are replaced by
what they stand for.
"""

import json
import math
import os
import sqlite3
import sys


def write(folder):
    os.environ["MLFLOW_ALLOW_FILE_STORE"] = "true"
    import mlflow
    from mlflow.entities import (
        Dataset,
        DatasetInput,
        InputTag,
        LoggedModelInput,
        LoggedModelOutput,
        Metric,
        Param,
        RunTag,
    )
    from mlflow.tracking import MlflowClient

    mlflow.set_tracking_uri("file://" + folder)
    client = MlflowClient()
    first = client.create_experiment("first", tags={"team": "a", "mlflow.note.content": "zeile\nünï 🦊"})
    train = DatasetInput(
        Dataset("train", "12ab", "local", '{"uri": "x"}', '{"columns": []}', '{"rows": 5}'),
        [InputTag("mlflow.data.context", "training")],
    )
    runs = []
    for number in range(6):
        run = client.create_run(first, run_name=f"run {number}", start_time=1000 + number)
        id = run.info.run_id
        runs.append(id)
        metrics = [Metric("loss", 1 / (step + number + 1), 10 + step, step) for step in range(50)]
        metrics += [Metric("nested/a/b", value, 5, 0) for value in (1.0, 3.0, 2.0)]
        metrics += [
            Metric("odd", math.nan, 7, 2),
            Metric("odd", math.inf, 6, 1),
            Metric("odd", -math.inf, 5, 0),
            Metric("back", 2.0, 9, 5),
            Metric("back", 3.0, 9, -1),
            Metric("none", math.nan, 1, 1),
            Metric("none", -1.0, 1, 1),
        ]
        params = [Param("p", str(number)), Param("path/to", "ä/ö"), Param("empty", ""), Param("lines", "a\nb\n")]
        tags = [RunTag("mlflow.note.content", "# title\n\ntext"), RunTag("1e5", "0o14")]
        client.log_batch(id, metrics, params, tags)
        model = client.create_logged_model(
            first, name=f"model{number}", source_run_id=id, tags={"x": "y"}, params={"k": "v"}, model_type="t"
        )
        client.log_outputs(id, [LoggedModelOutput(model.model_id, step=number)])
        inputs = [LoggedModelInput(model.model_id)] if number % 2 else []
        client.log_inputs(id, [train], inputs)
        client.log_metric(
            id, "quality", 0.5, timestamp=3, step=1, model_id=model.model_id, dataset_name="train", dataset_digest="12ab"
        )
        client.log_metric(id, "quality", 0.75, timestamp=4, step=2, model_id=model.model_id)
        client.set_terminated(id, ["FINISHED", "FAILED", "KILLED"][number % 3], 5000)
        if number:
            client.finalize_logged_model(model.model_id, "FAILED" if number == 1 else "READY")
    client.delete_run(runs[-1])
    gone = client.create_experiment("gone")
    client.log_metric(client.create_run(gone).info.run_id, "m", 1.0)
    client.delete_experiment(gone)
    client.create_run("0", run_name="of the default experiment")
    trace = client.start_trace("trace", experiment_id=first)
    client.end_trace(trace.trace_id)
    mlflow.flush_trace_async_logging()
    mlflow.log_feedback(trace_id=trace.trace_id, name="good", value=True)

    client.create_registered_model("net", tags={"t": "u"}, description="a net\nof nets")
    client.create_registered_model("empty")
    for number, stage in enumerate(("Archived", "Production", "None")):
        version = client.create_model_version(
            "net", f"/models/{number}", runs[number], tags={"v": str(number)}, description=f"no. {number}"
        )
        if stage != "None":
            client.transition_model_version_stage("net", version.version, stage)
    client.set_registered_model_alias("net", "champion", "2")
    client.delete_model_version("net", "3")


def rows(file):
    database = sqlite3.connect(file)
    database.row_factory = sqlite3.Row
    tables = [
        row[0]
        for row in database.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name"
        )
    ]
    found = {table: [dict(row) for row in database.execute(f'SELECT * FROM "{table}"')] for table in tables}
    datasets = {
        row["dataset_uuid"]: f"dataset {row['experiment_id']} {row['name']} {row['digest']}"
        for row in found["datasets"]
    }
    edges = {}
    for row in found["inputs"]:
        row["source_id"] = datasets.get(row["source_id"], row["source_id"])
        edge = " ".join(str(row[name]) for name in row if name != "input_uuid")
        edges[row["input_uuid"]] = edge
    for row in found["datasets"]:
        row["dataset_uuid"] = datasets[row["dataset_uuid"]]
    for row in found["inputs"] + found["input_tags"]:
        row["input_uuid"] = edges[row["input_uuid"]]
    for table in found.values():
        table.sort(key=lambda row: json.dumps(row, sort_keys=True))
    print(json.dumps(found))


if __name__ == "__main__":
    {"write": write, "rows": rows}[sys.argv[1]](sys.argv[2])
