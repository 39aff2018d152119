"""The spectra that are shown and the quantity of their colours: one choice for all impedance panels."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite, nan
from typing import Literal

import numpy as np
from PySide6 import QtCore

from labctl.live.model.pyramid import Floats
from labctl.live.model.run_model import RunModel
from labctl.live.model.series import Series
from labctl.live.model.spectra import RunSpectrum
from labctl.live.plots.curves import MOST_CURVES, evenly
from labctl.live.text import grouped
from labctl.schema import APPLIED_PRESSURE, SURFACE_PRESSURE, TEMPERATURE

ColourBy = Literal["time", "state of charge", "temperature", "pressure", "cycle"]
COLOUR_BY: tuple[ColourBy, ...] = ("time", "state of charge", "temperature", "pressure", "cycle")
Show = Literal["all", "last 10", "newest"]
SHOW: tuple[Show, ...] = ("all", "last 10", "newest")
_LAST = {"all": None, "last 10": 10, "newest": 1}
_TIMES = ((172_800.0, 86_400.0, "d"), (7200.0, 3600.0, "h"), (120.0, 60.0, "min"), (0.0, 1.0, "s"))


@dataclass(frozen=True, eq=False)
class Scale:
    """What was chosen to colour by: its name, its unit, and its value for each spectrum shown (or NaN)."""

    quantity: str
    unit: str
    values: Floats

    @property
    def limits(self) -> tuple[float, float] | None:
        """What the first and the last colour stand for; None where no value is known."""
        known = self.values[np.isfinite(self.values)]
        if not len(known):
            return None
        low, high = float(known.min()), float(known.max())
        if high - low > 1e-9 * max(abs(low), abs(high)):
            return low, high
        room = abs(low) * 0.01 or 0.5
        return low - room, high + room

    def share(self, number: int) -> float:
        """Place of a spectrum between the limits, 0 to 1; NaN where its value is not known."""
        limits, value = self.limits, float(self.values[number])
        return (value - limits[0]) / (limits[1] - limits[0]) if limits and isfinite(value) else nan


@dataclass(frozen=True, eq=False)
class Selection:
    """Spectra to be drawn, the newest last, and how they are coloured."""

    spectra: tuple[RunSpectrum, ...]
    scale: Scale
    note: str


class SpectrumView(QtCore.QObject):
    """The choice, which any of the panels may change.

    Signals:
        changed: something else is to be shown.
    """

    changed = QtCore.Signal()

    def __init__(self) -> None:
        super().__init__()
        self.colour_by: ColourBy = "time"
        self.show: Show = "all"
        self._known: tuple[object, Selection] | None = None

    def choose(self, *, colour_by: ColourBy | None = None, show: Show | None = None) -> None:
        """Show something else."""
        before = self.colour_by, self.show
        self.colour_by, self.show = colour_by or self.colour_by, show or self.show
        if (self.colour_by, self.show) != before:
            self.changed.emit()

    def state(self, model: RunModel) -> object:
        """What a selection depends on."""
        return (model.uid, model.spectra.version, self.colour_by, self.show, model.environment.version)

    def selection(self, model: RunModel) -> Selection:
        """What to draw now."""
        state = self.state(model)
        if self._known is None or self._known[0] != state:
            self._known = state, self._select(model)
        return self._known[1]

    def _select(self, model: RunModel) -> Selection:
        everything = model.spectra.all
        last = _LAST[self.show]
        candidates = everything if last is None else everything[-last:]
        spectra = tuple(candidates[number] for number in evenly(len(candidates)))
        note = ""
        if len(candidates) > MOST_CURVES:
            note = f"{len(spectra)} of {grouped(len(candidates))} spectra drawn, evenly over the run"
        return Selection(spectra, self._scale(model, spectra), note)

    def _scale(self, model: RunModel, spectra: tuple[RunSpectrum, ...]) -> Scale:
        times = np.array([spectrum.start_second for spectrum in spectra])
        if self.colour_by == "time":
            largest = float(times.max(initial=0.0))
            second, unit = next((s, u) for least, s, u in _TIMES if largest >= least)
            return Scale("Elapsed time", unit, times / second)
        if self.colour_by == "cycle":
            return Scale("Cycle", "", np.array([float(spectrum.cycle_count) for spectrum in spectra]))
        if self.colour_by == "state of charge":
            charge = np.array([spectrum.net_charge_ah for spectrum in spectra])
            mass = model.active_mass_kg
            if isfinite(mass):
                return Scale("Net charge since start", "mAh/g", charge / mass)
            return Scale("Net charge since start", "mAh", charge * 1e3)
        if self.colour_by == "temperature":
            return Scale("Temperature", "°C", _at(model.environment, TEMPERATURE, times))
        pressure = _at(model.environment, SURFACE_PRESSURE, times)
        if not np.isfinite(pressure).any():
            pressure = _at(model.environment, APPLIED_PRESSURE, times)
        return Scale("Stack pressure", "MPa", pressure / 1e6)


def _at(series: Series, column: str, times: Floats) -> Floats:
    """Values of a curve at times (s), from the valid rows about them; NaN where there are none."""
    values = series.values(column) if len(series) else np.empty(0)
    valid = np.isfinite(values)
    if not valid.any():
        return np.full(len(times), nan)
    return np.interp(times, series.time[valid], values[valid])
