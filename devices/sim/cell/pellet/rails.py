"""What conducts in a pellet at one temperature and stack pressure: composite, separator, contacts, anode.

The composite is a ladder of M equal slices with an ionic and an electronic rail. Arcs are Foster chains of RC
pairs, which answer the same in time and in frequency.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from devices.sim.cell.materials import Array, arrhenius
from devices.sim.cell.pellet.parameters import REFERENCE_PRESSURE_PA, PelletParameters

MINIMUM_PRESSURE_PA = 1e5  # an unloaded pellet still feels the atmosphere; the contact laws end here


@dataclass(frozen=True, eq=False)
class Rails:
    """Everything between the terminals of a full cell but the interfaces of its slices.

    Attributes:
        ionic_ohm: Resistance of the ionic rail across one slice.
        electronic_ohm: Resistance of the electronic rail across one slice.
        laplacian_siemens: L, shape (M, M).
        drive: a, shape (M,).
        drive_squared: a a^T, shape (M, M).
        identity: Unit matrix, shape (M, M).
        average: 1 / M of every slice, shape (M,): a product with it is the mean, and faster.
        instant_ohm: R_0, everything in series that answers at once.
        foster_ohm: Resistances of the RC pairs in series with the cathode, shape (K,).
        foster_second: Their time constants, shape (K,).
    """

    ionic_ohm: float
    electronic_ohm: float
    laplacian_siemens: Array
    drive: Array
    drive_squared: Array
    identity: Array
    average: Array
    instant_ohm: float
    foster_ohm: Array
    foster_second: Array


def build_rails(p: PelletParameters, temperature_kelvin: float, pressure_pa: float) -> Rails:
    """The rails of a full cell: separator and anode at the ionic end of slice 0, collector at the other."""
    ionic, electronic = slice_resistances(p, temperature_kelvin)
    separator_ohm = separator_resistance(p, temperature_kelvin)
    laplacian, drive = _ladder(p.slices, ionic, electronic)
    through_rails = ionic / 2 + electronic / 2
    through_rails += electronic * (p.slices - 1) * ionic / (ionic + electronic)
    grain, anode = (
        grain_boundary_arc(p, temperature_kelvin),
        anode_arc(p, temperature_kelvin, pressure_pa),
    )
    bulk = separator_ohm * (1.0 - p.grain_boundary_fraction)
    return Rails(
        ionic_ohm=ionic,
        electronic_ohm=electronic,
        laplacian_siemens=laplacian,
        drive=drive,
        drive_squared=np.multiply.outer(drive, drive),
        identity=np.eye(p.slices),
        average=np.full(p.slices, 1.0 / p.slices),
        instant_ohm=through_rails + bulk + contact_resistance(p, pressure_pa),
        foster_ohm=np.concatenate([grain[0], anode[0]]),
        foster_second=np.concatenate([grain[1], anode[1]]),
    )


def electrolyte_conductivity(p: PelletParameters, temperature_kelvin: float) -> float:
    """Ionic conductivity (S/m) of the solid electrolyte, bulk and grain boundaries together."""
    return p.electrolyte_conductivity_s_per_m * _electrolyte_factor(p, temperature_kelvin)


def slice_resistances(
    p: PelletParameters, temperature_kelvin: float, slices: int | None = None
) -> tuple[float, float]:
    """Ionic and electronic resistance (ohm) of one slice of the composite."""
    thickness = p.electrode_thickness_metre / (slices or p.slices)
    conductivity = electrolyte_conductivity(p, temperature_kelvin)
    effective = conductivity * p.electrolyte_volume_fraction / p.tortuosity_factor
    ionic = thickness / (effective * p.area_m2)
    return ionic, thickness / (p.electronic_conductivity_s_per_m * p.area_m2)


def separator_resistance(p: PelletParameters, temperature_kelvin: float) -> float:
    """Resistance (ohm) of one separator, bulk and grain boundaries."""
    return p.separator_thickness_metre / (electrolyte_conductivity(p, temperature_kelvin) * p.area_m2)


def contact_resistance(p: PelletParameters, pressure_pa: float) -> float:
    """Resistance (ohm) of one contact at a stack pressure."""
    return p.contact_resistance_ohm_m2 / p.area_m2 * contact_factor(p, pressure_pa)


def contact_factor(p: PelletParameters, pressure_pa: float) -> float:
    """Rise of the contact resistances where the stack pressure is not 50 MPa."""
    pressure = max(pressure_pa, MINIMUM_PRESSURE_PA)
    return (REFERENCE_PRESSURE_PA / pressure) ** p.contact_pressure_exponent


def rail_laplacian(slices: int, ionic_ohm: float, electronic_ohm: float) -> Array:
    """L (S) of a ladder, shape (M, M)."""
    incidence = np.diff(np.eye(slices), axis=0)
    return incidence.T @ incidence / (ionic_ohm + electronic_ohm)


def grain_boundary_arc(p: PelletParameters, temperature_kelvin: float) -> tuple[Array, Array]:
    """Resistances (ohm) and times (s) of the RC pairs of one separator's grain boundaries.

    The capacitance of grain boundaries and of the anode does not change with temperature.
    """
    faster = _electrolyte_factor(p, temperature_kelvin)
    ohm = separator_resistance(p, temperature_kelvin) * p.grain_boundary_fraction
    time, exponent = p.grain_boundary_time_second / faster, p.grain_boundary_dispersion_exponent
    return arc(p.foster_elements, ohm, exponent, time)


def anode_arc(p: PelletParameters, temperature_kelvin: float, pressure_pa: float) -> tuple[Array, Array]:
    """Resistances (ohm) and times (s) of the RC pairs of one anode.

    Less pressure leaves the anode less area: its resistance rises, its capacitance falls, its time stays.
    """
    faster = arrhenius(p.anode_activation_energy_j_per_mol, temperature_kelvin)
    ohm = p.anode_resistance_ohm_m2 / p.area_m2 / faster * contact_factor(p, pressure_pa)
    return arc(p.foster_elements, ohm, p.anode_dispersion_exponent, p.anode_time_second / faster)


def arc(elements: int, ohm: float, exponent: float, time_second: float) -> tuple[Array, Array]:
    """Resistances (ohm) and times (s) of a Foster chain for one ZARC, R / (1 + (jw tau)^exponent).

    Distribution of its time constants: Cole & Cole, J. Chem. Phys. 9 (1941) 341.
    """
    decades = np.linspace(-3.0, 3.0, elements)
    spread = np.cosh(exponent * math.log(10.0) * decades) + math.cos(math.pi * exponent)
    weights = 1.0 / spread
    return ohm * (weights / weights.sum()), time_second * 10.0**decades


def _electrolyte_factor(p: PelletParameters, temperature_kelvin: float) -> float:
    return arrhenius(p.electrolyte_activation_energy_j_per_mol, temperature_kelvin)


def _ladder(slices: int, ionic_ohm: float, electronic_ohm: float) -> tuple[Array, Array]:
    """Rail Laplacian L (S) and drive vector a of a ladder from ions at slice 0 to electrons at the last."""
    drive = np.zeros(slices)
    share = electronic_ohm / (ionic_ohm + electronic_ohm) if slices > 1 else 0.0
    drive[0] += 1.0 - share
    drive[-1] += share
    return rail_laplacian(slices, ionic_ohm, electronic_ohm), drive
