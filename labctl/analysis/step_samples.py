"""The samples and the row of each step of a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labctl.documents import RunTables

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
    steps = tables.stream("steps")
    counts = [int(c) for c in steps.get("step_count", ())]
    order = sorted(range(len(counts)), key=counts.__getitem__)
    return {counts[i]: {name: column[i] for name, column in steps.items()} for i in order}


def samples_by_step(tables: RunTables) -> dict[int, Segment]:
    """The valid samples of every step that has any, by its step count."""
    series = tables.stream("timeseries")
    if not len(series.get("step_count", ())):
        return {}
    order = np.argsort(series["step_count"], kind="stable")
    counts, first = np.unique(series["step_count"][order], return_index=True)
    return {
        int(count): _segment(series, rows)
        for count, rows in zip(counts, np.split(order, first[1:]), strict=True)
    }


def _segment(series: dict[str, Any], rows: NDArray[np.intp]) -> Segment:
    time, volt = series["step_time_second"][rows], series["voltage_volt"][rows]
    usable = np.isfinite(volt) & np.isfinite(time)
    good = usable & (series["status"][rows] == 0)
    # A bit that most samples carry (timing not met) says nothing about one of them; a rare one does.
    chosen = good if good.sum() >= usable.sum() / 2 else usable
    return Segment(time[chosen], volt[chosen], series["current_ampere"][rows][chosen])


def charge_ah(row: StepRow) -> float:
    """Net charge of a step, > 0 on charge; 0 where the instrument gave none."""
    net = float(row["step_charging_capacity_ah"]) - float(row["step_discharging_capacity_ah"])
    return net if np.isfinite(net) else 0.0


def duration_second(row: StepRow) -> float:
    """How long a step took."""
    return float(row["end_test_time_second"]) - float(row["start_test_time_second"])
