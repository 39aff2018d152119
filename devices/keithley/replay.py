"""Follows a trigger model from its readings: which technique each belongs to, what ended it, what is kept.

Readings carry no mark of their step, but every decision of the model depends on them and on counts, so that
the host comes to the same decisions. The one exception is a step that the host itself ends by *TRG: there it
holds later readings back until the instrument's counter says how many belonged to the step.

Everything works on arrays of readings: voltages (V), currents (A) and times (s) of the step, in order.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import isnan, nan

import numpy as np
from numpy.typing import NDArray

from devices.core.end_reasons import CHARGE, DRIFT
from devices.core.program import ProgramRecord, Trouble
from devices.core.step_time import time_end_reason
from devices.core.techniques import AnyTechnique, ConstantVoltage, OpenCircuit, Sampling
from devices.keithley.compiler import CompiledProgram, Condition, TriggerLoop
from labctl.charge import moved_coulomb

Array = NDArray[np.float64]
ELEMENTS = "READ, SOUR, REL, STAT, SOURSTAT"
OVERFLOW, NOT_A_NUMBER = 9.9e37, 9.91e37  # SCPI-99 volume 1, 7.2.1
# Bits of the `status` column: a reading is questionable, has no value (overflow or not a number: voltage or
# current is NaN); the source was limited, off, hot.
STATUS_QUESTIONABLE, STATUS_OVERFLOW = 1, 4096
STATUS_LIMITED, STATUS_OUTPUT_OFF, STATUS_HOT = 8192, 16384, 32768
_SOURCE_HOT, _SOURCE_LIMITED, _SOURCE_OUTPUT = 16, 32, 128  # buffer.STAT_... of source statuses
_QUESTIONABLE = 3  # bit 1 in the 2461 reference manual (p. 6-160), 2 in that of the 2450 (p. 8-33)
_COLUMNS = 5


@dataclass(frozen=True, eq=False)
class Readings:
    """Rows: measured value, source value, seconds since the buffer's first reading, status."""

    rows: Array

    def __len__(self) -> int:
        return self.rows.shape[1]

    def part(self, start: int, stop: int | None = None) -> Readings:
        """Some of them."""
        return Readings(self.rows[:, start:stop])

    def followed_by(self, later: Readings) -> Readings:
        """These and later ones."""
        return Readings(np.concatenate([self.rows, later.rows], axis=1)) if len(self) else later

    @property
    def measured(self) -> Array:
        """What is measured: the voltage while a current is sourced, and the other way round."""
        return self.rows[0]

    @property
    def second(self) -> Array:
        """Time since the first reading of the program."""
        return self.rows[2]

    @property
    def status(self) -> Array:
        """Bits of the `status` column; 0 is good."""
        return self.rows[3]

    def trouble(self, place: int) -> Trouble | None:
        """Why a reading has no valid voltage or current; None if it has both."""
        for name, sent in zip(("measured", "source"), self.rows[:2, place].tolist(), strict=True):
            if isnan(sent) or abs(sent) >= NOT_A_NUMBER:
                return Trouble("no_reading", f"the instrument sent no number as {name} value ({sent:g})")
            if abs(sent) >= OVERFLOW:
                return Trouble("overload", f"{name} value out of range; the instrument sent {sent:g}", sent)
        return None

    def volt_and_ampere(self, *, sources_voltage: bool) -> tuple[Array, Array]:
        """Voltage (V) and current (A), NaN where there is no value."""
        measured, source = valid(self.rows[0]), valid(self.rows[1])
        return (source, measured) if sources_voltage else (measured, source)


NONE = Readings(np.empty((4, 0)))


def parse_readings(text: str, count: int) -> Readings | None:
    """Readings from the answer to TRAC:DATA? with ELEMENTS; None if it is damaged.

    A measured or source value that is not a number is one that the instrument could not tell, not damage.
    """
    try:
        values = np.array(text.split(","), dtype=np.float64)
    except ValueError:
        return None
    if values.shape != (_COLUMNS * count,):
        return None
    measured, source, second, own, sourced = values.reshape(count, _COLUMNS).T
    if not np.isfinite([second, own, sourced]).all():
        return None
    source_bits = sourced.astype(np.int64)
    status = np.where(own.astype(np.int64) & _QUESTIONABLE, STATUS_QUESTIONABLE, 0)
    status |= np.where(np.isnan(valid(measured)) | np.isnan(valid(source)), STATUS_OVERFLOW, 0)
    status |= np.where(source_bits & _SOURCE_LIMITED, STATUS_LIMITED, 0)
    status |= np.where(source_bits & _SOURCE_OUTPUT, 0, STATUS_OUTPUT_OFF)
    status |= np.where(source_bits & _SOURCE_HOT, STATUS_HOT, 0)
    return Readings(np.stack([measured, source, second, status.astype(np.float64)]))


def valid(values: Array) -> Array:
    """Overflow, and what stands for "not a number", as NaN."""
    return np.where(np.abs(values) >= OVERFLOW, nan, values)


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
        charge = self._coulomb + np.cumsum(moved_coulomb(np.diff(times), values))
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


_ROOM_READINGS = 40  # the host ends a step only if its loop would go on for so long


class Replay:
    """One run of `program`; `on_reading` gets the newest voltage (V) and current (A)."""

    def __init__(
        self,
        program: CompiledProgram,
        techniques: tuple[AnyTechnique, ...],
        record: ProgramRecord,
        on_reading: Callable[[float, float], None],
    ) -> None:
        self._program, self._techniques, self._record = program, techniques, record
        self._on_reading = on_reading
        self._held = NONE
        self._loop_index = -1  # the reading at 0 A comes first
        self._used = 0  # readings of the present loop
        self._step_start_second = 0.0
        self.last_measured, self._last_second = nan, 0.0  # V or A, whatever the technique measures
        self._last_sample: tuple[float, float, float, int] | None = None  # the newest reading of the step
        self._last_trouble: Trouble | None = None
        self._condition_met = False  # the one that the host evaluates
        self._total: int | None = None  # readings of the present loop, as the instrument has told
        self.holding = False
        self.finished = False
        self.limit_passed: str | None = None
        self._begin(0)

    # ---- what the host does about its own conditions
    @property
    def loop(self) -> TriggerLoop | None:
        """The loop that the model is in, as far as readings tell."""
        return self._program.loops[self._loop_index] if 0 <= self._loop_index else None

    @property
    def wants_end(self) -> bool:
        """Whether the host's condition holds, and the loop goes on for long enough to say so."""
        loop = self.loop
        return (
            self._condition_met
            and not self.holding
            and not self.finished
            and loop is not None
            and loop.readings - self._used > _ROOM_READINGS
        )

    def release(self, readings_of_loop: int, arrived: float) -> None:
        """The instrument has left the loop after so many readings."""
        self._total = readings_of_loop if readings_of_loop >= self._used else None
        self.holding = False
        self.feed(NONE, arrived)

    # ---- readings
    def feed(self, readings: Readings, arrived: float) -> None:
        """Further readings; `arrived` is unix time."""
        queue = self._held.followed_by(readings)
        while (len(queue) or self._total == self._used) and not (self.holding or self.over):
            queue = self._advance(queue, arrived)
        self._held = queue

    @property
    def over(self) -> bool:
        """Whether the model must have ended."""
        return self.finished or self.limit_passed is not None

    def close(self, reason: str, arrived: float) -> None:
        """The program was ended from outside: the newest reading becomes the last sample."""
        self.holding = False
        self.feed(NONE, arrived)
        self._end_step(reason, arrived)

    def _advance(self, queue: Readings, arrived: float) -> Readings:
        """Take in what belongs together; what is left."""
        loop = self.loop
        if loop is None:
            self._take_first(queue)
            return queue.part(1)
        stop = min(len(queue), loop.readings - self._used)
        if self._total is not None:
            stop = min(stop, self._total - self._used)
        chunk = queue.part(0, stop)
        end, end_place = _earliest(loop.ends, chunk)
        trip, trip_place = _earliest(loop.trips, chunk)
        take = min(stop, min(end_place, trip_place) + 1)
        self._used += take
        tripped = trip is not None and trip_place < end_place
        done = None if tripped else self._reason(loop, end)
        if take:
            self._consume(chunk.part(0, take), arrived)
        if tripped and trip is not None:
            self.limit_passed = trip.limit_passed(self.last_measured)
        elif done is not None:
            self._end_step(done, arrived)
            self._begin(loop.technique_index + 1)
        elif self._used == loop.readings:
            self._next_loop()
        return queue.part(take)

    def _reason(self, loop: TriggerLoop, end: Condition | None) -> str | None:
        """Why the technique has ended, None when it has not."""
        technique = self._techniques[loop.technique_index]
        if end is not None:
            return end.reason
        if self._total is not None and self._used >= self._total:
            return DRIFT if isinstance(technique, OpenCircuit) else CHARGE
        last_loop = self._loop_index + 1 == len(self._program.loops)
        if self._used < loop.readings:
            return None
        if last_loop or self._program.loops[self._loop_index + 1].technique_index != loop.technique_index:
            return time_end_reason(technique)
        return None

    def _take_first(self, queue: Readings) -> None:
        self.last_measured = float(queue.measured[0])
        self._next_loop()
        self._check_entry(0)

    def _check_entry(self, index: int) -> None:
        entry = self._program.entry.get(index)
        if entry is not None and entry.first(np.array([self.last_measured])) == 0:
            self.limit_passed = entry.limit_passed(self.last_measured)

    def _begin(self, index: int) -> None:
        """Technique `index` begins at the reading before."""
        if index >= len(self._techniques):
            self.finished = True
            return
        if index:
            self._check_entry(index)
            if self.limit_passed is not None:
                return
        self._record.begin_step(index)
        technique = self._techniques[index]
        self._sources_voltage = isinstance(technique, ConstantVoltage)
        first = next(n for n, loop in enumerate(self._program.loops) if loop.technique_index == index)
        sampling = technique.sampling  # type: ignore[union-attr]  # spectra were refused before
        self._sampler = Sampler(sampling, self._program.loops[first].tick_second)
        self._watch, self._condition_met, self._total = watch_for(technique), False, None
        if index:
            self._loop_index, self._used = first, 0

    def _next_loop(self) -> None:
        self._loop_index, self._used = self._loop_index + 1, 0
        self._sampler.tick_second = self._program.loops[self._loop_index].tick_second

    def _consume(self, chunk: Readings, arrived: float) -> None:
        second = chunk.second - self._step_start_second
        volt, ampere = chunk.volt_and_ampere(sources_voltage=self._sources_voltage)

        def sample(place: int) -> tuple[float, float, float, int]:
            return float(second[place]), float(volt[place]), float(ampere[place]), int(chunk.status[place])

        for place in self._sampler.kept(second, volt):
            self._record.sample(*sample(place), arrived, chunk.trouble(place))
        self._last_sample, self._last_trouble = sample(len(chunk) - 1), chunk.trouble(len(chunk) - 1)
        self.last_measured, self._last_second = float(chunk.measured[-1]), float(chunk.second[-1])
        if self._watch is not None and not self._condition_met:
            self._condition_met = self._watch.first(second, volt, ampere) is not None
        self._on_reading(float(volt[-1]), float(ampere[-1]))  # NaN where the newest has no value

    def _end_step(self, reason: str, arrived: float) -> None:
        """The present technique ends at the newest reading, which becomes a sample if it was none."""
        if self._last_sample is not None:
            # the record leaves out what it has already
            self._record.sample(*self._last_sample, arrived, self._last_trouble)
            self._last_sample = None
        self._step_start_second = self._last_second
        self._record.end_step(reason)


def _earliest(conditions: tuple[Condition, ...], chunk: Readings) -> tuple[Condition | None, int]:
    """The condition that holds first, and at which reading."""
    places = [(condition.first(chunk.measured), number) for number, condition in enumerate(conditions)]
    place, number = min(places, default=(len(chunk), 0))
    return (conditions[number], place) if place < len(chunk) else (None, len(chunk))
