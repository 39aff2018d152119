"""The list of channels (with their recent voltage) and earlier runs, each with its state."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import Any

from PySide6 import QtCore, QtGui, QtWidgets

from labctl.live.model.newest import ChannelReading
from labctl.live.model.status import STATE_SIGN, STATE_TEXT
from labctl.live.model.watch import ChannelRow
from labctl.live.text import ampere_parts, volt_parts
from labctl.live.theme import Theme

_ROW = QtCore.Qt.ItemDataRole.UserRole
_CHANNEL_HEIGHT, _RUN_HEIGHT, _HEADING_HEIGHT, _MARGIN = 72, 48, 30, 10
_SPARK_WIDTH, _SPARK_HEIGHT = 94, 22
_SMALLEST_SPAN_VOLT = 2e-3  # what a sparkline is high at least: noise is to look like noise


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
        """Headings are lower than runs, channels higher."""
        row: ChannelRow = index.data(_ROW)
        if row.run is None:
            return QtCore.QSize(100, _HEADING_HEIGHT)
        return QtCore.QSize(100, _RUN_HEIGHT if row.reading is None else _CHANNEL_HEIGHT)

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
            inner = box.adjusted(0, 6, 0, -6)
            if row.reading is not None:
                foot = inner.adjusted(0, inner.height() - _SPARK_HEIGHT, 0, 0)
                self._draw_reading(painter, option.font, foot, row, row.reading)
                inner = inner.adjusted(0, 0, 0, -_SPARK_HEIGHT - 4)
            self._draw_run(painter, option.font, inner, row)
        painter.restore()

    def _draw_reading(
        self,
        painter: QtGui.QPainter,
        font: QtGui.QFont,
        box: QtCore.QRect,
        row: ChannelRow,
        reading: ChannelReading,
    ) -> None:
        """Last values at the left, recent voltage at the right; faded where nothing comes any more."""
        fresh = row.state == "running"
        volt, ampere = volt_parts(reading.volt), ampere_parts(reading.current_ampere, reading.peak_ampere)
        text = f"{volt[0]} {volt[1]}   {ampere[0]} {ampere[1]}" if reading.volts else "no samples yet"
        painter.setFont(font)
        painter.setPen(QtGui.QColor(self.theme.text if fresh else self.theme.muted))
        flags = QtCore.Qt.AlignmentFlag.AlignLeft | QtCore.Qt.AlignmentFlag.AlignVCenter
        painter.drawText(box, flags, text)
        line = sparkline(reading, QtCore.QRectF(box.adjusted(box.width() - _SPARK_WIDTH, 2, 0, -2)))
        painter.setRenderHint(QtGui.QPainter.RenderHint.Antialiasing)
        painter.setPen(QtGui.QPen(QtGui.QColor(self.theme.voltage if fresh else self.theme.muted), 1.2))
        painter.drawPath(line)

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


def sparkline(reading: ChannelReading, box: QtCore.QRectF) -> QtGui.QPainterPath:
    """The recent voltage as a line that fills a box; interrupted where there is no reading."""
    path = QtGui.QPainterPath()
    known = [volt for volt in reading.volts if isfinite(volt)]
    if len(known) < 2:
        return path
    low, high = min(known), max(known)
    lacking = max(_SMALLEST_SPAN_VOLT - (high - low), 0.0) / 2
    low, high = low - lacking, high + lacking
    begin, end = reading.times_second[0], reading.times_second[-1]
    span = max(end - begin, 1e-9)
    drawing = False
    for second, volt in zip(reading.times_second, reading.volts, strict=True):
        if not isfinite(volt):
            drawing = False
            continue
        x = box.left() + (second - begin) / span * box.width()
        y = box.bottom() - (volt - low) / (high - low) * box.height()
        path.lineTo(x, y) if drawing else path.moveTo(x, y)
        drawing = True
    return path


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
