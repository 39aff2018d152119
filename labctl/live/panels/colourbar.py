"""What the colours of curves mean: a narrow bar with an axis."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyqtgraph as pg
from PySide6 import QtGui

from labctl.live.panels.axes import PlotAxis, ValueAxis, style_axis
from labctl.live.panels.plot import set_visible
from labctl.live.theme import Theme

_BAR_PIXEL = 12
_AXIS_PIXEL = 56
_SHADES = 64
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
        self._image = pg.ImageItem(np.linspace(0, 1, _SHADES)[None, :])
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
        colours = [QtGui.QColor(theme.shade(n / (_SHADES - 1))) for n in range(_SHADES)]
        table = [(colour.red(), colour.green(), colour.blue()) for colour in colours]
        self._image.setLookupTable(np.array(table, dtype=np.ubyte))
        style_axis(self.axis, theme.text, theme.grid, font)
