"""The pellet at one temperature and stack pressure: its network of resistances, areas and rate constants.

The composite cathode is a ladder of M equal slices, slice 0 at the separator: an ionic and an electronic
rail, and between them the interface with double layer, film and particles. u = phi_solid - phi_electrolyte
(V) of the slices; i (A/m2) is their faradaic current density and I (A) the cell current, both > 0 on charge.

    C_dl S du/dt = a I - L u - S (i + i_s)     (Kirchhoff in both rails, L the rail Laplacian, sum(a) = 1)
    V = a . u + R_0 I + sum(v_k) - U_anode     (v_k: Foster chains of separator grain boundaries and anode)

i_s is the side current of an ageing pellet, which does not come from the particles.

The same vector a drives the ladder and reads the voltage: the ladder is reciprocal.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from devices.sim.cell.materials import (
    FARADAY_CONSTANT,
    GAS_CONSTANT,
    Array,
    arrhenius,
    ocp_and_slope,
    sphere_roots,
)
from devices.sim.cell.pellet.ageing import Age, AgeingRates
from devices.sim.cell.pellet.parameters import REFERENCE_PRESSURE_PA, PelletParameters
from devices.sim.cell.pellet.rails import MINIMUM_PRESSURE_PA, Rails, build_rails, contact_factor

# x (1 - x), zero at x = 0 and 1, bends into a positive tail about there. With a sharper bend the polarisation
# of an overcharged surface would fall as the discharge current rises, and a stage have several solutions.
_SITES_FLOOR = 0.04
_SITES_HALF = 0.25 + (0.25**2 + _SITES_FLOOR**2) ** 0.5  # their measure at x = 0.5
_BEYOND = 0.5  # so far outside 0 to 1 the exchange current still falls; from there on it stays


class Contact(NamedTuple):
    """How the particles of a slice touch the electrolyte: everything that ageing changes.

    Attributes:
        fraction: theta, share of the particle surface that touches electrolyte.
        radius_metre: Equivalent radius R_e = R_p / theta.
        area_m2: Reacting area S.
        capacitance_farad: Of its double layer.
        mode_rate: 2 / (R_e F c_max), stoichiometry per (A s/m2) into each mode.
        mean_rate: S / (V F c_max), the same into the mean.
        tail_metre2_rate: What the dropped modes add at once: R_e / (F c_max) * sum 2/l_n^2; over D it is
            stoichiometry per (A/m2).
        film_ohm_m2: Resistance of the film on it.
    """

    fraction: float
    radius_metre: float
    area_m2: float
    capacitance_farad: float
    mode_rate: float
    mean_rate: float
    tail_metre2_rate: float
    film_ohm_m2: float

    def aged(self, age: Age, film_factor: float) -> Contact:
        """What a fresh contact has become; a film conducts `film_factor` times better than at 25 degC."""
        share, still = age.contact_share, age.contact_share * age.connected_share
        return Contact(
            self.fraction * share,
            self.radius_metre / share,
            self.area_m2 * still,
            self.capacitance_farad * still,
            self.mode_rate * share,
            self.mean_rate * share,
            self.tail_metre2_rate / share,
            math.sqrt(self.film_ohm_m2**2 + age.film_growth / film_factor**2),
        )


class PelletNetwork(NamedTuple):
    """Coefficients of the model at one temperature, pressure and age; extensive values are of one slice.

    Attributes:
        rails: What conducts.
        fresh: The contact of a new pellet at this pressure.
        contact: The contact at this age.
        ageing: The laws of ageing; None where there is none.
        full_coulomb: Charge between x = 0 and x = 1 of all particles, connected or not.
        roots_squared: Squared eigenvalues l_n^2 of the sphere, shape (modes,).
    """

    parameters: PelletParameters
    temperature_kelvin: float
    pressure_pa: float
    rails: Rails
    fresh: Contact
    contact: Contact
    ageing: AgeingRates | None
    full_coulomb: float
    roots_squared: Array
    exchange_scale_a_per_m2: float
    thermal_volt: float  # 2 R T / F
    diffusivity_factor: float
    film_factor: float

    def at_age(self, age: Age) -> PelletNetwork:
        """The same at another age."""
        return self._replace(contact=self.fresh.aged(age, self.film_factor))

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
        film = self.contact.film_ohm_m2
        u = potential + film * i + self.thermal_volt * np.arcsinh(i / twice)
        return u, film + transfer, potential_slope - transfer * log_slope * i

    def linear_range(self, slope_ohm_m2: Array) -> Array:
        """Current (A/m2) over which u is about linear: sqrt(i^2 + 4 i0^2), from the slope of `interface`."""
        return self.thermal_volt / (slope_ohm_m2 - self.contact.film_ohm_m2)

    def charge_transfer_ohm(self, surface: Array) -> float:
        """Charge-transfer resistance RT / (F i0 S) of the whole electrode, without film, at rest."""
        exchange = self.exchange_current_density(surface)[0]
        return float(self.thermal_volt / 2.0 / (self.contact.area_m2 * exchange).sum())


def contact_fraction_at(parameters: PelletParameters, pressure_pa: float) -> float:
    """Contact fraction at a stack pressure: theta_max (1 - exp(-P / P_0)), as given at 50 MPa, at most 1."""
    scale = parameters.contact_pressure_scale_pa
    pressure = max(pressure_pa, MINIMUM_PRESSURE_PA)
    ratio = math.expm1(-pressure / scale) / math.expm1(-REFERENCE_PRESSURE_PA / scale)
    return min(parameters.contact_fraction * ratio, 1.0)


def build_network(
    parameters: PelletParameters, temperature_kelvin: float, pressure_pa: float
) -> PelletNetwork:
    """The network of a fresh pellet at a temperature (K) and a stack pressure (Pa)."""
    p = parameters
    squares = sphere_roots(p.modes) ** 2
    film = arrhenius(p.film_activation_energy_j_per_mol, temperature_kelvin)
    contact = _fresh_contact(p, contact_fraction_at(p, pressure_pa), squares, film)
    exchange = p.exchange_current_density_a_per_m2 * arrhenius(
        p.exchange_activation_energy_j_per_mol, temperature_kelvin
    )
    factor = contact_factor(p, pressure_pa)
    return PelletNetwork(
        parameters=p,
        temperature_kelvin=temperature_kelvin,
        pressure_pa=pressure_pa,
        rails=build_rails(p, temperature_kelvin, pressure_pa),
        fresh=contact,
        contact=contact,
        ageing=None if p.ageing is None else AgeingRates(p.ageing, temperature_kelvin, factor),
        full_coulomb=p.full_charge_coulomb,
        roots_squared=squares,
        exchange_scale_a_per_m2=exchange / _SITES_HALF**0.5,
        thermal_volt=2.0 * GAS_CONSTANT * temperature_kelvin / FARADAY_CONSTANT,
        diffusivity_factor=arrhenius(p.diffusivity_activation_energy_j_per_mol, temperature_kelvin),
        film_factor=film,
    )


def _fresh_contact(p: PelletParameters, theta: float, squares: Array, film_factor: float) -> Contact:
    radius = p.particle_radius_metre / theta
    area = 3.0 * p.active_volume_m3 / radius / p.slices
    concentration_charge = FARADAY_CONSTANT * p.maximum_concentration_mol_per_m3
    return Contact(
        fraction=theta,
        radius_metre=radius,
        area_m2=area,
        capacitance_farad=p.double_layer_capacitance_f_per_m2 * area,
        mode_rate=2.0 / (radius * concentration_charge),
        mean_rate=area / (p.active_volume_m3 / p.slices * concentration_charge),
        tail_metre2_rate=radius / concentration_charge * (0.2 - float((2.0 / squares).sum())),
        film_ohm_m2=p.film_resistance_ohm_m2 / film_factor,
    )
