"""Samples and small streams as text and Parquet tables, row group by row group."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import numpy as np
import pyarrow as pa
import pyarrow.csv as arrow_csv
import pyarrow.parquet as parquet

from labctl.bdf import TERMS
from labctl.export.content import RunContent
from labctl.store.arrow import null_for_nan


class TableFile(Protocol):
    """A table that grows on disk; a context manager."""

    def write(self, table: pa.Table) -> None:
        """Append rows; every table has the columns of the first."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class _ArrowFile:
    """What CSV and Parquet share: the writer is opened when the first table tells the columns."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writer: Any = None
        self._stack = ExitStack()

    def _open(self, schema: pa.Schema) -> Any:
        raise NotImplementedError

    def write(self, table: pa.Table) -> None:
        """Append rows."""
        if self._writer is None:
            self._writer = self._stack.enter_context(self._open(table.schema))
        self._writer.write_table(table)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()


class CsvFile(_ArrowFile):
    """Comma-separated UTF-8 text with a decimal point; a missing value is empty; labels are in quotes.

    Numbers have as many digits as it takes to read the same number back.
    """

    def _open(self, schema: pa.Schema) -> Any:
        options = arrow_csv.WriteOptions(quoting_style="needed", quoting_header="none")
        return arrow_csv.CSVWriter(str(self._path), schema, write_options=options)


class ParquetFile(_ArrowFile):
    """Apache Parquet, compressed with zstd; units are in the fields' metadata."""

    def _open(self, schema: pa.Schema) -> Any:
        return parquet.ParquetWriter(str(self._path), schema, compression="zstd")


def bdf_table(table: pa.Table) -> pa.Table:
    """Samples with the preferred labels of the Battery Data Format as column names."""
    fields = []
    for field in table.schema:
        term = TERMS.get(field.name)
        about = {"name": field.name} if term is None else {"name": term.name, "units": term.units}
        if term is not None and term.iri:
            about["iri"] = term.iri
        fields.append(pa.field(term.label if term else field.name, field.type, metadata=about))
    return pa.Table.from_arrays(table.columns, schema=pa.schema(fields))


def stream_table(content: RunContent, stream: str) -> pa.Table:
    """A small stream, columns named as in the journal."""
    columns = content.tables.stream(stream)
    return pa.table({name: arrow_column(values) for name, values in columns.items()})


def arrow_column(values: np.ndarray) -> pa.Array:
    """A column as Arrow; NaN becomes null."""
    return pa.array(values.tolist(), pa.string()) if values.dtype.kind == "T" else null_for_nan(values)


def small_streams(content: RunContent) -> Iterator[str]:
    """Names of the streams beside the samples that have rows."""
    for name, columns in content.tables.streams.items():
        if len(next(iter(columns.values()), ())):
            yield name
