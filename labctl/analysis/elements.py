"""Elements of series circuits, with their derivatives, for `labctl.analysis.cnls`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from labctl.analysis.cnls import Complexes, Floats, Parameter


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
