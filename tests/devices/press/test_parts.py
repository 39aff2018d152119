"""A heated cell asks no more of its instruments than `devices.press.parts` says: anybody may make them."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass

import pytest
from ophyd import Device
from ophyd.status import DeviceStatus

from devices.core.instrument import AlarmHandler, log_alarm
from devices.core.protocols import Identity
from devices.press.heated_cell import HeatedPressureCell
from labctl.records.limits import Limits

AREA_M2, PISTON_M2, MPA = 1e-4, 1e-3, 1e6


class HomeMade:
    """What all three have in common; nothing of labctl's instruments is in it."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._identity: Identity | None = None

    @property
    def name(self) -> str:
        return self._name

    @property
    def identity(self) -> Identity | None:
        return self._identity

    def connect(self) -> Identity:
        self._identity = Identity("the workshop", self.name, f"{self.name} 1", "1")
        return self._identity

    def disconnect(self) -> None:
        self._identity = None

    def refresh_later(self) -> Future[None]:
        return _done()

    def metadata(self) -> dict[str, object]:
        return {"maker": "the workshop"}


def _done() -> Future[None]:
    future: Future[None] = Future()
    future.set_result(None)
    return future


@dataclass
class Warmth:
    temperature_celsius: float
    setpoint_celsius: float


class Oven(HomeMade):
    """Is at its setpoint at once."""

    def __init__(self) -> None:
        super().__init__("oven")
        self.on_alarm: AlarmHandler = log_alarm
        self.limits = Limits()
        self._celsius = 25.0

    def latest(self) -> Warmth | None:
        return Warmth(self._celsius, self._celsius)

    def check_setpoint(self, celsius: float, ramp_kelvin_per_minute: float | None = None) -> float:
        return celsius

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
        self._celsius = celsius
        status = DeviceStatus(Device("", name=self.name))
        status.set_finished()
        return status

    def stop(self, *, success: bool = False) -> None:
        """It does not ramp."""


@dataclass
class Gas:
    pressure_pa: float
    setpoint_pa: float


class Pump(HomeMade):
    """Is at its setpoint at once, and a little below what it says."""

    line_pressure_max_pa: float | None = None
    highest_line_pa = 20 * MPA
    saves_setpoints = False

    def __init__(self) -> None:
        super().__init__("pump")
        self.line_pa = 0.0
        self.held = 0

    def latest(self) -> Gas | None:
        return Gas(self.line_pa, self.line_pa)

    def refresh(self) -> Gas:
        return Gas(self.line_pa, self.line_pa)

    def check(self, line_pa: float) -> None:
        """Anything goes."""

    def drive_later(self, line_pa: float, ramp_pa_per_second: float) -> Future[None]:
        self.line_pa = line_pa
        return _done()

    def wait_for(self, future: Future[None]) -> None:
        future.result()

    def hold(self) -> None:
        self.held += 1


class Scale(HomeMade):
    """Reads 4 % less than the piston of `pump` presses with: friction."""

    def __init__(self, pump: Pump) -> None:
        super().__init__("scale")
        self.on_reading: list[Callable[[], None]] = []
        self._pump = pump

    def latest(self) -> float | None:
        return self.refresh()

    def refresh(self) -> float:
        return 0.96 * self._pump.line_pa * PISTON_M2


class SteppedClock:
    """Passes as it is slept on."""

    def __init__(self) -> None:
        self._second = 0.0

    def now(self) -> float:
        return self._second

    def sleep(self, seconds: float) -> None:
        self._second += seconds


def test_a_cell_may_be_made_of_instruments_that_no_driver_of_ours_knows() -> None:
    pump = Pump()
    cell = HeatedPressureCell(
        name="cell",
        temperature=Oven(),
        actuator=pump,
        load_cell=Scale(pump),
        pellet_area_m2=AREA_M2,
        piston_area_m2=PISTON_M2,
        limits=Limits(pressure_max_pa=80 * MPA, temperature_max_celsius=90.0),
        clock=SteppedClock(),
    )
    cell.connect()
    assert cell.temperature.limits.temperature_max_celsius == 90.0
    assert pump.line_pressure_max_pa == pytest.approx(8 * MPA / 0.85)
    cell.check_temperature(60.0)
    cell.check_pressure(50 * MPA)
    cell.temperature.set(60.0).wait(5)
    cell.pressure.set(50 * MPA).wait(30)
    now = cell.environment()
    assert now["surface_pressure_pa"] == pytest.approx(50 * MPA, rel=0.01)
    assert now["applied_pressure_pa"] == pytest.approx(50 * MPA / 0.96, rel=0.01)
    assert now["temperature_t1_celsius"] == 60.0
    cell.trigger().wait(5)
    assert cell.check_reading().startswith("50.")
    assert cell.metadata()["load_cell"] == {"maker": "the workshop"}
    cell.hold()
    assert pump.held == 1
    cell.disconnect()
    assert cell.identity is None
