"""The ticks of a measurement loop: readings of many ticks at once, then the script's body tick by tick.

A tick that says nothing must cost microseconds: at 100 ms a tick, 90 h of cell time are 3 million of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import repeat
from math import isinf
from typing import NamedTuple

import numpy as np

from devices.sim.palmsens.commands import ScriptAbort, Step
from devices.sim.palmsens.memory import NANOSECOND, Memory, Metadata
from devices.sim.palmsens.potentiostat import CRITICAL_OVERLOAD, Potentiostat
from devices.sim.palmsens.syntax import Measurement, ScriptError, retyped_variables

LARGEST_BATCH = 2000
LINES_PER_BATCH = 20  # a host that does not read stops time after so many lines beside those in the sockets
Outputs = list[tuple[int, Iterable[float]]]


class Outcome(NamedTuple):
    """What became of some ticks: the body's signal, or what ended the script in the last one."""

    signal: str | None
    error: ScriptAbort | ScriptError | None


class TickLoop:
    """One run of one measurement loop: ticks at k * interval, k = 1 ... count, after its start."""

    def __init__(
        self,
        node: Measurement,
        body: Step,
        memory: Memory,
        potentiostat: Potentiostat,
        *,
        base_second: float,
        interval_nanosecond: int,
        count: int,
    ) -> None:
        self._node, self._memory, self._front = node, memory, potentiostat
        self._base_second = base_second
        self._interval = interval_nanosecond
        self._last_due = memory.now_nanosecond
        self.left = count
        self._kinds = self._typed_outputs()
        self._body = self._retyping(body)

    @property
    def due_nanosecond(self) -> int:
        """When the next tick is."""
        return self._last_due + self._interval

    def shift(self, nanosecond: int) -> None:
        """The loop was halted for so long."""
        self._last_due += nanosecond

    def run(self, limit_second: float) -> Outcome:
        """Run the ticks up to the bench's second `limit_second`, at least one.

        They stop early when the body ends the loop or the script, and after many lines. Afterwards the
        memory's time and the leads are at the last tick, whatever happened there.
        """
        due = self.due_nanosecond
        reached = self._front.leads.reach(self._base_second + due / NANOSECOND)
        batch = self._batch(min(reached, limit_second))
        times = self._base_second + (due + self._interval * np.arange(batch)) / NANOSECOND
        volt, ampere, good = self._front.measure(times)
        signal, error = None, None
        if good:
            ticks = range(due, due + good * self._interval, self._interval)
            try:
                signal = self._run_body(self._outputs(volt, ampere), ticks)
            except (ScriptAbort, ScriptError) as raised:
                error = raised
        done = (self._memory.now_nanosecond - due) // self._interval + 1 if good else 0
        if signal is None and error is None and done == good < batch:
            self._memory.now_nanosecond = due + good * self._interval
            done, error = done + 1, ScriptError(CRITICAL_OVERLOAD, self._node.line)
        self._pass(done)
        return Outcome(signal, error)

    def _pass(self, done: int) -> None:
        self._front.noise.use(done)
        self.left -= done
        self._last_due = self._memory.now_nanosecond
        self._front.leads.advance_to(self._base_second + self._last_due / NANOSECOND)

    def _batch(self, until_second: float) -> int:
        largest = min(self.left, LARGEST_BATCH)
        if isinf(until_second):
            return largest
        ahead = round((until_second - self._base_second) * NANOSECOND) - self._last_due
        return max(min(ahead // self._interval, largest), 1)

    def _run_body(self, outputs: Outputs, ticks: range) -> str | None:
        """The hot loop."""
        memory, body = self._memory, self._body
        values, lines = memory.values, memory.lines
        if len(outputs) == 1:
            index, series = outputs[0]
            for value, now in zip(series, ticks, strict=False):
                values[index] = value
                memory.now_nanosecond = now
                signal = body()
                if signal is not None or len(lines) >= LINES_PER_BATCH:
                    return signal
            return None
        indices = [index for index, _ in outputs]
        for row, now in zip(zip(*(series for _, series in outputs), strict=False), ticks, strict=False):
            for index, value in zip(indices, row, strict=True):
                values[index] = value
            memory.now_nanosecond = now
            signal = body()
            if signal is not None or len(lines) >= LINES_PER_BATCH:
                return signal
        return None

    def _outputs(self, volt: list[float], ampere: list[float]) -> Outputs:
        """What each output variable gets; set values are not measured and carry no noise."""
        front = self._front
        series: dict[str, Iterable[float]] = {
            "ab": volt,
            "ba": ampere,
            "da": repeat(front.set_point_volt),
            "db": repeat(front.applied_ampere),
        }
        return [(index, series[kind]) for index, kind in self._kinds]

    def _typed_outputs(self) -> list[tuple[int, str]]:
        """Output variables and their types, which are set here: they change only if the body changes them."""
        kinds = {"meas_loop_ocp": ("ab",), "meas_loop_cp": ("ab", "db"), "meas_loop_ca": ("da", "ba")}
        typed = list(zip(self._node.outputs, kinds[self._node.name], strict=True))
        typed += [(extra.variable, extra.kind) for extra in self._node.extra]
        for index, kind in typed:
            self._set_type(index, kind)
        return typed

    def _set_type(self, index: int, kind: str) -> None:
        metadata: dict[str, Metadata] = {
            "ab": self._front.voltage_metadata,
            "ba": self._front.current_metadata,
        }
        self._memory.types[index] = kind
        self._memory.metadata[index] = metadata.get(kind)

    def _retyping(self, body: Step) -> Step:
        changed = retyped_variables(self._node.body) & {index for index, _ in self._kinds}
        if not changed:
            return body

        def with_types() -> str | None:
            for index, kind in self._kinds:
                self._set_type(index, kind)
            return body()

        return with_types
