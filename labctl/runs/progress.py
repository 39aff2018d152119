"""How far a run is and how long it will take, from its documents alone; no user interface."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import Any

from labctl.documents import Page, page_of
from labctl.schema import (
    CYCLE_COUNT,
    END_TEST_TIME,
    PROTOCOL_STEP,
    STEP_COUNT,
    STEP_TYPE,
    STEPS,
    TEST_TIME,
    TIMESERIES,
)
from labctl.units import duration_text

_MIN_STEPS_TO_JUDGE = 8  # fewer finished steps say nothing about the rest of the protocol
_CLEARLY_AHEAD, _CLEARLY_LATE = 0.8, 1.02
_SAME_PACE = 0.05  # wall time and cell time are told apart where they differ by more
_STEP_TEXT = {
    "rest": "rest",
    "cc_charge": "CC charge",
    "cc_discharge": "CC discharge",
    "cv_charge": "CV charge",
    "cv_discharge": "CV discharge",
    "peis": "PEIS",
    "geis": "GEIS",
    "environment": "environment",
}


def step_text(step_type: str) -> str:
    """A step type as people write it, e.g. "CC charge" for cc_charge."""
    return _STEP_TEXT.get(step_type, step_type.replace("_", " "))


def _positive(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and isfinite(value) and value > 0 else None


class Progress:
    """Progress of one run; feed it the run's documents in order.

    The share that is done is cell time over the estimated duration. An estimate is a longest time: rests may
    end on their drift, pulses on a voltage limit. Where finished steps show that the run is clearly ahead of
    it, the number of steps done is believed instead.
    """

    def __init__(self) -> None:
        self._clear({})

    def _clear(self, start: Mapping[str, Any]) -> None:
        estimate = start.get("estimate")
        estimate = estimate if isinstance(estimate, Mapping) else {}
        self.duration_second = _positive(estimate.get("duration_second"))
        steps = _positive(estimate.get("steps"))
        self.steps_total = None if steps is None else int(steps)
        began = start.get("time")
        self.start_unix_second = float(began) if isinstance(began, int | float) else None
        self.unix_second = self.start_unix_second
        self.test_time_second = 0.0
        self.step_count, self.cycle_count, self.step_type = 0, 0, ""
        self.exit_status: str | None = None
        self._streams: dict[str, str] = {}
        self._done: set[Any] = set()
        self._end_of_last_step_second = 0.0
        self._fraction = 0.0

    def feed(self, name: str, doc: Mapping[str, Any]) -> None:
        """Take the next document."""
        if name == "start":
            self._clear(doc)
        elif name == "descriptor":
            self._streams[str(doc.get("uid"))] = str(doc.get("name"))
        elif name == "stop":
            self.exit_status = str(doc.get("exit_status", "success"))
        elif (page := page_of(name, doc)) is not None:
            stream = self._streams.get(page.descriptor)
            if stream == TIMESERIES.name:
                self.take_sample(page.last_row, page.last_time)
            elif stream == STEPS.name:
                self.take_steps(page)

    def take_sample(self, row: Mapping[str, Any], unix_second: float | None) -> None:
        """Take the newest row of `timeseries` and its wall time, from one who has them at hand."""
        self._advance(row.get(TEST_TIME), unix_second)
        self.step_count = int(row.get(STEP_COUNT, self.step_count))
        self.cycle_count = int(row.get(CYCLE_COUNT, self.cycle_count))
        self.step_type = str(row.get(STEP_TYPE, self.step_type))

    def take_steps(self, page: Page) -> None:
        """Take rows of `steps`."""
        # A step that was interrupted and continued has two rows, but one protocol_step.
        self._done.update(page.column(PROTOCOL_STEP) or [len(self._done)])
        end = page.last_row.get(END_TEST_TIME)
        if isinstance(end, int | float) and isfinite(end):
            self._end_of_last_step_second = max(self._end_of_last_step_second, float(end))
        self._advance(end, page.last_time)

    def _advance(self, test_time_second: Any, unix_second: float | None) -> None:
        if isinstance(test_time_second, int | float) and isfinite(test_time_second):
            self.test_time_second = max(self.test_time_second, float(test_time_second))
        self.unix_second = unix_second or self.unix_second
        self._fraction = min(max(self._fraction, self._estimated_fraction()), 1.0)

    def _estimated_fraction(self) -> float:
        by_steps, judged = self._fraction_by_steps()
        if self.duration_second is None:
            return by_steps
        by_time = self.test_time_second / self.duration_second
        ahead = judged and by_time < _CLEARLY_AHEAD * by_steps
        return by_steps if ahead else by_time

    def _fraction_by_steps(self) -> tuple[float, bool]:
        """Share of the steps that are done, the running one in part, and whether that is worth believing."""
        done = self.steps_done
        if not self.steps_total or not done:
            return 0.0, False
        mean_second = self._end_of_last_step_second / done
        within = self.test_time_second - self._end_of_last_step_second
        part = min(within / mean_second, 1.0) if mean_second > 0 else 0.0
        return (done + part) / self.steps_total, done >= _MIN_STEPS_TO_JUDGE

    @property
    def steps_done(self) -> int:
        """Protocol steps that have ended."""
        return len(self._done)

    @property
    def stopped(self) -> bool:
        """Whether the stop document has come."""
        return self.exit_status is not None

    @property
    def fraction(self) -> float | None:
        """Share that is done, 0 to 1; None where the start document carries no estimate."""
        if self.exit_status == "success":
            return 1.0
        if self.duration_second is None and self.steps_total is None:
            return None
        return self._fraction

    @property
    def cell_time_left_second(self) -> float | None:
        """Time the cell will still spend, s; None if unknown or if the run is longer than was estimated."""
        if self.stopped:
            return 0.0
        fraction = self.fraction
        if fraction is None or not 0 < fraction < 1:
            return self.duration_second if fraction == 0 else None
        return self.test_time_second * (1 - fraction) / fraction

    @property
    def wall_per_cell_second(self) -> float | None:
        """Wall time that a second of cell time has taken on average (below 1 on a fast simulated bench)."""
        if self.start_unix_second is None or self.unix_second is None or self.test_time_second <= 0:
            return None
        gone = self.unix_second - self.start_unix_second
        return gone / self.test_time_second if gone > 0 else None

    @property
    def wall_time_left_second(self) -> float | None:
        """Time a person still has to wait, s, at the pace so far; None if unknown."""
        cell, pace = self.cell_time_left_second, self.wall_per_cell_second
        if self.stopped:
            return 0.0
        return None if cell is None or pace is None else cell * pace

    @property
    def step_line(self) -> str:
        """Which step runs, e.g. "step 12 of 41 · CC charge · cycle 0"; "" before the first sample."""
        if not self.step_count:
            return ""
        number = f"step {self.step_count}"
        if self.steps_total is not None:
            number += f" of {max(self.steps_total, self.step_count)}"
        kind = [step_text(self.step_type)] if self.step_type else []
        return " · ".join([number, *kind, f"cycle {self.cycle_count}"])

    @property
    def time_line(self) -> str:
        """How far and how long, e.g. "30 % · 13 h of 43 h 20 min · 52 s left"."""
        return self.time_text(self.wall_per_cell_second)

    def time_text(self, wall_per_cell_second: float | None) -> str:
        """As `time_line`, at another pace (of a replay, say); None: only the cell's time is told."""
        gone = duration_text(self.test_time_second)
        if self.stopped:
            return f"{gone} of cell time"
        parts = [] if self.fraction is None else [f"{100 * self.fraction:.0f} %"]
        known = self.duration_second
        parts.append(f"{gone} of {duration_text(known) if known else 'cell time'}")
        parts += self._left(wall_per_cell_second)
        return " · ".join(parts)

    def _left(self, pace: float | None) -> list[str]:
        cell, known = self.cell_time_left_second, self.duration_second
        if cell is None:
            late = known is not None and self.test_time_second > _CLEARLY_LATE * known
            return ["longer than estimated"] if late else []
        if pace is None or abs(pace - 1) < _SAME_PACE:
            return [f"{duration_text(cell)} left"]
        return [f"{duration_text(cell)} of cell time left, done in {duration_text(cell * pace)}"]

    @property
    def line(self) -> str:
        """Step and time in one line, for a terminal."""
        return " · ".join(part for part in (self.step_line, self.time_line) if part)
