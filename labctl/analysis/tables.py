"""From documents to tables: every stream of a run as columns of NumPy arrays."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labctl.errors import JournalError
from labctl.printable import printable

Column = NDArray[Any]
_REPR_WIDTH = 100
_CHUNK_ROWS = 4096  # single events are turned into arrays in chunks of this many rows


@dataclass(frozen=True)
class RunTables:
    """One run: its start and stop documents and its streams (stream -> column -> array, all of one length).

    Numbers are float64 (NaN for "no valid reading") or int64 as their descriptor says, labels are NumPy
    strings. `stop` is None while the run goes on, or when it was interrupted and not yet recovered.
    """

    start: dict[str, Any]
    stop: dict[str, Any] | None
    streams: dict[str, dict[str, Column]]

    def __repr__(self) -> str:
        """What it holds, a line for each stream: a whole start document would hide it."""
        start = self.start
        cell = start.get("cell")
        cell_id = cell.get("id", "?") if isinstance(cell, Mapping) else "?"
        state = "no stop document" if self.stop is None else str(self.stop.get("exit_status"))
        head = f"<run {start.get('uid', '?')}: {start.get('plan_name', '?')}, cell {cell_id}, {state}"
        return "\n".join([printable(head), *map(self._line, self.streams)]) + ">"

    def _line(self, stream: str) -> str:
        columns = self.streams[stream]
        rows = len(next(iter(columns.values()), ()))
        text = f"  .streams[{stream!r}]: {rows} rows of {', '.join(columns)}"
        return textwrap.fill(printable(text), _REPR_WIDTH, subsequent_indent=" " * 6)

    def stream(self, name: str) -> dict[str, Column]:
        """The columns of a stream; empty if the run has none of that name."""
        return self.streams.get(name, {})


def tables(documents: Iterable[tuple[str, Mapping[str, Any]]]) -> RunTables:
    """Collect (name, document) pairs of one run, in their order.

    Raises:
        JournalError: no start document, a second one, rows without their descriptor, or values that are not
            what the descriptor says.
    """
    collector = _Collector()
    for name, document in documents:
        collector.take(name, document)
    return collector.tables()


@dataclass
class _Stream:
    """Rows of one stream on their way into arrays."""

    name: str
    dtypes: dict[str, Any]
    pending: dict[str, list[Any]] = field(default_factory=dict)
    chunks: dict[str, list[Column]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.pending = {key: [] for key in self.dtypes}
        self.chunks = {key: [] for key in self.dtypes}

    def event(self, data: Mapping[str, Any]) -> None:
        """Take one row."""
        self._same_columns(data)
        for key, values in self.pending.items():
            values.append(data[key])
        if self.pending and len(next(iter(self.pending.values()))) >= _CHUNK_ROWS:
            self._flush()

    def page(self, data: Mapping[str, Sequence[Any]]) -> None:
        """Take many rows."""
        self._same_columns(data)
        self._flush()
        for key, values in data.items():
            self.chunks[key].append(self._array(key, values))
        lengths = {len(chunks[-1]) for chunks in self.chunks.values()}
        if len(lengths) > 1:
            raise JournalError(f"stream {self.name}: columns of one page have lengths {sorted(lengths)}")

    def columns(self) -> dict[str, Column]:
        """All rows so far."""
        self._flush()
        empty = {key: [np.empty(0, dtype)] for key, dtype in self.dtypes.items()}
        return {key: np.concatenate(self.chunks[key] or empty[key]) for key in self.dtypes}

    def _flush(self) -> None:
        for key, values in self.pending.items():
            if values:
                self.chunks[key].append(self._array(key, values))
                values.clear()

    def _array(self, key: str, values: Sequence[Any]) -> Column:
        try:
            return np.asarray(values, dtype=self.dtypes[key])
        except (TypeError, ValueError, OverflowError) as error:
            raise JournalError(
                f"stream {self.name}: column {key} is not {self.dtypes[key]}: {error}"
            ) from None

    def _same_columns(self, data: Mapping[str, Any]) -> None:
        if data.keys() != self.dtypes.keys():
            odd = sorted(data.keys() ^ self.dtypes.keys())
            raise JournalError(f"stream {self.name}: columns differ from its descriptor: {', '.join(odd)}")


class _Collector:
    """Documents of one run, sorted into streams."""

    def __init__(self) -> None:
        self._start: dict[str, Any] | None = None
        self._stop: dict[str, Any] | None = None
        self._streams: dict[str, _Stream] = {}
        self._by_descriptor: dict[str, _Stream] = {}

    def take(self, name: str, document: Mapping[str, Any]) -> None:
        if name == "start":
            if self._start is not None:
                raise JournalError("a second start document: tables() takes the documents of one run")
            self._start = dict(document)
        elif name == "descriptor":
            self._descriptor(document)
        elif name == "event":
            self._stream(document).event(document["data"])
        elif name == "event_page":
            self._stream(document).page(document["data"])
        elif name == "stop":
            self._stop = dict(document)

    def tables(self) -> RunTables:
        if self._start is None:
            raise JournalError("no start document")
        return RunTables(self._start, self._stop, {n: s.columns() for n, s in self._streams.items()})

    def _descriptor(self, document: Mapping[str, Any]) -> None:
        name = document.get("name", "primary")
        dtypes = {key: _dtype(data_key) for key, data_key in document["data_keys"].items()}
        stream = self._streams.setdefault(name, _Stream(name, dtypes))
        if stream.dtypes != dtypes:
            raise JournalError(f"stream {name}: its columns change within the run")
        self._by_descriptor[document["uid"]] = stream

    def _stream(self, document: Mapping[str, Any]) -> _Stream:
        stream = self._by_descriptor.get(document["descriptor"])
        if stream is None:
            raise JournalError(f"rows before their descriptor {document['descriptor']}")
        return stream


def _dtype(data_key: Mapping[str, Any]) -> Any:
    kind = data_key.get("dtype")
    if kind == "string":
        return np.dtypes.StringDType()
    if kind == "boolean":
        return np.dtype(bool)
    if kind == "integer":
        return np.dtype(np.int64)
    return np.dtype(data_key.get("dtype_numpy") or np.float64) if kind == "array" else np.dtype(np.float64)
