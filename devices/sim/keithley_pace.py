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


class AbortError(Exception):
    """The host has sent ABORt, or the power is off."""


class ModelError(Exception):
    """The model cannot go on."""


class Pace:
    """Time of one run; `now_second` is where the run is, on the bench's clock.

    Args:
        clock: the bench's clock.
        start_second: when the run begins.
        lead: how many readings may be made beyond those the host has fetched.
        is_free: whether nobody is there who would fetch.
    """

    def __init__(
        self, clock: VirtualClock, start_second: float, lead: int, is_free: Callable[[], bool]
    ) -> None:
        self._clock, self._lead, self._is_free = clock, lead, is_free
        self.hold = clock.hold()
        self.now_second = start_second
        self.readings, self._granted = 0, lead
        self.events: set[str] = set()
        self.progress = 0  # changes while the run goes on
        self.parked = False  # the host's turn
        self._end: Exception | None = None
        self._bell = asyncio.Event()

    # ---- from outside
    def end(self, error: Exception) -> None:
        """End the run as soon as possible; `error` says why."""
        self._end = error
        self._bell.set()
        self.hold.interrupt()

    def trigger(self, event: str) -> None:
        """An event has come."""
        self.events.add(event)
        self._bell.set()
        self.hold.interrupt()

    def grant(self) -> None:
        """The host has fetched what there was."""
        self._granted = self.readings + self._lead
        self._bell.set()

    # ---- for the run
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
        try:
            await asyncio.wait_for(self._bell.wait(), timeout_wall_second)
        except TimeoutError:
            return
        finally:
            self._bell.clear()
