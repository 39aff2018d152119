"""The spectrum of a full cell: electrolyte and contacts, the composite as a transmission line, the rest.

    Z = R0 + ZARC (grain boundaries) + line (ions | electrons) + ZARC + 1 / (Q (j w)^b)

The last two stand for the anode and for diffusion. They overlap with charge transfer in the cathode, so that
of all resistances only the first, R0 with the grain boundaries, is told apart well: with a transmission line
in place of an arc its error is some 1 %, for the line bends up to the highest frequencies. The others are
given with their errors, as far as the spectrum tells of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from math import pi

import numpy as np
import numpy.typing as npt

from labctl.analysis.impedance.complex_fit import (
    Complexes,
    ConstantPhase,
    Floats,
    Resistor,
    Solution,
    Zarc,
    best_fit,
    valid_points,
)
from labctl.analysis.impedance.starting_values import Distribution, distribution
from labctl.analysis.impedance.transmission_line import TransmissionLine

FLAGS: dict[str, str] = {
    "poor_fit": "rms of the residuals above 1 % of |Z|: the circuit does not describe the spectrum",
    "undetermined": "the electrolyte's resistance has a standard error above a tenth of it",
}
_WHERE = "full cell"
_FEWEST_POINTS = 16
_POOR_RMS = 0.01
_SLOWEST_GRAIN_BOUNDARY_HERTZ = 2e4
_ELEMENTS = (
    Resistor(),
    Zarc(),
    TransmissionLine("ion_electron", faradaic=True, electronic_ohm=0.0),
    Zarc(),
    ConstantPhase(),
)
_SERIES, _GRAIN, _RAIL, _TRANSFER, _ARC = 0, 1, 4, 7, 8  # places of the resistances


@dataclass(frozen=True, eq=False)
class FullCellFit:
    """One spectrum of a full cell; `..._std_ohm` is one standard error.

    Attributes:
        electrolyte_ohm: Separator with its grain boundaries and all contacts in series.
        ionic_ohm: Ionic rail of the composite; a hint only.
        interface_ohm: Charge transfer, anode and film: all that follows in the line and its arc.
        rms_residual: Root mean square of the residuals of both parts over |Z|.
        flags: Names out of `FLAGS`.
    """

    electrolyte_ohm: float
    electrolyte_std_ohm: float
    ionic_ohm: float
    ionic_std_ohm: float
    interface_ohm: float
    interface_std_ohm: float
    rms_residual: float
    flags: tuple[str, ...]
    frequency_hertz: Floats = field(repr=False)
    impedance_ohm: Complexes = field(repr=False)
    fitted_ohm: Complexes = field(repr=False)


def fit_full_cell(frequency_hertz: npt.ArrayLike, impedance_ohm: npt.ArrayLike) -> FullCellFit:
    """Fit the spectrum of a full cell.

    Args:
        frequency_hertz: Frequencies > 0 in any order, shape (n,), down to 1 Hz at least.
        impedance_ohm: Complex impedances (capacitive < 0), shape (n,). NaN is left out.

    Raises:
        ConfigurationError: fewer than 16 valid points, or what is no spectrum.
    """
    frequency, impedance = valid_points(frequency_hertz, impedance_ohm, fewest=_FEWEST_POINTS, where=_WHERE)
    coarse = distribution(frequency, impedance, inductance=False, blocking=True)
    starts = _starts(frequency, impedance, coarse)
    best = best_fit(_ELEMENTS, frequency, impedance, starts, coarse.noise_rms)
    return _result(frequency, impedance, best)


def _starts(frequency: Floats, impedance: Complexes, coarse: Distribution) -> Iterator[list[float]]:
    """The line at the largest peak, with more or less of an ionic rail; the arc anywhere."""
    fastest = 1 / (2 * pi * _SLOWEST_GRAIN_BOUNDARY_HERTZ)
    least = 1e-3 * float(np.abs(impedance).min())
    grain = max(
        float(coarse.resistance_ohm[coarse.time_second < fastest].sum()), 0.01 * coarse.series_ohm, least
    )
    omega = 2 * pi * frequency[-1]
    peaks = [peak for peak in coarse.peaks(4, 0.5 / omega) if peak.time_second > fastest]
    peaks = peaks or coarse.peaks(1)
    line = max(peaks, key=lambda peak: peak.resistance_ohm)
    line_ohm = max(line.resistance_ohm, least)
    others = max(sum(peak.resistance_ohm for peak in peaks) - line_ohm, 0.1 * line_ohm)
    end = min(coarse.capacitance_farad, 1 / (omega * max(-float(impedance[-1].imag), least)))
    for share in (0.2, 1.0):
        for arc_second in (0.1, 0.02, 1.0):
            yield [
                *(max(coarse.series_ohm, least), grain, fastest / 20, 0.85),
                *(share * line_ohm, line.time_second / line_ohm, 0.95, 0.8 * line_ohm),
                *(0.5 * others, arc_second, 0.8, end, 0.6),
            ]


def _result(frequency: Floats, impedance: Complexes, found: Solution) -> FullCellFit:
    electrolyte, electrolyte_std = found.sum_of((_SERIES, _GRAIN))
    interface, interface_std = found.sum_of((_TRANSFER, _ARC))
    raised = {
        "poor_fit": found.rms_residual > _POOR_RMS,
        "undetermined": not electrolyte_std < 0.1 * electrolyte,
    }
    return FullCellFit(
        electrolyte_ohm=electrolyte,
        electrolyte_std_ohm=electrolyte_std,
        ionic_ohm=float(found.values[_RAIL]),
        ionic_std_ohm=float(found.standard_errors[_RAIL]),
        interface_ohm=interface,
        interface_std_ohm=interface_std,
        rms_residual=found.rms_residual,
        flags=tuple(name for name, is_raised in raised.items() if is_raised),
        frequency_hertz=frequency,
        impedance_ohm=impedance,
        fitted_ohm=found.fitted_ohm,
    )
