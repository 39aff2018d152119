"""The files behind the store, opened from several sides at once."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from adbc_driver_manager.dbapi import Connection
from adbc_driver_sqlite import dbapi

from labctl.store.server.databases import has_unique_index, index_table, prepare_database

COLUMNS = ["_dataset_id", "_partition_id", "seq_num"]


def execute(connection: Connection, statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)
    connection.commit()


def test_tables_are_indexed_while_tiled_holds_the_file_open(tmp_path: Path) -> None:
    path = tmp_path / "tables.db"
    prepare_database(path)
    with closing(dbapi.connect(str(path))) as pool, closing(pool.adbc_clone()) as first:
        execute(first, "CREATE TABLE one (_dataset_id INTEGER, _partition_id INTEGER, seq_num INTEGER)")
        index_table(first, "one", COLUMNS)
        assert (tmp_path / "tables.db-wal").exists(), "the write-ahead log was deleted under its user"
        with closing(pool.adbc_clone()) as second:
            for number, connection in enumerate((first, second, first, second)):
                execute(connection, f"INSERT INTO one VALUES (1, 0, {number})")
            with second.cursor() as cursor:
                cursor.execute("SELECT seq_num FROM one ORDER BY seq_num")
                assert [row[0] for row in cursor.fetchall()] == [0, 1, 2, 3]


def test_a_repeated_seq_num_is_refused_by_the_database(tmp_path: Path) -> None:
    with closing(dbapi.connect(str(tmp_path / "tables.db"))) as connection:
        execute(connection, "CREATE TABLE one (_dataset_id INTEGER, _partition_id INTEGER, seq_num INTEGER)")
        execute(connection, "CREATE TABLE other (_dataset_id INTEGER, _partition_id INTEGER, x INTEGER)")
        for _ in range(2):
            index_table(connection, "one", COLUMNS)
            index_table(connection, "other", ["x"])
        assert has_unique_index(connection, "one", "sqlite")
        assert not has_unique_index(connection, "other", "sqlite")
        execute(connection, "INSERT INTO one VALUES (1, 0, 1), (2, 0, 1)")
        with pytest.raises(connection.Error, match="UNIQUE"):
            execute(connection, "INSERT INTO one VALUES (1, 0, 1)")


def test_a_table_that_holds_repeated_seq_nums_is_indexed_otherwise(tmp_path: Path) -> None:
    with closing(dbapi.connect(str(tmp_path / "tables.db"))) as connection:
        execute(connection, "CREATE TABLE one (_dataset_id INTEGER, _partition_id INTEGER, seq_num INTEGER)")
        execute(connection, "INSERT INTO one VALUES (1, 0, 1), (1, 0, 1)")
        index_table(connection, "one", COLUMNS)
        assert not has_unique_index(connection, "one", "sqlite")
        execute(connection, "INSERT INTO one VALUES (1, 0, 1)")
