"""What a heated cell needs of a temperature controller, whatever it is."""

from __future__ import annotations

from concurrent.futures import Future
from typing import Any, Protocol

from ophyd.status import DeviceStatus

from devices.core.instrument import AlarmHandler
from devices.core.protocols import Identity
from labctl.records.limits import Limits


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


class TemperatureController(Protocol):
    """What the cell needs of a temperature controller; `stop` holds the temperature of now."""

    on_alarm: AlarmHandler
    limits: Limits
    """What `set` refuses beyond, by `temperature_max_celsius`; the cell narrows them by its own."""

    @property
    def name(self) -> str:
        """As in the session."""
        ...

    @property
    def identity(self) -> Identity | None:
        """Who it says it is; None before it was connected."""
        ...

    def connect(self) -> Any:
        """Open the port; nothing happens when it is open."""
        ...

    def disconnect(self) -> None:
        """Let go of the port."""
        ...

    def latest(self) -> TemperatureReading | None:
        """The last reading; None when it failed or is stale."""
        ...

    def refresh_later(self) -> Future[Any]:
        """Have a reading taken now."""
        ...

    def check_setpoint(self, celsius: float, ramp_kelvin_per_minute: float | None = None) -> float:
        """Refuse what is not allowed; the setpoint as the controller can hold it."""
        ...

    def set(self, celsius: float, /, **options: Any) -> DeviceStatus:
        """Go there and stay; done inside a tolerance for a dwell."""
        ...

    def stop(self, *, success: bool = False) -> None:
        """Abandon a ramp and hold here."""
        ...

    def metadata(self) -> dict[str, Any]:
        """For the start document."""
        ...
