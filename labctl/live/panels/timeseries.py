"""Voltage and current against elapsed time: two plots with one time axis."""

from __future__ import annotations

from typing import Any

import pyqtgraph as pg

from labctl.live.model.run_model import RunModel
from labctl.live.panels.base import Table
from labctl.live.panels.timeplot import TimePanel, TimePlot, rows_in_view
from labctl.live.plots.axes import ValueAxis
from labctl.live.theme import Theme
from labctl.schema import CURRENT, VOLTAGE


class TimeSeriesPanel(TimePanel):
    """Both plots."""

    name = "voltage"
    title = "Voltage and current"

    def add_plots(self) -> None:
        """Voltage above current."""
        volt = ValueAxis("Voltage", "V", "E")
        ampere = ValueAxis("Current", "A", "I", prefixed=True)
        self.voltage = TimePlot([VOLTAGE], volt, labelled=False, smallest=1e-3)
        self.current = TimePlot([CURRENT], ampere, labelled=True, smallest=1e-9, relative=0.1)
        self.add_time_plot(self.voltage, 0, stretch=5)
        self.add_time_plot(self.current, 1, stretch=3)
        self.zero = self.current.add(pg.InfiniteLine(pos=0.0, angle=0))

    def why_empty(self, model: RunModel) -> str:
        """No sample has come."""
        if len(model.timeseries):
            return ""
        return "The run holds no samples" if self.ended or model.stop else "Waiting for the first sample …"

    def state(self, model: RunModel) -> Any:
        """The samples."""
        return model.timeseries.version

    def draw(self, model: RunModel) -> None:
        """Draw both curves."""
        for plot in (self.voltage, self.current):
            plot.draw(model.timeseries, self.device_scale)

    def restyle(self, theme: Theme, pen_width: int) -> None:
        """Each curve has the colour of its axis."""
        for column, plot in ((VOLTAGE, self.voltage), (CURRENT, self.current)):
            plot.paint_curve(column, pg.mkPen(theme.curve(column), width=pen_width))
            plot.left.setTextPen(pg.mkPen(theme.curve(column)))
        self.zero.setPen(pg.mkPen(theme.muted, width=1))

    def visible_data(self) -> Table:
        """The samples in view."""
        return rows_in_view(self.model.timeseries, self.voltage) if self.model is not None else {}
