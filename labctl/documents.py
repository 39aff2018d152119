"""From documents to tables: every stream of a run as columns of NumPy arrays."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.typing import NDArray

from labctl.errors import ConfigurationError, JournalError
from labctl.printable import printable

Columns = dict[str, npt.NDArray[Any]]
_LONG_PART = 16  # rows from which a page becomes arrays at once; shorter ones are gathered first


class Gather:
    """Columns of numbers. A column that a document lacks is NaN, or 0 for integers.

    Args:
        floats: Names of the columns that become float64.
        integers: Names of those that become int64.
    """

    def __init__(self, floats: Sequence[str], integers: Sequence[str] = ()) -> None:
        self._kinds: dict[str, type] = {**dict.fromkeys(floats, float), **dict.fromkeys(integers, int)}
        self._blank: dict[str, float | int] = {
            name: float("nan") if kind is float else 0 for name, kind in self._kinds.items()
        }
        self._parts: list[Columns] = []
        self._short: dict[str, list[float | int]] = {name: [] for name in self._kinds}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add_row(self, data: Mapping[str, Any]) -> None:
        """Take one row."""
        self._count += 1
        for name, gathered in self._short.items():
            gathered.append(data.get(name, self._blank[name]))

    def add_page(self, data: Mapping[str, Sequence[Any]], count: int) -> None:
        """Take `count` rows, column by column."""
        self._count += count
        columns = {name: self._column(name, data, count) for name in self._kinds}
        if count < _LONG_PART:
            for name, gathered in self._short.items():
                gathered.extend(columns[name])
        else:
            self._close_short()
            self._parts.append({name: self._array(name, column) for name, column in columns.items()})

    def _column(self, name: str, data: Mapping[str, Sequence[Any]], count: int) -> Sequence[Any]:
        column = data.get(name)
        return column if column is not None and len(column) == count else [self._blank[name]] * count

    def _array(self, name: str, column: Sequence[Any]) -> npt.NDArray[Any]:
        if self._kinds[name] is float:
            return np.asarray(column, dtype=np.float64)
        # Counters and status bits hardly change within a page: to look is quicker than to convert.
        if isinstance(column, list) and column and column.count(column[0]) == len(column):
            return np.full(len(column), column[0], dtype=np.int64)
        return np.asarray(column, dtype=np.int64)

    def _close_short(self) -> None:
        if any(len(gathered) for gathered in self._short.values()):
            self._parts.append({name: self._array(name, column) for name, column in self._short.items()})
            self._short = {name: [] for name in self._kinds}

    def take(self) -> Columns:
        """All rows since the last time, one array to each column; all of them empty if there are none."""
        self._close_short()
        parts, self._parts, self._count = self._parts, [], 0
        if len(parts) == 1:
            return parts[0]
        return {
            name: np.concatenate([part[name] for part in parts]) if parts else self._array(name, [])
            for name in self._kinds
        }


def last_time(doc: Mapping[str, Any]) -> float | None:
    """Wall time (unix seconds) of an event, or of the last row of an event page."""
    when = doc.get("time")
    if isinstance(when, list | tuple):
        when = when[-1] if when else None
    return float(when) if isinstance(when, int | float) else None


def last_row(doc: Mapping[str, Any]) -> Mapping[str, Any]:
    """The data of an event, or of the last row of an event page (empty for an empty page)."""
    data = doc.get("data", {})
    if not isinstance(doc.get("seq_num"), list):
        return data
    return {key: column[-1] for key, column in data.items() if len(column)}


def no_stream(uid: str, stream: str, names: list[str]) -> ConfigurationError:
    """The error of a run without such a stream; it names those that are there."""
    return ConfigurationError(f"run {uid}", "stream", stream, f"this run has {', '.join(names) or 'none'}")


def columns_of(documents: Iterator[tuple[str, dict[str, Any]]], stream: str) -> dict[str, np.ndarray]:
    """The columns of `stream` with seq_num and time, by name.

    Raises:
        ConfigurationError: The run has no such stream.
    """
    names: dict[str, str] = {}
    keys: dict[str, dict[str, Any]] = {}
    columns: dict[str, list[Any]] = {}
    uid = ""
    for name, doc in documents:
        if name == "start":
            uid = doc["uid"]
        elif name == "descriptor":
            names[doc["uid"]] = doc["name"]
            if doc["name"] == stream:
                keys = doc["data_keys"]
                columns = columns or {key: [] for key in ("seq_num", "time", *keys)}
        elif name in ("event", "event_page") and names.get(doc["descriptor"]) == stream:
            rows = {**doc["data"], "seq_num": doc["seq_num"], "time": doc["time"]}
            for key, column in columns.items():
                column.extend(rows[key]) if name == "event_page" else column.append(rows[key])
    if not columns:
        raise no_stream(uid, stream, sorted(set(names.values())))
    return {key: _described_array(column, keys.get(key, {})) for key, column in columns.items()}


def _described_array(values: list[Any], description: dict[str, Any]) -> np.ndarray:
    if description.get("dtype") == "string":
        return np.array(values, dtype=object)
    if description.get("dtype") == "number":
        return np.array(values, dtype=float)
    return np.array(values)


@dataclass(frozen=True)
class Rows:
    """Rows of one stream: their seq_num, and data, timestamps and time as columns of the same length."""

    seq_num: np.ndarray
    columns: dict[str, np.ndarray]

    @property
    def count(self) -> int:
        """How many."""
        return len(self.seq_num)

    @property
    def kinds(self) -> dict[str, tuple[str, int]]:
        """Kind (float, integer, string, ...) and number of dimensions of each column."""
        return {key: (column.dtype.kind, column.ndim) for key, column in self.columns.items()}

    def filtered(self, mask: np.ndarray) -> Rows:
        """The rows where `mask` is true."""
        return Rows(self.seq_num[mask], {key: column[mask] for key, column in self.columns.items()})

    def differs(self, other: Rows, column: str) -> np.ndarray:
        """Mask of the rows whose values of a column are not those of `other`; NaN equals NaN."""
        mine, theirs = self.columns[column], other.columns[column]
        if mine.ndim > 1 or theirs.ndim > 1:
            return np.full(self.count, not np.array_equal(mine, theirs))
        if "f" in (mine.dtype.kind, theirs.dtype.kind) and {mine.dtype.kind, theirs.dtype.kind} <= set("fiu"):
            return ~((mine == theirs) | (np.isnan(mine) & np.isnan(theirs)))
        if mine.dtype.kind != theirs.dtype.kind:
            return np.ones(self.count, dtype=bool)
        return np.asarray(mine != theirs)


def rows_of(name: str, doc: dict[str, Any]) -> Rows:
    """The rows of an event or event page; its data under their keys, timestamps as `ts_<key>`."""
    columns = {"time": doc["time"], **doc["data"]}
    columns |= {f"ts_{key}": values for key, values in doc["timestamps"].items()}
    if name == "event":
        columns = {key: [value] for key, value in columns.items()}
    numbers = np.atleast_1d(np.asarray(doc["seq_num"], dtype=np.int64))
    return Rows(numbers, {key: _array(values) for key, values in columns.items()})


def _array(values: list[Any]) -> np.ndarray:
    try:
        return np.asarray(values)
    except ValueError:  # ragged
        ragged = np.empty(len(values), dtype=object)
        ragged[:] = values
        return ragged


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

    Args:
        documents: as `Store.documents` or `labctl.journal.reader.follow` yield them.

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
