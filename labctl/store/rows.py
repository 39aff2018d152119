"""Rows of a stream as arrays, from events and event pages alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np


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
