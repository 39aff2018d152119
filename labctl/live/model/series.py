"""Curves over one time axis: appended row by row, drawn at the screen's resolution, bounded in memory."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from labctl.live.model.pyramid import Floats, GrowingArray, Indices, Pyramid

MAX_ROWS = 4_000_000
_THIN_BLOCK = 16
_FEWEST_ROWS = 8 * _THIN_BLOCK  # below that thinning would find nothing to do
_POINTS_PER_COLUMN = 4
_LONG_PART = 16  # rows from which a part is an array of its own; shorter ones are gathered first


class Series:
    """Rows of (time, one value per curve); times never go back.

    Beyond `max_rows` the older half is thinned: of each 16 rows those are kept that hold a curve's minimum or
    maximum, the first, and one that is not a number if there is any. They are true rows; no extreme is lost.

    Args:
        curves: Names of the columns beside the time, float64 in SI units.
        max_rows: Most rows that are held (24 bytes a row with two curves).
    """

    def __init__(self, curves: Sequence[str], max_rows: int = MAX_ROWS) -> None:
        self.curves = tuple(curves)
        self.max_rows = max(max_rows, _FEWEST_ROWS)
        self.version = 0
        self.rows_fed = 0
        self._breaks: list[float] = []
        self._long: list[list[Floats]] = []
        self._short: list[list[float]] = [[] for _ in (None, *self.curves)]
        self._clear()

    def _clear(self) -> None:
        self._time = GrowingArray()
        self._values = {name: GrowingArray() for name in self.curves}
        self._pyramids = {name: Pyramid(values) for name, values in self._values.items()}

    def add(
        self, time_second: Sequence[float] | Floats, values: Mapping[str, Sequence[float] | Floats]
    ) -> None:
        """Add rows; a curve that is missing, or has another length than the time, is NaN throughout."""
        count = len(time_second)
        nothing = [float("nan")] * count
        given = (values.get(name, nothing) for name in self.curves)
        columns = [time_second, *(column if len(column) == count else nothing for column in given)]
        if count < _LONG_PART:
            for gathered, column in zip(self._short, columns, strict=True):
                gathered.extend(column)
        else:
            self._close_short()
            self._long.append([np.asarray(column, dtype=np.float64) for column in columns])
        self.rows_fed += count
        self.version += 1

    def break_after(self, time_second: float) -> None:
        """Draw no line from the row at this time to the next one; times never go back."""
        self._breaks.append(time_second)

    def __len__(self) -> int:
        self._flush()
        return len(self._time)

    @property
    def time(self) -> Floats:
        """Times in s, shape (rows,); a view."""
        self._flush()
        return self._time.values

    def values(self, name: str) -> Floats:
        """Values of one curve, shape (rows,); a view."""
        self._flush()
        return self._values[name].values

    def _flush(self) -> None:
        self._close_short()
        if not self._long:
            return
        time, *columns = (np.concatenate(parts) for parts in zip(*self._long, strict=True))
        self._long = []
        known = np.isfinite(time)
        if not known.all():
            time, columns = time[known], [column[known] for column in columns]
        self._append(time, columns)
        while len(self._time) > self.max_rows:
            self._thin()

    def _close_short(self) -> None:
        """Turn what was gathered from short parts into arrays."""
        if self._short[0]:
            self._long.append([np.array(gathered, dtype=np.float64) for gathered in self._short])
            self._short = [[] for _ in self._short]

    def _append(self, time: Floats, columns: Iterable[Floats]) -> None:
        last = self._time.values[-1] if len(self._time) else -np.inf
        self._time.append(np.maximum(np.maximum.accumulate(time), last))
        for name, column in zip(self.curves, columns, strict=True):
            self._values[name].append(column)
            self._pyramids[name].update()

    def _thin(self) -> None:
        time, columns = self._time.values, [self._values[name].values for name in self.curves]
        old = len(time) // 2 // _THIN_BLOCK * _THIN_BLOCK
        kept = np.concatenate([_telling_rows(columns, old), np.arange(old, len(time))])
        time, columns = time[kept], [column[kept] for column in columns]
        self._clear()
        self._append(time, columns)

    def envelope(self, name: str, left: float, right: float, columns: int) -> tuple[Floats, Floats]:
        """Points that draw a curve between two times as all its rows would, on `columns` pixels.

        Each column of pixels gets its first row, minimum, maximum and last row. Few rows are given as they
        are. One row beyond either end is included, so that lines reach the edges.

        Returns:
            Times in s and values, at most about 4 per column; NaN where the curve is broken.
        """
        time, values = self.time, self.values(name)
        first = max(int(np.searchsorted(time, left, "left")) - 1, 0)
        last = min(int(np.searchsorted(time, right, "right")) + 1, len(time))
        columns = max(columns, 1)
        if last - first <= _POINTS_PER_COLUMN * columns or right <= left:
            return self._broken(time[first:last].copy(), values[first:last].copy())
        edges = np.searchsorted(time, np.linspace(left, right, columns + 1))
        edges[0], edges[-1] = first, last
        starts, ends = edges[:-1][np.diff(edges) > 0], edges[1:][np.diff(edges) > 0]
        return self._broken(*self._four_per_stretch(name, starts, ends))

    def _broken(self, x: Floats, y: Floats) -> tuple[Floats, Floats]:
        """The same with a point that is not a number in each break."""
        if not len(x):
            return x, y
        within = slice(bisect_left(self._breaks, x[0]), bisect_left(self._breaks, x[-1]))
        breaks = np.array(self._breaks[within])
        places = np.searchsorted(x, breaks, "right")
        return np.insert(x, places, breaks), np.insert(y, places, np.nan)

    def _four_per_stretch(self, name: str, starts: Indices, ends: Indices) -> tuple[Floats, Floats]:
        time, values = self._time.values, self._values[name].values
        x, y = np.empty((len(starts), 4)), np.empty((len(starts), 4))
        x[:, 0], x[:, 3] = time[starts], time[ends - 1]
        x[:, 1] = x[:, 2] = (x[:, 0] + x[:, 3]) / 2
        y[:, 0], y[:, 3] = values[starts], values[ends - 1]
        y[:, 1], y[:, 2] = self._pyramids[name].extremes(starts, ends)
        return x.ravel(), y.ravel()

    def peak(self, name: str) -> float:
        """Largest magnitude in a curve, 0 while there is none."""
        count = len(self)
        if not count:
            return 0.0
        low, high = self._pyramids[name].extremes(np.array([0]), np.array([count]))
        return float(np.nan_to_num(np.maximum(-low, high))[0])

    def nearest(self, time_second: float) -> int | None:
        """Number of the row nearest to a time; None when there is none."""
        time = self.time
        if not len(time):
            return None
        after = min(int(np.searchsorted(time, time_second)), len(time) - 1)
        before = max(after - 1, 0)
        return before if time_second - time[before] <= time[after] - time_second else after


def _telling_rows(columns: Sequence[Floats], count: int) -> Indices:
    """Rows below `count` (a multiple of the block) that must stay so that the curves keep their shape."""
    blocks = np.arange(0, count, _THIN_BLOCK)
    kept = [blocks]
    for column in columns:
        shaped = column[:count].reshape(-1, _THIN_BLOCK)
        missing = np.isnan(shaped)
        kept.append(blocks + np.where(missing, np.inf, shaped).argmin(axis=1))
        kept.append(blocks + np.where(missing, -np.inf, shaped).argmax(axis=1))
        kept.append((blocks + missing.argmax(axis=1))[missing.any(axis=1)])
    return np.unique(np.concatenate(kept))
