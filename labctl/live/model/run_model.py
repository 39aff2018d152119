"""The data of one run, collected from its documents; no user interface."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from math import inf, nan
from typing import Any

import numpy as np

from labctl.analysis.cycling.cycles import CycleAccumulator, active_mass_kg
from labctl.documents import Columns, Gather, Page, page_of
from labctl.live.model import spectra
from labctl.live.model.charge import ChargeCounter, HalfCycles
from labctl.live.model.decimation import Thinned
from labctl.live.model.gitt_pulses import Pulses
from labctl.live.model.run_kind import Contents, contents_of
from labctl.live.model.series import MAX_ROWS, Series
from labctl.live.model.worker import Worker
from labctl.printable import printable
from labctl.runs.progress import Progress
from labctl.schema import (
    ALARMS,
    APPLIED_PRESSURE,
    CURRENT,
    CYCLE_COUNT,
    ENVIRONMENT,
    IMPEDANCE,
    PRESSURE_SETPOINT,
    SPECTRUM_COUNT,
    STATUS,
    STEP_COUNT,
    STEP_TIME,
    STEP_TYPE,
    STEPS,
    SURFACE_PRESSURE,
    TEMPERATURE,
    TEMPERATURE_SETPOINT,
    TEST_TIME,
    TIMESERIES,
    VOLTAGE,
)


class RunIdentity:
    """What a start document says; all of it "" or NaN while there is none.

    Attributes:
        start: The start document, or None before it came.
    """

    def __init__(self) -> None:
        self.start: dict[str, Any] | None = None

    @property
    def active_mass_kg(self) -> float:
        """Mass of active material in the cell; NaN if unknown."""
        return active_mass_kg(self.start.get("cell")) if self.start else nan

    @property
    def uid(self) -> str:
        """The run's uid, "" before its start document."""
        return str(self.start.get("uid", "")) if self.start else ""

    @property
    def plan_name(self) -> str:
        """The plan's name, "" if unknown."""
        return printable(self.start.get("plan_name", "")) if self.start else ""

    @property
    def station(self) -> str:
        """The station's name, "" if unknown."""
        return _name(self.start.get("station"), "name") if self.start else ""

    @property
    def cell_id(self) -> str:
        """The cell's id, "" if unknown."""
        return _name(self.start.get("cell"), "id") if self.start else ""

    @property
    def coating(self) -> str:
        """The coating in words, e.g. "Li3InCl6 3 wt%" or "uncoated"; "" where the cell does not tell."""
        cell = self.start.get("cell") if self.start else None
        if not isinstance(cell, Mapping) or "coating" not in cell:
            return ""
        coating = cell["coating"]
        if not isinstance(coating, Mapping):
            return printable(coating) if coating else "uncoated"
        percent = coating.get("mass_percent")
        share = f" {percent:g} wt%" if isinstance(percent, int | float) else ""
        return printable(f"{coating.get('material', 'coated')}{share}")


def _name(record: Any, key: str) -> str:
    if isinstance(record, Mapping):
        return printable(record.get(key, ""))
    return printable(record or "")


CURVES = (VOLTAGE, CURRENT)
_ENVIRONMENT_COLUMNS = (
    TEMPERATURE,
    TEMPERATURE_SETPOINT,
    SURFACE_PRESSURE,
    APPLIED_PRESSURE,
    PRESSURE_SETPOINT,
)
_FLOATS = (TEST_TIME, VOLTAGE, CURRENT)
_COUNTS = (STEP_COUNT, CYCLE_COUNT)
_OF_PULSES = ((STEP_TIME,), (STATUS,))  # floats and counts that only fits of pulses need
_MOST_GATHERED = 20_000
_MOST_STEPS = 32
_GAPS_REMEMBERED = 32
_ALARMS_KEPT = 2000
_COURSE_ROWS = 20_000
_LONG_SILENCE_SECOND = 600.0  # between the samples of one step and the next
_STEPS_REMEMBERED = 64  # types of steps that rows may still come for


class RunModel(RunIdentity):
    """Everything the panels show of one run; feed it the run's documents in order.

    Rows are gathered and taken in together: what is made of them is up to date after `settle`.

    Attributes:
        stop: The stop document, or None.
        contents: What the run is about.
        environment: Temperatures (degC) and pressures (Pa), measured and set.
        course: Net charge (Ah), voltage and current of the whole run, rests too, as about 20 000 rows.
        half_cycles: Voltage and current over the capacity of each charge and discharge.
        cycles: Capacities, efficiencies, polarisation.
        spectra: Impedance.
        pulses: The pulses of a GITT.
        last: Last row of each stream, by the stream's name.
        alarms: Number of rows of the stream `alarms`; the newest of them are in `alarm_rows`.
        tripped: Whether a trip was reported that nobody has acknowledged.
        paused: Whether the run says that it is paused.
        last_data_unix_second: Wall time of the newest row of `timeseries` or `impedance`.
        progress: How far the run is.
        version: Grows with every document.
    """

    def __init__(self, max_rows: int = MAX_ROWS) -> None:
        super().__init__()
        self.stop: dict[str, Any] | None = None
        self.contents = Contents()
        self._timeseries = Series(CURVES, max_rows)
        self.environment = Series(_ENVIRONMENT_COLUMNS, max_rows // 8)
        self.spectra = spectra.Spectra()
        self.last: dict[str, Mapping[str, Any]] = {}
        self.alarms = 0
        self.alarm_rows: deque[Mapping[str, Any]] = deque(maxlen=_ALARMS_KEPT)
        self.paused = self.tripped = False
        self.last_data_unix_second: float | None = None
        self.progress = Progress()
        self.version = 0
        self._streams: dict[str, str] = {}
        self._gaps: deque[float] = deque(maxlen=_GAPS_REMEMBERED)
        self._points = Gather(spectra.COLUMNS, spectra.COUNTS)
        self._step_types: dict[int, str] = {}
        self._latest_row = (-inf, 0)  # time and step
        self._finished_steps: list[dict[str, Any]] = []
        self._newest_spectrum: Any = None
        self._begin({})

    def _begin(self, start: Mapping[str, Any]) -> None:
        self.contents = contents_of(start)
        self.cycles = CycleAccumulator(active_mass_kg=active_mass_kg(start.get("cell")))
        self.half_cycles = HalfCycles()
        self.course = Thinned(3, telling=1, most=_COURSE_ROWS)
        self.pulses = Pulses(start, wanted=self.contents.pulses)
        floats, counts = _OF_PULSES if self.contents.pulses else ((), ())
        self._samples = Gather(_FLOATS + floats, _COUNTS + counts)
        self._charge = ChargeCounter()

    def feed(self, name: str, doc: dict[str, Any]) -> None:
        """Take the next document."""
        self.version += 1
        if (page := page_of(name, doc)) is not None:
            self._take_rows(page)
            return
        self.progress.feed(name, doc)
        if name == "start":
            self.start = doc
            self._begin(doc)
        elif name == "descriptor":
            self._streams[str(doc.get("uid"))] = str(doc.get("name"))
        elif name == "stop":
            self.stop = doc
            if doc.get("exit_status") == "success":
                self.cycles.finish()

    def _take_rows(self, page: Page) -> None:
        stream = self._streams.get(page.descriptor, "")
        row = page.last_row
        if not row:
            return
        self.last[stream] = row
        if stream == TIMESERIES.name:
            self._take_samples(page, row)
        elif stream == IMPEDANCE.name:
            self._arrived(page.last_time)
            if row.get(SPECTRUM_COUNT) != self._newest_spectrum:
                self._newest_spectrum = row.get(SPECTRUM_COUNT)
                self.settle()  # it began at the charge that the samples so far come to
            self._points.add(page)
        elif stream == ENVIRONMENT.name:
            self._take_environment(page.data, row)
        elif stream == STEPS.name:
            self.progress.take_steps(page)
            self._finished_steps.extend(page.rows)
            if len(self._finished_steps) > _MOST_STEPS:
                self.settle()
        elif stream == ALARMS.name:
            self._take_alarms(page)
        elif stream == "interruptions":
            self.paused = row.get("interruption") == "pause"

    def _take_samples(self, page: Page, row: Mapping[str, Any]) -> None:
        when = page.last_time
        self.progress.take_sample(row, when)
        self._remember_steps(page, row)
        self._samples.add(page)
        if len(self._samples) > _MOST_GATHERED:
            self.settle()
        self._arrived(when)

    def _arrived(self, when: float | None) -> None:
        if when is None:
            return
        if self.last_data_unix_second is not None:
            self._gaps.append(when - self.last_data_unix_second)
        self.last_data_unix_second = when

    def _remember_steps(self, page: Page, row: Mapping[str, Any]) -> None:
        """Keep the types of the steps that the rows belong to; most pages lie within one step."""
        counts, newest = page.column(STEP_COUNT), row.get(STEP_COUNT, 0)
        if counts is None:
            self._step_types[int(newest)] = str(row.get(STEP_TYPE, ""))
        elif not (counts[0] in self._step_types and newest in self._step_types):
            self._step_types.update(zip(counts, page.column(STEP_TYPE) or (), strict=False))

    def _take_environment(self, data: Mapping[str, Any], row: Mapping[str, Any]) -> None:
        self.environment.add(data.get(TEST_TIME, []), data)
        second, celsius = row.get(TEST_TIME, nan), row.get(_ENVIRONMENT_COLUMNS[0], nan)
        self.pulses.take_temperature(float(second), float(celsius))

    def _take_alarms(self, page: Page) -> None:
        for when, row in zip(page.time, page.rows, strict=True):
            self.alarms += 1
            self.alarm_rows.append({"time": when, **row})
            kind = str(row.get("kind", ""))
            if kind.startswith("trip"):
                self.tripped = True
            elif kind.startswith("acknowledge"):
                self.tripped = False

    @property
    def timeseries(self) -> Series:
        """Voltage (V) and current (A, > 0 charges) over `test_time_second`."""
        self.settle()
        return self._timeseries

    def settle(self) -> None:
        """Take in what was gathered."""
        if len(self._points):
            self.spectra.take(self._points.take(), self._charge.net_ah)
        columns = _in_order(self._samples.take(), self._latest_row[0]) if len(self._samples) else {}
        if columns and len(columns[TEST_TIME]):
            self._spread(columns)
        steps, self._finished_steps = self._finished_steps, []
        for step in steps:
            self.cycles.take_step(step)
            self.pulses.take_step(step)
        if len(self._step_types) > _STEPS_REMEMBERED:
            newest = self._latest_row[1]
            self._step_types = {newest: self._step_types.get(newest, "")}

    def _spread(self, columns: Columns) -> None:
        """Give new rows to everything that is made of them."""
        time, types, before = columns[TEST_TIME], self._step_types, self._charge.net_ah
        for instant in _breaks(columns, self._latest_row):
            self._timeseries.break_after(instant)
        self._latest_row = float(time[-1]), int(columns[STEP_COUNT][-1])
        net = self._charge.take(time, columns[CURRENT], columns[STEP_COUNT], types)
        self._timeseries.add(
            time,
            {
                VOLTAGE: columns[VOLTAGE],
                CURRENT: columns[CURRENT],
            },
        )
        self.course.add((net, columns[VOLTAGE], columns[CURRENT]))
        self.half_cycles.take(columns, net, before, types)
        self.cycles.take_samples(
            time,
            columns[VOLTAGE],
            columns[CURRENT],
            columns[CYCLE_COUNT],
            columns[STEP_COUNT],
            types,
        )
        self.pulses.take_samples(columns)

    def pursue(self, worker: Worker) -> None:
        """Let fits go on that are not done when documents come."""
        self.pulses.pursue(worker)

    @property
    def longest_gap_second(self) -> float:
        """Longest wall time between recent arrivals of data, 0 if there were none."""
        return max(self._gaps, default=0.0)

    @property
    def time_span(self) -> tuple[float, float]:
        """First and last time (s) of anything that was measured; (inf, -inf) if nothing was."""
        times = [series.time for series in (self._timeseries, self.environment) if len(series)]
        first = [float(time[0]) for time in times] + [s.start_second for s in self.spectra.all[:1]]
        last = [float(time[-1]) for time in times] + [s.start_second for s in self.spectra.all[-1:]]
        return min(first, default=inf), max(last, default=-inf)

    @property
    def net_charge_ah(self) -> float:
        """Charge taken up less charge given back since the start of the run."""
        return self._charge.net_ah


def _in_order(columns: Columns, latest_second: float) -> Columns:
    """Rows with a time, which never goes back."""
    time = columns[TEST_TIME]
    known = np.isfinite(time)
    if not known.all():
        columns = {name: column[known] for name, column in columns.items()}
        time = columns[TEST_TIME]
    columns[TEST_TIME] = np.maximum(np.maximum.accumulate(time), latest_second) if len(time) else time
    return columns


def _breaks(columns: Columns, before: tuple[float, int]) -> list[float]:
    """Times of rows after which nothing was sampled for long: a spectrum was measured, or the run paused."""
    time = np.append(before[0], columns[TEST_TIME])
    step = np.append(before[1], columns[STEP_COUNT])
    left_out = (np.diff(step) > 1) | (np.diff(time) > _LONG_SILENCE_SECOND)
    return time[:-1][left_out & (np.diff(step) != 0) & np.isfinite(time[:-1])].tolist()
