"""What every simulated cell can do, whatever is in its die, and the conditions that it may be put under."""

from __future__ import annotations

import math
from typing import Any, Final, Protocol

from devices.sim.cell.materials import Array, ComplexArray

_TEMPERATURES_KELVIN: Final = (200.0, 500.0)  # Arrhenius laws from 25 to 60 degC may still be extrapolated
_PRESSURES_PA: Final = (0.0, 1e9)


class SimulatedCell(Protocol):
    """A cell in virtual time (s); current > 0 charges. See `Pellet` for each member."""

    @property
    def time_second(self) -> float:
        """The present."""
        ...

    def horizon(self) -> float:
        """Until when `terminal` can tell."""
        ...

    def terminal(self, times_second: Array) -> tuple[Array, Array]:
        """Voltage (V) and current (A) at increasing times up to the horizon."""
        ...

    def move_to(self, time_second: float) -> None:
        """Let time pass, at most to the horizon."""
        ...

    @property
    def voltage_volt(self) -> float:
        """Voltage now."""
        ...

    @property
    def current_ampere(self) -> float:
        """Current now."""
        ...

    def set_current(self, ampere: float) -> None:
        """Hold a current."""
        ...

    def set_voltage(self, volt: float) -> None:
        """Hold a voltage."""
        ...

    def open_circuit(self) -> None:
        """Let no current flow."""
        ...

    def set_temperature(self, kelvin: float) -> None:
        """Another temperature from now on."""
        ...

    def set_pressure(self, pa: float) -> None:
        """Another stack pressure from now on."""
        ...

    @property
    def charge_ah(self) -> float:
        """Net charge through the terminals."""
        ...

    @property
    def stoichiometry(self) -> float | None:
        """Mean lithium per formula unit of the active material; None without one."""
        ...

    def impedance(self, frequency_hertz: Array) -> ComplexArray:
        """Impedance (ohm, capacitive < 0) about the present state, which it leaves."""
        ...

    def truth(self) -> dict[str, Any]:
        """What a measurement ought to find, as plain JSON; `kind` is that of the cell record."""
        ...

    def state(self) -> dict[str, Any]:
        """Its whole state as plain JSON."""
        ...


def checked_environment(temperature_kelvin: float, pressure_pa: float) -> tuple[float, float]:
    """Both as floats, once they have been found allowed.

    Raises:
        ValueError: one is not; names it.
    """
    require("temperature_kelvin", temperature_kelvin, _TEMPERATURES_KELVIN)
    require("pressure_pa", pressure_pa, _PRESSURES_PA)
    return float(temperature_kelvin), float(pressure_pa)


def require(field: str, value: float, limits: tuple[float, float]) -> None:
    """Refuse a value that is not finite or outside the limits, by name.

    Raises:
        ValueError: names field, value and what is allowed.
    """
    low, high = limits
    if not (math.isfinite(value) and low <= value <= high):
        allowed = f"must be from {low:g} to {high:g}" if math.isfinite(low) else "must be finite"
        raise ValueError(f"pellet: {field} = {value!r}: {allowed}")
