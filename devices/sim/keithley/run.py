"""One run of an emulated Keithley's trigger model on the virtual clock.

Blocks take no time but for waiting, delays and measurements; a reading carries the instant its measurement
began.

Such a loop waits for a timer (each time, or every so many times by a counter that it then resets), measures
once, branches on limits or events, and goes round by a counter. At 50 ms a round, 90 h of cell time are
millions of rounds: they are computed from arrays of readings, with the same outcome as block by block.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import inf

import numpy as np

from devices.sim.clock import VirtualClock
from devices.sim.keithley import trigger_model as kinds
from devices.sim.keithley.buffer import Array, ReadingBuffer
from devices.sim.keithley.pace import AbortError, ModelError, Pace
from devices.sim.keithley.source_measure_unit import SourceMeasureUnit
from devices.sim.keithley.trigger_model import (
    Block,
    CounterBranch,
    CounterReset,
    EventBranch,
    LimitBranch,
    Measure,
    Timer,
    Wait,
)

COMMAND_EVENT = "COMM"


@dataclass(frozen=True)
class TimedLoop:
    """Numbers of the blocks of a loop, and what they say."""

    top: int
    timer: int
    every: int  # rounds of the timer to a reading
    skip: int  # number of the counter block that skips rounds, 0 without
    measure: int
    buffer: str
    branches: tuple[tuple[int, LimitBranch | EventBranch], ...]
    counter: int
    count: int

    @property
    def is_commanded(self) -> bool:
        """Whether the host can end it."""
        return any(isinstance(b, EventBranch) and b.event == COMMAND_EVENT for _, b in self.branches)

    def outcome(self, values: Array, events: set[str]) -> tuple[int, int | None, str | None]:
        """The last of `values` that counts, where it leads (None: round again), the event acted upon."""
        best, target, event = len(values), None, None
        for _, branch in self.branches:
            if isinstance(branch, EventBranch):
                hit = 0 if branch.event in events else len(values)
            else:
                hit = _first(branch, values)
            if hit < best:
                best, target = hit, branch.target
                event = branch.event if isinstance(branch, EventBranch) else None
        return min(best, len(values) - 1), target, event


def _first(branch: LimitBranch, values: Array) -> int:
    """Index of the first value that takes the branch, or their number."""
    low, high = branch.bounds()
    inside = (values >= low) & (values <= high)
    hits = inside if branch.kind == "IN" else ~inside
    return int(hits.argmax()) if hits.any() else len(values)


def timed_loops(blocks: Mapping[int, Block]) -> dict[int, TimedLoop]:
    """All such loops of a model, by the number of their first block."""
    found = (_loop_at(blocks, number) for number in blocks)
    return {loop.top: loop for loop in found if loop is not None}


def _loop_at(blocks: Mapping[int, Block], top: int) -> TimedLoop | None:
    wait = blocks[top]
    if not isinstance(wait, Wait) or not wait.event.startswith("TIM") or wait.fresh:
        return None
    place, every, skip = top + 1, 1, 0
    skipping, reset = blocks.get(place), blocks.get(place + 1)
    if isinstance(skipping, CounterBranch) and skipping.target == top:
        if reset != CounterReset(place):
            return None
        every, skip, place = skipping.count, place, place + 2
    measure = blocks.get(place)
    if not isinstance(measure, Measure) or measure.count != 1:
        return None
    measured, place = place, place + 1
    branches: list[tuple[int, LimitBranch | EventBranch]] = []
    while isinstance(branch := blocks.get(place), LimitBranch | EventBranch):
        if isinstance(branch, LimitBranch) and branch.measure not in (0, measured):
            return None
        if isinstance(branch, EventBranch) and branch.event.startswith("TIM"):
            return None
        branches.append((place, branch))
        place += 1
    counter = blocks.get(place)
    if not isinstance(counter, CounterBranch) or counter.target != top:
        return None
    if any(top <= branch.target <= place for _, branch in branches):
        return None
    return TimedLoop(
        top, int(wait.event[3:]), every, skip, measured, measure.buffer, tuple(branches), place, counter.count
    )


def round_times(
    first_event: int, every: int, count: int, started_second: float, delay_second: float
) -> Array:
    """When `count` rounds measure (s): at every so many events of a timer, from `first_event` on."""
    events = first_event + every * np.arange(count, dtype=np.float64)
    return started_second + events * delay_second


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
