"""Temperature and stack pressure against elapsed time: measured in solid lines, set in dashed ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyqtgraph as pg
from PySide6 import QtWidgets

from labctl.live.model.run_model import RunModel
from labctl.live.panels.base import Table, legend_label, signed
from labctl.live.panels.timeplot import TimePanel, TimePlot, TimeRange, dashed, rows_in_view
from labctl.live.plots.axes import ValueAxis
from labctl.live.theme import Theme
from labctl.schema import (
    APPLIED_PRESSURE,
    PRESSURE_SETPOINT,
    SURFACE_PRESSURE,
    TEMPERATURE,
    TEMPERATURE_SETPOINT,
)

_CELSIUS = (TEMPERATURE, TEMPERATURE_SETPOINT)
_PASCAL = (SURFACE_PRESSURE, APPLIED_PRESSURE, PRESSURE_SETPOINT)
_SET = {TEMPERATURE_SETPOINT, PRESSURE_SETPOINT}
_NAMES = {
    TEMPERATURE: "temperature",
    SURFACE_PRESSURE: "load cell",
    APPLIED_PRESSURE: "actuator",
}


class EnvironmentPanel(TimePanel):
    """Temperature above pressure."""

    name = "environment"
    title = "Temperature and pressure"

    def __init__(self, theme: Theme, time_range: TimeRange) -> None:
        super().__init__(theme, time_range)
        self.legend = legend_label()
        self.add_control(self.legend)
        self.add_control(QtWidgets.QWidget(), 1)

    def add_plots(self) -> None:
        """Two plots with one axis of time."""
        celsius = ValueAxis("Temperature", "°C", "T")
        self.temperature = TimePlot(_CELSIUS, celsius, labelled=False, smallest=2.0)
        pascal = ValueAxis("Stack pressure", "Pa", "P", prefixed=True)
        self.pressure = TimePlot(_PASCAL, pascal, labelled=True, smallest=1e6)
        self.add_time_plot(self.temperature, 0, stretch=1)
        self.add_time_plot(self.pressure, 1, stretch=1)

    def why_empty(self, model: RunModel) -> str:
        """Nothing is recorded, or nothing yet."""
        if len(model.environment):
            return ""
        if model.contents.known and not model.contents.environment:
            return "This run records neither temperature nor pressure"
        ended = self.ended or model.stop is not None
        return "The run holds no temperature or pressure" if ended else "No temperature or pressure yet"

    def state(self, model: RunModel) -> Any:
        """The readings."""
        return model.environment.version

    def draw(self, model: RunModel) -> None:
        """Draw both, and name the curves that have readings."""
        for plot in (self.temperature, self.pressure):
            plot.draw(model.environment, self.device_scale)
        text = self._named(
            [c for c in (*_CELSIUS, *_PASCAL) if np.isfinite(model.environment.values(c)).any()]
        )
        if text != self.legend.text():
            self.legend.setText(text)

    def _named(self, columns: list[str]) -> str:
        colours = self._colours(self.theme)
        measured = [("──", colours[c], _NAMES[c]) for c in columns if c not in _SET]
        given = [("╌╌", colours[c], "set") for c in columns if c in _SET]
        return signed(*measured, *given[:1])

    def _colours(self, theme: Theme) -> dict[str, str]:
        return {
            TEMPERATURE: theme.current,
            TEMPERATURE_SETPOINT: theme.muted,
            SURFACE_PRESSURE: theme.voltage,
            APPLIED_PRESSURE: theme.fourth,
            PRESSURE_SETPOINT: theme.muted,
        }

    def restyle(self, theme: Theme, pen_width: int) -> None:
        """Measured solid, set dashed."""
        for plot in (self.temperature, self.pressure):
            for column in plot.columns:
                pen = dashed if column in _SET else pg.mkPen
                plot.paint_curve(column, pen(self._colours(theme)[column], width=pen_width))

    def visible_data(self) -> Table:
        """The readings in view."""
        return rows_in_view(self.model.environment, self.temperature) if self.model is not None else {}
