"""Starting values of the fit of a spectrum: a coarse distribution of relaxation times and its peaks.

Resistors with capacitors in parallel, all resistances >= 0 and their time constants spread evenly in log tau,
are fitted by non-negative least squares; each peak of what they form is the beginning of one arc.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import inf, log, log10, pi, sqrt
from typing import NamedTuple

import numpy as np
from scipy.optimize import nnls

from labctl.analysis.impedance.complex_fit import Complexes, Floats

_PER_DECADE = 5
_BEYOND_DECADES = 0.6  # time constants beyond the measured band that still bend it
_SMOOTHED_DECADES = 0.22
_SPLIT = 4.0  # in time constant, to either side
_MOST_ITERATIONS_PER_COLUMN = 30
_LEAST_EXPONENT, _MOST_EXPONENT = 0.5, 0.99


class Peak(NamedTuple):
    """One arc to begin with."""

    resistance_ohm: float
    time_second: float
    exponent: float = 0.85


def split(peaks: list[Peak], index: int) -> list[Peak]:
    """The same peaks with one made into two."""
    half, time = peaks[index].resistance_ohm / 2, peaks[index].time_second
    two = [Peak(half, time / _SPLIT), Peak(half, time * _SPLIT)]
    return [*peaks[:index], *two, *peaks[index + 1 :]]


@dataclass(frozen=True, eq=False)
class Distribution:
    """A spectrum as a sum of RC pairs; `capacitance_farad` is that of a blocking end, else inf.

    Attributes:
        time_second: Time constants, growing, shape (k,).
        resistance_ohm: Their resistances >= 0, shape (k,).
        noise_rms: Root mean square of what no circuit can explain, as a share of |Z|.
    """

    series_ohm: float
    inductance_henry: float
    capacitance_farad: float
    time_second: Floats
    resistance_ohm: Floats
    noise_rms: float

    def peaks(self, count: int, longest_second: float = inf) -> list[Peak]:
        """The `count` most prominent arcs up to a time constant, by their time; broad ones are split.

        An arc is the more prominent the larger it is beside the impedance at its own frequency.
        """
        found = self._separate()
        found = [peak for peak in found if peak.time_second <= longest_second] or found
        found = sorted(found, key=self._prominence, reverse=True)[:count]
        while len(found) < count:
            found = split(found, found.index(max(found, key=self._prominence)))
        return sorted(found, key=lambda peak: peak.time_second)

    def size_at(self, time_second: float) -> float:
        """|Z| (ohm) at w = 1 / tau."""
        jw = 1j / time_second
        arcs = (self.resistance_ohm / (1 + jw * self.time_second)).sum()
        blocking = -1j * time_second / self.capacitance_farad
        return abs(self.series_ohm + jw * self.inductance_henry + blocking + arcs)

    def _prominence(self, peak: Peak) -> float:
        return peak.resistance_ohm / max(self.size_at(peak.time_second), 1e-12)

    def _separate(self) -> list[Peak]:
        log_time = np.log10(self.time_second)
        distance = (log_time[:, None] - log_time) / _SMOOTHED_DECADES
        smooth = np.exp(-0.5 * distance**2) @ self.resistance_ohm
        framed = np.concatenate(([0.0], smooth, [0.0]))
        tops = np.flatnonzero((smooth > framed[:-2]) & (smooth >= framed[2:]))
        valleys = [int(a + smooth[a:b].argmin()) for a, b in pairwise(tops)]
        peaks = list[Peak]()
        for part in np.split(np.arange(len(smooth)), valleys):
            ohm = self.resistance_ohm[part]
            if ohm.any():
                peaks.append(_arc(ohm, log_time[part]))
        least = 1e-6 * (self.series_ohm + self.resistance_ohm.sum())
        return peaks or [Peak(float(least), float(self.time_second.mean()))]


def distribution(
    frequency_hertz: Floats, impedance_ohm: Complexes, *, inductance: bool, blocking: bool
) -> Distribution:
    """The coarse distribution of a spectrum.

    Args:
        frequency_hertz: Frequencies, shape (n,).
        impedance_ohm: Impedances, shape (n,).
        inductance: allow one in series.
        blocking: allow a capacitor in series.
    """
    omega = 2 * np.pi * frequency_hertz
    low, high = omega.min(), omega.max()
    decades = log10(high / low) + 2 * _BEYOND_DECADES
    beyond = 10**_BEYOND_DECADES
    tau = np.geomspace(1 / high / beyond, beyond / low, max(round(decades * _PER_DECADE), 3))
    # Inductance and capacitance are scaled to their impedance at that end of the band where they matter.
    ends = np.column_stack(
        (np.ones_like(omega), 1j * omega / high * inductance, blocking * low / (1j * omega))
    )
    terms = np.hstack((ends, 1 / (1 + 1j * np.outer(omega, tau)))) / np.abs(impedance_ohm)[:, None]
    target = impedance_ohm / np.abs(impedance_ohm)
    matrix, wanted = np.vstack((terms.real, terms.imag)), np.concatenate((target.real, target.imag))
    found = _not_below_zero(matrix, wanted)
    return Distribution(
        series_ohm=float(found[0]),
        inductance_henry=float(found[1] / high),
        capacitance_farad=float(1 / (found[2] * low)) if found[2] > 0 else inf,
        time_second=tau,
        resistance_ohm=found[3:],
        noise_rms=_noise(matrix, wanted),
    )


def _not_below_zero(matrix: Floats, wanted: Floats) -> Floats:
    """Non-negative least squares, with columns of unit length.

    Unscaled, columns differ by the range of |Z|: one spectrum of little noise in five then kept scipy's
    active set going round beyond its 3 n iterations. With unit columns 3 n to 5 n were enough for 1370
    spectra, physical ones and others; each iteration lessens what is left, so that more do no harm.
    """
    size = np.linalg.norm(matrix, axis=0)
    size[size == 0] = 1.0
    most = _MOST_ITERATIONS_PER_COLUMN * matrix.shape[1]
    return nnls(matrix / size, wanted, maxiter=most)[0] / size


def _arc(resistance_ohm: Floats, log_time: Floats) -> Peak:
    """Sum, mean and spread of a peak: ln(tau) of an arc has the variance pi^2/3 (1/a^2 - 1)."""
    total = resistance_ohm.sum()
    mean = resistance_ohm @ log_time / total
    variance = (resistance_ohm @ (log_time - mean) ** 2 / total) * log(10) ** 2
    exponent = 1 / sqrt(1 + 3 * variance / pi**2)
    return Peak(float(total), float(10**mean), min(max(exponent, _LEAST_EXPONENT), _MOST_EXPONENT))


def _noise(matrix: Floats, wanted: Floats) -> float:
    """What is left when elements may have either sign: that fits all that obeys Kramers-Kronig."""
    size = np.linalg.norm(matrix, axis=0)
    matrix = matrix[:, size > 0] / size[size > 0]
    found, _, rank, _ = np.linalg.lstsq(matrix, wanted, rcond=1e-6)
    short = wanted - matrix @ found
    return sqrt(float(short @ short) / max(len(wanted) - int(rank), 1))
