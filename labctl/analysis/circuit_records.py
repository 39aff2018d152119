"""What a circuit fit says: frozen records with units in their names, and their JSON form."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from math import pi, sqrt
from typing import Any

import numpy as np

from labctl.analysis.cnls import Complexes, Floats
from labctl.analysis.plain import without_nan

FLAGS: dict[str, str] = {
    "poor_fit": "rms of the residuals above 1 % of |Z|: the circuit does not describe the spectrum",
    "undetermined": "a resistance with a standard error above half of it",
    "beyond_band": "the apex of an arc lies outside the measured frequencies",
    "exponent_above_one": "an exponent significantly above 1: not a depressed arc",
}


@dataclass(frozen=True)
class Arc:
    """One depressed semicircle; `..._std_...` is one standard error."""

    resistance_ohm: float
    resistance_std_ohm: float
    time_second: float
    time_std_second: float
    exponent: float
    exponent_std: float

    @property
    def peak_frequency_hertz(self) -> float:
        """Frequency of its apex."""
        return 1.0 / (2 * pi * self.time_second)

    @property
    def capacitance_farad(self) -> float:
        """Effective capacitance tau / R (Hsu and Mansfeld, Corrosion 57 (2001) 747)."""
        return self.time_second / self.resistance_ohm


@dataclass(frozen=True)
class BlockingEnd:
    """1 / (Q (j w)^b); Q in S s^b."""

    admittance_s_second_power: float
    admittance_std_s_second_power: float
    exponent: float
    exponent_std: float


@dataclass(frozen=True, eq=False)
class CircuitFit:
    """A fitted circuit.

    Attributes:
        series_ohm: R0, what is left above the highest frequency.
        series_std_ohm: Its standard error.
        inductance_henry: L; 0 if none was fitted.
        arcs: By growing time constant.
        blocking: The blocking end; None if none was fitted.
        frequency_hertz: Frequencies of the points that were used, falling.
        impedance_ohm: Their impedances.
        fitted_ohm: The circuit at these frequencies.
        rms_residual: Root mean square of the residuals of both parts over |Z|.
        pseudo_chi_square: Sum of all squared residuals.
        flags: Names out of `FLAGS`.
    """

    series_ohm: float
    series_std_ohm: float
    inductance_henry: float
    arcs: tuple[Arc, ...]
    blocking: BlockingEnd | None
    rms_residual: float
    pseudo_chi_square: float
    flags: tuple[str, ...]
    frequency_hertz: Floats = field(repr=False)
    impedance_ohm: Complexes = field(repr=False)
    fitted_ohm: Complexes = field(repr=False)
    covariance: Floats = field(repr=False)  # of ln(value), of the value for exponents

    @property
    def points(self) -> int:
        """Number of frequencies used."""
        return len(self.frequency_hertz)

    @property
    def total_ohm(self) -> float:
        """Resistance at low frequency, without the blocking end."""
        return self.series_ohm + sum(arc.resistance_ohm for arc in self.arcs)

    def series_with(self, arcs: int) -> tuple[float, float]:
        """Series resistance and the fastest arcs together: value (ohm), standard error."""
        first = 2 if self.inductance_henry > 0 else 1
        places = [0, *(first + 3 * k for k in range(arcs))]
        values = np.array([self.series_ohm, *(arc.resistance_ohm for arc in self.arcs[:arcs])])
        part = self.covariance[np.ix_(places, places)]
        return float(values.sum()), sqrt(float(values @ part @ values))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON; NaN and infinity become None."""
        arcs = [
            asdict(arc)
            | {
                "peak_frequency_hertz": arc.peak_frequency_hertz,
                "capacitance_farad": arc.capacitance_farad,
            }
            for arc in self.arcs
        ]
        plain = {
            "series_ohm": self.series_ohm,
            "series_std_ohm": self.series_std_ohm,
            "inductance_henry": self.inductance_henry,
            "arcs": arcs,
            "blocking": None if self.blocking is None else asdict(self.blocking),
            "points": self.points,
            "frequency_min_hertz": float(self.frequency_hertz[-1]),
            "frequency_max_hertz": float(self.frequency_hertz[0]),
            "rms_residual": self.rms_residual,
            "pseudo_chi_square": self.pseudo_chi_square,
            "flags": list(self.flags),
        }
        cleaned: dict[str, Any] = without_nan(plain)
        return cleaned
