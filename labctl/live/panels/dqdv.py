"""dQ/dV against voltage: charge above zero, discharge below, coloured by cycle."""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import pyqtgraph as pg

from labctl.analysis.cycling.differential_capacity import DifferentialCapacity, differential_capacity
from labctl.live.model.charge import HalfCycle
from labctl.live.model.run_model import RunModel
from labctl.live.panels.base import Table
from labctl.live.panels.capacity import CyclePanel, with_last_cycle_joined
from labctl.live.plots.axes import ValueAxis
from labctl.live.plots.curves import Curve, CurveBundle
from labctl.live.plots.plot import Plot
from labctl.live.theme import Theme
from labctl.live.widgets import PickBox
from labctl.schema import CYCLE_COUNT, VOLTAGE

_STEPS_MILLIVOLT = (2, 5, 10, 20)
_FIRST_CHOICE = 1
_Known = tuple[float, int, DifferentialCapacity]


class DifferentialPanel(CyclePanel):
    """One plot; the width of the intervals can be chosen."""

    name = "dqdv"
    title = "dQ/dV"

    def __init__(self, theme: Theme) -> None:
        self._known: WeakKeyDictionary[HalfCycle, _Known] = WeakKeyDictionary()
        super().__init__(theme)
        self.step = PickBox()
        self.step.addItems([f"ΔV = {step} mV" for step in _STEPS_MILLIVOLT])
        self.step.setCurrentIndex(_FIRST_CHOICE)
        self.step.setToolTip("Width of the intervals of voltage in which charge is counted")
        self.step.currentIndexChanged.connect(self.follow)
        self.add_control(self.step)

    def add_plots(self) -> None:
        """One plot."""
        self.axis = ValueAxis("dQ/dV", "mAh/V")
        self.plot = self.add_plot(Plot(self.axis, ValueAxis("Voltage", "V", side="bottom")), 0, 0)
        self.zero = self.plot.add(pg.InfiniteLine(pos=0.0, angle=0))
        self.bundles.append(CurveBundle(self.plot, marked=False))
        self.graphics.addItem(self.bar.item, row=0, col=1)

    @property
    def step_volt(self) -> float:
        """Width of an interval."""
        return _STEPS_MILLIVOLT[self.step.currentIndex()] * 1e-3

    def state(self, model: RunModel) -> Any:
        """The samples, and what is chosen."""
        return model.half_cycles.version, self.factor(model), self.step_volt

    def draw(self, model: RunModel) -> None:
        """Draw the cycles."""
        factor, unit = self.factor(model)
        self.axis.rename("dQ/dV, charge > 0", f"{unit}/V".replace("/g/V", "/(g V)"), "dQ/dV")
        halves = self.chosen(model)
        shares = self.show_cycles(halves)
        curves = [
            Curve(found.voltage_volt, half.direction * factor * found.capacity_ah_per_volt, share)
            for half, share in zip(halves, shares, strict=True)
            for found in (self._differentiated(half),)
        ]
        self.bundles[0].draw(*with_last_cycle_joined(halves, curves))
        self.plot.fit_x(np.concatenate([curve.x for curve in curves]), room=0.03)
        self.plot.fit_y(np.concatenate([curve.y for curve in curves]))

    def _differentiated(self, half: HalfCycle) -> DifferentialCapacity:
        """dQ/dV of a half cycle; what has not changed is not counted again."""
        known = self._known.get(half)
        if known is None or known[:2] != (self.step_volt, len(half.curve)) or not half.finished:
            capacity, voltage, _ = half.curve.columns
            found = differential_capacity(capacity, voltage, step_volt=self.step_volt)
            known = self._known[half] = (self.step_volt, len(half.curve), found)
        return known[2]

    def restyle(self, theme: Theme, pen_width: int) -> None:
        """Take other colours."""
        super().restyle(theme, pen_width)
        self.zero.setPen(pg.mkPen(theme.muted, width=1))

    def visible_data(self) -> Table:
        """What is drawn, in Ah/V, > 0 in either direction."""
        halves = self.chosen(self.model) if self.model is not None else []
        if not halves:
            return {}
        found = [self._differentiated(half) for half in halves]
        lengths = [len(one.voltage_volt) for one in found]
        return {
            CYCLE_COUNT: np.repeat([half.cycle_count for half in halves], lengths),
            "direction": np.repeat([half.direction for half in halves], lengths),
            VOLTAGE: np.concatenate([one.voltage_volt for one in found]),
            "differential_capacity_ah_per_volt": np.concatenate([one.capacity_ah_per_volt for one in found]),
        }
