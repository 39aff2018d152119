"""One circuit fit of 73 points and 9 parameters, beside impedance.py where it is installed."""

from __future__ import annotations

import time
from statistics import median

import numpy as np

from benchmarks.table import Row
from labctl.analysis.circuit import fit_circuit

FREQUENCY_HERTZ = np.geomspace(1e6, 1e-2, 73)
TRUTH = (30.0, 40.0, 1e-5, 0.9, 60.0, 4e-3, 0.8, 0.3, 0.6)  # R0; R, tau, a; R, tau, a; Q, b
REPEATS = 30


def circuit_fit() -> list[Row]:
    """Milliseconds per fit, which finds its own beginning; impedance.py begins 30 % off the truth."""
    spectrum, took, fit = _spectrum(), [], None
    for _ in range(REPEATS):
        began = time.perf_counter()
        fit = fit_circuit(FREQUENCY_HERTZ, spectrum, arcs=2, blocking=True)
        took.append(time.perf_counter() - began)
    own = fit.pseudo_chi_square if fit is not None else float("nan")
    name, other, chi_square = _impedance_py(spectrum)
    what = f"circuit fit, 73 points, 9 parameters, chi square {own:.3g}"
    if chi_square is not None:
        name = f"{name}, chi square {chi_square:.3g}"
    return [Row(what, median(took) * 1e3, "ms", name, other, "<= 12 ms at equal chi square")]


def _spectrum() -> np.ndarray:
    jw = 2j * np.pi * FREQUENCY_HERTZ
    r0, r1, t1, a1, r2, t2, a2, q, b = TRUTH
    ideal = r0 + r1 / (1 + (jw * t1) ** a1) + r2 / (1 + (jw * t2) ** a2) + 1 / (q * jw**b)
    parts = np.random.default_rng(1).normal(size=(2, len(jw))) / np.sqrt(2)
    return ideal * (1 + 1e-3 * (parts[0] + 1j * parts[1]))


def _impedance_py(spectrum: np.ndarray) -> tuple[str, float | None, float | None]:
    try:
        from impedance.models.circuits import CustomCircuit
    except ImportError:
        return "impedance.py not installed", None, None
    r0, r1, t1, a1, r2, t2, a2, q, b = TRUTH
    scales = (r0, r1, t1**a1 / r1, a1, r2, t2**a2 / r2, a2, q, b)
    guess = [n if k in (3, 6, 8) else 1.3 * n for k, n in enumerate(scales)]
    took, fitted = [], spectrum
    for _ in range(5):
        circuit = CustomCircuit("R0-p(R1,CPE1)-p(R2,CPE2)-CPE3", initial_guess=guess)
        began = time.perf_counter()
        circuit.fit(FREQUENCY_HERTZ, spectrum, weight_by_modulus=True)
        took.append(time.perf_counter() - began)
        fitted = circuit.predict(FREQUENCY_HERTZ)
    chi_square = float((np.abs((fitted - spectrum) / spectrum) ** 2).sum())
    return "impedance.py", median(took) * 1e3, chi_square
