"""Rows of a stream, gathered as they come in events and pages until they are wanted as arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

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
