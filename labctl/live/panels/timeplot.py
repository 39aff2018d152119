"""Panels over elapsed time: curves of a series, one stretch of time for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from math import isfinite

import numpy as np
import numpy.typing as npt
import pyqtgraph as pg
from PySide6 import QtCore, QtGui, QtWidgets

from labctl.live.model.pyramid import Floats
from labctl.live.model.run_model import RunModel
from labctl.live.model.series import Series
from labctl.live.panels.base import PlotPanel, Table
from labctl.live.plots.axes import PlotAxis, TimeAxis
from labctl.live.plots.crosshair import PointReading
from labctl.live.plots.plot import Plot
from labctl.live.plots.readings import column_value
from labctl.live.theme import Theme
from labctl.schema import TEST_TIME


def sample_reading(plots: Sequence[TimePlot], series: Series, second: float) -> PointReading | None:
    """The row of a series nearest to a time: time and one value per curve of these plots."""
    row = series.nearest(second)
    if row is None:
        return None
    instant = float(series.time[row])
    values, marks = [column_value(TEST_TIME, instant)], []
    for plot in plots:
        for column in plot.columns:
            number = float(series.values(column)[row])
            values.append(column_value(column, number, series.peak(column)))
            if isfinite(number):
                marks.append((plot, instant, number))
    return PointReading(tuple(values), instant, tuple(marks))


_SHORTEST_SPAN_SECOND = 10.0
_ROOM_AHEAD = 0.05  # share of the view that is left free for what comes, so that the axis moves in steps
_ROOM_BESIDE = 0.02


class TimeRange(QtCore.QObject):
    """One range (s of elapsed time) for several plots.

    Attributes:
        following: Whether it keeps the newest data in view.
        span_second: How much it shows while following; None for the whole run.
        pointed_second: The time under the pointer, None where it is elsewhere.

    Signals:
        moved_by_hand: the user moved or zoomed one of the plots.
        whole_run_wanted: the whole run is requested.
    """

    moved_by_hand = QtCore.Signal()
    whole_run_wanted = QtCore.Signal()

    def __init__(self) -> None:
        super().__init__()
        self.following = True
        self.span_second: float | None = None
        self.pointed_second: float | None = None
        self._pointed_by: QtWidgets.QWidget | None = None
        self.left, self.right = 0.0, _SHORTEST_SPAN_SECOND

    def keep_in_view(self, begin_second: float, end_second: float) -> None:
        """While following: show the run, or the newest part of it."""
        if not self.following:
            return
        begin, end = begin_second, end_second
        span = max(end - begin, _SHORTEST_SPAN_SECOND)
        if self.span_second is not None:
            begin, span = max(end - self.span_second, begin), min(self.span_second, span)
        fits = self.left <= begin and end <= self.right
        if not fits or (self.right - self.left) > span * (1 + 3 * _ROOM_AHEAD):
            self.left, self.right = begin - _ROOM_BESIDE * span, begin + span * (1 + _ROOM_AHEAD)

    def set_by_hand(self, left_second: float, right_second: float) -> None:
        """Show the range to which a plot was moved."""
        self.left, self.right = left_second, right_second
        self.moved_by_hand.emit()

    def point(self, panel: QtWidgets.QWidget, second: float | None) -> None:
        """Take over what is under the pointer in a panel, None where it is elsewhere."""
        forgotten = self._pointed_by is not None and not self._pointed_by.isVisible()
        if second is not None or self._pointed_by is panel or forgotten:
            self.pointed_second = second
            self._pointed_by = panel if second is not None else None


_DOT_PIXEL = 4


class TimePlot(Plot):
    """Curves of one series against time, with a range of values in common.

    Args:
        columns: The curves, by their columns in the series.
        left: The axis of values.
        labelled: Whether it has the axis of time for those above it, too.
        smallest: Smallest span of values that is shown.
        relative: See `Plot`.
    """

    def __init__(
        self,
        columns: Sequence[str],
        left: PlotAxis,
        *,
        labelled: bool,
        smallest: float,
        relative: float = 0.0,
    ) -> None:
        bottom = TimeAxis(labelled=labelled)
        super().__init__(left, bottom, one_axis=True, smallest=(0.0, smallest), relative=relative)
        self.columns = tuple(columns)
        self.series: Series | None = None
        self.curves = {column: self.add(pg.PlotCurveItem()) for column in self.columns}
        self.lonely = {column: self.add(pg.ScatterPlotItem(size=_DOT_PIXEL, pen=None)) for column in columns}

    def draw(self, series: Series, scale: float) -> None:
        """Draw what is in view; `scale` is the number of device pixels per pixel."""
        self.series = series
        left, right = self.x_range
        seen = []
        for column, curve in self.curves.items():
            x, y = series.envelope(column, left, right, self.pixels(scale))
            curve.setData(x, y, connect="finite")
            alone, dots = without_neighbours(y), self.lonely[column]
            if alone.any() or len(dots.data):  # to draw no dots takes time, too
                dots.setData(x[alone], y[alone])
            seen.append(y[(x >= left) & (x <= right)])
        self.fit_y(np.concatenate(seen))

    def clear(self) -> None:
        """Show no curve."""
        for item in (*self.curves.values(), *self.lonely.values()):
            item.setData([], [])

    def paint_curve(self, column: str, pen: QtGui.QPen) -> None:
        """Give a curve, and its samples that no line leads to, another colour."""
        self.curves[column].setPen(pen)
        self.lonely[column].setBrush(pg.mkBrush(pen.color()))


class TimePanel(PlotPanel):
    """A panel whose plots share the stretch of time with those of other panels."""

    def __init__(self, theme: Theme, time_range: TimeRange) -> None:
        self.time_range = time_range
        super().__init__(theme)

    def add_time_plot(self, plot: TimePlot, row: int, *, stretch: int) -> TimePlot:
        """Put a plot below those there are."""
        self.add_plot(plot, row, 0, stretch=stretch)
        plot.view.moved.connect(partial(self._moved, plot))
        return plot

    def _moved(self, plot: TimePlot, axis: int) -> None:
        if axis != 1:
            self.time_range.set_by_hand(*plot.x_range)

    def read_at(self, plot: Plot, x: float, y: float) -> PointReading | None:
        """The sample nearest in time."""
        series = plot.series if isinstance(plot, TimePlot) else None
        if series is None:
            return None
        beside = [one for one in self.plots if isinstance(one, TimePlot) and one.series is series]
        return sample_reading(beside, series, x)

    def read_pointer(self) -> None:
        """Read what is under the pointer; the line stands in all panels over time."""
        text = self.crosshair.update(self.time_range.pointed_second)
        self.time_range.point(self, self.crosshair.reading.x if self.crosshair.reading else None)
        self.readout.emit(text)

    def double_clicked(self) -> None:
        """Bring the whole run into view."""
        self.time_range.whole_run_wanted.emit()

    def show_model(self, model: RunModel | None) -> None:
        """Show another run."""
        super().show_model(model)
        for plot in self.plots:
            if isinstance(plot, TimePlot):
                plot.clear()

    def before_drawing(self, model: RunModel) -> None:
        """Bring the plots to the common stretch of time."""
        begin, end = model.time_span
        if isfinite(begin):
            self.time_range.keep_in_view(begin, end)
        wanted = self.time_range.left, self.time_range.right
        for plot in self.plots:
            if plot.x_range != wanted:
                plot.view.setXRange(*wanted, padding=0)


def without_neighbours(values: Floats) -> npt.NDArray[np.bool_]:
    """Which values are valid between two that are not (or the ends): a line would not show them."""
    valid = np.isfinite(values)
    return valid & ~np.append(valid[1:], False) & ~np.insert(valid[:-1], 0, False) if len(valid) else valid


def rows_in_view(series: Series, plot: Plot) -> Table:
    """The rows of a series that lie in the stretch of time of a plot, all columns of them."""
    left, right = plot.x_range
    first, last = np.searchsorted(series.time, (left, right), "left")
    rows = slice(int(first), int(last))
    table: Table = {TEST_TIME: series.time[rows].copy()}
    return table | {name: series.values(name)[rows].copy() for name in series.curves}


def dashed(colour: str, width: int) -> QtGui.QPen:
    """The pen of what was set, beside the solid one of what was measured."""
    return pg.mkPen(colour, width=width, style=QtCore.Qt.PenStyle.DashLine)
