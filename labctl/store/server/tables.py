"""The tables behind the document store, in SQLite or PostgreSQL, read page by page.

What Tiled 0.2.20 does otherwise, and why this adapter takes its place:

- It reads SQLite through ADBC, which guesses each column's type from the first 1024 rows: a float column that
  begins with as many NaN (stored as NULL) cannot be read at all.
- It holds a whole table in memory several times over to answer one request, and refuses more than 300 MB.
- It indexes only the first table of a database, and takes an append that was sent twice for two.
"""

from __future__ import annotations

import io
import itertools
import threading
from collections.abc import Iterator
from contextlib import closing
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
from tiled.adapters.sql import SQLAdapter
from tiled.serialization.table import serialize_arrow, serialize_csv
from tiled.utils import SerializationError, parse_mimetype

from labctl.store.arrow import null_for_nan
from labctl.store.server.databases import has_unique_index, index_table

if TYPE_CHECKING:
    import pandas as pd


PAGE_ROWS = 10_000
_MOST_CELLS = 10_000_000  # of a table that is held in memory whole, several times over


class LazyTable:
    """Stands in for the DataFrame that Tiled expects: sent as Arrow or CSV it is never held whole.

    Anything else that is asked of it (other formats) is answered by the DataFrame, which is then read.
    """

    def __init__(self, table: DatabaseTable, fields: list[str] | None) -> None:
        self._table, self._fields = table, fields
        self._frame: pd.DataFrame | None = None
        self._last = table.last()

    def memory_usage(self) -> np.ndarray:
        """Nothing as long as nothing was read: there is no limit on what is sent page by page."""
        return np.zeros(1)

    def __dask_tokenize__(self) -> tuple[Any, ...]:
        """Identifies the content, for the ETag of an answer."""
        return self._table.table_name, self._table.dataset_id, self._last, self._fields

    def arrow_file(self) -> Iterator[memoryview]:
        """The bytes of an Arrow file, a piece at a time."""
        sink = _Pieces()
        schema = self._table.schema_of(self._fields)
        with pa.ipc.new_file(sink, schema) as writer:
            for page in self._table.pages(PAGE_ROWS, self._fields):
                writer.write_table(page)
                yield sink.take()
        yield sink.take()

    def csv(self, *, header: bool) -> Iterator[memoryview]:
        """The bytes of a CSV file, a piece at a time; what is not a number is empty."""
        sink = _Pieces()
        options = pyarrow.csv.WriteOptions(include_header=header, quoting_style="needed")
        with pyarrow.csv.CSVWriter(
            sink, self._table.schema_of(self._fields), write_options=options
        ) as writer:
            for page in self._table.pages(PAGE_ROWS, self._fields):
                columns = [null_for_nan(column) for column in page.columns]
                writer.write_table(pa.Table.from_arrays(columns, schema=page.schema))
                yield sink.take()
        yield sink.take()

    @property
    def frame(self) -> pd.DataFrame:
        """All rows at once.

        Raises:
            SerializationError: They are too many for that.
        """
        if self._frame is not None:
            return self._frame
        schema = self._table.schema_of(self._fields)
        cells = self._table.rows() * len(schema)
        if cells > _MOST_CELLS:
            raise SerializationError(
                f"{cells:,} values are more than {_MOST_CELLS:,}: ask for some columns, or for CSV or Arrow"
            )
        pages = list(self._table.pages(PAGE_ROWS, self._fields))
        whole = pa.concat_tables(pages) if pages else schema.empty_table()
        self._frame = frame = whole.to_pandas()
        return frame

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self.frame, name)

    def __getitem__(self, key: Any) -> Any:
        return self.frame[key]

    def __iter__(self) -> Iterator[Any]:
        return iter(self.frame)

    def __len__(self) -> int:
        return len(self.frame)


def arrow_file(mimetype: str, table: Any, metadata: Any) -> Any:
    """Serializer for Arrow files: streams a LazyTable, leaves anything else to Tiled's own."""
    if isinstance(table, LazyTable):
        return table.arrow_file()
    return serialize_arrow(mimetype, table, metadata)


def csv(mimetype: str, table: Any, metadata: Any) -> Any:
    """Serializer for CSV: streams a LazyTable, leaves anything else to Tiled's own."""
    if isinstance(table, LazyTable):
        return table.csv(header=parse_mimetype(mimetype)[1].get("header", "present") != "absent")
    return serialize_csv(mimetype, table, metadata)


class _Pieces(io.RawIOBase):
    """A file that only grows, and whose content is taken away as it comes."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._length = 0

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._length

    def write(self, data: Any) -> int:
        piece = bytes(data)
        self._pieces.append(piece)
        self._length += len(piece)
        return len(piece)

    def take(self) -> memoryview:
        taken, self._pieces = b"".join(self._pieces), []
        # Tiled's compression takes the size of an item from a memoryview; of bytes it demands multiples of 8
        return memoryview(taken)


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
