"""The live window: widgets only; what they show is handed to it (see `labctl.live.controller`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from PySide6 import QtCore, QtGui, QtWidgets

from labctl.errors import LabctlError
from labctl.live.model import RunModel
from labctl.live.panels.channels import ChannelPanel
from labctl.live.panels.status import StatusPanel
from labctl.live.panels.timeseries import TimeSeriesPanel
from labctl.live.status import Status
from labctl.live.theme import DARK, LIGHT, Theme, apply
from labctl.live.watch import ChannelRow

_SPANS = (
    ("whole run", None),
    ("last 10 min", 600.0),
    ("last hour", 3600.0),
    ("last 6 h", 21_600.0),
    ("last 24 h", 86_400.0),
    ("last 7 d", 604_800.0),
)
_LIST_WIDTH_PIXEL = 270
_LAID_OUT_FOR = (1600, 900)  # pictures larger than this by a whole factor are drawn larger, not roomier


class SpanBox(QtWidgets.QComboBox):
    """How much of the run to show while following; draws its own arrow, which a style sheet takes away."""

    def __init__(self) -> None:
        super().__init__()
        for name, second in _SPANS:
            self.addItem(name, second)
        self.setToolTip("How much of the run to show while following")

    def paintEvent(self, event: QtGui.QPaintEvent) -> None:  # noqa: N802 - Qt's spelling
        """Draw the box and its arrow."""
        super().paintEvent(event)
        painter = QtGui.QPainter(self)
        flags = QtCore.Qt.AlignmentFlag.AlignRight | QtCore.Qt.AlignmentFlag.AlignVCenter
        painter.drawText(self.rect().adjusted(0, 0, -9, 0), flags, "▾")
        painter.end()


class LiveWindow(QtWidgets.QMainWindow):
    """Status above, channels at the left, plots in the middle.

    Signals:
        run_chosen: uid of a run that somebody picked from the list.
        follow_changed: whether the newest data and the newest run are to be followed.
        closed: the window is being closed.
    """

    run_chosen = QtCore.Signal(str)
    follow_changed = QtCore.Signal(bool)
    closed = QtCore.Signal()

    def __init__(self, theme: Theme, *, with_channels: bool = True) -> None:
        super().__init__()
        self.setObjectName("window")
        self.theme = theme
        self.status = StatusPanel(theme)
        self.plots = TimeSeriesPanel(theme)
        self.channels = ChannelPanel(theme)
        self.channels.setVisible(with_channels)
        self._make_controls()
        self._lay_out()
        self._connect()
        self.apply_theme(theme)

    def _make_controls(self) -> None:
        self.follow = QtWidgets.QPushButton("Follow")
        self.follow.setCheckable(True)
        self.follow.setChecked(True)
        self.follow.setToolTip("Keep the newest data in view, and go over to the station's next run (F)")
        self.span = SpanBox()
        self.theme_button = QtWidgets.QPushButton()
        self.theme_button.setToolTip("Dark or light (T)")
        self.readout = QtWidgets.QLabel()
        self.readout.setObjectName("readout")

    def _lay_out(self) -> None:
        controls = QtWidgets.QHBoxLayout()
        controls.setSpacing(8)
        controls.addWidget(self.follow)
        controls.addWidget(self.span)
        controls.addStretch(1)
        controls.addWidget(self.readout)
        controls.addSpacing(12)
        controls.addWidget(self.theme_button)
        plots = QtWidgets.QFrame()
        plots.setObjectName("card")
        inner = QtWidgets.QVBoxLayout(plots)
        inner.setContentsMargins(8, 8, 8, 4)
        inner.addLayout(controls)
        inner.addWidget(self.plots, 1)
        self._splitter = QtWidgets.QSplitter(QtCore.Qt.Orientation.Horizontal)
        self._splitter.addWidget(self.channels)
        self._splitter.addWidget(plots)
        self._splitter.setStretchFactor(1, 1)
        self._splitter.setSizes([_LIST_WIDTH_PIXEL, 1000])
        self._splitter.setChildrenCollapsible(False)
        central = QtWidgets.QWidget()
        central.setObjectName("window")
        outer = QtWidgets.QVBoxLayout(central)
        outer.setContentsMargins(10, 10, 10, 10)
        outer.setSpacing(8)
        outer.addWidget(self.status)
        outer.addWidget(self._splitter, 1)
        self.setCentralWidget(central)

    def _connect(self) -> None:
        self.follow.toggled.connect(self._follow_toggled)
        self.span.currentIndexChanged.connect(self._span_changed)
        self.theme_button.clicked.connect(self.switch_theme)
        QtGui.QShortcut("F", self, self.follow.toggle)
        QtGui.QShortcut("T", self, self.switch_theme)
        QtGui.QShortcut("Home", self, self.show_whole_run)
        QtGui.QShortcut("Ctrl+Q", self, self.close)
        self.plots.moved_by_hand.connect(lambda: self.follow.setChecked(False))
        self.plots.whole_run_wanted.connect(self.show_whole_run)
        self.plots.readout.connect(self.readout.setText)
        self.channels.chosen.connect(self.run_chosen)

    def _follow_toggled(self, following: bool) -> None:
        self.plots.follow(following)
        self.follow_changed.emit(following)

    def _span_changed(self) -> None:
        self.plots.span_second = self.span.currentData()
        self.plots.follow(True)
        self.follow.setChecked(True)

    def show_whole_run(self) -> None:
        """Follow, with the whole run in view."""
        self.span.setCurrentIndex(0)
        self._span_changed()

    def switch_theme(self) -> None:
        """From dark to light and back."""
        self.apply_theme(LIGHT if self.theme.name == "dark" else DARK)

    def apply_theme(self, theme: Theme) -> None:
        """Take other colours."""
        self.theme = theme
        apply(self, theme)
        self.theme_button.setText("Light" if theme.name == "dark" else "Dark")
        for panel in (self.status, self.plots, self.channels):
            panel.apply_theme(theme)

    def show_model(self, model: RunModel | None) -> None:
        """Show another run."""
        self.plots.show_series(model.timeseries if model else None)
        self.follow.setChecked(True)

    def show_status(self, status: Status, message: str, title: str) -> None:
        """Show a status; `message` says why there is no curve ("" if there is one)."""
        self.status.show_status(status)
        self.plots.say(message)
        if self.windowTitle() != title:
            self.setWindowTitle(title)

    def show_channels(self, rows: Sequence[ChannelRow], shown_uid: str) -> None:
        """Show what is in the data directory."""
        self.channels.show_rows(rows, shown_uid)

    def closeEvent(self, event: QtGui.QCloseEvent) -> None:  # noqa: N802 - Qt's spelling
        """Say that the window closes."""
        self.closed.emit()
        super().closeEvent(event)

    def save_picture(self, path: Path, size: tuple[int, int], bring_up_to_date: Callable[[], None]) -> None:
        """Save the window as it would look at `size` pixels, as PNG.

        Args:
            path: The file.
            size: Width and height in pixels.
            bring_up_to_date: Called once the window has its size.

        Raises:
            LabctlError: The file cannot be written.
        """
        factor = max(min(size[0] // _LAID_OUT_FOR[0], size[1] // _LAID_OUT_FOR[1]), 1)
        self.plots.picture_scale = float(factor)
        self.plots.apply_theme(self.theme)
        image = QtGui.QImage(*size, QtGui.QImage.Format.Format_RGB32)
        image.setDevicePixelRatio(factor)
        self.setFixedSize(round(size[0] / factor), round(size[1] / factor))
        self.show()
        for _ in range(3):  # axes change their width with their labels: let the layout settle
            QtWidgets.QApplication.processEvents()
            bring_up_to_date()
        QtWidgets.QApplication.processEvents()
        self.render(image)
        writer = QtGui.QImageWriter(str(path), QtCore.QByteArray(b"png"))
        if not writer.write(image):
            raise LabctlError(f"{path}: the picture cannot be written: {writer.errorString()}")
