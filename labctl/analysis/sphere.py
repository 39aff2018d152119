"""Diffusion in a sphere under constant flux: its surface response, and the fit that yields R^2/D.

A sphere of radius R takes up a constant flux from t = 0. With T = D t / R^2, the surface leads the mean
by the function f below (Crank, The Mathematics of Diffusion, 6.3.5; Carslaw and Jaeger, 9.7), so a
galvanostatic pulse of duration tau that shifts the equilibrium voltage by dE_s follows

    E(t) = E0 + (dE_s / tau) (R^2 / 3D) f(D t / R^2)

where E0 holds every overpotential that is constant within the fit window. The rest after the pulse is the
superposition of that response and its negative, delayed by tau. Only R^2/D enters; signs take care of
themselves through the sign of dE_s.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import erf

Array = NDArray[np.float64]

_SHORT_TIME = 0.05  # below this T the short-time solution is exact to 3e-11, above it 40 roots are exact
_GRID = 60  # points of the coarse search, about a factor 1.4 apart
_SEARCH = (0.03, 3e6)  # R^2/D searched, in units of the pulse's duration


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

    For small T the equal short-time form exp(T) (1 + erf sqrt T) - 1 is used, which needs no roots.
    """
    T = np.asarray(T, dtype=float)
    early = np.minimum(T, _SHORT_TIME)
    short = np.expm1(early) + np.exp(early) * erf(np.sqrt(early))
    late = np.maximum(T, _SHORT_TIME)
    modes = np.exp(-late[..., None] * _ROOTS_SQUARED) * (2 / _ROOTS_SQUARED)
    return np.where(T < _SHORT_TIME, short, 3 * late + 0.2 - modes.sum(axis=-1))


def pulse_response(time_second: Array, diffusion_time_second: float, duration_second: float) -> Array:
    """(E(t) - E0) / dE_s at times since the start of the pulse, without any overpotential."""
    t_d = diffusion_time_second
    return t_d / (3 * duration_second) * sphere_response(time_second / t_d)


def rest_response(time_second: Array, diffusion_time_second: float, duration_second: float) -> Array:
    """(E(t) - E0) / dE_s at times since the end of the pulse; tends to 1."""
    begun = pulse_response(time_second + duration_second, diffusion_time_second, duration_second)
    return begun - pulse_response(time_second, diffusion_time_second, duration_second)


@dataclass(frozen=True)
class SphereFit:
    """R^2/D from one transient, and how well it fits."""

    diffusion_time_second: float
    std_error_second: float
    offset_volt: float
    rms_volt: float
    at_bound: bool


def fit_sphere(
    response: Callable[[Array, float, float], Array],
    time_second: Array,
    voltage_volt: Array,
    step_volt: float,
    step_std_volt: float,
    duration_second: float,
) -> SphereFit:
    """Fit R^2/D and an offset to a transient; least squares, one-dimensional in ln(R^2/D).

    Args:
        response: pulse_response or rest_response.
        time_second: times since the start (pulse) or the end (rest) of the pulse, shape (n,), n >= 3.
        voltage_volt: voltages at these times.
        step_volt: dE_s, the signed change of the equilibrium voltage by the pulse.
        step_std_volt: its standard error, which enters that of R^2/D.
        duration_second: tau of the pulse.
    """

    def model(log_time: float) -> Array:
        shape = response(time_second, float(np.exp(log_time)), duration_second)
        return shape - shape.mean()

    centred = voltage_volt - voltage_volt.mean()

    def search(step: float) -> float:
        return _minimum(lambda log_time: float(((centred - step * model(log_time)) ** 2).sum()), duration_second)

    best = search(step_volt)
    residual = centred - step_volt * model(best)
    rms = float(np.sqrt((residual**2).sum() / max(len(residual) - 2, 1)))
    slope = step_volt * (model(best + 1e-3) - model(best - 1e-3)) / 2e-3
    from_noise = rms / max(float(np.sqrt((slope**2).sum())), 1e-30)
    from_step = abs(search(step_volt + step_std_volt) - search(step_volt - step_std_volt)) / 2
    time = float(np.exp(best))
    shape_mean = response(time_second, time, duration_second).mean()
    low, high = (np.log(b * duration_second) for b in _SEARCH)
    return SphereFit(
        diffusion_time_second=time,
        std_error_second=time * float(np.hypot(from_noise, from_step)),
        offset_volt=float(voltage_volt.mean() - step_volt * shape_mean),
        rms_volt=rms,
        at_bound=bool(best - low < 0.1 or high - best < 0.1),
    )


def _minimum(cost: Callable[[float], float], duration_second: float) -> float:
    grid = np.linspace(*(np.log(b * duration_second) for b in _SEARCH), _GRID)
    best = int(np.argmin([cost(point) for point in grid]))
    bounds = grid[max(best - 1, 0)], grid[min(best + 1, _GRID - 1)]
    return float(minimize_scalar(cost, bounds=bounds, method="bounded", options={"xatol": 1e-5}).x)
