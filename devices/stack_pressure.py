"""Stack pressure on a pellet: measured by a load cell, applied by a gas line and a piston.

The setpoint of the line is corrected until the load cell reads the target, and now and then afterwards. The
correction never follows a reading that is missing, stale, or far from what the actuator applies; then the
pressure is held. Nothing here lowers the pressure because of an error.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, replace
from math import inf, isfinite, nan
from typing import Any

from ophyd import Component, Device
from ophyd.status import DeviceStatus

from devices.alarm_latch import AlarmLatch
from devices.alicat import AlicatPressureController
from devices.approach import Approach, ApproachTimeoutError, Target
from devices.columns import Column, ColumnSpec
from devices.instrument import AlarmHandler, log_alarm
from devices.mark10 import Mark10LoadCell
from devices.press import Press, Steadiness
from labctl.clock import Clock, MonotonicClock
from labctl.errors import ConfigurationError, DeviceError, InstrumentError, LabctlError, ProtocolError

_SETTLE_SECOND = 5.0  # the line must stand still for so long before it is corrected
_KEEP_SECOND, _KEEP_SAVED_SECOND = 60.0, 600.0  # between corrections once there; saved setpoints wear a memory
_LASTING_LOOKS = 3  # one look may fall between two readings
_TIMEOUT_BASE_SECOND = 300.0


@dataclass(frozen=True)
class PressureOptions:
    """Defaults of every `set`: pressures of the stack in Pa, times of the station's clock in s.

    The tolerance is `tolerance_share` of the target, at least `tolerance_floor_pa`.
    """

    ramp_pa_per_second: float = 0.5e6
    tolerance_share: float = 0.01
    tolerance_floor_pa: float = 0.25e6
    dwell_second: float = 10.0

    def __post_init__(self) -> None:
        for name in ("ramp_pa_per_second", "tolerance_share", "tolerance_floor_pa", "dwell_second"):
            value = getattr(self, name)
            if not (isfinite(value) and value > 0):
                raise ConfigurationError("heated cell", name, value, "must be a number > 0")


@dataclass(frozen=True)
class Look:
    """Load cell and actuator at nearly one moment; the actuator was read before and after."""

    surface_pa: float
    applied_before_pa: float
    applied_pa: float
    line_setpoint_pa: float


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

    readback = Component(
        Column, spec=ColumnSpec("surface_pressure_pa", "float", "Pa"), value=nan, kind="hinted"
    )

    def __init__(
        self,
        prefix: str = "",
        *,
        actuator: AlicatPressureController,
        load_cell: Mark10LoadCell,
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
        self._order = threading.Lock()  # nothing an approach still sends goes out after the hold that ended it
        self._approach: Approach | None = None
        self._goal: Target | None = None  # what is approached or kept
        self._held_pa = nan  # where it was held
        self._ramp_pa_per_second = 0.0  # of the line
        self._line_pa = 0.0  # last setpoint sent
        self._ramp_ends_second = 0.0
        self._steadiness = Steadiness(1.0, _SETTLE_SECOND)
        self._lasting = {"disagreement": 0, "off": 0}
        most = self.pressure_max_pa / press.ratio / (1 - press.correction_max_share)
        given = actuator.line_pressure_max_pa
        if isfinite(most):
            actuator.line_pressure_max_pa = most if given is None else min(given, most)

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

    def read(self) -> dict[str, Any]:
        """The last reading; never touches the wire."""
        self.readback.put(self.position)
        return super().read()

    def _look(self) -> Look:
        """Readings taken now, in any thread but the reader threads; DeviceError if one fails."""
        before = self.actuator.refresh()
        force = self.load_cell.refresh()
        after, ratio = self.actuator.refresh(), self.press.ratio
        surface_pa = force / self.press.pellet_area_m2
        return Look(surface_pa, before.pressure_pa * ratio, after.pressure_pa * ratio, after.setpoint_pa)

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
        here = self.position
        way_pa = abs(stack_pa - here) if isfinite(here) else stack_pa
        dwell = defaults.dwell_second if dwell_second is None else dwell_second
        least = max(defaults.tolerance_share * stack_pa, defaults.tolerance_floor_pa)
        goal = Target(
            value=stack_pa,
            tolerance=least if tolerance_pa is None else tolerance_pa,
            dwell_second=dwell,
            timeout_second=timeout_second or 2 * way_pa / ramp + dwell + _TIMEOUT_BASE_SECOND,
            unit="Pa",
        )
        goal.check(self.name)
        self.check(stack_pa)
        return self._approach_to(goal, ramp / self.press.ratio)

    def _approach_to(self, goal: Target, line_ramp_pa_per_second: float) -> DeviceStatus:
        status = DeviceStatus(self, call_stop_on_failure=False)
        approach = Approach(
            self.name,
            status,
            self._clock,
            goal,
            begin=lambda: self._begin(approach),
            observe=lambda: self._steer(approach),
            fail=lambda error: self._give_up(approach, error),
        )
        with self._order:
            before, self._approach = self._approach, approach
            self._goal, self._held_pa = goal, nan
            self._ramp_pa_per_second = line_ramp_pa_per_second
            self._steadiness = Steadiness(goal.tolerance / 4, _SETTLE_SECOND)
            if before is not None:
                before.end(DeviceError(f"{self.name}: another pressure was asked for"))
        approach.start()
        return status

    def stop(self, *, success: bool = False) -> None:
        """Abandon a ramp and hold here; a pressure that was reached stays regulated. Never raises."""
        approach = self._approach
        stopped = DeviceError(f"{self.name}: stopped, the pressure is held")
        if approach is not None and approach.end(None if success else stopped):
            self.hold()

    def hold(self) -> None:
        """Hold the pressure that is there, whatever is going on; never raises."""
        with self._order:
            approach, self._approach = self._approach, None
            self._goal, self._held_pa = None, self.position
            if approach is not None:
                approach.end(DeviceError(f"{self.name}: held"))
        self.actuator.hold()

    # ---- the approach's thread
    def _begin(self, approach: Approach) -> None:
        look = self._look()
        self._guard(look)
        goal = approach.target
        first = self.press.first_line_pa(goal.value, look.surface_pa, look.applied_pa)
        self._drive(approach, min(first, self.actuator.highest_line_pa), look)

    def _steer(self, approach: Approach) -> float:
        """Pressure on the pellet now; the line is corrected once it stands still."""
        look, now, goal = self._look(), self._clock.now(), approach.target
        self._guard(look)
        steady = self._steadiness.steady(look.surface_pa, now) and now >= self._ramp_ends_second
        if steady and abs(look.surface_pa - goal.value) > goal.tolerance / 2:
            self._correct(goal, look, lambda line_pa: self._drive(approach, line_pa, look))
        return look.surface_pa

    def _guard(self, look: Look) -> None:
        """Do not go on against what the sensors say."""
        if look.surface_pa > self.pressure_max_pa + self.settings.tolerance_floor_pa:
            raise InstrumentError(
                f"{self.name}: the load cell reads {look.surface_pa / 1e6:.4g} MPa, above the limit of "
                f"{self.pressure_max_pa / 1e6:g} MPa"
            )
        applied = sorted((look.applied_before_pa, look.applied_pa))
        apart = self.press.disagree(look.surface_pa, *applied)
        self._lasting["disagreement"] = self._lasting["disagreement"] + 1 if apart else 0
        if self._lasting["disagreement"] >= _LASTING_LOOKS:
            raise InstrumentError(self._apart(look.surface_pa, look.applied_pa))

    def _correct(self, goal: Target, look: Look, drive: Callable[[float], None]) -> None:
        """Move the line's setpoint so that the load cell will read the target, within the bound."""
        wanted, bounded = self.press.corrected_line_pa(goal.value, self._line_pa, look.surface_pa)
        line_pa = min(wanted, self.actuator.highest_line_pa)
        self.alarms.update(
            "correction",
            bounded or line_pa < wanted,
            f"the line would have to go beyond its bound for {goal.value / 1e6:g} MPa; look at piston area, "
            "load cell and leaks",
            value=look.surface_pa,
            limit=goal.value,
        )
        if goal.value > 0 and abs(line_pa - self._line_pa) > 1e-4 * line_pa:
            drive(line_pa)

    def _drive(self, approach: Approach, line_pa: float, look: Look) -> None:
        with self._order:
            sent = None if approach.over else self._send(line_pa)
        if sent is not None:
            self.actuator.wait_for(sent)
            self._expect_ramp(line_pa, look)

    def _send(self, line_pa: float) -> Future[None]:
        self._line_pa = line_pa
        self._steadiness.reset()
        return self.actuator.drive_later(line_pa, self._ramp_pa_per_second)

    def _expect_ramp(self, line_pa: float, look: Look) -> None:
        way_pa = max(abs(line_pa - look.line_setpoint_pa), abs(line_pa - look.applied_pa / self.press.ratio))
        self._ramp_ends_second = self._clock.now() + way_pa / self._ramp_pa_per_second

    def _give_up(self, approach: Approach, error: LabctlError) -> None:
        """An approach has failed: held, unless the pressure only did not come in time."""
        if self._approach is not approach:
            return
        if isinstance(error, ApproachTimeoutError):
            action = f"{error}; it stays regulated there"
        else:
            action = f"{error}; the pressure is held"
        self.alarms.clear("pressure")
        self.alarms.update("pressure", True, action, value=self.position, limit=approach.target.value)
        if not isinstance(error, ApproachTimeoutError):
            self._hold_after(approach, error)

    def _hold_after(self, approach: Approach, error: LabctlError) -> None:
        with self._order:
            self._approach, self._goal, self._held_pa = None, None, self.position
            approach.end(error)
        self.actuator.hold()

    def _apart(self, surface_pa: float, applied_pa: float) -> str:
        return (
            f"{self.name}: load cell ({surface_pa / 1e6:.4g} MPa) and actuator ({applied_pa / 1e6:.4g} MPa) "
            f"differ by more than {self.press.disagreement_share:.0%}"
        )
