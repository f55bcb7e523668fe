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


def put(database, table, **given):
    """Adds a row; a column that must have a value and is not given gets one of its type."""
    row = {}
    for _, name, kind, required, default, key in database.execute(f'PRAGMA table_info("{table}")'):
        if name in given:
            row[name] = given[name]
        elif (required or key) and default is None:
            row[name] = f"{table} {name}" if "CHAR" in kind or kind == "TEXT" else "2026-01-02" if kind == "DATE" else 7
    places = ", ".join("?" * len(row))
    columns = ", ".join(f'"{name}"' for name in row)
    database.execute(f'INSERT INTO "{table}" ({columns}) VALUES ({places})', list(row.values()))


def add_what_belongs_to(database, experiment, run):
    """Rows of everything else that belongs to an experiment or was made by a run."""
    e = {"experiment_id": experiment}
    trace, scorer, queue = (f"{kind}-{experiment}" for kind in ("tr", "scorer", "queue"))
    put(database, "trace_info", request_id=trace, **e)
    put(database, "trace_tags", request_id=trace, key="k", value="v")
    put(database, "trace_request_metadata", request_id=trace, key="mlflow.sourceRun", value=run)
    put(database, "trace_metrics", request_id=trace, key="tokens", value=1)
    put(database, "spans", trace_id=trace, span_id="s", start_time_unix_nano=1, end_time_unix_nano=2, **e)
    put(database, "span_metrics", trace_id=trace, span_id="s", key="cost", value=1)
    put(database, "assessments", assessment_id=f"a-{experiment}", trace_id=trace, run_id=run, valid=True, **e)
    # An assessment by a run that is to go, of a trace that is not of it.
    put(database, "assessments", assessment_id=f"b-{experiment}", trace_id=trace, run_id=run, valid=True)
    put(database, "entity_associations", association_id=f"ea-{experiment}", source_type="trace",
        source_id=trace, destination_type="run", destination_id=run)
    put(database, "evaluation_datasets", dataset_id=f"d-{experiment}", name=f"d-{experiment}")
    put(database, "entity_associations", association_id=f"eb-{experiment}", source_type="evaluation_dataset",
        source_id=f"d-{experiment}", destination_type="experiment", destination_id=str(experiment))
    put(database, "issues", issue_id=f"i-{experiment}", source_run_id=run, **e)
    put(database, "scorers", scorer_id=scorer, scorer_name="s", **e)
    put(database, "scorer_versions", scorer_id=scorer, scorer_version=1)
    put(database, "online_scoring_configs", online_scoring_config_id=f"o-{experiment}", scorer_id=scorer, **e)
    put(database, "label_schemas", schema_id=f"l-{experiment}", **e)
    put(database, "review_queues", queue_id=queue, **e)
    put(database, "review_queue_items", queue_id=queue, item_type="trace", item_id=trace)
    put(database, "review_queue_users", queue_id=queue)
    put(database, "review_queue_label_schemas", queue_id=queue, schema_id=f"l-{experiment}")
    put(database, "endpoints", endpoint_id=f"e-{experiment}", name=f"e-{experiment}", **e)
    put(database, "sql_trace_rollup_rebuild_queue", **e)
    for family in ("trace_metric", "span_cost", "assessment"):
        put(database, f"sql_{family}_daily_rollups", id=experiment, **e)


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
        for experiment in (kept, gone):
            add_what_belongs_to(database, int(experiment), ids["deleted"])
    print(json.dumps(ids))


if __name__ == "__main__":
    make(sys.argv[2], sys.argv[3])
