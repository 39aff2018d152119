"""MethodSCRIPT instruments: what each model can do, and the check of a program against it."""

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
from devices.core.techniques import AnyTechnique, ConstantCurrent, Impedance, Program
from labctl.errors import ProtocolError
from labctl.records.limits import Limits


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
    peis_max_hertz: float
    geis_max_hertz: float | None
    peis_amplitude_max_volt: float


# bits of the answer to CM, by the vendor's table: measurement loops and set_i
SCRIPT_BITS = {"meas_loop_cp": 67, "set_i": 68, "meas_loop_eis": 31, "meas_loop_geis": 70}
_RANGES = (1e-9, 10e-9, 100e-9, 1e-6, 10e-6, 100e-6, 1e-3, 10e-3)
_NEXUS_RANGES = (100e-12, *_RANGES, 100e-3, 1.0)
_HR = (-6.0, 6.0, 0.2, (*_RANGES[2:], 100e-3), True, 200e3, 200e3, 0.9)
_LR = (-3.0, 3.0, 0.03, _RANGES, True, 200e3, 200e3, 0.9)
MODELS = {
    model.identifier: model
    for model in (
        InstrumentModel("EmStat4 HR", "es4_hr", *_HR),
        InstrumentModel("EmStat4 LR", "es4_lr", *_LR),
        InstrumentModel("MultiEmStat4 HR", "mes4hr", *_HR),
        InstrumentModel("MultiEmStat4 LR", "mes4lr", *_LR),
        InstrumentModel("Nexus", "nexus1", -10.0, 10.0, 1.0, _NEXUS_RANGES, True, 1e6, 200e3, 0.3),
        InstrumentModel("EmStat Pico", "espico", -1.7, 2.0, 0.003, _RANGES[2:7], False, 200e3, None, 0.9),
    )
}


def check_program(program: Program, model: InstrumentModel | None, limits: Limits) -> None:
    """Refuse, by name, what the instrument cannot do or the limits do not allow.

    Without a model (nothing connected yet) only the limits are checked.

    Raises:
        ProtocolError: naming technique number, field, value and what is allowed.
    """
    low, high = (model.potential_min_volt, model.potential_max_volt) if model is not None else (-inf, inf)
    window = window_volt(limits, low, high)
    most = largest_current_ampere(limits, model.current_max_ampere if model is not None else inf)
    for where, technique in numbered(program):
        if isinstance(technique, ConstantCurrent):
            if model is not None and not model.galvanostat:
                raise ProtocolError(f"{where}: {model.name} has no galvanostat")
            check_current(where, technique.current_ampere, most)
        elif isinstance(technique, Impedance):
            _check_impedance(where, technique, model, most)
        check_voltages(where, technique, window)


def check_firmware(program: Program, capabilities: int, firmware: str) -> None:
    """Refuse what the firmware does not know; `capabilities` is the bits of its answer to CM.

    Raises:
        ProtocolError: naming technique and command.
    """
    for where, technique in numbered(program):
        for command in _needed_commands(technique):
            if not capabilities >> SCRIPT_BITS[command] & 1:
                raise ProtocolError(
                    f"{where}: the firmware ({firmware}) does not know {command}; a newer one, or a licence, "
                    "is needed"
                )


def _needed_commands(technique: AnyTechnique) -> tuple[str, ...]:
    """Script commands that the firmware must know for this technique."""
    if isinstance(technique, ConstantCurrent):
        return ("meas_loop_cp", "set_i")
    if isinstance(technique, Impedance):
        return ("meas_loop_eis",) if technique.mode == "potentiostatic" else ("meas_loop_geis", "set_i")
    return ()


def _check_impedance(where: str, technique: Impedance, model: InstrumentModel | None, most: float) -> None:
    if technique.mode == "galvanostatic":
        largest = abs(technique.dc_current_ampere) + technique.amplitude_rms * 2**0.5
        if largest > most:
            raise ProtocolError(f"{where}: peak current {largest:g} A: allowed is <= {most:g} A")
    if model is None:
        return
    highest = model.peis_max_hertz if technique.mode == "potentiostatic" else model.geis_max_hertz
    if highest is None:
        raise ProtocolError(f"{where}: {model.name} has no galvanostat, so no galvanostatic impedance")
    if technique.frequency_max_hertz > highest:
        raise ProtocolError(
            f"{where}: frequency_max_hertz = {technique.frequency_max_hertz:g} Hz: "
            f"{model.name} reaches {highest:g} Hz"
        )
    if (technique.amplitude_rms_volt or 0.0) > model.peis_amplitude_max_volt:
        raise ProtocolError(
            f"{where}: amplitude_rms_volt = {technique.amplitude_rms:g} V: "
            f"{model.name} allows <= {model.peis_amplitude_max_volt:g} V"
        )


def range_for(current_ampere: float, model: InstrumentModel) -> float:
    """The smallest current range that holds `current_ampere`, or the largest there is."""
    fitting = [r for r in model.current_ranges_ampere if r >= current_ampere * (1 - 1e-9)]
    return fitting[0] if fitting else model.current_ranges_ampere[-1]
