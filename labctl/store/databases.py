"""The SQLite files behind the document store: independent readers, and the indexes that Tiled leaves out."""

from __future__ import annotations

import logging
import re
import sqlite3
from contextlib import closing
from pathlib import Path

_log = logging.getLogger(__name__)
_TABLE_NAME = re.compile(r"[a-z][a-z0-9_]*")


def prepare_database(path: Path) -> None:
    """Make readers and the writer of a SQLite file independent of each other (write-ahead log)."""
    with closing(sqlite3.connect(path, timeout=30)) as database:
        database.execute("PRAGMA journal_mode=WAL")


def index_tables(path: Path) -> None:
    """Give every table its (dataset, partition) index, and make a row's seq_num unique within its dataset.

    Tiled 0.2.20 indexes only the first table schema of a database. The second index lets the database refuse
    what would otherwise be a silent duplicate: an append that was sent twice because its first answer got
    lost.
    """
    with closing(sqlite3.connect(path, timeout=30)) as database:
        tables = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        for (name,) in tables:
            columns = {row[1] for row in database.execute("SELECT * FROM pragma_table_info(?)", (name,))}
            if _TABLE_NAME.fullmatch(name) is None or not {"_dataset_id", "_partition_id"} <= columns:
                continue
            index = f'INDEX IF NOT EXISTS "labctl_{{}}_{name}" ON "{name}"'
            database.execute(f"CREATE {index.format('rows')}(_dataset_id, _partition_id)")
            if "seq_num" in columns:
                try:
                    database.execute(f"CREATE UNIQUE {index.format('unique')}(_dataset_id, seq_num)")
                except sqlite3.IntegrityError:
                    _log.warning("table %s holds repeated seq_nums; another writer put them there", name)
        database.commit()
