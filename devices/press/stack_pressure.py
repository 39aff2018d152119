"""Stack pressure on a pellet: measured by a load cell, applied by a gas line and a piston.

The setpoint of the line is corrected until the load cell reads the target, and now and then afterwards. The
correction never follows a reading that is missing, stale, or far from what the actuator applies; then the
pressure is held. Nothing here lowers the pressure because of an error.
"""

from __future__ import annotations

from math import inf, isfinite, nan
from typing import Any

from ophyd import Component, Device
from ophyd.status import DeviceStatus

from devices.core.columns import Column
from devices.core.instrument import AlarmHandler, AlarmLatch, log_alarm
from devices.core.settling import Approach, SettlingTimeoutError, Target
from devices.press.drive import PressureDrive
from devices.press.geometry import Press, PressureOptions
from devices.press.parts import LoadCell, PressureActuator
from labctl.clock import Clock, MonotonicClock
from labctl.errors import DeviceError, InstrumentError, LabctlError, ProtocolError
from labctl.schema import COLUMNS, SURFACE_PRESSURE

_TIMEOUT_BASE_SECOND = 300.0


class StackPressure(Device):
    """Settable pressure on the pellet; made by the heated cell.

    Args:
        prefix: of no meaning.
        actuator: controls the gas line.
        load_cell: measures the force on the pellet.
        press: the areas.
        pressure_max_pa: neither set nor passed.
        settings: defaults of every `set`.
        clock: the station's.
        on_alarm: called with kind, source, value, limit, action when something is wrong.
        options: of an ophyd device.
    """

    readback = Component(Column, spec=COLUMNS[SURFACE_PRESSURE], value=nan, kind="hinted")

    def __init__(
        self,
        prefix: str = "",
        *,
        actuator: PressureActuator,
        load_cell: LoadCell,
        press: Press,
        pressure_max_pa: float | None = None,
        settings: PressureOptions | None = None,
        clock: Clock | None = None,
        on_alarm: AlarmHandler = log_alarm,
        **options: Any,
    ) -> None:
        super().__init__(prefix, **options)
        self.readback.name = self.name
        self.actuator, self.load_cell, self.press = actuator, load_cell, press
        self.pressure_max_pa = inf if pressure_max_pa is None else pressure_max_pa
        self.settings = settings or PressureOptions()
        self.on_alarm = on_alarm
        self.alarms = AlarmLatch(lambda **alarm: self.on_alarm(source=self.name, **alarm))
        self._clock = clock or MonotonicClock()
        self._drive = PressureDrive(
            actuator,
            load_cell,
            press,
            excess_pa=self.excess_pa,
            clock=self._clock,
            alarms=self.alarms,
        )
        self._approach: Approach | None = None
        self._goal: Target | None = None
        self._held_pa = nan
        self._bound_the_line()

    def _bound_the_line(self) -> None:
        """The actuator shall refuse, whoever asks it, what no correction could need."""
        most = self.pressure_max_pa / self.press.ratio / (1 - self.press.correction_max_share)
        given = self.actuator.line_pressure_max_pa
        if isfinite(most):
            self.actuator.line_pressure_max_pa = most if given is None else min(given, most)

    # ---- readings
    @property
    def position(self) -> float:
        """Pressure on the pellet now (Pa), from the load cell; NaN without a valid reading."""
        force = self.load_cell.latest()
        return nan if force is None else force / self.press.pellet_area_m2

    @property
    def applied_pa(self) -> float:
        """What line pressure and areas say (Pa); NaN without a valid reading."""
        state = self.actuator.latest()
        return nan if state is None else state.pressure_pa * self.press.ratio

    @property
    def setpoint_pa(self) -> float:
        """Stack pressure that is asked for or held; until one is, the actuator's setpoint times the ratio."""
        if self._goal is not None:
            return self._goal.value
        if isfinite(self._held_pa):
            return self._held_pa
        state = self.actuator.latest()
        return nan if state is None else state.setpoint_pa * self.press.ratio

    @property
    def excess_pa(self) -> float:
        """A reading above this (Pa) is above the limit, beyond doubt."""
        return self.pressure_max_pa + self.settings.tolerance_floor_pa

    @property
    def moving(self) -> bool:
        """Whether a `set` is under way."""
        approach = self._approach
        return approach is not None and not approach.over

    @property
    def goal(self) -> Target | None:
        """What is approached or kept; None where nothing was set, or the pressure is held."""
        return self._goal

    @property
    def held_pa(self) -> float:
        """Where the pressure was held; NaN where it is not."""
        return self._held_pa

    def read(self) -> Any:
        """The last reading; never touches the wire."""
        self.readback.put(self.position)
        return super().read()

    def check_reading(self) -> str:
        """Load cell and actuator now; DeviceError if one has no reading or they disagree."""
        look = self._drive.look()
        if self.press.disagree(look.surface_pa, *sorted((look.applied_before_pa, look.applied_pa))):
            raise InstrumentError(f"{self.name}: {self.press.apart(look.surface_pa, look.applied_pa)}")
        return f"{look.surface_pa / 1e6:.3f} MPa at the load cell, {look.applied_pa / 1e6:.3f} MPa applied"

    # ---- orders
    def check(self, stack_pa: float) -> None:
        """Refuse a stack pressure that is not allowed or cannot be brought about.

        Raises:
            ProtocolError: names the value and the limit; nothing was sent.
            DeviceError: an instrument is not connected, or does not take setpoints.
        """
        if not (isfinite(stack_pa) and stack_pa >= 0):
            raise ProtocolError(f"{self.name}: stack pressure = {stack_pa!r} Pa: must be a number >= 0 Pa")
        if stack_pa > self.pressure_max_pa:
            raise ProtocolError(
                f"{self.name}: stack pressure = {stack_pa / 1e6:g} MPa: must not exceed pressure_max_pa, "
                f"{self.pressure_max_pa / 1e6:g} MPa (of station, cell or die)"
            )
        if self.load_cell.identity is None:
            raise DeviceError(f"{self.name}: the load cell {self.load_cell.name} is not connected")
        self.actuator.check(stack_pa / self.press.ratio)

    def set(
        self,
        stack_pa: float,
        *,
        ramp_pa_per_second: float | None = None,
        tolerance_pa: float | None = None,
        dwell_second: float | None = None,
        timeout_second: float | None = None,
    ) -> DeviceStatus:
        """Bring the pellet to a stack pressure and keep it there.

        Args:
            stack_pa: pressure on the pellet, Pa.
            ramp_pa_per_second: rate of the stack pressure.
            tolerance_pa: how near it must come.
            dwell_second: for how long it must stay near before the status is done.
            timeout_second: default twice the ramp's time and 5 min; then the status fails, and the pressure
                stays regulated where it is.

        Raises:
            ProtocolError: not allowed; nothing was sent.
        """
        defaults = self.settings
        ramp = defaults.ramp_pa_per_second if ramp_pa_per_second is None else ramp_pa_per_second
        if not (isfinite(ramp) and ramp > 0):
            raise ProtocolError(f"{self.name}: ramp_pa_per_second = {ramp!r}: must be a number > 0")
        dwell = defaults.dwell_second if dwell_second is None else dwell_second
        here = self.position
        way_pa = abs(stack_pa - here) if isfinite(here) else stack_pa
        longest = 2 * way_pa / ramp + dwell + _TIMEOUT_BASE_SECOND
        goal = Target(
            value=stack_pa,
            tolerance=defaults.tolerance_pa(stack_pa) if tolerance_pa is None else tolerance_pa,
            dwell_second=dwell,
            timeout_second=longest if timeout_second is None else timeout_second,
            unit="Pa",
        )
        self.check(stack_pa)
        goal.check(self.name)
        return self._approach_to(goal, ramp)

    def _approach_to(self, goal: Target, ramp_pa_per_second: float) -> DeviceStatus:
        status = DeviceStatus(self, call_stop_on_failure=False)
        approach = Approach(
            self.name,
            status,
            self._clock,
            goal,
            begin=lambda: self._drive.begin(goal, lambda: approach.over),
            observe=lambda: self._drive.steer(goal, lambda: approach.over),
            on_failure=lambda error: self._give_up(approach, error),
        )
        with self._drive.order:
            before, self._approach = self._approach, approach
            self._goal, self._held_pa = goal, nan
            self._drive.aim(goal, ramp_pa_per_second)
            if before is not None:
                before.end(DeviceError(f"{self.name}: another pressure was requested"))
        approach.start()
        return status

    def correct(self) -> None:
        """Correct a pressure that was reached and is kept; DeviceError if the sensors do not allow it."""
        goal = self._goal
        if goal is not None and not self.moving:
            self._drive.correct(goal, lambda: self._goal is not goal or self.moving)

    def stop(self, *, success: bool = False) -> None:
        """Abandon a ramp and hold here; a pressure that was reached stays regulated. Never raises."""
        approach = self._approach
        stopped = DeviceError(f"{self.name}: stopped, the pressure is held")
        if approach is not None and approach.end(None if success else stopped):
            self.hold()

    def hold(self) -> None:
        """Hold the pressure that is there, whatever is going on; never raises."""
        with self._drive.order:
            approach, self._approach = self._approach, None
            self._goal, self._held_pa = None, self.position
            if approach is not None:
                approach.end(DeviceError(f"{self.name}: held"))
        self.actuator.hold()

    def _give_up(self, approach: Approach, error: LabctlError) -> None:
        """An approach has failed: held, unless the pressure only did not come in time."""
        late = isinstance(error, SettlingTimeoutError)
        with self._drive.order:
            if self._approach is not approach:
                return
            if not late:
                self._approach, self._goal, self._held_pa = None, None, self.position
        if not late:
            self.actuator.hold()
        action = f"{error}; it stays regulated" if late else f"{error}; the pressure is held"
        self.alarms.clear("pressure")
        self.alarms.update("pressure", True, action, value=self.position, limit=approach.target.value)
