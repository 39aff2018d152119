"""The base of all panels with plots: message when empty, time of drawing, colours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyqtgraph as pg
from PySide6 import QtCore, QtGui, QtWidgets

from labctl.live.model.run_model import RunModel
from labctl.live.plots.crosshair import Crosshair, PointReading, nearest_drawn
from labctl.live.plots.plot import Plot
from labctl.live.theme import Theme
from labctl.live.widgets import ElidedLabel

_TICK_FONT_PIXEL = 13
Table = dict[str, npt.NDArray[np.generic]]


class PlotPanel(QtWidgets.QWidget):
    """A row of controls (if it has any), and plots or a message in their place.

    A panel fills `add_plots`, `why_empty`, `state`, `draw` and `visible_data`. `draw` is called when what
    `state` gives has changed, and only while the panel is visible.

    Signals:
        readout: the values under the pointer as text, "" when it is elsewhere.
    """

    name = ""
    title = ""
    readout = QtCore.Signal(str)

    def __init__(self, theme: Theme, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("panel")
        self.setAttribute(QtCore.Qt.WidgetAttribute.WA_StyledBackground)
        self.theme = theme
        self.model: RunModel | None = None
        self.ended = False
        self.picture_scale = 1.0
        self.plots: list[Plot] = []
        self._drawn: Any = None
        self._nothing = ""
        self._lay_out()
        self.add_plots()
        self.crosshair = Crosshair(self.graphics, self.plots, self.read_at)
        self.apply_theme(theme)

    def _lay_out(self) -> None:
        self.graphics: Any = pg.GraphicsLayoutWidget()
        self.graphics.ci.setContentsMargins(2, 6, 14, 2)
        self.graphics.ci.layout.setHorizontalSpacing(18)
        self.graphics.ci.layout.setVerticalSpacing(4)
        self.graphics.scene().sigMouseClicked.connect(self._clicked)
        self.message = QtWidgets.QLabel()
        self.message.setObjectName("message")
        self.message.setAlignment(QtCore.Qt.AlignmentFlag.AlignCenter)
        self.message.setWordWrap(True)
        self.message.setSizePolicy(QtWidgets.QSizePolicy.Policy.Ignored, QtWidgets.QSizePolicy.Policy.Ignored)
        self.controls = QtWidgets.QWidget()
        self.controls.setVisible(False)
        row = QtWidgets.QHBoxLayout(self.controls)
        row.setContentsMargins(8, 6, 8, 2)
        row.setSpacing(6)
        outer = QtWidgets.QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.setSpacing(0)
        outer.addWidget(self.controls)
        # One or the other: axes without data would show numbers that mean nothing.
        self._either = QtWidgets.QStackedLayout()
        self._either.addWidget(self.graphics)
        self._either.addWidget(self.message)
        outer.addLayout(self._either, 1)

    def add_control(self, widget: QtWidgets.QWidget, stretch: int = 0) -> None:
        """Put a control into the row above the plots."""
        layout = self.controls.layout()
        if isinstance(layout, QtWidgets.QHBoxLayout):
            layout.addWidget(widget, stretch)
        self.controls.setVisible(True)

    def add_plot(self, plot: Plot, row: int, column: int, *, stretch: int = 1) -> Plot:
        """Put a plot into the grid."""
        self.graphics.addItem(plot.item, row=row, col=column)
        self.graphics.ci.layout.setRowStretchFactor(row, stretch)
        self.plots.append(plot)
        return plot

    # ---- what a panel fills
    def add_plots(self) -> None:
        """Make the plots."""
        raise NotImplementedError

    def why_empty(self, model: RunModel) -> str:
        """Why there is nothing to see, "" if there is something."""
        raise NotImplementedError

    def state(self, model: RunModel) -> Any:
        """Whatever the picture depends on beside the ranges in view."""
        raise NotImplementedError

    def draw(self, model: RunModel) -> None:
        """Draw everything."""
        raise NotImplementedError

    def restyle(self, theme: Theme, pen_width: int) -> None:
        """Take other colours; curves are `pen_width` wide."""
        raise NotImplementedError

    def visible_data(self) -> Table:
        """See `labctl.live.plots.export.Panel`."""
        raise NotImplementedError

    # ---- what the window calls
    def plot_items(self) -> Sequence[pg.PlotItem]:
        """See `labctl.live.plots.export.Panel`."""
        return [plot.item for plot in self.plots]

    def show_model(self, model: RunModel | None) -> None:
        """Show another run."""
        self.model, self._drawn = model, None
        self.ended = False
        self.follow(True)

    def show_nothing(self, reason: str, *, ended: bool) -> None:
        """Say why there is no run at all ("" if there is one), and whether it has ended."""
        self._nothing, self.ended = reason, ended

    def follow(self, following: bool) -> None:
        """Let all ranges follow the data again."""
        if following:
            self._drawn = None
            for plot in self.plots:
                plot.follow()

    def refresh(self) -> None:
        """Draw what has changed since the last call."""
        model = self.model
        reason = self._nothing or ("" if model is None else self.why_empty(model))
        self._say(reason)
        if reason or model is None:
            return
        self.before_drawing(model)
        ranges = [tuple(side) for plot in self.plots for side in plot.view.viewRange()]
        state = (self.state(model), ranges, self.width(), self.height(), self.picture_scale)
        if state != self._drawn:
            self.draw(model)
            self._drawn = state
        self.read_pointer()

    def read_pointer(self) -> None:
        """Read what is under the pointer."""
        self.readout.emit(self.crosshair.update())

    def read_at(self, plot: Plot, x: float, y: float) -> PointReading | None:
        """What stands at a place of a plot: the nearest point that is drawn."""
        return nearest_drawn(plot, x, y, self.plots)

    def before_drawing(self, model: RunModel) -> None:
        """What is done at each refresh, whether something has changed or not."""

    def _say(self, message: str) -> None:
        if message == self.message.text() and self._either.currentIndex() == int(bool(message)):
            return
        self.message.setText(message)
        self._either.setCurrentWidget(self.message if message else self.graphics)

    def redraw(self) -> None:
        """Draw at the next refresh, whatever has changed."""
        self._drawn = None

    def _clicked(self, event: Any) -> None:
        if event.double():
            self.double_clicked()

    def double_clicked(self) -> None:
        """Bring everything into view."""
        self.follow(True)

    @property
    def device_scale(self) -> float:
        """Device pixels per pixel."""
        return self.picture_scale * self.devicePixelRatioF()

    def apply_theme(self, theme: Theme) -> None:
        """Take other colours."""
        self.theme, self._drawn = theme, None
        self.graphics.setBackground(theme.plot)
        font = QtGui.QFont(self.font())
        font.setPixelSize(_TICK_FONT_PIXEL)
        for plot in self.plots:
            plot.apply_theme(theme, font)
        self.crosshair.apply_theme(theme)
        self.restyle(theme, max(round(self.picture_scale), 1))


def muted_label() -> ElidedLabel:
    """A line of text beside controls that does not push the window wider."""
    return ElidedLabel("muted")


def legend_label() -> QtWidgets.QLabel:
    """What signs and colours mean, in rich text; it takes the room it needs."""
    label = QtWidgets.QLabel()
    label.setObjectName("muted")
    label.setTextFormat(QtCore.Qt.TextFormat.RichText)
    return label


def signed(*entries: tuple[str, str, str]) -> str:
    """The rich text of a legend of signs, each with its colour and what it means."""
    return " &nbsp; ".join(
        f"<span style='color:{colour}'>{sign}</span> {word}" for sign, colour, word in entries
    )
