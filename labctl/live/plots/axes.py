"""Axes of the plots: elapsed time in s, min, h or d as fits, values with SI prefixes, decades."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, floor, log10
from typing import Any, Literal

import pyqtgraph as pg
from PySide6 import QtCore, QtGui

from labctl.live.plots.timescale import decimals, multiples, time_scale
from labctl.live.text import power_text, si_prefix, si_tick

_GRID_ALPHA = 70  # of 255
_VALUE_TICK_DENSITY = 1.4
_AXIS_WIDTH_PIXEL = 78
_POWERS_WIDTH_PIXEL = 92
_LABEL_PIXEL = 16  # height of a label with some room
_TICK_PIXEL = {"left": 28, "right": 28, "bottom": 56}  # between labelled decades
_OVERHANG_PIXEL = 5
_FEW_DECADES = 1.2
Side = Literal["left", "bottom", "right"]


class PlotAxis(pg.AxisItem):
    """What all axes here share; `quantity`, `unit` (plain) and `prefix` say what the numbers are.

    Args:
        side: Where it stands.
        quantity: What is drawn, with the sign's meaning if it has one.
        unit: The plain unit, "" for none.
        symbol: What stands for the quantity where there is no room for it.
    """

    is_time = False

    def __init__(self, side: Side, quantity: str, unit: str, symbol: str = "") -> None:
        self.quantity, self.unit, self.prefix = quantity, unit, ""
        self.symbol = symbol or quantity
        self._said: str | None = None
        super().__init__(side)
        self._said = None
        self.enableAutoSIPrefix(False)
        self.setStyle(maxTickLevel=1, maxTextLevel=0, tickTextOffset=5)
        if side != "right":
            self.setGrid(_GRID_ALPHA)
        if side == "left":
            self.setWidth(_AXIS_WIDTH_PIXEL)
        self.setTickDensity(_VALUE_TICK_DENSITY)
        self._say()

    @property
    def shown_unit(self) -> str:
        """The unit of the numbers, with its prefix."""
        return f"{self.prefix}{self.unit}"

    def boundingRect(self) -> QtCore.QRectF:  # noqa: N802 - Qt's spelling
        """What it may draw on; a label at an end of an upright axis may stand out a little."""
        room = _OVERHANG_PIXEL if self.orientation != "bottom" else 0
        return super().boundingRect().adjusted(0, -room, 0, room)

    def _say(self) -> None:
        text = self._with_unit(self.quantity)
        upright = self.orientation in ("left", "right")
        room = self.size().height() if upright else self.size().width()
        label: Any = self.label
        if room > 0 and QtGui.QFontMetricsF(label.font()).horizontalAdvance(text) > room:
            text = self._with_unit(self.symbol)
        if text != self._said:
            self._said = text
            self.setLabel(text)
            super().resizeEvent()  # which puts the label into the middle

    def _with_unit(self, quantity: str) -> str:
        return f"{quantity} ({self.shown_unit})" if self.shown_unit else quantity

    def resizeEvent(self, ev: Any = None) -> None:  # noqa: N802 - Qt's spelling
        """Take a new size; the label may have to be shorter."""
        if ev is not None:
            self._say()
        super().resizeEvent(ev)

    def rename(self, quantity: str, unit: str, symbol: str = "") -> None:
        """Draw something else."""
        if (quantity, unit) != (self.quantity, self.unit):
            self.quantity, self.unit, self.symbol = quantity, unit, symbol or quantity
            self._say()


class TimeAxis(PlotAxis):
    """Elapsed time, given in s; unit and ticks follow what is in view.

    Args:
        labelled: False for a plot that stands above another one with the same axis: grid and ticks only.
        quantity: What time it is.
    """

    is_time = True

    def __init__(self, *, labelled: bool, quantity: str = "Elapsed time") -> None:
        self._labelled = labelled
        self._scale = time_scale(0.0, 1.0, 1.0)
        super().__init__("bottom", quantity, "s")
        self.setStyle(hideOverlappingLabels=False, tickTextOffset=4, showValues=labelled)
        self._choose()

    @property
    def shown_unit(self) -> str:
        """The unit that fits what is in view."""
        return self._scale.unit

    def _say(self) -> None:
        if self._labelled:
            super()._say()

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
        if before.unit != self._scale.unit:
            self._say()

    def tickValues(self, minVal: float, maxVal: float, size: float) -> list[tuple[float, list[float]]]:  # noqa: N802
        """Major and minor ticks in s."""
        major, minor = self._scale.major_second, self._scale.minor_second
        between = [t for t in multiples(minor, minVal, maxVal) if abs(t / major - round(t / major)) > 1e-6]
        return [(major, multiples(major, minVal, maxVal)), (minor, between)]

    def tickStrings(self, values: list[float], scale: float, spacing: float) -> list[str]:  # noqa: N802
        """Labels of ticks."""
        return [self._scale.text(value) for value in values]


class ValueAxis(PlotAxis):
    """Values given in a plain SI unit; the prefix follows what is in view.

    Args:
        quantity: What is drawn.
        unit: The plain unit.
        symbol: See `PlotAxis`.
        prefixed: Whether the unit takes prefixes (cell voltages stay in V).
        side: Where it stands.
        factor: By what the values are multiplied to be in `unit` (1e3 for Ah to be shown in mAh).

    Attributes:
        whole: Whether what is drawn is counted: no ticks between whole numbers.
    """

    def __init__(
        self,
        quantity: str,
        unit: str,
        symbol: str = "",
        *,
        prefixed: bool = False,
        side: Side = "left",
        factor: float = 1.0,
    ) -> None:
        self._prefixed, self._factor = prefixed, factor
        self.whole = False
        self._with: Sequence[ValueAxis] = ()
        super().__init__(side, quantity, unit, symbol)
        self.setScale(factor)

    def share_prefix(self, others: Sequence[ValueAxis]) -> None:
        """Take the prefix of the largest number on any of these axes, as where both have the same scale."""
        self._with = others

    def set_factor(self, factor: float) -> None:
        """Show values in another unit; see `rename`."""
        if factor != self._factor:
            self._factor = factor
            self.setScale(factor)

    def setRange(self, mn: float, mx: float) -> None:  # noqa: N802 - Qt's spelling
        """Take a new range in the plain unit."""
        super().setRange(mn, mx)
        self._choose()
        for other in self._with:
            other._choose()  # noqa: SLF001 - of the same class

    def _choose(self) -> None:
        if not self._prefixed:
            return
        largest = max(max(map(abs, axis.range)) for axis in (self, *self._with))
        scale, prefix = si_prefix(largest * self._factor)
        if prefix != self.prefix:
            self.prefix = prefix
            self.setScale(self._factor / scale)
            self._say()

    def tickValues(self, minVal: float, maxVal: float, size: float) -> list[tuple[float, list[float]]]:  # noqa: N802
        """At least two labels where there is room; of ticks whose labels would touch, each second one."""
        levels = super().tickValues(minVal, maxVal, size) or [(1.0, [])]
        if self.whole:
            levels = [level for level in levels if level[0] >= 1] or [(1.0, multiples(1.0, minVal, maxVal))]
        (spacing, values), *minor = levels
        if self.orientation == "bottom":
            return levels
        if len(values) < 2 and minor:
            (spacing, finer), *minor = minor
            values = sorted([*values, *finer])
        while len(values) > 2 and len(values) * _LABEL_PIXEL > size:
            values = [value for value in values if round(value / spacing) % 2 == 0]
            spacing, minor = 2 * spacing, []
        return [(spacing, values), *minor]

    def tickStrings(self, values: list[float], scale: float, spacing: float) -> list[str]:  # noqa: N802
        """Labels of ticks, all with the decimals that their spacing needs."""
        places = decimals(spacing * scale)
        return [f"{round(value * scale, places) + 0.0:.{places}f}".replace("-", "−") for value in values]


class LogAxis(PlotAxis):
    """Decades; the plot is drawn over the decimal logarithm.

    Args:
        quantity: What is drawn.
        unit: The plain unit.
        side: Where it stands.
        powers: Label decades as powers of ten instead of numbers with SI prefixes.
    """

    def __init__(self, quantity: str, unit: str, *, side: Side = "left", powers: bool = False) -> None:
        self._text = power_text if powers else si_tick
        super().__init__(side, quantity, unit)
        if powers and side == "left":
            self.setWidth(_POWERS_WIDTH_PIXEL)

    def tickValues(self, minVal: float, maxVal: float, size: float) -> list[tuple[float, list[float]]]:  # noqa: N802
        """Decades as far as there is room, between them 2 to 9."""
        span = max(maxVal - minVal, 1e-9)
        if span < _FEW_DECADES:
            return self._close_ticks(minVal, maxVal, size)
        each = max(1, ceil(span * _TICK_PIXEL[self.orientation] / max(size, 1.0)))
        decades = list(range(ceil(minVal - 1e-9), floor(maxVal + 1e-9) + 1))
        major = [float(n) for n in decades if n % each == 0]
        if each > 1:
            return [(float(each), major), (1.0, [float(n) for n in decades if n % each])]
        between = [n + _LOG[k] for n in range(floor(minVal), ceil(maxVal)) for k in range(2, 10)]
        return [(1.0, major), (0.3, [t for t in between if minVal <= t <= maxVal])]

    def _close_ticks(self, low: float, high: float, size: float) -> list[tuple[float, list[float]]]:
        """Within about a decade: the roundest numbers first, and between them what has room."""
        apart = (high - low) * _TICK_PIXEL[self.orientation] / max(size, 1.0)
        ticks = _with_room(_ROUND, low, high, apart)
        if len(ticks) < _FEW_TICKS:
            ticks = _with_room((*_ROUND, *range(11, 100)), low, high, apart)
        return [(0.1, ticks)]

    def tickStrings(self, values: list[float], scale: float, spacing: float) -> list[str]:  # noqa: N802
        """Labels of ticks."""
        return [self._text(10.0**value) for value in values]


_LOG = [0.0, *(log10(k) for k in range(1, 10))]
# Two leading digits, the roundest first.
_ROUND = (10, 20, 50, 30, 40, 70, 60, 80, 90, 15, 25, 12, 14, 16, 18, *range(35, 100, 5))
_FEW_TICKS = 3


def _with_room(leading: Sequence[int], low: float, high: float, apart: float) -> list[float]:
    """Logarithms of numbers with these leading digits, in order of preference, at least `apart`."""
    ticks: list[float] = []
    for digits in leading:
        for decade in range(floor(low) - 1, ceil(high)):
            tick = decade + log10(digits)
            if low <= tick <= high and all(abs(tick - other) >= apart for other in ticks):
                ticks.append(tick)
    return sorted(ticks)


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
