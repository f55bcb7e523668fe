"""Prints the schema that MLflow gives an empty SQLite database, as statements that make it again.

Makes `crates/store-sql/schema/sqlite.sql`:

    python tests/python/dump_schema.py > crates/store-sql/schema/sqlite.sql
"""

import sqlite3
import sys
import tempfile
from pathlib import Path

import mlflow
from mlflow.store.db import utils
from mlflow.store.tracking.dbmodels.models import Base  # noqa: F401  (registers the tables)

ORDER = "CASE type WHEN 'table' THEN 0 WHEN 'index' THEN 1 ELSE 2 END, rowid"


def main():
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "empty.db"
        engine = utils.create_sqlalchemy_engine(f"sqlite:///{path}")
        utils._initialize_tables(engine)
        engine.dispose()
        with sqlite3.connect(path) as database:
            rows = database.execute(
                f"SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY {ORDER}"
            ).fetchall()
            (revision,) = database.execute("SELECT version_num FROM alembic_version").fetchone()
    print(f"-- MLflow {mlflow.__version__}, revision {revision}.")
    print("-- Made by tests/python/dump_schema.py; statements are kept to the byte.")
    for (statement,) in rows:
        print(f"\n{statement};")


if __name__ == "__main__":
    sys.exit(main())
