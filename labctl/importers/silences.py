"""Times without rows: over one that is far longer than the cadence no charge is counted.

What a cell did meanwhile is not known: the logging may have paused while the current flowed on, or the test
may have. A cadence that changes is no silence. A schedule of times grows coarser within a step and then
stays so: the rows behind a long distance are as far apart. A schedule of voltages is silent while the
voltage hardly moves, at a current that is the same before and after: there the distances differ, but from
row to row the voltage moves by about as much. A logger that pauses for a moment again and again, at one
current, is no silence either. So a distance in a step is a silence if it is more than ten times those
beside it and none of this explains it. With fewer than three distances beside it there is no cadence to
judge by.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from labctl.importers.rows import FileRows, Floats, Integers
from labctl.importers.steps import FAR, REST_SHARE
from labctl.importers.timeline import Gap
from labctl.schema import CURRENT, VOLTAGE

_BESIDE = 5  # distances looked at, to either side
_FEWEST_BESIDE = 3
_COARSER = 30.0  # times: by as much a schedule may grow coarser just before a step ends (0.2 s to 5 s is 25)
_SAME_CADENCE = 0.2  # by which share two distances in a row may differ that make a cadence of the file
_AS_LONG = 1.5  # times the longest cadence of the file: no silence at the end of a step
_SAME_CURRENT = 0.02
_SAME_VOLTAGE_STEP = 2.0  # times the median step of the voltage
_STEADIER = 0.5  # how much less the steps of voltage must spread than those of time, in logarithms
_ENOUGH_FOR_SPREAD = 6
_OFTEN, _LONGEST_HABIT = 20, 100.0  # times in a step; times the distances beside
_LARGE_STEP = 50  # distances: one among them does not change what is typical of them
_TOLD = 20
_MOST_GAPS = 100  # that are written as alarms
_SECOND_PER_HOUR = 3600.0


@dataclass(frozen=True)
class Silence:
    """No reading of the current before `row` for so long; the distances beside are at most the cadence."""

    row: int
    length_second: float
    cadence_second: float
    current_ampere: float


def silences(rows: FileRows, step_count: Integers) -> list[Silence]:
    """The silences within the steps of a file whose time goes forward; spectra have none."""
    return _Distances(rows, step_count).silences()


def part(rows: FileRows, stretch: Integers, found: list[Silence]) -> tuple[Integers, list[Gap]]:
    """The stretches with a new one behind each silence in which current flowed, and these as gaps; told."""
    flowing = [silence for silence in found if silence.current_ampere]
    begins, gaps = np.zeros_like(stretch), list[Gap]()
    begins[[silence.row for silence in flowing]] = 1
    for number, silence in enumerate(flowing[:_MOST_GAPS]):
        time, line = float(rows.test_time_second[silence.row]), int(rows.line_number[silence.row])
        gaps.append(Gap(time, silence.length_second, line))
        if number < _TOLD:
            charge = abs(silence.current_ampere) * silence.length_second / _SECOND_PER_HOUR
            since = time - silence.length_second
            rows.notices.append(
                f"no reading of the current for {silence.length_second:g} s before {rows.line_word} {line} "
                f"(test time {since:.3f} s to {time:.3f} s), where readings are at most "
                f"{silence.cadence_second:g} s apart: the charge of that time is not known and not counted "
                f"({charge * 1e3:.4g} mAh if the current flowed on); a new step begins behind it"
            )
    if len(flowing) > _TOLD:
        rows.notices.append(f"{len(flowing) - _TOLD} more such times without readings, not counted either")
    return stretch + np.cumsum(begins), gaps


class _Distances:
    """Between neighbouring rows with a valid current; those over a border of steps are not `inside`."""

    def __init__(self, rows: FileRows, step_count: Integers) -> None:
        current = rows.columns[CURRENT]
        valid = np.isfinite(current)
        if rows.is_impedance is not None:
            valid &= ~rows.is_impedance
        at = np.flatnonzero(valid)
        self._rows, self._at, self._current = rows, at, current
        self._step = step_count[at]
        self._second = np.diff(rows.test_time_second[at])
        self._inside = np.diff(self._step) == 0
        self._known_steps: dict[tuple[int, int, int], tuple[float, bool]] = {}
        self._sorted: dict[int, Floats] = {}
        self._none_ampere = REST_SHARE * float(np.abs(current[at]).max()) if at.size else 0.0

    def silences(self) -> list[Silence]:
        """Those that nothing explains."""
        count = len(self._second)
        beside, as_coarse = np.zeros((2, count), dtype=np.int8)
        for shift in range(1, _BESIDE + 1):
            left, right = self._second[:-shift], self._second[shift:]
            same = self._same_step(shift)
            for here, near, place in ((left, right, slice(None, -shift)), (right, left, slice(shift, None))):
                tells = same & (near > 0)  # two rows of one time say nothing of the cadence
                beside[place] += tells
                as_coarse[place] += tells & (near * FAR >= here)
        suspect = self._inside & (self._second > 0) & (beside >= _FEWEST_BESIDE) & (as_coarse < 2)
        found = list[Silence]()
        for place in np.flatnonzero(suspect).tolist():
            cadence = self._cadence_beside(place)
            if not self._is_explained(place, cadence):
                found.append(self._silence(place, cadence))
        return found

    def _same_step(self, shift: int) -> NDArray[np.bool_]:
        """Whether distances `shift` places apart are both within one step."""
        return (
            (self._step[1:-shift] == self._step[1 + shift :]) & self._inside[:-shift] & self._inside[shift:]
        )

    def _step_of(self, place: int) -> slice:
        """The distances of the same step."""
        first, last = np.searchsorted(self._step, self._step[place], side="left"), self._step[place]
        return slice(int(first), int(np.searchsorted(self._step, last, side="right")) - 1)

    def _cadence_beside(self, place: int) -> float:
        """The longest distance beside one that is not nearly as long."""
        whole = self._step_of(place)
        near = slice(max(place - _BESIDE, whole.start), min(place + _BESIDE + 1, whole.stop))
        beside = self._second[near]
        return float(beside[beside * FAR < self._second[place]].max())

    def _silence(self, place: int, cadence_second: float) -> Silence:
        begin, end = self._at[place : place + 2].tolist()
        ampere = max(float(self._current[begin]), float(self._current[end]), key=abs)
        flowing = ampere if abs(ampere) > self._none_ampere else 0.0
        return Silence(end, float(self._second[place]), cadence_second, flowing)

    def _is_coarser_schedule(self, place: int, cadence_second: float) -> bool:
        """Whether the rows had just become sparser when the step ended."""
        length, whole = float(self._second[place]), self._step_of(place)
        following = self._second[place + 1 : whole.stop]
        if len(following):
            return len(following) == 1 and bool(following[0] * FAR >= length)
        if length <= _AS_LONG * self._longest_cadence:
            return True
        time = self._rows.test_time_second
        elapsed = float(time[self._at[place]] - time[self._at[whole.start]])
        is_last = place + 1 == len(self._second)  # no row follows that would tell whether its time can be
        return not is_last and length <= min(_COARSER * cadence_second, elapsed)

    @cached_property
    def _longest_cadence(self) -> float:
        """The longest distance that comes twice in a row."""
        one, other = self._second[:-1], self._second[1:]
        longer = np.maximum(one, other)
        alike = self._same_step(1) & (np.abs(one - other) <= _SAME_CADENCE * longer)
        return float(np.minimum(one, other)[alike].max()) if alike.any() else 0.0

    def _is_explained(self, place: int, cadence_second: float) -> bool:
        if self._is_coarser_schedule(place, cadence_second):
            return True
        begin, end = self._at[place : place + 2]
        before, after = float(self._current[begin]), float(self._current[end])
        same = abs(before - after) <= _SAME_CURRENT * max(abs(before), abs(after))
        return same and (self._is_habit(place, cadence_second) or self._is_schedule_of_voltages(place))

    def _is_habit(self, place: int, cadence_second: float) -> bool:
        """Whether the logger is as silent again and again, and not for long."""
        length, whole = float(self._second[place]), self._step_of(place)
        if length > _LONGEST_HABIT * cadence_second:
            return False
        if whole.start not in self._sorted:
            self._sorted[whole.start] = np.sort(self._second[whole])
        alike = np.array([1 - _SAME_CADENCE, 1 + _SAME_CADENCE]) * length
        first, last = np.searchsorted(self._sorted[whole.start], alike)
        return bool(last - first > _OFTEN)

    def _is_schedule_of_voltages(self, place: int) -> bool:
        """Whether rows go by the voltage, and it moved by as much as always."""
        whole = self._step_of(place)
        begin, end = self._at[place : place + 2]
        volt = self._rows.columns[VOLTAGE]
        large = whole.stop - whole.start >= _LARGE_STEP
        typical, by_voltage = self._steps_of_voltage(whole.start, whole.stop, -1 if large else place)
        return by_voltage and bool(abs(volt[end] - volt[begin]) <= _SAME_VOLTAGE_STEP * typical)

    def _steps_of_voltage(self, start: int, stop: int, without: int) -> tuple[float, bool]:
        """By how much the voltage moves from row to row of a step, and whether its rows go by that."""
        if (start, stop, without) in self._known_steps:
            return self._known_steps[start, stop, without]
        seconds = self._second[start:stop]
        volts = np.abs(np.diff(self._rows.columns[VOLTAGE][self._at[start : stop + 1]]))
        others = np.isfinite(volts) & (seconds > 0) & (np.arange(start, stop) != without)
        found = (np.nan, False)
        if others.any():
            few = others.sum() < _ENOUGH_FOR_SPREAD
            by_voltage = few or _spread(volts[others]) < _STEADIER * _spread(seconds[others])
            found = (float(np.median(volts[others])), bool(by_voltage))
        self._known_steps[start, stop, without] = found
        return found


def _spread(values: Floats) -> float:
    """Logarithm of how many times larger than the small ones the large ones are."""
    low, high = np.percentile(values, (10, 90))
    return float(np.log(high / low)) if low > 0 else np.inf
