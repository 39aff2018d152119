"""The SQLite files behind the document store: independent readers, and the indexes that Tiled leaves out."""

from __future__ import annotations

import logging
import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from adbc_driver_manager.dbapi import Connection

_log = logging.getLogger(__name__)
_TABLE_NAME = re.compile(r"[a-z][a-z0-9_]*")


def prepare_database(path: Path) -> None:
    """Make readers and the writer of a SQLite file independent of each other (write-ahead log).

    Only before Tiled has opened the file: see `index_tables`.
    """
    with closing(sqlite3.connect(path, timeout=30)) as database:
        database.execute("PRAGMA journal_mode=WAL")


def index_tables(path: Path) -> None:
    """Give every table its (dataset, partition) index, and make a row's seq_num unique within its dataset.

    Tiled 0.2.20 indexes only the first table schema of a database. The second index lets the database refuse
    what would otherwise be a silent duplicate: an append that was sent twice because its first answer got
    lost.

    The file is opened through ADBC, as Tiled does, and never through Python's sqlite3 in the same process:
    two copies of SQLite do not see each other's locks, and the one that closes last deletes the write-ahead
    log under the other ("How to corrupt an SQLite database file", section 2.2.1).
    """
    from adbc_driver_sqlite import dbapi

    with closing(dbapi.connect(str(path))) as database:
        _run(database, "PRAGMA busy_timeout = 30000")
        for (name,) in _rows(database, "SELECT name FROM sqlite_master WHERE type = 'table'"):
            if _TABLE_NAME.fullmatch(name) is not None:
                _index(database, name)
        database.commit()


def _index(database: Connection, table: str) -> None:
    columns = {row[1] for row in _rows(database, f"PRAGMA table_info('{table}')")}
    if not {"_dataset_id", "_partition_id"} <= columns:
        return
    index = f'INDEX IF NOT EXISTS "labctl_{{}}_{table}" ON "{table}"'
    _run(database, f"CREATE {index.format('rows')}(_dataset_id, _partition_id)")
    if "seq_num" in columns:
        try:
            _run(database, f"CREATE UNIQUE {index.format('unique')}(_dataset_id, seq_num)")
        except database.Error:
            _log.warning("table %s holds repeated seq_nums; another writer put them there", table)


def _run(database: Connection, statement: str) -> None:
    with database.cursor() as cursor:
        cursor.execute(statement)


def _rows(database: Connection, query: str) -> list[tuple]:
    with database.cursor() as cursor:
        cursor.execute(query)
        return cursor.fetchall()
