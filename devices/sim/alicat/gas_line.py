"""The controlled gas line in front of the press: a setpoint that ramps, valves that regulate or are held."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from math import copysign
from typing import Annotated, Literal

from devices.sim.cell.surroundings import Surroundings
from devices.sim.clock import VirtualClock
from devices.sim.wire.faults import Within

TICK_SECOND = 0.1  # the ramp is followed in such steps of virtual time
_SETTLED_SHARE = 1e-3
Hold = Literal["closed", "position"]


class GasLine:
    """Gauge pressures in Pa. It keeps virtual time passing while the pressure is on its way, and only then.

    The valves are moved at orders and at ticks, never at a look, so that looking changes nothing.

    Args:
        clock: the bench's.
        surroundings: where the line is.
        full_scale_pa: 1 for the shares below.
        supply_pa: pressure of the gas supply: the line cannot go above it.
    """

    def __init__(
        self, clock: VirtualClock, surroundings: Surroundings, *, full_scale_pa: float, supply_pa: float
    ) -> None:
        self._clock, self._surroundings = clock, surroundings
        self._full_scale_pa, self._supply_pa = full_scale_pa, supply_pa
        surroundings.advance_to(clock.now)
        self.target_pa = surroundings.line_pressure_pa
        self.ramp_pa_per_second = 0.0
        self.hold: Hold | None = None
        self._from_pa, self._since_second = self.target_pa, clock.now
        self._goal_pa: float | None = None  # where the valves drive the line; None: both closed
        self._task: asyncio.Task[None] | None = None

    # ---- what it shows
    @property
    def pressure_pa(self) -> float:
        """Gauge pressure now."""
        self._surroundings.advance_to(self._clock.now)
        return self._surroundings.line_pressure_pa

    @property
    def setpoint_pa(self) -> float:
        """The setpoint as far as the ramp has come."""
        if self.ramp_pa_per_second <= 0:
            return self.target_pa
        way = self.target_pa - self._from_pa
        done = self.ramp_pa_per_second * (self._clock.now - self._since_second)
        return self.target_pa if done >= abs(way) else self._from_pa + copysign(done, way)

    # ---- orders
    def set_target(self, gauge_pa: float) -> None:
        """A new setpoint; the ramp starts at the present one."""
        self._restart_ramp()
        self.target_pa = gauge_pa
        self._order()

    def set_ramp(self, pa_per_second: float) -> None:
        """Rate of the setpoint from now on; 0: at once."""
        self._restart_ramp()
        self.ramp_pa_per_second = pa_per_second
        self._order()

    def set_hold(self, hold: Hold | None) -> None:
        """Close the valves, freeze them where they are, or regulate again."""
        self.hold = hold
        self._order()

    def jump_to(self, gauge_pa: float) -> None:
        """A setpoint without ramp or hold, as after switching on."""
        self.ramp_pa_per_second, self.hold, self.target_pa = 0.0, None, gauge_pa
        self._order()

    def leak(self, per_second: Annotated[float, Within(0, 10)]) -> None:
        """The line loses this share of its pressure each second from now on."""
        self._surroundings.advance_to(self._clock.now)
        self._surroundings.leak_per_second = per_second
        self._order()

    def close(self) -> None:
        """Drive no more."""
        if self._task is not None:
            self._task.cancel()

    def _restart_ramp(self) -> None:
        self._from_pa, self._since_second = self.setpoint_pa, self._clock.now

    def _order(self) -> None:
        self._move_valves()
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._follow())
            self._task.add_done_callback(_report_failure)

    # ---- the valves
    async def _follow(self) -> None:
        tick = self._clock.now
        while not self._settled():
            tick += TICK_SECOND
            await self._clock.sleep_until(tick)
            self._move_valves()

    def _move_valves(self) -> None:
        around = self._surroundings
        around.advance_to(self._clock.now)
        if self.hold == "closed":
            self._goal_pa = None
        elif self.hold == "position":
            self._goal_pa = self._frozen_goal()
        else:
            # The controller's integral action replaces what leaks, as far as the supply goes.
            losses = 1 + around.leak_per_second * around.parameters.pressure_second
            self._goal_pa = min(self.setpoint_pa * losses, self._supply_pa)
        if self._goal_pa is None:
            around.hold_line()
        else:
            around.regulate_line(self._goal_pa)

    def _frozen_goal(self) -> float | None:
        """A valve that is open stays open: the line runs on to the supply, or empties."""
        goal, here = self._goal_pa, self._surroundings.line_pressure_pa
        if goal is None or abs(goal - here) <= self._tolerance_pa():
            return None
        return self._supply_pa if goal > here else 0.0

    def _settled(self) -> bool:
        if self.hold is None and self.setpoint_pa != self.target_pa:
            return False
        if self._goal_pa is None:
            return True
        around = self._surroundings
        steady = self._goal_pa / (1 + around.leak_per_second * around.parameters.pressure_second)
        return abs(around.line_pressure_pa - steady) <= self._tolerance_pa()

    def _tolerance_pa(self) -> float:
        return _SETTLED_SHARE * max(self.setpoint_pa, 0.01 * self._full_scale_pa)


def _report_failure(task: asyncio.Task[None]) -> None:
    """A fault of the emulator itself goes to the log at once."""
    error = None if task.cancelled() else task.exception()
    if error is not None:
        handler: Callable[[dict[str, object]], None] = asyncio.get_running_loop().call_exception_handler
        handler({"message": "the gas line failed", "exception": error})
