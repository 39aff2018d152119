"""One run of a MethodSCRIPT on the virtual clock."""

from __future__ import annotations

import asyncio
from math import floor
from typing import Protocol

import numpy as np

from devices.sim.clock import VirtualClock
from devices.sim.palmsens import syntax
from devices.sim.palmsens.commands import BREAK, Compiler, ScriptAbort, Step, takes_time
from devices.sim.palmsens.emstat import NO_STEPS
from devices.sim.palmsens.grammar import REFUSALS, SIGNATURES, SWEEPS, TECHNIQUE_IDS
from devices.sim.palmsens.memory import NANOSECOND, Memory
from devices.sim.palmsens.package_text import Number
from devices.sim.palmsens.potentiostat import CRITICAL_OVERLOAD, Potentiostat
from devices.sim.palmsens.sweep import GUARD_SECOND, Sweep
from devices.sim.palmsens.syntax import Branches, Command, Measurement, Node, ScriptError, ScriptLoop
from devices.sim.palmsens.ticks import TickLoop


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


NOT_SUPPORTED = 0x001B
_GUARD_NANOSECOND = round(GUARD_SECOND * NANOSECOND)
_ROUND_NANOSECOND = 1_000_000  # a round of a plain loop takes the instrument about a millisecond


class Outlet(Protocol):
    """Where lines go."""

    def write_line(self, line: str) -> None:
        """Send one line; the end is added."""
        ...

    @property
    def is_full(self) -> bool:
        """Whether the host is behind with reading."""
        ...

    async def drained(self) -> None:
        """Wait until the host has read, or is gone."""
        ...


class ScriptRun:
    """Runs `script` from the bench's second `start_second` on; requests may come at any time."""

    def __init__(
        self,
        script: syntax.Script,
        clock: VirtualClock,
        potentiostat: Potentiostat,
        outlet: Outlet,
        start_second: float,
    ) -> None:
        self._script, self._clock, self._front, self._outlet = script, clock, potentiostat, outlet
        self._base_second = start_second
        self._memory = Memory(script)
        self._compiler = Compiler(self._memory, potentiostat)
        self._steps: dict[int, Step] = {}
        self.requests = Requests(clock)
        self._line = 0

    async def run(self) -> str:
        """Run to the end; the reason of the end: "finished", "aborted by ..." or "error ..."."""
        with self.requests.hold:
            try:
                reason = await self._run_body()
                self.requests.finishing = True
                await self._block(self._script.finished)
            except ScriptError as error:
                self._memory.lines.append(error.wire_text())
                self._write_out()
                return f"error {error.wire_text().removeprefix('!')}"
            self._memory.lines.append("")
            self._write_out()  # without waiting: when the host has read this, the run must be over
            return reason

    @property
    def now_second(self) -> float:
        """The run's time on the bench's clock."""
        return self._base_second + self._memory.now_nanosecond / NANOSECOND

    async def _run_body(self) -> str:
        try:
            while not await self.requests.hold.sleep_until(self._base_second):
                await self._settle()
            self._front.leads.advance_to(self.now_second)
            await self._block(self._script.body)
        except ScriptAbort:
            return "aborted by the host" if self.requests.aborted else "aborted by the script"
        finally:
            self._base_second = min(self._base_second, self._clock.now)  # ended before it began
        return "finished"

    async def _block(self, nodes: list[Node]) -> str | None:
        for node in nodes:
            self._line = node.line
            self.requests.check(self._line)
            if isinstance(node, Branches):
                signal = await self._branches(node)
            elif takes_time(node):
                await self._waiting(node)
                signal = None
            else:
                signal = self._step(node)()
            if signal is not None:
                return signal
        return None

    def _step(self, node: Node) -> Step:
        if id(node) not in self._steps:
            self._steps[id(node)] = self._compiler.node(node)
        return self._steps[id(node)]

    async def _branches(self, node: Branches) -> str | None:
        for condition, body in node.branches:
            if condition is None or self._compiler.test(condition)():
                return await self._block(body)
        return None

    async def _waiting(self, node: Node) -> None:
        if isinstance(node, Measurement):
            await self._measurement(node)
        elif isinstance(node, ScriptLoop):
            await self._loop(node)
        elif isinstance(node, Command):
            await self._wait(node)

    async def _loop(self, node: ScriptLoop) -> None:
        test = self._compiler.test(node.condition)
        self._memory.say("L")
        while test():
            if await self._block(node.body) == BREAK:
                break
            await self._sleep_to(self._memory.now_nanosecond + _ROUND_NANOSECOND)
        self._memory.say("+")

    async def _wait(self, node: Command) -> None:
        memory = self._memory
        if node.name == "await_int":
            start, interval = memory.interval_start_nanosecond, memory.interval_nanosecond
            rounds = (memory.now_nanosecond - start) // max(interval, 1)
            await self._sleep_to(start + (rounds + 1) * interval)
            return
        seconds = self._checked(node.name, 0, node.arguments[0], node.line)
        await self._sleep_to(memory.now_nanosecond + round(seconds * NANOSECOND))
        if node.name == "meas":
            self._single_reading(node)

    def _single_reading(self, node: Command) -> None:
        """`meas 100m x ab`: at open circuit it reads the cell's own voltage."""
        _, place, kind = node.arguments
        volt, ampere, good = self._front.measure(np.array([self.now_second]))
        self._front.noise.use(1)
        if not good:
            raise ScriptError(CRITICAL_OVERLOAD, node.line)
        readings = {
            "ab": (volt[0], self._front.voltage_metadata),
            "ba": (ampere[0], self._front.current_metadata),
        }
        name = kind.name if isinstance(kind, syntax.TypeName) else ""
        if name not in readings or not isinstance(place, syntax.Place):
            raise ScriptError(NOT_SUPPORTED, node.line)
        value, metadata = readings[name]
        self._memory.write(place, value, name, metadata)

    # ---- measurement loops
    async def _measurement(self, node: Measurement) -> None:
        loop, requests = self._begin(node), self.requests
        self._memory.say("M" + TECHNIQUE_IDS[node.name])
        requests.measuring, requests.loop_stopped = True, False
        try:
            await (self._points(loop) if isinstance(loop, Sweep) else self._ticks(loop))
        except ScriptAbort:
            self._memory.say("*")
            raise
        finally:
            requests.measuring = False
        self._memory.say("*")

    def _begin(self, node: Measurement) -> TickLoop | Sweep:
        first = len(SIGNATURES[node.name]) - len(node.numbers)
        numbers = [self._checked(node.name, first + n, a, node.line) for n, a in enumerate(node.numbers)]
        body = self._compiler.block(node.body)
        try:
            if node.name in SWEEPS:
                return Sweep(node, body, self._memory, self._front, numbers)
            return self._begin_ticks(node, body, numbers)
        except ScriptError as error:
            raise ScriptError(error.code, node.line) from None

    def _begin_ticks(self, node: Measurement, body: Step, numbers: list[Number]) -> TickLoop:
        interval, duration = numbers[-2:]
        count = floor(duration / interval + 1e-9)
        if count < 1:
            raise ScriptError(NO_STEPS)
        self._front.begin_loop(node.name, numbers[0] if len(numbers) == 3 else None)
        return TickLoop(
            node,
            body,
            self._memory,
            self._front,
            base_second=self._base_second,
            interval_nanosecond=round(interval * NANOSECOND),
            count=count,
        )

    async def _points(self, sweep: Sweep) -> None:
        memory, requests = self._memory, self.requests
        while (due := sweep.next_due_nanosecond()) is not None:
            while memory.now_nanosecond < due:
                due += await self._sleep_to(min(memory.now_nanosecond + _GUARD_NANOSECOND, due))
                if requests.loop_stopped:
                    return
                sweep.guard()
            signal = sweep.run(self.now_second)
            await self._settle()
            if signal is not None or requests.loop_stopped:
                return

    async def _ticks(self, loop: TickLoop) -> None:
        while loop.left and not self.requests.loop_stopped:
            due_second = self._base_second + loop.due_nanosecond / NANOSECOND
            if due_second > self._clock.lead_limit():
                loop.shift(await self._sleep_to(loop.due_nanosecond))
                continue
            signal, error = loop.run(self._clock.lead_limit())
            while not await self.requests.hold.sleep_until(self.now_second):
                pass  # the ticks are done: their time has to pass even when somebody asks for an end
            if error is not None:
                raise error
            loop.shift(await self._settle())
            if signal is not None:
                return

    def _checked(self, name: str, position: int, argument: object, line: int) -> Number:
        """The number of an argument; refused here, at run time, when it comes from a variable."""
        if not isinstance(argument, syntax.Operand):
            raise ScriptError(NOT_SUPPORTED, line)
        value = self._memory.read(argument)
        refuse = REFUSALS.get((name, position))
        code = refuse(value) if refuse is not None else None
        if code is not None:
            raise ScriptError(code, line)
        return value

    # ---- time
    async def _sleep_to(self, nanosecond: int) -> int:
        """Let time pass, or as much of it as nobody interrupts; how long (ns) the script was halted."""
        await self._flush()
        if await self.requests.hold.sleep_until(self._base_second + nanosecond / NANOSECOND):
            self._memory.now_nanosecond = nanosecond
        else:
            self._memory.now_nanosecond = max(self._memory.now_nanosecond, self._clock_nanosecond())
        self._front.leads.advance_to(self.now_second)
        return await self._settle()

    async def _settle(self) -> int:
        """Send what there is, stand still while halted, and follow requests; how long (ns) it was halted."""
        await self._flush()
        before = self._memory.now_nanosecond
        if await self.requests.halted():
            self._memory.now_nanosecond = max(before, self._clock_nanosecond())
            self._front.leads.advance_to(self.now_second)
        self.requests.check(self._line)
        return self._memory.now_nanosecond - before

    def _clock_nanosecond(self) -> int:
        return round((self._clock.now - self._base_second) * NANOSECOND)

    async def _flush(self) -> None:
        """Send all lines; time stands still until the host has room for them."""
        self._write_out()
        if self._outlet.is_full and not self.requests.hurry.is_set():
            waits = [asyncio.ensure_future(w) for w in (self._outlet.drained(), self.requests.hurry.wait())]
            try:
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for wait in waits:
                    wait.cancel()

    def _write_out(self) -> None:
        for line in self._memory.lines:
            self._outlet.write_line(line)
        self._memory.lines.clear()
