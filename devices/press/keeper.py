"""Looks after a stack pressure that was reached or held: slow corrections, and alarms when it goes astray.

It looks at the last readings whenever the load cell has a new one, and touches the wire only to correct. It
never waits on the clock, so that a simulated one does not run because somebody looks.
"""

from __future__ import annotations

from math import isnan, nan

from devices.press.drive import LASTING_LOOKS
from devices.press.stack_pressure import StackPressure
from labctl.clock import Clock

CORRECT_EVERY_SECOND = 60.0
CORRECT_SAVED_EVERY_SECOND = 600.0  # where each setpoint is written to a memory that wears
_ASTRAY_TOLERANCES = 2.0
_HELD_SHARE = 0.02  # a held pressure may change so much, by temperature


class PressureKeeper:
    """Looks at one stack pressure; `look` is called after each reading of the load cell."""

    def __init__(self, pressure: StackPressure, clock: Clock) -> None:
        self._pressure, self._clock = pressure, clock
        self._looks: dict[str, int] = {}
        self._corrected_second = -float("inf")

    def look(self) -> None:
        """Take the last readings into account; nothing is done on one that is missing or stale."""
        pressure = self._pressure
        surface_pa, applied_pa = pressure.position, pressure.applied_pa
        if pressure.moving:  # the approach looks for itself, more closely
            self._looks.clear()
            return
        if isnan(surface_pa) or isnan(applied_pa):
            return
        apart = pressure.press.disagree(surface_pa, applied_pa, applied_pa)
        words = pressure.press.apart(surface_pa, applied_pa)
        apart = self._note("disagreement", apart, words, surface_pa, applied_pa)
        self._look_for_excess(surface_pa)
        self._look_at_hold(surface_pa)
        self._keep(surface_pa, apart)

    def _look_for_excess(self, surface_pa: float) -> None:
        pressure = self._pressure
        most = pressure.pressure_max_pa
        excess = surface_pa > pressure.excess_pa
        held = not isnan(pressure.held_pa)
        if self._note("over_pressure", excess, "above the limit; the pressure is held", surface_pa, most):
            if not held:
                pressure.hold()

    def _look_at_hold(self, surface_pa: float) -> None:
        pressure, held_pa = self._pressure, self._pressure.held_pa
        band = max(_HELD_SHARE * held_pa, pressure.settings.tolerance_floor_pa)
        changed = not isnan(held_pa) and abs(surface_pa - held_pa) > band
        self._note("held_pressure", changed, "it changes while held: a leak?", surface_pa, held_pa)

    def _keep(self, surface_pa: float, apart: bool) -> None:
        pressure, goal = self._pressure, self._pressure.goal
        off_pa = abs(surface_pa - goal.value) if goal is not None else nan
        tolerance = goal.tolerance if goal is not None else nan
        target = goal.value if goal is not None else nan
        astray = off_pa > _ASTRAY_TOLERANCES * tolerance
        self._note("astray", astray, "the pressure does not stay at its target", surface_pa, target)
        drifted = self._lasts("drift", off_pa > tolerance / 2)
        if not drifted or apart:
            return
        now = self._clock.now()
        every = CORRECT_SAVED_EVERY_SECOND if pressure.actuator.saves_setpoints else CORRECT_EVERY_SECOND
        if now - self._corrected_second >= every:
            self._corrected_second = now
            pressure.correct()

    def _note(self, kind: str, active: bool, action: str, value: float, limit: float) -> bool:
        """Whether it has been so for some looks; then it is an alarm."""
        lasting = self._lasts(kind, active)
        if lasting or not active:
            self._pressure.alarms.update(kind, lasting, action, value=value, limit=limit)
        return lasting

    def _lasts(self, kind: str, active: bool) -> bool:
        self._looks[kind] = self._looks.get(kind, 0) + 1 if active else 0
        return self._looks[kind] >= LASTING_LOOKS
