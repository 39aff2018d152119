"""Moves the gas line so that the load cell reads a target; never against what the sensors say."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from math import inf

from devices.core.instrument import AlarmLatch
from devices.core.settling import Target
from devices.press.geometry import Press, Steadiness
from devices.press.parts import LoadCell, PressureActuator
from labctl.clock import Clock
from labctl.errors import InstrumentError

LASTING_LOOKS = 3  # so often in a row before load cell and actuator count as apart
_SETTLE_SECOND = 5.0  # the pressure must stand still for so long before the line is corrected
_LEAST_CORRECTION_SHARE = 1e-4
Over = Callable[[], bool]


@dataclass(frozen=True)
class Look:
    """Load cell and actuator at nearly one moment; the actuator was read before and after."""

    surface_pa: float
    applied_before_pa: float
    applied_pa: float
    line_setpoint_pa: float


class PressureDrive:
    """Load cell and gas line as one; all pressures but those named `line` are of the stack, in Pa.

    Whoever drives says by `over` whether it still may: `order` is held while that is asked and the setpoint
    is handed to the actuator, so that nothing goes out after the hold that ended it.

    Args:
        actuator: controls the gas line.
        load_cell: measures the force on the pellet.
        press: the areas.
        excess_pa: a reading above this is not gone on with.
        clock: the station's.
        alarms: takes what is wrong with the correction.
    """

    def __init__(
        self,
        actuator: PressureActuator,
        load_cell: LoadCell,
        press: Press,
        *,
        excess_pa: float,
        clock: Clock,
        alarms: AlarmLatch,
    ) -> None:
        self.order = threading.Lock()
        self._actuator, self._load_cell, self._press = actuator, load_cell, press
        self._excess_pa, self._clock, self._alarms = excess_pa, clock, alarms
        self._line_pa = 0.0  # the last setpoint sent
        self._line_ramp_pa_per_second = 0.0
        self._ramp_ends_second = -inf
        self._steadiness = Steadiness(1.0, _SETTLE_SECOND)
        self._apart_looks = 0
        self._lowering = False  # from above the limit one may only go down

    def aim(self, goal: Target, ramp_pa_per_second: float) -> None:
        """A new target, and the rate of the stack pressure on the way there."""
        self._line_ramp_pa_per_second = ramp_pa_per_second / self._press.ratio
        self._steadiness = Steadiness(goal.tolerance / 4, _SETTLE_SECOND)
        self._apart_looks = 0

    def look(self) -> Look:
        """Readings taken now, in any thread but the reader threads; DeviceError if one fails."""
        before = self._actuator.refresh()
        force = self._load_cell.refresh()
        after, ratio = self._actuator.refresh(), self._press.ratio
        surface_pa = force / self._press.pellet_area_m2
        return Look(surface_pa, before.pressure_pa * ratio, after.pressure_pa * ratio, after.setpoint_pa)

    def begin(self, goal: Target, over: Over) -> None:
        """Send the line on its way."""
        look = self.look()
        self._lowering = goal.value < look.surface_pa
        self._guard(look)
        first = self._press.first_line_pa(goal.value, look.surface_pa, look.applied_pa)
        self._drive(min(first, self._actuator.highest_line_pa), look, over)

    def steer(self, goal: Target, over: Over) -> float:
        """Pressure on the pellet now; the line is corrected once it stands still."""
        look, now = self.look(), self._clock.now()
        self._guard(look)
        steady = self._steadiness.steady(look.surface_pa, now) and now >= self._ramp_ends_second
        if steady and abs(look.surface_pa - goal.value) > goal.tolerance / 2:
            self._correct(goal, look, over)
        return look.surface_pa

    def correct(self, goal: Target, over: Over) -> None:
        """Correct a pressure that was reached; nothing is done if the sensors say that something is wrong."""
        look = self.look()
        self._guard(look)
        self._correct(goal, look, over)

    def _guard(self, look: Look) -> None:
        if look.surface_pa > self._excess_pa and not self._lowering:
            raise InstrumentError(
                f"the load cell reads {look.surface_pa / 1e6:.4g} MPa, above the limit of the stack pressure"
            )
        apart = self._press.disagree(look.surface_pa, *sorted((look.applied_before_pa, look.applied_pa)))
        self._apart_looks = self._apart_looks + 1 if apart else 0
        if self._apart_looks >= LASTING_LOOKS:
            raise InstrumentError(self._press.apart(look.surface_pa, look.applied_pa))

    def _correct(self, goal: Target, look: Look, over: Over) -> None:
        """Move the line's setpoint so that the load cell will read the target, within the bound."""
        if goal.value <= 0:
            return
        wanted, bounded = self._press.corrected_line_pa(goal.value, self._line_pa, look.surface_pa)
        line_pa = min(wanted, self._actuator.highest_line_pa)
        self._alarms.update(
            "correction",
            bounded or line_pa < wanted,
            f"the line is at the bound of its correction, and {goal.value / 1e6:g} MPa are not reached; look "
            "at piston area, load cell and leaks",
            value=look.surface_pa,
            limit=goal.value,
        )
        if abs(line_pa - self._line_pa) > _LEAST_CORRECTION_SHARE * line_pa:
            self._drive(line_pa, look, over)

    def _drive(self, line_pa: float, look: Look, over: Over) -> None:
        with self.order:
            if over():
                return
            self._line_pa = line_pa
            sent = self._actuator.drive_later(line_pa, self._line_ramp_pa_per_second)
        self._actuator.wait_for(sent)
        self._steadiness.reset()
        way_pa = max(abs(line_pa - look.line_setpoint_pa), abs(line_pa - look.applied_pa / self._press.ratio))
        self._ramp_ends_second = self._clock.now() + way_pa / self._line_ramp_pa_per_second
