"""The tables behind the document store, in SQLite or PostgreSQL, read page by page.

What Tiled 0.2.20 does otherwise, and why this adapter takes its place:

- It reads SQLite through ADBC, which guesses each column's type from the first 1024 rows: a float column that
  begins with as many NaN (stored as NULL) cannot be read at all.
- It holds a whole table in memory several times over to answer one request, and refuses more than 300 MB.
- It indexes only the first table of a database, and takes an append that was sent twice for two.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pyarrow as pa
from tiled.adapters.sql import SQLAdapter

from labctl.store.databases import has_unique_index, index_table
from labctl.store.lazy_table import LazyTable

# SQLite: the types are guessed from all rows of a result at once
_STATEMENT = {"sqlite": {"adbc.sqlite.query.batch_rows": str(2_000_000_000)}}
_SEQ_NUM = "seq_num"
_BEFORE_ALL = -(2**63)
_indexed: set[tuple[str, str]] = set()
_ordered: set[tuple[str, str]] = set()
_indexing = threading.Lock()


class DatabaseTable(SQLAdapter):
    """One dataset of a table; its rows come in the order of seq_num, or else in which they were appended."""

    def append_partition(self, partition: int, data: Any) -> None:
        """Store rows; the first time the table gets its index."""
        with _indexing:
            if self._place not in _indexed:
                with closing(self.storage.connect()) as connection:
                    index_table(connection, self.table_name, self.structure().columns)
                _indexed.add(self._place)
        super().append_partition(partition, data)

    def read(self, fields: list[str] | None = None) -> Any:
        """All rows, or the columns `fields` of them, as a LazyTable (it stands in for a DataFrame)."""
        return LazyTable(self, fields)

    def read_partition(self, partition: int, fields: list[str] | None = None) -> Any:
        """The rows of the one partition, or the columns `fields` of them."""
        if partition != 0:
            raise IndexError(partition)
        return self.read(fields)

    def pages(
        self, rows: int, fields: list[str] | None = None, after: int = _BEFORE_ALL
    ) -> Iterator[pa.Table]:
        """Yield the rows in pages of at most `rows`, each read on its own: constant memory, no long lock.

        Args:
            rows: The length of a page.
            fields: Only these columns.
            after: Only rows with a higher seq_num.
        """
        schema = self.schema_of(fields)
        read = self._by_seq_num if self._is_ordered else self._in_storage_order
        for page in read(schema.names, rows, after):
            yield page.select(schema.names).cast(schema)

    def _by_seq_num(self, names: list[str], rows: int, after: int) -> Iterator[pa.Table]:
        names = list(dict.fromkeys([*names, _SEQ_NUM]))
        while True:
            page = self._query(names, f"AND seq_num > {int(after)} ORDER BY seq_num LIMIT {int(rows)}")
            if page.num_rows:
                yield page
            if page.num_rows < rows:
                return
            after = page[_SEQ_NUM][-1].as_py()

    def _in_storage_order(self, names: list[str], rows: int, after: int) -> Iterator[pa.Table]:
        """Tables of other writers, whose seq_nums may repeat, or which have none."""
        order = "rowid" if self.storage.dialect == "sqlite" else "ctid"
        beyond = f"AND seq_num > {int(after)}" if after > _BEFORE_ALL else ""
        for begin in itertools.count(0, rows):
            page = self._query(names, f"{beyond} ORDER BY {order} LIMIT {int(rows)} OFFSET {begin}")
            if page.num_rows:
                yield page
            if page.num_rows < rows:
                return

    def last(self) -> int:
        """A number that grows with every append: the highest seq_num, or the number of rows."""
        key = "MAX(seq_num)" if _SEQ_NUM in self.structure().columns else "COUNT(*)"
        return self._query([], "", key)[0][0].as_py() or 0

    def rows(self) -> int:
        """The number of rows now."""
        return self._query([], "", "COUNT(*)")[0][0].as_py()

    def schema_of(self, fields: list[str] | None = None) -> pa.Schema:
        """Declared types of the columns, or of the columns `fields`."""
        schema = self.structure().arrow_schema_decoded
        return pa.schema([field for field in schema if fields is None or field.name in fields])

    @property
    def _place(self) -> tuple[str, str]:
        return self.storage.uri, self.table_name

    @property
    def _is_ordered(self) -> bool:
        if self._place not in _ordered:
            with closing(self.storage.connect()) as connection:
                if not has_unique_index(connection, self.table_name, self.storage.dialect):
                    return False
                connection.commit()
            _ordered.add(self._place)
        return True

    def _query(self, names: list[str], rest: str, expression: str = "") -> pa.Table:
        # Column and table names passed Tiled's own check when the table was created.
        columns = ", ".join([f'"{name.lower()}"' for name in names] or [expression])
        query = f'SELECT {columns} FROM "{self.table_name}" WHERE _dataset_id = {int(self.dataset_id)} {rest}'
        options = _STATEMENT.get(self.storage.dialect)
        with (
            closing(self.storage.connect()) as connection,
            connection.cursor(adbc_stmt_kwargs=options) as cursor,
        ):
            cursor.execute(query)
            table = cursor.fetch_arrow_table()
            connection.commit()
        return table.rename_columns(names) if names else table
