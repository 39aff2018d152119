"""The analog side of an emulated Keithley unit: source with its limit, output-off modes, readings with noise.

A current source whose voltage would pass its limit becomes a voltage source at the limit, and the other way
round, at the very instant; it is released when its own level is the smaller demand again. So a current source
whose voltage limit lies below the voltage of the cell discharges the cell, as the manuals warn.

With the output off, NORM and ZERO source 0 V with a current limit of a tenth of the present range, GUAR
sources 0 A if a current is sourced, and HIMP opens the relay. What the manuals leave open: a change of the
output-off mode takes effect at once while the output is off.

Over range reads 9.9e37 with the sign of what is measured, as instruments of the series do; "not a number" is
the 9.91e37 of SCPI-99 (volume 1, 7.2.1), a guess for this series. Both are marked questionable.
"""

from __future__ import annotations

from collections.abc import Callable
from math import copysign

import numpy as np
from numpy.typing import NDArray

from devices.sim.bench_log import BenchRecord
from devices.sim.cell.leads import OpenLeads, TwoPole
from devices.sim.keithley.buffer import Readings
from devices.sim.keithley.settings import CURRENT, VOLTAGE, Settings
from devices.sim.noise import Noise
from devices.sim.wire.faults import LineFault

Array = NDArray[np.float64]
OVERFLOW, NOT_A_NUMBER = 9.9e37, 9.91e37
READING_FAULTS = frozenset({"overrange", "nan"})


class ReadingFaults:
    """Faults that count readings where a fault of the line counts lines."""

    def __init__(self) -> None:
        self._armed: list[LineFault] = []

    def arm(self, fault: LineFault) -> None:
        """One more fault."""
        self._armed.append(fault)

    def clear(self) -> None:
        """No faults any more."""
        self._armed.clear()

    def applied(self, values: Array) -> tuple[Array, NDArray[np.bool_]]:
        """The next readings as they come, and which of them have no value; nothing is used up."""
        found, struck = values.copy(), np.zeros(len(values), dtype=bool)
        for fault in self._armed:
            place = np.arange(len(values)) - fault.after_lines
            hit = (place >= 0) & ((place < fault.lines) | (fault.lines == 0))
            found[hit] = np.copysign(OVERFLOW, values[hit]) if fault.kind == "overrange" else NOT_A_NUMBER
            struck |= hit
        return found, struck

    def use(self, count: int) -> None:
        """So many readings are made."""
        for fault in list(self._armed):
            beyond = max(count - fault.after_lines, 0)
            fault.after_lines = max(fault.after_lines - count, 0)
            if fault.lines and beyond >= fault.lines:
                self._armed.remove(fault)
            elif fault.lines:
                fault.lines -= beyond


LINE_HERTZ = 50.0
LEAD_OHM = 0.2  # in series with the cell when it is sensed with two wires
NOISE_OF_RANGE = {VOLTAGE: 1e-6, CURRENT: 2e-6}  # rms at 1 power line cycle, as a share of the range
STATUS_QUESTIONABLE, STATUS_FRONT, STATUS_GROUP = 1, 8, 256
SOURCE_READBACK, SOURCE_LIMITED, SOURCE_SENSE, SOURCE_OUTPUT = 8, 32, 64, 128
_SAME_INSTANT_SECOND, _CROSSING_SECOND = 1e-9, 1e-6


class SourceMeasureUnit:
    """Drives the leads as the settings say. Times are seconds of the bench's clock and never go back."""

    def __init__(self, settings: Settings, record: BenchRecord, seed: int, now: Callable[[], float]) -> None:
        self.settings = settings
        self._record, self._seed = record, seed
        self.leads: TwoPole = OpenLeads()
        self.noise = self._quick_noise = Noise(seed, 0)
        self.faults = ReadingFaults()
        self._time_second = now()
        self._drive: tuple[str, float, float] | None = None  # function, level, limit; None: relay open
        self._clamp = 0.0  # sign of the limit in force
        self.tripped = False

    # ---- what it drives
    @property
    def closed(self) -> bool:
        """Whether it drives the leads; with the output off it may still do so."""
        return self._drive is not None

    def use_noise_of(self, program: int) -> None:
        """Each program (numbered from 1) has noise of its own; 0: single readings."""
        self.noise = Noise(self._seed, program) if program else self._quick_noise

    def connect(self, leads: TwoPole, reason: str) -> None:
        """Other leads: they are driven at once, if the output-off mode says so."""
        self.disconnect(reason)
        self.leads = leads
        self.apply(reason)

    def apply(self, reason: str) -> None:
        """Drive the leads as the settings say from now on."""
        drive = self._wanted()
        if drive == self._drive:
            return
        if drive is None:
            self.disconnect(reason)
            return
        newly_closed, self._drive, self._clamp = self._drive is None, drive, 0.0
        self._control()
        for _ in range(2):  # to the limit at once, if the level demands it
            volt, ampere = self.leads.reading()
            if self._passed(volt, ampere):
                self._switch_clamp(volt, ampere)
        self._note("circuit" if newly_closed else "setpoint", reason)

    def _wanted(self) -> tuple[str, float, float] | None:
        settings, source = self.settings, self.settings.active_source
        if settings.output:
            return settings.source_function, source.level, source.limit
        if source.off_mode == "HIMP":
            return None
        if source.off_mode == "GUAR" and settings.source_function == CURRENT:
            return CURRENT, 0.0, 0.1 * settings.source[VOLTAGE].range
        full_scale = source.range
        if settings.source_function == VOLTAGE:
            full_scale = settings.model.range_for(CURRENT, source.limit)
        return VOLTAGE, 0.0, 0.1 * full_scale

    def disconnect(self, reason: str) -> None:
        """Drive nothing."""
        if self._drive is not None:
            current = self.leads.reading()[1]
            self._drive, self._clamp = None, 0.0
            self.leads.open_circuit()
            self._note("circuit", reason, current)

    def _note(self, kind: str, reason: str, current_ampere: float | None = None) -> None:
        self._record.add(
            kind,
            virtual_second=self._time_second,
            closed=self.closed,
            current_ampere=self.leads.reading()[1] if current_ampere is None else current_ampere,
            charge_ah=self.leads.charge_ah,
            reason=reason,
        )

    # ---- the limit
    def _control(self) -> None:
        if self._drive is None:
            return
        function, level, limit = self._drive
        if self._clamp:
            value = copysign(limit, self._clamp)
            (self.leads.set_voltage if function == CURRENT else self.leads.set_current)(value)
        elif function == VOLTAGE:
            self.leads.set_voltage(level)
        elif level:
            self.leads.set_current(level)
        else:
            self.leads.open_circuit()

    def _passed(self, volt: float, ampere: float) -> bool:
        """Whether the limit takes over here, or lets go again."""
        if self._drive is None:
            return False
        function, level, limit = self._drive
        own, other = (ampere, volt) if function == CURRENT else (volt, ampere)
        if not self._clamp:
            return abs(other) > limit * (1 + 1e-9)
        return (own - level) * self._clamp > 1e-9 + 1e-6 * abs(level)

    def _switch_clamp(self, volt: float, ampere: float) -> None:
        function = self._drive[0] if self._drive else CURRENT
        self._clamp = 0.0 if self._clamp else copysign(1.0, volt if function == CURRENT else ampere)
        self.tripped = self.tripped or bool(self._clamp)
        self._control()

    @property
    def limited(self) -> bool:
        """Whether the limit is in force."""
        return bool(self._clamp)

    # ---- time
    def advance_to(self, time_second: float) -> None:
        """Let time pass; nothing happens if that instant is over."""
        while time_second - self._time_second > _SAME_INSTANT_SECOND:
            self._go(*self._segment(time_second))

    def _go(self, end_second: float, passed: bool) -> None:
        self.leads.advance_to(end_second)
        self._time_second = end_second
        if passed:
            self._switch_clamp(*self.leads.reading())

    def _segment(self, until_second: float) -> tuple[float, bool]:
        """How far nothing changes, at most to `until_second`; and whether the limit changes there."""
        end = min(self.leads.reach(self._time_second + 2 * _SAME_INSTANT_SECOND), until_second)
        if not self._passed(*self._at(end)):
            return end, False
        low, high = self._time_second, end
        while high - low > _CROSSING_SECOND:
            middle = 0.5 * (low + high)
            low, high = (low, middle) if self._passed(*self._at(middle)) else (middle, high)
        return high, True

    def _at(self, time_second: float) -> tuple[float, float]:
        volt, ampere = self.leads.terminal(np.array([time_second]))
        return float(volt[0]), float(ampere[0])

    # ---- measuring
    @property
    def measurement_second(self) -> float:
        """How long one measurement takes: the reading and, with readback, the source value."""
        conversions = 2 if self.settings.active_source.readback else 1
        return conversions * self.settings.active_sense.power_line_cycles / LINE_HERTZ

    def measure(self, times_second: Array) -> Readings:
        """Readings at the first of some increasing times, at least one; none of them is `used` yet.

        Afterwards time must go on to the last of those that count.
        """
        while True:
            end, passed = self._segment(float(times_second[-1]))
            inside = times_second[times_second <= end + _SAME_INSTANT_SECOND]
            if len(inside):
                return self._readings(inside)
            self._go(end, passed)

    def used(self, count: int) -> None:
        """So many of the readings were made; the others never happened."""
        self.noise.use(count)
        self.faults.use(count)

    def _readings(self, times_second: Array) -> Readings:
        settings = self.settings
        volt, ampere = self.leads.terminal(times_second)
        noise = self.noise.peek(len(times_second))
        sense = settings.active_sense
        if not sense.remote_sense:
            volt = volt + LEAD_OHM * ampere
        exact = {VOLTAGE: volt, CURRENT: ampere}
        measured, sourced = settings.sense_function, settings.source_function
        values = self._with_noise(measured, exact[measured], noise[:, 0], self._sense_range(exact[measured]))
        source = np.full_like(values, settings.active_source.level)
        if settings.active_source.readback:
            full_scale = np.full_like(values, settings.active_source.range)
            source = self._with_noise(sourced, exact[sourced], noise[:, 1], full_scale)
        if not self.closed:
            values = np.full_like(values, OVERFLOW)
        values, struck = self.faults.applied(values)
        good = (STATUS_FRONT if settings.terminals == "FRON" else 0) | STATUS_GROUP
        questionable = struck | (not settings.output)
        status = np.where(questionable, good | STATUS_QUESTIONABLE, good).astype(np.float64)
        return Readings(times_second, values, source, status, self._source_status(times_second))

    def _sense_range(self, exact: Array) -> Array:
        """The full scale of each measurement."""
        sense = self.settings.active_sense
        if not sense.auto_range:
            return np.full_like(exact, sense.range)
        ranges = np.array(self.settings.model.ranges(self.settings.sense_function))
        lowest = int(np.searchsorted(ranges, sense.lowest_auto_range * (1 - 1e-9)))
        place = np.searchsorted(ranges * 1.05, np.abs(exact))
        return ranges[np.clip(place, lowest, len(ranges) - 1)]

    def _with_noise(self, function: str, exact: Array, noise: Array, full_scale: Array) -> Array:
        cycles = self.settings.active_sense.power_line_cycles
        seen = exact + NOISE_OF_RANGE[function] / cycles**0.5 * full_scale * noise
        return np.where(np.abs(seen) > 1.05 * full_scale, np.copysign(OVERFLOW, seen), seen)

    def _source_status(self, times_second: Array) -> Array:
        status = SOURCE_READBACK if self.settings.active_source.readback else 0
        status |= SOURCE_SENSE if self.settings.active_sense.remote_sense else 0
        status |= SOURCE_OUTPUT if self.settings.output else 0
        status |= SOURCE_LIMITED if self.limited else 0
        return np.full(len(times_second), float(status))
