"""Capacity, coulombic efficiency, retention and polarisation, cycle by cycle."""

from __future__ import annotations

from dataclasses import fields
from math import isfinite
from typing import Any

import numpy as np
import numpy.typing as npt
import pyqtgraph as pg

from labctl.analysis.cycling.cycles import CycleResult
from labctl.live.model.pyramid import Floats
from labctl.live.model.run_model import RunModel
from labctl.live.panels.base import PlotPanel, Table, legend_label, muted_label, signed
from labctl.live.plots.axes import ValueAxis
from labctl.live.plots.plot import Plot
from labctl.live.theme import Theme

_MARK_PIXEL, _SMALLEST_MARK_PIXEL = 8, 4
_OVERLAP = 1.6  # size of a mark beside the distance to the next one


class CyclesPanel(PlotPanel):
    """Four plots over the number of the cycle. Open marks: a cycle that still runs."""

    name = "cycles"
    title = "Cycles"

    def __init__(self, theme: Theme) -> None:
        self.legend = legend_label()
        super().__init__(theme)
        self.note = muted_label()
        self.add_control(self.legend)
        self.add_control(self.note, 1)

    def add_plots(self) -> None:
        """Capacity and efficiency above, retention and polarisation below."""
        axes = [_cycle_axis(labelled=row == 1) for row in (0, 0, 1, 1)]
        self.capacity_axis = ValueAxis("Capacity", "mAh")
        self.capacity = self.add_plot(Plot(self.capacity_axis, axes[0]), 0, 0)
        efficiency = ValueAxis("Coulombic efficiency", "%", "CE")
        self.efficiency = self.add_plot(Plot(efficiency, axes[1], smallest=(0.0, 0.2)), 0, 1)
        retention = ValueAxis("Retention", "%", "Q/Q₁")
        self.retention = self.add_plot(Plot(retention, axes[2], smallest=(0.0, 1.0)), 1, 0)
        polarization = ValueAxis("Polarisation", "V", "ΔE", prefixed=True)
        self.polarization = self.add_plot(Plot(polarization, axes[3], smallest=(0.0, 1e-3)), 1, 1)
        for plot in self.plots[1:]:
            plot.view.setXLink(self.capacity.view)
        self.charge, self.discharge = (Marks(self.capacity, symbol) for symbol in ("t1", "t"))
        self.others = [Marks(plot, "o") for plot in self.plots[1:]]

    def why_empty(self, model: RunModel) -> str:
        """Nothing was charged or discharged."""
        if model.cycles.started:
            return ""
        if model.contents.lacks("constant_current", "constant_voltage", "rated_current", "cc_cv"):
            return "This run neither charges nor discharges the cell"
        return "No charge or discharge yet" if model.stop is None else "The run holds no charge or discharge"

    def state(self, model: RunModel) -> Any:
        """The cycles."""
        return model.cycles.version

    def draw(self, model: RunModel) -> None:
        """Draw all cycles."""
        cycles = model.cycles.results()
        mass = model.active_mass_kg
        factor, unit = (1 / mass, "mAh/g") if isfinite(mass) else (1e3, "mAh")
        self.capacity_axis.rename("Capacity", unit, "Q")
        count = np.array([float(cycle.cycle_count) for cycle in cycles])
        done = np.array([cycle.complete for cycle in cycles])
        apart = self.capacity.view.width() / max(len(cycles), 1)
        size = min(max(round(_OVERLAP * apart), _SMALLEST_MARK_PIXEL), _MARK_PIXEL)
        charge = np.array([cycle.charge_capacity_ah for cycle in cycles]) * factor
        discharge = np.array([cycle.discharge_capacity_ah for cycle in cycles]) * factor
        self.charge.draw(count, charge, done, size)
        self.discharge.draw(count, discharge, done, size)
        shown = (
            np.array([cycle.coulombic_efficiency for cycle in cycles]) * 100,
            np.array([cycle.retention for cycle in cycles]) * 100,
            np.array([cycle.polarization_volt for cycle in cycles]),
        )
        for marks, plot, values in zip(self.others, self.plots[1:], shown, strict=True):
            marks.draw(count, values, done, size)
            plot.fit_y(values)
            plot.say("" if np.isfinite(values).any() else "no complete cycle")
        self.capacity.fit_y(np.concatenate((charge, discharge, [0.0])))
        self.capacity.fit_x(np.append(count, (count.min() - 0.5, count.max() + 0.5)), room=0.02)
        self._tell(model)

    def _tell(self, model: RunModel) -> None:
        """What the numbers refer to."""
        mass = model.active_mass_kg
        per = f"per mass of active material ({mass * 1e6:.3g} mg)" if isfinite(mass) else "of the cell"
        text = f"Capacity {per} · retention against the first cycle of the same rate · open: still running"
        if text != self.note.text():
            self.note.setText(text)
            self.note.setToolTip(text)

    def restyle(self, theme: Theme, pen_width: int) -> None:
        """Take other colours."""
        colours = (theme.voltage, theme.current, theme.third, theme.voltage, theme.fourth)
        for marks, colour in zip((self.charge, self.discharge, *self.others), colours, strict=True):
            marks.apply_colour(colour, pen_width)
        self.legend.setText(signed(("▲", theme.voltage, "charge"), ("▼", theme.current, "discharge")))

    def visible_data(self) -> Table:
        """One row per cycle."""
        cycles = self.model.cycles.results() if self.model is not None else []
        table: Table = {}
        for name in (field.name for field in fields(CycleResult)):
            values = [getattr(cycle, name) for cycle in cycles]
            table[name] = np.array([np.nan if value is None else value for value in values])
        table["polarization_volt"] = np.array([cycle.polarization_volt for cycle in cycles])
        return table if cycles else {}


class Marks:
    """One mark to a cycle: filled where it is complete, open while it runs."""

    def __init__(self, plot: Plot, symbol: str) -> None:
        self.complete, self.running = (
            plot.add(pg.ScatterPlotItem(symbol=symbol, size=_MARK_PIXEL, pxMode=True)) for _ in range(2)
        )

    def draw(self, count: Floats, values: Floats, complete: npt.NDArray[np.bool_], size: int) -> None:
        """Draw what is known."""
        known = np.isfinite(values)
        for item, chosen in ((self.complete, known & complete), (self.running, known & ~complete)):
            item.setData(count[chosen], values[chosen], size=size)

    def apply_colour(self, colour: str, pen_width: int) -> None:
        """Take another colour."""
        for item in (self.complete, self.running):
            item.setPen(pg.mkPen(colour, width=pen_width))
        self.complete.setBrush(pg.mkBrush(colour))
        self.running.setBrush(pg.mkBrush(None))


def _cycle_axis(*, labelled: bool) -> ValueAxis:
    axis = ValueAxis("Cycle" if labelled else "", "", side="bottom")
    axis.setStyle(showValues=labelled)
    axis.whole = True
    return axis
