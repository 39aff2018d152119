"""A line through both plots at the pointer, marks on the nearest sample, and its values as text."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import TYPE_CHECKING, Any

import pyqtgraph as pg
from PySide6 import QtCore

from labctl.live.series import Series
from labctl.live.text import ampere_parts, clock_text, volt_parts

if TYPE_CHECKING:
    from labctl.live.panels.timeseries import CurvePlot
    from labctl.live.theme import Theme

_MARK_PIXEL = 8


class Crosshair:
    """Follows the pointer over the plots of one graphics widget; values are those of true samples."""

    def __init__(self, graphics: Any, plots: Sequence[CurvePlot]) -> None:
        self._plots = plots
        self._position: QtCore.QPointF | None = None
        self._lines = [pg.InfiniteLine(angle=90, movable=False) for _ in plots]
        self._marks = [pg.ScatterPlotItem(size=_MARK_PIXEL, pxMode=True) for _ in plots]
        for plot, line, mark in zip(plots, self._lines, self._marks, strict=True):
            plot.item.addItem(line, ignoreBounds=True)
            plot.item.addItem(mark, ignoreBounds=True)
        self._show(False)
        graphics.scene().sigMouseMoved.connect(self._moved)
        graphics.viewport().installEventFilter(_LeaveFilter(graphics, self.leave))

    def _moved(self, position: Any) -> None:
        self._position = QtCore.QPointF(position)

    def leave(self) -> None:
        """The pointer is elsewhere."""
        self._position = None

    def _show(self, visible: bool) -> None:
        for item in (*self._lines, *self._marks):
            item.setVisible(visible)

    def update_text(self, series: Series) -> str:
        """Move the lines to the pointer; gives time, voltage and current there, "" where nothing is."""
        time = self._pointed_time()
        row = None if time is None else series.nearest(time)
        self._show(row is not None)
        if row is None:
            return ""
        instant = float(series.time[row])
        values = {name: float(series.values(name)[row]) for name in series.curves}
        for plot, line, mark in zip(self._plots, self._lines, self._marks, strict=True):
            value = values[plot.column]
            line.setPos(instant)
            mark.setVisible(isfinite(value))
            if isfinite(value):
                mark.setData([instant], [value])
        volt, current = (
            volt_parts(values["voltage_volt"]),
            ampere_parts(values["current_ampere"], series.peak("current_ampere")),
        )
        return f"{clock_text(instant)}     {volt[0]} {volt[1]}     {current[0]} {current[1]}"

    def _pointed_time(self) -> float | None:
        if self._position is None:
            return None
        for plot in self._plots:
            if plot.view.sceneBoundingRect().contains(self._position):
                return float(plot.view.mapSceneToView(self._position).x())
        return None

    def apply_theme(self, theme: Theme) -> None:
        """Take other colours."""
        for plot, line, mark in zip(self._plots, self._lines, self._marks, strict=True):
            line.setPen(pg.mkPen(theme.muted, width=1))
            mark.setPen(pg.mkPen(theme.text, width=1))
            mark.setBrush(pg.mkBrush(theme.curve(plot.column)))


class _LeaveFilter(QtCore.QObject):
    """Tells when the pointer leaves a widget."""

    def __init__(self, parent: QtCore.QObject, told: Any) -> None:
        super().__init__(parent)
        self._told = told

    def eventFilter(self, watched: QtCore.QObject, event: QtCore.QEvent) -> bool:  # noqa: N802 - Qt's spelling
        """Let everything pass."""
        if event.type() == QtCore.QEvent.Type.Leave:
            self._told()
        return False
