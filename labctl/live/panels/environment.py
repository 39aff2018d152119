"""Temperature and stack pressure against elapsed time: measured in solid lines, set in dashed ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyqtgraph as pg

from labctl.live.model import RunModel
from labctl.live.panels.axes import ValueAxis
from labctl.live.panels.base import Table, muted_label
from labctl.live.panels.timeplot import TimePanel, TimePlot, dashed, rows_in_view
from labctl.live.theme import Theme
from labctl.live.timerange import TimeRange

_SET = {"temperature_setpoint_celsius", "pressure_setpoint_pa"}
_NAMES = {
    "temperature_t1_celsius": "temperature",
    "temperature_setpoint_celsius": "set",
    "surface_pressure_pa": "pressure by the load cell",
    "applied_pressure_pa": "by the actuator",
    "pressure_setpoint_pa": "set",
}


class EnvironmentPanel(TimePanel):
    """Temperature above pressure."""

    name = "environment"
    title = "Temperature and pressure"

    def __init__(self, theme: Theme, time_range: TimeRange) -> None:
        super().__init__(theme, time_range)
        self.note = muted_label(rich=True)
        self.add_control(self.note, 1)

    def add_plots(self) -> None:
        """Two plots with one axis of time."""
        names = tuple(_NAMES)
        celsius = ValueAxis("Temperature", "°C", "T")
        self.temperature = TimePlot(names[:2], celsius, labelled=False, smallest=2.0)
        pascal = ValueAxis("Stack pressure", "Pa", "P", prefixed=True)
        self.pressure = TimePlot(names[2:], pascal, labelled=True, smallest=1e6)
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
        named = []
        for plot in (self.temperature, self.pressure):
            plot.draw(model.environment, self.device_scale)
            known = [c for c in plot.columns if np.isfinite(model.environment.values(c)).any()]
            named.append(" &nbsp; ".join(self._named(column) for column in known))
        text = " &nbsp; · &nbsp; ".join(part for part in named if part)
        if text != self.note.text():
            self.note.setText(text)

    def _named(self, column: str) -> str:
        line = "╌╌" if column in _SET else "──"
        return f"<span style='color:{self._colours(self.theme)[column]}'>{line}</span> {_NAMES[column]}"

    def _colours(self, theme: Theme) -> dict[str, str]:
        return {
            "temperature_t1_celsius": theme.current,
            "temperature_setpoint_celsius": theme.muted,
            "surface_pressure_pa": theme.voltage,
            "applied_pressure_pa": theme.fourth,
            "pressure_setpoint_pa": theme.muted,
        }

    def restyle(self, theme: Theme, pen_width: int) -> None:
        """Measured solid, set dashed."""
        for plot in (self.temperature, self.pressure):
            for column, curve in plot.curves.items():
                pen = dashed if column in _SET else pg.mkPen
                curve.setPen(pen(self._colours(theme)[column], width=pen_width))

    def visible_data(self) -> Table:
        """The readings in view."""
        return rows_in_view(self.model.environment, self.temperature) if self.model is not None else {}
