"""Under what conditions something was measured: the recorded cell, the temperature meanwhile."""

from __future__ import annotations

from math import nan
from typing import Any

import numpy as np
from pydantic import ValidationError

from labctl.analysis.tables import RunTables
from labctl.cell import Cell


def recorded_cell(start: dict[str, Any]) -> Cell | None:
    """The cell record of a start document; None where there is none, or an older or foreign one."""
    try:
        return Cell.model_validate(start["cell"]) if start.get("cell") else None
    except ValidationError:
        return None


def temperature_span_kelvin(tables: RunTables, begin_second: float, end_second: float) -> float:
    """Highest minus lowest temperature between two test times (s); NaN where it was not measured."""
    environment = tables.stream("environment")
    if "temperature_t1_celsius" not in environment:
        return nan
    time = environment["test_time_second"]
    celsius = environment["temperature_t1_celsius"][(time >= begin_second) & (time <= end_second)]
    celsius = celsius[np.isfinite(celsius)]
    return float(np.ptp(celsius)) if celsius.size else nan


def temperature_celsius(tables: RunTables, begin_second: float, end_second: float) -> float:
    """Mean temperature between two test times (s), or the last before them; NaN where it was not measured."""
    environment = tables.stream("environment")
    if "temperature_t1_celsius" not in environment:
        return nan
    time, celsius = environment["test_time_second"], environment["temperature_t1_celsius"]
    known = np.isfinite(celsius)
    within = known & (time >= begin_second) & (time <= end_second)
    if within.any():
        return float(celsius[within].mean())
    before = np.flatnonzero(known & (time < begin_second))
    return float(celsius[before[-1]]) if before.size else nan
