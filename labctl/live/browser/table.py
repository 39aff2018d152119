"""The table of stored runs, with a tick on those that are compared."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from PySide6 import QtCore, QtGui

from labctl.live.model.status import STATE_SIGN, STATE_TEXT
from labctl.live.model.watch import state_of
from labctl.live.text import grouped
from labctl.live.theme import Theme
from labctl.live.widgets import plain_tip
from labctl.runs.summary import RunSummary

MOST_COMPARED = 12
RUN = QtCore.Qt.ItemDataRole.UserRole  # the RunSummary of a row
COLUMNS = (
    ("", 34),
    ("Started", 150),
    ("Plan", 180),
    ("Cell", 150),
    ("Coating", 120),
    ("Station", 110),
    ("State", 125),
    ("Points", 90),
    ("Uid", 90),
)  # headings and widths in pixels
_HEADINGS = [heading for heading, _ in COLUMNS]
_RIGHT = QtCore.Qt.AlignmentFlag.AlignRight | QtCore.Qt.AlignmentFlag.AlignVCenter
_Role = QtCore.Qt.ItemDataRole


class RunTable(QtCore.QAbstractTableModel):
    """The runs that were found; the ones to compare stay ticked while filters change.

    Signals:
        ticked: the runs to compare have changed.
        refused: why a run was not ticked.
    """

    ticked = QtCore.Signal()
    refused = QtCore.Signal(str)

    def __init__(self, theme: Theme, parent: QtCore.QObject | None = None) -> None:
        super().__init__(parent)
        self.theme = theme
        self.runs: tuple[RunSummary, ...] = ()
        self.chosen: dict[str, RunSummary] = {}

    def show_runs(self, runs: Sequence[RunSummary]) -> None:
        """Show other runs."""
        self.beginResetModel()
        self.runs = tuple(runs)
        self.endResetModel()

    def rowCount(self, parent: Any = None) -> int:  # noqa: N802 - Qt's spelling
        """Number of runs."""
        return 0 if parent is not None and parent.isValid() else len(self.runs)

    def columnCount(self, parent: Any = None) -> int:  # noqa: N802 - Qt's spelling
        """Number of columns."""
        return 0 if parent is not None and parent.isValid() else len(_HEADINGS)

    def headerData(self, section: int, orientation: Any, role: int = _Role.DisplayRole) -> Any:  # noqa: N802
        """Headings."""
        if orientation == QtCore.Qt.Orientation.Horizontal and role == _Role.DisplayRole:
            return _HEADINGS[section]
        return _RIGHT if role == _Role.TextAlignmentRole and _HEADINGS[section] == "Points" else None

    def data(self, index: Any, role: int = _Role.DisplayRole) -> Any:
        """Texts, colours and ticks."""
        run = self.runs[index.row()]
        if role == RUN:
            return run
        if role == _Role.DisplayRole:
            return _texts(run)[index.column()]
        if role == _Role.CheckStateRole and index.column() == 0:
            return QtCore.Qt.CheckState.Checked if run.uid in self.chosen else QtCore.Qt.CheckState.Unchecked
        if role == _Role.ForegroundRole and _HEADINGS[index.column()] == "State":
            return QtGui.QColor(self.theme.state(state_of(run)))
        if role == _Role.TextAlignmentRole and _HEADINGS[index.column()] == "Points":
            return _RIGHT
        if role == _Role.ToolTipRole:
            where = "only in the document store" if run.source == "tiled" else str(run.directory)
            return plain_tip("\n".join(part for part in (run.uid, run.reason, where) if part))
        return None

    def flags(self, index: Any) -> QtCore.Qt.ItemFlag:
        """The first column takes ticks."""
        flags = QtCore.Qt.ItemFlag.ItemIsEnabled | QtCore.Qt.ItemFlag.ItemIsSelectable
        return flags | QtCore.Qt.ItemFlag.ItemIsUserCheckable if index.column() == 0 else flags

    def setData(self, index: Any, value: Any, role: int = _Role.EditRole) -> bool:  # noqa: N802
        """Tick or untick."""
        if role != _Role.CheckStateRole:
            return False
        return self.tick(self.runs[index.row()], QtCore.Qt.CheckState(value) == QtCore.Qt.CheckState.Checked)

    def tick(self, run: RunSummary, wanted: bool) -> bool:
        """Take a run into the comparison or out of it; False if there are twelve already."""
        if wanted and run.uid not in self.chosen and len(self.chosen) >= MOST_COMPARED:
            self.refused.emit(f"{MOST_COMPARED} runs can be compared at a time: untick one first")
            return False
        if wanted:
            self.chosen[run.uid] = run
        else:
            self.chosen.pop(run.uid, None)
        self._ticks_changed()
        return True

    def untick_all(self) -> None:
        """Compare nothing."""
        self.chosen.clear()
        self._ticks_changed()

    def _ticks_changed(self) -> None:
        if self.runs:
            self.dataChanged.emit(self.index(0, 0), self.index(len(self.runs) - 1, 0), [_Role.CheckStateRole])
        self.ticked.emit()


def _texts(run: RunSummary) -> tuple[str, ...]:
    state = state_of(run)
    began = datetime.fromtimestamp(run.start_unix_second).astimezone()
    return (
        "",
        f"{began:%d %b %Y %H:%M}",
        run.plan_name,
        run.cell_id,
        run.coating,
        run.station,
        f"{STATE_SIGN[state]} {STATE_TEXT[state]}",
        grouped(run.points),
        run.uid[:8],
    )
