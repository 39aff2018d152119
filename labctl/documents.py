"""The one reader of Bluesky documents: events and pages alike become pages of columns, a run becomes tables.

Rows come as events (one each) or as event pages (columns of many). Which of the two a document is, is
decided here and nowhere else: `page_of` makes a `Page` at the door of whoever reads rows, and what is behind
the door sees pages only. Kinds of documents that hold no rows make none; they go by untouched.

`event_model` packs events too, but wants keys that no reader here needs (`uid`, `filled`), takes 3 times as
long for a single event, and a third of a second of every command that it would be imported for.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.typing import NDArray

from labctl.errors import ConfigurationError, JournalError
from labctl.printable import printable

Columns = dict[str, npt.NDArray[Any]]
PAGE = "event_page"
_EVENT = "event"
_LONG_PART = 16  # rows from which a page becomes arrays at once; shorter ones are gathered first


class Page:
    """Rows of one stream, column by column, made of an event or an event page.

    It is only looked at when it is asked: of an event nobody wants the timestamps of every column.
    """

    __slots__ = ("_doc", "_is_single")

    def __init__(self, name: str, doc: Mapping[str, Any]) -> None:
        self._doc, self._is_single = doc, name == _EVENT

    def __len__(self) -> int:
        return 1 if self._is_single else len(self._doc["seq_num"])

    @property
    def names(self) -> Set[str]:
        """Names of the columns."""
        return self._doc["data"].keys()

    @property
    def length(self) -> int:
        """How long the columns are.

        Raises:
            ValueError: They are not of one length; the message says of which.
        """
        if self._is_single:
            return 1
        lengths = {len(column) for column in self._doc["data"].values()}
        if len(lengths) > 1:
            raise ValueError(f"columns of one page have lengths {sorted(lengths)}")
        return max(lengths, default=0)

    @property
    def descriptor(self) -> str:
        """Uid of the descriptor of the rows."""
        return str(self._doc.get("descriptor"))

    @property
    def seq_num(self) -> Sequence[int]:
        """The seq_num of each row."""
        return [self._doc["seq_num"]] if self._is_single else self._doc["seq_num"]

    @property
    def time(self) -> Sequence[float]:
        """The wall time (unix seconds) of each row."""
        return [self._doc["time"]] if self._is_single else self._doc["time"]

    @property
    def data(self) -> Mapping[str, Sequence[Any]]:
        """The columns."""
        return self._columns("data")

    @property
    def timestamps(self) -> Mapping[str, Sequence[float]]:
        """The wall time (unix seconds) of each value, by column."""
        return self._columns("timestamps")

    def _columns(self, part: str) -> Mapping[str, Sequence[Any]]:
        columns = self._doc[part]
        return {key: [value] for key, value in columns.items()} if self._is_single else columns

    def column(self, name: str) -> Sequence[Any] | None:
        """One of the columns; None if there is none of that name."""
        data = self._doc["data"]
        if name not in data:
            return None
        return [data[name]] if self._is_single else data[name]

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The data of each row."""
        data = self._doc["data"]
        if self._is_single:
            return [dict(data)]
        return [dict(zip(data, row, strict=True)) for row in zip(*data.values(), strict=True)]

    @property
    def last_row(self) -> Mapping[str, Any]:
        """The data of the last row; empty if there is none."""
        data = self._doc.get("data", {})
        return data if self._is_single else {key: column[-1] for key, column in data.items() if len(column)}

    @property
    def last_time(self) -> float | None:
        """Wall time (unix seconds) of the last row; None if there is none."""
        when = self._doc.get("time")
        if not self._is_single:
            when = when[-1] if when else None
        return float(when) if isinstance(when, int | float) else None

    @property
    def highest_seq_num(self) -> int:
        """The highest seq_num; 0 without rows."""
        return int(max(self.seq_num, default=0))

    def between(self, first: int, end: int) -> tuple[str, dict[str, Any]]:
        """The rows [first, end) as an event page."""
        cut = dict(self._doc)
        cut |= {key: getattr(self, key)[first:end] for key in ("seq_num", "time") if key in cut}
        for part in ("data", "timestamps"):
            cut[part] = {key: column[first:end] for key, column in self._columns(part).items()}
        if isinstance(uids := cut.get("uid"), list):
            cut["uid"] = uids[first:end]
        return PAGE, cut

    def append_to(self, columns: Mapping[str, list[Any]], blanks: Mapping[str, Any] | None = None) -> None:
        """Append the rows to columns.

        Args:
            columns: What is appended to, by name.
            blanks: What stands in a column that the rows lack, or that is not of their length.

        Raises:
            KeyError: The rows lack a column, and nothing stands in for it.
        """
        data = self._doc["data"]
        if self._is_single:
            for name, column in columns.items():
                column.append(data[name] if blanks is None else data.get(name, blanks[name]))
            return
        for name, column in columns.items():
            column.extend(data[name] if blanks is None else self._filled(name, blanks[name]))

    def _filled(self, name: str, blank: Any) -> Sequence[Any]:
        column, count = self._doc["data"].get(name), len(self)
        return column if column is not None and len(column) == count else [blank] * count

    def filled(self, blanks: Mapping[str, Any]) -> dict[str, Sequence[Any]]:
        """Columns by name; one that the rows lack, or that is not of their length, is blank."""
        return {name: self._filled(name, blank) for name, blank in blanks.items()}


def holds_rows(name: str) -> bool:
    """Whether documents of a kind hold rows."""
    return name in (_EVENT, PAGE)


def page_of(name: str, doc: Mapping[str, Any]) -> Page | None:
    """The rows of a document; None for a kind that holds none."""
    return Page(name, doc) if holds_rows(name) else None


def row_count(name: str, doc: Mapping[str, Any]) -> int:
    """How many rows a document holds, 0 for a kind that holds none."""
    return len(Page(name, doc)) if holds_rows(name) else 0


def joined(documents: Sequence[tuple[str, Mapping[str, Any]]]) -> Page:
    """The rows of several events and event pages of one stream, which have the same columns.

    Raises:
        KeyError: One lacks a column of the first.
    """
    if len(documents) == 1:
        return Page(*documents[0])
    singles, docs = [name == _EVENT for name, _ in documents], [doc for _, doc in documents]

    def column(values: list[Any]) -> list[Any]:
        if all(singles):
            return values
        return list(chain(*([v] if single else v for single, v in zip(singles, values, strict=True))))

    page: dict[str, Any] = {"descriptor": docs[0].get("descriptor")}
    page |= {key: column([doc[key] for doc in docs]) for key in ("seq_num", "time")}
    for part in ("data", "timestamps"):
        page[part] = {key: column([doc[part][key] for doc in docs]) for key in docs[0][part]}
    return Page(PAGE, page)


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

    def add(self, page: Page) -> None:
        """Take the rows of a page."""
        count = len(page)
        self._count += count
        if count < _LONG_PART:
            page.append_to(self._short, self._blank)
            return
        self._close_short()
        self._parts.append({name: self._array(name, c) for name, c in page.filled(self._blank).items()})

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
        elif (page := page_of(name, doc)) is not None and names.get(page.descriptor) == stream:
            rows = {**page.data, "seq_num": page.seq_num, "time": page.time}
            for key, column in columns.items():
                column.extend(rows[key])
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
    def kinds(self) -> dict[str, tuple[str, tuple[int, ...]]]:
        """Kind (float, integer, string, ...) of each column and shape of its values."""
        return {key: (column.dtype.kind, column.shape[1:]) for key, column in self.columns.items()}

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


def rows_of(page: Page) -> Rows:
    """The rows of a page; its data under their keys, timestamps as `ts_<key>`."""
    columns = {"time": page.time, **page.data}
    columns |= {f"ts_{key}": values for key, values in page.timestamps.items()}
    numbers = np.asarray(page.seq_num, dtype=np.int64)
    return Rows(numbers, {key: _array(values) for key, values in columns.items()})


def _array(values: Sequence[Any]) -> np.ndarray:
    try:
        return np.asarray(values)
    except ValueError:  # ragged
        ragged = np.empty(len(values), dtype=object)
        ragged[:] = values
        return ragged


Column = NDArray[Any]
_REPR_WIDTH = 100
_CHUNK_ROWS = 4096  # short pages are turned into arrays in chunks of at least this many rows


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

    def take(self, page: Page) -> None:
        """Take rows."""
        self._same_columns(page.names)
        try:
            short = page.length < _LONG_PART
        except ValueError as error:
            raise JournalError(f"stream {self.name}: {error}") from None
        if short:
            page.append_to(self.pending)
            if self.pending and len(next(iter(self.pending.values()))) >= _CHUNK_ROWS:
                self._flush()
            return
        self._flush()
        for key, values in page.data.items():
            self.chunks[key].append(self._array(key, values))

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

    def _same_columns(self, names: Set[str]) -> None:
        if names != self.dtypes.keys():
            odd = sorted(names ^ self.dtypes.keys())
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
        elif (page := page_of(name, document)) is not None:
            self._stream(page).take(page)
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

    def _stream(self, page: Page) -> _Stream:
        stream = self._by_descriptor.get(page.descriptor)
        if stream is None:
            raise JournalError(f"rows before their descriptor {page.descriptor}")
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
