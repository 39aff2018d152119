"""The heated die under stack pressure: temperature controller, gas line with a piston, load cell."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import fields
from math import isfinite, nan, pi
from typing import Any, TypeVar

from ophyd import Component, Device
from ophyd.status import DeviceStatus

from devices.core.columns import Column
from devices.core.instrument import AlarmHandler, log_alarm
from devices.core.protocols import Identity
from devices.press.geometry import Press, PressureOptions
from devices.press.keeper import PressureKeeper
from devices.press.parts import LoadCell, Part, PressureActuator, TemperatureController
from devices.press.stack_pressure import StackPressure
from labctl.clock import Clock, MonotonicClock
from labctl.errors import ConfigurationError, DeviceError, ProtocolError
from labctl.records.limits import Limits
from labctl.schema import (
    APPLIED_PRESSURE,
    COLUMNS,
    PRESSURE_SETPOINT,
    SURFACE_PRESSURE,
    TEMPERATURE,
    TEMPERATURE_SETPOINT,
)

T = TypeVar("T")


class HeatedPressureCell(Device):
    """A die with a heater, a press and a load cell. `temperature` (degC) and `pressure` (Pa) are settable.

    `temperature` is the temperature controller itself. `pressure` is the stack pressure P = F/A of the load
    cell, brought about by the actuator's line pressure on the piston, and corrected; see `StackPressure`.
    Connecting and disconnecting change nothing at the instruments. The five signals are the columns of the
    stream `environment`; `pressure_setpoint_pa` is the stack pressure asked for or held, and before any was,
    the actuator's setpoint times the ratio of areas.

    Args:
        prefix: of no meaning.
        temperature: the temperature controller.
        actuator: controls the gas line.
        load_cell: measures the force on the pellet.
        pellet_area_m2: cross-section of the pellet; from its diameter if that is given instead.
        pellet_diameter_m: diameter of the pellet.
        piston_area_m2: on which the line pressure acts; from the ratio if that is given instead.
        intensifier_ratio: stack pressure per line pressure.
        correction_max_share: so far may the line be corrected from what the areas say.
        disagreement_share: load cell and actuator may differ by this share (and by `disagreement_floor_pa`).
        disagreement_floor_pa: see there.
        limits: station limits narrowed by the cell's; `pressure_max_pa` is that of the stack.
        die_pressure_max_pa: a further limit of the stack pressure, of a die that `limits` do not know.
        settings: defaults of `pressure.set`, see `PressureOptions`; as a mapping from a station file.
        clock: the station's.
        on_alarm: called with kind, source, value, limit, action when something is wrong.
        options: of an ophyd device: name.
    """

    temperature_t1_celsius = Component(Column, spec=COLUMNS[TEMPERATURE], value=nan, kind="hinted")
    temperature_setpoint_celsius = Component(
        Column, spec=COLUMNS[TEMPERATURE_SETPOINT], value=nan, kind="normal"
    )
    applied_pressure_pa = Component(Column, spec=COLUMNS[APPLIED_PRESSURE], value=nan, kind="normal")
    pressure_setpoint_pa = Component(Column, spec=COLUMNS[PRESSURE_SETPOINT], value=nan, kind="normal")
    surface_pressure_pa = Component(Column, spec=COLUMNS[SURFACE_PRESSURE], value=nan, kind="hinted")

    def __init__(
        self,
        prefix: str = "",
        *,
        temperature: TemperatureController,
        actuator: PressureActuator,
        load_cell: LoadCell,
        pellet_area_m2: float | None = None,
        pellet_diameter_m: float | None = None,
        piston_area_m2: float | None = None,
        intensifier_ratio: float | None = None,
        correction_max_share: float = 0.15,
        disagreement_share: float = 0.10,
        disagreement_floor_pa: float = 1e6,
        limits: Limits | None = None,
        die_pressure_max_pa: float | None = None,
        settings: PressureOptions | Mapping[str, float] | None = None,
        clock: Clock | None = None,
        on_alarm: AlarmHandler = log_alarm,
        **options: Any,
    ) -> None:
        super().__init__(prefix, **options)
        self.limits = limits or Limits()
        self.on_alarm = on_alarm
        self._clock = clock or MonotonicClock()
        area = _one_of(
            self.name,
            ("pellet_area_m2", pellet_area_m2, lambda m2: m2),
            ("pellet_diameter_m", pellet_diameter_m, lambda metre: pi * metre**2 / 4),
        )
        piston = _one_of(
            self.name,
            ("piston_area_m2", piston_area_m2, lambda m2: m2),
            ("intensifier_ratio", intensifier_ratio, lambda ratio: ratio * area),
        )
        self.press = Press(area, piston, correction_max_share, disagreement_share, disagreement_floor_pa)
        self.temperature, self.actuator, self.load_cell = temperature, actuator, load_cell
        most = [p for p in (self.limits.pressure_max_pa, die_pressure_max_pa) if p is not None]
        self.pressure = StackPressure(
            name=f"{self.name}_pressure",
            parent=self,
            actuator=actuator,
            load_cell=load_cell,
            press=self.press,
            pressure_max_pa=min(most, default=None),
            settings=_options(self.name, settings),
            clock=self._clock,
            on_alarm=lambda **alarm: self.on_alarm(**alarm),
        )
        self._keeper = PressureKeeper(self.pressure, self._clock)
        self._bound_the_heater()

    def _bound_the_heater(self) -> None:
        """The controller shall refuse, whoever asks it, what is too hot for the cell."""
        own = Limits(temperature_max_celsius=self.limits.temperature_max_celsius)
        self.temperature.limits = self.temperature.limits.narrowed_by(own)

    @property
    def _parts(self) -> tuple[Part, ...]:
        return self.temperature, self.actuator, self.load_cell

    # ---- connection
    def connect(self) -> None:
        """Connect the three instruments, where they are not, and look after the pressure from now on.

        Raises:
            DeviceError: names each instrument that cannot be connected; the others are let go of again.
        """
        connected: list[Part] = []
        failures: list[str] = []
        for part in self._parts:
            try:
                part.connect()
                connected.append(part)
            except DeviceError as error:
                failures.append(f"{part.name}: {error}")
        if failures:
            for part in connected:
                part.disconnect()
            raise DeviceError("; ".join(failures))
        if self._keeper.look not in self.load_cell.on_reading:
            self.load_cell.on_reading.append(self._keeper.look)

    def disconnect(self) -> None:
        """Abandon what is under way, holding, and let go of the instruments; may be called twice."""
        if self._keeper.look in self.load_cell.on_reading:
            self.load_cell.on_reading.remove(self._keeper.look)
        self.pressure.stop()
        for part in self._parts:
            part.disconnect()

    # ---- readings
    def environment(self) -> dict[str, float]:
        """The last row of the stream `environment`, without its time; NaN where a reading failed or is stale.

        Never touches the wire; `trigger` has readings taken.
        """
        heat = self.temperature.latest()
        return {
            TEMPERATURE: nan if heat is None else heat.temperature_celsius,
            TEMPERATURE_SETPOINT: nan if heat is None else heat.setpoint_celsius,
            APPLIED_PRESSURE: self.pressure.applied_pa,
            PRESSURE_SETPOINT: self.pressure.setpoint_pa,
            SURFACE_PRESSURE: self.pressure.position,
        }

    def read(self) -> Any:
        """The last readings; never touches the wire."""
        for name, value in self.environment().items():
            getattr(self, name).put(value)
        return super().read()

    def trigger(self) -> DeviceStatus:
        """Have all readings taken now; done when they have come or failed (a failure is NaN and an alarm)."""
        status = DeviceStatus(self, call_stop_on_failure=False)
        asked = [part.refresh_later() for part in self._parts if part.identity is not None]
        _when_all_done(asked, status.set_finished)
        return status

    # ---- orders
    def check_temperature(self, celsius: float, ramp_kelvin_per_minute: float | None = None) -> None:
        """Refuse a temperature beyond the limits, or beyond the controller's own once it is connected.

        Raises:
            ProtocolError: names the value and the limit.
        """
        if not isfinite(celsius):
            raise ProtocolError(f"{self.name}: temperature = {celsius!r} degC: must be a number")
        most = self.limits.temperature_max_celsius
        if most is not None and celsius > most:
            raise ProtocolError(
                f"{self.name}: temperature = {celsius:g} degC: must not exceed temperature_max_celsius, "
                f"{most:g} degC (of station or cell)"
            )
        if self.temperature.identity is not None:
            self.temperature.check_setpoint(celsius, ramp_kelvin_per_minute)

    def check_pressure(self, stack_pa: float) -> None:
        """Refuse a stack pressure beyond the limits, or that the press cannot bring about once connected.

        Raises:
            ProtocolError: names the value and the limit.
        """
        if stack_pa > self.pressure.pressure_max_pa or self.load_cell.identity is not None:
            self.pressure.check(stack_pa)

    def stop(self, *, success: bool = False) -> None:
        """Abandon the ramps and hold here; what was reached stays regulated. Never raises."""
        self.pressure.stop(success=success)
        self.temperature.stop(success=success)

    def hold(self) -> None:
        """Hold the stack pressure that is there, whatever is going on (the safe state); never raises."""
        self.pressure.hold()

    @property
    def identity(self) -> Identity | None:
        """What it is made of; None unless all three parts are connected."""
        parts = [part.identity for part in self._parts]
        known = [part for part in parts if part is not None]
        if len(known) < len(parts):
            return None
        return Identity("labctl", "heated pressure cell", ", ".join(part.serial for part in known), "-")

    def check_reading(self) -> str:
        """Pressures and temperature now, for `labctl check`; DeviceError if the sensors disagree."""
        heat = self.temperature.latest()
        warmth = "no temperature" if heat is None else f"{heat.temperature_celsius:.1f} degC"
        return f"{self.pressure.check_reading()}; {warmth}"

    def check_limits(self) -> str:
        """Highest stack pressure, for `labctl check`."""
        most = self.pressure.pressure_max_pa
        return f"stack up to {most / 1e6:g} MPa" if isfinite(most) else "none"

    def metadata(self) -> dict[str, Any]:
        """The three instruments, areas and limits, for the start document."""
        most = self.pressure.pressure_max_pa
        return {
            "temperature": self.temperature.metadata(),
            "actuator": self.actuator.metadata(),
            "load_cell": self.load_cell.metadata(),
            "pellet_area_m2": self.press.pellet_area_m2,
            "piston_area_m2": self.press.piston_area_m2,
            "pressure_max_pa": most if isfinite(most) else None,
        }


def _one_of(name: str, *ways: tuple[str, float | None, Callable[[float], float]]) -> float:
    """The value of the one way in which it is given."""
    given = [(way, value, convert) for way, value, convert in ways if value is not None]
    if len(given) != 1:
        raise ConfigurationError(
            name, " / ".join(way for way, *_ in ways), None, "exactly one of them must be given"
        )
    way, value, convert = given[0]
    if not value > 0:
        raise ConfigurationError(name, way, value, "must be > 0")
    return convert(value)


def _options(name: str, settings: PressureOptions | Mapping[str, float] | None) -> PressureOptions | None:
    if settings is None or isinstance(settings, PressureOptions):
        return settings
    try:
        return PressureOptions(**settings)
    except TypeError as error:
        known = ", ".join(field.name for field in fields(PressureOptions))
        raise ConfigurationError(
            name, "settings", dict(settings), f"must be numbers among {known}"
        ) from error


def _when_all_done(futures: list[Future[T]], then: Callable[[], None]) -> None:
    """Call `then` once, after the last of `futures`."""
    left = set(futures)
    if not left:
        then()

    def done(future: Future[T]) -> None:
        left.discard(future)
        if not left:
            then()

    for future in futures:
        future.add_done_callback(done)
