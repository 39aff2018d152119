"""The networks of cells without a charged electrode: the two paths through a composite, and the electrolyte.

    ion path       In/InLi | electrolyte | composite | electrolyte | In/InLi     electrons are blocked
    electron path  steel | composite | steel                                     ions are blocked
    electrolyte    steel | electrolyte | steel                                   ions are blocked

The composite is as pressed, uncharged: its double layers stand beside a large, constant charge-transfer
resistance. Contacts and anodes follow P^-0.5, so their arcs are what a ladder of stack pressures shows.
"""

from __future__ import annotations

from typing import Any, Final, Literal

import numpy as np

from devices.sim.linear_network import LinearNetwork
from devices.sim.materials import Array
from devices.sim.pellet_network import build_network
from devices.sim.pellet_parameters import PelletParameters
from devices.sim.pellet_rails import (
    anode_arc,
    arc,
    contact_resistance,
    electrolyte_conductivity,
    grain_boundary_arc,
    rail_laplacian,
    separator_resistance,
    slice_resistances,
)

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
