"""Many curves in one plot, coloured by a value, the newest of them emphasised."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite, nan
from typing import Any

import numpy as np
import pyqtgraph as pg
from PySide6 import QtGui

from labctl.live.model.pyramid import Floats
from labctl.live.plots.axes import PlotAxis, ValueAxis, style_axis
from labctl.live.plots.plot import Plot, set_visible, smooth
from labctl.live.theme import Theme

_BAR_PIXEL = 12
_AXIS_PIXEL = 56
_BAR_SHADES = 64
_ROOM_PIXEL = 6  # above and below, for labels at the ends
_COUNTED = ("Cycle",)


class ColourBar:
    """Stands in a column of its own beside plots. `item` is what is put into the layout."""

    def __init__(self) -> None:
        self.axis = ValueAxis("", "", side="right")
        self.axis.setWidth(_AXIS_PIXEL)
        blank = {side: PlotAxis(side, "", "") for side in ("left", "bottom")}
        self.item: Any = pg.PlotItem(
            viewBox=pg.ViewBox(enableMenu=False, enableMouse=False, defaultPadding=0),
            axisItems={"right": self.axis, **blank},
            enableMenu=False,
        )
        for side in blank:
            self.item.hideAxis(side)
        self.item.showAxis("right")
        self.item.hideButtons()
        self.item.setFixedWidth(_BAR_PIXEL + _AXIS_PIXEL)
        self.item.layout.setContentsMargins(0, _ROOM_PIXEL, 0, _ROOM_PIXEL)
        self._image = pg.ImageItem(np.linspace(0, 1, _BAR_SHADES)[None, :])
        self.item.addItem(self._image, ignoreBounds=True)
        self._limits: tuple[float, float] | None = None

    def show_limits(self, quantity: str, unit: str, low: float, high: float) -> None:
        """Say what the first and the last colour stand for."""
        self.axis.rename(quantity, unit)
        self.axis.whole = quantity in _COUNTED
        set_visible(self.item, True)
        if (low, high) == self._limits:
            return
        self._limits = low, high
        self._image.setRect(0, low, 1, high - low)
        self.item.vb.setRange(xRange=(0, 1), yRange=(low, high), padding=0)

    def hide(self) -> None:
        """Nothing is coloured."""
        set_visible(self.item, False)

    def apply_theme(self, theme: Theme, font: QtGui.QFont) -> None:
        """Take other colours."""
        colours = [QtGui.QColor(theme.shade(n / (_BAR_SHADES - 1))) for n in range(_BAR_SHADES)]
        table = [(colour.red(), colour.green(), colour.blue()) for colour in colours]
        self._image.setLookupTable(np.array(table, dtype=np.ubyte))
        style_axis(self.axis, theme.text, theme.grid, font)


_SHADES = 24
_NEWEST_WIDTH = 2
_MARK_PIXEL = 5
MOST_CURVES = 60


@dataclass(frozen=True, eq=False)
class Curve:
    """One curve: x and y of shape (points,), and its place between the first (0) and the last (1) colour.

    NaN for a share means that its value is not known.
    """

    x: Floats
    y: Floats
    share: float = nan


def evenly(count: int, most: int = MOST_CURVES) -> list[int]:
    """Numbers below `count`: all of them, or `most` spread evenly, the first and the last among them."""
    if count <= most:
        return list(range(count))
    return np.unique(np.linspace(0, count - 1, most).round().astype(int)).tolist()


class CurveBundle:
    """Draws curves with one item to a shade, which is quick where one item to a curve is not.

    Args:
        plot: Where to draw.
        marked: Whether the points of the newest curve are marked, as where curves have few points; they are
            drawn smooth then.
    """

    def __init__(self, plot: Plot, *, marked: bool) -> None:
        self._plot = plot
        self.items: dict[int, pg.PlotCurveItem] = {}  # by shade
        self._drawn: dict[int, Curve] = {}
        self.newest = plot.add(pg.PlotCurveItem())
        self.marks = plot.add(pg.ScatterPlotItem(size=_MARK_PIXEL, pxMode=True))
        for item in (self.newest, self.marks):
            item.setZValue(1)
        set_visible(self.marks, marked)
        self._marked = marked
        if marked:
            smooth(self.newest)
        self._share = 1.0
        self._theme: Theme | None = None
        self._width = 1

    def draw(self, curves: Sequence[Curve], newest: Curve | None) -> None:
        """Draw curves, and one above them."""
        shades: dict[int, list[Curve]] = {}
        for curve in curves:
            shades.setdefault(_shade(curve.share), []).append(curve)
        for shade in shades.keys() | self.items.keys():
            together, before = joined(shades.get(shade, [])), self._drawn.get(shade)
            if before is None or not (_same(before.x, together.x) and _same(before.y, together.y)):
                self._drawn[shade] = together
                self._item(shade).setData(together.x, together.y, connect="finite")
        shown = newest or Curve(np.empty(0), np.empty(0))
        self.newest.setData(shown.x, shown.y, connect="finite")
        if self._marked:
            finite = np.isfinite(shown.x) & np.isfinite(shown.y)
            self.marks.setData(shown.x[finite], shown.y[finite])
        if newest is not None and newest.share != self._share:
            self._share = newest.share
            self._colour_newest()

    def _item(self, shade: int) -> pg.PlotCurveItem:
        if shade not in self.items:
            item = self.items[shade] = self._plot.add(pg.PlotCurveItem())
            # These curves change seldom while the newest does all the time: they are kept as pictures.
            item.setCacheMode(item.CacheMode.DeviceCoordinateCache)
            if self._marked:
                smooth(item)
            self._colour(shade)
        return self.items[shade]

    def apply_theme(self, theme: Theme, width: int) -> None:
        """Take other colours; thin curves are `width` wide."""
        self._theme, self._width = theme, width
        for shade in self.items:
            self._colour(shade)
        self._colour_newest()

    def _colour(self, shade: int) -> None:
        if self._theme is not None:
            known = shade < _SHADES
            colour = self._theme.shade(shade / (_SHADES - 1)) if known else self._theme.muted
            self.items[shade].setPen(pg.mkPen(colour, width=self._width))

    def _colour_newest(self) -> None:
        if self._theme is None:
            return
        colour = self._theme.shade(self._share) if isfinite(self._share) else self._theme.text
        self.newest.setPen(pg.mkPen(colour, width=self._width * _NEWEST_WIDTH))
        self.marks.setPen(pg.mkPen(None))
        self.marks.setBrush(pg.mkBrush(colour))


def _same(one: Floats, other: Floats) -> bool:
    """Whether both hold the same bits: cheaper than equal numbers, and NaN is the same as NaN."""
    return one is other or (len(one) == len(other) and one.tobytes() == other.tobytes())


def _shade(share: float) -> int:
    return round(min(max(share, 0.0), 1.0) * (_SHADES - 1)) if isfinite(share) else _SHADES


def joined(curves: Sequence[Curve]) -> Curve:
    """All curves in one, with a hole between any two; with the share of the last."""
    if not curves:
        return Curve(np.empty(0), np.empty(0))
    hole = np.array([nan])
    x = np.concatenate([part for curve in curves for part in (curve.x, hole)])
    y = np.concatenate([part for curve in curves for part in (curve.y, hole)])
    return Curve(x, y, curves[-1].share)
