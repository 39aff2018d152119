"""What a simulated pellet is made of: the numbers of one composite cathode | separator | In/InLi cell.

All values are SI and hold at 25 degC and 50 MPa stack pressure unless a name says otherwise; the laws that
carry them to another temperature and pressure are in `devices.sim.cell.pellet.network` and `pellet_rails`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt

from devices.sim.cell.materials import FARADAY_CONSTANT, Array, oregan_diffusivity
from devices.sim.cell.pellet.ageing import AgeingParameters

REFERENCE_PRESSURE_PA: Final = (
    50e6  # stack pressure at which contact fraction and contact resistances are stated
)
_REFERENCE_AREA_M2: Final = (
    math.pi / 4 * 10e-3**2
)  # die of 10 mm, for which the area-free resistances are known

Diffusivity = Callable[[Array], Array]


class PelletParameters(BaseModel):
    """Parameters of the simulated pellet; the defaults are a bare Ni-rich NCM composite with Li6PS5Cl.

    Lithium diffuses in spheres of `particle_radius_metre` of which only the share `contact_fraction` (theta)
    touches the electrolyte: the reacting area shrinks to theta 3 V / R_p and the diffusion length grows to
    R_p / theta, which keeps volume / area = R_e / 3 and the mass balance.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    # Geometry and composition.
    diameter_metre: PositiveFloat = 10e-3
    active_mass_kg: PositiveFloat = 8.4e-6
    active_density_kg_per_m3: PositiveFloat = 4700.0
    active_volume_fraction: float = Field(default=0.43, gt=0, le=1)
    electrolyte_volume_fraction: float = Field(default=0.47, gt=0, le=1)
    particle_radius_metre: PositiveFloat = 2.5e-6
    maximum_concentration_mol_per_m3: PositiveFloat = 49_000.0  # 276 mAh/g at 4.7 g/cm3

    # Contact and interface. i0 is the value at x = 0.5; see `PelletNetwork.exchange_current_density`.
    contact_fraction: float = Field(default=0.35, gt=0, le=1)
    contact_pressure_scale_pa: PositiveFloat = 15e6
    exchange_current_density_a_per_m2: PositiveFloat = 0.4
    exchange_activation_energy_j_per_mol: float = Field(default=45e3, ge=0)
    exchange_fade_stoichiometry: float = Field(default=0.93, gt=0.7)
    exchange_fade_width: PositiveFloat = 0.015
    film_resistance_ohm_m2: float = Field(default=0.02, ge=0)
    film_activation_energy_j_per_mol: float = Field(default=35e3, ge=0)  # that of ions in the electrolyte
    double_layer_capacitance_f_per_m2: PositiveFloat = 0.2

    # Diffusivity in the active material: a law of x at 25 degC (O'Regan 2022), or one constant value (m2/s).
    diffusivity: PositiveFloat | Diffusivity = oregan_diffusivity
    diffusivity_activation_energy_j_per_mol: float = Field(default=30e3, ge=0)

    # Transport through the composite and the separator.
    tortuosity_factor: float = Field(default=8.0, ge=1)  # tau^2 = eps_SE sigma_SE / sigma_eff
    electrolyte_conductivity_s_per_m: PositiveFloat = 0.2
    electrolyte_activation_energy_j_per_mol: float = Field(default=35e3, ge=0)
    electronic_conductivity_s_per_m: PositiveFloat = 1.0
    separator_thickness_metre: PositiveFloat = 0.8e-3
    grain_boundary_fraction: float = Field(default=0.3, ge=0, le=1)
    grain_boundary_time_second: PositiveFloat = 3e-7
    grain_boundary_dispersion_exponent: float = Field(default=0.85, gt=0, lt=1)
    contact_resistance_ohm_m2: float = Field(default=5.0 * _REFERENCE_AREA_M2, ge=0)

    # Anode: a two-phase alloy of constant potential vs Li+/Li behind one dispersed arc.
    anode_potential_volt: float = 0.62  # In/InLi; Santhosha et al., Batteries & Supercaps 2 (2019) 524
    anode_resistance_ohm_m2: float = Field(default=8.0 * _REFERENCE_AREA_M2, ge=0)
    anode_time_second: PositiveFloat = 0.1
    anode_dispersion_exponent: float = Field(default=0.85, gt=0, lt=1)
    anode_activation_energy_j_per_mol: float = Field(default=45e3, ge=0)

    # Arcs (ZARC) are Foster chains of `foster_elements` RC pairs over +-3 decades with Cole-Cole weights.
    foster_elements: int = Field(default=12, ge=2)
    contact_pressure_exponent: float = Field(default=0.5, ge=0)  # R_c, R_an ~ P^-0.5 (arXiv:2501.00600)

    ageing: AgeingParameters | None = None  # None: cycles and years leave it as it is

    # Resolution: slices across the electrode, eigenmodes in each particle.
    slices: PositiveInt = 10
    modes: PositiveInt = 100

    @classmethod
    def bare(cls, **overrides: Any) -> Self:
        """A cathode of bare particles: little contact, slow interface, tortuous ion paths."""
        return cls(**overrides)

    @classmethod
    def coated(cls, **overrides: Any) -> Self:
        """A cathode of Li3InCl6-coated particles: twice the contact, a fast interface, straighter paths."""
        lithium_indium_chloride = {
            "contact_fraction": 0.70,
            "tortuosity_factor": 4.0,
            "exchange_current_density_a_per_m2": 1.2,
            "film_resistance_ohm_m2": 0.004,
        }
        return cls(**{**lithium_indium_chloride, **overrides})

    @classmethod
    def for_cell(cls, *, coated: bool, ages: bool = False, **given: Any) -> Self:
        """The bare or coated pellet with what a cell record gives; `ages`: cycles and time leave traces."""
        make, ageing = (cls.coated, AgeingParameters.coated) if coated else (cls.bare, AgeingParameters.bare)
        return make(ageing=ageing() if ages else None, **given)

    @property
    def area_m2(self) -> float:
        """Geometric area of the pellet."""
        return math.pi / 4 * self.diameter_metre**2

    @property
    def active_volume_m3(self) -> float:
        """Volume of the active material."""
        return self.active_mass_kg / self.active_density_kg_per_m3

    @property
    def electrode_thickness_metre(self) -> float:
        """Thickness of the composite cathode."""
        return self.active_volume_m3 / (self.active_volume_fraction * self.area_m2)

    @property
    def full_charge_coulomb(self) -> float:
        """Charge between x = 0 and x = 1: F c_max V."""
        return FARADAY_CONSTANT * self.maximum_concentration_mol_per_m3 * self.active_volume_m3

    def reference_diffusivity(self, stoichiometry: Array) -> Array:
        """Diffusivity (m2/s) at 25 degC, same shape as the stoichiometry."""
        if callable(self.diffusivity):
            return self.diffusivity(stoichiometry)
        return np.full(np.shape(stoichiometry), self.diffusivity)
