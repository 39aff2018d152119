"""Follows a trigger model from its readings: which technique each belongs to, what ended it, what is kept.

Readings carry no mark of their step, but every decision of the model depends on them and on counts, so that
the host comes to the same decisions. The one exception is a step that the host itself ends by *TRG: there it
holds later readings back until the instrument's counter says how many belonged to the step.
"""

from __future__ import annotations

from collections.abc import Callable
from math import nan

import numpy as np

from devices.keithley_conditions import Condition
from devices.keithley_program import CompiledProgram, Loop
from devices.keithley_readings import NONE, Readings
from devices.keithley_sampling import Sampler, watch_for
from devices.keithley_timing import time_end_reason
from devices.program_record import ProgramRecord, Trouble
from devices.techniques import AnyTechnique, ConstantVoltage, OpenCircuit

_ROOM_READINGS = 40  # the host ends a step only if its loop would go on for so long


class Replay:
    """One run of `program`; `on_reading` gets the newest voltage (V) and current (A)."""

    def __init__(
        self,
        program: CompiledProgram,
        techniques: tuple[AnyTechnique, ...],
        record: ProgramRecord,
        on_reading: Callable[[float, float], None],
    ) -> None:
        self._program, self._techniques, self._record = program, techniques, record
        self._on_reading = on_reading
        self._held = NONE
        self._loop_index = -1  # the reading at 0 A comes first
        self._used = 0  # readings of the present loop
        self._step_start_second = 0.0
        self.last_measured, self._last_second = nan, 0.0  # V or A, whatever the technique measures
        self._last_sample: tuple[float, float, float, int] | None = None  # the newest reading of the step
        self._last_trouble: Trouble | None = None
        self._condition_met = False  # the one that the host evaluates
        self._total: int | None = None  # readings of the present loop, as the instrument has told
        self.holding = False
        self.finished = False
        self.limit_passed: str | None = None
        self._begin(0)

    # ---- what the host does about its own conditions
    @property
    def loop(self) -> Loop | None:
        """The loop that the model is in, as far as readings tell."""
        return self._program.loops[self._loop_index] if 0 <= self._loop_index else None

    @property
    def wants_end(self) -> bool:
        """Whether the host's condition holds, and the loop goes on for long enough to say so."""
        loop = self.loop
        return (
            self._condition_met
            and not self.holding
            and not self.finished
            and loop is not None
            and loop.readings - self._used > _ROOM_READINGS
        )

    def release(self, readings_of_loop: int, arrived: float) -> None:
        """The instrument has left the loop after so many readings."""
        self._total = readings_of_loop if readings_of_loop >= self._used else None
        self.holding = False
        self.feed(NONE, arrived)

    # ---- readings
    def feed(self, readings: Readings, arrived: float) -> None:
        """Further readings; `arrived` is unix time."""
        queue = self._held.followed_by(readings)
        while (len(queue) or self._total == self._used) and not (self.holding or self.over):
            queue = self._advance(queue, arrived)
        self._held = queue

    @property
    def over(self) -> bool:
        """Whether the model must have ended."""
        return self.finished or self.limit_passed is not None

    def close(self, reason: str, arrived: float) -> None:
        """The program was ended from outside: the newest reading becomes the last sample."""
        self.holding = False
        self.feed(NONE, arrived)
        self._end_step(reason, arrived)

    def _advance(self, queue: Readings, arrived: float) -> Readings:
        """Take in what belongs together; what is left."""
        loop = self.loop
        if loop is None:
            self._take_first(queue)
            return queue.part(1)
        stop = min(len(queue), loop.readings - self._used)
        if self._total is not None:
            stop = min(stop, self._total - self._used)
        chunk = queue.part(0, stop)
        end, end_place = _earliest(loop.ends, chunk)
        trip, trip_place = _earliest(loop.trips, chunk)
        take = min(stop, min(end_place, trip_place) + 1)
        self._used += take
        tripped = trip is not None and trip_place < end_place
        done = None if tripped else self._reason(loop, end)
        if take:
            self._consume(chunk.part(0, take), arrived)
        if tripped and trip is not None:
            self.limit_passed = trip.limit_passed(self.last_measured)
        elif done is not None:
            self._end_step(done, arrived)
            self._begin(loop.technique_index + 1)
        elif self._used == loop.readings:
            self._next_loop()
        return queue.part(take)

    def _reason(self, loop: Loop, end: Condition | None) -> str | None:
        """Why the technique has ended, None when it has not."""
        technique = self._techniques[loop.technique_index]
        if end is not None:
            return end.reason
        if self._total is not None and self._used >= self._total:
            return "drift" if isinstance(technique, OpenCircuit) else "charge"
        last_loop = self._loop_index + 1 == len(self._program.loops)
        if self._used < loop.readings:
            return None
        if last_loop or self._program.loops[self._loop_index + 1].technique_index != loop.technique_index:
            return time_end_reason(technique)
        return None

    def _take_first(self, queue: Readings) -> None:
        self.last_measured = float(queue.measured[0])
        self._next_loop()
        self._check_entry(0)

    def _check_entry(self, index: int) -> None:
        entry = self._program.entry.get(index)
        if entry is not None and entry.first(np.array([self.last_measured])) == 0:
            self.limit_passed = entry.limit_passed(self.last_measured)

    def _begin(self, index: int) -> None:
        """Technique `index` begins at the reading before."""
        if index >= len(self._techniques):
            self.finished = True
            return
        if index:
            self._check_entry(index)
            if self.limit_passed is not None:
                return
        self._record.begin_step(index)
        technique = self._techniques[index]
        self._sources_voltage = isinstance(technique, ConstantVoltage)
        first = next(n for n, loop in enumerate(self._program.loops) if loop.technique_index == index)
        sampling = technique.sampling  # type: ignore[union-attr]  # spectra were refused before
        self._sampler = Sampler(sampling, self._program.loops[first].tick_second)
        self._watch, self._condition_met, self._total = watch_for(technique), False, None
        if index:
            self._loop_index, self._used = first, 0

    def _next_loop(self) -> None:
        self._loop_index, self._used = self._loop_index + 1, 0
        self._sampler.tick_second = self._program.loops[self._loop_index].tick_second

    def _consume(self, chunk: Readings, arrived: float) -> None:
        second = chunk.second - self._step_start_second
        volt, ampere = chunk.volt_and_ampere(sources_voltage=self._sources_voltage)

        def sample(place: int) -> tuple[float, float, float, int]:
            return float(second[place]), float(volt[place]), float(ampere[place]), int(chunk.status[place])

        for place in self._sampler.kept(second, volt):
            self._record.sample(*sample(place), arrived, chunk.trouble(place))
        self._last_sample, self._last_trouble = sample(len(chunk) - 1), chunk.trouble(len(chunk) - 1)
        self.last_measured, self._last_second = float(chunk.measured[-1]), float(chunk.second[-1])
        if self._watch is not None and not self._condition_met:
            self._condition_met = self._watch.first(second, volt, ampere) is not None
        self._on_reading(float(volt[-1]), float(ampere[-1]))  # NaN where the newest has no value

    def _end_step(self, reason: str, arrived: float) -> None:
        """The present technique ends at the newest reading, which becomes a sample if it was none."""
        if self._last_sample is not None:
            # the record leaves out what it has already
            self._record.sample(*self._last_sample, arrived, self._last_trouble)
            self._last_sample = None
        self._step_start_second = self._last_second
        self._record.end_step(reason)


def _earliest(conditions: tuple[Condition, ...], chunk: Readings) -> tuple[Condition | None, int]:
    """The condition that holds first, and at which reading."""
    places = [(condition.first(chunk.measured), number) for number, condition in enumerate(conditions)]
    place, number = min(places, default=(len(chunk), 0))
    return (conditions[number], place) if place < len(chunk) else (None, len(chunk))
