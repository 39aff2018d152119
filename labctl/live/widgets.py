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


class ElidedLabel(QtWidgets.QLabel):
    """A label that ends in "…" where there is no room, instead of pushing the window wider."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.setTextFormat(QtCore.Qt.TextFormat.PlainText)  # what comes from documents is never markup
        self.setObjectName(name)
        self.setSizePolicy(QtWidgets.QSizePolicy.Policy.Ignored, QtWidgets.QSizePolicy.Policy.Preferred)

    def set_text(self, text: str) -> None:
        """Show a text; the whole of it is in the tool tip."""
        if text != self.text():
            self.setText(text)
            self.setToolTip(plain_tip(text))

    def paintEvent(self, _: QtGui.QPaintEvent) -> None:  # noqa: N802 - Qt's spelling
        """Draw what fits."""
        painter = QtGui.QPainter(self)
        elide = QtCore.Qt.TextElideMode.ElideRight
        text = self.fontMetrics().elidedText(self.text(), elide, self.width())
        painter.drawText(self.rect(), self.alignment() | QtCore.Qt.AlignmentFlag.AlignVCenter, text)
        painter.end()


def _restyle(widget: QtWidgets.QWidget, style: str) -> None:
    """Set a style sheet if it is another one; setting it costs 0.1 ms even if it is the same."""
    if widget.styleSheet() != style:
        widget.setStyleSheet(style)
