"""The pellet at one temperature and stack pressure: its network of resistances, areas and rate constants.

The composite cathode is a ladder of M equal slices, slice 0 at the separator: an ionic and an electronic
rail, and between them the interface with double layer, film and particles. u = phi_solid - phi_electrolyte
(V) of the slices; i (A/m2) is their faradaic current density and I (A) the cell current, both > 0 on charge.

    C_dl S du/dt = a I - L u - S i             (Kirchhoff in both rails, L the rail Laplacian, sum(a) = 1)
    V = a . u + R_0 I + sum(v_k) - U_anode     (v_k: Foster chains of separator grain boundaries and anode)

The same vector a drives the ladder and reads the voltage: the ladder is reciprocal.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from devices.sim.materials import (
    FARADAY_CONSTANT,
    GAS_CONSTANT,
    Array,
    arrhenius,
    ocp_and_slope,
    sphere_roots,
)
from devices.sim.pellet_parameters import REFERENCE_PRESSURE_PA, PelletParameters

MINIMUM_PRESSURE_PA = 1e5  # an unloaded pellet still feels the atmosphere; the contact laws end here
# x (1 - x), zero at x = 0 and 1, bends into a positive tail about there. With a sharper bend the polarisation
# of an overcharged surface would fall as the discharge current rises, and a stage have several solutions.
_SITES_FLOOR = 0.04
_SITES_HALF = 0.25 + (0.25**2 + _SITES_FLOOR**2) ** 0.5  # their measure at x = 0.5
_BEYOND = 0.5  # so far outside 0 to 1 the exchange current still falls; from there on it stays


@dataclass(frozen=True, eq=False)
class PelletNetwork:
    """Coefficients of the model at one temperature and pressure; extensive values are of one slice.

    Attributes:
        contact_fraction: theta, share of the particle surface that touches electrolyte.
        equivalent_radius_metre: R_e = R_p / theta.
        slice_area_m2: Reacting area S.
        roots_squared: Squared eigenvalues l_n^2 of the sphere, shape (modes,).
        mode_rate: 2 / (R_e F c_max), stoichiometry per (A s/m2) into each mode.
        mean_rate: S / (V F c_max), the same into the mean.
        tail_metre2_rate: What the dropped modes add at once: R_e / (F c_max) * sum 2/l_n^2; over D it is
            stoichiometry per (A/m2).
        ionic_ohm: Resistance of the ionic rail across one slice.
        electronic_ohm: Resistance of the electronic rail across one slice.
        laplacian_siemens: L, shape (M, M).
        drive: a, shape (M,).
        instant_ohm: R_0, everything in series that answers at once.
        foster_ohm: Resistances of the RC pairs in series with the cathode, shape (K,).
        foster_second: Their time constants, shape (K,).
    """

    parameters: PelletParameters
    temperature_kelvin: float
    pressure_pa: float
    contact_fraction: float
    equivalent_radius_metre: float
    slice_area_m2: float
    slice_capacitance_farad: float
    roots_squared: Array
    mode_rate: float
    mean_rate: float
    tail_metre2_rate: float
    ionic_ohm: float
    electronic_ohm: float
    laplacian_siemens: Array
    drive: Array
    instant_ohm: float
    foster_ohm: Array
    foster_second: Array
    exchange_scale_a_per_m2: float
    thermal_volt: float  # 2 R T / F
    diffusivity_factor: float

    def diffusivity(self, stoichiometry: Array) -> Array:
        """Diffusivity (m2/s) at this temperature."""
        return self.parameters.reference_diffusivity(stoichiometry) * self.diffusivity_factor

    def exchange_current_density(self, stoichiometry: Array) -> tuple[Array, Array]:
        """Exchange current density i0 (A/m2) and d ln(i0) / dx.

        i0 = i0(0.5) 2 sqrt(x (1 - x)) / (1 + exp((x - x_f) / w)), the root rounded off near 0 and 1. The last
        factor, of `exchange_fade_*`, makes the charge-transfer resistance rise steeply as x -> 1, as is
        measured near 0 % state of charge: tenfold at x = 0.95. A plain factor 1 - x would do so too, but cost
        5 % of the bare pellet's capacity at 2C, where the reference is to be met within 3 %, and bend the
        pulses of a GITT below x = 0.85.
        """
        x = np.minimum(np.maximum(stoichiometry, -_BEYOND), 1.0 + _BEYOND)
        sites = x - x * x
        root = np.sqrt(sites * sites + _SITES_FLOOR**2)
        inverse_width = 1.0 / self.parameters.exchange_fade_width
        fade = np.exp((x - self.parameters.exchange_fade_stoichiometry) * inverse_width)
        left = 1.0 / (1.0 + fade)
        slope = ((0.5 - x) / root - fade * left * inverse_width) * (x == stoichiometry)
        return self.exchange_scale_a_per_m2 * np.sqrt(sites + root) * left, slope

    def interface(self, current_density: Array, surface: Array) -> tuple[Array, Array, Array]:
        """Potential u (V) that drives i through film and charge transfer at surface stoichiometry x_s.

        Inverse of i = 2 i0 sinh(F (u - U(x_s) - R_film i) / 2RT) (Butler-Volmer, both coefficients 1/2).

        Returns:
            u (V), its slope at constant x_s (ohm m2), its slope in x_s at constant i (V).
        """
        i = current_density
        potential, potential_slope = ocp_and_slope(surface)
        exchange, log_slope = self.exchange_current_density(surface)
        twice = 2.0 * exchange
        transfer = self.thermal_volt / np.sqrt(i * i + twice * twice)
        film = self.parameters.film_resistance_ohm_m2
        u = potential + film * i + self.thermal_volt * np.arcsinh(i / twice)
        return u, film + transfer, potential_slope - transfer * log_slope * i

    def linear_range(self, slope_ohm_m2: Array) -> Array:
        """Current (A/m2) over which u is about linear: sqrt(i^2 + 4 i0^2), from the slope of `interface`."""
        return self.thermal_volt / (slope_ohm_m2 - self.parameters.film_resistance_ohm_m2)

    def charge_transfer_ohm(self, surface: Array) -> float:
        """Charge-transfer resistance RT / (F i0 S) of the whole electrode, without film, at rest."""
        exchange = self.exchange_current_density(surface)[0]
        return float(self.thermal_volt / 2.0 / (self.slice_area_m2 * exchange).sum())


def contact_fraction_at(parameters: PelletParameters, pressure_pa: float) -> float:
    """Contact fraction at a stack pressure: theta_max (1 - exp(-P / P_0)), as given at 50 MPa, at most 1."""
    scale = parameters.contact_pressure_scale_pa
    pressure = max(pressure_pa, MINIMUM_PRESSURE_PA)
    ratio = math.expm1(-pressure / scale) / math.expm1(-REFERENCE_PRESSURE_PA / scale)
    return min(parameters.contact_fraction * ratio, 1.0)


def build_network(
    parameters: PelletParameters, temperature_kelvin: float, pressure_pa: float
) -> PelletNetwork:
    """The network at a temperature (K) and a stack pressure (Pa)."""
    p = parameters
    theta = contact_fraction_at(p, pressure_pa)
    radius = p.particle_radius_metre / theta
    area = 3.0 * p.active_volume_m3 / radius / p.slices
    concentration_charge = FARADAY_CONSTANT * p.maximum_concentration_mol_per_m3
    squares = sphere_roots(p.modes) ** 2
    ionic, electronic, separator_ohm = _rails(p, temperature_kelvin)
    laplacian, drive = _ladder(p.slices, ionic, electronic)
    contact = p.contact_resistance_ohm_m2 / p.area_m2 * _contact_factor(p, pressure_pa)
    through_rails = ionic / 2 + electronic / 2
    through_rails += electronic * (p.slices - 1) * ionic / (ionic + electronic)
    foster_ohm, foster_second = _foster(p, temperature_kelvin, pressure_pa, separator_ohm)
    exchange = p.exchange_current_density_a_per_m2 * arrhenius(
        p.exchange_activation_energy_j_per_mol, temperature_kelvin
    )
    return PelletNetwork(
        parameters=p,
        temperature_kelvin=temperature_kelvin,
        pressure_pa=pressure_pa,
        contact_fraction=theta,
        equivalent_radius_metre=radius,
        slice_area_m2=area,
        slice_capacitance_farad=p.double_layer_capacitance_f_per_m2 * area,
        roots_squared=squares,
        mode_rate=2.0 / (radius * concentration_charge),
        mean_rate=area / (p.active_volume_m3 / p.slices * concentration_charge),
        tail_metre2_rate=radius / concentration_charge * (0.2 - float((2.0 / squares).sum())),
        ionic_ohm=ionic,
        electronic_ohm=electronic,
        laplacian_siemens=laplacian,
        drive=drive,
        instant_ohm=through_rails + separator_ohm * (1.0 - p.grain_boundary_fraction) + contact,
        foster_ohm=foster_ohm,
        foster_second=foster_second,
        exchange_scale_a_per_m2=exchange / _SITES_HALF**0.5,
        thermal_volt=2.0 * GAS_CONSTANT * temperature_kelvin / FARADAY_CONSTANT,
        diffusivity_factor=arrhenius(p.diffusivity_activation_energy_j_per_mol, temperature_kelvin),
    )


def _rails(p: PelletParameters, temperature_kelvin: float) -> tuple[float, float, float]:
    """Ionic and electronic resistance of one slice, and that of the separator (ohm)."""
    faster = arrhenius(p.electrolyte_activation_energy_j_per_mol, temperature_kelvin)
    conductivity = p.electrolyte_conductivity_s_per_m * faster
    thickness = p.electrode_thickness_metre / p.slices
    effective = conductivity * p.electrolyte_volume_fraction / p.tortuosity_factor
    ionic = thickness / (effective * p.area_m2)
    electronic = thickness / (p.electronic_conductivity_s_per_m * p.area_m2)
    return ionic, electronic, p.separator_thickness_metre / (conductivity * p.area_m2)


def _ladder(slices: int, ionic_ohm: float, electronic_ohm: float) -> tuple[Array, Array]:
    """Rail Laplacian L (S) and drive vector a of the ladder."""
    conductance = 1.0 / (ionic_ohm + electronic_ohm)
    incidence = np.diff(np.eye(slices), axis=0)
    drive = np.zeros(slices)
    share = electronic_ohm * conductance if slices > 1 else 0.0
    drive[0] += 1.0 - share
    drive[-1] += share
    return conductance * incidence.T @ incidence, drive


def _contact_factor(p: PelletParameters, pressure_pa: float) -> float:
    """Rise of the contact resistances where the stack pressure is not 50 MPa."""
    pressure = max(pressure_pa, MINIMUM_PRESSURE_PA)
    return (REFERENCE_PRESSURE_PA / pressure) ** p.contact_pressure_exponent


def _foster(
    p: PelletParameters, temperature_kelvin: float, pressure_pa: float, separator_ohm: float
) -> tuple[Array, Array]:
    """RC pairs of the separator's grain boundaries and of the anode, whose capacitances do not change with T.

    Less pressure leaves the anode less area: its resistance rises, its capacitance falls, its time stays.
    """
    electrolyte = arrhenius(p.electrolyte_activation_energy_j_per_mol, temperature_kelvin)
    anode = arrhenius(p.anode_activation_energy_j_per_mol, temperature_kelvin)
    anode_ohm = p.anode_resistance_ohm_m2 / p.area_m2 / anode * _contact_factor(p, pressure_pa)
    grain_weights, grain_second = _arc(
        p.foster_elements, p.grain_boundary_dispersion_exponent, p.grain_boundary_time_second / electrolyte
    )
    anode_weights, anode_second = _arc(
        p.foster_elements, p.anode_dispersion_exponent, p.anode_time_second / anode
    )
    grain_ohm = separator_ohm * p.grain_boundary_fraction
    ohm = np.concatenate([grain_ohm * grain_weights, anode_ohm * anode_weights])
    return ohm, np.concatenate([grain_second, anode_second])


def _arc(elements: int, exponent: float, time_second: float) -> tuple[Array, Array]:
    """Weights (sum 1) and time constants (s) of a Foster chain for one ZARC, 1 / (1 + (jw tau)^exponent).

    Distribution of its time constants: Cole & Cole, J. Chem. Phys. 9 (1941) 341.
    """
    decades = np.linspace(-3.0, 3.0, elements)
    spread = np.cosh(exponent * math.log(10.0) * decades) + math.cos(math.pi * exponent)
    weights = 1.0 / spread
    return weights / weights.sum(), time_second * 10.0**decades
