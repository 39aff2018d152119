"""Material laws of the simulated pellet: Ni-rich NCM potential and diffusivity, Arrhenius, sphere roots.

Stoichiometry x is lithium per formula unit over its maximum, c_s / c_max (dimensionless): x falls on charge.
Potentials are in V vs Li+/Li, diffusivities in m2/s, temperatures in K.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

FARADAY_CONSTANT: Final = 96485.33212  # C/mol, CODATA 2018
GAS_CONSTANT: Final = 8.314462618  # J/(mol K), CODATA 2018
REFERENCE_TEMPERATURE_KELVIN: Final = 298.15  # where every parameter of the pellet is stated

# Chen et al., J. Electrochem. Soc. 167 (2020) 080534, NMC811 of the LG M50: three tanh terms and a line,
# fitted for 0.25 < x < 0.91. Rows: amplitude (V), steepness (1), centre (1).
_OCP_TANH = np.array([[-0.0428, -17.7326, 17.5842], [18.5138, 15.7890, 15.9308], [0.5542, 0.3117, 0.3120]])
_OCP_AMPLITUDE, _OCP_STEEPNESS, _OCP_CENTRE = _OCP_TANH
_OCP_SHIFT = _OCP_STEEPNESS * _OCP_CENTRE
_OCP_GRADIENT = _OCP_AMPLITUDE * _OCP_STEEPNESS
_OCP_OFFSET_VOLT: Final = 4.4875
_OCP_SLOPE_VOLT: Final = -0.8090
_OCP_SLOPE_AT_CENTRES: Final = _OCP_SLOPE_VOLT + float(
    _OCP_GRADIENT.sum()
)  # were all tanh terms at their centres

# That fit has no end-of-discharge drop (3.49 V at x = 1), so a discharge would never reach its cut-off. The
# drop below is 20 mV at x = 0.90 and grows e-fold each 0.012; past 3 V (x = 0.96) it goes on as a straight
# line, so that an over-discharged pellet has a finite voltage and Newton's method a gentle slope.
_DROP_VOLT: Final = 0.020
_DROP_START: Final = 0.90
_DROP_WIDTH: Final = 0.012
_DROP_LINEAR_FROM: Final = 5.0  # in units of the width past the start: 0.02 V * e^5 = 3 V

# O'Regan et al., Electrochim. Acta 425 (2022) 140700, NMC811 at 25 degC: 2.7 * 10^(sum of Gaussians).
# Rows: amplitude (decades), centre (1), width squared (1).
_DIFFUSIVITY_PEAKS = np.array(
    [[-0.9231, -0.4066, -0.993], [0.3216, 0.4532, 0.8098], [0.002534, 0.003926, 0.09924]]
)
_PEAK_AMPLITUDE, _PEAK_CENTRE, _PEAK_WIDTH = _DIFFUSIVITY_PEAKS
_DIFFUSIVITY_EXPONENT: Final = -13.96
_DIFFUSIVITY_FACTOR: Final = 2.7
OREGAN_ACTIVATION_ENERGY_J_PER_MOL: Final = 12.05e3  # of the diffusivity, same paper, liquid electrolyte


def ocp_and_slope(stoichiometry: Array) -> tuple[Array, Array]:
    """Open-circuit potential U (V vs Li+/Li) of Ni-rich NCM and its slope dU/dx (V), for any real x."""
    x = stoichiometry
    tanh = np.tanh(x[..., None] * _OCP_STEEPNESS - _OCP_SHIFT)
    over = (x - _DROP_START) * (1.0 / _DROP_WIDTH)
    capped = np.minimum(over, _DROP_LINEAR_FROM)
    drop_slope = _DROP_VOLT * np.exp(capped)
    drop = drop_slope * (1.0 + over - capped)
    potential = tanh @ _OCP_AMPLITUDE + (_OCP_SLOPE_VOLT * x + _OCP_OFFSET_VOLT) - drop
    slope = _OCP_SLOPE_AT_CENTRES - (tanh * tanh) @ _OCP_GRADIENT - drop_slope * (1.0 / _DROP_WIDTH)
    return potential, slope


def oregan_diffusivity(stoichiometry: Array) -> Array:
    """Lithium diffusivity (m2/s) in NMC811 at 25 degC: 2e-14 at x = 0.25, 7e-15 at 0.5, 3e-15 at 0.8."""
    distance = stoichiometry[..., None] - _PEAK_CENTRE
    decades = np.exp(distance * distance * (-1.0 / _PEAK_WIDTH)) @ _PEAK_AMPLITUDE
    return _DIFFUSIVITY_FACTOR * 10.0 ** (_DIFFUSIVITY_EXPONENT + decades)


def arrhenius(activation_energy_j_per_mol: float, temperature_kelvin: float) -> float:
    """Factor by which a process of that activation energy is faster than at 25 degC."""
    inverse = 1.0 / REFERENCE_TEMPERATURE_KELVIN - 1.0 / temperature_kelvin
    return float(np.exp(activation_energy_j_per_mol / GAS_CONSTANT * inverse))


@lru_cache(maxsize=8)
def sphere_roots(count: int) -> Array:
    """First `count` positive roots of tan(l) = l, the radial eigenvalues of a sphere (4.4934, 7.7253, ...).

    Each lies just below (n + 1/2) pi; l = (n + 1/2) pi - atan(1/l) contracts to it. The array is read-only.
    """
    above = (np.arange(1, count + 1, dtype=np.float64) + 0.5) * np.pi
    roots: Array = above - 1.0 / above
    for _ in range(30):
        roots = above - np.arctan(1.0 / roots)
    roots.setflags(write=False)
    return roots


ComplexArray = NDArray[np.complex128]
