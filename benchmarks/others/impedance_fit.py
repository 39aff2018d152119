"""A circuit fitted by impedance.py; asks for circuit, guess, frequency_hertz, real and imaginary (ohm)."""

# pyright: reportMissingImports=false
from __future__ import annotations

import json
import sys
import time
from statistics import median

import numpy as np
from impedance.models.circuits import CustomCircuit

REPEATS = 5


def main() -> None:
    """Answer with the median milliseconds of a fit and the sum of squared relative residuals."""
    request = json.load(sys.stdin)
    frequency_hertz = np.array(request["frequency_hertz"])
    spectrum = np.array(request["real"]) + 1j * np.array(request["imaginary"])
    took, fitted = [], spectrum
    for _ in range(REPEATS):
        circuit = CustomCircuit(request["circuit"], initial_guess=request["guess"])
        began = time.perf_counter()
        circuit.fit(frequency_hertz, spectrum, weight_by_modulus=True)
        took.append(time.perf_counter() - began)
        fitted = circuit.predict(frequency_hertz)
    chi_square = float((np.abs((fitted - spectrum) / spectrum) ** 2).sum())
    print(json.dumps({"value": median(took) * 1e3, "chi_square": chi_square}))


main()
