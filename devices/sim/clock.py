"""Virtual time of a simulated bench: discrete events in one asyncio loop.

Time passes only while somebody waits for it and nobody is busy: a running program *holds* the clock while it
works and lets go of it while it sleeps. Time then moves to the earliest sleeper, at once (`speed` None) or at
`speed` seconds of virtual time per second of wall time. A slow machine slows the clock and skips nothing.
A source that is on without a program makes time pass too: see unattended_current.
"""

from __future__ import annotations

import asyncio
import heapq
from itertools import count
from math import inf
from types import TracebackType
from typing import Self

PACE_WALL_SECOND = 0.02  # how far a program may compute ahead, and how much delay is caught up, in wall time
_AT_ONCE_WALL_SECOND = 0.0005  # below the resolution of the loop's timers


class _Sleeper:
    __slots__ = ("awake", "drives", "future", "hold", "until")

    def __init__(self, until: float, future: asyncio.Future[bool], hold: Hold | None, drives: bool) -> None:
        self.until, self.future, self.hold, self.awake = until, future, hold, False
        self.drives = drives


class VirtualClock:
    """Seconds since the bench's first start; `speed` in virtual per wall seconds, None for the fastest."""

    def __init__(self, speed: float | None = None, start_second: float = 0.0) -> None:
        self._speed = speed
        self._now = start_second
        self._busy = 0
        self._driving = 0  # sleepers that make time pass
        self._queue: list[tuple[float, int, _Sleeper]] = []
        self._order = count()
        self._timer: asyncio.Handle | None = None
        self._flow: tuple[float, float] | None = None  # wall time that belongs to `_now`, and the target
        self._due_wall = -inf  # wall time at which `_now` was due

    @property
    def now(self) -> float:
        """Virtual seconds; between events of a paced clock they flow."""
        if self._flow is None or self._speed is None:
            return self._now
        wall, target = self._flow
        flowed = self._now + (asyncio.get_running_loop().time() - wall) * self._speed
        return min(max(flowed, self._now), target)

    @property
    def speed(self) -> float | None:
        """Virtual per wall seconds; None for the fastest."""
        return self._speed

    def set_speed(self, speed: float | None) -> None:
        """Change the pace from now on."""
        self._settle()
        self._speed = speed
        self._plan()

    def hold(self) -> Hold:
        """A context in which time stands still unless its owner sleeps."""
        return Hold(self)

    async def sleep_until(self, until_second: float, *, drives: bool = True) -> None:
        """Wait for virtual time without holding it; unless it `drives`, time passes only for others."""
        await self.sleep(until_second, None, drives=drives)

    def next_event(self) -> float:
        """Virtual time of the earliest sleeper; inf when nobody sleeps."""
        self._forget_awake()
        return self._queue[0][0] if self._queue else inf

    def lead_limit(self) -> float:
        """How far a holder may compute ahead of `now` without anybody noticing."""
        ahead = inf if self._speed is None else self._speed * PACE_WALL_SECOND
        return min(self.next_event(), self._now + ahead)

    async def sleep(self, until: float, hold: Hold | None, *, drives: bool = True) -> bool:
        """Wait until virtual second `until`, letting go of `hold`; False when woken before."""
        self._settle()
        sleeper = _Sleeper(until, asyncio.get_running_loop().create_future(), hold, drives)
        self._driving += drives
        if hold is not None:
            hold.sleeper = sleeper
            self._busy -= 1
        heapq.heappush(self._queue, (max(until, self._now), next(self._order), sleeper))
        self._plan()
        try:
            return await sleeper.future
        finally:
            self.wake(sleeper, arrived=False)  # cancelled: nothing happens when it woke by itself

    def wake(self, sleeper: _Sleeper, *, arrived: bool) -> None:
        """End a sleep; its hold is busy again before time can pass."""
        if sleeper.awake:
            return
        self._settle()
        sleeper.awake = True
        self._driving -= sleeper.drives
        if sleeper.hold is not None:
            sleeper.hold.sleeper = None
            self._busy += 1
        if not sleeper.future.done():
            sleeper.future.set_result(arrived)
        self._plan()

    def acquire(self) -> None:
        """Somebody is busy: time stands still."""
        self._settle()
        self._busy += 1
        self._plan()

    def release(self) -> None:
        """One less is busy."""
        self._busy -= 1
        self._plan()

    def _settle(self) -> None:
        """Make the flowing time the present one."""
        if self._flow is not None:
            self._now = self.now
            self._due_wall = asyncio.get_running_loop().time()
            self._flow = None

    def _plan(self) -> None:
        """Let time flow to the earliest sleeper if nobody is busy."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._forget_awake()
        if self._busy or not self._queue or not self._driving:
            return
        loop = asyncio.get_running_loop()
        if self._speed is None:
            self._timer = loop.call_soon(self._arrive)
            return
        target, wall = self._queue[0][0], loop.time()
        origin = self._due_wall if wall - self._due_wall < PACE_WALL_SECOND else wall
        self._flow = (origin, target)
        delay = origin + (target - self._now) / self._speed - wall
        later = loop.call_soon if delay < _AT_ONCE_WALL_SECOND else None
        self._timer = later(self._arrive) if later else loop.call_later(delay, self._arrive)

    def _arrive(self) -> None:
        """The earliest sleepers' time has come."""
        self._timer = None
        self._forget_awake()
        target = self._queue[0][0]
        if self._flow is not None and self._speed is not None:
            self._due_wall = self._flow[0] + (target - self._now) / self._speed
        self._flow, self._now = None, target
        due: list[_Sleeper] = []
        while self._queue and self._queue[0][0] <= target:
            due.append(heapq.heappop(self._queue)[2])
        for sleeper in due:
            self.wake(sleeper, arrived=True)
        if not due:
            self._plan()

    def _forget_awake(self) -> None:
        while self._queue and self._queue[0][2].awake:
            heapq.heappop(self._queue)


class Hold:
    """One owner of the clock; use as a context manager."""

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock
        self.sleeper: _Sleeper | None = None

    def __enter__(self) -> Self:
        self._clock.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._clock.release()

    async def sleep_until(self, until_second: float) -> bool:
        """Let time pass until then; False when `interrupt` ended the wait early."""
        return await self._clock.sleep(until_second, self)

    def interrupt(self) -> None:
        """Wake the owner now; nothing happens when it does not sleep."""
        if self.sleeper is not None:
            self._clock.wake(self.sleeper, arrived=False)
