"""The panels as docks: the layout depends on the kind of run, can be changed, and is saved for each kind."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import pairwise
from math import ceil
from typing import Any

from PySide6 import QtCore, QtGui, QtWidgets

from labctl.live.model.run_kind import Kind

# Rows from the top, in each its cells from the left, in each its panels; the first of them is in front.
_Row = tuple[tuple[str, ...], ...]
LAYOUTS: dict[Kind, tuple[_Row, ...]] = {
    "general": ((("voltage",),), (("environment", "capacity", "alarms"),)),
    "gitt": ((("voltage", "capacity"),), (("gitt", "environment", "alarms"),)),
    "impedance": ((("nyquist",), ("bode",)), (("voltage", "kramers-kronig", "environment", "alarms"),)),
    "cycling": (
        (("cycles", "nyquist", "bode"), ("capacity", "dqdv")),
        (("voltage", "environment", "alarms"),),
    ),
}
_UPPER_SHARE: dict[Kind, float] = {"general": 0.55, "gitt": 0.48, "impedance": 0.6, "cycling": 0.62}
_STATE_VERSION = 1


class DockArea(QtWidgets.QMainWindow):
    """All panels, each in a dock of its own.

    Args:
        panels: Widgets with a `title`, by their names.
        settings: Where layouts are remembered; None for nowhere.
    """

    def __init__(self, panels: Mapping[str, Any], settings: QtCore.QSettings | None) -> None:
        super().__init__()
        self.setObjectName("docks")
        self.setWindowFlags(QtCore.Qt.WindowType.Widget)
        options = QtWidgets.QMainWindow.DockOption
        self.setDockOptions(options.AllowNestedDocks | options.AllowTabbedDocks | options.GroupedDragging)
        self.setTabPosition(
            QtCore.Qt.DockWidgetArea.AllDockWidgetAreas, QtWidgets.QTabWidget.TabPosition.North
        )
        self.panels = dict(panels)
        self.kind: Kind | None = None
        self._settings = settings
        self._identity = ""
        self._fixed = False
        self._tidying = QtCore.QTimer(self, singleShot=True, interval=0)
        self._tidying.timeout.connect(self._tidy)
        self.docks = {name: self._dock(name, panel) for name, panel in self.panels.items()}

    def _dock(self, name: str, panel: Any) -> QtWidgets.QDockWidget:
        dock = QtWidgets.QDockWidget(panel.title)
        dock.setObjectName(name)
        dock.setWidget(panel)
        self.addDockWidget(QtCore.Qt.DockWidgetArea.LeftDockWidgetArea, dock)
        dock.hide()
        for changed in (dock.topLevelChanged, dock.visibilityChanged, dock.dockLocationChanged):
            changed.connect(lambda *_: self._tidying.start())
        dock.topLevelChanged.connect(partial(self._name_dock, dock, panel))
        dock.toggleViewAction().triggered.connect(lambda shown: dock.raise_() if shown else None)
        return dock

    def _name_dock(self, dock: QtWidgets.QDockWidget, panel: Any, *_: Any) -> None:
        """A panel in a window of its own says whose it is."""
        own = " · ".join(part for part in (panel.title, self._identity) if part)
        dock.setWindowTitle(own if dock.isFloating() else panel.title)

    def name_run(self, identity: str) -> None:
        """Say which run it is, in the frames of panels that float."""
        if identity != self._identity:
            self._identity = identity
            for name, dock in self.docks.items():
                self._name_dock(dock, self.panels[name])

    def _tidy(self) -> None:
        """A dock with a tab needs no title beside it."""
        for dock in self.docks.values():
            beside = [other for other in self.tabifiedDockWidgets(dock) if not other.isHidden()]
            tabbed = bool(beside) and not dock.isFloating()
            bare = dock.titleBarWidget() is not None
            if tabbed and not bare:
                dock.setTitleBarWidget(_NoTitle())
            elif bare and not tabbed:
                dock.setTitleBarWidget(None)  # type: ignore[arg-type]  # Qt's own title bar
        for bar in self.findChildren(QtWidgets.QTabBar):
            bar.setElideMode(QtCore.Qt.TextElideMode.ElideNone)

    def in_view(self) -> Iterator[Any]:
        """The visible panels: neither closed nor behind another tab."""
        for name, dock in self.docks.items():
            # Qt keeps docks behind a tab "visible", beside the area.
            here = dock.isFloating() or self.rect().intersects(dock.geometry())
            if here and dock.isVisible() and not dock.window().isMinimized():
                yield self.panels[name]

    def toggles(self) -> list[QtGui.QAction]:
        """Actions that show or close one panel each."""
        return [dock.toggleViewAction() for dock in self.docks.values()]

    def arrange(self, kind: Kind) -> None:
        """Lay the panels out for a kind of run: as it was left, or as it is at first."""
        if kind == self.kind or self._fixed:
            return
        self.remember()
        self.kind = kind
        state = self._settings.value(f"layout/{kind}") if self._settings is not None else None
        if not (isinstance(state, QtCore.QByteArray) and self.restoreState(state, _STATE_VERSION)):
            self._lay_out(LAYOUTS[kind], _UPPER_SHARE[kind])
        self._tidy()

    def reset(self) -> None:
        """Lay the panels out as they are at first."""
        kind = self.kind or "general"
        if self._settings is not None:
            self._settings.remove(f"layout/{kind}")
        self._lay_out(LAYOUTS[kind], _UPPER_SHARE[kind])
        self._tidy()

    def show_only(self, names: Sequence[str]) -> None:
        """Show these panels in rows, whatever the run is about; nothing of it is remembered."""
        self._settings, self._fixed = None, True
        rows = round(len(names) ** 0.5)
        across = ceil(len(names) / rows)
        firsts = range(0, len(names), across)
        cells = [tuple((name,) for name in names[first : first + across]) for first in firsts]
        self._lay_out(cells, 1 / len(cells))
        self._tidy()

    def remember(self) -> None:
        """Keep the present layout for runs of this kind."""
        if self._settings is not None and self.kind is not None:
            self._settings.setValue(f"layout/{self.kind}", self.saveState(_STATE_VERSION))

    def _lay_out(self, rows: Sequence[_Row], upper_share: float) -> None:
        for dock in self.docks.values():
            dock.setFloating(False)
            self.removeDockWidget(dock)
        heads = [self.docks[row[0][0]] for row in rows]
        self.addDockWidget(QtCore.Qt.DockWidgetArea.LeftDockWidgetArea, heads[0])
        for above, below in pairwise(heads):
            self.splitDockWidget(above, below, QtCore.Qt.Orientation.Vertical)
        for row in rows:
            self._fill(row)
        used = {name for row in rows for cell in row for name in cell}
        for name in self.docks.keys() - used:
            self.tabifyDockWidget(heads[-1], self.docks[name])  # where it comes up when it is asked for
            self.docks[name].hide()
        if len(heads) > 1:
            upper = round(self.height() * upper_share)
            rest = (self.height() - upper) // (len(heads) - 1)
            sizes = [upper, *[rest] * (len(heads) - 1)]
            self.resizeDocks(heads, sizes, QtCore.Qt.Orientation.Vertical)

    def _fill(self, row: _Row) -> None:
        firsts = [self.docks[cell[0]] for cell in row]
        for left, right in pairwise(firsts):
            self.splitDockWidget(left, right, QtCore.Qt.Orientation.Horizontal)
        for cell in row:
            for name in cell[1:]:
                self.tabifyDockWidget(self.docks[cell[0]], self.docks[name])
                self.docks[name].show()
            self.docks[cell[0]].show()
            self.docks[cell[0]].raise_()
        width = self.width() // len(firsts)
        self.resizeDocks(firsts, [width] * len(firsts), QtCore.Qt.Orientation.Horizontal)


class _NoTitle(QtWidgets.QWidget):
    """A title bar of no height."""

    def sizeHint(self) -> QtCore.QSize:  # noqa: N802 - Qt's spelling
        """Nothing."""
        return QtCore.QSize(0, 0)

    def minimumSizeHint(self) -> QtCore.QSize:  # noqa: N802 - Qt's spelling
        """Nothing."""
        return QtCore.QSize(0, 0)
