"""What a heated cell needs of its three instruments, whoever makes them."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Protocol

from ophyd.status import DeviceStatus

from devices.core.instrument import AlarmHandler
from devices.core.protocols import Identity
from labctl.records.limits import Limits


class Part(Protocol):
    """What the cell asks of each of its instruments."""

    @property
    def name(self) -> str:
        """As in the session."""
        ...

    @property
    def identity(self) -> Identity | None:
        """Who it says it is; None before it was connected."""
        ...

    def connect(self) -> Identity:
        """Open the port; nothing happens when it is open."""
        ...

    def disconnect(self) -> None:
        """Let go of the port."""
        ...

    def refresh_later(self) -> Future[Any]:
        """Have a reading taken now."""
        ...

    def metadata(self) -> dict[str, object]:
        """For the start document."""
        ...


class TemperatureReading(Protocol):
    """What a temperature controller reads."""

    @property
    def temperature_celsius(self) -> float:
        """Temperature of the die."""
        ...

    @property
    def setpoint_celsius(self) -> float:
        """What it is brought to."""
        ...


class TemperatureController(Part, Protocol):
    """Heats the die; `stop` holds the temperature of now."""

    on_alarm: AlarmHandler
    limits: Limits
    """What `set` refuses beyond, by `temperature_max_celsius`; the cell narrows them by its own."""

    def latest(self) -> TemperatureReading | None:
        """The last reading; None when it failed or is stale."""
        ...

    def check_setpoint(self, celsius: float, ramp_kelvin_per_minute: float | None = None) -> float:
        """Refuse what is not allowed; the setpoint as the controller can hold it."""
        ...

    def set(
        self,
        celsius: float,
        /,
        *,
        ramp_kelvin_per_minute: float | None = None,
        tolerance_kelvin: float | None = None,
        dwell_second: float | None = None,
        timeout_second: float | None = None,
    ) -> DeviceStatus:
        """Go there and stay; done inside a tolerance for a dwell."""
        ...

    def stop(self, *, success: bool = False) -> None:
        """Abandon a ramp and hold here."""
        ...


class LineReading(Protocol):
    """What an actuator reads; gauge pressures of the gas line."""

    @property
    def pressure_pa(self) -> float:
        """Pressure of the line."""
        ...

    @property
    def setpoint_pa(self) -> float:
        """What it is brought to."""
        ...


class PressureActuator(Part, Protocol):
    """Regulates the gas line that acts on the piston; all pressures are gauge pressures of the line in Pa."""

    line_pressure_max_pa: float | None
    """Nothing above it is sent; the cell lowers it to what its stack pressure can need."""

    @property
    def highest_line_pa(self) -> float:
        """No line pressure above this is sent: the lower one of that and the instrument's full scale."""
        ...

    @property
    def saves_setpoints(self) -> bool:
        """Whether each setpoint goes to a memory that wears."""
        ...

    def latest(self) -> LineReading | None:
        """The last reading; None when it failed or is stale."""
        ...

    def refresh(self) -> LineReading:
        """A reading that is taken now; DeviceError if there is none."""
        ...

    def check(self, line_pa: float) -> None:
        """Refuse a line pressure that is not allowed or would not be taken."""
        ...

    def drive_later(self, line_pa: float, ramp_pa_per_second: float) -> Future[None]:
        """Have the line regulated to a pressure at a rate (0: at once); done when confirmed."""
        ...

    def wait_for(self, future: Future[None]) -> None:
        """Return when that is done; DeviceError if it failed."""
        ...

    def hold(self) -> None:
        """Hold the pressure that is there now; never raises."""
        ...


class LoadCell(Part, Protocol):
    """Measures the force on the pellet in N, > 0 in compression."""

    on_reading: list[Callable[[], None]]
    """called after each periodic reading"""

    def latest(self) -> float | None:
        """The last force; None when it failed or is stale."""
        ...

    def refresh(self) -> float:
        """A force that is taken now; DeviceError if there is none."""
        ...
