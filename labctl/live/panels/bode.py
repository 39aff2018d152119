"""The Bode plot: modulus and phase over frequency."""

from __future__ import annotations

import numpy as np

from labctl.live.model.pyramid import Floats
from labctl.live.model.run_model import RunModel
from labctl.live.model.spectra import RunSpectrum
from labctl.live.panels.spectra import SpectrumPanel, log10
from labctl.live.plots.axes import LogAxis, ValueAxis
from labctl.live.plots.curves import CurveBundle
from labctl.live.plots.plot import Plot


class BodePanel(SpectrumPanel):
    """|Z| above, phase below; one axis of frequency."""

    name = "bode"
    title = "Bode"

    def add_plots(self) -> None:
        """Two plots, one above the other."""
        above = LogAxis("", "", side="bottom")
        above.setStyle(showValues=False)
        self.modulus = self.add_plot(Plot(LogAxis("|Z|", "Ω"), above), 0, 0)
        phase = ValueAxis("−Phase", "°")
        self.phase = self.add_plot(
            Plot(phase, LogAxis("Frequency", "Hz", side="bottom"), smallest=(0.0, 5.0)), 1, 0
        )
        self.phase.view.setXLink(self.modulus.view)
        self.bundles += [CurveBundle(self.modulus, marked=True), CurveBundle(self.phase, marked=True)]
        self.add_bar(2)

    def draw(self, model: RunModel) -> None:
        """Draw the spectra."""
        selection = self.view.selection(model)
        both = ((self.modulus, self.bundles[0], _modulus), (self.phase, self.bundles[1], _phase))
        for plot, bundle, xy in both:
            curves, newest = self.curves(selection, xy)
            bundle.draw(curves, newest)
            drawn = [*curves, newest] if newest is not None else curves
            plot.fit_y(np.concatenate([curve.y for curve in drawn]))
            if plot is self.modulus:
                plot.fit_x(np.concatenate([curve.x for curve in drawn]), room=0.02)
        self.show_scale(selection.scale, selection.note)


def _modulus(spectrum: RunSpectrum) -> tuple[Floats, Floats]:
    return log10(spectrum.frequency_hertz), log10(np.hypot(spectrum.real_ohm, spectrum.imaginary_ohm))


def _phase(spectrum: RunSpectrum) -> tuple[Floats, Floats]:
    return log10(spectrum.frequency_hertz), np.degrees(np.arctan2(-spectrum.imaginary_ohm, spectrum.real_ohm))
