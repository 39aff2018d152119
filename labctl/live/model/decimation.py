"""Decimation: a bounded number of rows, evenly spaced, with the extremes of one column."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from labctl.live.model.pyramid import Floats, Indices


def telling_rows(values: Floats, columns: int) -> Indices:
    """Numbers of the rows that shape a curve: of each of `columns` stretches first, least, most and last."""
    count = len(values)
    if count <= 4 * columns:
        return np.arange(count)
    edges = np.linspace(0, count, columns + 1).astype(np.int64)
    kept = [edges[:-1], edges[1:] - 1]
    stretches = list(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True))
    for lost, extreme in ((np.inf, np.argmin), (-np.inf, np.argmax)):
        filled = np.where(np.isnan(values), lost, values)
        kept.append(np.array([begin + int(extreme(filled[begin:end])) for begin, end in stretches]))
    return np.unique(np.concatenate(kept))


_PER_BLOCK = 3  # of a block its first row stays, that with the minimum and that with the maximum
_MERGED = 2 * _PER_BLOCK


class Thinned:
    """Beyond the bound, of each block of rows the first stays and those with the extremes; all are true rows.

    Blocks are of one length, which doubles when there are too many; the newest rows wait whole until they
    fill one. Costs what is added.

    Args:
        columns: Number of columns.
        telling: The column whose extremes stay.
        most: About how many rows are held at most.
    """

    def __init__(self, columns: int, *, telling: int, most: int) -> None:
        self._kept: list[Floats] = [np.empty(0) for _ in range(columns)]
        self._new: list[Floats] = [np.empty(0) for _ in range(columns)]
        self._telling, self._most = telling, most
        self._block = 1  # rows of which `_PER_BLOCK` stay; 1: all stay

    def __len__(self) -> int:
        return len(self._kept[0]) + len(self._new[0])

    def add(self, rows: Sequence[Floats]) -> None:
        """Add rows, one array to each column."""
        rows = [np.concatenate(pair) for pair in zip(self._new, rows, strict=True)]
        whole = len(rows[0]) // self._block * self._block
        closed = [column[:whole] for column in rows]
        self._new = [column[whole:].copy() for column in rows]
        if self._block > 1 and whole:
            closed = _telling_rows(closed, self._telling, self._block)
        self._kept = [np.concatenate(pair) for pair in zip(self._kept, closed, strict=True)]
        while len(self._kept[0]) > self._most:
            self._merge()

    def _merge(self) -> None:
        """Make one block of each two."""
        count = len(self._kept[0]) // _MERGED * _MERGED
        merged = _telling_rows([kept[:count] for kept in self._kept], self._telling, _MERGED)
        self._kept = [np.append(part, kept[count:]) for part, kept in zip(merged, self._kept, strict=True)]
        self._block = self._block * 2 if self._block > 1 else _MERGED

    @property
    def columns(self) -> tuple[Floats, ...]:
        """All rows that are held, one array to each column, to be read only."""
        if not len(self._new[0]):
            return tuple(self._kept)
        return tuple(np.append(kept, new) for kept, new in zip(self._kept, self._new, strict=True))


def _telling_rows(columns: Sequence[Floats], telling: int, block: int) -> list[Floats]:
    """Of each block of rows the first, and in their order those with minimum and maximum."""
    shaped = columns[telling].reshape(-1, block)
    low, high = shaped.argmin(axis=1), shaped.argmax(axis=1)
    if (missing := np.isnan(shaped)).any():
        low = np.where(missing, np.inf, shaped).argmin(axis=1)
        high = np.where(missing, -np.inf, shaped).argmax(axis=1)
    within = np.column_stack(
        (np.zeros(len(shaped), dtype=np.int64), np.minimum(low, high), np.maximum(low, high))
    )
    rows = (within + np.arange(0, shaped.size, block)[:, None]).ravel()
    return [column[rows] for column in columns]
