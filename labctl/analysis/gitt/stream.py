"""GITT pulse by pulse during the run, with the results that `gitt.analysis` gives for the whole run.

A pulse is known when the rest after it has ended. Its neighbours tell how the equilibrium curve bends there,
so it is fitted once at its own end and once more when the next pulse has ended; nothing earlier is looked at
again. Fits take some 40 ms each: `GittStream` only collects, and hands out windows of three pulses that any
thread may fit.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import isfinite
from typing import Any

import numpy as np

from labctl.analysis.failures import CANNOT_BE_EVALUATED
from labctl.analysis.gitt.analysis import analyze_run
from labctl.analysis.gitt.pulses import pulses_from_tables
from labctl.analysis.gitt.results import GittPulse
from labctl.analysis.sphere_diffusion import Equilibrium, Transient, pulse_response, rest_response
from labctl.analysis.step_samples import Array, Segment
from labctl.documents import Column, RunTables
from labctl.schema import (
    CURRENT,
    ENVIRONMENT,
    START_TEST_TIME,
    STATUS,
    STEP_CHARGING_CAPACITY,
    STEP_COUNT,
    STEP_DISCHARGING_CAPACITY,
    STEP_TIME,
    STEP_TYPE,
    STEPS,
    TEMPERATURE,
    TEST_TIME,
    TIMESERIES,
    VOLTAGE,
)

_STEPS_KEPT = 7  # rest, and three times pulse and rest
_MOST_STEPS = 128  # whose samples are kept before their rows of `steps` come; a program has at most 100
_MOST_ROWS = 200_000  # of one step; what is longer is no pulse, and is not kept
_PARTS = 64  # of one step; more are joined into one
_PULSE_STEPS = ("cc_charge", "cc_discharge")
_ENVIRONMENT = (TEST_TIME, TEMPERATURE)
SAMPLES = (STEP_TIME, VOLTAGE, CURRENT, STEP_COUNT, STATUS)


@dataclass(frozen=True, eq=False)
class Transients:
    """What was measured in a pulse and in the rest after it, and what was fitted; times since its start (s).

    The fits are NaN outside their windows.
    """

    time_second: Array
    voltage_volt: Array
    fitted_volt: Array


@dataclass(frozen=True, eq=False)
class FittedPulse:
    """One pulse of a window: its evaluation, and its transients. `last` while the next pulse is to come."""

    pulse: GittPulse
    transients: Transients
    last: bool


@dataclass(frozen=True, eq=False)
class PulseWindow:
    """Three pulses at most, whose newest has just ended; `fit` may be called in any thread."""

    tables: RunTables
    net_charge_before_ah: float

    @property
    def newest(self) -> int:
        """Step count of the pulse that has just ended."""
        return int(self.tables.stream(STEPS.name)[STEP_COUNT][-2])

    def fit(self, *, with_newest: bool = True) -> tuple[FittedPulse, ...]:
        """The pulse before the newest, which has got its second neighbour, and the newest itself.

        Those that are no pulse between complete rests are left out.

        Args:
            with_newest: False where the next window is there already: it fits that pulse for good.
        """
        wanted = {self.newest - 2, self.newest} if with_newest else {self.newest - 2}
        analysis = analyze_run(self.tables, net_charge_before_ah=self.net_charge_before_ah, only=wanted)
        segments = {p.step_count: p for p in pulses_from_tables(self.tables)[0]}
        return tuple(
            FittedPulse(
                pulse,
                _transients(pulse, segments[pulse.step_count].during, segments[pulse.step_count].after),
                last=pulse.step_count == self.newest,
            )
            for pulse in analysis.pulses
        )


class GittStream:
    """Collects what pulses need from a run's documents; feed it samples and finished steps in order.

    Args:
        start: The run's start document: cell record, and the truth of a simulated cell.
    """

    def __init__(self, start: Mapping[str, Any]) -> None:
        self._start = {key: start[key] for key in ("uid", "cell", "simulation_truth") if key in start}
        self._samples: dict[int, list[dict[str, Column]]] = {}
        self._steps: deque[Mapping[str, Any]] = deque(maxlen=_STEPS_KEPT)
        self._environment: deque[tuple[float, float]] = deque()
        self._net_before_ah = 0.0  # before the oldest step that is kept

    def take_samples(self, columns: Mapping[str, Column]) -> None:
        """Take rows of `timeseries`: the columns in `SAMPLES`, arrays of one length."""
        counts = columns[STEP_COUNT]
        if not len(counts):
            return
        bounds = [0, *(np.flatnonzero(np.diff(counts)) + 1), len(counts)]
        for first, last in pairwise(bounds):
            part = {name: columns[name][first:last] for name in SAMPLES}
            kept = self._samples.setdefault(int(counts[first]), [])
            if len(kept) >= _PARTS:
                kept[:] = [_joined(kept)]
            if not kept or len(kept[0][STEP_COUNT]) < _MOST_ROWS:
                kept.append(part)

        for count in list(self._samples)[:-_MOST_STEPS]:
            del self._samples[count]

    def take_temperature(self, test_time_second: float, celsius: float) -> None:
        """Take a reading of the cell's temperature."""
        self._environment.append((test_time_second, celsius))

    def take_step(self, row: Mapping[str, Any]) -> PulseWindow | None:
        """Take a row of `steps`; gives a window to fit where that ended the rest after a pulse."""
        if len(self._steps) == _STEPS_KEPT:
            self._net_before_ah += _net_charge_ah(self._steps[0])
        self._steps.append(row)
        self._forget()
        previous = self._steps[-2] if len(self._steps) > 2 else None
        if previous is None or row[STEP_TYPE] != "rest" or previous[STEP_TYPE] not in _PULSE_STEPS:
            return None
        return PulseWindow(self._tables(), self._net_before_ah)

    def _forget(self) -> None:
        oldest = self._steps[0]
        for count in [count for count in self._samples if count < int(oldest[STEP_COUNT])]:
            del self._samples[count]
        while self._environment and self._environment[0][0] < float(oldest[START_TEST_TIME]):
            self._environment.popleft()

    def _tables(self) -> RunTables:
        steps = {name: np.array([row[name] for row in self._steps]) for name in self._steps[0]}
        streams = {STEPS.name: steps}
        types = {int(row[STEP_COUNT]): str(row[STEP_TYPE]) for row in self._steps}
        parts = [(types[count], part) for count in types for part in self._samples.get(count, ())]
        if parts:
            streams[TIMESERIES.name] = _joined([part for _, part in parts])
            lengths = [len(part[STEP_COUNT]) for _, part in parts]
            streams[TIMESERIES.name][STEP_TYPE] = np.repeat([kind for kind, _ in parts], lengths)
        if self._environment:
            readings = np.array(self._environment).T
            streams[ENVIRONMENT.name] = dict(zip(_ENVIRONMENT, readings, strict=True))
        return RunTables(dict(self._start), None, streams)


def _joined(parts: Sequence[Mapping[str, Column]]) -> dict[str, Column]:
    return {name: np.concatenate([part[name] for part in parts]) for name in SAMPLES}


def _net_charge_ah(row: Mapping[str, Any]) -> float:
    net = float(row[STEP_CHARGING_CAPACITY]) - float(row[STEP_DISCHARGING_CAPACITY])
    return net if isfinite(net) else 0.0


def _transients(pulse: GittPulse, during: Segment, after: Segment) -> Transients:
    """Measured and fitted voltages of pulse and rest, as the joint fit sees them."""
    bend = 0.0 if np.isnan(pulse.curvature_volt) else pulse.curvature_volt
    equilibrium = Equilibrium(pulse.equilibrium_step_volt, pulse.equilibrium_step_std_volt, bend)
    first, tau = pulse.window_start_second, pulse.pulse_second
    both: Sequence[tuple[Segment, Transient]] = (
        (during, Transient(pulse_response, *_from(during, first), polarization_changes=True)),
        (after, Transient(rest_response, *_from(after, first))),
    )
    try:
        fits = [_fitted(segment, transient, pulse, equilibrium) for segment, transient in both]
    except CANNOT_BE_EVALUATED:  # the evaluation stands; there is no curve to draw
        fits = [np.full(len(segment.time_second), np.nan) for segment, _ in both]
    return Transients(
        np.concatenate((during.time_second, tau + after.time_second)),
        np.concatenate((during.voltage_volt, after.voltage_volt)),
        np.concatenate(fits),
    )


def _from(segment: Segment, first_second: float) -> tuple[Array, Array]:
    inside = segment.time_second >= first_second
    return segment.time_second[inside], segment.voltage_volt[inside]


def _fitted(segment: Segment, transient: Transient, pulse: GittPulse, equilibrium: Equilibrium) -> Array:
    along = transient.along(pulse.diffusion_time_second, pulse.pulse_second)
    free, base = transient.free(along), equilibrium.voltage(along)
    terms = np.linalg.lstsq(free, transient.voltage_volt - base, rcond=None)[0]
    curve = np.full(len(segment.time_second), np.nan)
    curve[len(curve) - len(base) :] = base + free @ terms
    return curve
