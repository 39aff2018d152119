"""A plot of a panel: axes, a view that can be moved, a range that follows the data until it is moved."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pyqtgraph as pg
from PySide6 import QtCore, QtGui, QtWidgets

from labctl.live.model.pyramid import Floats
from labctl.live.plots.axes import PlotAxis, style_axis
from labctl.live.theme import Theme

_ROOM = 0.06  # beside the data, as a share of their range
_LOOSE = 1.2  # how much wider than the data a range may be before it is set anew


class MovableView(pg.ViewBox):
    """A view for the wheel and for dragging.

    Over an axis, or with Shift, they act on one axis alone: by default on x, with Shift on y.

    Args:
        one_axis: Whether the wheel acts on x alone in the middle of the plot too, as along time.

    Signals:
        moved: the user moved or zoomed axis 0 (x) or 1 (y); -1 for both.
    """

    moved = QtCore.Signal(int)

    def __init__(self, *, one_axis: bool) -> None:
        super().__init__(enableMenu=False)
        self._one_axis = one_axis
        self.disableAutoRange()

    def _meant(self, ev: Any, axis: int | None) -> int | None:
        shifted = bool(ev.modifiers() & QtCore.Qt.KeyboardModifier.ShiftModifier)
        if axis is not None or not (self._one_axis or shifted):
            return axis
        return int(shifted)

    def wheelEvent(self, ev: Any, axis: int | None = None) -> None:  # noqa: N802 - Qt's spelling
        """Zoom."""
        chosen = self._meant(ev, axis)
        super().wheelEvent(ev, chosen)
        self.moved.emit(-1 if chosen is None else chosen)

    def mouseDragEvent(self, ev: Any, axis: int | None = None) -> None:  # noqa: N802 - Qt's spelling
        """Move."""
        chosen = self._meant(ev, axis)
        super().mouseDragEvent(ev, chosen)
        self.moved.emit(-1 if chosen is None else chosen)


class Plot:
    """A plot with its axes; its range follows the data while `automatic`, per axis (x, y).

    Args:
        left: The axis of values.
        bottom: The axis below.
        one_axis: See `MovableView`.
        smallest: Smallest spans of x and y that are shown.
        relative: Smallest span of y beside the largest magnitude in view.
    """

    def __init__(
        self,
        left: PlotAxis,
        bottom: PlotAxis,
        *,
        one_axis: bool = False,
        smallest: tuple[float, float] = (0.0, 0.0),
        relative: float = 0.0,
    ) -> None:
        self.left, self.bottom = left, bottom
        self.view = MovableView(one_axis=one_axis)
        self.item = pg.PlotItem(
            viewBox=self.view, axisItems={"left": left, "bottom": bottom}, enableMenu=False
        )
        self.item.hideButtons()
        self.automatic = [True, True]
        self._smallest, self._relative = smallest, relative
        self._said: QtWidgets.QGraphicsSimpleTextItem | None = None
        self._font = QtGui.QFont()
        self.view.moved.connect(self._moved)

    def _moved(self, axis: int) -> None:
        for number in (0, 1) if axis < 0 else (axis,):
            self.automatic[number] = False

    def follow(self) -> None:
        """Let the range follow the data again."""
        self.automatic = [True, True]

    @property
    def x_range(self) -> tuple[float, float]:
        """What is in view along x."""
        low, high = self.view.viewRange()[0]
        return low, high

    def pixels(self, scale: float) -> int:
        """Columns of device pixels, at `scale` of them per pixel."""
        return max(round(self.view.width() * scale), 1)

    def fit_x(self, values: Floats, room: float = _ROOM) -> None:
        """Bring x values into view, if x is automatic."""
        self._fit(0, values, room)

    def fit_y(self, values: Floats, room: float = _ROOM) -> None:
        """Bring y values into view, if y is automatic."""
        self._fit(1, values, room)

    def _fit(self, axis: int, values: Floats, room: float) -> None:
        finite = values[np.isfinite(values)]
        if not self.automatic[axis] or not len(finite):
            return
        low, high = float(finite.min()), float(finite.max())
        smallest = max(self._smallest[axis], axis * self._relative * max(abs(low), abs(high)))
        if high == low and not smallest:
            lacking = abs(low) / 2 or 0.5
        else:
            lacking = max(smallest - (high - low), 0.0) / 2
        beside = (high - low + 2 * lacking) * room + lacking
        wanted = (low - beside, high + beside)
        left, right = self.view.viewRange()[axis]
        inside = left <= low - lacking and high + lacking <= right
        # A range that moves in steps leaves the axis as it is most of the time: to draw it anew takes 3 ms.
        if not (inside and right - left <= _LOOSE * (wanted[1] - wanted[0])):
            (self.view.setXRange, self.view.setYRange)[axis](*wanted, padding=0)

    def add(self, item: Any) -> Any:
        """Add an item, and give it back."""
        self.item.addItem(item, ignoreBounds=True)
        return item

    def say(self, text: str) -> None:
        """Say why there is nothing to see, instead of numbers that mean nothing; "" if there is."""
        if self._said is None:
            self._said = QtWidgets.QGraphicsSimpleTextItem(self.view)
            self._colour_said()
        if text != self._said.text():
            self._said.setText(text)
            self.left.setStyle(showValues=not text)
        if text:
            self._said.setPos(self.view.boundingRect().center() - self._said.boundingRect().center())

    def _colour_said(self) -> None:
        if self._said is not None:
            self._said.setBrush(pg.mkBrush(self.left.textPen().color()))
            self._said.setFont(self._font)

    def apply_theme(self, theme: Theme, font: QtGui.QFont) -> None:
        """Take other colours."""
        self._font = font
        for axis in (self.left, self.bottom):
            style_axis(axis, theme.text, theme.grid, font)
        self._colour_said()


@contextmanager
def without_pictures(scene: Any) -> Iterator[None]:
    """Let a scene be drawn without the pictures that some of its items are kept as for the screen."""
    no_cache = QtWidgets.QGraphicsItem.CacheMode.NoCache
    kept = [(item, mode) for item in scene.items() if (mode := item.cacheMode()) != no_cache]
    for item, _ in kept:
        item.setCacheMode(no_cache)
    try:
        yield
    finally:
        for item, mode in kept:
            item.setCacheMode(mode)


def smooth(item: Any) -> Any:
    """Draw a curve without steps at its edges, and give it back; dear for curves of thousands of points."""
    item.opts["antialias"] = True
    return item


def set_visible(item: Any, visible: bool) -> None:
    """Show or hide an item; costs nothing where it is so already."""
    if item.isVisible() != visible:
        item.setVisible(visible)
