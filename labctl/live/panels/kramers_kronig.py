"""The Kramers-Kronig test during the run: residuals of a spectrum at each frequency."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyqtgraph as pg

from labctl.analysis.impedance.kramers_kronig import RESIDUAL_LIMIT, KramersKronig
from labctl.live.model.pyramid import Floats
from labctl.live.model.run_model import RunModel
from labctl.live.model.spectra import RunSpectrum
from labctl.live.model.worker import Worker
from labctl.live.panels.base import Table
from labctl.live.panels.spectra import SpectrumPanel, log10
from labctl.live.panels.spectrum_view import SpectrumView
from labctl.live.plots.axes import LogAxis, ValueAxis
from labctl.live.plots.curves import Curve, CurveBundle
from labctl.live.plots.plot import Plot
from labctl.live.text import si_parts
from labctl.live.theme import Theme
from labctl.schema import FREQUENCY, SPECTRUM_COUNT

_TESTED = 5  # the newest spectra of those that are shown: a test takes some 20 ms
_PERCENT = 100.0


class KramersKronigPanel(SpectrumPanel):
    """Residuals of real and imaginary part in per cent of |Z|, and the verdict on the newest spectrum."""

    name = "kramers-kronig"
    title = "Kramers-Kronig"

    def __init__(self, theme: Theme, view: SpectrumView, worker: Worker) -> None:
        self.worker = worker
        super().__init__(theme, view)

    def add_plots(self) -> None:
        """Real part above imaginary part."""
        above = LogAxis("", "", side="bottom")
        above.setStyle(showValues=False)
        below = LogAxis("Frequency", "Hz", side="bottom")
        smallest = (0.0, 0.2)
        self.real = self.add_plot(Plot(ValueAxis("Δ Re / |Z|", "%", "Δ Re"), above, smallest=smallest), 0, 0)
        self.imaginary = self.add_plot(
            Plot(ValueAxis("Δ Im / |Z|", "%", "Δ Im"), below, smallest=smallest), 1, 0
        )
        self.imaginary.view.setXLink(self.real.view)
        self.lines: list[Any] = []
        for plot in (self.real, self.imaginary):
            self.bundles.append(CurveBundle(plot, marked=True))
            places = (0.0, -RESIDUAL_LIMIT * _PERCENT, RESIDUAL_LIMIT * _PERCENT)
            self.lines += [plot.add(pg.InfiniteLine(pos=place, angle=0)) for place in places]
        self.add_bar(2)

    def why_empty(self, model: RunModel) -> str:
        """As of all spectra, or too few points."""
        reason = super().why_empty(model)
        if reason or any(spectrum.test for spectrum in self._tested(model)):
            return reason
        for spectrum in self._tested(model):
            if spectrum.untestable:
                return f"No Kramers-Kronig test of spectrum {spectrum.number}: {spectrum.untestable}"
        return "Too few frequencies for a Kramers-Kronig test yet"

    def _tested(self, model: RunModel) -> tuple[RunSpectrum, ...]:
        return self.view.selection(model).spectra[-_TESTED:]

    def refresh(self) -> None:
        """Have the spectra tested that are shown, the newest first, then draw what is known."""
        if self.model is not None:
            for spectrum in self._tested(self.model):
                self.model.spectra.test(spectrum, self.worker)
        super().refresh()

    def draw(self, model: RunModel) -> None:
        """Draw the residuals."""
        selection = self.view.selection(model)
        tested = self._tested(model)
        numbers = [n for n, spectrum in enumerate(selection.spectra) if spectrum.test and spectrum in tested]
        found = [test for n in numbers if (test := selection.spectra[n].test)]
        shares = [selection.scale.share(n) for n in numbers]
        both = ((self.real, self.bundles[0], "real"), (self.imaginary, self.bundles[1], "imaginary"))
        for plot, bundle, part in both:
            curves = [_curve(test, part, share) for test, share in zip(found, shares, strict=True)]
            bundle.draw(curves[:-1], curves[-1])
            plot.fit_y(np.concatenate([curve.y for curve in curves]))
            self.real.fit_x(np.concatenate([curve.x for curve in curves]), room=0.02)
        self.show_scale(selection.scale, _verdict(selection.spectra[numbers[-1]].number, found[-1]))

    def restyle(self, theme: Theme, pen_width: int) -> None:
        """The limits stand out, zero does not."""
        super().restyle(theme, pen_width)
        for number, line in enumerate(self.lines):
            zero = number % 3 == 0
            style = pg.QtCore.Qt.PenStyle.SolidLine if zero else pg.QtCore.Qt.PenStyle.DashLine
            line.setPen(pg.mkPen(theme.muted if zero else theme.warning, width=1, style=style))

    def visible_data(self) -> Table:
        """The residuals that are drawn, as shares of |Z|."""
        tested = [(s, s.test) for s in self._tested(self.model) if s.test] if self.model is not None else []
        if not tested:
            return {}
        lengths = [len(test.frequency_hertz) for _, test in tested]
        return {
            SPECTRUM_COUNT: np.repeat([spectrum.number for spectrum, _ in tested], lengths),
            FREQUENCY: np.concatenate([test.frequency_hertz for _, test in tested]),
            "residual_real": np.concatenate([test.residual_real for _, test in tested]),
            "residual_imaginary": np.concatenate([test.residual_imaginary for _, test in tested]),
        }


def _curve(test: KramersKronig, part: str, share: float) -> Curve:
    residual: Floats = test.residual_real if part == "real" else test.residual_imaginary
    return Curve(log10(test.frequency_hertz), residual * _PERCENT, share)


def _verdict(number: int, test: KramersKronig) -> str:
    passed = "passes" if test.passes else "is not linear or not steady"
    rms, largest = test.rms_residual * _PERCENT, test.largest_residual * _PERCENT
    where = " ".join(si_parts(_worst_hertz(test), "Hz", digits=3))
    return f"Spectrum {number} {passed}: {rms:.2g} % rms, largest {largest:.2g} % at {where}"


def _worst_hertz(test: KramersKronig) -> float:
    size = np.maximum(np.abs(test.residual_real), np.abs(test.residual_imaginary))
    return float(test.frequency_hertz[int(size.argmax())])
