"""What hangs on the instrument's leads: a pellet on the bench's clock, or nothing."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from devices.sim.cell.materials import ComplexArray
from devices.sim.cell.simulated_cell import SimulatedCell

Array = NDArray[np.float64]
_RAIL_VOLT = 12.0  # where a galvanostat without a cell ends up: beyond every limit
_SAME_INSTANT_SECOND, _ROUNDING_SECOND = 1e-7, 1e-9


class TwoPole(Protocol):
    """Terminals in virtual time: V, A (> 0 charges), and s of the bench's clock."""

    def advance_to(self, time_second: float) -> None:
        """Let time pass under the present control; nothing happens if that instant is over."""
        ...

    def reach(self, time_second: float) -> float:
        """Let time pass until `terminal` can tell of that instant; the last one it can tell of then."""
        ...

    def terminal(self, times_second: Array) -> tuple[Array, Array]:
        """Noise-free voltage and current at times from the present to what was reached."""
        ...

    def set_current(self, ampere: float) -> None:
        """Hold a current from now on."""
        ...

    def set_voltage(self, volt: float) -> None:
        """Hold a voltage from now on."""
        ...

    def open_circuit(self) -> None:
        """Let no current flow from now on."""
        ...

    def reading(self) -> tuple[float, float]:
        """Noise-free voltage and current now."""
        ...

    def impedance(self, frequency_hertz: Array) -> ComplexArray:
        """Impedance (ohm, capacitive < 0) at frequencies (Hz) about the present state, which it leaves."""
        ...

    @property
    def charge_ah(self) -> float:
        """Net charge through the terminals."""
        ...


class OpenLeads:
    """No cell: no voltage without current, and the compliance limit with it."""

    charge_ah = 0.0

    def __init__(self) -> None:
        self._volt = 0.0

    def advance_to(self, time_second: float) -> None:
        """Nothing ages."""

    def reach(self, time_second: float) -> float:
        """For ever."""
        return np.inf

    def terminal(self, times_second: Array) -> tuple[Array, Array]:
        """Constant voltage, no current."""
        return np.full_like(times_second, self._volt), np.zeros_like(times_second)

    def set_current(self, ampere: float) -> None:
        """No current can flow: the voltage runs to the rail."""
        self._volt = _RAIL_VOLT * float(np.sign(ampere))

    def set_voltage(self, volt: float) -> None:
        """The leads follow."""
        self._volt = volt

    def open_circuit(self) -> None:
        """The leads float at 0 V."""
        self._volt = 0.0

    def reading(self) -> tuple[float, float]:
        """Voltage and current now."""
        return self._volt, 0.0

    def impedance(self, frequency_hertz: Array) -> ComplexArray:
        """No current flows at any frequency."""
        return np.full(np.shape(frequency_hertz), complex(np.inf, 0.0))


class MountedPellet:
    """A cell in the bench. `cell_id` names its record; its own time is shifted to the bench's clock."""

    def __init__(self, cell_id: str, pellet: SimulatedCell, now_second: float) -> None:
        self.cell_id = cell_id
        self.pellet = pellet
        self._offset_second = now_second - pellet.time_second

    def advance_to(self, time_second: float) -> None:
        """Let time pass under the present control; nothing happens if that instant is over."""
        until = time_second - self._offset_second
        while until - self.pellet.time_second > _SAME_INSTANT_SECOND:
            self.pellet.move_to(min(self.pellet.horizon(), until))

    def reach(self, time_second: float) -> float:
        """Let steps pass until the present one covers the instant; the end of that step."""
        until = time_second - self._offset_second - _ROUNDING_SECOND
        while self.pellet.horizon() < until:
            self.pellet.move_to(self.pellet.horizon())
        return self.pellet.horizon() + self._offset_second + _ROUNDING_SECOND

    def terminal(self, times_second: Array) -> tuple[Array, Array]:
        """Noise-free voltage and current at times from the present to what was reached."""
        inside = np.clip(times_second - self._offset_second, self.pellet.time_second, self.pellet.horizon())
        return self.pellet.terminal(inside)

    def set_current(self, ampere: float) -> None:
        """Hold a current from now on."""
        self.pellet.set_current(ampere)

    def set_voltage(self, volt: float) -> None:
        """Hold a voltage from now on."""
        self.pellet.set_voltage(volt)

    def open_circuit(self) -> None:
        """Let no current flow from now on."""
        self.pellet.open_circuit()

    def reading(self) -> tuple[float, float]:
        """Noise-free voltage and current now."""
        return self.pellet.voltage_volt, self.pellet.current_ampere

    def impedance(self, frequency_hertz: Array) -> ComplexArray:
        """Impedance at frequencies about the present state, which it leaves."""
        return self.pellet.impedance(frequency_hertz)

    def set_surroundings(self, temperature_kelvin: float, pressure_pa: float) -> None:
        """Temperature and stack pressure from the present instant on."""
        self.pellet.set_temperature(temperature_kelvin)
        self.pellet.set_pressure(pressure_pa)

    @property
    def charge_ah(self) -> float:
        """Net charge through the terminals since the pellet was made."""
        return self.pellet.charge_ah

    def state(self) -> dict[str, Any]:
        """The pellet's whole state as plain JSON."""
        return self.pellet.state()
