"""One database, two servers: what MLflow's own store sees in a database that `mlrs server` uses too.

    python share_database.py schema FILE      the schema of a SQLite file, and that of a fresh one,
                                              as JSON
    python share_database.py fresh URI        gives an empty database MLflow's schema
    python share_database.py make URI         makes a database with an experiment and a run
    python share_database.py models URI       adds a logged model, and versions of a registered one
    python share_database.py write URI COUNT  adds runs to the experiment `shared`, and prints how
                                              many runs it has then
    python share_database.py revision URI X   sets the revision that the database says it has
    python share_database.py forget URI       removes the table with the revision
    python share_database.py relative URI ID  makes the locations of artifacts in an experiment, 1
                                              unless said, relative, as early versions of `mlrs`
                                              stored them
    python share_database.py locations URI    all locations of artifacts, as JSON
"""

import json
import sqlite3
import sys
import tempfile
from pathlib import Path

from mlflow.entities import Metric, Param, ViewType
from mlflow.store.db.utils import _initialize_tables, create_sqlalchemy_engine
from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore as RegistryStore
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
from sqlalchemy import text


def schema_of(path):
    with sqlite3.connect(path) as database:
        rows = database.execute("SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY type, name")
        return [[kind, name, table, lines(sql)] for kind, name, table, sql in rows]


def lines(sql):
    """The lines of a statement, in order of text: that of a table's constraints changes each time
    that MLflow's migrations run."""
    return sorted(line.strip().rstrip(", ") for line in (sql or "").splitlines())


def fresh(uri):
    engine = create_sqlalchemy_engine(uri)
    _initialize_tables(engine)
    engine.dispose()


def schema(path):
    with tempfile.TemporaryDirectory() as folder:
        other = Path(folder) / "fresh.db"
        fresh(f"sqlite:///{other}")
        print(json.dumps({"found": schema_of(path), "expected": schema_of(other)}))


def store_of(uri):
    return SqlAlchemyStore(uri, "mlflow-artifacts:/")


def make(uri):
    store = store_of(uri)
    experiment = store.create_experiment("shared")
    run = store.create_run(experiment, "python", 1, [], "made by python")
    store.log_batch(run.info.run_id, [Metric("m", 1.5, 1, 0)], [Param("p", "1")], [])
    print(run.info.run_id)


def models(uri):
    store = store_of(uri)
    experiment = store.get_experiment_by_name("shared").experiment_id
    run = store.search_runs([experiment], "", ViewType.ALL, 1)[0]
    store.create_logged_model(experiment, "m", run.info.run_id)
    registry = RegistryStore(uri)
    registry.create_registered_model("m")
    registry.create_model_version("m", f"{run.info.artifact_uri}/model", run.info.run_id)
    registry.create_model_version("m", "prompt-template")


def write(uri, count):
    store = store_of(uri)
    experiment = store.get_experiment_by_name("shared").experiment_id
    for number in range(int(count)):
        run = store.create_run(experiment, "python", number, [], f"python {number}")
        store.log_metric(run.info.run_id, Metric("m", number, number, 0))
    print(len(store.search_runs([experiment], "", ViewType.ALL, 1000)))


def execute(uri, statement, values={}):
    engine = create_sqlalchemy_engine(uri)
    with engine.begin() as connection:
        connection.execute(text(statement), values)
    engine.dispose()


def revision(uri, value):
    execute(uri, "UPDATE alembic_version SET version_num = :value", {"value": value})


def forget(uri):
    execute(uri, "DROP TABLE alembic_version")


LOCATIONS = [
    ("experiments", "artifact_location", "experiment_id"),
    ("runs", "artifact_uri", "run_uuid"),
    ("logged_models", "artifact_location", "model_id"),
    ("model_versions", "source", "version"),
    ("model_versions", "storage_location", "version"),
]


def relative(uri, experiment="1"):
    before, after = f"mlflow-artifacts:/{experiment}", f"./mlruns/{experiment}"
    for table, column, _ in LOCATIONS:
        execute(uri, f"UPDATE {table} SET {column} = replace({column}, '{before}', '{after}')")


def locations(uri):
    engine = create_sqlalchemy_engine(uri)
    with engine.begin() as connection:
        found = {
            f"{table}.{column}": list(connection.execute(text(f"SELECT {column} FROM {table} ORDER BY {key}")).scalars())
            for table, column, key in LOCATIONS
        }
    engine.dispose()
    print(json.dumps(found))


COMMANDS = [schema, fresh, make, models, write, revision, forget, relative, locations]

if __name__ == "__main__":
    {command.__name__: command for command in COMMANDS}[sys.argv[1]](*sys.argv[2:])
