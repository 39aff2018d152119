"""Voltage and current against capacity: the whole run in one line, or its cycles overlaid."""

from __future__ import annotations

from math import isfinite
from typing import Any

import numpy as np
import pyqtgraph as pg
from PySide6 import QtGui

from labctl.live.model.charge import HalfCycle
from labctl.live.model.run_model import RunModel
from labctl.live.panels.base import PlotPanel, Table, muted_label
from labctl.live.plots.axes import ValueAxis
from labctl.live.plots.curves import ColourBar, Curve, CurveBundle, evenly, joined
from labctl.live.plots.plot import Plot
from labctl.live.text import grouped
from labctl.live.theme import Theme
from labctl.live.widgets import PickBox
from labctl.schema import CURRENT, CYCLE_COUNT, VOLTAGE

OVERLAID, IN_SEQUENCE = "cycles overlaid", "in sequence"
SPECIFIC, ABSOLUTE = "mAh/g", "mAh"
_MOST_CYCLES = 24


class CyclePanel(PlotPanel):
    """A panel with curves of half cycles, coloured by cycle."""

    def __init__(self, theme: Theme) -> None:
        self.bar = ColourBar()
        self.bundles: list[CurveBundle] = []
        super().__init__(theme)
        self.unit = PickBox()
        self.unit.addItems([SPECIFIC, ABSOLUTE])
        self.unit.setToolTip("Capacity per mass of active material, or of the cell")
        self.unit.currentTextChanged.connect(self.follow)
        self.add_control(self.unit)
        self.note = muted_label()
        self.add_control(self.note, 1)

    def factor(self, model: RunModel) -> tuple[float, str]:
        """What Ah are multiplied by to be shown, and the unit; mAh where no mass is known."""
        mass = model.active_mass_kg
        if self.unit.currentText() == SPECIFIC and isfinite(mass):
            return 1 / mass, "mAh/g"  # 1 Ah/kg = 1 mAh/g
        return 1e3, "mAh"

    def why_empty(self, model: RunModel) -> str:
        """Nothing was charged or discharged."""
        if any(len(half.curve) > 1 for half in model.half_cycles.all):
            return ""
        if model.contents.lacks("constant_current", "constant_voltage", "rated_current", "cc_cv"):
            return "This run neither charges nor discharges the cell"
        return "No charge or discharge yet" if model.stop is None else "The run holds no charge or discharge"

    def chosen(self, model: RunModel) -> list[HalfCycle]:
        """The half cycles to draw: those of all cycles, or of some that are spread evenly."""
        halves = [half for half in model.half_cycles.all if len(half.curve) > 1]
        counts = sorted({half.cycle_count for half in halves})
        shown = {counts[number] for number in evenly(len(counts), _MOST_CYCLES)}
        left_out = len(counts) > len(shown)
        self._say_note(
            f"{len(shown)} of {grouped(len(counts))} cycles drawn, evenly over the run" if left_out else ""
        )
        return [half for half in halves if half.cycle_count in shown]

    def _say_note(self, text: str) -> None:
        if self.note.text() != text:
            self.note.setText(text)
            self.note.setToolTip(text)

    def show_cycles(self, halves: list[HalfCycle]) -> list[float]:
        """Say what the colours mean; gives the share of each half cycle."""
        counts = [half.cycle_count for half in halves]
        low, high = min(counts), max(counts)
        if low == high:
            self.bar.hide()
            return [1.0] * len(halves)
        self.bar.show_limits("Cycle", "", low, high)
        return [(count - low) / (high - low) for count in counts]

    def restyle(self, theme: Theme, pen_width: int) -> None:
        """Take other colours."""
        for bundle in self.bundles:
            bundle.apply_theme(theme, pen_width)
        font = QtGui.QFont(self.font())
        font.setPixelSize(13)
        self.bar.apply_theme(theme, font)


class CapacityPanel(CyclePanel):
    """Voltage above, current below, over one axis of capacity."""

    name = "capacity"
    title = "Voltage against capacity"

    def __init__(self, theme: Theme) -> None:
        super().__init__(theme)
        self.mode = PickBox()
        self.mode.addItems([OVERLAID, IN_SEQUENCE])
        self.mode.setToolTip("Each charge and discharge from 0, or the whole run in one line")
        self.mode.currentTextChanged.connect(self.follow)
        self.add_control(self.mode)

    def add_plots(self) -> None:
        """Voltage above current."""
        above = ValueAxis("", "", side="bottom")
        above.setStyle(showValues=False)
        self.axis = ValueAxis("Capacity", "mAh", side="bottom")
        self.voltage = self.add_plot(
            Plot(ValueAxis("Voltage", "V", "E"), above, smallest=(0.0, 1e-3)), 0, 0, stretch=5
        )
        ampere = ValueAxis("Current", "A", "I", prefixed=True)
        self.current = self.add_plot(
            Plot(ampere, self.axis, smallest=(0.0, 1e-9), relative=0.1), 1, 0, stretch=3
        )
        self.current.view.setXLink(self.voltage.view)
        self.bundles += [CurveBundle(plot, marked=False) for plot in (self.voltage, self.current)]
        self.lines = [plot.add(pg.PlotCurveItem()) for plot in (self.voltage, self.current)]
        self.graphics.addItem(self.bar.item, row=0, col=1, rowspan=2)

    @property
    def overlaid(self) -> bool:
        """Whether cycles are laid over one another."""
        return self.mode.currentText() == OVERLAID

    def state(self, model: RunModel) -> Any:
        """The samples, and what is chosen."""
        return model.timeseries.version, self.overlaid, self.factor(model)

    def draw(self, model: RunModel) -> None:
        """Draw the cycles, or the run."""
        factor, unit = self.factor(model)
        self.axis.rename("Capacity" if self.overlaid else "Net charge since start", unit)
        self.axis.set_factor(1.0)
        halves = self.chosen(model) if self.overlaid else []
        drawn = self._cycles(halves, factor) if self.overlaid else self._course(model, factor)
        for number, (bundle, line) in enumerate(zip(self.bundles, self.lines, strict=True)):
            curves = [Curve(columns[0], columns[1 + number], share) for columns, share in drawn]
            if self.overlaid:
                bundle.draw(*with_last_cycle_joined(halves, curves))
                line.setData([], [])
            else:
                bundle.draw([], None)
                line.setData(curves[0].x, curves[0].y, connect="finite")
            plot = (self.voltage, self.current)[number]
            plot.fit_y(np.concatenate([curve.y for curve in curves]))
        self.voltage.fit_x(np.concatenate([columns[0] for columns, _ in drawn]), room=0.03)

    def _cycles(self, halves: list[HalfCycle], factor: float) -> list[tuple[tuple[np.ndarray, ...], float]]:
        shares = self.show_cycles(halves)
        return [
            (_scaled(half.curve.columns, factor), share) for half, share in zip(halves, shares, strict=True)
        ]

    def _course(self, model: RunModel, factor: float) -> list[tuple[tuple[np.ndarray, ...], float]]:
        self.bar.hide()
        self._say_note("")
        return [(_scaled(model.course.columns, factor), 1.0)]

    def restyle(self, theme: Theme, pen_width: int) -> None:
        """Take other colours."""
        super().restyle(theme, pen_width)
        for line, colour in zip(self.lines, (theme.voltage, theme.current), strict=True):
            line.setPen(pg.mkPen(colour, width=pen_width))

    def visible_data(self) -> Table:
        """The rows that are drawn."""
        if self.model is None:
            return {}
        if not self.overlaid:
            names = ("net_charge_ah", VOLTAGE, CURRENT)
            return dict(zip(names, self.model.course.columns, strict=True))
        return table_of_cycles(self.chosen(self.model))


def with_last_cycle_joined(halves: list[HalfCycle], curves: list[Curve]) -> tuple[list[Curve], Curve]:
    """The curves of all cycles but the last, and those of the last in one."""
    last = halves[-1].cycle_count
    first = next(number for number, half in enumerate(halves) if half.cycle_count == last)
    return curves[:first], joined(curves[first:])


def _scaled(columns: tuple[np.ndarray, ...], factor: float) -> tuple[np.ndarray, ...]:
    return columns[0] * factor, *columns[1:]


def table_of_cycles(halves: list[HalfCycle]) -> Table:
    """Half cycles as one table, told apart by cycle and direction (1 charge, -1 discharge)."""
    if not halves:
        return {}
    columns = [half.curve.columns for half in halves]
    lengths = [len(part[0]) for part in columns]
    joined = [np.concatenate(parts) for parts in zip(*columns, strict=True)]
    return {
        CYCLE_COUNT: np.repeat([half.cycle_count for half in halves], lengths),
        "direction": np.repeat([half.direction for half in halves], lengths),
        **dict(zip(("capacity_ah", VOLTAGE, CURRENT), joined, strict=True)),
    }
