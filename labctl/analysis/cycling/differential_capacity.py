"""dQ/dV of a charge or discharge from its own samples, without smoothing and without loss of charge."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, floor

import numpy as np
import numpy.typing as npt

from labctl.errors import ConfigurationError

Floats = npt.NDArray[np.float64]
STEP_VOLT = 5e-3
_MOST_BINS = 10_000
_BLOCK = 1 << 20  # segments times edges that are looked at together


@dataclass(frozen=True, eq=False)
class DifferentialCapacity:
    """dQ/dV (Ah/V, > 0) in intervals of voltage: `voltage_volt` are their middles, shape (n,).

    The sum over dQ/dV times `step_volt` is the charge moved.
    """

    voltage_volt: Floats
    capacity_ah_per_volt: Floats
    step_volt: float


def differential_capacity(
    capacity_ah: npt.ArrayLike, voltage_volt: npt.ArrayLike, *, step_volt: float = STEP_VOLT
) -> DifferentialCapacity:
    """dQ/dV by counting charge into intervals of voltage.

    The charge between two samples is spread evenly over the voltages between them. Noise moves a little
    charge to a neighbouring interval, but neither divides by a small difference nor makes charge.

    Args:
        capacity_ah: Charge moved since the beginning, growing, shape (n,).
        voltage_volt: Cell voltage at the same instants, shape (n,). Rows with NaN are left out.
        step_volt: Width of an interval, > 0; intervals begin at its multiples.

    Raises:
        ConfigurationError: shapes that differ, or a step that is not above 0 or far too fine.
    """
    capacity, voltage = np.asarray(capacity_ah, dtype=float), np.asarray(voltage_volt, dtype=float)
    where = "dQ/dV"
    if capacity.shape != voltage.shape or capacity.ndim != 1:
        raise ConfigurationError(
            where, "shapes", f"{capacity.shape} and {voltage.shape}", "one voltage to each capacity"
        )
    if not step_volt > 0:
        raise ConfigurationError(where, "step_volt", step_volt, "above 0")
    valid = np.isfinite(capacity) & np.isfinite(voltage)
    capacity, voltage = capacity[valid], voltage[valid]
    if len(capacity) < 2:
        return DifferentialCapacity(np.empty(0), np.empty(0), step_volt)
    first, last = floor(voltage.min() / step_volt), ceil(voltage.max() / step_volt)
    if last - first > _MOST_BINS:
        raise ConfigurationError(
            where, "step_volt", step_volt, f"at most {_MOST_BINS} steps over the voltages"
        )
    edges = np.arange(first, max(last, first + 1) + 1) * step_volt
    below = _charge_below(edges, np.abs(np.diff(capacity)), voltage)
    return DifferentialCapacity((edges[1:] + edges[:-1]) / 2, np.diff(below) / step_volt, step_volt)


def _charge_below(edges: Floats, charge: Floats, voltage: Floats) -> Floats:
    """Charge that was moved below each voltage."""
    low, high = np.minimum(voltage[1:], voltage[:-1]), np.maximum(voltage[1:], voltage[:-1])
    width = np.where(high > low, high - low, 1e-12)  # charge at one voltage goes below the next edge
    total = np.zeros(len(edges))
    block = max(_BLOCK // len(edges), 1)
    for begin in range(0, len(charge), block):
        part = slice(begin, begin + block)
        share = np.clip((edges - low[part, None]) / width[part, None], 0.0, 1.0)
        total += charge[part] @ share
    return total
