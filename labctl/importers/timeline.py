"""Making test time go forward: rows given twice, rows out of order, clocks that began again.

Nothing is guessed into the data: rows that say nothing new or come late are left out, a clock that began
again begins a new stretch into which no step goes on, and all of it is told with the lines it concerns.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from labctl.errors import ConfigurationError
from labctl.importers.rows import FileRows, Floats, Integers, lines_text

LATE_SECOND = 1.0  # a row at most this much earlier than the one before it only came late
LATE_ROWS = 5  # ... if within this many rows time is beyond that point again
STRETCH_APART_SECOND = 1e-3  # as a program's rows follow those of the last one
MOST_STRETCHES = 100


@dataclass(frozen=True)
class Gap:
    """A place where the file's clock began again: test time there, and how far back the clock went (s)."""

    test_time_second: float
    back_second: float
    line: int


def straighten(rows: FileRows) -> tuple[Integers, list[Gap]]:
    """Make the test time of `rows` go forward, in place.

    Returns:
        The stretch of each row (0, 1, ...) and the gaps between stretches.

    Raises:
        ConfigurationError: time goes back more often than a clock that begins again can explain.
    """
    _refuse_negative(rows)
    again = _repeats(rows)
    keep, begins = _judge(rows.test_time_second, again)
    _note(rows, again, "given before, word for word")
    _note(rows, ~keep & ~again, "out of order in time")
    stretch = np.cumsum(begins)[keep].astype(np.int64)
    rows.select(keep)
    return stretch, _move_stretches(rows, stretch)


def _refuse_negative(rows: FileRows) -> None:
    bad = np.flatnonzero(rows.test_time_second < 0)
    if bad.size:
        where = f"{rows.path}, {rows.line_word} {rows.line_number[bad[0]]}"
        value = float(rows.test_time_second[bad[0]])
        raise ConfigurationError(where, "test time", value, "must not be below 0 s")


def _repeats(rows: FileRows) -> NDArray[np.bool_]:
    """Rows that say what an earlier row of the same time has said, in every column."""
    time = rows.test_time_second
    order = np.argsort(time, kind="stable")
    same = np.diff(time[order]) == 0
    shared = np.zeros(len(time), dtype=bool)
    shared[order[:-1][same]] = shared[order[1:][same]] = True
    members = np.flatnonzero(shared)
    keys = (rows.step_key, rows.step_count, rows.cycle_count, rows.status)
    columns = [time, *rows.columns.values(), *(key for key in keys if key is not None)]
    table = np.column_stack([column[members] for column in columns]).astype(np.float64)
    whole = np.ascontiguousarray(table).view(np.dtype((np.void, table.itemsize * table.shape[1]))).ravel()
    first = np.unique(whole, return_index=True)[1]
    again = np.zeros(len(time), dtype=bool)
    again[members] = True
    again[members[first]] = False
    return again


def _judge(time: Floats, again: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which rows to keep, and which of them begin a new stretch."""
    keep, begins = ~again, np.zeros(len(time), dtype=bool)
    rows = np.flatnonzero(keep)
    if len(rows) < 2 or (np.diff(time[rows]) >= 0).all():
        return keep, begins
    before: list[int] = []  # the rows of this stretch that are kept
    ahead_of_both = False  # whether the last of them stands for one that was left out
    for place, row in enumerate(rows.tolist()):
        if not before or time[row] >= time[before[-1]]:
            before, ahead_of_both = [*before[-1:], row], False
        elif _comes_late(time, rows, place, float(time[before[-1]])):
            keep[row] = False
        elif len(before) == 2 and not ahead_of_both and time[before[0]] < time[row]:
            keep[before[1]], ahead_of_both = False, True
            before = [before[0], row]
        else:
            begins[row] = True
            before, ahead_of_both = [row], False
    return keep, begins


def _comes_late(time: Floats, rows: NDArray[np.intp], place: int, last_second: float) -> bool:
    """Whether a row is only a little early, and those that follow it are not."""
    following = time[rows[place + 1 : place + 1 + LATE_ROWS]]
    return bool(last_second - time[rows[place]] <= LATE_SECOND and (following >= last_second).any())


def _note(rows: FileRows, left_out: NDArray[np.bool_], why: str) -> None:
    if left_out.any():
        lines = lines_text(rows.line_number[left_out], rows.line_word)
        rows.notices.append(f"{int(left_out.sum())} row(s) left out, {why}: {lines}")


def _move_stretches(rows: FileRows, stretch: Integers) -> list[Gap]:
    """Let every stretch begin after the one before it has ended."""
    if not stretch.size or not stretch[-1]:
        return []
    if stretch[-1] > MOST_STRETCHES:
        line = rows.line_number[np.flatnonzero(np.diff(stretch))[0] + 1]
        allowed = f"goes back {stretch[-1]} times, here first; this is no elapsed time"
        raise ConfigurationError(f"{rows.path}, {rows.line_word} {line}", "test time", None, allowed)
    time, gaps = rows.test_time_second.copy(), []
    for number in range(1, int(stretch[-1]) + 1):
        here = stretch == number
        first, last_second = int(np.argmax(here)), float(time[np.flatnonzero(stretch == number - 1)[-1]])
        back = float(rows.test_time_second[first - 1] - rows.test_time_second[first])
        time[here] += last_second + STRETCH_APART_SECOND - time[first]
        gaps.append(Gap(float(time[first]), back, int(rows.line_number[first])))
        rows.notices.append(
            f"the clock goes back by {back:g} s at {rows.line_word} {gaps[-1].line}: "
            "how much time passed is not known; "
            f"test time goes on at {gaps[-1].test_time_second:.3f} s in a new step"
        )
    rows.test_time_second = time
    return gaps
