"""Values of a run's columns at the pointer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import isfinite
from typing import TYPE_CHECKING

import numpy as np

from labctl.live.model.pyramid import Floats
from labctl.live.model.spectra import RunSpectrum
from labctl.live.plots.crosshair import PointReading, PointValue
from labctl.live.text import NO_VALUE, ampere_parts, clock_text, si_parts, volt_parts
from labctl.schema import (
    CYCLE_COUNT,
    FREQUENCY,
    IMAGINARY_IMPEDANCE,
    REAL_IMPEDANCE,
    START_TEST_TIME,
    TEST_TIME,
)

if TYPE_CHECKING:
    pass


_LABELS = {
    REAL_IMPEDANCE: "Re Z",
    IMAGINARY_IMPEDANCE: "Im Z",
    START_TEST_TIME: "at",
    CYCLE_COUNT: "cycle",
}
_SUFFIXED = {"_ohm": "Ω", "_hertz": "Hz", "_ah": "Ah", "_pa": "Pa"}


def column_value(name: str, number: float, peak: float = 0.0) -> PointValue:
    """A value of a column, told in the unit that its name ends in.

    Args:
        name: Such as "voltage_volt".
        number: In that unit.
        peak: Largest magnitude in the run; a current that is next to nothing beside it is told as 0.
    """
    label = _LABELS.get(name, "")
    return PointValue(name, number, " ".join(part for part in (label, *_parts(name, number, peak)) if part))


def _parts(name: str, number: float, peak: float) -> tuple[str, str]:
    if name.endswith(TEST_TIME):
        return clock_text(number), ""
    if name.endswith("_volt"):
        return volt_parts(number)
    if name.endswith("_ampere"):
        return ampere_parts(number, peak)
    if name.endswith("_celsius"):
        return (f"{number:.2f}".replace("-", "−") if isfinite(number) else NO_VALUE), "°C"
    for suffix, unit in _SUFFIXED.items():
        if name.endswith(suffix):
            return si_parts(number, unit)
    return f"{number:.6g}".replace("-", "−"), ""


def spectrum_reading(drawn: PointReading, spectra: Sequence[RunSpectrum]) -> PointReading:
    """What was measured at a point of a Nyquist or Bode plot; the point itself where it is none of these.

    Args:
        drawn: A point that is drawn.
        spectra: Those it may belong to.
    """
    _, x, y = drawn.marks[0]
    for spectrum in spectra:
        rows = [np.flatnonzero((xs == x) & (ys == y)) for xs, ys in _places(spectrum)]
        row = next((int(found[0]) for found in rows if len(found)), None)
        if row is not None:
            return PointReading(_point_values(spectrum, row), drawn.x, drawn.marks)
    return drawn


def _places(spectrum: RunSpectrum) -> Iterator[tuple[Floats, Floats]]:
    """Where the points of a spectrum stand in the plots of impedance."""
    real, imaginary = spectrum.real_ohm, spectrum.imaginary_ohm
    with np.errstate(divide="ignore", invalid="ignore"):
        decades, modulus = np.log10(spectrum.frequency_hertz), np.log10(np.hypot(real, imaginary))
    yield real, -imaginary
    yield decades, modulus
    yield decades, np.degrees(np.arctan2(-imaginary, real))


def _point_values(spectrum: RunSpectrum, row: int) -> tuple[PointValue, ...]:
    point = {
        FREQUENCY: float(spectrum.frequency_hertz[row]),
        REAL_IMPEDANCE: float(spectrum.real_ohm[row]),
        IMAGINARY_IMPEDANCE: float(spectrum.imaginary_ohm[row]),
        START_TEST_TIME: spectrum.start_second,
        CYCLE_COUNT: spectrum.cycle_count,
    }
    return tuple(column_value(name, number) for name, number in point.items())
