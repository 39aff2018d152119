"""The live window: widgets only; the data come from `labctl.live.window.controller`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from PySide6 import QtCore, QtGui, QtWidgets

from labctl.live.model.run_kind import Kind
from labctl.live.model.run_model import RunModel
from labctl.live.model.status import Status
from labctl.live.model.watch import ChannelRow
from labctl.live.model.worker import Worker
from labctl.live.panels.alarms import AlarmsPanel
from labctl.live.panels.bode import BodePanel
from labctl.live.panels.capacity import CapacityPanel
from labctl.live.panels.channels import ChannelPanel
from labctl.live.panels.cycles import CyclesPanel
from labctl.live.panels.dqdv import DifferentialPanel
from labctl.live.panels.environment import EnvironmentPanel
from labctl.live.panels.gitt import GittPanel
from labctl.live.panels.kramers_kronig import KramersKronigPanel
from labctl.live.panels.nyquist import NyquistPanel
from labctl.live.panels.spectrum_view import SpectrumView
from labctl.live.panels.status import StatusPanel
from labctl.live.panels.timeplot import TimeRange
from labctl.live.panels.timeseries import TimeSeriesPanel
from labctl.live.theme import SYSTEM, Theme, apply, theme_named
from labctl.live.widgets import PickBox
from labctl.live.window.docks import DockArea

_SPANS = (
    ("whole run", None),
    ("last 10 min", 600.0),
    ("last hour", 3600.0),
    ("last 6 h", 21_600.0),
    ("last 24 h", 86_400.0),
    ("last 7 d", 604_800.0),
)
_LIST_WIDTH_PIXEL = 270
_THEME_NAMES = {SYSTEM: "As the desktop", "dark": "Dark", "light": "Light"}


class LiveWindow(QtWidgets.QMainWindow):
    """Status above, channels at the left, panels in the middle, room for a bar below.

    Args:
        theme: Its colours; None for those that were chosen last, at first those of the desktop.
        with_channels: Whether the list of channels is there.
        settings: Where layout and theme are remembered; None for nowhere.
        threaded: False to do all work at once in this thread (for pictures).

    Attributes:
        panels: All panels by name (see `labctl.live.plots.export.Panel`).
        runs_menu: A menu for what concerns runs.
        time_range: The stretch of time that panels over time show.

    Signals:
        run_chosen: uid of a run chosen from the list.
        follow_changed: whether the newest data and the newest run are to be followed.
        closed: the window is being closed.
    """

    run_chosen = QtCore.Signal(str)
    follow_changed = QtCore.Signal(bool)
    closed = QtCore.Signal()

    def __init__(
        self,
        theme: Theme | None = None,
        *,
        with_channels: bool = True,
        settings: QtCore.QSettings | None = None,
        threaded: bool = True,
    ) -> None:
        super().__init__()
        self.setObjectName("window")
        self.settings = settings
        remembered = str(settings.value("theme", SYSTEM)) if settings is not None else SYSTEM
        self.theme_name = theme.name if theme is not None else remembered
        self.theme = theme or theme_named(self.theme_name)
        self.worker = Worker(threaded=threaded)
        self.time_range = TimeRange()
        self.spectrum_view = SpectrumView()
        self.status = StatusPanel(self.theme)
        self.channels = ChannelPanel(self.theme)
        self.channels.setVisible(with_channels)
        self.panels = self._make_panels()
        self.docks = DockArea(self.panels, settings)
        self._read_by: Any = None
        self._make_controls()
        self._lay_out()
        self._make_menus()
        self._connect()
        self.apply_theme(self.theme)

    def _make_panels(self) -> dict[str, Any]:
        theme, view = self.theme, self.spectrum_view
        self.plots = TimeSeriesPanel(theme, self.time_range)
        made: Sequence[Any] = (
            self.plots,
            CapacityPanel(theme),
            DifferentialPanel(theme),
            CyclesPanel(theme),
            GittPanel(theme),
            NyquistPanel(theme, view),
            BodePanel(theme, view),
            KramersKronigPanel(theme, view, self.worker),
            EnvironmentPanel(theme, self.time_range),
            AlarmsPanel(theme),
        )
        return {panel.name: panel for panel in made}

    def _make_controls(self) -> None:
        self.follow = QtWidgets.QPushButton("Follow")
        self.follow.setCheckable(True)
        self.follow.setChecked(True)
        self.follow.setToolTip("Keep the newest data in view, and go over to the station's next run (F)")
        self.span = PickBox()
        for name, second in _SPANS:
            self.span.addItem(name, second)
        self.span.setToolTip("How much of the run to show while following")
        self.readout = QtWidgets.QLabel()
        self.readout.setObjectName("readout")

    def _lay_out(self) -> None:
        controls = QtWidgets.QHBoxLayout()
        controls.setSpacing(8)
        controls.addWidget(self.follow)
        controls.addWidget(self.span)
        controls.addStretch(1)
        controls.addWidget(self.readout)
        middle = QtWidgets.QWidget()
        inner = QtWidgets.QVBoxLayout(middle)
        inner.setContentsMargins(0, 0, 0, 0)
        inner.setSpacing(6)
        inner.addLayout(controls)
        inner.addWidget(self.docks, 1)
        self._splitter = QtWidgets.QSplitter(QtCore.Qt.Orientation.Horizontal)
        self._splitter.addWidget(self.channels)
        self._splitter.addWidget(middle)
        self._splitter.setStretchFactor(1, 1)
        self._splitter.setSizes([_LIST_WIDTH_PIXEL, 1000])
        self._splitter.setChildrenCollapsible(False)
        central = QtWidgets.QWidget()
        central.setObjectName("window")
        self._outer = QtWidgets.QVBoxLayout(central)
        self._outer.setContentsMargins(10, 6, 10, 10)
        self._outer.setSpacing(8)
        self._outer.addWidget(self.status)
        self._outer.addWidget(self._splitter, 1)
        self.setCentralWidget(central)

    def add_below(self, widget: QtWidgets.QWidget) -> None:
        """Put a bar below everything, e.g. the controls of a replay."""
        self._outer.addWidget(widget)

    def _make_menus(self) -> None:
        view = self.menuBar().addMenu("View")
        view.addAction("Follow the newest data\tF", self.follow.toggle)
        view.addAction("Whole run\tHome", self.show_whole_run)
        view.addSeparator()
        look = view.addMenu("Colours")
        self._theme_actions = QtGui.QActionGroup(self)
        for name, text in _THEME_NAMES.items():
            action = look.addAction(text, partial(self.choose_theme, name))
            action.setCheckable(True)
            action.setData(name)
            self._theme_actions.addAction(action)
        view.addSeparator()
        view.addAction("Close\tCtrl+Q", self.close)
        panels = self.menuBar().addMenu("Panels")
        panels.addActions(self.docks.toggles())
        panels.addSeparator()
        panels.addAction("Reset layout", self.docks.reset)
        self.runs_menu = self.menuBar().addMenu("Runs")
        channels = self.runs_menu.addAction("List of channels")
        channels.setCheckable(True)
        channels.setChecked(self.channels.isVisibleTo(self))
        channels.toggled.connect(self.channels.setVisible)

    def _connect(self) -> None:
        self.follow.toggled.connect(self._follow_toggled)
        self.span.currentIndexChanged.connect(self._span_changed)
        QtGui.QShortcut("F", self, self.follow.toggle)
        QtGui.QShortcut("T", self, self.switch_theme)
        QtGui.QShortcut("Home", self, self.show_whole_run)
        QtGui.QShortcut("Ctrl+Q", self, self.close)
        self.time_range.moved_by_hand.connect(lambda: self.follow.setChecked(False))
        self.time_range.whole_run_wanted.connect(self.show_whole_run)
        for panel in self.panels.values():
            panel.readout.connect(partial(self._read, panel))
        self.channels.chosen.connect(self.run_chosen)
        hints = QtGui.QGuiApplication.styleHints()
        hints.colorSchemeChanged.connect(self._desktop_changed)

    def _read(self, panel: Any, text: str) -> None:
        """Show what is under the pointer; panels that it is not over have no say."""
        if text or self._read_by is panel:
            self._read_by = panel if text else None
            if text != self.readout.text():
                self.readout.setText(text)

    def _follow_toggled(self, following: bool) -> None:
        self.time_range.following = following
        for panel in self.panels.values():
            panel.follow(following)
        self.follow_changed.emit(following)

    def _span_changed(self) -> None:
        self.time_range.span_second = self.span.currentData()
        if self.follow.isChecked():
            self._follow_toggled(True)
        self.follow.setChecked(True)

    def show_whole_run(self) -> None:
        """Follow, with the whole run in view."""
        self.span.setCurrentIndex(0)
        self._span_changed()

    # ---- colours
    def choose_theme(self, name: str) -> None:
        """Take other colours, and remember it."""
        self.theme_name = name
        if self.settings is not None:
            self.settings.setValue("theme", name)
        self.apply_theme(theme_named(name))

    def switch_theme(self) -> None:
        """From dark to light and back."""
        self.choose_theme("light" if self.theme.name == "dark" else "dark")

    def _desktop_changed(self, *_: Any) -> None:
        if self.theme_name == SYSTEM:
            self.apply_theme(theme_named(SYSTEM))

    def apply_theme(self, theme: Theme) -> None:
        """Take other colours."""
        self.theme = theme
        apply(self, theme)
        for action in self._theme_actions.actions():
            action.setChecked(action.data() == self.theme_name)
        for panel in (self.status, self.channels, *self.panels.values()):
            panel.apply_theme(theme)

    # ---- what is shown
    def show_model(self, model: RunModel | None) -> None:
        """Show another run."""
        for panel in self.panels.values():
            panel.show_model(model)
        self.follow.setChecked(True)
        self.time_range.following = True

    def show_status(self, status: Status, message: str, title: str, *, ended: bool = False) -> None:
        """Show a status.

        Args:
            status: Its texts.
            message: Why there is no run to show, "" if there is one.
            title: Of the window.
            ended: Whether nothing more will come of the run.
        """
        self.status.show_status(status)
        self.docks.name_run(status.title)
        for panel in self.panels.values():
            panel.show_nothing(message, ended=ended)
        if self.windowTitle() != title:
            self.setWindowTitle(title)

    def arrange(self, kind: Kind) -> None:
        """Lay out the panels as fits a kind of run."""
        self.docks.arrange(kind)

    def refresh(self) -> None:
        """Update the visible panels."""
        for panel in self.docks.in_view():
            panel.refresh()

    def show_channels(self, rows: Sequence[ChannelRow], shown_uid: str) -> None:
        """Show what is in the data directory."""
        self.channels.show_rows(rows, shown_uid)

    def restore_place(self) -> bool:
        """Go back to size and place of the last time; whether there are any."""
        kept = self.settings.value("geometry") if self.settings is not None else None
        return isinstance(kept, QtCore.QByteArray) and self.restoreGeometry(kept)

    def closeEvent(self, event: QtGui.QCloseEvent) -> None:  # noqa: N802 - Qt's spelling
        """Remember the layout, and say that the window closes."""
        self.docks.remember()
        if self.settings is not None:
            self.settings.setValue("geometry", self.saveGeometry())
            self.settings.sync()
        self.worker.close()
        self.closed.emit()
        super().closeEvent(event)
