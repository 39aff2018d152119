"""The status card: state, plan, cell, progress, last values in large type, age of data."""

from __future__ import annotations

from PySide6 import QtCore, QtWidgets

from labctl.live.model.status import STATE_SIGN, STATE_TEXT, ShownValue, Status
from labctl.live.theme import Theme
from labctl.live.widgets import ElidedLabel, _restyle

_BAR_STEPS = 1000
_VALUE_WIDTH_PIXEL = 145


class ValueTile(QtWidgets.QWidget):
    """One last value, large, with its unit."""

    def __init__(self) -> None:
        super().__init__()
        self._caption, self._number, self._unit = (QtWidgets.QLabel() for _ in range(3))
        for label, name in ((self._caption, "caption"), (self._number, "value"), (self._unit, "unit")):
            label.setObjectName(name)
        baseline = QtCore.Qt.AlignmentFlag.AlignBottom
        layout = QtWidgets.QGridLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.setHorizontalSpacing(6)
        layout.addWidget(self._caption, 1, 0, 1, 3)
        layout.addWidget(self._number, 2, 0, baseline)
        layout.addWidget(self._unit, 2, 1, baseline)
        layout.setColumnStretch(2, 1)
        layout.setRowStretch(0, 1)
        layout.setRowStretch(3, 1)
        self._unit.setContentsMargins(0, 0, 0, 4)
        self.setMinimumWidth(_VALUE_WIDTH_PIXEL)

    def show_value(self, value: ShownValue, colour: str) -> None:
        """Show a value in a colour."""
        self._caption.setText(value.label)
        self._unit.setText(value.unit)
        if self._number.text() != value.number:
            self._number.setText(value.number)
        _restyle(self._number, f"color: {colour};")


class StatusPanel(QtWidgets.QFrame):
    """Everything of `labctl.live.model.status.Status`, as it stands."""

    def __init__(self, theme: Theme, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("card")
        self._theme = theme
        self._shown: Status | None = None
        self.state = QtWidgets.QLabel()
        self.title, self.detail = ElidedLabel("title"), ElidedLabel("muted")
        self.progress, self.warning = ElidedLabel("muted"), ElidedLabel("warning")
        self.age, self.health = QtWidgets.QLabel(), QtWidgets.QLabel()
        self.health.setObjectName("muted")
        self.age.setAlignment(QtCore.Qt.AlignmentFlag.AlignRight | QtCore.Qt.AlignmentFlag.AlignVCenter)
        self.bar = QtWidgets.QProgressBar()
        self.bar.setRange(0, _BAR_STEPS)
        self.bar.setTextVisible(False)
        self.bar.setFixedHeight(6)
        kept = self.bar.sizePolicy()
        kept.setRetainSizeWhenHidden(True)
        self.bar.setSizePolicy(kept)
        self.tiles: list[ValueTile] = []
        self._lay_out()

    def _lay_out(self) -> None:
        head = QtWidgets.QHBoxLayout()
        head.setSpacing(12)
        head.addWidget(self.state)
        head.addWidget(self.title, 1)
        head.addWidget(self.health)
        head.addWidget(self.age)
        left = QtWidgets.QVBoxLayout()
        left.setSpacing(5)
        for widget in (self.detail, self.bar, self.progress):
            left.addWidget(widget)
        self._right = QtWidgets.QHBoxLayout()
        self._right.setSpacing(18)
        middle = QtWidgets.QHBoxLayout()
        middle.setSpacing(28)
        middle.addLayout(left, 1)
        middle.addLayout(self._right)
        layout = QtWidgets.QVBoxLayout(self)
        layout.setContentsMargins(14, 10, 14, 10)
        layout.setSpacing(5)
        layout.addLayout(head)
        layout.addLayout(middle)
        layout.addWidget(self.warning)

    def show_status(self, status: Status) -> None:
        """Show a status; what has not changed is left alone."""
        if status == self._shown:
            return
        self._shown = status
        colour = self._theme.state(status.state)
        self.state.setText(f"{STATE_SIGN[status.state]}  {STATE_TEXT[status.state]}")
        frame = f"border: 1px solid {colour}; border-radius: 9px; padding: 1px 10px;"
        _restyle(self.state, f"color: {colour}; font-weight: 600; {frame}")
        self.title.set_text(status.title)
        self.detail.set_text(status.detail)
        self.progress.set_text(status.progress)
        self.warning.set_text(status.warning)
        self.warning.setVisible(bool(status.warning))
        late = status.state == "stale"
        self.age.setText(status.age)
        self.health.setText(status.health)
        _restyle(self.age, f"color: {colour if late else self._theme.muted};")
        _restyle(self.bar, f"QProgressBar::chunk {{ background: {colour}; }}")
        self.bar.setVisible(status.fraction is not None)
        self.bar.setValue(round(_BAR_STEPS * (status.fraction or 0.0)))
        self._show_values(status, faded=status.state not in ("running", "replay"))

    def _show_values(self, status: Status, faded: bool) -> None:
        while len(self.tiles) < len(status.values):
            self.tiles.append(ValueTile())
            self._right.addWidget(self.tiles[-1])
        colours = [self._theme.voltage, self._theme.current]
        for number, tile in enumerate(self.tiles):
            tile.setVisible(number < len(status.values))
            if number < len(status.values):
                colour = colours[number] if number < len(colours) else self._theme.text
                tile.show_value(status.values[number], self._theme.muted if faded else colour)

    def apply_theme(self, theme: Theme) -> None:
        """Take other colours."""
        self._theme = theme
        shown, self._shown = self._shown, None
        if shown is not None:
            self.show_status(shown)
