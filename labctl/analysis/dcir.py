"""Resistance to direct current: R(t) = |V(t) - V_rest| / |I| at stated times after the step.

V_rest is the voltage at the end of the open circuit before the pulse, from a straight line, so that the noise
of one sample does not enter. R at 0.1 s holds what answers at once (electrolyte, contacts, fast interfaces),
R at 10 and 30 s slow interfaces and diffusion too: a resistance without its time says little (Schweiger et
al., Sensors 10 (2010) 5604, doi 10.3390/s100605604).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from math import nan
from typing import Any, Literal

import numpy as np
from rich.console import RenderableType

from labctl.analysis.conditions import recorded_cell, temperature_celsius
from labctl.analysis.failures import CANNOT_BE_EVALUATED, reason
from labctl.analysis.result_text import letters, meanings, number, results, without_nan
from labctl.analysis.step_samples import (
    Array,
    Segment,
    StepRow,
    charge_ah,
    duration_second,
    rows_by_step,
    samples_by_step,
)
from labctl.documents import RunTables
from labctl.records.cell import Cell
from labctl.schema import END_REASON, PROTOCOL_STEP, START_TEST_TIME, STEP_COUNT, STEP_TYPE

TIMES_SECOND = (0.1, 1.0, 10.0, 30.0)
_NEAR = 0.05  # a sample further than this share of its time from the wanted time is not taken for it
_FEWEST_SAMPLES = 3
_DRIFT_SHARE = 0.02  # of the response, by which the voltage may drift over a pulse

FLAGS: dict[str, str] = {
    "drift": "the voltage still drifted: over the pulse by more than 2 % of its response",
    "cut_short": "the pulse ended before its time, at a limit",
    "current_off": "the current was not constant within 1 %",
}


@dataclass(frozen=True)
class DcPulse:
    """One pulse. NaN: not sampled at that time, or not measured.

    Attributes:
        step_count: Step of the pulse.
        direction: Of its current.
        start_test_time_second: Its beginning.
        pulse_second: Its length.
        current_ampere: Median in the pulse, > 0 on charge.
        net_charge_ah: Net charge from the start of the run to the pulse, > 0 on charge.
        rest_voltage_volt: Cell voltage before it.
        drift_volt_per_hour: Of that voltage.
        temperature_celsius: During the pulse.
        resistance_ohm: R at each of `TIMES_SECOND`.
        flags: Names out of `FLAGS`.
    """

    step_count: int
    direction: Literal["charge", "discharge"]
    start_test_time_second: float
    pulse_second: float
    current_ampere: float
    net_charge_ah: float
    rest_voltage_volt: float
    drift_volt_per_hour: float
    temperature_celsius: float
    resistance_ohm: tuple[float, ...]
    flags: tuple[str, ...]


@dataclass(frozen=True)
class DcirAnalysis:
    """All pulses of a run, the area of its cell, and what was left out with the reason."""

    run_uid: str
    cell_id: str | None
    area_m2: float | None
    pulses: tuple[DcPulse, ...]
    skipped: tuple[tuple[int, str], ...]
    times_second: tuple[float, ...] = TIMES_SECOND

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON: NaN becomes None."""
        cleaned: dict[str, Any] = without_nan(asdict(self))
        return cleaned


def analyze_dcir(tables: RunTables, cell: Cell | None = None) -> DcirAnalysis:
    """R(t) of every current step that follows a rest within one gapless program.

    The way to a state of charge is no such step: it is a program of its own.

    Args:
        tables: the run, from `labctl.documents.tables`.
        cell: gives the area; None takes the cell record in the start document.
    """
    cell = cell or recorded_cell(tables.start)
    rows, samples = rows_by_step(tables), samples_by_step(tables)
    found, skipped, net = list[DcPulse](), list[tuple[int, str]](), 0.0
    for count, row in rows.items():
        if _is_pulse(rows, count):
            few = [c for c in (count - 1, count) if _samples(samples, c) < _FEWEST_SAMPLES]
            if few:
                skipped.append((count, f"fewer than {_FEWEST_SAMPLES} valid samples in step {few[0]}"))
            else:
                try:
                    found.append(_pulse(tables, row, samples[count - 1], samples[count], net))
                except CANNOT_BE_EVALUATED as error:
                    skipped.append((count, reason(error)))
        net += charge_ah(row)
    return DcirAnalysis(
        run_uid=str(tables.start.get("uid", "")),
        cell_id=cell.id if cell else None,
        area_m2=cell.area_m2 if cell else None,
        pulses=tuple(found),
        skipped=tuple(skipped),
    )


def _is_pulse(rows: dict[int, StepRow], count: int) -> bool:
    row, before = rows[count], rows.get(count - 1)
    if before is None or before[STEP_TYPE] != "rest":
        return False
    program, _, _ = str(row[PROTOCOL_STEP]).rpartition(".")
    with_rest = program != "" and program == str(before[PROTOCOL_STEP]).rpartition(".")[0]
    return with_rest and row[STEP_TYPE] in ("cc_charge", "cc_discharge")


def _samples(samples: dict[int, Segment], count: int) -> int:
    return len(samples[count].time_second) if count in samples else 0


def _pulse(
    tables: RunTables, row: StepRow, before: Segment, during: Segment, net_charge_ah: float
) -> DcPulse:
    rest_volt, drift = _rest_end(before)
    begin, length = float(row[START_TEST_TIME]), duration_second(row)
    ampere = float(np.median(during.current_ampere))
    if ampere == 0:
        raise ValueError("no current flowed in most of its samples")
    response = np.abs(during.voltage_volt - rest_volt)
    spread = float(np.ptp(np.percentile(during.current_ampere, (5, 95))))
    raised = {
        "drift": abs(drift) * length > _DRIFT_SHARE * float(response[-1]),
        "cut_short": row[END_REASON] not in ("time", "charge"),
        "current_off": spread > 0.01 * abs(ampere),
    }
    return DcPulse(
        step_count=int(row[STEP_COUNT]),
        direction="charge" if row[STEP_TYPE] == "cc_charge" else "discharge",
        start_test_time_second=begin,
        pulse_second=length,
        current_ampere=ampere,
        net_charge_ah=net_charge_ah,
        rest_voltage_volt=rest_volt,
        drift_volt_per_hour=drift * 3600,
        temperature_celsius=temperature_celsius(tables, begin, begin + length),
        resistance_ohm=tuple(_at(during.time_second, response, time) / abs(ampere) for time in TIMES_SECOND),
        flags=tuple(name for name in FLAGS if raised[name]),
    )


def _rest_end(rest: Segment) -> tuple[float, float]:
    """Voltage (V) at the end of a rest and its drift (V/s), by a straight line through its second half."""
    time = rest.time_second - rest.time_second[-1]
    half = time >= 0.5 * time[0]
    half[-_FEWEST_SAMPLES:] = True
    slope, volt = np.polyfit(time[half], rest.voltage_volt[half], 1)
    return float(volt), float(slope)


def _at(time_second: Array, response_volt: Array, wanted_second: float) -> float:
    """The response at the sample nearest to a time; NaN where none is within 5 % of it."""
    nearest = int(np.argmin(np.abs(time_second - wanted_second)))
    if abs(time_second[nearest] - wanted_second) > _NEAR * wanted_second:
        return nan
    return float(response_volt[nearest])


def dcir_table(analysis: DcirAnalysis) -> RenderableType:
    """One line per pulse: its state, its current, R at each time; then the area that R A refers to."""
    letter_of = letters(FLAGS, (pulse.flags for pulse in analysis.pulses))
    columns: dict[str, Callable[[DcPulse], str]] = {
        "step": lambda p: f"{p.step_count}{'+' if p.direction == 'charge' else '-'}",
        "Q\nmAh": lambda p: f"{p.net_charge_ah * 1e3:.3f}",
        "E rest\nV": lambda p: f"{p.rest_voltage_volt:.4f}",
        "T\n°C": lambda p: number(p.temperature_celsius, 3),
        "I\nmA": lambda p: number(p.current_ampere, 3, 1e3),
    }
    for index, second in enumerate(analysis.times_second):
        columns[f"R {second:g} s\nohm"] = lambda p, index=index: number(p.resistance_ohm[index])
    if analysis.area_m2 is not None:
        square_centimetre = analysis.area_m2 * 1e4
        last = len(analysis.times_second) - 2  # at 10 s: also in pulses of less than 30 s
        columns[f"R·A {analysis.times_second[last]:g} s\nohm cm²"] = lambda p: number(
            p.resistance_ohm[last], factor=square_centimetre
        )
    columns["flags"] = lambda p: "".join(letter_of[flag] for flag in p.flags)
    notes = ["R(t) = |V(t) - E rest| / |I|. + charge, - discharge; Q: net charge since the start of the run."]
    if analysis.area_m2 is not None:
        notes.append(f"A = {analysis.area_m2 * 1e4:.4g} cm², of the die.")
    notes += meanings(letter_of, FLAGS)
    notes += [f"Step {count} was left out: {reason}." for count, reason in analysis.skipped]
    cell = f", cell {analysis.cell_id}" if analysis.cell_id else ""
    return results(f"Resistance to pulses, run {analysis.run_uid[:8]}{cell}", analysis.pulses, columns, notes)
