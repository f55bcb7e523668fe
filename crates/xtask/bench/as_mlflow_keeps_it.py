"""Copies a database of mlrs as MLflow itself keeps one: without the indexes that mlrs adds, and with
SQLite's usual journal instead of the write-ahead log.

Usage: as_mlflow_keeps_it.py FROM TO
"""

import shutil
import sqlite3
import sys

source, target = sys.argv[1:]
shutil.copyfile(source, target)
database = sqlite3.connect(target, isolation_level=None)
indexes = database.execute(
    r"SELECT name FROM sqlite_master WHERE type = 'index' AND name LIKE 'mlrs\_%' ESCAPE '\'"
).fetchall()
assert indexes, "mlrs adds no indexes any more"
for (name,) in indexes:
    database.execute(f'DROP INDEX "{name}"')
database.execute("VACUUM")
assert database.execute("PRAGMA journal_mode = DELETE").fetchone() == ("delete",)
