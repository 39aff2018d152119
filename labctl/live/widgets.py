"""Small widgets that several windows share."""

from __future__ import annotations

from PySide6 import QtCore, QtGui, QtWidgets

_ARROW_MARGIN_PIXEL = 9


def plain_tip(text: str) -> str:
    """A tool tip that shows `text` as it is; Qt by itself takes what looks like HTML for HTML."""
    return QtGui.Qt.convertFromPlainText(text) if QtGui.Qt.mightBeRichText(text) else text


class PickBox(QtWidgets.QComboBox):
    """A combo box that draws its own arrow, which a style sheet takes away."""

    def paintEvent(self, event: QtGui.QPaintEvent) -> None:  # noqa: N802 - Qt's spelling
        """Draw the box and its arrow."""
        super().paintEvent(event)
        painter = QtGui.QPainter(self)
        flags = QtCore.Qt.AlignmentFlag.AlignRight | QtCore.Qt.AlignmentFlag.AlignVCenter
        painter.drawText(self.rect().adjusted(0, 0, -_ARROW_MARGIN_PIXEL, 0), flags, "▾")
        painter.end()
