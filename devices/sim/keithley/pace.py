"""How a trigger model shares time with its host and the bench: waits, events, an end from outside.

A host that is connected but does not fetch readings stops time after a while, as one that does not read its
line does for other instruments: so what it decides from the readings does not come hours too late.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from math import inf

from devices.sim.clock import VirtualClock

_LOOK_AGAIN_WALL_SECOND = 0.05
LEAD_READINGS, LEAD_READINGS_CLOSELY = 1000, 16  # the latter where the host takes part in what happens


class AbortError(Exception):
    """The host has sent ABORt, or the power is off."""


class ModelError(Exception):
    """The model cannot go on."""


class Pace:
    """Time of one run; `now_second` is where the run is, on the bench's clock.

    Args:
        clock: the bench's clock.
        start_second: when the run begins.
        is_free: whether nobody is there who would fetch.
    """

    def __init__(self, clock: VirtualClock, start_second: float, is_free: Callable[[], bool]) -> None:
        self._clock, self._lead, self._is_free = clock, LEAD_READINGS, is_free
        self.hold = clock.hold()
        self.now_second = start_second
        self.readings, self._granted = 0, self._lead
        self.events: set[str] = set()
        self.progress = 0  # changes while the run goes on
        self.parked = False  # the host's turn
        self._end: Exception | None = None
        self._bell = asyncio.Event()

    # ---- from outside
    def end(self, error: Exception) -> None:
        """End the run as soon as possible; `error` says why."""
        self._end = error
        self._wake()
        self.hold.interrupt()

    @property
    def ending(self) -> bool:
        """Whether somebody has ended the run, while what is computed has still to pass."""
        return self._end is not None

    def trigger(self, event: str) -> None:
        """An event has come."""
        self.events.add(event)
        self._wake()
        self.hold.interrupt()

    def grant(self) -> None:
        """The host has fetched what there was."""
        self._granted = self.readings + self._lead
        self._wake()

    # ---- for the run
    def take_turns(self, *, closely: bool) -> None:
        """How far the run may be ahead of the host, from now on."""
        self._lead = LEAD_READINGS_CLOSELY if closely else LEAD_READINGS
        self._granted = min(self._granted, self.readings + self._lead)

    def check(self) -> None:
        """Raise what ended the run."""
        if self._end is not None:
            raise self._end

    def lead_limit(self) -> float:
        """Until when (s) may be computed without anybody noticing."""
        return self._clock.lead_limit()

    async def until(self, second: float) -> None:
        """Let time pass; an end from outside comes at once."""
        while self._clock.now < second:
            self.check()
            self.progress += 1
            await self.hold.sleep_until(second)
        self.now_second = max(self.now_second, second)
        self.check()

    async def passed(self, second: float) -> None:
        """What is computed has happened: its time has to pass even when somebody asks for an end."""
        self.progress += 1
        while self._clock.now < second and not await self.hold.sleep_until(second):
            pass
        self.now_second = second

    async def room(self) -> float:
        """How many readings may be made; waits for a host that is there but does not fetch."""
        while self.readings >= self._granted and not self._is_free():
            self.parked = True
            try:
                await self._ring(_LOOK_AGAIN_WALL_SECOND)
            finally:
                self.parked = False
            self.check()
        self.progress += 1
        return inf if self._is_free() else self._granted - self.readings

    async def pause(self) -> None:
        """Wait for something to happen, without holding the clock."""
        self.parked = True
        self._clock.release()
        try:
            await self._ring(None)
        finally:
            self._clock.acquire()
            self.parked = False
        self.check()
        self.now_second = max(self.now_second, self._clock.now)

    async def _ring(self, timeout_wall_second: float | None) -> None:
        """Wait for the bell, or for so long."""
        timer = None
        if timeout_wall_second is not None:
            timer = asyncio.get_running_loop().call_later(timeout_wall_second, self._bell.set)
        try:
            await self._bell.wait()
        finally:
            self._bell.clear()
            if timer is not None:
                timer.cancel()

    def _wake(self) -> None:
        """It is the run's turn, from this moment on."""
        self.parked = False
        self.progress += 1
        self._bell.set()
