"""MethodSCRIPT instruments: what each model can do, and the check of a program against it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import inf

from devices.techniques import ConstantCurrent, Program
from labctl.errors import ProtocolError
from labctl.safety.limits import Limits


@dataclass(frozen=True)
class InstrumentModel:
    """What one model can do. Currents in A, potentials in V."""

    name: str
    identifier: str
    potential_min_volt: float
    potential_max_volt: float
    current_max_ampere: float
    current_ranges_ampere: tuple[float, ...]
    galvanostat: bool


_RANGES = (1e-9, 10e-9, 100e-9, 1e-6, 10e-6, 100e-6, 1e-3, 10e-3)
MODELS = {
    model.identifier: model
    for model in (
        InstrumentModel("EmStat4 HR", "es4_hr", -6.0, 6.0, 0.2, (*_RANGES[2:], 100e-3), True),
        InstrumentModel("EmStat4 LR", "es4_lr", -3.0, 3.0, 0.03, _RANGES, True),
        InstrumentModel("EmStat Pico", "espico", -1.7, 2.0, 0.003, _RANGES[2:7], False),
    )
}


def check_program(program: Program, model: InstrumentModel | None, limits: Limits) -> None:
    """Refuse, by name, what the instrument cannot do or the limits do not allow.

    Without a model (nothing connected yet) only the limits are checked.

    Raises:
        ProtocolError: naming technique number, field, value and what is allowed.
    """
    low = _tighter(max, limits.voltage_min_volt, model and model.potential_min_volt, -inf)
    high = _tighter(min, limits.voltage_max_volt, model and model.potential_max_volt, inf)
    most = _tighter(min, limits.current_max_ampere, model and model.current_max_ampere, inf)
    for number, technique in enumerate(program.techniques, start=1):
        where = f"technique {number} ({technique.kind})"
        if isinstance(technique, ConstantCurrent):
            if model is not None and not model.galvanostat:
                raise ProtocolError(f"{where}: {model.name} has no galvanostat")
            if abs(technique.current_ampere) > most:
                raise ProtocolError(
                    f"{where}: current_ampere = {technique.current_ampere:g} A: allowed is |I| <= {most:g} A"
                )
        for field in ("voltage_volt", "until_voltage_above_volt", "until_voltage_below_volt"):
            volt = getattr(technique, field, None)
            if volt is not None and not low <= volt <= high:
                raise ProtocolError(f"{where}: {field} = {volt:g} V: allowed is {low:g} V to {high:g} V")


def _tighter(
    pick: Callable[[Iterable[float]], float], limit: float | None, model: float | None, none: float
) -> float:
    return pick([value for value in (limit, model, none) if value is not None])
