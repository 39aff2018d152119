"""Columns of a Parquet file, read batch by batch: every value what its column must hold, or refused."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from labctl.errors import ConfigurationError
from labctl.importers.table import Kind, joined_parts
from labctl.importers.text import unreadable
from labctl.platform import open_regular

_MAGIC = b"PAR1"
_BATCH_ROWS = 8192
LARGEST_BYTE = 4 << 30  # in memory; a column that repeats one value takes next to nothing in the file
_ROW_BYTE = 8  # of a column


def is_parquet(path: Path) -> bool:
    """Whether a file begins as Parquet files do.

    Raises:
        ConfigurationError: it cannot be read.
    """
    try:
        with open_regular(path) as file:
            return file.read(len(_MAGIC)) == _MAGIC
    except OSError as error:
        raise unreadable(path, error) from None


class ParquetTable:
    """A Parquet file; a context manager.

    Raises:
        ConfigurationError: it cannot be read, or is no whole Parquet file.
    """

    def __init__(self, path: Path) -> None:
        import pyarrow as pa
        import pyarrow.parquet as parquet

        self._path, self._broken = path, (pa.ArrowException, OSError, ValueError)
        try:
            self._file = parquet.ParquetFile(path)
        except self._broken as error:
            raise unreadable(path, error) from None
        self.headings: list[str] = [str(name) for name in self._file.schema_arrow.names]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def columns(self, wanted: Mapping[str, Kind]) -> dict[str, NDArray[Any]]:
        """The wanted columns: float64 (null is NaN), int64, or text as objects.

        Raises:
            ConfigurationError: names column and row (from 1) of a value that is not what it must be.
        """
        self._require_room(self._file.metadata.num_rows, len(wanted))
        parts: dict[str, list[NDArray[Any]]] = {heading: [] for heading in wanted}
        rows = 0
        try:
            for batch in self._file.iter_batches(_BATCH_ROWS, columns=list(wanted)):
                for heading, kind in wanted.items():
                    parts[heading].append(self._converted(heading, kind, batch.column(heading), rows))
                rows += batch.num_rows
                self._require_room(rows, len(wanted))
        except self._broken as error:
            raise unreadable(self._path, error) from None
        return {heading: joined_parts(parts.pop(heading), wanted[heading]) for heading in wanted}

    def _require_room(self, rows: int, columns: int) -> None:
        if rows * columns * _ROW_BYTE > LARGEST_BYTE:
            allowed = f"needs more than {LARGEST_BYTE >> 30} GiB: {rows} rows of {columns} columns; split it"
            raise ConfigurationError(str(self._path), "file", None, allowed)

    def _converted(self, heading: str, kind: Kind, column: Any, rows_before: int) -> NDArray[Any]:
        import pyarrow as pa

        if kind == "text":
            words = column.cast(pa.string()).dictionary_encode()
            known = [str(value or "").strip() for value in words.dictionary.to_pylist()] + [""]
            places = words.indices.fill_null(len(known) - 1).to_numpy(zero_copy_only=False)
            return np.array(known, dtype=object)[places]
        if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
            raise ConfigurationError(str(self._path), "column", heading, f"holds {column.type}, not numbers")
        if kind == "integer" and pa.types.is_integer(column.type) and not column.null_count:
            return np.asarray(column.cast(pa.int64()).to_numpy(zero_copy_only=False))
        values = np.asarray(column.cast(pa.float64()).to_numpy(zero_copy_only=False))
        bad = np.isinf(values)
        if kind != "number":
            bad |= np.isnan(values)
        if kind == "integer":
            bad |= values != np.floor(values)
        if bad.any():
            row = int(np.argmax(bad))
            what = "a whole number" if kind == "integer" else "a finite number"
            or_none = ", or missing" if kind == "number" else ""
            where = f"{self._path}, row {rows_before + row + 1}"
            raise ConfigurationError(where, heading, float(values[row]), f"must be {what}{or_none}")
        return values.astype(np.int64) if kind == "integer" else values
