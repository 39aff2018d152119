"""One run of an emulated Keithley's trigger model on the virtual clock.

Blocks take no time but for waiting, delays and measurements; a reading carries the instant its measurement
began.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import inf

import numpy as np

from devices.sim import keithley_blocks as kinds
from devices.sim.clock import VirtualClock
from devices.sim.keithley_blocks import Block
from devices.sim.keithley_buffer import Array, ReadingBuffer
from devices.sim.keithley_loop import TimedLoop, round_times, timed_loops
from devices.sim.keithley_pace import AbortError, ModelError, Pace
from devices.sim.keithley_smu import SourceMeasureUnit
from devices.sim.keithley_timers import Timer

LARGEST_BATCH = 2000
_INSTANT_BLOCKS, _BLOCKS_SECOND = 500, 1e-3  # so many blocks in a row are taken to last so long


@dataclass(frozen=True)
class Machine:
    """What a trigger model works on."""

    unit: SourceMeasureUnit
    buffers: dict[str, ReadingBuffer]
    timers: dict[int, Timer]


class ModelRun:
    """Runs `blocks` from the bench's second `start_second` on; `is_free` as for a Pace."""

    def __init__(
        self,
        blocks: Mapping[int, Block],
        machine: Machine,
        clock: VirtualClock,
        start_second: float,
        is_free: Callable[[], bool],
    ) -> None:
        self._blocks = dict(sorted(blocks.items()))
        self._numbers = list(self._blocks)
        self._loops = timed_loops(self._blocks)
        self._unit, self._buffers, self._timers = machine.unit, machine.buffers, machine.timers
        self.pace = Pace(clock, start_second, is_free)
        self._clock = clock
        self.block = 0  # the one executed last
        self.counters: dict[int, int] = {}
        self._last: dict[int, float] = {}  # reading of each measure block
        self._measured = 0
        self._instant_blocks = 0

    async def run(self) -> str:
        """Run to the end; the state of the model then: IDLE, ABORTED or FAILED."""
        with self.pace.hold:
            try:
                await self.pace.until(self.pace.now_second)
                number = self._numbers[0]
                while number:
                    self.pace.check()
                    self.block = number
                    number = await self._step(number)
            except AbortError:
                self.pace.now_second = min(self.pace.now_second, self._clock.now)
                return "ABORTED"
            except ModelError:
                return "FAILED"
            return "IDLE"

    def _after(self, number: int) -> int:
        """The block behind `number`, 0 behind the last."""
        return next((n for n in self._numbers if n > number), 0)

    async def _step(self, number: int) -> int:
        loop = self._loops.get(number)
        if loop is not None and self._can_batch(loop):
            return await self._run_loop(loop)
        before = self.pace.now_second
        target = await self._execute(number, self._blocks[number])
        self._instant_blocks = self._instant_blocks + 1 if self.pace.now_second == before else 0
        if self._instant_blocks >= _INSTANT_BLOCKS:
            self._instant_blocks = 0
            await self.pace.until(self.pace.now_second + _BLOCKS_SECOND)
        return self._after(number) if target is None else target

    async def _execute(self, number: int, block: Block) -> int | None:
        """The block to go to, None for the one behind."""
        match block:
            case kinds.Measure(buffer, count):
                for _ in range(count):
                    await self._measure(number, buffer)
            case kinds.Wait():
                await self._wait(block)
            case kinds.Delay(second):
                await self.pace.until(self.pace.now_second + second)
            case kinds.SourceState() | kinds.Recall():
                await self._change_source(block)
            case kinds.LimitBranch() | kinds.CounterBranch() | kinds.EventBranch() | kinds.AlwaysBranch():
                return self._branch(number, block)
            case _:
                self._at_once(block)
        return None

    def _at_once(self, block: Block) -> None:
        match block:
            case kinds.BufferClear(buffer):
                self._buffers[buffer].clear()
            case kinds.CounterReset(counter):
                self.counters[counter] = 0
            case kinds.Notify(event):
                self.pace.events.add(event)
                for timer in self._timers.values():
                    if timer.stimulus == event:
                        timer.start(self.pace.now_second)

    def _branch(self, number: int, block: Block) -> int | None:
        match block:
            case kinds.LimitBranch() if block.holds(self._reading_of(block.measure)):
                return block.target
            case kinds.CounterBranch(count, target):
                self.counters[number] = self.counters.get(number, 0) + 1
                if self.counters[number] < count:
                    return target
                self.counters[number] = 0
            case kinds.EventBranch(event, target) if self._take_event(event):
                return target
            case kinds.AlwaysBranch(target):
                return target
        return None

    def _reading_of(self, measure: int) -> float:
        place = measure or self._measured
        if place not in self._last:
            raise ModelError(f"block {self.block}: no reading to compare")
        return self._last[place]

    def _take_event(self, event: str) -> bool:
        if event.startswith("TIM"):
            timer = self._timers[int(event[3:])]
            pending = timer.pending(self.pace.now_second)
            timer.take(self.pace.now_second)
            return pending
        pending = event in self.pace.events
        self.pace.events.discard(event)
        return pending

    async def _change_source(self, block: kinds.SourceState | kinds.Recall) -> None:
        await self.pace.until(self.pace.now_second)
        self._unit.advance_to(self.pace.now_second)
        settings = self._unit.settings
        if isinstance(block, kinds.SourceState):
            settings.output = block.on
        else:
            for name, index in block.lists:
                settings.recall("source" if name in settings.source_lists else "sense", name, index)
        self._unit.apply(f"trigger model, block {self.block}")

    async def _measure(self, number: int, buffer: str) -> None:
        await self.pace.room()
        await self.pace.until(self.pace.now_second)
        self._unit.advance_to(self.pace.now_second)
        readings = self._unit.measure(np.array([self.pace.now_second]))
        self._unit.used(1)
        self._last[number], self._measured = float(readings.values[0]), number
        await self.pace.until(self.pace.now_second + self._unit.measurement_second)
        self._buffers[buffer].append(readings)
        self.pace.readings += 1

    async def _wait(self, block: kinds.Wait) -> None:
        if block.fresh:
            self._take_event(block.event)
        if not block.event.startswith("TIM"):
            while not self._take_event(block.event):
                await self.pace.pause()
            return
        timer = self._timers[int(block.event[3:])]
        if not timer.pending(self.pace.now_second):
            due = timer.time_of(timer.seen + 1)
            while due == inf:  # a timer that nobody starts
                await self.pace.pause()
            await self.pace.until(due)
        timer.take(self.pace.now_second)

    # ---- many readings at a time
    def _can_batch(self, loop: TimedLoop) -> bool:
        timer = self._timers[loop.timer]
        return (
            timer.started_second is not None
            and timer.count == 0
            and not timer.pending(self.pace.now_second)
            and self._unit.measurement_second < timer.delay_second
        )

    async def _run_loop(self, loop: TimedLoop) -> int:
        timer, unit, pace = self._timers[loop.timer], self._unit, self.pace
        pace.take_turns(closely=loop.is_commanded)
        while True:
            pace.check()
            room = await pace.room()
            first_event = timer.seen + loop.every - self.counters.get(loop.skip, 0)
            if timer.time_of(first_event) > pace.lead_limit():
                await pace.until(timer.time_of(first_event))
            rounds = self._rounds(loop, timer, first_event, room)
            readings = unit.measure(rounds)
            last, target, event = loop.outcome(readings.values, pace.events)
            unit.used(last + 1)
            unit.advance_to(float(rounds[last]))
            timer.seen, self.counters[loop.skip] = first_event + loop.every * last, 0
            self._last[loop.measure], self._measured = float(readings.values[last]), loop.measure
            done = self.counters.get(loop.counter, 0) + last + (target is None)
            self.counters[loop.counter] = done
            await pace.passed(float(rounds[last]) + unit.measurement_second)
            self._buffers[loop.buffer].append(readings.first(last + 1))
            pace.readings += last + 1
            if target is not None:
                pace.events.discard(event or "")
                return target
            if done >= loop.count:
                self.counters[loop.counter] = 0
                return self._after(loop.counter)

    def _rounds(self, loop: TimedLoop, timer: Timer, first_event: int, room: float) -> Array:
        """Instants of the next readings: no more than are left, wanted, and nobody notices."""
        largest = min(loop.count - self.counters.get(loop.counter, 0), room, LARGEST_BATCH)
        limit = self.pace.lead_limit()
        if limit < inf:
            ahead = (limit - timer.time_of(first_event)) / (loop.every * timer.delay_second)
            largest = min(largest, int(ahead + 1e-9) + 1)
        started = timer.started_second or 0.0
        return round_times(first_event, loop.every, max(int(largest), 1), started, timer.delay_second)
