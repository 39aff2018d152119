"""Charge since the start of the run, and the curves of its half cycles, updated with each sample."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from labctl.analysis.cycling.cycles import STEP_DIRECTION
from labctl.charge import COULOMB_PER_AH, moved_coulomb
from labctl.live.model.decimation import Thinned
from labctl.live.model.pyramid import Floats
from labctl.schema import CURRENT, CYCLE_COUNT, STEP_COUNT, TEST_TIME, VOLTAGE

Integers = npt.NDArray[np.int64]
_MOST_ROWS = 512  # of a half cycle's curve; the curves of 2 000 cycles then take 50 MB


def parts_of_one(count: Integers) -> Iterator[tuple[int, slice]]:
    """The stretches of rows that belong to one step (or spectrum), and its number."""
    if len(count):
        bounds = [0, *(np.flatnonzero(np.diff(count)) + 1).tolist(), len(count)]
        for first, last in pairwise(bounds):
            yield int(count[first]), slice(first, last)


class ChargeCounter:
    """Net charge (Ah, > 0 charged) from the current of those steps that drive one.

    Trapezoids between rows of the same step; what is read at open circuit is the instrument's offset.
    """

    def __init__(self) -> None:
        self.net_ah = 0.0
        self._previous: tuple[float, float, int] | None = None

    def take(self, time: Floats, current: Floats, step: Integers, types: Mapping[int, str]) -> Floats:
        """The net charge at each row, shape (rows,); rows without a reading keep what was before."""
        moved = np.zeros(len(time))
        known = np.flatnonzero(np.isfinite(current))
        if len(known):
            moved[known] = self._moved(time[known], current[known], step[known], types)
        net = self.net_ah + np.cumsum(moved)
        if len(net):
            self.net_ah = float(net[-1])
        return net

    def _moved(self, time: Floats, current: Floats, step: Integers, types: Mapping[int, str]) -> Floats:
        before = self._previous or (time[0], current[0], step[0])
        self._previous = float(time[-1]), float(current[-1]), int(step[-1])
        times, currents = np.append(before[0], time), np.append(before[1], current)
        moved = moved_coulomb(np.diff(times), currents) / COULOMB_PER_AH
        moved[np.append(before[2], step[:-1]) != step] = 0.0
        for number, part in parts_of_one(step):
            if types.get(number) not in STEP_DIRECTION:
                moved[part] = 0.0
        return moved


@dataclass(eq=False)
class HalfCycle:
    """The charge (direction > 0) or discharge of one cycle.

    Capacity (Ah) counts from 0 in either; rows of `curve` are capacity, voltage (V) and current (A).
    """

    cycle_count: int
    direction: int
    start_second: float
    start_net_ah: float
    curve: Thinned = field(default_factory=lambda: Thinned(3, telling=1, most=_MOST_ROWS))
    finished: bool = False


class HalfCycles:
    """All half cycles of a run, in order."""

    def __init__(self) -> None:
        self.all: list[HalfCycle] = []
        self.version = 0

    def take(
        self,
        columns: Mapping[str, npt.NDArray[np.generic]],
        net_ah: Floats,
        net_before_ah: float,
        types: Mapping[int, str],
    ) -> None:
        """Take rows of `timeseries`, with the net charge at each and before the first of them."""
        for number, part in parts_of_one(columns[STEP_COUNT]):  # type: ignore[arg-type]
            direction = STEP_DIRECTION.get(types.get(number, ""))
            if direction is None:
                continue
            before = float(net_ah[part.start - 1]) if part.start else net_before_ah
            cycle = int(columns[CYCLE_COUNT][part.start])
            half = self._half(cycle, direction, float(columns[TEST_TIME][part.start]), before)
            capacity = (net_ah[part] - half.start_net_ah) * direction
            half.curve.add((capacity, columns[VOLTAGE][part], columns[CURRENT][part]))  # type: ignore[arg-type]
            self.version += 1

    def _half(self, cycle: int, direction: int, second: float, net_ah: float) -> HalfCycle:
        last = self.all[-1] if self.all else None
        if last is not None and (last.cycle_count, last.direction) == (cycle, direction):
            return last
        if last is not None:
            last.finished = True
        self.all.append(HalfCycle(cycle, direction, second, net_ah))
        return self.all[-1]
