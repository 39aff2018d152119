"""From an instrument's samples to rows of the `timeseries` stream and results of steps; for every cycler."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from math import inf, isfinite, isnan, nan
from typing import Any

from ophyd.status import DeviceStatus

from devices.core.columns import NO_VALUE
from devices.core.instrument import AlarmLatch
from devices.core.techniques import AnyTechnique, Impedance, Program, StepResult
from labctl.clock import TimeKeeper
from labctl.errors import TripError
from labctl.schema import Row, Stream, impedance_row, sample_row

LARGEST_PAGE_ROW = 1000  # larger pages would hold up the RunEngine's loop for longer than 2 ms
_SECOND_PER_HOUR = 3600.0
_EPISODE_OVER_SAMPLES = 10  # so many valid samples in a row: what made readings invalid is over
Report = Callable[..., object]


class RowBuffer:
    """Rows of `stream` on their way from the reader thread to the RunEngine."""

    def __init__(self, stream: Stream) -> None:
        self._names = stream.names
        self._lock = threading.Lock()
        self._rows: list[tuple[Row, float]] = []

    def append(self, row: Row, arrived_unix_second: float) -> None:
        """Add one row."""
        with self._lock:
            self._rows.append((row, arrived_unix_second))

    def pages(self) -> Iterator[dict[str, Any]]:
        """Take all rows out, at most LARGEST_PAGE_ROW a page; a page not asked for stays in."""
        while True:
            with self._lock:
                taken = self._rows[:LARGEST_PAGE_ROW]
                del self._rows[:LARGEST_PAGE_ROW]
            if not taken:
                return
            columns = zip(*(row for row, _ in taken), strict=True)
            arrived = [unix_second for _, unix_second in taken]
            yield {
                "data": {name: list(column) for name, column in zip(self._names, columns, strict=True)},
                "timestamps": dict.fromkeys(self._names, arrived),
            }


@dataclass(frozen=True)
class Trouble:
    """Why a sample has no valid reading: kind and words of its alarm, and the number that came, if any."""

    kind: str
    words: str
    value: float = nan


class StepIntegral:
    """Charge by direction and the last valid values of one step.

    Trapezoids between valid currents: a straight line bridges samples without one. What is before the first
    valid current, or after the last one, counts with that one. `bridged_second` is how long there was none.
    """

    def __init__(self) -> None:
        self.time_second = 0.0
        self.voltage_volt = nan
        self.current_ampere = nan
        self.charging_coulomb = 0.0
        self.discharging_coulomb = 0.0
        self.bridged_second = 0.0
        self._unread_until_second = -inf

    def add(self, time_second: float, voltage_volt: float, current_ampere: float) -> None:
        """Take in a sample at `time_second` of the step; NaN is what has no valid reading."""
        if not isnan(voltage_volt):
            self.voltage_volt = voltage_volt
        if isnan(current_ampere):
            self._unread_until_second = time_second
            return
        first = isnan(self.current_ampere)
        self._add_charge(
            current_ampere if first else 0.5 * (current_ampere + self.current_ampere), time_second
        )
        self.current_ampere = current_ampere

    def _add_charge(self, mean_ampere: float, until_second: float) -> None:
        length_second = until_second - self.time_second
        if self._unread_until_second > self.time_second:
            self.bridged_second += length_second
        charge = mean_ampere * length_second
        if charge > 0:
            self.charging_coulomb += charge
        else:
            self.discharging_coulomb -= charge
        self.time_second = until_second

    def close(self) -> None:
        """There are no more samples; the charge is NaN where no sample had a valid current."""
        if self._unread_until_second <= self.time_second:
            return
        if isnan(self.current_ampere):
            self.charging_coulomb = self.discharging_coulomb = nan
            self.bridged_second, self.time_second = self._unread_until_second, self._unread_until_second
        else:
            self._add_charge(self.current_ampere, self._unread_until_second)


class ProgramRecord:
    """Follows one run of a program on the instrument: where it is, its rows, what became of its steps.

    A row with a NaN has the bit NO_VALUE in its status. Samples without a valid reading raise one alarm where
    they begin, and again only after a while of valid ones; a step whose charge was bridged, one at its end.

    Args:
        program: what runs.
        keeper: gives the samples their test time.
        rows: of the stream `timeseries`.
        spectra: of the stream `impedance`.
        report: takes kind, value, limit and action of an alarm.
    """

    def __init__(
        self,
        program: Program,
        *,
        keeper: TimeKeeper,
        rows: RowBuffer,
        spectra: RowBuffer,
        report: Report = lambda **alarm: None,
    ) -> None:
        self._techniques = program.techniques
        self._first_step_count = program.first_step_count
        self._cycle_count = program.cycle_count
        self._spectrum_count = program.first_spectrum_count - 1
        self._keeper = keeper
        self._rows = rows
        self._spectra = spectra
        self.last_frequency_hertz = inf
        self._t0_test_time_second = keeper.start_program()
        self._index: int | None = None
        self._step_start_second = 0.0  # of the present step, from the program's start
        self._part_offset_second = 0.0
        self._last_sample_second = -1.0
        self._integral = StepIntegral()
        self._report, self._troubles = report, AlarmLatch(report)
        self._valid_samples = 0  # in a row
        self.end_reason: str | None = None
        self.results: list[StepResult] = []

    @property
    def technique(self) -> AnyTechnique | None:
        """The technique that runs now."""
        return None if self._index is None else self._techniques[self._index]

    @property
    def step_time_second(self) -> float:
        """Time of the newest sample since its step began."""
        return max(self._last_sample_second, 0.0)

    def begin_step(self, index: int) -> None:
        """Technique `index` begins where the one before it ended."""
        if self._index is not None:
            self._step_start_second += self.step_time_second
        self._index, self._part_offset_second, self._last_sample_second = index, 0.0, -1.0
        self._integral, self.end_reason = StepIntegral(), None
        self._spectrum_count += isinstance(self._techniques[index], Impedance)
        self.last_frequency_hertz = inf

    def begin_part(self) -> None:
        """The instrument's timer starts again at 0 within the same step."""
        self._part_offset_second = self.step_time_second

    def sample(
        self, part_time_second: float, voltage_volt: float, current_ampere: float, status: int,
        arrived: float, trouble: Trouble | None = None,
    ) -> None:  # fmt: skip
        """One sample, its time counted by the instrument from the start of the part; NaN where not valid."""
        test_time = self._advance(part_time_second)
        if self._index is None or test_time is None:
            return  # the closing package repeats a sample that was sent already
        self._integral.add(self.step_time_second, voltage_volt, current_ampere)
        missing = {"voltage": voltage_volt, "current": current_ampere}
        status |= self._look_for_missing(missing, test_time, status, trouble)
        technique = self._techniques[self._index]
        row = sample_row(
            test_time_second=test_time,
            step_time_second=self.step_time_second,
            voltage_volt=voltage_volt,
            current_ampere=current_ampere,
            step_count=self._first_step_count + self._index,
            cycle_count=self._cycle_count,
            step_type=technique.step_type(),
            status=status,
        )
        self._rows.append(row, arrived)

    def impedance(
        self, part_time_second: float, frequency_hertz: float, impedance_ohm: complex,
        voltage_volt: float, current_ampere: float, status: int, arrived: float,
        trouble: Trouble | None = None,
    ) -> None:  # fmt: skip
        """One frequency of a spectrum, with the DC voltage and current it was measured at."""
        test_time = self._advance(part_time_second)
        technique = self.technique
        if self._index is None or test_time is None or not isinstance(technique, Impedance):
            return
        self._integral.add(self.step_time_second, voltage_volt, current_ampere)
        missing = {"impedance": abs(impedance_ohm), "DC voltage": voltage_volt, "DC current": current_ampere}
        status |= self._look_for_missing(missing, test_time, status, trouble)
        self.last_frequency_hertz = frequency_hertz
        row = impedance_row(
            test_time_second=test_time,
            frequency_hertz=frequency_hertz,
            real_impedance_ohm=impedance_ohm.real,
            imaginary_impedance_ohm=impedance_ohm.imag,
            voltage_volt=voltage_volt,
            current_ampere=current_ampere,
            amplitude_rms=technique.amplitude_rms,
            amplitude_unit=technique.amplitude_unit,
            spectrum_count=self._spectrum_count,
            step_count=self._first_step_count + self._index,
            cycle_count=self._cycle_count,
            status=status,
        )
        self._spectra.append(row, arrived)

    def note_time(self, part_time_second: float) -> None:
        """The instrument tells how late it is in this part, without a reading."""
        self._advance(part_time_second)

    def _look_for_missing(
        self, values: dict[str, float], test_time: float, status: int, trouble: Trouble | None
    ) -> int:
        """NO_VALUE if one of `values` is NaN, and an alarm where that begins; 0 where all are there."""
        missing = [name for name, value in values.items() if isnan(value)]
        if not missing:
            self._valid_samples += 1
            if self._valid_samples >= _EPISODE_OVER_SAMPLES:
                self._troubles.clear(*self._troubles.active)
            return 0
        self._valid_samples = 0
        why = trouble or Trouble("no_reading", f"status {status:#x}")
        number = self._first_step_count + (self._index or 0)
        action = f"no valid {', '.join(missing)} from {test_time:.3f} s on (step {number}): {why.words}"
        self._troubles.update(why.kind, True, action, value=why.value)
        return NO_VALUE

    def _advance(self, part_time_second: float) -> float | None:
        """Take in a moment of the present part; its test time, None if it is not later than the last."""
        if self._index is None or not isfinite(part_time_second):
            return None
        step_time = self._part_offset_second + part_time_second
        if step_time <= self._last_sample_second:
            return None
        self._last_sample_second = step_time
        test_time = self._t0_test_time_second + self._step_start_second + step_time
        self._keeper.note_sample(test_time)
        return test_time

    def end_step(self, reason: str) -> None:
        """Close the present step with `reason` (once)."""
        if self._index is None or (self.results and self.results[-1].technique_index == self._index):
            return
        start = self._t0_test_time_second + self._step_start_second
        done = self._integral
        done.close()
        self._tell_of_bridges(done)
        self.results.append(
            StepResult(
                technique_index=self._index,
                step_count=self._first_step_count + self._index,
                step_type=self._techniques[self._index].step_type(),
                start_test_time_second=start,
                end_test_time_second=start + self.step_time_second,
                end_reason=reason,
                charging_capacity_ah=done.charging_coulomb / _SECOND_PER_HOUR,
                discharging_capacity_ah=done.discharging_coulomb / _SECOND_PER_HOUR,
                end_voltage_volt=done.voltage_volt,
                end_current_ampere=done.current_ampere,
            )
        )

    def _tell_of_bridges(self, done: StepIntegral) -> None:
        if not done.bridged_second:
            return
        number, known = self._first_step_count + (self._index or 0), not isnan(done.charging_coulomb)
        how = "it is interpolated between valid samples for the capacity" if known else "its capacity is NaN"
        self._report(
            kind="capacity",
            value=done.bridged_second,
            limit=nan,
            action=f"step {number}: no valid current for {done.bridged_second:.3f} s of "
            f"{self.step_time_second:.3f} s; {how}",
        )


@dataclass
class Course:
    """State of a program; `program` is what is left of it after a pause, which begins another record."""

    program: Program
    records: list[ProgramRecord] = field(default_factory=list)
    status: DeviceStatus | None = None
    paused: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def open(self) -> bool:
        """Whether it was started and its status still waits for an end."""
        return self.status is not None and not self.status.done

    @property
    def results(self) -> list[StepResult]:
        """What became of the steps so far, in order."""
        return [result for record in self.records for result in record.results]

    def settle(self, failure: Exception | None = None) -> None:
        """End its status, once; a failure ends a paused one as well."""
        with self._lock:
            if self.status is None or self.status.done:
                return
            self.paused = False
            if failure is None:
                self.status.set_finished()
            else:
                self.status.set_exception(failure)


OnReading = Callable[[float, float], None]
OnAlarm = Callable[..., None]


class ProgramRun:
    """One run of a program, followed by the reader thread; other threads only ask it to stop, and wait.

    Args:
        record: where its samples and steps go.
        on_reading: gets the newest voltage (V) and current (A).
        on_alarm: called with kind, source, value, limit, action.
    """

    def __init__(self, record: ProgramRecord, *, on_reading: OnReading, on_alarm: OnAlarm) -> None:
        self.record = record
        self.started: Future[None] = Future()
        self.ended = threading.Event()  # set when all output is in the record
        self._on_reading, self._on_alarm = on_reading, on_alarm
        self._stop_reason: str | None = None
        self._stop_asked = threading.Event()

    @property
    def stopping(self) -> bool:
        """Whether it has ended or was asked to."""
        return self._stop_asked.is_set() or self.ended.is_set()

    def request_stop(self, reason: str) -> None:
        """End the program early; the open step gets `reason` as its end reason."""
        if self._stop_reason is None:
            self._stop_reason = reason
        self._stop_asked.set()

    def follow(self) -> None:
        """Take in all output; returns with the cell off, or raises DeviceError. If stopped, never starts."""
        raise NotImplementedError

    def close(self) -> None:
        """Whatever happened, nobody waits for start or end of this run any more."""
        if not self.started.done():
            self.started.set_result(None)
        self.ended.set()

    def _trip_at(self, limit: str, value: float, shown: str) -> TripError:
        """The alarm and the error of a program that has ended itself at a safety limit."""
        self._on_alarm(kind="trip", source=limit, value=value, limit=nan, action="circuit open")
        return TripError(f"{shown} passed the limit {limit}; the instrument has opened the circuit")
