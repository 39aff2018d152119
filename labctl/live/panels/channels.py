"""The list of stations and earlier runs of a data directory, each with its state."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from PySide6 import QtCore, QtGui, QtWidgets

from labctl.live.status import STATE_SIGN, STATE_TEXT
from labctl.live.theme import Theme
from labctl.live.watch import ChannelRow

_ROW = QtCore.Qt.ItemDataRole.UserRole
_RUN_HEIGHT, _HEADING_HEIGHT, _MARGIN = 48, 30, 10


class ChannelModel(QtCore.QAbstractListModel):
    """The rows, in place: an update that changes texts only keeps selection and scroll position."""

    def __init__(self, parent: QtCore.QObject | None = None) -> None:
        super().__init__(parent)
        self.rows: list[ChannelRow] = []

    def show_rows(self, rows: Sequence[ChannelRow]) -> None:
        """Show other rows."""
        if list(rows) == self.rows:
            return
        same = [(row.uid, row.title) for row in rows] == [(row.uid, row.title) for row in self.rows]
        if same:
            self.rows = list(rows)
            self.dataChanged.emit(self.index(0), self.index(len(self.rows) - 1))
            return
        self.beginResetModel()
        self.rows = list(rows)
        self.endResetModel()

    def rowCount(self, parent: Any = None) -> int:  # noqa: N802 - Qt's spelling
        """Number of rows."""
        return 0 if parent is not None and parent.isValid() else len(self.rows)

    def data(self, index: Any, role: int = QtCore.Qt.ItemDataRole.DisplayRole) -> Any:
        """A row's texts (for the eye, the tool tip, a screen reader) or the row itself."""
        row = self.rows[index.row()]
        if role == _ROW:
            return row
        state = f" ({STATE_TEXT[row.state]})" if row.state else ""
        if role == QtCore.Qt.ItemDataRole.DisplayRole:
            return f"{row.title}{state}"
        if role == QtCore.Qt.ItemDataRole.ToolTipRole and row.run is not None:
            reason = f"\n{row.run.reason}" if row.run.reason else ""
            return f"{row.title}{state}\n{row.subtitle}\n{row.run.uid}{reason}"
        return None

    def flags(self, index: Any) -> QtCore.Qt.ItemFlag:
        """Headings cannot be chosen."""
        if self.rows[index.row()].run is None:
            return QtCore.Qt.ItemFlag.NoItemFlags
        return QtCore.Qt.ItemFlag.ItemIsEnabled | QtCore.Qt.ItemFlag.ItemIsSelectable

    def index_of(self, uid: str) -> QtCore.QModelIndex:
        """Where a run is; an invalid index if it is not listed."""
        numbers = (number for number, row in enumerate(self.rows) if uid and row.uid == uid)
        return self.index(next(numbers, -1))


class ChannelDelegate(QtWidgets.QStyledItemDelegate):
    """Draws a row: title and state above, what runs below."""

    def __init__(self, theme: Theme, parent: QtCore.QObject | None = None) -> None:
        super().__init__(parent)
        self.theme = theme

    def sizeHint(self, option: Any, index: Any) -> QtCore.QSize:  # noqa: N802 - Qt's spelling
        """Headings are lower than runs."""
        row: ChannelRow = index.data(_ROW)
        return QtCore.QSize(100, _RUN_HEIGHT if row.run is not None else _HEADING_HEIGHT)

    def paint(self, painter: QtGui.QPainter, option: Any, index: Any) -> None:
        """Draw one row."""
        row: ChannelRow = index.data(_ROW)
        painter.save()
        box = option.rect.adjusted(_MARGIN, 0, -_MARGIN, 0)
        if row.run is None:
            self._draw_heading(painter, option.font, box, row)
        else:
            if option.state & QtWidgets.QStyle.StateFlag.State_Selected:
                painter.fillRect(option.rect, QtGui.QColor(self.theme.selected))
            self._draw_run(painter, option.font, box.adjusted(0, 6, 0, -6), row)
        painter.restore()

    def _draw_heading(
        self, painter: QtGui.QPainter, font: QtGui.QFont, box: QtCore.QRect, row: ChannelRow
    ) -> None:
        small = QtGui.QFont(font)
        small.setPixelSize(11)
        small.setWeight(QtGui.QFont.Weight.DemiBold)
        painter.setFont(small)
        painter.setPen(QtGui.QColor(self.theme.muted))
        flags = QtCore.Qt.AlignmentFlag.AlignLeft | QtCore.Qt.AlignmentFlag.AlignBottom
        painter.drawText(box.adjusted(0, 0, 0, -4), flags, row.title.upper())

    def _draw_run(
        self, painter: QtGui.QPainter, font: QtGui.QFont, box: QtCore.QRect, row: ChannelRow
    ) -> None:
        flags = QtCore.Qt.AlignmentFlag
        painter.setFont(font)
        state = row.state or "waiting"
        word = f"{STATE_SIGN[state]} {STATE_TEXT[state]}"
        painter.setPen(QtGui.QColor(self.theme.state(state)))
        painter.drawText(box, flags.AlignRight | flags.AlignTop, word)
        room = box.width() - painter.fontMetrics().horizontalAdvance(word) - _MARGIN
        bold = QtGui.QFont(font)
        bold.setWeight(QtGui.QFont.Weight.DemiBold)
        painter.setFont(bold)
        painter.setPen(QtGui.QColor(self.theme.text))
        painter.drawText(box, flags.AlignLeft | flags.AlignTop, _elided(painter, row.title, room))
        painter.setFont(font)
        painter.setPen(QtGui.QColor(self.theme.muted))
        below = _elided(painter, row.subtitle, box.width())
        painter.drawText(box, flags.AlignLeft | flags.AlignBottom, below)


def _elided(painter: QtGui.QPainter, text: str, width: int) -> str:
    return painter.fontMetrics().elidedText(text, QtCore.Qt.TextElideMode.ElideRight, width)


class ChannelPanel(QtWidgets.QListView):
    """The list; choosing a run emits `chosen` with its uid."""

    chosen = QtCore.Signal(str)

    def __init__(self, theme: Theme, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self.channels = ChannelModel(self)
        self._delegate = ChannelDelegate(theme, self)
        self._shown_uid = ""
        self.setModel(self.channels)
        self.setItemDelegate(self._delegate)
        self.setHorizontalScrollBarPolicy(QtCore.Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setVerticalScrollMode(QtWidgets.QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.clicked.connect(self._choose)
        self.activated.connect(self._choose)

    def _choose(self, index: QtCore.QModelIndex) -> None:
        row: ChannelRow | None = index.data(_ROW)
        if row is not None and row.uid and row.uid != self._shown_uid:
            self.chosen.emit(row.uid)

    def show_rows(self, rows: Sequence[ChannelRow], shown_uid: str) -> None:
        """Show rows and mark the run that is in the window."""
        self.channels.show_rows(rows)
        index = self.channels.index_of(shown_uid)
        if shown_uid != self._shown_uid or not self.selectionModel().hasSelection():
            self._shown_uid = shown_uid
            self.setCurrentIndex(index)

    def paintEvent(self, event: QtGui.QPaintEvent) -> None:  # noqa: N802 - Qt's spelling
        """Draw the list, or say that there is nothing to list."""
        super().paintEvent(event)
        if not self.channels.rows:
            painter = QtGui.QPainter(self.viewport())
            painter.setPen(QtGui.QColor(self._delegate.theme.muted))
            painter.drawText(self.viewport().rect(), QtCore.Qt.AlignmentFlag.AlignCenter, "no runs yet")
            painter.end()

    def apply_theme(self, theme: Theme) -> None:
        """Take other colours."""
        self._delegate.theme = theme
        self.viewport().update()
