"""Time passes while a source is on that no program controls: somebody has left it on.

Otherwise virtual time stands still while no program runs, so that the slowness of a host never becomes rest.
Where current flows that would hide what happens on a real bench: the cell would be charged for hours, and the
bench's record would show nothing. So time goes on then, at the clock's speed. "As fast as it computes" has no
end here, since nothing ends such a state but a command from the host: at that setting time passes as on the
wall, which bounds what one forgotten second can do.

A single reading takes the same state on purpose, for a few milliseconds (output on, read, output off). It
must not move time, or two equal runs would differ. So a source that was switched on by a command, and not
left on by a program, counts only after GRACE_WALL_SECOND; what flows until then is left out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from devices.sim.clock import VirtualClock

GRACE_WALL_SECOND = 0.5
_TICK_WALL_SECOND = 0.05
_SPEED_AT_MAX = 1.0


class UnattendedCurrent:
    """Watches one source.

    Args:
        clock: the bench's.
        flows: whether the source is on and no program runs.
        advance: let the cell on its leads reach the present.
    """

    def __init__(
        self, clock: VirtualClock, flows: Callable[[], bool], advance: Callable[[float], None]
    ) -> None:
        self._clock, self._flows, self._advance = clock, flows, advance
        self._counts_from_wall = 0.0
        self._flowed = False
        self._task: asyncio.Task[None] | None = None

    def look(self, *, after_program: bool = False) -> None:
        """Something may have switched the source, or a program has ended."""
        flows, before = self._flows(), self._flowed
        self._flowed = flows
        if not flows or (before and not after_program):
            return
        loop = asyncio.get_running_loop()
        self._counts_from_wall = loop.time() + (0.0 if after_program else GRACE_WALL_SECOND)
        if self._task is None or self._task.done():
            self._task = loop.create_task(self._pass_time())
            self._task.add_done_callback(_report_failure)

    def close(self) -> None:
        """Power is off: watch no more."""
        if self._task is not None:
            self._task.cancel()

    async def _pass_time(self) -> None:
        loop = asyncio.get_running_loop()
        while self._flows():
            grace_second = self._counts_from_wall - loop.time()
            if grace_second > 0:
                await asyncio.sleep(grace_second)
                continue
            speed = self._clock.speed
            if speed is None:
                await asyncio.sleep(_TICK_WALL_SECOND)
                if not self._flows():
                    return
                speed = _SPEED_AT_MAX
            await self._clock.sleep_until(self._clock.now + speed * _TICK_WALL_SECOND)
            self._advance(self._clock.now)


def _report_failure(task: asyncio.Task[None]) -> None:
    """A fault of the emulator itself goes to the log at once."""
    error = None if task.cancelled() else task.exception()
    if error is not None:
        asyncio.get_running_loop().call_exception_handler(
            {"message": "the unattended current failed", "exception": error}
        )
