"""Growing arrays, and the minimum and maximum of any stretch of one without reading all of it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]
FACTOR = 16  # rows of one level that make a row of the next
_ROWS_PER_LEVEL = 4 * FACTOR  # a stretch at least this long is answered from the next coarser level


class GrowingArray:
    """Float64 values in one block of memory that grows by half when full; appending is O(1) on average."""

    def __init__(self, capacity: int = 1024) -> None:
        self._block: Floats = np.empty(capacity)
        self._size = 0

    def __len__(self) -> int:
        return self._size

    @property
    def values(self) -> Floats:
        """What is in it: a view, valid until the next change."""
        return self._block[: self._size]

    def append(self, values: Floats) -> None:
        """Add values at the end."""
        self.overwrite(self._size, values)

    def overwrite(self, first: int, values: Floats) -> None:
        """Put values at `first` and after; the array ends with them."""
        size = first + len(values)
        if size > len(self._block):
            block = np.empty(max(size, len(self._block) * 3 // 2))
            block[:first] = self._block[:first]
            self._block = block
        self._block[first:size] = values
        self._size = size


class Pyramid:
    """Minimum and maximum per block of 16, 256, 4096, ... values; NaN counts only where all are NaN."""

    def __init__(self, values: GrowingArray) -> None:
        self._values = values
        self._levels: list[tuple[GrowingArray, GrowingArray]] = []
        self._covered = 0

    def update(self) -> None:
        """Take in what was appended since the last call; costs what was appended, not what is there."""
        first, low, high = self._covered, self._values.values, self._values.values
        self._covered = len(self._values)
        level = 0
        while len(low) > FACTOR:
            if level == len(self._levels):
                self._levels.append((GrowingArray(64), GrowingArray(64)))
                first = 0
            first //= FACTOR  # the block that was incomplete is made anew
            starts = np.arange(first * FACTOR, len(low), FACTOR) - first * FACTOR
            lows, highs = self._levels[level]
            lows.overwrite(first, np.fmin.reduceat(low[first * FACTOR :], starts))
            highs.overwrite(first, np.fmax.reduceat(high[first * FACTOR :], starts))
            low, high = lows.values, highs.values
            level += 1

    def extremes(self, starts: Indices, ends: Indices) -> tuple[Floats, Floats]:
        """Minimum and maximum of each stretch [start, end), none of them empty.

        A long stretch is answered in whole blocks, so that it may take in up to a quarter of its length from
        its neighbours: nothing is ever left out.
        """
        low, high = np.empty(len(starts)), np.empty(len(starts))
        level_of = self._level_of(ends - starts)
        for level in np.unique(level_of):
            chosen = level_of == level
            size = FACTOR ** int(level)
            rows, offsets = _rows(starts[chosen] // size, -(-ends[chosen] // size))
            lows, highs = self._level(int(level))
            low[chosen] = np.fmin.reduceat(lows[rows], offsets)
            high[chosen] = np.fmax.reduceat(highs[rows], offsets)
        return low, high

    def _level_of(self, count: Indices) -> Indices:
        level = np.zeros(len(count), dtype=np.int64)
        for reached in range(1, len(self._levels) + 1):
            level[count >= _ROWS_PER_LEVEL * FACTOR ** (reached - 1)] = reached
        return level

    def _level(self, level: int) -> tuple[Floats, Floats]:
        if level == 0:
            return self._values.values, self._values.values
        lows, highs = self._levels[level - 1]
        return lows.values, highs.values


def _rows(starts: Indices, ends: Indices) -> tuple[Indices, Indices]:
    """The row numbers of all stretches one after another, and where each stretch begins among them."""
    lengths = ends - starts
    offsets = np.cumsum(lengths) - lengths
    return np.arange(lengths.sum()) + np.repeat(starts - offsets, lengths), offsets
