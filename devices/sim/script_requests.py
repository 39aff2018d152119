"""What may be asked of a running MethodSCRIPT from outside: end it, end its loop, halt it, let it fail."""

from __future__ import annotations

import asyncio

from devices.sim.clock import VirtualClock
from devices.sim.script_commands import ScriptAbort
from devices.sim.script_syntax import ScriptError


class Requests:
    """Requests to one run; each wakes it if it sleeps."""

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock
        self.hold = clock.hold()
        self.aborted = False
        self.loop_stopped = False
        self.measuring = False
        self.finishing = False
        self._failure: int | None = None
        self.hurry = asyncio.Event()  # an ending script does not wait for a host that does not read
        self._going = asyncio.Event()
        self._going.set()

    def abort(self) -> None:
        """Go on at `on_finished` as soon as possible."""
        self.aborted = True
        self._end()

    def fail(self, code: int) -> None:
        """Stop with an error of the instrument; `on_finished` is not run."""
        self._failure = code
        self._end()

    def stop_loop(self) -> bool:
        """End the present measurement loop only; False when none runs."""
        if self.measuring:
            self.loop_stopped = True
            self.hold.interrupt()
        return self.measuring

    def halt(self) -> None:
        """Stand still; the cell stays as it is."""
        self._going.clear()
        self.hold.interrupt()

    def resume(self) -> None:
        """Go on after `halt`."""
        self._going.set()

    def check(self, line: int) -> None:
        """Raise what was asked for: ScriptError at `line`, or ScriptAbort unless it ends already."""
        if self._failure is not None:
            raise ScriptError(self._failure, line)
        if self.aborted and not self.finishing:
            raise ScriptAbort

    async def halted(self) -> bool:
        """Wait while halted, without holding the clock; whether it was."""
        if self._going.is_set():
            return False
        self._clock.release()
        try:
            await self._going.wait()
        finally:
            self._clock.acquire()
        return True

    def _end(self) -> None:
        self._going.set()
        self.hurry.set()
        self.hold.interrupt()
