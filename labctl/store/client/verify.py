"""Comparing a run's journal with what Tiled holds: every document, every row, every value."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from labctl.documents import Rows, page_of, rows_of
from labctl.errors import ConfigurationError
from labctl.journal.format import Damage
from labctl.journal.reader import follow, require_readable_run
from labctl.runs.listing import summary_of
from labctl.store.client.store import Store


def cut(waiting: list[Rows], horizon: float) -> list[Rows]:
    """Take the rows up to seq_num `horizon` away from `waiting`, whose seq_nums ascend.

    Returns:
        Them, joined where they have the same columns of the same kinds.
    """
    taken: list[list[Rows]] = []
    while waiting and waiting[0].seq_num[0] <= horizon:
        head = waiting.pop(0)
        if head.seq_num[-1] > horizon:
            keep = head.seq_num <= horizon
            waiting.insert(0, head.filtered(~keep))
            head = head.filtered(keep)
        if taken and taken[-1][0].kinds == head.kinds:
            taken[-1].append(head)
        else:
            taken.append([head])
    return [_joined(rows) for rows in taken]


def _joined(parts: list[Rows]) -> Rows:
    if len(parts) == 1:
        return parts[0]
    columns = {key: np.concatenate([rows.columns[key] for rows in parts]) for key in parts[0].columns}
    return Rows(np.concatenate([rows.seq_num for rows in parts]), columns)


_MOST_NAMED = 50  # differences of one kind and stream that are named one by one
_ROWS_AT_ONCE = 10_000
_ONLY_IN_TILED = "in Tiled, not in the journal"
Document = tuple[str, dict[str, Any]]


@dataclass(frozen=True)
class Verification:
    """What a comparison found.

    Attributes:
        uid: The run.
        rows: Rows that are equal in journal and Tiled, by stream.
        waiting: Rows of a run that is still going which have not been shipped yet, by stream.
        differences: One line each, empty when all is equal.
    """

    uid: str
    rows: dict[str, int]
    waiting: dict[str, int]
    differences: tuple[str, ...]

    @property
    def is_equal(self) -> bool:
        """True when there is no difference."""
        return not self.differences


def verify_run(store: Store, reference: str) -> Verification:
    """Compare the journal of a run with Tiled, row by row, at bounded memory.

    Of a run that is still going only what Tiled holds is compared.

    Raises:
        ConfigurationError: No such run, or its journal is not there.
        NewerFormatError: Only a newer labctl can read the run.
        StoreError: The run is not in Tiled at all, or Tiled does not answer.
    """
    uid = store.resolve(reference)
    directory = store.journal_directory(uid)
    if directory is None:
        raise ConfigurationError(
            str(store.data_directory), "run", uid, "its journal is not there; nothing to compare Tiled with"
        )
    require_readable_run(directory)
    comparison = _Comparison(is_running=summary_of(directory).has_writer)
    comparison.run(_journal(directory, comparison.differ), store.documents(uid, "tiled"))
    return Verification(uid, comparison.equal, comparison.waiting, tuple(comparison.differences))


def _journal(directory: Path, report: Callable[[str], None]) -> Iterator[Document]:
    """The documents; damage is reported, but for the line in which the writer died before it was whole."""
    waiting: list[Damage] = []
    for name, doc in follow(directory, live=False, on_damage=waiting.append):
        died_in_it = name == "stop" and len(waiting) == 1 and waiting[0].is_torn
        for damage in () if died_in_it else waiting:
            report(f"journal damaged: {damage}")
        waiting.clear()
        yield name, doc
    for damage in waiting:
        report(f"journal damaged: {damage}")


class _Side:
    """The documents of one source: rows not compared yet by stream, descriptors, start and stop."""

    def __init__(self, documents: Iterator[Document], on_repeated: Callable[[str, np.ndarray], None]) -> None:
        self._documents, self._on_repeated = documents, on_repeated
        self._stream_of: dict[str, str] = {}
        self.descriptors: dict[str, dict[str, Any]] = {}
        self.single: dict[str, dict[str, Any]] = {}
        self.rows: dict[str, list[Rows]] = {}
        self.last: dict[str, int] = {}
        self.waiting = 0  # rows that have not been compared
        self.ended = False

    def read(self, rows: int) -> None:
        """Take in documents until so many more rows wait, or to the end."""
        enough = self.waiting + rows
        while not self.ended and self.waiting < enough:
            self._read()

    def _read(self) -> None:
        name, doc = next(self._documents, ("", {}))
        if not name:
            self.ended = True
        elif name == "descriptor":
            self._stream_of[doc["uid"]] = doc["name"]
            self.descriptors[doc["uid"]] = doc
            self.rows.setdefault(doc["name"], [])
        elif (page := page_of(name, doc)) is not None:
            self._add(self._stream_of.get(page.descriptor, "(unknown stream)"), rows_of(page))
        elif name in ("start", "stop"):
            self.single[name] = doc

    def _add(self, stream: str, rows: Rows) -> None:
        last = self.last.get(stream, 0)
        fresh = rows.seq_num > np.maximum.accumulate(np.concatenate(([last], rows.seq_num)))[:-1]
        if not fresh.all():
            self._on_repeated(stream, rows.seq_num[~fresh])
            rows = rows.filtered(fresh)
        if rows.count:
            self.last[stream] = int(rows.seq_num[-1])
            self.waiting += rows.count
            self.rows.setdefault(stream, []).append(rows)

    def horizon(self, stream: str) -> float:
        """All rows up to this seq_num have been read."""
        return np.inf if self.ended else self.last.get(stream, 0)

    def take(self, stream: str, horizon: float) -> list[Rows]:
        """Take the rows up to a seq_num away, joined where they have the same columns."""
        taken = cut(self.rows.get(stream, []), horizon)
        self.waiting -= sum(rows.count for rows in taken)
        return taken


class _Comparison:
    """Walks both sources side by side; `differences`, `equal` and `waiting` are the outcome."""

    def __init__(self, *, is_running: bool) -> None:
        self._is_running = is_running
        self._named: dict[str, int] = {}
        self.differences: list[str] = []
        self.equal: dict[str, int] = {}
        self.waiting: dict[str, int] = {}

    def differ(self, text: str, kind: str = "") -> None:
        """Note a difference; of one kind only the first are named."""
        count = self._named[kind] = self._named.get(kind, 0) + 1 if kind else 0
        if count <= _MOST_NAMED:
            self.differences.append(text)

    def run(self, journal: Iterator[Document], tiled: Iterator[Document]) -> None:
        """Compare all."""
        one = _Side(journal, lambda s, n: self._ranges(s, n, "again in the journal, the first row stands"))
        other = _Side(tiled, lambda s, n: self._ranges(s, n, "more than once in Tiled"))
        while not (one.ended and other.ended):
            for side, beside in ((one, other), (other, one)):
                if beside.ended or side.waiting <= beside.waiting:
                    side.read(_ROWS_AT_ONCE)
            self._compare_rows(one, other)
        self._compare_documents(one, other)
        for kind, count in self._named.items():
            if count > _MOST_NAMED:
                self.differences.append(f"{kind}: {count - _MOST_NAMED} more differences of this kind")

    def _compare_rows(self, one: _Side, other: _Side) -> None:
        for stream in dict.fromkeys((*one.rows, *other.rows)):
            horizon = min(one.horizon(stream), other.horizon(stream))
            stored = other.take(stream, horizon)
            for mine in one.take(stream, horizon):
                theirs, stored = _up_to(stored, int(mine.seq_num[-1]))
                self._compare(stream, mine, theirs, other)
            for theirs in stored:
                self._ranges(stream, theirs.seq_num, _ONLY_IN_TILED)

    def _compare(self, stream: str, mine: Rows, stored: list[Rows], tiled: _Side) -> None:
        found = np.zeros(mine.count, dtype=bool)
        for theirs in stored:
            here, there = np.isin(mine.seq_num, theirs.seq_num), np.isin(theirs.seq_num, mine.seq_num)
            found |= here
            self._ranges(stream, theirs.seq_num[~there], _ONLY_IN_TILED)
            self._compare_values(stream, mine.filtered(here), theirs.filtered(there))
        self._missing(stream, mine.seq_num[~found], tiled)

    def _compare_values(self, stream: str, mine: Rows, theirs: Rows) -> None:
        unequal = np.zeros(mine.count, dtype=bool)
        for column in dict.fromkeys((*mine.columns, *theirs.columns)):
            if column not in theirs.columns or column not in mine.columns:
                where = "Tiled" if column in mine.columns else "the journal"
                self._once(f"{stream}: column {column} is not in {where}")
                continue
            differ = mine.differs(theirs, column)
            unequal |= differ
            for row in np.flatnonzero(differ)[: _MOST_NAMED + 1]:
                values = f"{mine.columns[column][row]} in the journal, {theirs.columns[column][row]} in Tiled"
                self.differ(f"{stream}: row {mine.seq_num[row]}: {column}: {values}", f"{stream}: {column}")
        self.equal[stream] = self.equal.get(stream, 0) + int((~unequal).sum())

    def _missing(self, stream: str, numbers: np.ndarray, tiled: _Side) -> None:
        if self._is_running:
            late = numbers > tiled.last.get(stream, 0)
            self.waiting[stream] = self.waiting.get(stream, 0) + int(late.sum())
            numbers = numbers[~late]
        self._ranges(stream, numbers, "in the journal, not in Tiled")

    def _ranges(self, stream: str, numbers: np.ndarray, what: str) -> None:
        if not len(numbers):
            return
        cuts = [0, *(np.flatnonzero(np.diff(numbers) != 1) + 1).tolist(), len(numbers)]
        for begin, end in pairwise(cuts):
            first, last = int(numbers[begin]), int(numbers[end - 1])
            rows = f"row {first} is" if first == last else f"rows {first} to {last} are"
            self.differ(f"{stream}: {rows} {what}", f"{stream}: {what}")

    def _once(self, text: str) -> None:
        if text not in self.differences:
            self.differences.append(text)

    def _compare_documents(self, one: _Side, other: _Side) -> None:
        for name in ("start", "stop"):
            mine, theirs = one.single.get(name), other.single.get(name)
            if mine != theirs and not (self._is_running and theirs is None):
                self.differ(_difference(f"{name} document", mine, theirs))
        for uid, doc in one.descriptors.items():
            what = f"{doc['name']}: descriptor {uid[:8]}"
            stored = other.descriptors.get(uid)
            if stored is None:
                if not self._is_running:
                    self.differ(f"{what} is not in Tiled")
                continue
            common = {key: stored.get(key) for key in doc}
            # a column that cannot be stored is named above, once for its rows
            kept = {key: value for key, value in doc["data_keys"].items() if key in stored["data_keys"]}
            if common != {**doc, "data_keys": kept, "object_keys": common.get("object_keys")}:
                self.differ(_difference(what, {**doc, "data_keys": kept}, common))


def _up_to(parts: list[Rows], seq_num: int) -> tuple[list[Rows], list[Rows]]:
    rest = list(parts)
    return cut(rest, seq_num), rest


def _difference(what: str, mine: dict[str, Any] | None, theirs: dict[str, Any] | None) -> str:
    if mine is None or theirs is None:
        return f"{what}: {'only in Tiled' if mine is None else 'not in Tiled'}"
    keys = [key for key in dict.fromkeys((*mine, *theirs)) if mine.get(key) != theirs.get(key)]
    return f"{what}: differs in {', '.join(keys)}"
