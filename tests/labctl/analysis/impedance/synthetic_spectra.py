"""Spectra made of formulae, or of a network solved node by node, with the noise of an instrument."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Complexes = npt.NDArray[np.complex128]

NOISE = 1e-3  # rms of the complex deviation over |Z|


def frequencies(first_hertz: float, last_hertz: float, per_decade: int = 10) -> Floats:
    points = round(abs(np.log10(first_hertz / last_hertz)) * per_decade) + 1
    return np.geomspace(first_hertz, last_hertz, points)


def jw(frequency_hertz: Floats) -> Complexes:
    return 2j * np.pi * frequency_hertz


def arc(frequency_hertz: Floats, ohm: float, second: float, exponent: float) -> Complexes:
    return ohm / (1 + (jw(frequency_hertz) * second) ** exponent)


def noisy(impedance_ohm: Complexes, seed: int, noise: float = NOISE) -> Complexes:
    parts = np.random.default_rng(seed).normal(size=(2, len(impedance_ohm))) / np.sqrt(2)
    return impedance_ohm * (1 + noise * (parts[0] + 1j * parts[1]))


def ladder(
    contacts: str, ionic_ohm: float, electronic_ohm: float, interface_ohm: Complexes, nodes: int = 120
) -> Complexes:
    """A composite of `nodes` slices by Kirchhoff's laws: nodes 0.. are ionic, the others electronic."""
    ions = np.arange(nodes)
    electrons = ions + nodes
    enter, leave = {
        "ion_ion": (ions[0], ions[-1]),
        "electron_electron": (electrons[0], electrons[-1]),
        "ion_electron": (ions[0], electrons[-1]),
    }[contacts]
    own = {"ion_ion": ionic_ohm, "electron_electron": electronic_ohm}
    half_slices = own.get(contacts, (ionic_ohm + electronic_ohm) / 2) / nodes
    inner = np.zeros((2 * nodes, 2 * nodes), dtype=complex)
    for rail, ohm in ((ions, ionic_ohm), (electrons, electronic_ohm)):
        for a, b in pairwise(rail):
            _connect(inner, a, b, nodes / ohm)
    total = np.empty_like(interface_ohm)
    for k, zeta in enumerate(interface_ohm):
        matrix = inner.copy()
        for a, b in zip(ions, electrons, strict=True):
            _connect(matrix, a, b, 1 / (zeta * nodes))
        kept = np.delete(np.arange(2 * nodes), leave)
        current = (kept == enter).astype(complex)
        potential = np.linalg.solve(matrix[np.ix_(kept, kept)], current)
        total[k] = potential[kept == enter][0] + half_slices
    return total


def _connect(matrix: Complexes, a: int, b: int, siemens: complex) -> None:
    matrix[a, a] += siemens
    matrix[b, b] += siemens
    matrix[a, b] -= siemens
    matrix[b, a] -= siemens
