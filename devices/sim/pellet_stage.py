"""One implicit stage of the simulated pellet: currents and potentials of all slices by Newton's method.

Unknown are the faradaic current densities i of the slices. With u(i) from the kinetics a stage of length h
says

    K u(i) + S i = d,    K = C_dl S / h + L,    d = a I + C_dl S / h u_before - S i_s

for a given current I. For a given voltage, I = (V + U_anode - sum(v_k) - a . u) / R is eliminated, where R
holds R_0 and what the RC pairs add within the stage: K gains a a^T / R, and I in d becomes the rest over R.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import get_lapack_funcs

from devices.sim.materials import Array
from devices.sim.pellet_network import PelletNetwork
from devices.sim.pellet_state import Control
from labctl.errors import DeviceError

_TOLERANCE_VOLT = 5e-5  # of the last correction d; what is left is about d^2 / 0.1 V, 25 nV
_FAR_VOLT = 0.02  # a larger correction leaves the linear range of the kinetics (RT/F = 26 mV)
_ITERATIONS = 80
_PATIENCE = 20  # after so many iterations corrections are halved, which ends jumping to and fro about a bend
(_gesv,) = get_lapack_funcs(("gesv",), dtype=np.float64)  # a third of the time of numpy.linalg.solve


class ConvergenceError(DeviceError):
    """The equations of the simulated pellet were not solved within the allowed iterations."""


def solve_stage(
    network: PelletNetwork,
    control: Control,
    *,
    stage_second: float,
    alpha: Array,
    beta: Array,
    before_volt: Array,
    side_current_density: Array | float,
    foster_volt: float,
    foster_ohm: float,
    guess: Array,
) -> tuple[Array, Array, float]:
    """Solve a stage.

    Args:
        network: Coefficients.
        control: What is held.
        stage_second: h, length of the implicit stage.
        alpha: Surface stoichiometry at i = 0, shape (M,).
        beta: Its fall per i (m2/A), shape (M,).
        before_volt: Interface potentials from which the double layers start, shape (M,).
        side_current_density: i_s (A/m2), which the terminals supply but the particles do not.
        foster_volt: Voltage of all RC pairs without the stage's own current.
        foster_ohm: What that current adds to it per ampere.
        guess: Current densities to begin with (A/m2), shape (M,).

    Returns:
        Current densities (A/m2), interface potentials (V), cell current (A).

    Raises:
        ConvergenceError: Newton's method found no solution.
    """
    rails, capacitive = network.rails, network.contact.capacitance_farad / stage_second
    right = capacitive * before_volt - network.contact.area_m2 * side_current_density
    matrix = rails.laplacian_siemens + capacitive * rails.identity
    if not control.holds_voltage:
        i, u = _newton(network, matrix, right + rails.drive * control.setpoint, alpha, beta, guess)
        return i, u, control.setpoint
    series_ohm = rails.instant_ohm + foster_ohm
    source_volt = control.setpoint + network.parameters.anode_potential_volt - foster_volt
    matrix += rails.drive_squared * (1.0 / series_ohm)
    i, u = _newton(network, matrix, right + rails.drive * (source_volt / series_ohm), alpha, beta, guess)
    return i, u, (source_volt - float(rails.drive @ u)) / series_ohm


def _newton(
    network: PelletNetwork, matrix: Array, right: Array, alpha: Array, beta: Array, guess: Array
) -> tuple[Array, Array]:
    """Solve K u(i) + S i = d for i and u.

    The last correction takes i and u along the tangent: Kirchhoff's law is linear in both and so holds to
    rounding, which conserves charge; only the kinetics carries the error of the tangent.
    """
    area, diagonal, i = network.contact.area_m2, slice(None, None, len(guess) + 1), guess
    for iteration in range(_ITERATIONS):
        u, slope, surface_slope = network.interface(i, alpha - beta * i)
        total_slope = slope - beta * surface_slope
        jacobian = matrix * total_slope
        jacobian.flat[diagonal] += area
        correction = _gesv(jacobian, right - matrix @ u - area * i)[2]
        volt = total_slope * correction
        worst = np.abs(volt).max()
        if worst < _TOLERANCE_VOLT:
            return i + correction, u + volt
        if worst > _FAR_VOLT:
            correction = _limited(correction, i, network.linear_range(slope))
        if iteration > _PATIENCE:
            correction = 0.5 * correction
        i = i + correction
    raise ConvergenceError(
        f"simulated pellet: no solution within {_ITERATIONS} iterations at surface stoichiometries "
        f"{float(np.min(alpha)):.4f} to {float(np.max(alpha)):.4f}, {network.temperature_kelvin:.2f} K, "
        f"{network.pressure_pa:.3g} Pa"
    )


def _limited(correction: Array, current_density: Array, linear_range: Array) -> Array:
    """Correction that lowers no current by more than its linear range.

    Where |i| is large, u goes with its logarithm: the tangent from there to lower currents overshoots far
    beyond zero, and from there back again.
    """
    lowers = correction * current_density < 0.0
    return np.where(lowers, np.clip(correction, -linear_range, linear_range), correction)
