"""Stored runs for overlaid plots: read in a separate thread, bounded in memory."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Literal

import numpy as np

from labctl.analysis.cycling.cycles import CycleResult
from labctl.errors import ConfigurationError
from labctl.live.model.charge import HalfCycle
from labctl.live.model.decimation import telling_rows
from labctl.live.model.feed import documents_of
from labctl.live.model.pyramid import Floats, Indices
from labctl.live.model.run_model import RunModel
from labctl.live.model.series import Series
from labctl.runs.summary import RunSummary

_MOST_ROWS = 200_000  # of voltage over time
_MOST_HALF_ROWS = 100_000  # of voltage over capacity, shared by the half cycles of a run
_FEWEST_ROWS = 64  # of one half cycle
_JOIN_TIMEOUT_SECOND = 2.0
_CYCLES = re.compile(r"(?P<first>\d+)(?:\s*-\s*(?P<last>\d+))?|(?P<word>first|last)")
CYCLES_FORMS = "all, or cycles as 1-3, 10, last"
Basis = Literal["mAh", "mAh/g"]


@dataclass(frozen=True)
class HalfCurve:
    """Voltage (V) over capacity (Ah) of one charge or discharge, each of shape (rows,)."""

    cycle_count: int
    charging: bool
    capacity_ah: Floats
    voltage_volt: Floats


@dataclass(frozen=True)
class Overlay:
    """All of a run that a comparison draws.

    Attributes:
        run: The run at a glance.
        series: Voltage (V) over `test_time_second`.
        halves: Its charges and discharges in order; true rows, of long runs only those that shape the curve.
        cycles: Capacities by cycle.
        active_mass_kg: Mass of active material; NaN if the cell record does not tell.
    """

    run: RunSummary
    series: Series
    halves: tuple[HalfCurve, ...]
    cycles: tuple[CycleResult, ...]
    active_mass_kg: float

    def capacity_scale(self, basis: Basis) -> float:
        """What turns Ah into the basis; NaN where the mass is not known."""
        return 1e3 if basis == "mAh" else 1 / self.active_mass_kg

    def against_capacity(self, basis: Basis, cycles: CycleChoice) -> tuple[Floats, Floats]:
        """Capacity and voltage (V) of the chosen cycles, half cycles parted by NaN."""
        chosen = self.chosen(cycles)
        gap = np.array([np.nan])
        x = [part for half in chosen for part in (half.capacity_ah, gap)]
        y = [part for half in chosen for part in (half.voltage_volt, gap)]
        if not chosen:
            return np.empty(0), np.empty(0)
        return np.concatenate(x) * self.capacity_scale(basis), np.concatenate(y)

    def chosen(self, cycles: CycleChoice) -> list[HalfCurve]:
        """The half cycles of the chosen cycles, in order."""
        last = self.halves[-1].cycle_count if self.halves else 0
        return [half for half in self.halves if cycles.takes(half.cycle_count, last)]

    def per_cycle(self, basis: Basis) -> tuple[Indices, Floats, Floats]:
        """Cycle numbers, charge and discharge capacity; cycle 0, which no mark has begun, is left out."""
        cycles = [cycle for cycle in self.cycles if cycle.cycle_count > 0]
        scale = self.capacity_scale(basis)
        numbers = np.array([cycle.cycle_count for cycle in cycles], dtype=np.int64)
        charge = np.array([cycle.charge_capacity_ah for cycle in cycles], dtype=float)
        discharge = np.array([cycle.discharge_capacity_ah for cycle in cycles], dtype=float)
        return numbers, charge * scale, discharge * scale


@dataclass(frozen=True)
class CycleChoice:
    """Which cycles to draw: numbers from ... to ..., and perhaps the last one; nothing chosen means all."""

    spans: tuple[tuple[int, int], ...] = ()
    last: bool = False

    @staticmethod
    def parse(text: str) -> CycleChoice:
        """From "all" (or nothing), "3", "1-3, 10, last".

        Raises:
            ConfigurationError: It is something else.
        """
        if text.strip().lower() in ("", "all"):
            return CycleChoice()
        spans, last = [], False
        for part in text.lower().split(","):
            match = _CYCLES.fullmatch(part.strip())
            if match is None:
                raise ConfigurationError("comparison", "cycles", text, CYCLES_FORMS)
            if match["word"] == "last":
                last = True
            else:
                first = int(match["first"] or 1)
                spans.append((first, int(match["last"] or first)))
        return CycleChoice(tuple(spans), last)

    def takes(self, cycle_count: int, last_cycle: int) -> bool:
        """Whether a cycle is among them."""
        if not self.spans and not self.last:
            return True
        within = any(first <= cycle_count <= last for first, last in self.spans)
        return within or (self.last and cycle_count == last_cycle)


def overlay_of(run: RunSummary, model: RunModel) -> Overlay:
    """What a comparison draws of a run that was read."""
    halves = model.half_cycles.all
    rows = max(_MOST_HALF_ROWS // max(len(halves), 1), _FEWEST_ROWS)
    return Overlay(
        run=run,
        series=model.timeseries,
        halves=tuple(_half_curve(half, rows) for half in halves),
        cycles=tuple(model.cycles.results()),
        active_mass_kg=model.active_mass_kg,
    )


def _half_curve(half: HalfCycle, rows: int) -> HalfCurve:
    capacity, volt, _ = half.curve.columns
    kept = telling_rows(volt, rows // 4)
    return HalfCurve(half.cycle_count, half.direction > 0, capacity[kept], volt[kept])


def lacking_mass(overlays: Sequence[Overlay]) -> str:
    """Which cells cannot be drawn per gram, in words; "" if all can."""
    lacking = [o.run.cell_id or o.run.uid[:8] for o in overlays if not isfinite(o.active_mass_kg)]
    if not lacking:
        return ""
    return f"no mAh/g for {', '.join(dict.fromkeys(lacking))}: the mass of active material is not known"


class OverlayReader:
    """Reads runs one after another in a thread.

    Args:
        data_directory: Holds the runs.
        answer: Called in the thread with each run and its overlay, or the reason why there is none.
    """

    def __init__(self, data_directory: Path, answer: Callable[[RunSummary, Overlay | str], None]) -> None:
        self._data, self._answer = data_directory, answer
        self._asked = threading.Condition()
        self._wanted: dict[str, RunSummary] = {}
        self._closed = False
        self._thread: threading.Thread | None = None

    def read(self, runs: Sequence[RunSummary]) -> None:
        """Read these runs, and no others that still wait."""
        with self._asked:
            self._wanted = {run.uid: run for run in runs}
            if self._thread is None and runs:
                self._thread = threading.Thread(target=self._work, name="overlay-reader", daemon=True)
                self._thread.start()
            self._asked.notify()

    def _work(self) -> None:
        while (run := self._next()) is not None:
            try:
                found = self._overlay(run)
            except Exception as error:  # noqa: BLE001 - the thread has nobody to raise to: the window shows it
                found = f"{run.uid[:8]} cannot be read: {error}"
            with self._asked:
                wanted = self._wanted.pop(run.uid, None) is not None
            if wanted and found is not None and not self._closed:
                self._answer(run, found)

    def _next(self) -> RunSummary | None:
        with self._asked:
            self._asked.wait_for(lambda: self._closed or self._wanted)
            return None if self._closed else next(iter(self._wanted.values()))

    def _overlay(self, run: RunSummary) -> Overlay | None:
        """The run's overlay; None when nobody wants it any more."""
        model = RunModel(max_rows=_MOST_ROWS)
        for name, doc in documents_of(self._data, run):
            if self._closed or run.uid not in self._wanted:
                return None
            model.feed(name, doc)
        return overlay_of(run, model)

    def close(self) -> None:
        """End the thread."""
        with self._asked:
            self._closed = True
            self._asked.notify()
        if self._thread is not None:
            self._thread.join(_JOIN_TIMEOUT_SECOND)
