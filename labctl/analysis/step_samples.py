"""The samples and the row of each step of a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labctl.documents import RunTables
from labctl.schema import (
    CURRENT,
    END_TEST_TIME,
    START_TEST_TIME,
    STATUS,
    STEP_CHARGING_CAPACITY,
    STEP_COUNT,
    STEP_DISCHARGING_CAPACITY,
    STEP_TIME,
    STEPS,
    TIMESERIES,
    VOLTAGE,
)

Array = NDArray[np.float64]
StepRow = dict[str, Any]


@dataclass(frozen=True)
class Segment:
    """Samples of one step: times since its start, voltages and currents; no invalid readings."""

    time_second: Array
    voltage_volt: Array
    current_ampere: Array


def rows_by_step(tables: RunTables) -> dict[int, StepRow]:
    """The rows of `steps` by their step count, ascending."""
    steps = tables.stream(STEPS.name)
    counts = [int(c) for c in steps.get(STEP_COUNT, ())]
    order = sorted(range(len(counts)), key=counts.__getitem__)
    return {counts[i]: {name: column[i] for name, column in steps.items()} for i in order}


def samples_by_step(tables: RunTables) -> dict[int, Segment]:
    """The valid samples of every step that has any, by its step count."""
    series = tables.stream(TIMESERIES.name)
    if not len(series.get(STEP_COUNT, ())):
        return {}
    order = np.argsort(series[STEP_COUNT], kind="stable")
    counts, first = np.unique(series[STEP_COUNT][order], return_index=True)
    return {
        int(count): _segment(series, rows)
        for count, rows in zip(counts, np.split(order, first[1:]), strict=True)
    }


def _segment(series: dict[str, Any], rows: NDArray[np.intp]) -> Segment:
    time, volt = series[STEP_TIME][rows], series[VOLTAGE][rows]
    usable = np.isfinite(volt) & np.isfinite(time)
    good = usable & (series[STATUS][rows] == 0)
    # A bit that most samples carry (timing not met) says nothing about one of them; a rare one does.
    chosen = good if good.sum() >= usable.sum() / 2 else usable
    return Segment(time[chosen], volt[chosen], series[CURRENT][rows][chosen])


def charge_ah(row: StepRow) -> float:
    """Net charge of a step, > 0 on charge; 0 where the instrument gave none."""
    net = float(row[STEP_CHARGING_CAPACITY]) - float(row[STEP_DISCHARGING_CAPACITY])
    return net if np.isfinite(net) else 0.0


def duration_second(row: StepRow) -> float:
    """How long a step took."""
    return float(row[END_TEST_TIME]) - float(row[START_TEST_TIME])
