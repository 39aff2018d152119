"""Finding the pulses of a GITT run in its `steps` and `timeseries`, and reading the ends of its rests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from labctl.analysis.gitt.results import SkippedPulse
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
from labctl.schema import END_REASON, START_TEST_TIME, STEP_COUNT, STEP_TYPE, TIMESERIES

_PULSE_ENDS = ("time", "charge")
_REST_ENDS = ("time", "drift")
_FEWEST_SAMPLES = 8
_TAIL_FRACTIONS = (0.75, 0.5, 0.25, 0.12, 0.06)  # of the rest: the longest that is straight is taken
_BENT = 2.5  # a tail is bent when its quadratic term exceeds its standard error by this factor


@dataclass(frozen=True)
class Pulse:
    """One current pulse between two complete rests. `charge_ah` > 0 on charge."""

    step_count: int
    direction: Literal["charge", "discharge"]
    start_test_time_second: float
    duration_second: float
    rest_second: float
    charge_ah: float
    net_charge_ah: float
    before: Segment
    during: Segment
    after: Segment


@dataclass(frozen=True)
class RestEnd:
    """Voltage at the end of a rest from a straight line through its tail, with its standard error."""

    voltage_volt: float
    std_error_volt: float
    drift_volt_per_hour: float
    noise_volt: float


def pulses_from_tables(
    tables: RunTables, net_charge_before_ah: float = 0.0
) -> tuple[list[Pulse], list[SkippedPulse]]:
    """The pulses of a run in their order, and every current step that is none, with the reason.

    A pulse is a cc_charge or cc_discharge step that ended by time or charge, directly between two rests
    that ended by time or drift.
    """
    rows, samples = rows_by_step(tables), samples_by_step(tables)
    net_before, net = {}, net_charge_before_ah
    for count in rows:
        net_before[count], net = net, net + charge_ah(rows[count])
    pulses: list[Pulse] = []
    skipped: list[SkippedPulse] = []
    for count in rows:
        if rows[count][STEP_TYPE] not in ("cc_charge", "cc_discharge"):
            continue
        reason = _reason_to_skip(rows, samples, count)
        if reason is None:
            pulses.append(_pulse(rows, samples, count, net_before[count]))
        else:
            skipped.append(SkippedPulse(count, reason))
    unfinished = _unfinished(rows, tables)
    return pulses, [*skipped, *unfinished]


def rest_end(rest: Segment) -> RestEnd:
    """The voltage (V) at the end of a rest and its drift (V/h).

    A straight line is laid through the longest tail of the rest in which no bend shows above the noise,
    which beats the noise of single samples without taking relaxation for rest.
    """
    time, volt = rest.time_second - rest.time_second[-1], rest.voltage_volt
    span = rest.time_second[-1] - rest.time_second[0]
    tail = slice(-_FEWEST_SAMPLES, None)
    for fraction in _TAIL_FRACTIONS:
        first = int(np.searchsorted(time, -fraction * span))
        if len(time) - first < _FEWEST_SAMPLES:
            break
        tail = slice(first, None)
        coefficients, errors, _ = _polynomial(time[tail], volt[tail], 2)
        if abs(coefficients[2]) <= _BENT * errors[2]:
            break
    (end, slope), (end_error, _), noise = _polynomial(time[tail], volt[tail], 1)
    return RestEnd(float(end), float(end_error), float(slope * 3600), noise)


def _polynomial(time: Array, volt: Array, order: int) -> tuple[Array, Array, float]:
    """Coefficients (constant first), their standard errors, and the rms of the residual."""
    scale = float(np.abs(time).max()) or 1.0
    design = (time[:, None] / scale) ** np.arange(order + 1)
    coefficients = np.linalg.lstsq(design, volt, rcond=None)[0]
    residual = volt - design @ coefficients
    variance = float(residual @ residual) / max(len(time) - order - 1, 1)
    errors = np.sqrt(np.diag(np.linalg.pinv(design.T @ design)) * variance)
    units = scale ** np.arange(order + 1)
    return coefficients / units, errors / units, float(np.sqrt(variance))


def _reason_to_skip(rows: dict[int, StepRow], samples: dict[int, Segment], count: int) -> str | None:
    end = rows[count][END_REASON]
    if end not in _PULSE_ENDS:
        return f"the pulse ended by {end}, not by time or charge"
    for neighbour, word in ((count - 1, "before"), (count + 1, "after")):
        row = rows.get(neighbour)
        if row is None or row[STEP_TYPE] != "rest":
            return f"no rest directly {word} it"
        if row[END_REASON] not in _REST_ENDS:
            return f"the rest {word} it ended by {row[END_REASON]}, not by time or drift"
    few = [c for c in (count - 1, count, count + 1) if len(_times(samples, c)) < _FEWEST_SAMPLES]
    return f"fewer than {_FEWEST_SAMPLES} valid samples in step {few[0]}" if few else None


def _times(samples: dict[int, Segment], count: int) -> Array:
    return samples[count].time_second if count in samples else np.empty(0)


def _pulse(rows: dict[int, StepRow], samples: dict[int, Segment], count: int, net_before_ah: float) -> Pulse:
    row, rest = rows[count], rows[count + 1]
    charge = charge_ah(row)
    return Pulse(
        step_count=count,
        direction="charge" if row[STEP_TYPE] == "cc_charge" else "discharge",
        start_test_time_second=float(row[START_TEST_TIME]),
        duration_second=duration_second(row),
        rest_second=duration_second(rest),
        charge_ah=charge,
        net_charge_ah=net_before_ah + charge / 2,
        before=samples[count - 1],
        during=samples[count],
        after=samples[count + 1],
    )


def _unfinished(rows: dict[int, StepRow], tables: RunTables) -> list[SkippedPulse]:
    """A current step with samples but without a row in `steps`: the run was cut off, or is in it."""
    series = tables.stream(TIMESERIES.name)
    if not series:
        return []
    types = series[STEP_TYPE]
    current = (types == "cc_charge") | (types == "cc_discharge")
    counts = np.unique(series[STEP_COUNT][current])
    return [SkippedPulse(int(c), "the step was not finished") for c in counts if int(c) not in rows]
