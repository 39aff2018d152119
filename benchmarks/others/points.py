"""The rows that every tool stores: the columns of labctl's `timeseries` stream."""

from __future__ import annotations

COLUMNS = (
    "test_time_second",
    "step_time_second",
    "voltage_volt",
    "current_ampere",
    "step_count",
    "cycle_count",
    "step_type",
    "status",
)
Point = tuple[float, float, float, float, int, int, str, int]


def point(number: int) -> Point:
    """Row `number` of a charge sampled every 10 ms, in the order of `COLUMNS`."""
    return number * 0.01, number * 0.01, 3.2, 84e-6, 1, 0, "cc_charge", 0
