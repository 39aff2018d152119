"""Why a step has ended: the words of the column `end_reason`, as every driver writes them."""

from __future__ import annotations

from typing import Final, Literal

EndReason = Literal["time", "voltage_above", "voltage_below", "charge", "current_below", "drift", "complete"]
"""A technique's own conditions: after any of these it has done what it was asked to."""

TIME: Final = "time"  # its time was over; also the longest time of all, of a step that was given none
VOLTAGE_ABOVE: Final = "voltage_above"  # the voltage has reached `until_voltage_above_volt` from below,
VOLTAGE_BELOW: Final = "voltage_below"  # or `until_voltage_below_volt` from above
CHARGE: Final = "charge"  # `until_charge_ah` has flowed
CURRENT_BELOW: Final = "current_below"  # |I| at constant voltage has fallen to `until_current_below_ampere`
DRIFT: Final = "drift"  # the rest voltage moves no more than `until_drift_volt_per_hour`
COMPLETE: Final = "complete"  # the last frequency of a spectrum was measured

STOPPED: Final = "stopped"  # somebody has ended the program,
PAUSED: Final = "paused"  # or paused the run: what is left of the step may follow as another one
UNKNOWN: Final = "unknown"  # it is over, and nothing that arrived says why

VOLTAGE_MAX: Final = "voltage_max"  # the safety limits of station and cell, by the names of their records,
VOLTAGE_MIN: Final = "voltage_min"  # less the unit
CURRENT_MAX: Final = "current_max"


def tripped(limit: str) -> str:
    """A safety limit was passed; the instrument has opened the circuit by itself."""
    return f"trip {limit}"


def failed(error: Exception) -> str:
    """The instrument or the way to it has failed, in its own words."""
    return f"failed: {error}"
