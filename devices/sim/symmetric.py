"""A cell without a charged electrode in virtual time: exact at any instant, used like a `Pellet`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Self

import numpy as np

from devices.sim.linear_network import Course
from devices.sim.materials import Array
from devices.sim.pellet_impedance import ComplexArray
from devices.sim.pellet_parameters import PelletParameters
from devices.sim.pellet_state import Control
from devices.sim.simulated_cell import checked_environment, require
from devices.sim.symmetric_network import UNCHARGED_STOICHIOMETRY, SymmetricKind, build_symmetric


class SymmetricCell:
    """An ion-path, electron-path or electrolyte cell: 0 V at rest, linear, the same seen from both sides.

    It follows in closed form from its state at the last change, so there are no steps: `horizon` is endless.
    """

    def __init__(
        self,
        kind: SymmetricKind,
        parameters: PelletParameters,
        *,
        temperature_kelvin: float = 298.15,
        pressure_pa: float = 50e6,
        time_second: float = 0.0,
    ) -> None:
        """Make a rested cell at open circuit; temperature 200 to 500 K, stack pressure 0 to 1 GPa."""
        self._kind: SymmetricKind = kind
        self._parameters = parameters
        self._surround(*checked_environment(temperature_kelvin, pressure_pa))
        self._control = Control("open", 0.0)
        self._begin_second = self._time_second = time_second
        self._begin_volts = np.zeros_like(self._network.farad)
        self._begin_coulomb = 0.0

    @property
    def stoichiometry(self) -> float | None:
        """Lithium per formula unit of the composite; None without one."""
        return None if self._kind == "electrolyte" else UNCHARGED_STOICHIOMETRY

    @property
    def time_second(self) -> float:
        """The present virtual time."""
        return self._time_second

    def horizon(self) -> float:
        """Until when (s) `terminal` can tell: for ever."""
        return math.inf

    def terminal(self, times_second: Array) -> tuple[Array, Array]:
        """Voltage (V) and current (A) at increasing times (s) from the present on, without noise.

        Raises:
            ValueError: a time lies before the present, or the times do not increase.
        """
        times = np.asarray(times_second, dtype=float)
        if times.size and not (times[0] >= self._time_second and np.all(np.diff(times) >= 0.0)):
            raise ValueError(f"symmetric cell: times_second must increase from {self._time_second!r} s on")
        held, start = self._control.setpoint, self._start()
        answer = self._course.answer(times - self._begin_second, start, held)
        kept = np.full_like(answer, held)
        return (kept, answer) if self._control.holds_voltage else (answer, kept)

    def move_to(self, time_second: float) -> None:
        """Let time pass until `time_second`.

        Raises:
            ValueError: the time is before the present, or not finite.
        """
        require("time_second", time_second, (self._time_second, math.inf))
        self._time_second = float(time_second)

    @property
    def voltage_volt(self) -> float:
        """Terminal voltage now."""
        return float(self.terminal(np.array([self._time_second]))[0][0])

    @property
    def current_ampere(self) -> float:
        """Terminal current now."""
        return float(self.terminal(np.array([self._time_second]))[1][0])

    def set_current(self, ampere: float) -> None:
        """Hold a current (A) from now on."""
        require("ampere", ampere, (-math.inf, math.inf))
        self._change(Control("current", float(ampere)))

    def set_voltage(self, volt: float) -> None:
        """Hold a terminal voltage (V) from now on."""
        require("volt", volt, (-math.inf, math.inf))
        self._change(Control("voltage", float(volt)))

    def open_circuit(self) -> None:
        """Let no current flow from now on."""
        self._change(Control("open", 0.0))

    def set_temperature(self, kelvin: float) -> None:
        """Bring the whole cell to a temperature (K) now; the voltages inside stay as they are."""
        self._change_environment(kelvin, self._pressure_pa)

    def set_pressure(self, pa: float) -> None:
        """Bring the stack pressure (Pa) to a value now; the voltages inside stay as they are."""
        self._change_environment(self._temperature_kelvin, pa)

    @property
    def charge_ah(self) -> float:
        """Net charge (Ah) through the terminals since the cell was made."""
        return self._charge_coulomb() / 3600.0

    def impedance(self, frequency_hertz: Array) -> ComplexArray:
        """Impedance (ohm, capacitive < 0) at frequencies (Hz)."""
        return self._network.impedance(frequency_hertz)

    def truth(self) -> dict[str, Any]:
        """What a measurement ought to find at the present temperature and pressure, as plain JSON."""
        return dict(self._truth)

    def state(self) -> dict[str, Any]:
        """All but the parameters, as plain JSON; a cell made from it goes on in equal floats."""
        return {
            "temperature_kelvin": self._temperature_kelvin,
            "pressure_pa": self._pressure_pa,
            "control": list(self._control),
            "time_second": self._time_second,
            "begin_second": self._begin_second,
            "begin_volts": self._begin_volts.tolist(),
            "begin_coulomb": self._begin_coulomb,
        }

    @classmethod
    def from_state(cls, kind: SymmetricKind, parameters: PelletParameters, state: Mapping[str, Any]) -> Self:
        """The cell whose `state()` this was; kind and parameters must be those it had.

        Raises:
            ValueError: the state is of a cell with another network.
        """
        kelvin, pa = state["temperature_kelvin"], state["pressure_pa"]
        cell = cls(kind, parameters, temperature_kelvin=kelvin, pressure_pa=pa)
        volts = np.array(state["begin_volts"], dtype=float)
        if volts.shape != cell._begin_volts.shape:
            raise ValueError(
                f"symmetric cell state: begin_volts has {volts.size} values: must be {cell._begin_volts.size}"
            )
        mode, setpoint = state["control"]
        cell._control = Control(mode, setpoint)
        cell._begin_volts, cell._begin_coulomb = volts, state["begin_coulomb"]
        cell._begin_second, cell._time_second = state["begin_second"], state["time_second"]
        return cell

    @property
    def _course(self) -> Course:
        return self._network.held_voltage if self._control.holds_voltage else self._network.held_current

    def _start(self) -> Array:
        """The modes at the last change."""
        return self._course.scale @ self._begin_volts

    def _charge_coulomb(self) -> float:
        elapsed = self._time_second - self._begin_second
        if not self._control.holds_voltage:
            return self._begin_coulomb + self._control.setpoint * elapsed
        return self._begin_coulomb + self._course.integral(elapsed, self._start(), self._control.setpoint)

    def _present_volts(self) -> Array:
        elapsed = self._time_second - self._begin_second
        if elapsed == 0.0:
            return self._begin_volts
        modes = self._course.modes(elapsed, self._start(), self._control.setpoint)
        return self._network.voltages(self._course, modes)

    def _change(self, control: Control) -> None:
        """Go on from the present under another control; nothing happens if it is the same."""
        if control != self._control:
            self._restart()
            self._control = control

    def _change_environment(self, temperature_kelvin: float, pressure_pa: float) -> None:
        kelvin, pa = checked_environment(temperature_kelvin, pressure_pa)
        if (kelvin, pa) != (self._temperature_kelvin, self._pressure_pa):
            self._restart()
            self._surround(kelvin, pa)

    def _restart(self) -> None:
        self._begin_volts, self._begin_coulomb = self._present_volts(), self._charge_coulomb()
        self._begin_second = self._time_second

    def _surround(self, temperature_kelvin: float, pressure_pa: float) -> None:
        self._temperature_kelvin, self._pressure_pa = temperature_kelvin, pressure_pa
        self._network, self._truth = build_symmetric(
            self._kind, self._parameters, temperature_kelvin, pressure_pa
        )
