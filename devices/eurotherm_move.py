"""One change of temperature under way: when it counts as done, and when as failed."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from math import isfinite

from ophyd.status import DeviceStatus

from devices.eurotherm_link import ControllerReading
from devices.eurotherm_registers import TROUBLES
from labctl.errors import DeviceError, InstrumentError, TransportError


@dataclass(frozen=True)
class Settling:
    """When a temperature counts as reached; times are the station clock's.

    ValueError names what is impossible.
    """

    tolerance_kelvin: float = 0.5
    dwell_second: float = 60.0
    timeout_second: float = 7200.0

    def changed(
        self, tolerance_kelvin: float | None, dwell_second: float | None, timeout_second: float | None
    ) -> Settling:
        """The same with what is given in place of its own."""
        given = {
            "tolerance_kelvin": tolerance_kelvin,
            "dwell_second": dwell_second,
            "timeout_second": timeout_second,
        }
        return replace(self, **{name: value for name, value in given.items() if value is not None})

    def __post_init__(self) -> None:
        for name, lowest in (("tolerance_kelvin", 0.01), ("dwell_second", 0.0), ("timeout_second", 1.0)):
            value = getattr(self, name)
            if not lowest <= value <= 1e7:
                raise ValueError(f"{name} = {value!r}: must be a number from {lowest:g} to 1e7")


class Move:
    """A status that is done after a dwell of readings within the tolerance of the target.

    A reading outside, or none, begins the dwell anew. Without any reading for `silence_awake_second` (wall
    time during which this process ran) the move has failed, as the link has. After a gap in which the host
    did not run (labctl.host_time) the dwell begins anew, for nobody looked; the timeout is longer by the gap.
    """

    def __init__(
        self,
        name: str,
        status: DeviceStatus,
        target_celsius: float,
        settling: Settling,
        *,
        ramp_second: float,
        silence_awake_second: float,
    ) -> None:
        self.name, self.status = name, status
        self.target_celsius, self.settling = target_celsius, settling
        self.told = False  # whether the instrument may have heard of it
        self.ended = False
        self._error: Exception | None = None
        self._longest_second = settling.timeout_second + ramp_second
        self._silence_awake_second = silence_awake_second
        self._lock = threading.Lock()
        self._deadline: float | None = None  # until the instrument has the setpoint
        self._inside_since: float | None = None
        self._last_reading_awake_second = 0.0
        self._looked_clock_second, self._gaps = 0.0, 0

    def begin(self, clock_second: float, awake_second: float, gaps: int) -> None:
        """The instrument has the setpoint, since `clock_second`."""
        self._last_reading_awake_second, self._gaps = awake_second, gaps
        self._looked_clock_second = clock_second
        self._deadline = clock_second + self._longest_second

    def judge(
        self, reading: ControllerReading | None, clock_second: float, awake_second: float, gaps: int
    ) -> None:
        """Take a reading into account; called by the reader thread.

        Args:
            reading: None where it failed.
            clock_second: the station's clock at the reading.
            awake_second: how long this process has run, and
            gaps: how often it did not (labctl.host_time).
        """
        if self._deadline is None or self.ended:
            return
        if gaps != self._gaps:
            self._gaps, self._inside_since = gaps, None
            self._deadline += clock_second - self._looked_clock_second
        self._looked_clock_second = clock_second
        if reading is None:
            self._inside_since = None
            if awake_second - self._last_reading_awake_second > self._silence_awake_second:
                self.fail(TransportError(f"{self._what()}: the controller does not answer any more"))
        else:
            self._last_reading_awake_second = awake_second
            self._judge_value(reading, clock_second)
        if clock_second >= self._deadline:
            late = f"not there after {self._longest_second:g} s{_at(reading)}"
            self.fail(DeviceError(f"{self._what()}: {late}"))

    def _judge_value(self, reading: ControllerReading, clock_second: float) -> None:
        for trouble in TROUBLES:
            if trouble.fatal and reading.status & trouble.bits:
                self.fail(InstrumentError(f"{self._what()}: {trouble.words}"))
                return
        gap = abs(reading.temperature_celsius - self.target_celsius)
        if not isfinite(gap) or gap > self.settling.tolerance_kelvin + 1e-9:
            self._inside_since = None
            return
        if self._inside_since is None:
            self._inside_since = clock_second
        if clock_second - self._inside_since >= self.settling.dwell_second:
            self._end(None)

    @property
    def inside(self) -> bool:
        """Whether the dwell has begun."""
        return self._inside_since is not None

    @property
    def succeeded(self) -> bool:
        """Whether the temperature was reached."""
        return self.ended and self._error is None

    def give_up(self, reason: str) -> None:
        """Somebody wants something else."""
        self.fail(DeviceError(f"{self._what()}: {reason} before it was reached"))

    def fail(self, error: Exception) -> None:
        """End it as failed; nothing happens when it has ended."""
        self._end(error)

    def _end(self, error: Exception | None) -> None:
        with self._lock:  # readings, stop() and a new setpoint come from different threads
            if self.ended:
                return
            self.ended, self._error = True, error
        if error is None:
            self.status.set_finished()
        else:
            self.status.set_exception(error)

    def _what(self) -> str:
        return f"{self.name}: setpoint {self.target_celsius:g} degC"


def _at(reading: ControllerReading | None) -> str:
    return "" if reading is None else f", but at {reading.temperature_celsius:g} degC"
