"""GITT: one pulse and its rest with the fitted curve, and the diffusivity from all pulses so far."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import floor, isfinite, log10
from typing import TYPE_CHECKING, Any

import numpy as np
import pyqtgraph as pg
from PySide6 import QtWidgets

from labctl.analysis.gitt.results import FLAGS, GittPulse
from labctl.live.model.pyramid import Floats
from labctl.live.model.run_model import RunModel
from labctl.live.panels.base import PlotPanel, Table, legend_label, muted_label, signed
from labctl.live.plots.axes import LogAxis, TimeAxis, ValueAxis
from labctl.live.plots.plot import Plot
from labctl.live.text import grouped, power_text
from labctl.live.theme import Theme
from labctl.live.widgets import PickBox

if TYPE_CHECKING:  # it takes long to load, and few runs have pulses
    from labctl.analysis.gitt.stream import FittedPulse

_MARK_PIXEL, _SAMPLE_PIXEL = 9, 3
_LN10 = np.log(10.0)


@dataclass(frozen=True)
class Along:
    """A quantity that D is drawn against."""

    name: str
    unit: str

    def values(self, pulses: Sequence[GittPulse], mass_kg: float) -> Floats:
        """Its value for each pulse, NaN where it is not known."""
        if self.name == "Cell voltage":
            return np.array([(p.voltage_before_volt + p.voltage_after_volt) / 2 for p in pulses])
        if self.name == "Lithium content x":
            return np.array([p.stoichiometry for p in pulses])
        return np.array([p.net_charge_ah for p in pulses]) / mass_kg


_ALONG = (
    Along("Cell voltage", "V"),
    Along("Lithium content x", ""),
    Along("Net charge since start", "mAh/g"),
)


class GittPanel(PlotPanel):
    """The transients at the left, D (or R^2/D where no radius is known) at the right.

    A click on a point of the right plot shows its pulse; otherwise the newest is shown.
    """

    name = "gitt"
    title = "GITT"

    def __init__(self, theme: Theme) -> None:
        self._chosen: int | None = None  # step count; None for the newest
        self._colours = {"charge": "#888888", "discharge": "#888888"}
        self.legend = legend_label()
        super().__init__(theme)
        self._add_controls()

    def _add_controls(self) -> None:
        self.previous, self.next = (QtWidgets.QPushButton(sign) for sign in ("‹", "›"))
        for button, by, tip in ((self.previous, -1, "Pulse before"), (self.next, +1, "Next pulse")):
            button.setToolTip(tip)
            button.setFixedWidth(34)
            button.clicked.connect(lambda _=False, by=by: self.step(by))
        self.note = muted_label()
        self.along = PickBox()
        self.along.addItems([f"against {along.name.lower()}" for along in _ALONG])
        self.along.setToolTip("What D is drawn against")
        self.along.currentIndexChanged.connect(self.follow)
        self.add_control(self.previous)
        self.add_control(self.next)
        self.add_control(self.note, 1)
        self.add_control(self.legend)
        self.add_control(self.along)

    def add_plots(self) -> None:
        """Transients, and diffusivities."""
        volt = ValueAxis("Voltage", "V", "E")
        since = TimeAxis(labelled=True, quantity="Time since the pulse began")
        self.transient = self.add_plot(Plot(volt, since, smallest=(1.0, 1e-4)), 0, 0)
        self.samples = self.transient.add(pg.ScatterPlotItem(size=_SAMPLE_PIXEL, pxMode=True, pen=None))
        self.fit = self.transient.add(pg.PlotCurveItem())
        self.diffusion_axis = LogAxis("D", "m²/s", powers=True)
        self.along_axis = ValueAxis("Cell voltage", "V", side="bottom")
        self.diffusion = self.add_plot(Plot(self.diffusion_axis, self.along_axis, smallest=(0.0, 0.3)), 0, 1)
        self.errors = self.diffusion.add(pg.ErrorBarItem(x=np.empty(0), y=np.empty(0), beam=0.0))
        self.marks = self.diffusion.add(pg.ScatterPlotItem(size=_MARK_PIXEL, pxMode=True))
        self.ring = self.diffusion.add(pg.ScatterPlotItem(size=_MARK_PIXEL + 8, pxMode=True, brush=None))
        self.marks.sigClicked.connect(self._point_clicked)

    def why_empty(self, model: RunModel) -> str:
        """No pulse was fitted."""
        if model.pulses.fitted:
            return ""
        if model.pulses.waiting:
            return "Fitting the first pulse …"
        if model.contents.lacks("gapless", "constant_current"):
            return "This run holds no current pulses"
        if model.stop is not None or self.ended:
            return "The run holds no current pulse between two complete rests"
        return "No current pulse between two complete rests yet"

    def state(self, model: RunModel) -> Any:
        """The fitted pulses, and which is shown."""
        return model.pulses.version, self._chosen, self.along.currentIndex()

    def show_model(self, model: RunModel | None) -> None:
        """Show another run."""
        self._chosen = None
        super().show_model(model)

    def follow(self, following: bool) -> None:
        """Go back to the newest pulse."""
        if following:
            self._chosen = None
        super().follow(following)

    def shown(self, pulses: Sequence[FittedPulse]) -> int:
        """Number of the pulse whose transients are shown."""
        numbers = [found.pulse.step_count for found in pulses]
        return numbers.index(self._chosen) if self._chosen in numbers else len(pulses) - 1

    def step(self, by: int) -> None:
        """Show the pulse before, or after; after the last one, the newest whenever one ends."""
        pulses = list(self.model.pulses.fitted.values()) if self.model is not None else []
        if pulses:
            number = min(max(self.shown(pulses) + by, 0), len(pulses) - 1)
            self._choose(pulses[number].pulse.step_count, newest=number == len(pulses) - 1)

    def _choose(self, step_count: int, *, newest: bool) -> None:
        self._chosen = None if newest else step_count
        self.transient.follow()
        self.redraw()

    def _point_clicked(self, _: Any, points: Sequence[Any], *__: Any) -> None:
        pulses = list(self.model.pulses.fitted.values()) if self.model is not None else []
        if len(points) and pulses:
            step_count = int(points[0].data())
            self._choose(step_count, newest=step_count == pulses[-1].pulse.step_count)

    def draw(self, model: RunModel) -> None:
        """Draw both."""
        pulses = list(model.pulses.fitted.values())
        number = self.shown(pulses)
        self._draw_transients(pulses[number])
        self._draw_diffusion([found.pulse for found in pulses], number, model.active_mass_kg)
        self._tell(pulses, number)

    def _draw_transients(self, found: FittedPulse) -> None:
        curves = found.transients
        self.samples.setData(curves.time_second, curves.voltage_volt)
        self.fit.setData(curves.time_second, curves.fitted_volt, connect="finite")
        self.transient.fit_x(curves.time_second, room=0.03)
        self.transient.fit_y(curves.voltage_volt)

    def _draw_diffusion(self, pulses: Sequence[GittPulse], shown: int, mass_kg: float) -> None:
        known = any(isfinite(pulse.diffusivity_m2_per_s) for pulse in pulses)
        self.diffusion_axis.rename("D" if known else "R²/D", "m²/s" if known else "s")
        along = _ALONG[self.along.currentIndex()]
        x = along.values(pulses, mass_kg)
        if not np.isfinite(x).any():
            along = _ALONG[0]
            x = along.values(pulses, mass_kg)
        self.along_axis.rename(along.name, along.unit)
        y, error = _logarithms(pulses, diffusivity=known)
        determined = np.array([pulse.determined for pulse in pulses])
        fine = np.isfinite(x) & np.isfinite(y)
        spots = [self._spot(pulses[n], x[n], y[n], determined[n]) for n in np.flatnonzero(fine).tolist()]
        self.marks.setData(spots=spots)
        sure = fine & determined
        self.errors.setData(x=x[sure], y=y[sure], height=2 * error[sure])
        self.ring.setData(x[shown : shown + 1], y[shown : shown + 1])
        seen = sure if sure.any() else fine
        self.diffusion.fit_x(x[seen])
        self.diffusion.fit_y(np.concatenate((y[seen] - error[seen], y[seen] + error[seen])))

    def _spot(self, pulse: GittPulse, x: float, y: float, determined: bool) -> dict[str, Any]:
        colour = self._colours[pulse.direction]
        return {
            "pos": (x, y),
            "data": pulse.step_count,
            "symbol": "t1" if pulse.direction == "charge" else "t",
            "pen": pg.mkPen(colour, width=1),
            "brush": pg.mkBrush(colour if determined else None),
        }

    def _tell(self, pulses: Sequence[FittedPulse], number: int) -> None:
        """What the shown pulse says, with what speaks against it."""
        pulse = pulses[number].pulse
        waiting = self.model.pulses.waiting if self.model is not None else 0
        parts = [
            f"{pulse.direction} pulse {number + 1} of {grouped(len(pulses))}",
            f"R²/D = {_with_error(pulse.diffusion_time_second, pulse.diffusion_time_std_second)} s",
        ]
        if isfinite(pulse.diffusivity_m2_per_s):
            parts.append(f"D = {power_text(pulse.diffusivity_m2_per_s)} m²/s")
        parts += [flag.replace("_", " ") for flag in pulse.flags]
        parts += [f"{waiting} more being fitted"] if waiting else []
        text = " · ".join(parts)
        if text != self.note.text():
            self.note.setText(text)
            self.note.setToolTip("\n".join([text, *(f"{flag}: {FLAGS[flag]}" for flag in pulse.flags)]))

    def restyle(self, theme: Theme, pen_width: int) -> None:
        """Take other colours: up for charge, down for discharge, hollow where D is not determined."""
        self._colours = {"charge": theme.voltage, "discharge": theme.current}
        self.samples.setBrush(pg.mkBrush(theme.text))
        self.fit.setPen(pg.mkPen(theme.current, width=2 * pen_width))
        self.errors.setOpts(pen=pg.mkPen(theme.muted, width=pen_width))
        self.ring.setPen(pg.mkPen(theme.text, width=pen_width))
        self.legend.setText(signed(("▲", theme.voltage, "charge"), ("▼", theme.current, "discharge")))

    def visible_data(self) -> Table:
        """One row per pulse."""
        pulses = (
            [found.pulse for found in self.model.pulses.fitted.values()] if self.model is not None else []
        )
        if not pulses:
            return {}
        rows = [asdict(pulse) for pulse in pulses]
        table: Table = {name: np.array([row[name] for row in rows]) for name in rows[0] if name != "flags"}
        return table | {"flags": np.array([" ".join(pulse.flags) for pulse in pulses])}


def _logarithms(pulses: Sequence[GittPulse], *, diffusivity: bool) -> tuple[Floats, Floats]:
    """Decimal logarithm of D (or R^2/D) and its standard error, NaN and 0 where they are not known."""
    name = "diffusivity_m2_per_s" if diffusivity else "diffusion_time_second"
    values = np.array([getattr(pulse, name) for pulse in pulses])
    relative = np.array([pulse.diffusion_time_std_second / pulse.diffusion_time_second for pulse in pulses])
    logarithm = np.log10(np.where(values > 0, values, np.nan))
    return logarithm, np.nan_to_num(relative / _LN10, nan=0.0, posinf=0.0)


def _with_error(value: float, error: float) -> str:
    """A value with its standard error, e.g. "6 250 ± 60"; three digits where that is not known."""
    if not isfinite(value) or not isfinite(error) or not 0 < error < value:
        return f"{value:.3g}"
    power = floor(log10(error))
    places, digit = max(-power, 0), 10 ** max(power, 0)
    numbers = (f"{round(number / digit) * digit:,.{places}f}" for number in (value, error))
    return " ± ".join(numbers).replace(",", "\u202f")
