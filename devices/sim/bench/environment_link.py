"""Brings temperature and stack pressure of the surroundings to the pellet, in steps of virtual time.

While die or press are on their way the pellet follows every few seconds of virtual time, if time passes for
somebody else; once they stand still nothing ticks, so that a rest of days costs nothing.
"""

from __future__ import annotations

import asyncio

from devices.sim.cell.leads import MountedPellet
from devices.sim.cell.surroundings import Surroundings
from devices.sim.clock import VirtualClock

TICK_SECOND = 5.0
_NOTICEABLE_KELVIN, _NOTICEABLE_SHARE = 0.02, 5e-4


class Coupling:
    """One task of the bench; `start` and `stop` belong to the bench's own life."""

    def __init__(self, clock: VirtualClock, surroundings: Surroundings) -> None:
        self._clock, self._surroundings = clock, surroundings
        self._cell: MountedPellet | None = None
        self._applied = (0.0, 0.0)
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        surroundings.on_change = self._changed.set

    def start(self) -> None:
        """Follow the surroundings from now on."""
        self._task = asyncio.get_running_loop().create_task(self._follow())

    def stop(self) -> None:
        """Follow no more."""
        if self._task is not None:
            self._task.cancel()

    def mount(self, cell: MountedPellet) -> None:
        """The pellet that feels the surroundings."""
        self._cell, self._applied = cell, (0.0, 0.0)
        self._apply()

    async def _follow(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            while self._surroundings.settled_after_second() > 0 or self._surroundings.leaks:
                await self._clock.sleep_until(self._clock.now + TICK_SECOND, drives=False)
                self._apply()
            self._apply()

    def _apply(self) -> None:
        around = self._surroundings
        around.advance_to(self._clock.now)
        now = (around.temperature_kelvin, around.stack_pressure_pa)
        kelvin, pa = self._applied
        if abs(now[0] - kelvin) < _NOTICEABLE_KELVIN and abs(now[1] - pa) < _NOTICEABLE_SHARE * pa:
            return
        self._applied = now
        if self._cell is not None:
            self._cell.advance_to(self._clock.now)
            self._cell.set_surroundings(*now)
