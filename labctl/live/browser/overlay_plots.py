"""The three ways to lay runs over one another: voltage over capacity, over time, and capacity per cycle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyqtgraph as pg
from PySide6 import QtCore

from labctl.live.browser.overlays import Basis, CycleChoice, Overlay, lacking_mass
from labctl.live.model.pyramid import Floats
from labctl.live.plots.axes import TimeAxis, ValueAxis
from labctl.live.plots.plot import Plot
from labctl.live.theme import Theme
from labctl.schema import CYCLE_COUNT, TEST_TIME, VOLTAGE

Table = dict[str, npt.NDArray[np.generic]]
Way = Literal["voltage over capacity", "voltage over time", "capacity per cycle"]
_STYLES = (
    QtCore.Qt.PenStyle.SolidLine,
    QtCore.Qt.PenStyle.DashLine,
    QtCore.Qt.PenStyle.DotLine,
    QtCore.Qt.PenStyle.DashDotLine,
)
_SYMBOLS = ("o", "s", "t", "d")
_SYMBOL_PIXEL = 7
_EMPHASIS = 2.5
# After Okabe and Ito (2008), as far as they stand out from the plot.
_COLOURS = {
    "dark": ("#56b4e9", "#e69f00", "#2bc08e", "#cc79a7", "#f0e442", "#ff7a45", "#8fa8ff", "#c3c9d0"),
    "light": ("#0072b2", "#d55e00", "#00795a", "#a8487e", "#b8860b", "#56b4e9", "#5b3fa0", "#5b6570"),
}


@dataclass(frozen=True)
class Look:
    """How a run is drawn: the colour of its cell, and a line and a mark of its own among that cell's runs."""

    colour: str
    style: QtCore.Qt.PenStyle
    symbol: str

    def pen(self, width: float) -> Any:
        """Its pen; solid lines of one pixel are the quickest to draw."""
        return pg.mkPen(self.colour, width=width, style=self.style)


def looks_of(overlays: Sequence[Overlay], theme: Theme) -> dict[str, Look]:
    """The look of each run, by uid; runs of one cell share a colour."""
    cells: dict[str, int] = {}
    found: dict[str, Look] = {}
    for overlay in overlays:
        colours = _COLOURS[theme.name]
        cell = overlay.run.cell_id or overlay.run.uid
        number = list(cells).index(cell) if cell in cells else len(cells)
        nth = cells[cell] = cells.get(cell, -1) + 1
        kind = (number // len(colours) + nth) % len(_STYLES)
        found[overlay.run.uid] = Look(colours[number % len(colours)], _STYLES[kind], _SYMBOLS[kind])
    return found


class OverlayPlot:
    """One way: a plot, and the items of each run in it.

    Args:
        way: What is drawn against what.
    """

    def __init__(self, way: Way) -> None:
        self.way: Way = way
        self.graphics: Any = pg.GraphicsLayoutWidget()
        self.graphics.ci.setContentsMargins(2, 6, 14, 2)
        self.plot = _plot(way)
        self.graphics.addItem(self.plot.item, row=0, col=0)
        self._items: dict[str, list[Any]] = {}

    def why_empty(self, overlays: Sequence[Overlay], basis: Basis, cycles: CycleChoice) -> str:
        """Why there is nothing to see; "" if there is something."""
        if self.way == "voltage over time":
            return "" if any(len(o.series) for o in overlays) else "None of the runs holds samples"
        if basis == "mAh/g" and not any(isfinite(o.active_mass_kg) for o in overlays):
            return f"{lacking_mass(overlays)}; choose mAh"
        if self.way == "capacity per cycle":
            there = any(len(o.per_cycle(basis)[0]) for o in overlays)
            return "" if there else "None of the runs marks cycles in its protocol"
        if not any(o.halves for o in overlays):
            return "None of the runs holds charges or discharges"
        return "" if any(o.chosen(cycles) for o in overlays) else "None of the runs has these cycles"

    def draw(
        self,
        overlays: Sequence[Overlay],
        looks: dict[str, Look],
        basis: Basis,
        cycles: CycleChoice,
        scale: float,
    ) -> None:
        """Draw runs, at `scale` device pixels per pixel."""
        for uid in [uid for uid in self._items if uid not in looks]:
            for item in self._items.pop(uid):
                self.plot.item.removeItem(item)
        self._name_axes(basis)
        drawn = [self._draw(overlay, looks[overlay.run.uid], basis, cycles, scale) for overlay in overlays]
        self._fit(drawn, overlays)

    def _draw(
        self, overlay: Overlay, look: Look, basis: Basis, cycles: CycleChoice, scale: float
    ) -> tuple[Floats, Floats]:
        items = self._items.get(overlay.run.uid) or self._make(overlay.run.uid)
        if self.way == "voltage over time":
            x, y = overlay.series.envelope(VOLTAGE, *self.plot.x_range, self.plot.pixels(scale))
        elif self.way == "voltage over capacity":
            x, y = overlay.against_capacity(basis, cycles)
        else:
            return self._draw_cycles(items, overlay, look, basis)
        items[0].setData(x, y, connect="finite")
        return x, y

    def _draw_cycles(
        self, items: list[Any], overlay: Overlay, look: Look, basis: Basis
    ) -> tuple[Floats, Floats]:
        numbers, charge, discharge = overlay.per_cycle(basis)
        x = numbers.astype(float)
        line, hollow, filled = items
        line.setData(x, discharge, connect="finite")
        solid = pg.mkPen(look.colour)
        for item, values, brush in ((hollow, charge, None), (filled, discharge, look.colour)):
            finite = np.isfinite(values)
            item.setData(x[finite], values[finite], symbol=look.symbol, pen=solid, brush=pg.mkBrush(brush))
        return np.concatenate([x, x]), np.concatenate([charge, discharge])

    def _make(self, uid: str) -> list[Any]:
        items: list[Any] = [pg.PlotCurveItem()]
        if self.way == "capacity per cycle":
            items += [pg.ScatterPlotItem(size=_SYMBOL_PIXEL, pxMode=True) for _ in range(2)]
        self._items[uid] = [self.plot.add(item) for item in items]
        return self._items[uid]

    def _name_axes(self, basis: Basis) -> None:
        if self.way == "voltage over capacity":
            self.plot.bottom.rename("Capacity", "mAh/g of active material" if basis == "mAh/g" else basis)
        elif self.way == "capacity per cycle":  # there is less room along this side
            self.plot.left.rename("Capacity", "mAh/g active" if basis == "mAh/g" else basis)

    def _fit(self, drawn: list[tuple[Floats, Floats]], overlays: Sequence[Overlay]) -> None:
        if self.way == "voltage over time":
            ends = [overlay.series.time[[0, -1]] for overlay in overlays if len(overlay.series)]
            self.plot.fit_x(np.concatenate([np.zeros(0), *ends]), room=0.02)
        elif drawn:
            self.plot.fit_x(np.concatenate([x for x, _ in drawn]), room=0.03)
        if drawn:
            self.plot.fit_y(np.concatenate([y for _, y in drawn]))

    def emphasise(self, uid: str, looks: dict[str, Look], width: float) -> None:
        """Draw lines so wide, and one run with a thicker one; "" for none."""
        for one, items in self._items.items():
            if one in looks:
                items[0].setPen(looks[one].pen(_EMPHASIS * width if one == uid else width))

    def visible_rows(self, table: Table, x: npt.NDArray[Any], y: npt.NDArray[Any]) -> Table:
        """The rows of a table whose x and y are in view."""
        (left, right), (low, high) = self.plot.view.viewRange()
        seen = (x >= left) & (x <= right) & (y >= low) & (y <= high)
        return {name: column[seen] for name, column in table.items()}

    def table(self, overlay: Overlay, basis: Basis, cycles: CycleChoice) -> Table:
        """What is in view of one run, in plain units: Ah, V, s, and the mass that capacities refer to."""
        if self.way == "voltage over time":
            time, volt = overlay.series.time, overlay.series.values(VOLTAGE)
            return self._named(overlay, {TEST_TIME: time, VOLTAGE: volt}, time, volt)
        if self.way == "voltage over capacity":
            return self._half_table(overlay, basis, cycles)
        numbers, charge, discharge = overlay.per_cycle("mAh")
        columns: Table = {
            CYCLE_COUNT: numbers,
            "charging_capacity_ah": charge * 1e-3,
            "discharging_capacity_ah": discharge * 1e-3,
            "active_mass_kg": np.full(len(numbers), overlay.active_mass_kg),
        }
        shown = discharge * 1e-3 * overlay.capacity_scale(basis)
        return self._named(overlay, columns, numbers, shown)

    def _half_table(self, overlay: Overlay, basis: Basis, cycles: CycleChoice) -> Table:
        halves = overlay.chosen(cycles)
        parts = [
            {
                CYCLE_COUNT: np.full(len(half.capacity_ah), half.cycle_count),
                "charging_capacity_ah": half.capacity_ah if half.charging else half.capacity_ah * np.nan,
                "discharging_capacity_ah": half.capacity_ah * np.nan if half.charging else half.capacity_ah,
                VOLTAGE: half.voltage_volt,
                "active_mass_kg": np.full(len(half.capacity_ah), overlay.active_mass_kg),
            }
            for half in halves
        ]
        columns: Table = joined(parts)
        if not columns:
            return {}
        shown = np.concatenate([half.capacity_ah for half in halves]) * overlay.capacity_scale(basis)
        return self._named(overlay, columns, shown, np.concatenate([half.voltage_volt for half in halves]))

    def _named(self, overlay: Overlay, columns: Table, x: npt.NDArray[Any], y: npt.NDArray[Any]) -> Table:
        count = len(x)
        names: Table = {
            "run_uid": np.full(count, overlay.run.uid),
            "cell_id": np.full(count, overlay.run.cell_id),
        }
        return self.visible_rows(names | columns, x, y)


def joined(tables: Sequence[Table]) -> Table:
    """Tables of the same columns, one below the other."""
    filled = [table for table in tables if table]
    if not filled:
        return {}
    return {name: np.concatenate([table[name] for table in filled]) for name in filled[0]}


def _plot(way: Way) -> Plot:
    volt = ValueAxis("Voltage", "V")
    if way == "voltage over time":
        return Plot(volt, TimeAxis(labelled=True), one_axis=True, smallest=(10.0, 1e-3))
    if way == "voltage over capacity":
        return Plot(volt, ValueAxis("Capacity", "mAh", side="bottom"), smallest=(0.0, 1e-3))
    cycle = ValueAxis("Cycle (● discharge, ○ charge)", "", side="bottom")
    cycle.whole = True
    return Plot(ValueAxis("Capacity", "mAh"), cycle, smallest=(2.0, 0.0))
