"""From all readings of a step to the samples that are kept, and the conditions that only the host evaluates.

Everything works on arrays of readings: voltages (V), currents (A) and times (s) of the step, in order.
"""

from __future__ import annotations

from math import nan

import numpy as np
from numpy.typing import NDArray

from devices.keithley_readings import Array
from devices.techniques import AnyTechnique, ConstantVoltage, OpenCircuit, Sampling

_LEAST_VALID_SHARE = 0.5  # of the readings of a window, to tell of a drift


class Sampler:
    """Which readings of a step are samples: the first, then at every interval, and on a change of voltage."""

    def __init__(self, sampling: Sampling, tick_second: float) -> None:
        self._stages, self._change = sampling.stages, sampling.change_volt
        self.tick_second = tick_second
        self._due_second = -0.5 * tick_second
        self._last_volt = nan

    def kept(self, second: Array, volt: Array) -> list[int]:
        """Indices of the samples among further readings."""
        indices, start = [], 0
        while (place := self._next(second, volt, start)) is not None:
            indices.append(place)
            if self._change is not None and self._moved(volt[place : place + 1])[0]:
                self._due_second = float(second[place]) - 0.5 * self.tick_second
            if np.isfinite(volt[place]):
                self._last_volt = float(volt[place])
            self._due_second += self._interval(float(second[place]))
            start = place + 1
        return indices

    def _next(self, second: Array, volt: Array, start: int) -> int | None:
        due = int(np.searchsorted(second[start:], self._due_second)) + start
        if self._change is not None:
            moved = self._moved(volt[start:due])
            if moved.any():
                return start + int(moved.argmax())
        return due if due < len(second) else None

    def _moved(self, volt: Array) -> NDArray[np.bool_]:
        if self._change is None:
            return np.zeros(len(volt), dtype=bool)
        return np.abs(volt - self._last_volt) >= self._change

    def _interval(self, second: float) -> float:
        for stage in self._stages[:-1]:
            if second < (stage.until_second or 0.0) - 0.5 * self.tick_second:
                return stage.interval_second
        return self._stages[-1].interval_second


class DriftWatch:
    """A rest ends at the end of a window whose regression slope is small enough; windows do not overlap."""

    def __init__(self, technique: OpenCircuit) -> None:
        self._limit = (technique.until_drift_volt_per_hour or 0.0) / 3600.0
        self._window = technique.drift_window_second
        self._end = self._window
        self._second: list[Array] = []
        self._volt: list[Array] = []

    def first(self, second: Array, volt: Array, current: Array) -> int | None:
        """Index of the reading at which the condition holds, among further readings."""
        start = 0
        while True:
            stop = int(np.searchsorted(second, self._end * (1 - 1e-9)))
            self._second.append(second[start : stop + 1])
            self._volt.append(volt[start : stop + 1])
            if stop >= len(second):
                return None
            quiet = abs(self._slope()) <= self._limit
            self._second, self._volt = [], []
            self._end += self._window
            if quiet:
                return stop
            start = stop + 1

    def _slope(self) -> float:
        """Regression slope (V/s) of the window; NaN (never quiet) where too few of its readings are valid."""
        second, volt = np.concatenate(self._second), np.concatenate(self._volt)
        good = np.isfinite(volt)
        if good.sum() < max(2, _LEAST_VALID_SHARE * len(volt)):
            return nan
        time, value = second[good] - second[good].mean(), volt[good] - volt[good].mean()
        return float((time @ value) / (time @ time))


class ChargeWatch:
    """A technique ends when a charge has flowed in either direction; trapezoids between valid readings."""

    def __init__(self, technique: ConstantVoltage) -> None:
        self._limit_coulomb = (technique.until_charge_ah or 0.0) * 3600.0
        self._coulomb = 0.0
        self._last: tuple[float, float] | None = None

    def first(self, second: Array, volt: Array, current: Array) -> int | None:
        """Index of the reading at which the condition holds, among further readings."""
        good = np.flatnonzero(np.isfinite(current))
        if not len(good):
            return None
        times, values = second[good], current[good]
        before = self._last or (0.0, float(values[0]))
        times, values = np.concatenate([[before[0]], times]), np.concatenate([[before[1]], values])
        charge = self._coulomb + np.cumsum(0.5 * (values[1:] + values[:-1]) * np.diff(times))
        self._coulomb, self._last = float(charge[-1]), (float(times[-1]), float(values[-1]))
        reached = np.abs(charge) >= self._limit_coulomb
        return int(good[reached.argmax()]) if reached.any() else None


def watch_for(technique: AnyTechnique) -> DriftWatch | ChargeWatch | None:
    """What the host has to evaluate for a technique."""
    if isinstance(technique, OpenCircuit) and technique.until_drift_volt_per_hour is not None:
        return DriftWatch(technique)
    if isinstance(technique, ConstantVoltage) and technique.until_charge_ah is not None:
        return ChargeWatch(technique)
    return None
