"""Diffusion in a sphere under constant flux: its surface response, and the fit that yields R^2/D.

A sphere of radius R takes up a constant flux from t = 0. With T = D t / R^2, its surface is ahead of the
start by the function f below (Crank, The Mathematics of Diffusion, 6.3.5; Carslaw and Jaeger, 9.7). A
galvanostatic pulse of duration tau that shifts the equilibrium voltage by dE_s then follows

    E(t) = E0 + (dE_s / tau) (R^2 / 3D) f(D t / R^2)

where E0 holds every overpotential that is constant within the fit window. The rest after the pulse is the
superposition of that response and its negative, delayed by tau. Only R^2/D enters; the sign of dE_s makes
it valid for charge and discharge.

Two things bend a pulse that is not infinitely small. The surface runs ahead of the mean, so it meets the
bend of the equilibrium curve: `Equilibrium` takes the curve's second difference, known from the
neighbouring pulses, along with dE_s. And the polarisation (charge transfer, mostly) changes with the
composition of the surface: it is fitted with the pulse as a share proportional to the surface's advance.
That share and R^2/D look alike in a pulse alone, but the rest has no polarisation: pulse and rest are
therefore fitted together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import erf

AREA_CONVENTION = (
    "geometric: spheres of the radius given, S = 3 V / R. If only the fraction theta of their surface is in "
    "contact, the diffusivity given is theta^2 D; R^2/D does not depend on any area."
)


Array = NDArray[np.floating[Any]]
Response = Callable[[Array, float, float], Array]

_SHORT_TIME = 0.05  # below this T the short-time form is exact to 3e-11, above it the sum of 40 roots is
_SEARCH = (0.03, 3e5)  # R^2/D searched, in units of the pulse's duration
_GRID = 50  # points of the coarse search
_FAR = 3.0  # pulses ahead of the start up to which the equilibrium curve is taken as a parabola


def sphere_roots(count: int) -> Array:
    """The first positive roots of tan(l) = l: 4.4934, 7.7253, 10.9041, ..."""
    centre = (np.arange(1, count + 1) + 0.5) * np.pi
    roots = centre - 1 / centre
    for _ in range(40):
        roots = centre - np.arctan(1 / roots)
    return roots


_ROOTS_SQUARED = sphere_roots(40) ** 2


def sphere_response(T: Array) -> Array:
    """f(T) = 3T + 1/5 - 2 sum_n exp(-l_n^2 T) / l_n^2, tan l_n = l_n, for T = D t / R^2 >= 0.

    For small T its short-time form exp(T) (1 + erf sqrt T) - 1 is used, which needs no roots.
    """
    T = np.asarray(T, dtype=np.float64)
    early = np.minimum(T, _SHORT_TIME)
    short = np.expm1(early) + np.exp(early) * erf(np.sqrt(early))
    late = np.maximum(T, _SHORT_TIME)
    modes = np.exp(-late[..., None] * _ROOTS_SQUARED) * (2 / _ROOTS_SQUARED)
    return np.where(T < _SHORT_TIME, short, 3 * late + 0.2 - modes.sum(axis=-1))


def pulse_response(time_second: Array, diffusion_time_second: float, duration_second: float) -> Array:
    """How far the surface is along the pulse's step (0 before, 1 after the rest), during the pulse."""
    unit = diffusion_time_second
    return unit / (3 * duration_second) * sphere_response(time_second / unit)


def rest_response(time_second: Array, diffusion_time_second: float, duration_second: float) -> Array:
    """How far the surface is along the pulse's step, at times since the end of the pulse; tends to 1."""
    begun = pulse_response(time_second + duration_second, diffusion_time_second, duration_second)
    return begun - pulse_response(time_second, diffusion_time_second, duration_second)


@dataclass(frozen=True)
class Equilibrium:
    """The equilibrium curve along one pulse: signed step dE_s, its standard error, and second difference.

    `curvature_volt` is how much the step grows from one pulse to the next, 0 for a straight curve.
    """

    step_volt: float
    std_error_volt: float = 0.0
    curvature_volt: float = 0.0

    def voltage(self, along: Array) -> Array:
        """Equilibrium voltage over that before the pulse, at `along` pulses; straight beyond 3 pulses."""
        near = np.minimum(along, _FAR)
        bend = near * (near - 1) + (along - near) * (2 * near - 1)
        return self.step_volt * along + 0.5 * self.curvature_volt * bend


@dataclass(frozen=True)
class Transient:
    """One transient to fit: its response function, times, voltages, both of shape (n,).

    Each transient has an offset of its own. With `polarization_changes` it also has a share proportional to
    the surface's advance.
    """

    response: Response
    time_second: Array
    voltage_volt: Array
    polarization_changes: bool = False

    def along(self, diffusion_time_second: float, duration_second: float) -> Array:
        """How far the surface is along the pulse's step at each time."""
        return self.response(self.time_second, diffusion_time_second, duration_second)

    def free(self, along: Array) -> Array:
        """The linear terms that are fitted along with R^2/D, one column each."""
        ones = np.ones_like(along)
        return np.column_stack((ones, along) if self.polarization_changes else (ones,))


@dataclass(frozen=True)
class SphereFit:
    """R^2/D from one or more transients, and how well it fits.

    `polarization_change_volt` is the change of the overpotential in the first transient, from no advance of
    the surface to that at its last sample; 0 if it was not fitted.
    """

    diffusion_time_second: float
    std_error_second: float
    rms_volt: float
    polarization_change_volt: float
    at_bound: bool


def fit_sphere(
    transients: Sequence[Transient], equilibrium: Equilibrium, duration_second: float
) -> SphereFit:
    """Fit R^2/D to transients of one pulse by least squares; one-dimensional in ln(R^2/D).

    Args:
        transients: the pulse, the rest, or both; together at least 4 samples.
        equilibrium: dE_s of the pulse, its standard error (which enters that of the result), its bend.
        duration_second: tau of the pulse.
    """

    def residual(log_time: float) -> Array:
        parts = [(t, t.along(float(np.exp(log_time)), duration_second)) for t in transients]
        return np.concatenate([_left(t.voltage_volt - equilibrium.voltage(a), t.free(a)) for t, a in parts])

    lowest, highest = (float(np.log(b * duration_second)) for b in _SEARCH)
    best = _minimum(lambda log_time: float((residual(log_time) ** 2).sum()), lowest, highest)
    diffusion_time, left = float(np.exp(best)), residual(best)
    alongs = [t.along(diffusion_time, duration_second) for t in transients]
    free = [t.free(a) for t, a in zip(transients, alongs, strict=True)]
    degrees = max(len(left) - sum(f.shape[1] for f in free) - 1, 1)
    rms = float(np.sqrt(left @ left / degrees))
    by_time = (residual(best + 1e-3) - residual(best - 1e-3)) / 2e-3
    by_step = np.concatenate([_left(a, f) for a, f in zip(alongs, free, strict=True)])
    steepness = max(float(by_time @ by_time), 1e-30)
    from_step = abs(float(by_time @ by_step)) / steepness * equilibrium.std_error_volt
    return SphereFit(
        diffusion_time_second=diffusion_time,
        std_error_second=diffusion_time * float(np.hypot(rms / np.sqrt(steepness), from_step)),
        rms_volt=rms,
        polarization_change_volt=_polarization_change(transients[0], equilibrium, alongs[0]),
        at_bound=best - lowest < 0.1 or highest - best < 0.1,
    )


def _left(values: Array, free: Array) -> Array:
    """What is left of `values` when the linear terms `free` have taken what they can."""
    return values - free @ np.linalg.lstsq(free, values, rcond=None)[0]


def _polarization_change(first: Transient, equilibrium: Equilibrium, along: Array) -> float:
    if not first.polarization_changes:
        return 0.0
    terms = np.linalg.lstsq(first.free(along), first.voltage_volt - equilibrium.voltage(along), rcond=None)[0]
    return float(terms[1] * along[-1])


def _minimum(cost: Callable[[float], float], lowest: float, highest: float) -> float:
    grid = np.linspace(lowest, highest, _GRID)
    best = int(np.argmin([cost(point) for point in grid]))
    bounds = float(grid[max(best - 1, 0)]), float(grid[min(best + 1, _GRID - 1)])
    found: Any = minimize_scalar(cost, bounds=bounds, method="bounded", options={"xatol": 1e-5})
    return float(found.x)
