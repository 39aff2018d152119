"""How long a technique may run on an instrument, and what has ended it when that time is over."""

from __future__ import annotations

from math import inf

from devices.core.end_reasons import CHARGE, TIME, EndReason
from devices.core.techniques import ConstantCurrent, Impedance, Technique

LONGEST_STEP_SECOND = 1_000_000.0  # a step without a time condition still ends by itself


def time_limit_second(technique: Technique | Impedance) -> float:
    """Time (s) after which a technique's own conditions end it at the latest; inf without such a condition.

    A charge at constant current is a time.
    """
    longest = inf if technique.longest_second is None else technique.longest_second
    return min(longest, _charge_second(technique))


def step_limit_second(technique: Technique | Impedance) -> float:
    """The same, of a step that ends by itself even without such a condition."""
    return min(time_limit_second(technique), LONGEST_STEP_SECOND)


def time_end_reason(technique: Technique | Impedance) -> EndReason:
    """What has ended a step that has run for so long: its charge at constant current, or its time."""
    return CHARGE if _charge_second(technique) <= step_limit_second(technique) else TIME


def _charge_second(technique: Technique | Impedance) -> float:
    """When the charge of a constant current has flowed (s); inf without a charge that can be told so."""
    if isinstance(technique, ConstantCurrent) and technique.until_charge_ah is not None:
        return technique.until_charge_ah * 3600.0 / abs(technique.current_ampere)
    return inf
