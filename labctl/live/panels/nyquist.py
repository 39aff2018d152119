"""The Nyquist plot: imaginary against real part at one scale, capacitive upwards."""

from __future__ import annotations

from typing import Any

import numpy as np

from labctl.live.model.pyramid import Floats
from labctl.live.model.run_model import RunModel
from labctl.live.model.spectra import RunSpectrum
from labctl.live.panels.spectra import SpectrumPanel
from labctl.live.plots.axes import ValueAxis
from labctl.live.plots.curves import CurveBundle
from labctl.live.plots.plot import Plot

_ROOM = 0.06


class NyquistPanel(SpectrumPanel):
    """-Im Z over Re Z."""

    name = "nyquist"
    title = "Nyquist"
    _fitted: Any = None

    def add_plots(self) -> None:
        """One plot with equal axes."""
        left = ValueAxis("−Im Z", "Ω", prefixed=True)
        bottom = ValueAxis("Re Z", "Ω", prefixed=True, side="bottom")
        left.share_prefix([bottom])
        bottom.share_prefix([left])
        self.plot = self.add_plot(Plot(left, bottom), 0, 0)
        self.plot.view.setAspectLocked(True, ratio=1)
        self.bundles.append(CurveBundle(self.plot, marked=True))
        self.add_bar(1)

    def draw(self, model: RunModel) -> None:
        """Draw the spectra."""
        selection = self.view.selection(model)
        curves, newest = self.curves(selection, _upwards)
        self.bundles[0].draw(curves, newest)
        self.show_scale(selection.scale, selection.note)
        drawn = [*curves, newest] if newest is not None else curves
        self._fit(np.concatenate([c.x for c in drawn]), np.concatenate([c.y for c in drawn]))

    def _fit(self, real: Floats, upwards: Floats) -> None:
        """Bring all into view; with equal axes, both at once, from the origin where it is near."""
        finite = np.isfinite(real) & np.isfinite(upwards)
        if not all(self.plot.automatic) or not finite.any():
            return
        x, y = real[finite], upwards[finite]
        state: Any = (x.min(), x.max(), y.min(), y.max(), self.plot.view.width(), self.plot.view.height())
        if state != self._fitted:
            self._fitted = state
            ranges = _equal_ranges(*state)
            self.plot.view.setRange(xRange=ranges[0], yRange=ranges[1], padding=0)

    def follow(self, following: bool) -> None:
        """Let the range follow the data again."""
        self._fitted = None
        super().follow(following)


def _equal_ranges(
    left: float, right: float, low: float, high: float, width: float, height: float
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Ranges of x and y with all points, one scale, and the real axis near the bottom.

    The origin is in view where it is no farther from the points than they are wide.
    """
    room = _ROOM * max(right - left, high - low, 0.1 * abs(right), 1e-9)
    left, low = (min(left, 0.0) if left < right - left else left) - room, min(low, 0.0) - room
    scale = max((right + room - left) / max(width, 1.0), (high + room - low) / max(height, 1.0))
    return (left, left + scale * width), (low, low + scale * height)


def _upwards(spectrum: RunSpectrum) -> tuple[Floats, Floats]:
    return spectrum.real_ohm, -spectrum.imaginary_ohm
