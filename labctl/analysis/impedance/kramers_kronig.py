"""Linear Kramers-Kronig test: is a spectrum that of a linear, causal, steady cell?

After Schoenleber, Klotz and Ivers-Tiffee, Electrochim. Acta 131 (2014) 20. What cannot break the
Kramers-Kronig relations is fitted to the spectrum: a resistance, an inductance, a capacitance and M
resistors with capacitors in parallel whose time constants are spread evenly in log tau over the measured
band,

    Z = R0 + j w L + 1 / (j w C) + sum_k R_k / (1 + j w tau_k),    tau_k from 1/w_max to 1/w_min,

linear in R0, L, 1/C and R_k, by least squares weighted with 1/|Z|. What is left is noise, or what the cell
did while it was measured. M is judged by mu = 1 - sum |R_k < 0| / sum |R_k >= 0|: too many elements
alternate in sign. mu alone stops too early, for it does not fall evenly with M: a flat arc or a single sharp
one makes elements negative while the fit is still far too coarse. So the smallest M is taken from which on mu
stays at or below 0.85 and no further element improves the fit by much.

Slow drift passes for a steady cell while it is small: 0.5 K over a sweep leaves 0.3 % in a pellet's
spectrum, 2 K leaves 1.5 %. What has a pattern is therefore flagged apart from what is large.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, inf, isfinite, log10, sqrt
from typing import Any

import numpy as np
import numpy.typing as npt

from labctl.errors import ConfigurationError
from labctl.schema import FREQUENCY, IMAGINARY_IMPEDANCE, REAL_IMPEDANCE

Floats = npt.NDArray[np.float64]
Complexes = npt.NDArray[np.complex128]

FEWEST_POINTS = 6
MU_LIMIT = 0.85
RESIDUAL_LIMIT = 0.01
_DENSEST_PER_DECADE = 6  # more time constants than that always alternate in sign
_AS_GOOD = 1.25  # ... as the densest fit, in standard deviation of the residuals
_GOOD_ENOUGH = 3e-4  # of |Z|, below the noise of any instrument
_PATTERN_STANDARD_ERRORS = 3.0
_END_TERMS = 3  # resistance, inductance, capacitance
_PATTERN_RMS = 1e-3  # below that a pattern is that of the elements themselves
FLAGS: dict[str, str] = {
    "large": "a residual above 1 % of |Z|: not the spectrum of a linear and steady cell",
    "pattern": "residuals of neighbouring frequencies are alike (above 0.1 % rms): the cell drifted "
    "a little, or answers non-linearly",
}


@dataclass(frozen=True, eq=False)
class KramersKronig:
    """The test of one spectrum. Residuals are (measured - fitted) / |Z|, of shape (n,), in the order given.

    Attributes:
        frequency_hertz: Frequencies of the points that were used (those with a valid reading).
        impedance_ohm: Their impedances.
        residual_real: Residual of the real part over |Z|.
        residual_imaginary: Residual of the imaginary part over |Z|.
        elements: M, number of resistor-capacitor elements.
        mu: Share of resistance that is not undone by negative elements, 1 and below.
        series_ohm: R0.
        inductance_henry: L; below 0 where a capacitance beside the fitted band bends it down.
        pseudo_chi_square: Sum of all squared residuals.
        flags: Names out of `FLAGS`; none for a spectrum that passes.
    """

    frequency_hertz: Floats
    impedance_ohm: Complexes
    residual_real: Floats
    residual_imaginary: Floats
    elements: int
    mu: float
    series_ohm: float
    inductance_henry: float
    pseudo_chi_square: float
    flags: tuple[str, ...]

    @property
    def largest_residual(self) -> float:
        """The largest residual of either part, as a share of |Z|."""
        return float(max(np.abs(self.residual_real).max(), np.abs(self.residual_imaginary).max()))

    @property
    def rms_residual(self) -> float:
        """Root mean square of all residuals, as a share of |Z|."""
        return sqrt(self.pseudo_chi_square / (2 * len(self.frequency_hertz)))

    @property
    def passes(self) -> bool:
        """Whether nothing is flagged."""
        return not self.flags

    @property
    def fitted_ohm(self) -> Complexes:
        """The fitted spectrum, which obeys the relations exactly."""
        size = np.abs(self.impedance_ohm)
        return self.impedance_ohm - size * (self.residual_real + 1j * self.residual_imaginary)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON; complex numbers as two lists."""
        return {
            FREQUENCY: self.frequency_hertz.tolist(),
            REAL_IMPEDANCE: self.impedance_ohm.real.tolist(),
            IMAGINARY_IMPEDANCE: self.impedance_ohm.imag.tolist(),
            "residual_real": self.residual_real.tolist(),
            "residual_imaginary": self.residual_imaginary.tolist(),
            "elements": self.elements,
            "mu": self.mu if isfinite(self.mu) else None,
            "series_ohm": self.series_ohm,
            "inductance_henry": self.inductance_henry,
            "pseudo_chi_square": self.pseudo_chi_square,
            "largest_residual": self.largest_residual,
            "rms_residual": self.rms_residual,
            "flags": list(self.flags),
        }


def linear_kk(
    frequency_hertz: npt.ArrayLike,
    impedance_ohm: npt.ArrayLike,
    *,
    mu_limit: float = MU_LIMIT,
    residual_limit: float = RESIDUAL_LIMIT,
) -> KramersKronig:
    """Test a spectrum, finished or still running.

    Args:
        frequency_hertz: Frequencies > 0 in any order, shape (n,).
        impedance_ohm: Complex impedances (capacitive < 0), shape (n,). NaN is left out.
        mu_limit: See above; 0 < mu_limit < 1.
        residual_limit: Share of |Z| above which a residual is flagged "large".

    Raises:
        ConfigurationError: fewer than 6 valid points, shapes that differ, a frequency that is not above 0.
    """
    frequency, impedance = _valid(frequency_hertz, impedance_ohm)
    if not 0 < mu_limit < 1:
        raise ConfigurationError("Kramers-Kronig test", "mu_limit", mu_limit, "above 0 and below 1")
    chosen = densest = _fit(frequency, impedance, _most_elements(frequency))
    for elements in range(densest.elements - 1, 1, -1):
        fewer = _fit(frequency, impedance, elements)
        good = fewer.deviation <= max(_AS_GOOD * densest.deviation, _GOOD_ENOUGH)
        if max(fewer.mu, chosen.mu) > mu_limit or not good:
            break
        chosen = fewer
    real, imaginary = np.split(chosen.residual, 2)
    return KramersKronig(
        frequency_hertz=frequency,
        impedance_ohm=impedance,
        residual_real=real,
        residual_imaginary=imaginary,
        elements=chosen.elements,
        mu=chosen.mu,
        series_ohm=chosen.series_ohm,
        inductance_henry=chosen.inductance_henry,
        pseudo_chi_square=float(chosen.residual @ chosen.residual),
        flags=_flags(frequency, real, imaginary, residual_limit),
    )


def _valid(frequency_hertz: npt.ArrayLike, impedance_ohm: npt.ArrayLike) -> tuple[Floats, Complexes]:
    frequency = np.atleast_1d(np.asarray(frequency_hertz, dtype=np.float64))
    impedance = np.atleast_1d(np.asarray(impedance_ohm, dtype=np.complex128))
    where = "Kramers-Kronig test"
    if frequency.shape != impedance.shape or frequency.ndim != 1:
        shapes = f"{frequency.shape} and {impedance.shape}"
        raise ConfigurationError(where, "shapes", shapes, "one impedance to each frequency")
    if not (frequency[np.isfinite(frequency)] > 0).all():
        raise ConfigurationError(where, "frequency_hertz", float(np.nanmin(frequency)), "above 0")
    size = np.abs(impedance)
    valid = np.isfinite(frequency) & np.isfinite(size) & (size >= np.finfo(float).tiny)
    if valid.sum() < FEWEST_POINTS:
        raise ConfigurationError(where, "points", int(valid.sum()), f"at least {FEWEST_POINTS} valid ones")
    return frequency[valid], impedance[valid]


def _most_elements(frequency: Floats) -> int:
    decades = log10(frequency.max() / frequency.min())
    return max(min(len(frequency), ceil(_DENSEST_PER_DECADE * decades) + 2), 2)


@dataclass(frozen=True)
class _Fit:
    elements: int
    mu: float
    residual: Floats  # real parts, then imaginary parts
    series_ohm: float
    inductance_henry: float

    @property
    def deviation(self) -> float:
        """Standard deviation of the residuals, with what was fitted taken off their number."""
        free = max(len(self.residual) - self.elements - _END_TERMS, 1)
        return sqrt(float(self.residual @ self.residual) / free)


def _fit(frequency: Floats, impedance: Complexes, elements: int) -> _Fit:
    omega = 2 * np.pi * frequency
    low, high = omega.min(), omega.max()
    tau = np.geomspace(1 / high, 1 / low, elements)
    # Inductance and capacitance are scaled to their impedance at the end of the band where they matter.
    ends = np.column_stack((np.ones_like(omega), 1j * omega / high, low / (1j * omega)))
    terms = np.hstack((ends, 1 / (1 + 1j * np.outer(omega, tau)))) / np.abs(impedance)[:, None]
    target = impedance / np.abs(impedance)
    matrix, wanted = np.vstack((terms.real, terms.imag)), np.concatenate((target.real, target.imag))
    found = np.linalg.lstsq(matrix, wanted, rcond=None)[0]
    return _Fit(
        elements, _mu(found[_END_TERMS:]), wanted - matrix @ found, float(found[0]), float(found[1] / high)
    )


def _mu(resistances: npt.NDArray[np.floating[Any]]) -> float:
    above = resistances[resistances >= 0].sum()
    below = -resistances[resistances < 0].sum()
    return float(1 - below / above) if above > 0 else -inf


def _flags(frequency: Floats, real: Floats, imaginary: Floats, limit: float) -> tuple[str, ...]:
    order = np.argsort(frequency)
    both = np.stack((real[order], imaginary[order]))
    power = float((both**2).sum())
    alike = float((both[:, 1:] * both[:, :-1]).sum()) / power if power > 0 else 0.0
    raised = {
        "large": float(np.abs(both).max()) > limit,
        "pattern": sqrt(power / both.size) > _PATTERN_RMS
        and alike > _PATTERN_STANDARD_ERRORS / sqrt(both.size),
    }
    return tuple(name for name, is_raised in raised.items() if is_raised)
