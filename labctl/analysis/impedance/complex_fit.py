"""Complex non-linear least squares: a series of circuit elements fitted to an impedance spectrum.

Residuals are (measured - fitted) / |Z|, real and imaginary parts alike (modulus weighting). Positive
parameters are fitted as their logarithms, exponents within 0 and 1.2, so that no fit leaves what is physical
by more than noise can explain; derivatives are analytic. Standard errors follow from the curvature at the
minimum and the residuals that are left.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Literal, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
from scipy.optimize import least_squares

from labctl.errors import ConfigurationError

Floats = npt.NDArray[np.float64]
Complexes = npt.NDArray[np.complex128]

LARGEST_EXPONENT = 1.2  # above 1 only by noise
_TOLERANCE = 1e-9
_MOST_EVALUATIONS = 300
_NEAR_NOISE, _NOISE_FLOOR = 1.2, 2e-4  # of |Z|: how good a fit ends the search
_FARTHEST = 60.0  # a logarithm beyond this says nothing of the spectrum
_FOLDS_LEFT_OPEN = 10.0  # e-folds: standard error of what a spectrum says nothing of
_SMALLEST_DEVIATION = 1e-9  # of residuals that no rounding would leave


class Parameter(NamedTuple):
    """One number of an element: its name with its unit, and whether it is a positive one or an exponent."""

    name: str
    kind: Literal["positive", "exponent"] = "positive"


class Element(Protocol):
    """One part of a series circuit."""

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """What it is described by, in the order of its values."""
        ...

    def response(self, log_jw: Complexes, values: Floats) -> tuple[Complexes, list[Complexes]]:
        """Impedance (ohm) at ln(j w), and its derivatives by ln(value), or by the value of an exponent."""
        ...


@dataclass(frozen=True, eq=False)
class Solution:
    """A minimum. `values` and `standard_errors` are of all parameters, element after element.

    Attributes:
        values: In the parameters' own units.
        standard_errors: One standard deviation of each; ten times the value where nothing fixes it.
        covariance: Of ln(value) (of the value for exponents), shape (p, p).
        fitted_ohm: The fitted spectrum.
        rms_residual: Root mean square of all residuals, as a share of |Z|.
        pseudo_chi_square: Sum of all squared residuals.
    """

    values: Floats
    standard_errors: Floats
    covariance: Floats
    fitted_ohm: Complexes
    rms_residual: float
    pseudo_chi_square: float

    def sum_of(self, places: Sequence[int]) -> tuple[float, float]:
        """Sum of positive parameters, such as resistances in series, and its standard error."""
        values = self.values[list(places)]
        part = self.covariance[np.ix_(places, places)]
        return float(values.sum()), sqrt(max(float(values @ part @ values), 0.0))  # rounding


def fit(
    elements: Sequence[Element], frequency_hertz: Floats, impedance_ohm: Complexes, start: npt.ArrayLike
) -> Solution:
    """Fit a series of elements, from the values in `start` (all parameters, element after element)."""
    problem = _Problem(elements, frequency_hertz, impedance_ohm)
    inner = problem.to_inner(np.asarray(start, dtype=float))
    found = least_squares(
        problem.residuals,
        inner,
        jac=problem.jacobian,  # type: ignore[arg-type]
        method="lm",
        ftol=_TOLERANCE,
        xtol=_TOLERANCE,
        gtol=_TOLERANCE,
        max_nfev=_MOST_EVALUATIONS,
    )
    return problem.solution(found.x)


def best_fit(
    elements: Sequence[Element],
    frequency_hertz: Floats,
    impedance_ohm: Complexes,
    starts: Iterable[npt.ArrayLike],
    noise_rms: float,
) -> Solution:
    """The best minimum from several beginnings; the rest of them is spared once one is as good as the noise.

    Args:
        elements: the series circuit.
        frequency_hertz: frequencies, shape (n,).
        impedance_ohm: impedances, shape (n,).
        starts: values to begin with, at least one, the most likely first.
        noise_rms: root mean square of what no circuit can explain, as a share of |Z|.
    """
    good = max(_NEAR_NOISE * noise_rms, _NOISE_FLOOR)
    best: Solution | None = None
    for start in starts:
        found = fit(elements, frequency_hertz, impedance_ohm, start)
        if best is None or found.rms_residual < best.rms_residual:
            best = found
        if best.rms_residual <= good:
            break
    if best is None:
        raise ValueError("best_fit: no values to begin with")
    return best


def evaluate(elements: Sequence[Element], frequency_hertz: Floats, values: npt.ArrayLike) -> Complexes:
    """The impedance (ohm) of a series of elements at frequencies (Hz)."""
    problem = _Problem(elements, frequency_hertz, np.ones_like(frequency_hertz, dtype=complex))
    return problem.model(np.asarray(values, dtype=float))[0]


def valid_points(
    frequency_hertz: npt.ArrayLike, impedance_ohm: npt.ArrayLike, *, fewest: int, where: str
) -> tuple[Floats, Complexes]:
    """The points of a spectrum with a valid reading, from high to low frequency.

    Raises:
        ConfigurationError: shapes that differ, a frequency that is not above 0, or too few points.
    """
    frequency = np.atleast_1d(np.asarray(frequency_hertz, dtype=np.float64))
    impedance = np.atleast_1d(np.asarray(impedance_ohm, dtype=np.complex128))
    if frequency.shape != impedance.shape or frequency.ndim != 1:
        shapes = f"{frequency.shape} and {impedance.shape}"
        raise ConfigurationError(where, "shapes", shapes, "one impedance to each frequency")
    size = np.abs(impedance)
    valid = np.isfinite(frequency) & np.isfinite(size) & (size >= np.finfo(float).tiny)
    if (frequency[valid] <= 0).any():
        raise ConfigurationError(where, "frequency_hertz", float(frequency[valid].min()), "above 0")
    if valid.sum() < fewest:
        raise ConfigurationError(where, "points", int(valid.sum()), f"at least {fewest} valid ones")
    order = np.argsort(-frequency[valid], kind="stable")
    return frequency[valid][order], impedance[valid][order]


class _Problem:
    """Residuals and Jacobian, evaluated together and remembered for the last point."""

    def __init__(
        self, elements: Sequence[Element], frequency_hertz: Floats, impedance_ohm: Complexes
    ) -> None:
        self._elements = elements
        self._log_jw = np.log(2 * np.pi * frequency_hertz) + 0.5j * np.pi
        self._measured = impedance_ohm
        self._weight = 1.0 / np.abs(impedance_ohm)
        parameters = [p for element in elements for p in element.parameters]
        self._is_exponent = np.array([p.kind == "exponent" for p in parameters])
        self._at: Floats | None = None
        self._residuals: Floats = np.empty(0)
        self._jacobian: Floats = np.empty((0, 0))

    def to_inner(self, values: Floats) -> Floats:
        """Logarithms; for exponents the logit of their share of the largest."""
        share = np.where(self._is_exponent, values / LARGEST_EXPONENT, 0.5)
        logit = np.log(share) - np.log1p(-share)
        return np.where(self._is_exponent, logit, np.log(np.where(self._is_exponent, 1.0, values)))

    def to_values(self, inner: Floats) -> Floats:
        bounded = np.clip(inner, -_FARTHEST, _FARTHEST)
        return np.where(self._is_exponent, LARGEST_EXPONENT / (1.0 + np.exp(-bounded)), np.exp(bounded))

    def model(self, values: Floats) -> tuple[Complexes, list[Complexes]]:
        total, derivatives, first = np.zeros_like(self._log_jw), list[Complexes](), 0
        for element in self._elements:
            count = len(element.parameters)
            ohm, slopes = element.response(self._log_jw, values[first : first + count])
            total = total + ohm
            derivatives += slopes
            first += count
        return total, derivatives

    def residuals(self, inner: Floats) -> Floats:
        self._evaluate(inner)
        return self._residuals

    def jacobian(self, inner: Floats) -> Floats:
        self._evaluate(inner)
        return self._jacobian

    def _evaluate(self, inner: Floats) -> None:
        if self._at is not None and np.array_equal(inner, self._at):
            return
        values = self.to_values(inner)
        ohm, derivatives = self.model(values)
        short = (ohm - self._measured) * self._weight
        slopes = np.stack(derivatives) * self._weight
        slopes[self._is_exponent] *= self._inner_slope(values)[:, None]
        self._residuals = np.concatenate((short.real, short.imag))
        self._jacobian = np.concatenate((slopes.real, slopes.imag), axis=1).T
        self._at = inner.copy()

    def _inner_slope(self, values: Floats) -> Floats:
        """d(exponent) / d(its inner coordinate)."""
        exponents = values[self._is_exponent]
        return exponents * (1.0 - exponents / LARGEST_EXPONENT)

    def solution(self, inner: Floats) -> Solution:
        values = self.to_values(inner)
        squares = float(self.residuals(inner) @ self._residuals)
        covariance = self._covariance(squares)
        slope = np.where(self._is_exponent, 1.0, values)
        slope[self._is_exponent] = self._inner_slope(values)
        natural = np.where(self._is_exponent, slope, 1.0)
        return Solution(
            values=values,
            standard_errors=np.sqrt(np.diag(covariance)) * slope,
            covariance=covariance * np.outer(natural, natural),
            fitted_ohm=self.model(values)[0],
            rms_residual=sqrt(squares / len(self._residuals)),
            pseudo_chi_square=squares,
        )

    def _covariance(self, squares: float) -> Floats:
        """Of the inner coordinates; what the spectrum leaves open is open by `_FOLDS_LEFT_OPEN`."""
        count = self._jacobian.shape[1]
        free = max(len(self._residuals) - count, 1)
        deviation = max(sqrt(squares / free), _SMALLEST_DEVIATION)
        known = self._jacobian.T @ self._jacobian / deviation**2 + np.eye(count) / _FOLDS_LEFT_OPEN**2
        size = np.sqrt(np.diag(known))
        return np.linalg.inv(known / np.outer(size, size)) / np.outer(size, size)


@dataclass(frozen=True)
class Resistor:
    """R."""

    parameters = (Parameter("resistance_ohm"),)

    def response(self, log_jw: Complexes, values: Floats) -> tuple[Complexes, list[Complexes]]:
        """Constant."""
        ohm = np.full_like(log_jw, values[0])
        return ohm, [ohm]


@dataclass(frozen=True)
class Inductor:
    """j w L: of leads and die."""

    parameters = (Parameter("inductance_henry"),)

    def response(self, log_jw: Complexes, values: Floats) -> tuple[Complexes, list[Complexes]]:
        """Rises with the frequency."""
        ohm = values[0] * np.exp(log_jw)
        return ohm, [ohm]


@dataclass(frozen=True)
class Zarc:
    """R / (1 + (j w tau)^a): a resistance beside a constant-phase element, a depressed semicircle."""

    parameters = (Parameter("resistance_ohm"), Parameter("time_second"), Parameter("exponent", "exponent"))

    def response(self, log_jw: Complexes, values: Floats) -> tuple[Complexes, list[Complexes]]:
        """Its apex lies at w = 1 / tau."""
        resistance, time, exponent = values
        log_base = log_jw + np.log(time)
        power = np.exp(exponent * log_base)
        below = 1.0 / (1.0 + power)
        ohm = resistance * below
        steep = -ohm * below * power
        return ohm, [ohm, steep * exponent, steep * log_base]


@dataclass(frozen=True)
class ConstantPhase:
    """1 / (Q (j w)^a): blocking; a capacitance of many distances or rates."""

    parameters = (Parameter("admittance_s_second_power"), Parameter("exponent", "exponent"))

    def response(self, log_jw: Complexes, values: Floats) -> tuple[Complexes, list[Complexes]]:
        """Grows without bound towards low frequency."""
        scale, exponent = values
        ohm = np.exp(-exponent * log_jw) / scale
        return ohm, [-ohm, -ohm * log_jw]
