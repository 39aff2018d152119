"""The databases behind the document store: independent readers, and the indexes that Tiled leaves out."""

from __future__ import annotations

import logging
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from adbc_driver_manager.dbapi import Connection


_BUSY_MILLISECOND = 30_000
_log = logging.getLogger(__name__)


def prepare_database(path: Path) -> None:
    """Make readers and the writer of a SQLite file independent of each other (write-ahead log).

    Only before Tiled has opened the file. Tiled reads and writes the tables through ADBC, which brings a
    SQLite of its own: two copies of SQLite in one process do not see each other's locks, and the one that
    closes last deletes the write-ahead log under the other ("How to corrupt an SQLite database file",
    section 2.2.1). So Python's sqlite3 must never touch the tables while the service runs in this process.
    """
    with closing(sqlite3.connect(path, timeout=30)) as database:
        database.execute("PRAGMA journal_mode=WAL")


def let_writers_wait() -> None:
    """From now on every SQLite connection of Tiled's tables waits for its turn.

    ADBC leaves SQLite's busy timeout at 0: of two clients that write at once, one would get an error.
    """
    from adbc_driver_manager.dbapi import Connection
    from sqlalchemy import event
    from sqlalchemy.pool import QueuePool

    def wait(connection: object, _: object) -> None:
        if isinstance(connection, Connection):  # and not one of the catalogue's
            _run(connection, f"PRAGMA busy_timeout = {_BUSY_MILLISECOND}")
            connection.commit()

    event.listen(QueuePool, "connect", wait)


def unique_index(table: str) -> str:
    """Name of the index by which a row's seq_num is unique within its dataset."""
    return f"labctl_unique_{table}"


def index_table(connection: Connection, table: str, columns: list[str]) -> None:
    """Give a table an index by dataset; with a seq_num, one that makes it unique within its dataset.

    Tiled 0.2.20 indexes only the first table schema of a database. The unique index lets the database refuse
    what would otherwise be a silent duplicate: an append that was sent twice because its first answer got
    lost.

    Args:
        connection: To the database, as Tiled opens it.
        table: Its name, which passed Tiled's own check.
        columns: Names of its columns.
    """
    if "seq_num" in columns:
        try:
            _create(connection, f'UNIQUE INDEX IF NOT EXISTS "{unique_index(table)}"', table, "seq_num")
        except connection.Error:
            connection.rollback()
            _log.warning("table %s holds repeated seq_nums; another writer put them there", table)
        else:
            return
    _create(connection, f'INDEX IF NOT EXISTS "labctl_rows_{table}"', table, "_partition_id")


def has_unique_index(connection: Connection, table: str, dialect: str) -> bool:
    """Whether a row's seq_num is unique within its dataset, and can be looked up."""
    catalogue = {"sqlite": "sqlite_master WHERE type = 'index' AND name"}.get(
        dialect, "pg_indexes WHERE indexname"
    )
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT 1 FROM {catalogue} = '{unique_index(table)}'")
        return cursor.fetchone() is not None


def _create(connection: Connection, index: str, table: str, column: str) -> None:
    _run(connection, f'CREATE {index} ON "{table}"(_dataset_id, {column})')
    connection.commit()


def _run(connection: Connection, statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)
