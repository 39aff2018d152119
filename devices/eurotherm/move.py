"""A change of temperature, judged by the readings of the reader thread."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ophyd.status import DeviceStatus

from devices.core.settling import Settling, Target
from devices.eurotherm.link import ControllerReading
from devices.eurotherm.registers import TROUBLES
from labctl.errors import DeviceError, InstrumentError, TransportError


@dataclass(frozen=True)
class SettlingOptions:
    """When a temperature counts as reached; times are the station clock's.

    ValueError names what is impossible.
    """

    tolerance_kelvin: float = 0.5
    dwell_second: float = 60.0
    timeout_second: float = 7200.0

    def changed(
        self, tolerance_kelvin: float | None, dwell_second: float | None, timeout_second: float | None
    ) -> SettlingOptions:
        """The same with what is given in place of its own."""
        given = {
            "tolerance_kelvin": tolerance_kelvin,
            "dwell_second": dwell_second,
            "timeout_second": timeout_second,
        }
        return replace(self, **{name: value for name, value in given.items() if value is not None})

    def target(self, celsius: float, ramp_second: float) -> Target:
        """The same for one temperature, whose ramp takes so long."""
        return Target(
            value=celsius,
            tolerance=self.tolerance_kelvin,
            dwell_second=self.dwell_second,
            timeout_second=self.timeout_second + ramp_second,
            unit="degC",
        )

    def __post_init__(self) -> None:
        for name, lowest in (("tolerance_kelvin", 0.01), ("dwell_second", 0.0), ("timeout_second", 1.0)):
            value = getattr(self, name)
            if not lowest <= value <= 1e7:
                raise ValueError(f"{name} = {value!r}: must be a number from {lowest:g} to 1e7")


class TemperatureMove(Settling):
    """Settles at a temperature; fails as well at what the controller says is broken, and in silence.

    Without any reading for `silence_awake_second` (wall time during which this process ran) it has failed, as
    the link has.
    """

    def __init__(
        self, name: str, status: DeviceStatus, target: Target, *, silence_awake_second: float
    ) -> None:
        super().__init__(f"{name}: setpoint {target.value:g} degC", status, target)
        self.told = False  # whether the instrument may have heard of it
        self._silence_awake_second = silence_awake_second
        self._last_reading_awake_second = 0.0

    def begin_at(self, clock_second: float, awake_second: float, gaps: int) -> None:
        """The instrument has the setpoint, since `clock_second`."""
        self._last_reading_awake_second = awake_second
        self.begin(clock_second, gaps)

    def judge_reading(
        self, reading: ControllerReading | None, clock_second: float, awake_second: float, gaps: int
    ) -> None:
        """Take a reading into account; called by the reader thread.

        Args:
            reading: None where it failed.
            clock_second: the station's clock at the reading.
            awake_second: how long this process has run, and
            gaps: how often it did not (labctl.host_time).
        """
        if not self.begun:
            return
        if reading is not None:
            self._last_reading_awake_second = awake_second
            self._fail_if_broken(reading)
        elif awake_second - self._last_reading_awake_second > self._silence_awake_second:
            self.fail(TransportError(f"{self._what}: the controller does not answer any more"))
        self.judge(None if reading is None else reading.temperature_celsius, clock_second, gaps)

    def _fail_if_broken(self, reading: ControllerReading) -> None:
        for trouble in TROUBLES:
            if trouble.fatal and reading.status & trouble.bits:
                self.fail(InstrumentError(f"{self._what}: {trouble.words}"))

    def give_up(self, reason: str) -> None:
        """Somebody wants something else."""
        self.fail(DeviceError(f"{self._what}: {reason} before it was reached"))
