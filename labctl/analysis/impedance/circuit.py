"""A spectrum as an equivalent circuit: a resistance, arcs (ZARC), perhaps an inductance and a blocking end.

    Z = R0 + j w L + sum_k R_k / (1 + (j w tau_k)^a_k) + 1 / (Q (j w)^b)

The fit finds its own beginning (`labctl.analysis.impedance.starting_values`). Arcs are sorted by their time
constants; an arc is not more than a resistance with a time: what it stands for is for the reader to say.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from math import inf, pi, sqrt
from typing import Any

import numpy as np
import numpy.typing as npt

from labctl.analysis.impedance.complex_fit import (
    Complexes,
    ConstantPhase,
    Element,
    Floats,
    Inductor,
    Resistor,
    Solution,
    Zarc,
    best_fit,
    valid_points,
)
from labctl.analysis.impedance.starting_values import Distribution, Peak, distribution, split
from labctl.analysis.result_text import without_nan
from labctl.errors import ConfigurationError

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


MOST_ARCS = 5
POOR_FIT_RMS = 0.01
_WHERE = "circuit fit"
_WORTH_AN_ARC = 0.85  # a further arc must bring the rms below this share, its own number counted
_EVEN_SHARE = 0.3  # of |Z| at its frequency: an arc to begin with where there is no peak
_ENDS_BEFORE = 0.5  # a peak beyond this share of the longest measured time is that of the blocking end


def fit_circuit(
    frequency_hertz: npt.ArrayLike,
    impedance_ohm: npt.ArrayLike,
    *,
    arcs: int | None = None,
    inductance: bool = False,
    blocking: bool = False,
) -> CircuitFit:
    """Fit a circuit to a spectrum.

    Args:
        frequency_hertz: Frequencies > 0 in any order, shape (n,).
        impedance_ohm: Complex impedances (capacitive < 0), shape (n,). NaN is left out.
        arcs: Number of arcs, 0 to 5; None takes as many as the spectrum is worth.
        inductance: An inductance in series.
        blocking: A constant-phase element in series, for an electrode that blocks or a solid that fills up.

    Raises:
        ConfigurationError: a number of arcs that is not possible, too few valid points.
    """
    if arcs is not None and not 0 <= arcs <= MOST_ARCS:
        raise ConfigurationError(_WHERE, "arcs", arcs, f"0 to {MOST_ARCS}")
    needed = 1 + inductance + 3 * (arcs or 0) + 2 * blocking
    frequency, impedance = valid_points(
        frequency_hertz, impedance_ohm, fewest=max(needed // 2 + 1, 4), where=_WHERE
    )
    coarse = distribution(frequency, impedance, inductance=inductance, blocking=blocking)
    if arcs is not None:
        return _fit(frequency, impedance, coarse, arcs, inductance=inductance, blocking=blocking)
    return _worthwhile(frequency, impedance, coarse, inductance=inductance, blocking=blocking)


def _worthwhile(
    frequency: Floats, impedance: Complexes, coarse: Distribution, *, inductance: bool, blocking: bool
) -> CircuitFit:
    """As many arcs as bring the residuals down by more than their own parameters would."""
    best = _fit(frequency, impedance, coarse, 0, inductance=inductance, blocking=blocking)
    most = min(MOST_ARCS, (2 * len(frequency) - 4) // 3)
    for count in range(1, most + 1):
        more = _fit(frequency, impedance, coarse, count, inductance=inductance, blocking=blocking)
        if _per_freedom(more) > _WORTH_AN_ARC * _per_freedom(best):
            break
        best = more
    return best


def _per_freedom(circuit: CircuitFit) -> float:
    free = 2 * circuit.points - len(circuit.covariance)
    return sqrt(circuit.pseudo_chi_square / max(free, 1))


def _fit(
    frequency: Floats,
    impedance: Complexes,
    coarse: Distribution,
    arcs: int,
    *,
    inductance: bool,
    blocking: bool,
) -> CircuitFit:
    elements: list[Element] = [Resistor()]
    elements += [Inductor()] * inductance + [Zarc()] * arcs + [ConstantPhase()] * blocking
    starts = (
        _start(frequency, impedance, coarse, peaks, inductance=inductance, blocking=blocking)
        for peaks in _beginnings(frequency, coarse, arcs, blocking=blocking)
    )
    best = best_fit(elements, frequency, impedance, starts, coarse.noise_rms)
    return _result(frequency, impedance, best, arcs, inductance=inductance, blocking=blocking)


def _beginnings(
    frequency: Floats, coarse: Distribution, arcs: int, *, blocking: bool
) -> Iterator[list[Peak]]:
    """The peaks of the distribution but that of a blocking end; one fewer, each split; then evenly spread."""
    if not arcs:
        yield []
        return
    longest = _ENDS_BEFORE / (2 * pi * frequency[-1]) if blocking else inf
    yield coarse.peaks(arcs, longest)
    fewer = coarse.peaks(arcs - 1, longest) if arcs > 1 else []
    yield from (split(fewer, index) for index in range(len(fewer)))
    times = 1 / (2 * pi * np.geomspace(frequency[0], frequency[-1], arcs + 2)[1:-1])
    yield [Peak(_EVEN_SHARE * coarse.size_at(float(time)), float(time)) for time in times]


def _start(
    frequency: Floats,
    impedance: Complexes,
    coarse: Distribution,
    peaks: list[Peak],
    *,
    inductance: bool,
    blocking: bool,
) -> list[float]:
    least = 1e-3 * float(np.abs(impedance).min())
    omega = 2 * pi * frequency
    start = [max(coarse.series_ohm, least)]
    if inductance:
        start.append(max(coarse.inductance_henry, least / omega[0]))
    for peak in peaks:
        start += [max(peak.resistance_ohm, least), peak.time_second, peak.exponent]
    if blocking:
        ohm = max(-float(impedance[-1].imag), least)
        capacitance = min(coarse.capacitance_farad, 1 / (ohm * omega[-1]) * 1e3)
        start += [capacitance, 0.9]
    return start


def _result(
    frequency: Floats,
    impedance: Complexes,
    solution: Solution,
    arcs: int,
    *,
    inductance: bool,
    blocking: bool,
) -> CircuitFit:
    values, errors = solution.values, solution.standard_errors
    first = 1 + inductance
    found = [Arc(*_pairs(values, errors, first + 3 * k, 3)) for k in range(arcs)]
    order = sorted(range(arcs), key=lambda k: found[k].time_second)
    places = [*range(first), *(first + 3 * k + i for k in order for i in range(3))]
    places += range(first + 3 * arcs, len(values))
    end = BlockingEnd(*_pairs(values, errors, len(values) - 2, 2)) if blocking else None
    sorted_arcs = tuple(found[k] for k in order)
    return CircuitFit(
        series_ohm=float(values[0]),
        series_std_ohm=float(errors[0]),
        inductance_henry=float(values[1]) if inductance else 0.0,
        arcs=sorted_arcs,
        blocking=end,
        rms_residual=solution.rms_residual,
        pseudo_chi_square=solution.pseudo_chi_square,
        flags=_flags(solution, sorted_arcs, frequency),
        frequency_hertz=frequency,
        impedance_ohm=impedance,
        fitted_ohm=solution.fitted_ohm,
        covariance=solution.covariance[np.ix_(places, places)],
    )


def _pairs(values: Floats, errors: Floats, first: int, count: int) -> list[float]:
    """Value, standard error, value, ..."""
    return [float(n) for i in range(first, first + count) for n in (values[i], errors[i])]


def _flags(solution: Solution, arcs: tuple[Arc, ...], frequency: Floats) -> tuple[str, ...]:
    raised = {
        "poor_fit": solution.rms_residual > POOR_FIT_RMS,
        "undetermined": any(not arc.resistance_std_ohm < 0.5 * arc.resistance_ohm for arc in arcs),
        "beyond_band": any(not frequency[-1] <= arc.peak_frequency_hertz <= frequency[0] for arc in arcs),
        "exponent_above_one": any(arc.exponent - 3 * arc.exponent_std > 1.0 for arc in arcs),
    }
    return tuple(name for name, is_raised in raised.items() if is_raised)
