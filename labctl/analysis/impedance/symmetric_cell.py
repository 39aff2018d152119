"""Symmetric cells of a composite: the resistances of its ionic and its electronic rail from one spectrum.

Ion path (electrolyte | composite | electrolyte between lithium alloys): a series resistance, the line with
ions on both sides, and arcs for grain boundaries and the alloys. Which peak of the spectrum belongs to the
line is found by trying all. Charge transfer is added to the line if the spectrum tells of it.

Electron path (metal | composite | metal): the line with electrons on both sides. Contacts cannot be told from
the electronic rail: its resistance is an upper bound, and so is the ionic one, which is given only if the
spectrum bends by more than `LEAST_BEND`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from math import inf, log, nan, pi

import numpy as np
import numpy.typing as npt

from labctl.analysis.impedance.circuit import Arc
from labctl.analysis.impedance.complex_fit import (
    Complexes,
    Element,
    Floats,
    Resistor,
    Solution,
    Zarc,
    best_fit,
    fit,
    valid_points,
)
from labctl.analysis.impedance.starting_values import Distribution, distribution
from labctl.analysis.impedance.transmission_line import TransmissionLine, ionic_from_amplitude

LEAST_BEND = 0.02
GRAIN_BOUNDARY_HERTZ = 2e4  # arcs of the electrolyte lie above this
FLAGS: dict[str, str] = {
    "poor_fit": "rms of the residuals above 1 % of |Z|: the line does not describe the spectrum",
    "undetermined": "the resistance has a standard error above half of it",
    "beyond_band": "the line bends outside the measured frequencies",
    "electronic_unknown": "the electronic resistance was taken as 0: the ionic one is low by about it",
    "faradaic": "charge transfer passes the interface: the composite is not empty of charge",
    "flat": "the spectrum hardly bends: it does not determine the ionic rail",
    "contacts": "contacts are part of the electronic resistance: it is an upper bound",
}
_WHERE = "symmetric cell"
_FEWEST_POINTS = 12
_POOR_RMS = 0.01
_TELLS = 6.0  # by how much the information criterion must fall for charge transfer to be taken in
_BEND_OF_LINE = 10.0  # R_i C over the time constant of the line's peak (4 times 2.54)
_MOST_CHARGE_TRANSFER = 1e3  # in units of the rail; beyond that nothing is told of it


@dataclass(frozen=True, eq=False)
class RailFit:
    """One spectrum of a symmetric cell.

    Attributes:
        path: "ion" or "electron".
        ionic_ohm: R_i; NaN where the spectrum says nothing of it.
        ionic_std_ohm: Its standard error.
        electronic_ohm: R_e: fitted in an electron-path cell, as assumed in an ion-path cell.
        electronic_std_ohm: Its standard error; NaN where it was assumed.
        electrolyte_ohm: Everything in series, and all arcs above `GRAIN_BOUNDARY_HERTZ`: electrolyte layers
            with their grain boundaries, contacts; NaN in an electron-path cell.
        electrolyte_std_ohm: Its standard error.
        electrode_ohm: All arcs below that: the alloy electrodes; NaN in an electron-path cell.
        electrode_std_ohm: Its standard error.
        capacitance_farad: Of the interface, (Q R^(1 - g))^(1/g) with the rails' resistance R.
        exponent: g of the interface.
        charge_transfer_ohm: R_ct of the interface; inf where nothing passes it.
        arcs: Grain boundaries, alloys; by growing time constant.
        rms_residual: Root mean square of the residuals of both parts over |Z|.
        flags: Names out of `FLAGS`.
    """

    path: str
    ionic_ohm: float
    ionic_std_ohm: float
    electronic_ohm: float
    electronic_std_ohm: float
    electrolyte_ohm: float
    electrolyte_std_ohm: float
    electrode_ohm: float
    electrode_std_ohm: float
    capacitance_farad: float
    exponent: float
    charge_transfer_ohm: float
    arcs: tuple[Arc, ...]
    rms_residual: float
    flags: tuple[str, ...]
    frequency_hertz: Floats = field(repr=False)
    impedance_ohm: Complexes = field(repr=False)
    fitted_ohm: Complexes = field(repr=False)

    @property
    def bend_hertz(self) -> float:
        """Frequency about which the line bends; inf where no capacitance was found."""
        second = (self.ionic_ohm + self.electronic_ohm) * self.capacitance_farad
        return inf if second == 0 else _BEND_OF_LINE / (2 * pi * second)


def fit_ion_path(
    frequency_hertz: npt.ArrayLike,
    impedance_ohm: npt.ArrayLike,
    *,
    electronic_ohm: float = 0.0,
    arcs: int = 2,
) -> RailFit:
    """The ionic rail of an ion-path cell.

    Args:
        frequency_hertz: Frequencies > 0 in any order, shape (n,).
        impedance_ohm: Complex impedances (capacitive < 0), shape (n,). NaN is left out.
        electronic_ohm: R_e if it is known, of the same composite.
        arcs: number of arcs beside the line (grain boundaries, alloy electrodes).

    Raises:
        ConfigurationError: fewer than 12 valid points, or what is no spectrum.
    """
    frequency, impedance = valid_points(frequency_hertz, impedance_ohm, fewest=_FEWEST_POINTS, where=_WHERE)
    coarse = distribution(frequency, impedance, inductance=False, blocking=False)
    blocked = _best(frequency, impedance, coarse, arcs, faradaic=False)
    passed = _best(frequency, impedance, coarse, arcs, faradaic=True)
    transfer = passed.values[4] / passed.values[1]
    faradaic = transfer < _MOST_CHARGE_TRANSFER and _criterion(passed) < _criterion(blocked) - _TELLS
    return _ion_result(
        frequency, impedance, passed if faradaic else blocked, electronic_ohm, faradaic=faradaic
    )


def fit_electron_path(frequency_hertz: npt.ArrayLike, impedance_ohm: npt.ArrayLike) -> RailFit:
    """Both rails of an electron-path cell.

    Args:
        frequency_hertz: Frequencies > 0 in any order, shape (n,).
        impedance_ohm: Complex impedances (capacitive < 0), shape (n,). NaN is left out.

    Raises:
        ConfigurationError: fewer than 12 valid points, or what is no spectrum.
    """
    frequency, impedance = valid_points(frequency_hertz, impedance_ohm, fewest=_FEWEST_POINTS, where=_WHERE)
    low, high = float(impedance[-3:].real.mean()), float(impedance[:3].real.mean())
    if high > (1 - LEAST_BEND) * low:
        found = fit([Resistor()], frequency, impedance, [low])
        return _electron_result(frequency, impedance, found, bends=False)
    line = TransmissionLine("electron_electron")
    coarse = distribution(frequency, impedance, inductance=False, blocking=False)
    peak = coarse.peaks(1)[0]
    ionic = low * high / (low - high)
    start = [ionic, low, _BEND_OF_LINE * peak.time_second / (ionic + low), 0.95]
    found = fit([line], frequency, impedance, start)
    return _electron_result(frequency, impedance, found, bends=True)


def _electron_result(frequency: Floats, impedance: Complexes, found: Solution, *, bends: bool) -> RailFit:
    """Of a line, or of a resistance alone where the spectrum does not bend."""
    values, errors = found.values, found.standard_errors
    electronic, std = values[1 if bends else 0], errors[1 if bends else 0]
    result = RailFit(
        path="electron",
        ionic_ohm=float(values[0]) if bends else nan,
        ionic_std_ohm=float(errors[0]) if bends else nan,
        electronic_ohm=float(electronic),
        electronic_std_ohm=float(std),
        electrolyte_ohm=nan,
        electrolyte_std_ohm=nan,
        electrode_ohm=nan,
        electrode_std_ohm=nan,
        capacitance_farad=_capacitance(values[2], values[3], values[0] + values[1]) if bends else nan,
        exponent=float(values[3]) if bends else nan,
        charge_transfer_ohm=inf,
        arcs=(),
        rms_residual=found.rms_residual,
        flags=(),
        frequency_hertz=frequency,
        impedance_ohm=impedance,
        fitted_ohm=found.fitted_ohm,
    )
    return _flagged(result, ("contacts",) if bends else ("flat", "contacts"), std / electronic)


# ---- the ion path
def _best(
    frequency: Floats, impedance: Complexes, coarse: Distribution, arcs: int, *, faradaic: bool
) -> Solution:
    line = TransmissionLine("ion_ion", faradaic=faradaic, electronic_ohm=0.0)
    elements: list[Element] = [Resistor(), line, *([Zarc()] * arcs)]
    starts = _starts(impedance, coarse, arcs, faradaic=faradaic)
    return best_fit(elements, frequency, impedance, starts, coarse.noise_rms)


def _starts(
    impedance: Complexes, coarse: Distribution, arcs: int, *, faradaic: bool
) -> Iterator[list[float]]:
    """Each peak of the spectrum in turn as that of the line, the largest first."""
    least = 1e-3 * float(np.abs(impedance).min())
    peaks = [p._replace(resistance_ohm=max(p.resistance_ohm, least)) for p in coarse.peaks(arcs + 1)]
    for line in sorted(peaks, key=lambda peak: -peak.resistance_ohm):
        start = [max(coarse.series_ohm, least), line.resistance_ohm]
        start += [_BEND_OF_LINE * line.time_second / line.resistance_ohm, 0.95]
        start += [10 * line.resistance_ohm] * faradaic
        for peak in peaks:
            if peak is not line:
                start += list(peak)
        yield start


def _criterion(solution: Solution) -> float:
    """Bayesian information criterion, but for a constant."""
    count = 2 * len(solution.fitted_ohm)
    return count * log(solution.pseudo_chi_square / count) + len(solution.values) * log(count)


def _ion_result(
    frequency: Floats, impedance: Complexes, found: Solution, electronic_ohm: float, *, faradaic: bool
) -> RailFit:
    values, errors = found.values, found.standard_errors
    amplitude, first = float(values[1]), 4 + faradaic
    ionic = ionic_from_amplitude(amplitude, electronic_ohm)
    relative = float(errors[1]) / amplitude
    places = range(first, len(values), 3)
    arcs = [Arc(*(float(n) for i in range(k, k + 3) for n in (values[i], errors[i]))) for k in places]
    fast = [k for k, arc in zip(places, arcs, strict=True) if arc.peak_frequency_hertz > GRAIN_BOUNDARY_HERTZ]
    electrolyte = found.sum_of([0, *fast])
    electrode = found.sum_of([k for k in places if k not in fast])
    result = RailFit(
        path="ion",
        ionic_ohm=ionic,
        ionic_std_ohm=ionic * relative,
        electronic_ohm=electronic_ohm,
        electronic_std_ohm=nan,
        electrolyte_ohm=electrolyte[0],
        electrolyte_std_ohm=electrolyte[1],
        electrode_ohm=electrode[0],
        electrode_std_ohm=electrode[1],
        capacitance_farad=_capacitance(values[2], values[3], ionic + electronic_ohm),
        exponent=float(values[3]),
        charge_transfer_ohm=float(values[4]) if faradaic else inf,
        arcs=tuple(sorted(arcs, key=lambda arc: arc.time_second)),
        rms_residual=found.rms_residual,
        flags=(),
        frequency_hertz=frequency,
        impedance_ohm=impedance,
        fitted_ohm=found.fitted_ohm,
    )
    known = ("electronic_unknown",) if electronic_ohm == 0 else ()
    return _flagged(result, (*known, *(("faradaic",) if faradaic else ())), relative)


def _capacitance(scale: float, exponent: float, rails_ohm: float) -> float:
    return float((scale * rails_ohm ** (1 - exponent)) ** (1 / exponent))


def _flagged(result: RailFit, flags: tuple[str, ...], relative_error: float) -> RailFit:
    raised = {
        "poor_fit": result.rms_residual > _POOR_RMS,
        "undetermined": not relative_error < 0.5,
        "beyond_band": "flat" not in flags
        and not result.frequency_hertz[-1] <= result.bend_hertz <= result.frequency_hertz[0],
    }
    return replace(result, flags=(*(name for name, is_raised in raised.items() if is_raised), *flags))
