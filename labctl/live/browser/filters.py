"""Filters for stored runs: words, cell, coating, plan, state, dates."""

from __future__ import annotations

from PySide6 import QtCore, QtWidgets

from labctl.errors import ConfigurationError
from labctl.live.browser.finder import Choices
from labctl.live.widgets import PickBox
from labctl.runs.query import STATUSES, RunQuery, parse_time

_TYPING_MILLISECOND = 200


class FilterBar(QtWidgets.QFrame):
    """What is looked for.

    Signals:
        changed: the query (`RunQuery`) is another one.
        refused: what is wrong with what was typed; "" when it is right again.
    """

    changed = QtCore.Signal(object)
    refused = QtCore.Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.words = QtWidgets.QLineEdit(placeholderText="Search: any words of the run's record")
        self.words.setClearButtonEnabled(True)
        self.cell, self.coating, self.plan = PickBox(), PickBox(), PickBox()
        self.status = PickBox()
        self._boxes = {"cell": self.cell, "coating": self.coating, "plan_name": self.plan}
        for box, everything in zip(
            self._boxes.values(), ("all cells", "all coatings", "all plans"), strict=True
        ):
            box.addItem(everything, None)
        self.status.addItem("all states", None)
        for status in STATUSES:
            self.status.addItem(status, status)
        self.since = QtWidgets.QLineEdit(placeholderText="from: date or 7d")
        self.until = QtWidgets.QLineEdit(placeholderText="to: date")
        self._typing = QtCore.QTimer(self, singleShot=True, interval=_TYPING_MILLISECOND)
        self._typing.timeout.connect(self.ask)
        self._lay_out()
        self._connect()

    def _lay_out(self) -> None:
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(8)
        layout.addWidget(self.words, 1)
        for widget in (*self._boxes.values(), self.status, self.since, self.until):
            layout.addWidget(widget)
        for edit in (self.since, self.until):
            edit.setFixedWidth(140)
            edit.setToolTip("A date as 2026-10-01, a time as 2026-10-01T14:30 (UTC), or days ago as 7d")

    def _connect(self) -> None:
        for edit in (self.words, self.since, self.until):
            edit.textChanged.connect(lambda: self._typing.start())
            edit.returnPressed.connect(self.ask)
        for box in (*self._boxes.values(), self.status):
            box.currentIndexChanged.connect(self.ask)

    def ask(self) -> None:
        """Ask for the runs at once."""
        self._typing.stop()
        try:
            query = self.query()
        except ConfigurationError as error:
            self.refused.emit(f"{error.field}: {error.value}: {error.allowed}")
            return
        self.refused.emit("")
        self.changed.emit(query)

    def query(self) -> RunQuery:
        """What is looked for.

        Raises:
            ConfigurationError: A date cannot be understood.
        """
        since, until = self.since.text().strip(), self.until.text().strip()
        return RunQuery(
            text=self.words.text().strip() or None,
            status=self.status.currentData(),
            since=parse_time(since, "from") if since else None,
            until=parse_time(until, "to", end=True) if until else None,
            **{field: box.currentData() for field, box in self._boxes.items()},
        )

    def show_choices(self, choices: Choices) -> None:
        """Offer what there is; what is chosen stays chosen."""
        for box, offered in zip(
            self._boxes.values(), (choices.cells, choices.coatings, choices.plans), strict=True
        ):
            if [box.itemData(number) for number in range(1, box.count())] == list(offered):
                continue
            chosen = box.currentData()
            with QtCore.QSignalBlocker(box):
                while box.count() > 1:
                    box.removeItem(1)
                for name in offered:
                    box.addItem(name, name)
                box.setCurrentIndex(max(box.findData(chosen), 0) if chosen is not None else 0)
