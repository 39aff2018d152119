"""Comparison of up to twelve stored runs, overlaid and coloured by cell."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pyqtgraph as pg
from PySide6 import QtCore, QtGui, QtWidgets

from labctl.errors import ConfigurationError
from labctl.live.browser.overlay_plots import Look, OverlayPlot, Table, Way, joined, looks_of
from labctl.live.browser.overlays import (
    CYCLES_FORMS,
    Basis,
    CycleChoice,
    Overlay,
    OverlayReader,
    lacking_mass,
)
from labctl.live.plots.crosshair import Crosshair, PointReading, nearest_drawn
from labctl.live.plots.export import ExportCaption, ExportMenu
from labctl.live.plots.plot import Plot
from labctl.live.theme import Theme
from labctl.live.widgets import PickBox, plain_tip
from labctl.runs.summary import RunSummary

_WAYS: tuple[Way, ...] = ("voltage over capacity", "voltage over time", "capacity per cycle")
_BASES: tuple[Basis, ...] = ("mAh/g", "mAh")
_FRAME_MILLISECOND = 50
_LEGEND_WIDTH_PIXEL = 250
_TICK_FONT_PIXEL = 13
_SWATCH_PIXEL = 5  # of the picture, which has two to a pixel of the screen
_UID = QtCore.Qt.ItemDataRole.UserRole


class CompareView(QtWidgets.QFrame):
    """The comparison: a row of controls, the curves, and which is which.

    Args:
        data_directory: Holds the runs.
        theme: Its colours.
    """

    name = "compare"
    title = _WAYS[0].capitalize()
    _answered = QtCore.Signal(object, object)

    def __init__(self, data_directory: Path, theme: Theme, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("card")
        self.theme = theme
        self._runs: tuple[RunSummary, ...] = ()
        self._overlays: dict[str, Overlay] = {}
        self._failed: dict[str, str] = {}
        self._looks: dict[str, Look] = {}
        self._cycles = CycleChoice()
        self._emphasised = ""
        self.picture_scale = 1.0
        self._drawn: Any = None
        self._make_controls()
        self._make_plots()
        self._lay_out()
        self._connect()
        self._answered.connect(self._take)
        self._reader = OverlayReader(data_directory, self._answered.emit)
        self._frames = QtCore.QTimer(self, interval=_FRAME_MILLISECOND)
        self._frames.timeout.connect(self.refresh)
        self.apply_theme(theme)

    def _make_controls(self) -> None:
        self.way, self.basis = PickBox(), PickBox()
        self.way.addItems(_WAYS)
        self.basis.addItems(_BASES)
        self.basis.setToolTip("Capacity per gram of active material, or of the cell")
        self.cycles = QtWidgets.QLineEdit(placeholderText="cycles: all, or 1-3, 10, last")
        self.cycles.setFixedWidth(210)
        self.export_button = QtWidgets.QPushButton("Export")
        self.note, self.readout = QtWidgets.QLabel(), QtWidgets.QLabel()
        self.note.setObjectName("muted")
        self.readout.setObjectName("readout")

    def _make_plots(self) -> None:
        self.plots = {way: OverlayPlot(way) for way in _WAYS}
        self.message = QtWidgets.QLabel()
        self.message.setObjectName("message")
        self.message.setAlignment(QtCore.Qt.AlignmentFlag.AlignCenter)
        self.message.setWordWrap(True)
        self._stack = QtWidgets.QStackedWidget()
        self._stack.addWidget(self.message)
        for plot in self.plots.values():
            self._stack.addWidget(plot.graphics)
        self._crosshairs = {
            way: Crosshair(one.graphics, [one.plot], self._read) for way, one in self.plots.items()
        }
        self.legend = QtWidgets.QListWidget()
        self.legend.setFixedWidth(_LEGEND_WIDTH_PIXEL)
        self.legend.setIconSize(QtCore.QSize(30, 14))
        self.legend.setHorizontalScrollBarPolicy(QtCore.Qt.ScrollBarPolicy.ScrollBarAlwaysOff)

    def _lay_out(self) -> None:
        controls = QtWidgets.QHBoxLayout()
        controls.setSpacing(8)
        for widget in (self.way, self.basis, self.cycles, self.note):
            controls.addWidget(widget)
        controls.addStretch(1)
        controls.addWidget(self.readout)
        controls.addWidget(self.export_button)
        middle = QtWidgets.QHBoxLayout()
        middle.setSpacing(8)
        middle.addWidget(self._stack, 1)
        middle.addWidget(self.legend)
        layout = QtWidgets.QVBoxLayout(self)
        layout.setContentsMargins(8, 8, 8, 8)
        layout.addLayout(controls)
        layout.addLayout(middle, 1)

    def _connect(self) -> None:
        self.way.currentIndexChanged.connect(self._choose_way)
        self.basis.currentIndexChanged.connect(self.fit)
        self.cycles.textChanged.connect(self._choose_cycles)
        self.legend.currentItemChanged.connect(self._emphasise)
        self.menu = ExportMenu(self, self._identity, self)
        self.menu.told.connect(self.note.setText)
        self.export_button.setMenu(self.menu)
        for plot in self.plots.values():
            plot.graphics.scene().sigMouseClicked.connect(lambda event: event.double() and self.fit())
        QtGui.QShortcut("Ctrl+C", self, self.menu.copy_value)

    # ---- what is compared
    def show_runs(self, runs: Sequence[RunSummary]) -> None:
        """Compare these runs; those that are not read yet appear one after another."""
        self._runs = tuple(runs)
        wanted = {run.uid for run in runs}
        self._overlays = {uid: overlay for uid, overlay in self._overlays.items() if uid in wanted}
        self._failed = {uid: why for uid, why in self._failed.items() if uid in wanted}
        self._reader.read([run for run in runs if run.uid not in self._overlays | self._failed])
        self._changed()

    def _take(self, run: RunSummary, found: Overlay | str) -> None:
        if all(run.uid != one.uid for one in self._runs):
            return  # unticked meanwhile
        if isinstance(found, Overlay):
            self._overlays[run.uid] = found
        else:
            self._failed[run.uid] = found
        self._changed()

    @property
    def overlays(self) -> list[Overlay]:
        """The runs that are drawn, in the order in which they were ticked."""
        return [self._overlays[run.uid] for run in self._runs if run.uid in self._overlays]

    def _changed(self) -> None:
        self._looks = looks_of(self.overlays, self.theme)
        self._fill_legend()
        self.fit()
        reading = len(self._runs) - len(self._overlays) - len(self._failed)
        told = [f"reading {reading} of {len(self._runs)} …"] if reading else [*self._failed.values()]
        self.note.setText(" · ".join(told))

    def _fill_legend(self) -> None:
        self.legend.clear()
        for overlay in self.overlays:
            run, look = overlay.run, self._looks[overlay.run.uid]
            began = datetime.fromtimestamp(run.start_unix_second).astimezone()
            first = " · ".join(part for part in (run.cell_id, run.coating) if part) or run.uid[:8]
            item = QtWidgets.QListWidgetItem(
                _swatch(look), f"{first}\n{run.plan_name} · {began:%d %b %Y %H:%M}"
            )
            item.setData(_UID, run.uid)
            item.setToolTip(plain_tip(f"{run.uid}\n{run.reason}".strip()))
            self.legend.addItem(item)

    # ---- how it is drawn
    @property
    def shown(self) -> OverlayPlot:
        """The plot that is chosen."""
        return self.plots[_WAYS[self.way.currentIndex()]]

    def _basis(self) -> Basis:
        return _BASES[self.basis.currentIndex()]

    def _choose_way(self) -> None:
        self.cycles.setEnabled(self.shown.way == "voltage over capacity")
        self.basis.setEnabled(self.shown.way != "voltage over time")
        self.title = self.shown.way.capitalize()
        self.fit()

    def _choose_cycles(self, text: str) -> None:
        try:
            self._cycles = CycleChoice.parse(text)
        except ConfigurationError:
            self.note.setText(f"cycles are given as {CYCLES_FORMS}")
            return
        self.note.setText("")
        self.fit()

    def fit(self) -> None:
        """Bring everything into view."""
        for plot in self.plots.values():
            plot.plot.follow()
        self._drawn = None

    def _emphasise(self, item: QtWidgets.QListWidgetItem | None) -> None:
        self._emphasised = str(item.data(_UID)) if item is not None else ""
        self._drawn = None

    def why_empty(self) -> str:
        """Why there is nothing to see; "" if there is something."""
        if not self._runs:
            return "Tick up to 12 runs to lay them over one another"
        if not self._overlays:
            return "\n".join(self._failed.values()) or "Reading …"
        return self.shown.why_empty(self.overlays, self._basis(), self._cycles)

    def refresh(self) -> None:
        """Draw what has changed since the last call."""
        message = self.why_empty()
        self.message.setText(message)
        self._stack.setCurrentWidget(self.message if message else self.shown.graphics)
        if message:
            return
        ranges = self.shown.plot.view.viewRange()
        state = (self.shown.way, ranges, self.width(), self.height(), self._emphasised)
        if state != self._drawn:
            self._draw()
            self._drawn = state
        self.readout.setText(self._crosshairs[self.shown.way].update())

    def _draw(self) -> None:
        basis, scale = self._basis(), self.picture_scale * self.devicePixelRatioF()
        self.shown.draw(self.overlays, self._looks, basis, self._cycles, scale)
        self.shown.emphasise(self._emphasised, self._looks, self.picture_scale)
        if self.shown.way != "voltage over time" and basis == "mAh/g":
            self.note.setText(lacking_mass(self.overlays) or self.note.text())

    # ---- reading and export
    @property
    def crosshair(self) -> Crosshair:
        """The crosshair of the plot that is chosen."""
        return self._crosshairs[self.shown.way]

    def _read(self, plot: Plot, x: float, y: float) -> PointReading | None:
        return nearest_drawn(plot, x, y)

    def plot_items(self) -> Sequence[pg.PlotItem]:
        """See `labctl.live.plots.export.Panel`."""
        return [self.shown.plot.item] if not self.why_empty() else []

    def visible_data(self) -> Table:
        """What is in view, run by run, in plain units; of long runs the rows that shape the curves."""
        basis = self._basis()
        return joined([self.shown.table(overlay, basis, self._cycles) for overlay in self.overlays])

    def _identity(self) -> ExportCaption:
        cells = dict.fromkeys(overlay.run.cell_id or overlay.run.uid[:8] for overlay in self.overlays)
        return ExportCaption(", ".join(cells), "comparison")

    # ---- the widget
    def apply_theme(self, theme: Theme) -> None:
        """Take other colours."""
        self.theme = theme
        font = QtGui.QFont(self.font())
        font.setPixelSize(_TICK_FONT_PIXEL)
        for plot in self.plots.values():
            plot.graphics.setBackground(theme.plot)
            plot.plot.apply_theme(theme, font)
        for crosshair in self._crosshairs.values():
            crosshair.apply_theme(theme)
        self._looks = looks_of(self.overlays, theme)
        self._fill_legend()
        self._drawn = None

    def showEvent(self, event: QtGui.QShowEvent) -> None:  # noqa: N802 - Qt's spelling
        """Begin to draw."""
        self.refresh()
        self._frames.start()
        super().showEvent(event)

    def hideEvent(self, event: QtGui.QHideEvent) -> None:  # noqa: N802 - Qt's spelling
        """Draw nothing that nobody sees."""
        self._frames.stop()
        super().hideEvent(event)

    def close_reading(self) -> None:
        """End the reading."""
        self._frames.stop()
        self._reader.close()


def _swatch(look: Look) -> QtGui.QIcon:
    """A piece of the line."""
    picture = QtGui.QPixmap(60, 28)
    picture.setDevicePixelRatio(2)
    picture.fill(QtCore.Qt.GlobalColor.transparent)
    painter = QtGui.QPainter(picture)
    painter.setPen(look.pen(_SWATCH_PIXEL))
    painter.drawLine(1, 7, 29, 7)
    painter.end()
    return QtGui.QIcon(picture)
