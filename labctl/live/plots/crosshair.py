"""A line at the pointer, marks on the nearest points, and their values as text and as numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING, Any

import numpy as np
import pyqtgraph as pg
from PySide6 import QtCore

from labctl.live.plots.axes import LogAxis, PlotAxis
from labctl.live.text import NO_VALUE, clock_text, si_parts, significant
from labctl.schema import TEST_TIME

if TYPE_CHECKING:
    from labctl.live.plots.plot import Plot
    from labctl.live.theme import Theme


_MARK_PIXEL = 8
_NEAR_PIXEL = 30.0  # what is farther from the pointer is not read
_DIGITS = 5
_DRAWN = (pg.PlotCurveItem, pg.ScatterPlotItem, pg.PlotDataItem)


@dataclass(frozen=True)
class PointValue:
    """One value: its name, the plain number with its unit, and how it is told.

    `name` carries the unit where it is that of a column (`voltage_volt`).
    """

    name: str
    number: float
    text: str


@dataclass(frozen=True)
class PointReading:
    """What stands at the pointer: values, the line's x, and marks (plot, x, y), these in plot coordinates."""

    values: tuple[PointValue, ...]
    x: float
    marks: tuple[tuple[Plot, float, float], ...]

    @property
    def text(self) -> str:
        """All values in a line."""
        return "     ".join(value.text for value in self.values)

    @property
    def table(self) -> str:
        """Names in one line and plain numbers in the next, separated by tabs: for a spreadsheet."""
        names, numbers = ((v.name for v in self.values), (repr(v.number) for v in self.values))
        return "\t".join(names) + "\n" + "\t".join(numbers)


Read = Callable[["Plot", float, float], PointReading | None]


class Crosshair:
    """Follows the pointer over the plots of one graphics widget.

    Args:
        graphics: The widget.
        plots: Its plots.
        read: Gives what stands at x and y (plot coordinates) of one of them.

    Attributes:
        reading: What is under the pointer, None where nothing is.
        last: What was under it last.
    """

    def __init__(self, graphics: Any, plots: Sequence[Plot], read: Read) -> None:
        self.reading: PointReading | None = None
        self.last: PointReading | None = None
        self._plots, self._read = plots, read
        self._position: QtCore.QPointF | None = None
        self._theme: Theme | None = None
        self._lines: dict[int, Any] = {}
        self._marks: dict[int, Any] = {}
        graphics.scene().sigMouseMoved.connect(self._moved)
        graphics.viewport().installEventFilter(_LeaveFilter(graphics, self.leave))

    def _moved(self, position: Any) -> None:
        self._position = QtCore.QPointF(position)

    def leave(self) -> None:
        """The pointer is elsewhere."""
        self._position = None

    def update(self, x_elsewhere: float | None = None) -> str:
        """Read what is at the pointer now and mark it; its text, "" where nothing is.

        Args:
            x_elsewhere: Where to draw the line while the pointer is over another widget; None for nowhere.
        """
        self.reading = self._pointed()
        self.last = self.reading or self.last
        x = self.reading.x if self.reading is not None else x_elsewhere
        marks = self.reading.marks if self.reading is not None else ()
        for number, plot in enumerate(self._plots):
            self._draw(number, plot, x, [(mx, my) for marked, mx, my in marks if marked is plot])
        return self.reading.text if self.reading is not None else ""

    def _pointed(self) -> PointReading | None:
        if self._position is None:
            return None
        for plot in self._plots:
            if plot.item.isVisible() and plot.view.sceneBoundingRect().contains(self._position):
                place = plot.view.mapSceneToView(self._position)
                return self._read(plot, place.x(), place.y())
        return None

    def _draw(self, number: int, plot: Plot, x: float | None, marks: list[tuple[float, float]]) -> None:
        if x is None and number not in self._lines:
            return
        if number not in self._lines:
            self._lines[number] = plot.add(pg.InfiniteLine(angle=90, movable=False))
            self._marks[number] = plot.add(_Marks(size=_MARK_PIXEL, pxMode=True))
            self._colour(number)
        line, mark = self._lines[number], self._marks[number]
        line.setVisible(x is not None)
        mark.setVisible(bool(marks))
        if x is not None:
            line.setPos(x)
        if marks:
            mark.setData(*map(list, zip(*marks, strict=True)))

    def apply_theme(self, theme: Theme) -> None:
        """Take other colours."""
        self._theme = theme
        for number in self._lines:
            self._colour(number)

    def _colour(self, number: int) -> None:
        if self._theme is not None:
            self._lines[number].setPen(pg.mkPen(self._theme.muted, width=1))
            self._marks[number].setPen(pg.mkPen(self._theme.text, width=1))
            self._marks[number].setBrush(pg.mkBrush(self._theme.plot))


class _Marks(pg.ScatterPlotItem):
    """The crosshair's own marks: not something to be read."""


def nearest_drawn(plot: Plot, x: float, y: float, below: Sequence[Plot] = ()) -> PointReading | None:
    """The drawn point nearest to a place, told in the units of the axes; None where none is near.

    Args:
        plot: The plot.
        x: Where, in plot coordinates.
        y: Where, in plot coordinates.
        below: Plots of which one says what x is, if this one does not.
    """
    wide, high = plot.view.viewPixelSize()
    best: tuple[float, float, float] | None = None
    for xs, ys in _drawn(plot.item):
        near = np.hypot((xs - x) / wide, (ys - y) / high)
        near[~np.isfinite(near)] = np.inf
        row = int(near.argmin())
        if near[row] <= _NEAR_PIXEL and (best is None or near[row] < best[0]):
            best = float(near[row]), float(xs[row]), float(ys[row])
    if best is None:
        return None
    named = next((one.bottom for one in (plot, *below) if one.bottom.quantity), plot.bottom)
    values = (axis_value(named, best[1]), axis_value(plot.left, best[2]))
    return PointReading(values, best[1], ((plot, best[1], best[2]),))


def _drawn(item: Any) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The points of all visible curves and marks of a plot."""
    for child in item.items:
        if isinstance(child, _DRAWN) and not isinstance(child, _Marks) and child.isVisible():
            xs, ys = child.getData()
            if xs is not None and len(xs):
                yield np.asarray(xs, dtype=float), np.asarray(ys, dtype=float)


def axis_value(axis: PlotAxis, place: float) -> PointValue:
    """What a place along an axis is in the axis's quantity and unit."""
    if axis.is_time:
        return PointValue(TEST_TIME, place, clock_text(place))
    if isinstance(axis, LogAxis):
        number = 10.0**place
        text = " ".join(si_parts(number, axis.unit, _DIGITS))
        return PointValue(_named(axis.quantity, axis.unit), number, text)
    scale: Any = axis.scale  # into the prefixed unit; pyqtgraph's own attribute
    shown = place * scale
    unit = f"{axis.prefix}{axis.unit}"
    if not unit:
        text = f"{axis.quantity} {shown:.{_DIGITS}g}".strip().replace("-", "−")
        return PointValue(axis.quantity, shown, text)
    text = significant(shown, _DIGITS) if isfinite(shown) else NO_VALUE
    return PointValue(_named(axis.quantity, unit), shown, f"{text} {unit}")


def _named(quantity: str, unit: str) -> str:
    return f"{quantity} / {unit}" if unit else quantity


class _LeaveFilter(QtCore.QObject):
    """Tells when the pointer leaves a widget."""

    def __init__(self, parent: QtCore.QObject, told: Callable[[], None]) -> None:
        super().__init__(parent)
        self._told = told

    def eventFilter(self, watched: QtCore.QObject, event: QtCore.QEvent) -> bool:  # noqa: N802 - Qt's spelling
        """Let everything pass."""
        if event.type() == QtCore.QEvent.Type.Leave:
            self._told()
        return False
