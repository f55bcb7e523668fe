"""Prints the schema that MLflow gives an empty database, as statements that make it again.

Makes `crates/store-sql/schema/sqlite.sql` and `crates/store-sql/schema/postgresql.sql`; the latter
needs an empty database and PostgreSQL's `pg_dump`:

    python tests/python/dump_schema.py > crates/store-sql/schema/sqlite.sql
    python tests/python/dump_schema.py postgresql://USER@HOST/EMPTY > crates/store-sql/schema/postgresql.sql
"""

import re
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

import mlflow
from mlflow.store.db import utils
from mlflow.store.tracking.dbmodels.models import Base  # noqa: F401  (registers the tables)

ORDER = "CASE type WHEN 'table' THEN 0 WHEN 'index' THEN 1 ELSE 2 END, rowid"
REVISION = "dc11669786a5"

# What pg_dump says about the session that reads the dump, and about itself.
SESSION = re.compile(
    r"^(--.*|SET .*;|SELECT pg_catalog\.set_config.*;|\\(un)?restrict .*)\n", re.MULTILINE
)

# How `column IN ('a', 'b')` is written out; read again, that would become something else.
MEMBER = re.compile(r"\(\((\w+)\)::text = ANY \(\(ARRAY\[(.*)\]\)::text\[\]\)\)")


def initialize(uri):
    engine = utils.create_sqlalchemy_engine(uri)
    utils._initialize_tables(engine)
    engine.dispose()


def sqlite():
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "empty.db"
        initialize(f"sqlite:///{path}")
        with sqlite3.connect(path) as database:
            rows = database.execute(
                f"SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY {ORDER}"
            ).fetchall()
    return [statement for (statement,) in rows]


def postgresql(uri):
    """The names of the dump have their schema with them; a statement takes that of its connection."""
    initialize(uri)
    dump = subprocess.run(
        ["pg_dump", "--schema-only", "--no-owner", "--no-privileges", uri],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    text = SESSION.sub("", dump).replace("public.", "")
    text = MEMBER.sub(lambda found: f"{found[1]} IN ({found[2]})", text)
    text = text.replace("::character varying", "")
    statements = re.split(r";\n(?:\n+|\Z)", text.strip() + "\n")
    return [statement.strip() for statement in statements if statement.strip()]


def main(arguments):
    statements = postgresql(arguments[0]) if arguments else sqlite()
    print(f"-- MLflow {mlflow.__version__}, revision {REVISION}.")
    print("-- Made by tests/python/dump_schema.py; statements are kept to the byte.")
    for statement in statements:
        print(f"\n{statement};")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
