"""What ends a technique or trips on a Keithley unit, as comparisons of the quantity it measures.

While a current is sourced that is the voltage, while a voltage is sourced the current. A condition that ends
a technique at the very limit wins over the limit; a reading far beyond both is a trip.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from devices.keithley_models import WIDEST_VOLT
from devices.techniques import AnyTechnique, ConstantCurrent, ConstantVoltage, OpenCircuit
from labctl.safety.limits import Limits

VOLTAGE_LIMIT, CURRENT_LIMIT = "voltage", "current"
_MARGIN_SHARE, _MARGIN_VOLT = 0.05, 0.05  # how far the source's own limit lies above ours
_GUARD_SHARE = 0.5  # of that


@dataclass(frozen=True)
class Condition:
    """`reason` holds when the reading lies inside (or outside) the interval from `low` to `high`.

    The bounds are kept as they are sent, so that host and instrument decide alike.
    """

    reason: str
    low: float
    high: float
    inside: bool

    def __post_init__(self) -> None:
        object.__setattr__(self, "low", float(_shown(self.low)))
        object.__setattr__(self, "high", float(_shown(self.high)))

    def arguments(self) -> str:
        """Type and bounds of the limit branch."""
        return f"{'IN' if self.inside else 'OUT'}, {_shown(self.low)}, {_shown(self.high)}"

    def first(self, readings: NDArray[np.float64]) -> int:
        """Index of the first reading for which it holds, or their number."""
        within = (readings >= self.low) & (readings <= self.high)
        hits = within if self.inside else ~within
        return int(hits.argmax()) if hits.any() else len(readings)

    def limit_passed(self, reading: float) -> str:
        """The name of the limit that this reading has passed."""
        if self.reason == CURRENT_LIMIT:
            return "current_max"
        return "voltage_min" if reading < self.low else "voltage_max"


def _shown(value: float) -> str:
    return f"{value:.9g}"


def margin_volt(limits: Limits) -> float | None:
    """How far (V) the source's voltage limit lies beyond the window; None without a window to protect."""
    volts = [abs(v) for v in (limits.voltage_min_volt, limits.voltage_max_volt) if v is not None]
    if limits.voltage_max_volt is None:
        return None
    margin = _MARGIN_SHARE * max(volts) + _MARGIN_VOLT
    return margin if max(volts) + margin < WIDEST_VOLT else None


def guard_window_volt(limits: Limits) -> tuple[float, float]:
    """The window, widened by half of that margin."""
    extra = _GUARD_SHARE * (margin_volt(limits) or 0.0)
    low = -WIDEST_VOLT if limits.voltage_min_volt is None else limits.voltage_min_volt - extra
    high = WIDEST_VOLT if limits.voltage_max_volt is None else limits.voltage_max_volt + extra
    return low, high


def end_conditions(technique: AnyTechnique, limits: Limits) -> tuple[Condition, ...]:
    """What ends a technique and can be seen in its readings."""
    low, high = guard_window_volt(limits)
    found = []
    if isinstance(technique, ConstantCurrent):
        if technique.until_voltage_above_volt is not None:
            found.append(Condition("voltage_above", technique.until_voltage_above_volt, high, inside=True))
        if technique.until_voltage_below_volt is not None:
            found.append(Condition("voltage_below", low, technique.until_voltage_below_volt, inside=True))
    elif isinstance(technique, ConstantVoltage) and technique.until_current_below_ampere is not None:
        small = technique.until_current_below_ampere
        found.append(Condition("current_below", -small, small, inside=True))
    return tuple(found)


def limit_conditions(technique: AnyTechnique, limits: Limits) -> tuple[Condition, ...]:
    """Safety limits that can be seen in a technique's readings; the others its settings keep."""
    if isinstance(technique, ConstantCurrent):
        low = -WIDEST_VOLT if limits.voltage_min_volt is None else limits.voltage_min_volt
        high = WIDEST_VOLT if limits.voltage_max_volt is None else limits.voltage_max_volt
        return (Condition(VOLTAGE_LIMIT, low, high, inside=False),)
    if isinstance(technique, ConstantVoltage) and limits.current_max_ampere is not None:
        most = limits.current_max_ampere
        return (Condition(CURRENT_LIMIT, -most, most, inside=False),)
    return ()


def entry_condition(limits: Limits) -> Condition:
    """A cell beyond this must not be connected to a current source with these limits."""
    low, high = guard_window_volt(limits)
    far = max(abs(low), abs(high))
    return Condition(VOLTAGE_LIMIT, -far, far, inside=False)


def host_condition(technique: AnyTechnique) -> str | None:
    """The field of a technique that only the host can evaluate."""
    if isinstance(technique, OpenCircuit) and technique.until_drift_volt_per_hour is not None:
        return "until_drift_volt_per_hour"
    if isinstance(technique, ConstantVoltage) and technique.until_charge_ah is not None:
        return "until_charge_ah"
    return None
