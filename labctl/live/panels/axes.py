"""Axes of the time plots: elapsed time in s, min, h or d as fits, and values with SI prefixes."""

from __future__ import annotations

from typing import Any

import pyqtgraph as pg
from PySide6 import QtGui

from labctl.live.text import si_prefix
from labctl.live.timescale import decimals, multiples, time_scale

_GRID_ALPHA = 70  # of 255
_VALUE_TICK_DENSITY = 1.4


class TimeAxis(pg.AxisItem):
    """Elapsed time, given in s; unit and ticks follow what is in view.

    Args:
        labelled: False for a plot that stands above another one with the same axis: grid and ticks only.
    """

    def __init__(self, *, labelled: bool) -> None:
        self._labelled = labelled
        self._scale = time_scale(0.0, 1.0, 1.0)
        super().__init__("bottom")
        self.enableAutoSIPrefix(False)
        self.setStyle(maxTextLevel=0, hideOverlappingLabels=False, tickTextOffset=4)
        self.setGrid(_GRID_ALPHA)
        self.setStyle(showValues=labelled)
        self._choose()

    @property
    def unit(self) -> str:
        """The unit in words, such as "h" or "h:min"."""
        return self._scale.unit

    def setRange(self, mn: float, mx: float) -> None:  # noqa: N802 - Qt's spelling
        """Take a new range in s."""
        super().setRange(mn, mx)
        self._choose()

    def resizeEvent(self, ev: Any = None) -> None:  # noqa: N802 - Qt's spelling
        """Take a new width."""
        super().resizeEvent(ev)
        self._choose()

    def _choose(self) -> None:
        before, self._scale = self._scale, time_scale(self.range[0], self.range[1], self.size().width())
        if self._labelled and (before.unit != self._scale.unit or not self.labelText):
            self.setLabel(f"Elapsed time ({self._scale.unit})")

    def tickValues(self, minVal: float, maxVal: float, size: float) -> list[tuple[float, list[float]]]:  # noqa: N802
        """Major and minor ticks in s."""
        major, minor = self._scale.major_second, self._scale.minor_second
        between = [t for t in multiples(minor, minVal, maxVal) if abs(t / major - round(t / major)) > 1e-6]
        return [(major, multiples(major, minVal, maxVal)), (minor, between)]

    def tickStrings(self, values: list[float], scale: float, spacing: float) -> list[str]:  # noqa: N802
        """Labels of ticks."""
        return [self._scale.text(value) for value in values]


class ValueAxis(pg.AxisItem):
    """Values given in a plain SI unit; the prefix follows what is in view.

    Args:
        label: What is drawn, with the sign's meaning if it has one.
        unit: The plain unit.
        prefixed: Whether the unit takes prefixes (cell voltages stay in V).
    """

    def __init__(self, label: str, unit: str, *, prefixed: bool) -> None:
        self._name, self._unit, self._prefixed = label, unit, prefixed
        self.prefix = ""
        super().__init__("left")
        self.enableAutoSIPrefix(False)
        self.setStyle(maxTickLevel=1, maxTextLevel=0, tickTextOffset=5)
        self.setGrid(_GRID_ALPHA)
        self.setTickDensity(_VALUE_TICK_DENSITY)
        self.setLabel(f"{label} ({unit})")

    def setRange(self, mn: float, mx: float) -> None:  # noqa: N802 - Qt's spelling
        """Take a new range in the plain unit."""
        super().setRange(mn, mx)
        scale, prefix = si_prefix(max(abs(mn), abs(mx)))
        if self._prefixed and prefix != self.prefix:
            self.prefix = prefix
            self.setScale(1 / scale)
            self.setLabel(f"{self._name} ({prefix}{self._unit})")

    def tickStrings(self, values: list[float], scale: float, spacing: float) -> list[str]:  # noqa: N802
        """Labels of ticks, all with the decimals that their spacing needs."""
        places = decimals(spacing * scale)
        return [f"{round(value * scale, places) + 0.0:.{places}f}".replace("-", "−") for value in values]


def style_axis(axis: pg.AxisItem, text: str, line: str, font: QtGui.QFont) -> None:
    """Colours and font of an axis; the grid is drawn by it."""
    axis.setPen(pg.mkPen(line))
    axis.setTextPen(pg.mkPen(text))
    axis.setTickPen(pg.mkPen(line))
    axis.setTickFont(font)
    # Drawing grid lines into the view is slow (35 ms a frame, as a picture 2 ms, measured).
    axis.setCacheMode(axis.CacheMode.DeviceCoordinateCache)
    if axis.label is not None:
        axis.label.setFont(font)
