"""The measuring loops of a trigger model that can be run many readings at a time.

Such a loop waits for a timer (each time, or every so many times by a counter that it then resets), measures
once, branches on limits or events, and goes round by a counter. At 50 ms a round, 90 h of cell time are
millions of rounds: they are computed from arrays of readings, with the same outcome as block by block.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from devices.sim.keithley_blocks import (
    Block,
    CounterBranch,
    CounterReset,
    EventBranch,
    LimitBranch,
    Measure,
    Wait,
)
from devices.sim.keithley_buffer import Array

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
