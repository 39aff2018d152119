"""How long a step may take, and how many rows it records."""

from __future__ import annotations

from devices.techniques import AnyTechnique, ConstantCurrent, Impedance, Sampling
from labctl.cell import Cell

EXPECTED_HOLD_SECOND = 1800.0  # a CV step that ends by its current usually ends before its time


def expected_second(technique: AnyTechnique, cell: Cell) -> float:
    """How long (s) a step may take: its time or charge; else a whole capacity, or half an hour at CV.

    Raises:
        ConfigurationError: only a voltage ends the step, and the cell has no active material to charge.
    """
    if isinstance(technique, Impedance):
        return technique.expected_second
    candidates = [] if technique.longest_second is None else [technique.longest_second]
    if isinstance(technique, ConstantCurrent):
        charge_ah = technique.until_charge_ah
        if charge_ah is None and (cell.active_material is not None or not candidates):
            charge_ah = cell.nominal_capacity_ah
        if charge_ah is not None:
            candidates.append(charge_ah * 3600.0 / abs(technique.current_ampere))
    elif not candidates:
        candidates.append(EXPECTED_HOLD_SECOND)
    return min(candidates)


def expected_points(technique: AnyTechnique, seconds: float) -> int:
    """Rows that a step of this length records: by its schedule, or one per frequency."""
    if isinstance(technique, Impedance):
        return technique.points
    return scheduled_points(technique.sampling, seconds)


def scheduled_points(sampling: Sampling, seconds: float) -> int:
    """Rows of a sampling schedule over this length."""
    points, begin = 0.0, 0.0
    for stage in sampling.stages:
        end = seconds if stage.until_second is None else min(stage.until_second, seconds)
        points += max(end - begin, 0.0) / stage.interval_second
        begin = max(begin, end)
    return int(points) + 1
