"""The alarms of a run as a table, the newest first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from math import isfinite
from typing import Any

import numpy as np
import pyqtgraph as pg
from PySide6 import QtCore, QtGui, QtWidgets

from labctl.live.model.run_model import RunModel
from labctl.live.panels.base import Table
from labctl.live.text import NO_VALUE, clock_text
from labctl.live.theme import Theme
from labctl.live.widgets import plain_tip
from labctl.schema import ALARM_ACTION, ALARM_KIND, ALARM_LIMIT, ALARM_SOURCE, ALARM_VALUE, TEST_TIME

_HEADINGS = ("Run time", "Kind", "Source", "Value", "Limit", "Action", "Wall time")
_KIND, _ALIGNED_RIGHT = 1, (3, 4)


class AlarmModel(QtCore.QAbstractTableModel):
    """Rows of the stream `alarms`, newest first."""

    def __init__(self, parent: QtCore.QObject | None = None) -> None:
        super().__init__(parent)
        self.rows: list[Mapping[str, Any]] = []
        self.colour = ""

    def show_rows(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Show other rows."""
        self.beginResetModel()
        self.rows = list(reversed(rows))
        self.endResetModel()

    def rowCount(self, parent: Any = None) -> int:  # noqa: N802 - Qt's spelling
        """Number of alarms."""
        return 0 if parent is not None and parent.isValid() else len(self.rows)

    def columnCount(self, parent: Any = None) -> int:  # noqa: N802 - Qt's spelling
        """Number of columns."""
        return 0 if parent is not None and parent.isValid() else len(_HEADINGS)

    def headerData(self, section: int, orientation: Any, role: int = 0) -> Any:  # noqa: N802 - Qt's spelling
        """Headings."""
        if orientation == QtCore.Qt.Orientation.Horizontal and role == QtCore.Qt.ItemDataRole.DisplayRole:
            return _HEADINGS[section]
        return None

    def data(self, index: Any, role: int = QtCore.Qt.ItemDataRole.DisplayRole) -> Any:
        """Texts."""
        if role in (QtCore.Qt.ItemDataRole.DisplayRole, QtCore.Qt.ItemDataRole.ToolTipRole):
            text = _texts(self.rows[index.row()])[index.column()]
            return text if role == QtCore.Qt.ItemDataRole.DisplayRole else plain_tip(text)
        if role == QtCore.Qt.ItemDataRole.ForegroundRole and index.column() == _KIND:
            return QtGui.QColor(self.colour)
        if role == QtCore.Qt.ItemDataRole.TextAlignmentRole and index.column() in _ALIGNED_RIGHT:
            flags = QtCore.Qt.AlignmentFlag
            return int(flags.AlignRight | flags.AlignVCenter)
        return None


def _texts(row: Mapping[str, Any]) -> tuple[str, ...]:
    when = row.get("time")
    wall = f"{datetime.fromtimestamp(when).astimezone():%d %b %Y %H:%M:%S}" if when else NO_VALUE
    second = _number(row.get(TEST_TIME))
    return (
        clock_text(second) if isfinite(second) else NO_VALUE,
        str(row.get(ALARM_KIND, "")),
        str(row.get(ALARM_SOURCE, "")),
        _plain(row.get(ALARM_VALUE)),
        _plain(row.get(ALARM_LIMIT)),
        str(row.get(ALARM_ACTION, "")),
        wall,
    )


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else float("nan")


def _plain(value: Any) -> str:
    number = _number(value)
    return f"{number:.6g}".replace("-", "−") if isfinite(number) else NO_VALUE


class AlarmsPanel(QtWidgets.QWidget):
    """The table, or a line that says that there is nothing in it."""

    name = "alarms"
    title = "Alarms"
    readout = QtCore.Signal(str)

    def __init__(self, theme: Theme, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("panel")
        self.setAttribute(QtCore.Qt.WidgetAttribute.WA_StyledBackground)
        self.picture_scale = 1.0
        self.model: RunModel | None = None
        self.table = QtWidgets.QTableView()
        self.alarms = AlarmModel(self)
        self.table.setModel(self.alarms)
        self.table.verticalHeader().hide()
        self.table.setShowGrid(False)
        self.table.setAlternatingRowColors(True)
        self.table.setSelectionBehavior(QtWidgets.QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.horizontalHeader().setStretchLastSection(True)
        self.table.horizontalHeader().setDefaultAlignment(QtCore.Qt.AlignmentFlag.AlignLeft)
        self.message = QtWidgets.QLabel()
        self.message.setObjectName("message")
        self.message.setAlignment(QtCore.Qt.AlignmentFlag.AlignCenter)
        self._either = QtWidgets.QStackedLayout(self)
        self._either.addWidget(self.table)
        self._either.addWidget(self.message)
        self._shown: Any = None
        self._nothing = ""
        self.apply_theme(theme)

    def show_model(self, model: RunModel | None) -> None:
        """Show another run."""
        self.model, self._shown = model, None

    def show_nothing(self, reason: str, *, ended: bool) -> None:
        """Say why there is no run at all ("" if there is one), and whether it has ended."""
        self._nothing = reason

    def follow(self, following: bool) -> None:
        """The newest alarm is always at the top."""

    def refresh(self) -> None:
        """Show what has come since the last call."""
        model = self.model
        reason = self._nothing or ("" if model is not None and model.alarms else "No alarms in this run")
        if reason != self.message.text():
            self.message.setText(reason)
        self._either.setCurrentWidget(self.message if reason else self.table)
        if model is None or self._shown == (model, model.alarms):
            return
        self._shown = model, model.alarms
        self.alarms.show_rows(model.alarm_rows)
        self.table.resizeColumnsToContents()

    def apply_theme(self, theme: Theme) -> None:
        """Take other colours."""
        self.alarms.colour = theme.warning
        self.table.viewport().update()

    def plot_items(self) -> Sequence[pg.PlotItem]:
        """None: this is a table."""
        return []

    def visible_data(self) -> Table:
        """All alarms, oldest first."""
        rows = list(self.model.alarm_rows) if self.model is not None else []
        if not rows:
            return {}
        numbers = (TEST_TIME, ALARM_VALUE, ALARM_LIMIT)
        table: Table = {name: np.array([_number(row.get(name)) for row in rows]) for name in numbers}
        return table | {
            name: np.array([str(row.get(name, "")) for row in rows])
            for name in (ALARM_KIND, ALARM_SOURCE, ALARM_ACTION)
        }
