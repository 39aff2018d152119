"""Voltage and current against elapsed time: two plots with one time axis."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pyqtgraph as pg
from PySide6 import QtCore, QtGui, QtWidgets

from labctl.live.panels.axes import TimeAxis, ValueAxis, style_axis
from labctl.live.panels.crosshair import Crosshair
from labctl.live.series import Series
from labctl.live.theme import Theme

_AXIS_WIDTH_PIXEL = 78
_TICK_FONT_PIXEL = 13
_SHORTEST_SPAN_SECOND = 10.0
_ROOM_AHEAD = 0.05  # share of the view that is left free for what comes, so that the axis moves in steps
_ROOM_BESIDE = 0.02
_ROOM_ABOVE = 0.06
_SMALLEST_SPAN = {"voltage_volt": 1e-3, "current_ampere": 1e-9}


class TimeViewBox(pg.ViewBox):
    """Wheel and dragging act on time; with Shift, or over the value axis, on the value.

    Signals:
        moved: somebody moved or zoomed axis 0 (time) or 1 (value).
    """

    moved = QtCore.Signal(int)

    def wheelEvent(self, ev: Any, axis: int | None = None) -> None:  # noqa: N802 - Qt's spelling
        """Zoom one axis."""
        chosen = _axis_meant(ev, axis)
        super().wheelEvent(ev, chosen)
        self.moved.emit(chosen)

    def mouseDragEvent(self, ev: Any, axis: int | None = None) -> None:  # noqa: N802 - Qt's spelling
        """Move one axis."""
        chosen = _axis_meant(ev, axis)
        super().mouseDragEvent(ev, chosen)
        self.moved.emit(chosen)


def _axis_meant(ev: Any, axis: int | None) -> int:
    shifted = bool(ev.modifiers() & QtCore.Qt.KeyboardModifier.ShiftModifier)
    return axis if axis is not None else int(shifted)


class CurvePlot:
    """One plot of the panel: its axes, its curve, and its range of values."""

    def __init__(self, column: str, label: str, unit: str, *, prefixed: bool, lowest: bool) -> None:
        self.column = column
        self.value_axis = ValueAxis(label, unit, prefixed=prefixed)
        self.time_axis = TimeAxis(labelled=lowest)
        self.view = TimeViewBox(enableMenu=False)
        self.view.disableAutoRange()
        axes = {"left": self.value_axis, "bottom": self.time_axis}
        self.item = pg.PlotItem(viewBox=self.view, axisItems=axes, enableMenu=False)
        self.item.hideButtons()
        self.value_axis.setWidth(_AXIS_WIDTH_PIXEL)
        self.curve = pg.PlotCurveItem()
        self.item.addItem(self.curve)
        self.zero = pg.InfiniteLine(pos=0.0, angle=0)
        self.zero.setVisible(column == "current_ampere")
        self.item.addItem(self.zero)
        self.automatic = True

    def draw(self, series: Series, scale: float) -> None:
        """Draw what is in view; `scale` is the number of device pixels per pixel."""
        left, right = self.view.viewRange()[0]
        columns = round(max(self.view.width(), 1.0) * scale)
        x, y = series.envelope(self.column, left, right, columns)
        self.curve.setData(x, y, connect="finite")
        if self.automatic:
            self._fit(y[(x >= left) & (x <= right)])

    def _fit(self, values: np.ndarray) -> None:
        finite = values[np.isfinite(values)]
        if not len(finite):
            return
        low, high = float(finite.min()), float(finite.max())
        lacking = max(_SMALLEST_SPAN[self.column] - (high - low), 0.0) / 2
        room = (high - low + 2 * lacking) * _ROOM_ABOVE + lacking
        wanted = (low - room, high + room)
        if not np.allclose(wanted, self.view.viewRange()[1], rtol=0, atol=1e-6 * (wanted[1] - wanted[0])):
            self.view.setYRange(*wanted, padding=0)

    def clear(self) -> None:
        """Show no curve."""
        self.curve.setData([], [])
        self.automatic = True

    def apply_theme(self, theme: Theme, font: QtGui.QFont, pen_width: int) -> None:
        """Colours; the curve's pen is one pixel wide on a screen, more only in large pictures."""
        colour = theme.curve(self.column)
        self.curve.setPen(pg.mkPen(colour, width=pen_width))
        self.zero.setPen(pg.mkPen(theme.muted, width=1))
        for axis in (self.value_axis, self.time_axis):
            style_axis(axis, theme.text, theme.grid, font)
        self.value_axis.setTextPen(pg.mkPen(colour))


class TimeSeriesPanel(QtWidgets.QWidget):
    """Both plots, their crosshair, and a message where there is nothing to draw.

    Signals:
        moved_by_hand: somebody zoomed or moved along time.
        whole_run_wanted: somebody double-clicked.
        readout: the values under the pointer as text, "" when it is elsewhere.
    """

    moved_by_hand = QtCore.Signal()
    whole_run_wanted = QtCore.Signal()
    readout = QtCore.Signal(str)

    def __init__(self, theme: Theme, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self.following = True
        self.span_second: float | None = None
        self.picture_scale = 1.0
        self._theme = theme
        self._series: Series | None = None
        self._drawn: tuple[Any, ...] = ()
        self.voltage = CurvePlot("voltage_volt", "Voltage", "V", prefixed=False, lowest=False)
        self.current = CurvePlot("current_ampere", "Current", "A", prefixed=True, lowest=True)
        self.plots = (self.voltage, self.current)
        self._lay_out()
        self.crosshair = Crosshair(self.graphics, self.plots)
        self._connect()
        self.apply_theme(theme)

    def _lay_out(self) -> None:
        self.graphics: Any = pg.GraphicsLayoutWidget(self)
        self.graphics.ci.setContentsMargins(2, 6, 14, 2)
        self.graphics.ci.setSpacing(4)
        for row, (plot, stretch) in enumerate(zip(self.plots, (5, 3), strict=True)):
            self.graphics.addItem(plot.item, row=row, col=0)
            self.graphics.ci.layout.setRowStretchFactor(row, stretch)
        self.current.view.setXLink(self.voltage.view)
        self.message = QtWidgets.QLabel()
        self.message.setObjectName("message")
        self.message.setAlignment(QtCore.Qt.AlignmentFlag.AlignCenter)
        self.message.setWordWrap(True)
        # One or the other: axes without data would show numbers that mean nothing.
        self._either = QtWidgets.QStackedLayout(self)
        self._either.addWidget(self.graphics)
        self._either.addWidget(self.message)

    def _connect(self) -> None:
        for plot in self.plots:
            plot.view.moved.connect(partial(self._moved, plot))
        self.graphics.scene().sigMouseClicked.connect(self._clicked)

    def _moved(self, plot: CurvePlot, axis: int) -> None:
        if axis == 1:
            plot.automatic = False
        else:
            self.moved_by_hand.emit()

    def _clicked(self, event: Any) -> None:
        if event.double():
            self.whole_run_wanted.emit()

    def show_series(self, series: Series | None) -> None:
        """Show another run."""
        self._series, self._drawn = series, ()
        for plot in self.plots:
            plot.clear()

    def say(self, message: str) -> None:
        """Show why there is nothing to see; "" when there is."""
        if message == self.message.text():
            return
        self.message.setText(message)
        self._either.setCurrentWidget(self.message if message else self.graphics)

    def apply_theme(self, theme: Theme) -> None:
        """Take other colours."""
        self._theme, self._drawn = theme, ()
        self.graphics.setBackground(theme.plot)
        font = QtGui.QFont(self.font())
        font.setPixelSize(_TICK_FONT_PIXEL)
        for plot in self.plots:
            plot.apply_theme(theme, font, pen_width=max(round(self.picture_scale), 1))
        self.crosshair.apply_theme(theme)

    def follow(self, following: bool) -> None:
        """Keep the newest sample and the run (or the chosen span of it) in view, or leave the view alone."""
        self.following, self._drawn = following, ()
        if following:
            for plot in self.plots:
                plot.automatic = True

    def refresh(self) -> None:
        """Draw what has changed since the last call."""
        series = self._series
        if series is None:
            return
        if self.following:
            self._keep_in_view(series)
        self.readout.emit(self.crosshair.update_text(series))
        ranges = [tuple(side) for plot in self.plots for side in plot.view.viewRange()]
        state = (series.version, *ranges, self.width(), self.height(), self.picture_scale)
        if state == self._drawn or not len(series):
            return
        for plot in self.plots:
            plot.draw(series, self.picture_scale * self.devicePixelRatioF())
        self._drawn = state

    def _keep_in_view(self, series: Series) -> None:
        time = series.time
        if not len(time):
            return
        begin, end = float(time[0]), float(time[-1])
        span = max(end - begin, _SHORTEST_SPAN_SECOND)
        if self.span_second is not None:
            begin, span = max(end - self.span_second, begin), min(self.span_second, span)
        left, right = self.voltage.view.viewRange()[0]
        fits = left <= begin and end <= right and (right - left) <= span * (1 + 3 * _ROOM_AHEAD)
        if not fits:
            self.voltage.view.setXRange(
                begin - _ROOM_BESIDE * span, begin + span * (1 + _ROOM_AHEAD), padding=0
            )
