"""Steps of PyBaMM's single particle model; asks for steps and second (each) on standard input."""

# pyright: reportMissingImports=false
from __future__ import annotations

import json
import sys
import time
from statistics import median

import pybamm


def main() -> None:
    """Answer with the median milliseconds of a step."""
    request = json.load(sys.stdin)
    model = pybamm.lithium_ion.SPM({"working electrode": "positive"})
    simulation = pybamm.Simulation(model, parameter_values=pybamm.ParameterValues("Xu2019"))
    took = []
    for _ in range(request["steps"]):
        began = time.perf_counter()
        simulation.step(request["second"])
        took.append(time.perf_counter() - began)
    print(json.dumps({"value": median(took) * 1e3}))


main()
