"""Small-signal impedance of the simulated pellet, from the same network and state as its time response."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from devices.sim.materials import Array
from devices.sim.pellet_network import PelletNetwork
from devices.sim.pellet_state import PelletState, surface_stoichiometry

ComplexArray = NDArray[np.complex128]


def impedance(network: PelletNetwork, state: PelletState, frequency_hertz: Array) -> ComplexArray:
    """Impedance dV/dI (ohm, capacitive < 0) at the frequencies (Hz), linearised about the state.

    Per slice the faradaic admittance is 1 / (du/di - du/dx H), where H is the response of the surface
    stoichiometry to the flux: the same modes and tail as in time, not the analytic tanh, so that both domains
    agree by construction. The same holds for the Foster chains.
    """
    jw = 2j * np.pi * np.atleast_1d(np.asarray(frequency_hertz, dtype=float))
    surface = surface_stoichiometry(network, state)
    _, slope, surface_slope = network.interface(state.current_density, surface)
    faradaic = slope - surface_slope * _diffusion(network, state, jw)
    rails, contact = network.rails, network.contact
    admittance = contact.area_m2 / faradaic + contact.capacitance_farad * jw[:, None]
    if network.ageing is not None:
        admittance += contact.area_m2 * network.ageing.side_slope(state.interface_volt)
    slices = len(rails.drive)
    matrix = np.broadcast_to(rails.laplacian_siemens, (len(jw), slices, slices)).astype(complex)
    diagonal = np.arange(slices)
    matrix[:, diagonal, diagonal] += admittance
    drive = np.broadcast_to(rails.drive[:, None].astype(complex), (len(jw), slices, 1))
    ladder = np.linalg.solve(matrix, drive)[:, :, 0] @ rails.drive
    chains = (rails.foster_ohm / (1.0 + jw[:, None] * rails.foster_second)).sum(axis=1)
    return ladder + rails.instant_ohm + chains


def _diffusion(network: PelletNetwork, state: PelletState, jw: ComplexArray) -> ComplexArray:
    """-dx_s/di (m2/A) of each slice at each frequency, shape (F, M)."""
    diffusivity = network.diffusivity(state.mean)
    rates = np.multiply.outer(diffusivity / network.contact.radius_metre**2, network.roots_squared)
    modes = np.stack([(network.contact.mode_rate / (w + rates)).sum(axis=1) for w in jw])
    return modes + network.contact.mean_rate / jw[:, None] + network.contact.tail_metre2_rate / diffusivity
