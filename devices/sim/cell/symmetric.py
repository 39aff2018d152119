"""A cell without a charged electrode in virtual time: exact at any instant, used like a `Pellet`.

    ion path       In/InLi | electrolyte | composite | electrolyte | In/InLi     electrons are blocked
    electron path  steel | composite | steel                                     ions are blocked
    electrolyte    steel | electrolyte | steel                                   ions are blocked

The composite is as pressed, uncharged: its double layers stand beside a large, constant charge-transfer
resistance. Contacts and anodes follow P^-0.5, so their arcs are what a ladder of stack pressures shows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final, Literal, Self

import numpy as np

from devices.sim.cell.linear_network import LinearNetwork, Transient
from devices.sim.cell.materials import Array, ComplexArray
from devices.sim.cell.pellet.network import build_network
from devices.sim.cell.pellet.parameters import PelletParameters
from devices.sim.cell.pellet.rails import (
    anode_arc,
    arc,
    contact_resistance,
    electrolyte_conductivity,
    grain_boundary_arc,
    rail_laplacian,
    separator_resistance,
    slice_resistances,
)
from devices.sim.cell.pellet.state import Control
from devices.sim.cell.simulated_cell import checked_environment, require

SymmetricKind = Literal["ion_path", "electron_path", "electrolyte"]
UNCHARGED_STOICHIOMETRY: Final = 0.98  # of a composite as pressed
LADDER_SLICES: Final = 100  # the ladder is within 0.15 % of the continuous line up to 3 kHz
STEEL_CAPACITANCE_F_PER_M2: Final = 0.2  # double layer of a blocking steel face
STEEL_CONTACT_TIME_SECOND: Final = 1e-5  # of the constriction at such a face: an arc at 16 kHz
STEEL_CONTACT_DISPERSION_EXPONENT: Final = 0.9
LEAK_CONDUCTIVITY_S_PER_M: Final = 1e-6  # electronic, of the solid electrolyte: 1e-8 S/cm

_Pairs = tuple[Array, Array]


def build_symmetric(
    kind: SymmetricKind, p: PelletParameters, temperature_kelvin: float, pressure_pa: float
) -> tuple[LinearNetwork, dict[str, Any]]:
    """The network at a temperature (K) and stack pressure (Pa), and what measurements on it ought to find."""
    kelvin, pa = temperature_kelvin, pressure_pa
    common = {
        "kind": kind,
        "electrolyte_conductivity_s_per_m": electrolyte_conductivity(p, kelvin),
        "temperature_kelvin": kelvin,
        "pressure_pa": pa,
    }
    if kind == "electrolyte":
        network, truth = _electrolyte(p, kelvin, pa)
    else:
        network, truth = _path(kind == "ion_path", p, kelvin, pa)
    return network, {**common, **truth}


def _electrolyte(p: PelletParameters, kelvin: float, pa: float) -> tuple[LinearNetwork, dict[str, Any]]:
    whole = separator_resistance(p, kelvin)
    bulk = whole * (1.0 - p.grain_boundary_fraction)
    faster = electrolyte_conductivity(p, kelvin) / p.electrolyte_conductivity_s_per_m
    contacts = 2.0 * contact_resistance(p, pa) / faster
    contact_arc = arc(
        p.foster_elements, contacts, STEEL_CONTACT_DISPERSION_EXPONENT, STEEL_CONTACT_TIME_SECOND / faster
    )
    leak = p.separator_thickness_metre / (LEAK_CONDUCTIVITY_S_PER_M * p.area_m2)
    blocking = STEEL_CAPACITANCE_F_PER_M2 * p.area_m2 / 2.0  # two faces in series
    block = (np.array([leak]), np.array([leak * blocking]))
    chains = (grain_boundary_arc(p, kelvin), contact_arc, block)
    return _network(bulk, np.empty((0, 0)), 0.0, np.empty(0), *chains), {
        "separator_resistance_ohm": whole,
        "interface_resistance_ohm": contacts,
        "electronic_resistance_ohm": leak,
        "blocking_capacitance_farad": blocking,
    }


def _path(
    is_ionic: bool, p: PelletParameters, kelvin: float, pa: float
) -> tuple[LinearNetwork, dict[str, Any]]:
    """Both contacts at the same rail: the ladder carries current in the other rail only in its middle."""
    ionic, electronic = slice_resistances(p, kelvin, LADDER_SLICES)
    own = ionic if is_ionic else electronic
    inside = build_network(p.model_copy(update={"slices": LADDER_SLICES}), kelvin, pa)
    transfer = inside.charge_transfer_ohm(np.full(1, UNCHARGED_STOICHIOMETRY))  # of one slice
    film = inside.contact.film_ohm_m2 / inside.contact.area_m2
    conductance = rail_laplacian(LADDER_SLICES, ionic, electronic)
    conductance += np.eye(LADDER_SLICES) / (transfer + film)
    coupling = np.zeros(LADDER_SLICES)
    coupling[0], coupling[-1] = own / (ionic + electronic), -own / (ionic + electronic)
    instant = own + (LADDER_SLICES - 1) * ionic * electronic / (ionic + electronic)
    truth = {
        "ionic_resistance_ohm": ionic * LADDER_SLICES,
        "electronic_resistance_ohm": electronic * LADDER_SLICES,
        "tortuosity_factor": p.tortuosity_factor,
        "charge_transfer_resistance_ohm": transfer / LADDER_SLICES,
        "film_resistance_ohm": film / LADDER_SLICES,
        "double_layer_capacitance_farad": inside.contact.capacitance_farad * LADDER_SLICES,
        "contact_fraction": inside.contact.fraction,
        "contact_area_m2": inside.contact.area_m2 * LADDER_SLICES,
        "stoichiometry": UNCHARGED_STOICHIOMETRY,
        "separator_resistance_ohm": 0.0,
        "interface_resistance_ohm": 0.0,
    }
    farad = inside.contact.capacitance_farad
    if not is_ionic:
        return _network(instant, conductance, farad, coupling), truth
    separators, contacts = 2.0 * separator_resistance(p, kelvin), 2.0 * contact_resistance(p, pa)
    instant += separators * (1.0 - p.grain_boundary_fraction) + contacts
    grain, anode = _twice(grain_boundary_arc(p, kelvin)), _twice(anode_arc(p, kelvin, pa))
    truth |= {
        "separator_resistance_ohm": separators,
        "interface_resistance_ohm": contacts + float(anode[0].sum()),
    }
    return _network(instant, conductance, farad, coupling, grain, anode), truth


def _twice(pairs: _Pairs) -> _Pairs:
    return 2.0 * pairs[0], pairs[1]


def _network(
    instant_ohm: float, conductance: Array, slice_farad: float, coupling: Array, *chains: _Pairs
) -> LinearNetwork:
    """A ladder in series with chains; pairs without resistance are left out."""
    ohm = np.concatenate([np.empty(0), *(pairs[0] for pairs in chains)])
    second = np.concatenate([np.empty(0), *(pairs[1] for pairs in chains)])
    return LinearNetwork(
        instant_ohm=instant_ohm,
        ladder_farad=np.full(len(coupling), slice_farad),
        ladder_siemens=conductance,
        coupling=coupling,
        foster_ohm=ohm[ohm > 0.0],
        foster_second=second[ohm > 0.0],
    )


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
    def _course(self) -> Transient:
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
