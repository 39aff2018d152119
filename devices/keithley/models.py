"""Keithley 2400 Graphical Series source-measure units: what each model can do, and what a program may ask.

Ranges: 2450 reference manual 2450-901-01 p. 6-75 and SPEC-2450; 2461 reference manual 2461-901-01 p. 6-98.
The 2460 is taken to have the ranges of the 2461 without the pulse range. Not verified against a data sheet:
the currents of the 2460 and 2461 above 7 V, and the number of trigger blocks (63) of all models.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

from devices.core.program_checks import (
    check_current,
    check_voltages,
    largest_current_ampere,
    numbered,
    window_volt,
)
from devices.core.techniques import ConstantCurrent, ConstantVoltage, OpenCircuit, Program
from labctl.errors import ProtocolError
from labctl.records.limits import Limits

MOST_BLOCKS = 63
MOST_EVENT_BRANCHES = 8  # 2450 reference manual p. 3-99
WIDEST_VOLT = 20.0  # the measure range in use, and the widest voltage limit
_TECHNIQUES = (OpenCircuit, ConstantCurrent, ConstantVoltage)


@dataclass(frozen=True)
class KeithleyModel:
    """What one model can do. `envelope` are pairs (V, A): the largest current up to a voltage."""

    name: str
    current_ranges_ampere: tuple[float, ...]
    envelope: tuple[tuple[float, float], ...]
    current_min_ampere: float
    buffer_readings: int = 6_875_000  # standard buffers; 2461 reference manual p. 6-165

    @property
    def current_max_ampere(self) -> float:
        """At the lowest voltages."""
        return self.envelope[0][1]

    def current_max_at(self, volt: float) -> float:
        """Largest current (A) at a voltage."""
        return next((ampere for limit, ampere in self.envelope if abs(volt) <= limit), 0.0)

    def range_for(self, ampere: float) -> float:
        """Full scale (A) of the lowest range that takes a current."""
        fitting = (r for r in self.current_ranges_ampere if abs(ampere) <= r * (1 + 1e-9))
        return next(fitting, self.current_ranges_ampere[-1])


_DECADES = (1e-6, 10e-6, 100e-6, 1e-3, 10e-3, 100e-3, 1.0)
_HIGH_CURRENT = ((7.35, 7.35), (10.5, 5.25), (21.0, 4.2))
MODELS = {
    model.name.rpartition(" ")[2]: model
    for model in (
        KeithleyModel("Keithley 2450", (10e-9, 100e-9, *_DECADES), ((21.0, 1.05),), 100e-12),
        KeithleyModel("Keithley 2460", (*_DECADES, 4.0, 5.0, 7.0), _HIGH_CURRENT, 1e-9),
        KeithleyModel("Keithley 2461", (*_DECADES, 4.0, 5.0, 7.0), _HIGH_CURRENT, 1e-9),
    )
}


def check_program(program: Program, model: KeithleyModel | None, limits: Limits) -> None:
    """Refuse, by name, what the instrument cannot do or the limits do not allow.

    Without a model (nothing connected yet) only techniques and limits are checked.

    Raises:
        ProtocolError: naming technique number, field, value and what is allowed.
    """
    window = window_volt(limits, -WIDEST_VOLT, WIDEST_VOLT)
    for where, technique in numbered(program):
        if not isinstance(technique, _TECHNIQUES):
            known = ", ".join(t.model_fields["kind"].default for t in _TECHNIQUES)
            name = model.name if model is not None else "a Keithley 2450, 2460 or 2461"
            raise ProtocolError(f"{where}: {name} cannot do this; it does {known}")
        check_voltages(where, technique, window)
        if isinstance(technique, ConstantCurrent):
            most, least = _current_range(model, limits)
            check_current(where, technique.current_ampere, most, least)


def _current_range(model: KeithleyModel | None, limits: Limits) -> tuple[float, float]:
    """Largest and smallest current (A) that limits and instrument allow in the window of voltages."""
    if model is None:
        return largest_current_ampere(limits, inf), 0.0
    volts = (limits.voltage_min_volt, limits.voltage_max_volt)
    widest = max((abs(v) for v in volts if v is not None), default=0.0)
    return largest_current_ampere(limits, model.current_max_at(widest)), model.current_min_ampere
