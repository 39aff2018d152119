"""Making test time go forward: rows given twice, single times that cannot be, clocks that began again.

Nothing is guessed into the data: rows that say nothing new are left out; a row whose time is behind, or
ahead of, both its neighbours while the clock goes on keeps its readings, and its time is put between
theirs; a clock that began again begins a new stretch into which no step goes on. All of it is told with the
lines it concerns.

Whether a clock that went back began again, or only a few rows say so, shows in the first row that is beyond
the old clock: it stands one cadence behind the row before it if the clock began again, and one cadence
behind the last row of the old clock if that goes on.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from labctl.errors import ConfigurationError
from labctl.importers.rows import FileRows, Floats, Integers, lines_text

LATE_SECOND = 1.0  # a row at most this much earlier than the one before it only came late
LATE_ROWS = 5  # so many rows at most may be behind; then time must be beyond that point again
_SHORTEST = 0.1  # of the cadence: below that a distance is not the less likely
_MANY_ROWS = 10  # a clock that goes back by more counts as that of a few rows ...
_IN_DOUBT = 0.7  # ... even where its distance fits the cadence better by this factor, in logarithms (2)
STRETCH_APART_SECOND = 1e-3  # as a program's rows follow those of the last one
MOST_STRETCHES = 100


@dataclass(frozen=True)
class Gap:
    """A place where time jumps: test time behind it, and by how much the file's clock does (s).

    Below 0 the clock began again, and how much time passed is not known; above 0 no rows are in between.
    """

    test_time_second: float
    jump_second: float
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
    if again.any():
        lines = lines_text(rows.line_number[again], rows.line_word)
        rows.notices.append(f"{int(again.sum())} row(s) left out, identical to earlier rows: {lines}")
        rows.select(~again)
    odd, begins = _judge(rows.test_time_second)
    stretch = np.cumsum(begins).astype(np.int64)
    gaps = _move_stretches(rows, stretch, odd)
    if odd.any():
        _put_between(rows, odd)
    return stretch, gaps


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


def _judge(time: Floats) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which times cannot be, and which rows begin a new stretch."""
    odd, begins = np.zeros(len(time), dtype=bool), np.zeros(len(time), dtype=bool)
    if len(time) < 2 or (np.diff(time) >= 0).all():
        return odd, begins
    before: list[int] = []  # the last rows of this stretch whose times can be
    ahead_of_both = False  # whether the last of them stands behind one that was ahead
    for row in range(len(time)):
        if not before or time[row] >= time[before[-1]]:
            before, ahead_of_both = [*before[-1:], row], False
        elif _old_clock_goes_on(time, row, before):
            odd[row] = True
        elif len(before) == 2 and not ahead_of_both and time[before[0]] < time[row]:
            odd[before[1]], ahead_of_both = True, True
            before = [before[0], row]
        elif _comes_late(time, row, before):
            odd[row] = True
        else:
            begins[row] = True
            before, ahead_of_both = [row], False
    return odd, begins


def _old_clock_goes_on(time: Floats, row: int, before: list[int]) -> bool:
    """Whether a row that is behind the last one is alone with it, or with few others."""
    last = time[before[-1]]
    following = time[row + 1 : row + 1 + LATE_ROWS]
    beyond = np.flatnonzero(following >= last)
    if not beyond.size:
        return False
    first = row + 1 + int(beyond[0])
    cadences = [_cadence(time[before]), _cadence(time[first : first + 1 + LATE_ROWS])]
    known = np.array([cadence for cadence in cadences if cadence > 0])
    if not known.size:
        return True
    old, new = (
        float(np.abs(np.log(np.maximum((time[first] - since) / known, _SHORTEST))).min())
        for since in (last, time[first - 1])
    )
    much_is_lost = last - time[row] > _MANY_ROWS * known[0]
    return old <= new + (_IN_DOUBT if much_is_lost else 0.0)


def _cadence(time: Floats) -> float:
    """The median distance of rows; 0 where there is none."""
    distances = np.diff(time)
    distances = distances[distances > 0]
    return float(np.median(distances)) if distances.size else 0.0


def _comes_late(time: Floats, row: int, before: list[int]) -> bool:
    """Whether a row is only a little early: no clock begins again so soon."""
    last = time[before[-1]]
    following = time[row + 1 : row + 1 + LATE_ROWS]
    return bool(last - time[row] <= LATE_SECOND and (following >= last).any())


def _put_between(rows: FileRows, odd: NDArray[np.bool_]) -> None:
    places, lines = np.arange(len(rows)), lines_text(rows.line_number[odd], rows.line_word)
    time = rows.test_time_second.copy()
    time[odd] = np.interp(places[odd], places[~odd], time[~odd])
    rows.test_time_second = time
    rows.notices.append(
        f"{int(odd.sum())} row(s) whose time cannot be, behind or ahead of the rows on both sides: "
        f"it was put between theirs: {lines}"
    )


def _move_stretches(rows: FileRows, stretch: Integers, odd: NDArray[np.bool_]) -> list[Gap]:
    """Let every stretch begin after the one before it has ended; times that are odd say nothing."""
    if not stretch.size or not stretch[-1]:
        return []
    if stretch[-1] > MOST_STRETCHES:
        line = rows.line_number[np.flatnonzero(np.diff(stretch))[0] + 1]
        allowed = f"goes back {stretch[-1]} times, here first; this is no elapsed time"
        raise ConfigurationError(f"{rows.path}, {rows.line_word} {line}", "test time", None, allowed)
    time, gaps = rows.test_time_second.copy(), []
    for number in range(1, int(stretch[-1]) + 1):
        here = stretch == number
        first, last = int(np.argmax(here)), int(np.flatnonzero((stretch == number - 1) & ~odd)[-1])
        back = float(rows.test_time_second[last] - rows.test_time_second[first])
        time[here] += time[last] + STRETCH_APART_SECOND - time[first]
        gaps.append(Gap(float(time[first]), -back, int(rows.line_number[first])))
        rows.notices.append(
            f"the clock steps back by {back:g} s at {rows.line_word} {gaps[-1].line}: "
            "the elapsed time is unknown; "
            f"test time continues at {gaps[-1].test_time_second:.3f} s in a new step"
        )
    rows.test_time_second = time
    return gaps
