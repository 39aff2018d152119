"""One integration step of the simulated pellet: second order, L-stable, and exact in the charge it moves.

The scheme is the two-stage SDIRK of Alexander (SIAM J. Numer. Anal. 14 (1977) 1006; gamma = 1 - 1/sqrt(2)).
Double layers and mean stoichiometries follow it. Diffusion modes and Foster chains, which are linear, take
their exact exponential response to the straight line through both stage fluxes. The integral of that line has
the weights (1 - gamma, gamma) of the scheme: Kirchhoff's law holds for the charge of a step as for its
currents. No stage uses a flux from the step's begin: a jump of the current needs no special start.

Unknown are the faradaic current densities i of the slices. With u(i) from the kinetics a stage of length h
says

    K u(i) + S i = d,    K = C_dl S / h + L,    d = a I + C_dl S / h u_before - S i_s

for a given current I. For a given voltage, I = (V + U_anode - sum(v_k) - a . u) / R is eliminated, where R
holds R_0 and what the RC pairs add within the stage: K gains a a^T / R, and I in d becomes the rest over R.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from scipy.linalg import get_lapack_funcs

from devices.sim.cell.materials import Array
from devices.sim.cell.pellet.ageing import Age
from devices.sim.cell.pellet.network import PelletNetwork
from devices.sim.cell.pellet.rails import Rails
from devices.sim.cell.pellet.state import Control, PelletState
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


_GAMMA = 1.0 - 0.5**0.5
_REST = 1.0 - _GAMMA
_INSTANTS = np.array([_GAMMA, 0.5, 1.0])  # first stage, middle, second stage and end
_SMALLEST_EXPONENT = 1e-6  # k dt below which (1 - exp(-k dt)) / (k dt) would lose its digits


def advance(network: PelletNetwork, state: PelletState, control: Control, step_second: float) -> PelletState:
    """The state one step later.

    Raises:
        ConvergenceError: The equations of a stage could not be solved.
    """
    dt, i0, u0 = step_second, state.current_density, state.interface_volt
    diffusion = _Diffusion(network, state, dt)
    foster = _foster_response(network.rails, dt)
    side1 = _side_current(network, u0)
    i1, u1, current1 = solve_stage(
        network,
        control,
        stage_second=_GAMMA * dt,
        alpha=diffusion.first_alpha,
        beta=diffusion.first_beta,
        before_volt=u0,
        side_current_density=side1,
        foster_volt=float(foster.first_decay @ state.foster_volt),
        foster_ohm=foster.first_ohm,
        guess=i0 + state.current_density_slope * (_GAMMA * dt),
    )
    foster_volt = foster.second_decay * state.foster_volt + foster.line_first_ohm * current1
    side2 = _side_current(network, u1)
    i2, u2, current2 = solve_stage(
        network,
        control,
        stage_second=_GAMMA * dt,
        alpha=diffusion.second_alpha(i1),
        beta=diffusion.second_beta,
        before_volt=u0 + (u1 - u0) * (_REST / _GAMMA),
        side_current_density=side2,
        foster_volt=float(foster_volt.sum()),
        foster_ohm=foster.second_ohm,
        guess=i1 + (i1 - i0) * (_REST / _GAMMA),
    )
    mean = state.mean - network.contact.mean_rate * dt * (_REST * i1 + _GAMMA * i2)
    return PelletState(
        mean=mean,
        modes=diffusion.modes(i1, i2),
        interface_volt=u2,
        current_density=i2,
        current_density_slope=(i2 - i1) / (_REST * dt),
        foster_volt=foster_volt + foster.line_second_ohm * current2,
        current_ampere=current2,
        charge_coulomb=state.charge_coulomb + dt * (_REST * current1 + _GAMMA * current2),
        age=_older(network, state, mean, u2, _REST * side1 + _GAMMA * side2, dt),
    )


def _side_current(network: PelletNetwork, interface_volt: Array) -> Array | float:
    """Side current density (A/m2) at the potentials from which a stage starts: it changes slowly."""
    return 0.0 if network.ageing is None else network.ageing.side_current(interface_volt)


def _older(
    network: PelletNetwork,
    before: PelletState,
    mean: Array,
    interface_volt: Array,
    side_current_density: Any,
    step_second: float,
) -> Age:
    """The age after a step with this side current that ends with these means and potentials."""
    ageing, age, average = network.ageing, before.age, network.rails.average
    if ageing is None:
        return age
    side_ampere = network.contact.area_m2 * len(mean) * float(side_current_density @ average)
    volts = float(before.interface_volt @ average), float(interface_volt @ average)
    return ageing.after(
        age,
        float(mean @ average),
        network.full_coulomb,
        side_coulomb=step_second * side_ampere,
        film_growth=ageing.film_growth(*volts, step_second),
    )


class _Response(NamedTuple):
    """Answer of y' = -k y + r over a step, in units of the step where it is a gain.

    `early_*` is at the first stage, to a constant r; `line_*` is at the end, to the straight line through r
    at the first and r at the second stage.
    """

    early_decay: Array
    early_gain: Array
    late_decay: Array
    line_first: Array
    line_second: Array


def _response(exponent: Array) -> _Response:
    """Exponential response for k dt = `exponent`.

    Below `_SMALLEST_EXPONENT` the gains are those at it, to a part in 10^6; the decays are exact.
    """
    y = np.maximum(exponent, _SMALLEST_EXPONENT) if exponent.min() < _SMALLEST_EXPONENT else exponent
    inverse = 1.0 / y
    early, late = np.exp(y * -_GAMMA), np.exp(-y)
    whole = (1.0 - late) * inverse
    line_second = ((1.0 - whole) * inverse - _GAMMA * whole) * (1.0 / _REST)
    early_gain = (1.0 - early) * inverse
    if y is not exponent:
        excess = y - exponent
        early, late = early + _GAMMA * excess, late + excess
    return _Response(
        early_decay=early,
        early_gain=early_gain,
        late_decay=late,
        line_first=whole - line_second,
        line_second=line_second,
    )


class _Diffusion:
    """Surface stoichiometries of the stages as alpha - beta i, and the modes at the step's end.

    D varies with x. In the time s = integral of D the modes obey db/ds = -(l_n / R_e)^2 b - r / D: constant
    rates, and a source that is taken as a straight line in s. So fast modes end at the D of the step's end,
    and slow ones move by the D of its middle. All values of D are at predicted mean stoichiometries.
    """

    def __init__(self, network: PelletNetwork, state: PelletState, step_second: float) -> None:
        contact = network.contact
        fluxes = np.multiply.outer(_INSTANTS * (step_second * contact.mean_rate), state.current_density)
        first, middle, second = network.diffusivity(state.mean - fluxes)
        rate = middle * (step_second / contact.radius_metre**2)
        self._response = response = _response(np.multiply.outer(rate, network.roots_squared))
        self._first_step = middle / first * (contact.mode_rate * step_second)
        self._second_step = middle / second * (contact.mode_rate * step_second)
        stage_mean = contact.mean_rate * (_GAMMA * step_second)
        self.first_alpha = state.mean + (state.modes * response.early_decay).sum(axis=1)
        self.first_beta = contact.tail_metre2_rate / first + stage_mean
        self.first_beta += self._first_step * response.early_gain.sum(axis=1)
        self._decayed = state.modes * response.late_decay
        self._second_alpha = state.mean + self._decayed.sum(axis=1)
        self._second_of_first = self._first_step * response.line_first.sum(axis=1)
        self._second_of_first += contact.mean_rate * (_REST * step_second)
        self.second_beta = contact.tail_metre2_rate / second + stage_mean
        self.second_beta += self._second_step * response.line_second.sum(axis=1)

    def second_alpha(self, first: Array) -> Array:
        """Surface stoichiometry at the second stage without flux there, after a first stage flux (A/m2)."""
        return self._second_alpha - self._second_of_first * first

    def modes(self, first: Array, second: Array) -> Array:
        """Modes at the end, after both stage fluxes (A/m2)."""
        moved = self._response.line_first * (self._first_step * first)[:, None]
        moved += self._response.line_second * (self._second_step * second)[:, None]
        return self._decayed - moved


class _FosterResponse(NamedTuple):
    """Voltages of the RC pairs: decays of shape (K,), gains per stage current (ohm), summed where scalar."""

    first_decay: Array
    first_ohm: float
    second_decay: Array
    line_first_ohm: Array
    line_second_ohm: Array
    second_ohm: float


@lru_cache(maxsize=512)  # the steps after a change are always of the same lengths
def _foster_response(rails: Rails, step_second: float) -> _FosterResponse:
    exponent = step_second / rails.foster_second
    response, ohm = _response(exponent), rails.foster_ohm * exponent
    return _FosterResponse(
        first_decay=response.early_decay,
        first_ohm=float((ohm * response.early_gain).sum()),
        second_decay=response.late_decay,
        line_first_ohm=ohm * response.line_first,
        line_second_ohm=ohm * response.line_second,
        second_ohm=float((ohm * response.line_second).sum()),
    )
