"""A run as an HDF5 file in the manner of NeXus: an NXdata group per stream, with units on every column."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import h5py
import numpy as np
import pyarrow as pa

from labctl.bdf import TERMS
from labctl.errors import LabctlError
from labctl.export.content import SAMPLES, RunContent
from labctl.export.metadata import metadata_json
from labctl.schema import (
    ENVIRONMENT,
    FREQUENCY,
    IMAGINARY_IMPEDANCE,
    IMPEDANCE,
    TEMPERATURE,
    TEST_TIME,
    VOLTAGE,
)
from labctl.version import __version__

_SIGNAL = {
    SAMPLES: (VOLTAGE, TEST_TIME),
    IMPEDANCE.name: (IMAGINARY_IMPEDANCE, FREQUENCY),
    ENVIRONMENT.name: (TEMPERATURE, TEST_TIME),
}
_CHUNK_ROWS = 8192
_TEXT = h5py.string_dtype("utf-8")
# Labels of samples have a fixed length: HDF5 compresses only those, and keeps them at constant memory.
_LABEL_BYTE = 64
_LABEL = h5py.string_dtype("utf-8", _LABEL_BYTE)


class Hdf5File:
    """One run in one file; `/entry/metadata` holds the whole record of conditions as JSON."""

    def __init__(self, path: Path, content: RunContent, record: dict[str, Any]) -> None:
        self._file = h5py.File(path, "x")
        self._content = content
        self._columns: dict[str, dict[str, h5py.Dataset]] = {}
        self._file.attrs.update(
            {"NX_class": "NXroot", "default": "entry", "creator": f"labctl {__version__}"}
        )
        self._entry = _group(self._file, "entry", "NXentry")
        self._entry.attrs["default"] = SAMPLES if content.sample_count else IMPEDANCE.name
        self._describe(record)

    def _describe(self, record: dict[str, Any]) -> None:
        start, stop = self._content.start, self._content.tables.stop or {}
        cell: dict[str, Any] = start["cell"] if isinstance(start.get("cell"), dict) else {}
        _write_text(self._entry, "title", f"{start.get('plan_name', '')} {cell.get('id', '')}".strip())
        _write_text(self._entry, "entry_identifier", self._content.uid)
        _write_text(self._entry, "program_name", f"labctl {__version__}")
        for name, when in (("start_time", start.get("time")), ("end_time", stop.get("time"))):
            if when is not None:
                _write_text(self._entry, name, datetime.fromtimestamp(when, UTC).isoformat())
        _write_text(self._entry, "metadata", metadata_json(record).decode())
        if cell:
            _tree(_group(self._entry, "sample", "NXsample"), {"name": cell.get("id"), **cell})
        if record["devices"]:
            _tree(_group(self._entry, "instrument", "NXinstrument"), record["devices"])

    def append(self, stream: str, table: pa.Table) -> None:
        """Append rows to the group of a stream."""
        if stream not in self._columns:
            self._columns[stream] = self._begin(stream, table)
        for name, dataset in self._columns[stream].items():
            values = _array(table[name])
            if values.dtype.hasobject and stream == SAMPLES:
                values = _labels(name, values)
            dataset.resize(len(dataset) + len(values), axis=0)
            dataset[len(dataset) - len(values) :] = values

    def _begin(self, stream: str, table: pa.Table) -> dict[str, h5py.Dataset]:
        group = _group(self._entry, stream, "NXdata" if stream in _SIGNAL else "NXcollection")
        signal, axis = _SIGNAL.get(stream, ("", ""))
        if signal in table.column_names and axis in table.column_names:
            group.attrs["signal"], group.attrs["axes"] = signal, [axis]
            group.attrs[f"{axis}_indices"] = 0
        units, columns = self._content.units(stream), {}
        text = _LABEL if stream == SAMPLES else _TEXT
        for name in table.column_names:
            kind = _array(table[name].slice(0, 0)).dtype
            dataset = group.create_dataset(
                name,
                shape=(0,),
                maxshape=(None,),
                dtype=text if kind.hasobject else kind,
                chunks=(_CHUNK_ROWS,),
                compression="gzip",
                compression_opts=4,
                shuffle=True,
            )
            columns[name], term = dataset, TERMS.get(name)
            dataset.attrs["units"] = units.get(name) or (term.units if term else "")
            if term is not None:
                dataset.attrs["long_name"] = term.label
        return columns

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()


def _group(parent: h5py.Group, name: str, nx_class: str) -> h5py.Group:
    group = parent.create_group(name)
    group.attrs["NX_class"] = nx_class
    return group


def _write_text(group: h5py.Group, name: str, text: str) -> None:
    group.create_dataset(name, data=text.replace("\x00", "\N{REPLACEMENT CHARACTER}"), dtype=_TEXT)


def _tree(group: h5py.Group, record: dict[str, Any]) -> None:
    """Nested mappings as NXcollection groups; lists are in the JSON record alone."""
    for name, value in record.items():
        if isinstance(value, dict):
            _tree(_group(group, name, "NXcollection"), value)
        elif isinstance(value, str):
            if name not in group:
                _write_text(group, name, value)
        elif isinstance(value, bool | int | float):
            group.create_dataset(name, data=value)


def _array(column: pa.ChunkedArray) -> np.ndarray:
    """Arrow to NumPy: null is NaN again."""
    if pa.types.is_string(column.type):
        return np.array([text or "" for text in column.to_pylist()], dtype=object)
    if pa.types.is_floating(column.type):
        return column.fill_null(float("nan")).to_numpy()
    return column.to_numpy()


def _labels(name: str, texts: np.ndarray) -> np.ndarray:
    """Texts as UTF-8 of the fixed length; HDF5 itself would cut off the rest in silence."""
    encoded = np.array([text.encode() for text in texts])
    if encoded.dtype.itemsize > _LABEL_BYTE:
        longest = max(texts, key=len)
        raise LabctlError(
            f"column {name}: {longest!r} is longer than {_LABEL_BYTE} bytes, which HDF5 files hold"
        )
    return encoded.astype(_LABEL)
