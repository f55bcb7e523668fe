"""One database, two servers: what MLflow's own store sees in a file that `mlrs server` uses too.

    python share_database.py schema FILE       the schema of a file, and that of a fresh one, as JSON
    python share_database.py make FILE         makes a file with MLflow, with an experiment and a run
    python share_database.py write FILE COUNT  adds runs to the experiment `shared`, and prints how
                                               many runs it has then
    python share_database.py revision FILE X   sets the revision that the file says it has
"""

import json
import sqlite3
import sys
import tempfile
from pathlib import Path

from mlflow.entities import Metric, Param, ViewType
from mlflow.store.db.utils import _initialize_tables, create_sqlalchemy_engine
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore


def schema_of(path):
    with sqlite3.connect(path) as database:
        rows = database.execute("SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY type, name")
        return [[kind, name, table, lines(sql)] for kind, name, table, sql in rows]


def lines(sql):
    """The lines of a statement, in order of text: that of a table's constraints changes each time
    that MLflow's migrations run."""
    return sorted(line.strip().rstrip(", ") for line in (sql or "").splitlines())


def schema(path):
    with tempfile.TemporaryDirectory() as folder:
        fresh = Path(folder) / "fresh.db"
        engine = create_sqlalchemy_engine(f"sqlite:///{fresh}")
        _initialize_tables(engine)
        engine.dispose()
        print(json.dumps({"found": schema_of(path), "expected": schema_of(fresh)}))


def store_of(path):
    return SqlAlchemyStore(f"sqlite:///{path}", "mlflow-artifacts:/")


def make(path):
    store = store_of(path)
    experiment = store.create_experiment("shared")
    run = store.create_run(experiment, "python", 1, [], "made by python")
    store.log_batch(run.info.run_id, [Metric("m", 1.5, 1, 0)], [Param("p", "1")], [])
    print(run.info.run_id)


def write(path, count):
    store = store_of(path)
    experiment = store.get_experiment_by_name("shared").experiment_id
    for number in range(int(count)):
        run = store.create_run(experiment, "python", number, [], f"python {number}")
        store.log_metric(run.info.run_id, Metric("m", number, number, 0))
    print(len(store.search_runs([experiment], "", ViewType.ALL, 1000)))


def revision(path, value):
    with sqlite3.connect(path) as database:
        database.execute("UPDATE alembic_version SET version_num = ?", (value,))


if __name__ == "__main__":
    {"schema": schema, "make": make, "write": write, "revision": revision}[sys.argv[1]](*sys.argv[2:])
