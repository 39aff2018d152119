"""Activation energies: how a conductivity, or 1 / R of an interface, rises with temperature.

Two forms are in use, and their energies differ by about R T (2.5 kJ/mol at 25 degrees Celsius):

    "sigma_t": sigma T = A exp(-E_a / R T), of hopping ions, usual in solid-state ionics
    "plain":   sigma   = A exp(-E_a / R T)

Every result states its form.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import exp, inf, log, sqrt
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from labctl.analysis.result_text import without_nan
from labctl.errors import ConfigurationError

Form = Literal["sigma_t", "plain"]
FORMS: dict[Form, str] = {"sigma_t": "sigma T = A exp(-Ea/RT)", "plain": "sigma = A exp(-Ea/RT)"}
GAS_CONSTANT = 8.314462618  # J/(mol K), CODATA 2018
ELECTRONVOLT_J_PER_MOL = 96485.33212  # eV times Avogadro's constant
ZERO_CELSIUS_KELVIN = 273.15
FLAGS: dict[str, str] = {
    "few_temperatures": "fewer than 4 temperatures: a curvature could not be detected",
    "narrow": "temperatures span less than 20 K",
    "bent": "a straight line misses by more than 5 %: not one process, or not one energy",
}
_WHERE = "Arrhenius fit"
_FEWEST, _SPAN_KELVIN, _BENT = 4, 20.0, 0.05


@dataclass(frozen=True)
class ArrheniusFit:
    """A straight line through ln(sigma T) or ln(sigma) against 1/T; `..._std_...` is one standard error.

    Attributes:
        form: Which of both; `FORMS` tells it as a formula.
        activation_energy_j_per_mol: E_a.
        log_prefactor: ln A, of what was given, times K in the form "sigma_t".
        rms_residual: Root mean square deviation of the logarithm.
        temperature_min_kelvin: Lowest temperature used.
        temperature_max_kelvin: Highest temperature used.
        points: Number of temperatures used.
        flags: Names out of `FLAGS`.
    """

    form: Form
    activation_energy_j_per_mol: float
    activation_energy_std_j_per_mol: float
    log_prefactor: float
    rms_residual: float
    temperature_min_kelvin: float
    temperature_max_kelvin: float
    points: int
    flags: tuple[str, ...]

    @property
    def activation_energy_ev(self) -> float:
        """E_a in eV."""
        return self.activation_energy_j_per_mol / ELECTRONVOLT_J_PER_MOL

    def at(self, temperature_kelvin: float) -> float:
        """The conductivity at a temperature, in the unit of what was given."""
        value = exp(self.log_prefactor - self.activation_energy_j_per_mol / GAS_CONSTANT / temperature_kelvin)
        return value / temperature_kelvin if self.form == "sigma_t" else value

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON, with the form as a formula."""
        plain = asdict(self) | {
            "form_as_formula": FORMS[self.form],
            "activation_energy_ev": self.activation_energy_ev,
            "flags": list(self.flags),
        }
        cleaned: dict[str, Any] = without_nan(plain)
        return cleaned


def fit_arrhenius(
    temperature_kelvin: npt.ArrayLike,
    conductivity: npt.ArrayLike,
    relative_std: npt.ArrayLike | None = None,
    *,
    form: Form,
) -> ArrheniusFit:
    """Fit an activation energy.

    Args:
        temperature_kelvin: Temperatures, shape (n,).
        conductivity: Conductivities, or 1/R, > 0, in any one unit, shape (n,). NaN is left out.
        relative_std: Their relative standard errors, shape (n,); None: all alike.
        form: "sigma_t" or "plain".

    Raises:
        ConfigurationError: fewer than two temperatures, a value that is not above 0, an unknown form.
    """
    if form not in FORMS:
        raise ConfigurationError(_WHERE, "form", form, ", ".join(FORMS))
    kelvin = np.atleast_1d(np.asarray(temperature_kelvin, dtype=float))
    sigma = np.atleast_1d(np.asarray(conductivity, dtype=float))
    spread = np.ones_like(kelvin) if relative_std is None else np.asarray(relative_std, dtype=float)
    valid = np.isfinite(kelvin) & np.isfinite(sigma) & np.isfinite(spread) & (spread > 0)
    kelvin, sigma, spread = kelvin[valid], sigma[valid], spread[valid]
    if len(np.unique(kelvin)) < 2:
        raise ConfigurationError(_WHERE, "temperatures", len(np.unique(kelvin)), "at least two")
    if (kelvin <= 0).any() or (sigma <= 0).any():
        raise ConfigurationError(
            _WHERE, "conductivity", float(sigma.min()), "above 0, at temperatures above 0"
        )
    target = np.log(sigma * kelvin) if form == "sigma_t" else np.log(sigma)
    slope, intercept, slope_std, residual = _line(1.0 / kelvin, target, 1.0 / spread)
    raised = {
        "few_temperatures": len(np.unique(kelvin)) < _FEWEST,
        "narrow": np.ptp(kelvin) < _SPAN_KELVIN,
        "bent": len(kelvin) > 2 and np.abs(residual).max() > log(1 + _BENT),
    }
    return ArrheniusFit(
        form=form,
        activation_energy_j_per_mol=-slope * GAS_CONSTANT,
        activation_energy_std_j_per_mol=slope_std * GAS_CONSTANT,
        log_prefactor=intercept,
        rms_residual=float(np.sqrt((residual**2).mean())),
        temperature_min_kelvin=float(kelvin.min()),
        temperature_max_kelvin=float(kelvin.max()),
        points=len(kelvin),
        flags=tuple(name for name, is_raised in raised.items() if is_raised),
    )


def _line(
    x: npt.NDArray[np.float64], y: npt.NDArray[np.float64], weight: npt.NDArray[np.float64]
) -> tuple[float, float, float, npt.NDArray[np.float64]]:
    """Slope, intercept, standard error of the slope by the residuals (inf for two points), residuals."""
    weight = weight / weight.max()
    total = weight @ weight
    x_mean, y_mean = (weight**2 @ x) / total, (weight**2 @ y) / total
    spread = weight**2 @ (x - x_mean) ** 2
    slope = (weight**2 @ ((x - x_mean) * (y - y_mean))) / spread
    residual = y - y_mean - slope * (x - x_mean)
    free = len(x) - 2
    slope_std = sqrt((weight**2 @ residual**2) / free / spread) if free > 0 else inf
    return float(slope), float(y_mean - slope * x_mean), slope_std, residual
