"""The base of all impedance panels: choice of spectra and colours, and the colour bar."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from PySide6 import QtGui, QtWidgets

from labctl.live.model.pyramid import Floats
from labctl.live.model.run_model import RunModel
from labctl.live.model.spectra import RunSpectrum
from labctl.live.panels.base import PlotPanel, Table, muted_label
from labctl.live.panels.spectrum_view import COLOUR_BY, SHOW, Scale, Selection, SpectrumView
from labctl.live.plots.crosshair import PointReading, nearest_drawn
from labctl.live.plots.curves import ColourBar, Curve, CurveBundle
from labctl.live.plots.plot import Plot
from labctl.live.plots.readings import spectrum_reading
from labctl.live.theme import Theme
from labctl.live.widgets import PickBox
from labctl.schema import (
    CYCLE_COUNT,
    FREQUENCY,
    IMAGINARY_IMPEDANCE,
    IMPEDANCE,
    REAL_IMPEDANCE,
    SPECTRUM_COUNT,
    START_TEST_TIME,
)

XY = Callable[[RunSpectrum], tuple[Floats, Floats]]


class SpectrumPanel(PlotPanel):
    """Curves of spectra, coloured as `SpectrumView` says; the newest is drawn above them with its points."""

    def __init__(self, theme: Theme, view: SpectrumView) -> None:
        self.view = view
        self.bundles: list[CurveBundle] = []
        self.bar = ColourBar()
        super().__init__(theme)
        self._add_controls()
        view.changed.connect(self._changed)

    def _add_controls(self) -> None:
        self.colour_by, self.show_box = PickBox(), PickBox()
        self.colour_by.addItems(COLOUR_BY)
        self.show_box.addItems(SHOW)
        self.colour_by.setToolTip("What the colours of the spectra mean")
        self.show_box.setToolTip("Which spectra are drawn")
        self.note = muted_label()
        for text, box in (("Colour", self.colour_by), ("Show", self.show_box)):
            label = QtWidgets.QLabel(text)
            label.setObjectName("muted")
            self.add_control(label)
            self.add_control(box)
        self.add_control(self.note, 1)
        self.colour_by.currentTextChanged.connect(lambda text: self.view.choose(colour_by=text))
        self.show_box.currentTextChanged.connect(lambda text: self.view.choose(show=text))

    def _changed(self) -> None:
        self.colour_by.setCurrentText(self.view.colour_by)
        self.show_box.setCurrentText(self.view.show)
        self.redraw()

    def add_bar(self, rows: int) -> None:
        """Put the colour bar at the right of plots in so many rows."""
        self.graphics.addItem(self.bar.item, row=0, col=1, rowspan=rows)

    def why_empty(self, model: RunModel) -> str:
        """No impedance, or none yet."""
        if any(len(spectrum) for spectrum in model.spectra.all):
            return ""
        if model.contents.lacks(IMPEDANCE.name):
            return "This run measures no impedance"
        return "The run holds no impedance" if self.ended or model.stop else "No impedance yet"

    def state(self, model: RunModel) -> Any:
        """The spectra, their colours and their tests."""
        return self.view.state(model), model.spectra.test_version

    def curves(self, selection: Selection, xy: XY) -> tuple[list[Curve], Curve | None]:
        """Curves of all spectra but the newest, and of the newest; `xy` makes x and y of a spectrum."""
        shares = [selection.scale.share(number) for number in range(len(selection.spectra))]
        points = [xy(spectrum) for spectrum in selection.spectra]
        drawn = [Curve(x, y, share) for (x, y), share in zip(points, shares, strict=True)]
        return drawn[:-1], drawn[-1] if drawn else None

    def show_scale(self, scale: Scale, note: str) -> None:
        """Say what the colours mean."""
        limits = scale.limits
        if limits is None:
            self.bar.hide()
            note = " · ".join(part for part in (f"{scale.quantity.lower()} is not recorded", note) if part)
        else:
            self.bar.show_limits(scale.quantity, scale.unit, *limits)
        if self.note.text() != note:
            self.note.setText(note)
            self.note.setToolTip(note)

    def restyle(self, theme: Theme, pen_width: int) -> None:
        """Take other colours."""
        for bundle in self.bundles:
            bundle.apply_theme(theme, pen_width)
        font = QtGui.QFont(self.font())
        font.setPixelSize(13)
        self.bar.apply_theme(theme, font)

    def read_at(self, plot: Plot, x: float, y: float) -> PointReading | None:
        """The nearest point, with its frequency and when it was measured."""
        drawn = nearest_drawn(plot, x, y, self.plots)
        if drawn is None or self.model is None:
            return drawn
        return spectrum_reading(drawn, self.view.selection(self.model).spectra)

    def visible_data(self) -> Table:
        """All points of the spectra that are drawn."""
        if self.model is None:
            return {}
        return table_of(self.view.selection(self.model).spectra)


def table_of(spectra: tuple[RunSpectrum, ...]) -> Table:
    """Spectra as one table, told apart by `spectrum_count`."""
    lengths = [len(spectrum) for spectrum in spectra]

    def joined(columns: list[Floats]) -> Floats:
        return np.concatenate(columns) if columns else np.empty(0)

    return {
        SPECTRUM_COUNT: np.repeat([spectrum.number for spectrum in spectra], lengths),
        CYCLE_COUNT: np.repeat([spectrum.cycle_count for spectrum in spectra], lengths),
        START_TEST_TIME: np.repeat([spectrum.start_second for spectrum in spectra], lengths),
        FREQUENCY: joined([spectrum.frequency_hertz for spectrum in spectra]),
        REAL_IMPEDANCE: joined([spectrum.real_ohm for spectrum in spectra]),
        IMAGINARY_IMPEDANCE: joined([spectrum.imaginary_ohm for spectrum in spectra]),
    }


def log10(values: Floats) -> Floats:
    """Decimal logarithm, NaN where there is none."""
    return np.log10(np.where(values > 0, values, np.nan))
