"""What every driver refuses in a program before anything moves, and how it says so."""

from __future__ import annotations

from collections.abc import Iterator

from devices.core.techniques import AnyTechnique, Program
from labctl.errors import ProtocolError
from labctl.records.limits import Limits

_VOLTAGES = ("voltage_volt", "dc_voltage_volt", "until_voltage_above_volt", "until_voltage_below_volt")


def numbered(program: Program) -> Iterator[tuple[str, AnyTechnique]]:
    """The techniques of `program`, each with what a person calls it: "technique 2 (constant_current)"."""
    for number, technique in enumerate(program.techniques, start=1):
        yield f"technique {number} ({technique.kind})", technique


def window_volt(limits: Limits, lowest_volt: float, highest_volt: float) -> tuple[float, float]:
    """The voltage window (V) of `limits`, within what the instrument reaches."""
    low, high = limits.voltage_min_volt, limits.voltage_max_volt
    return (
        lowest_volt if low is None else max(low, lowest_volt),
        highest_volt if high is None else min(high, highest_volt),
    )


def largest_current_ampere(limits: Limits, most_ampere: float) -> float:
    """The largest current (A) of `limits`, within what the instrument gives."""
    return most_ampere if limits.current_max_ampere is None else min(limits.current_max_ampere, most_ampere)


def check_voltages(where: str, technique: AnyTechnique, window: tuple[float, float]) -> None:
    """Every voltage that the technique names lies in the window (V).

    Raises:
        ProtocolError: naming technique, field, value and what is allowed.
    """
    low, high = window
    for field in _VOLTAGES:
        volt = getattr(technique, field, None)
        if volt is not None and not low <= volt <= high:
            raise ProtocolError(f"{where}: {field} = {volt:g} V: allowed is {low:g} V to {high:g} V")


def check_current(where: str, current_ampere: float, most_ampere: float, least_ampere: float = 0.0) -> None:
    """The magnitude of a set current lies in what is allowed (A).

    Raises:
        ProtocolError: naming technique, field, value and what is allowed.
    """
    if not least_ampere <= abs(current_ampere) <= most_ampere:
        least = f"{least_ampere:g} A <= " if least_ampere else ""
        raise ProtocolError(
            f"{where}: current_ampere = {current_ampere:g} A: allowed is {least}|I| <= {most_ampere:g} A"
        )
