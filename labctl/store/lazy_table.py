"""Rows of a table that are read while they are sent: one page in memory, however long the table is."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
from tiled.serialization.table import serialize_arrow, serialize_csv
from tiled.utils import SerializationError, parse_mimetype

if TYPE_CHECKING:
    import pandas as pd

    from labctl.store.tables import DatabaseTable

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
                writer.write_table(_null_for_nan(page))
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


def _null_for_nan(page: pa.Table) -> pa.Table:
    for number, field in enumerate(page.schema):
        if pa.types.is_floating(field.type):
            column = pa.array(page[number].to_numpy(), type=field.type, from_pandas=True)
            page = page.set_column(number, field, column)
    return page


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
