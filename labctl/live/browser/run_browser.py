"""The browser of stored runs: search and filters above, the runs, and below them the ticked ones compared."""

from __future__ import annotations

import sys
from pathlib import Path

from PySide6 import QtCore, QtGui, QtWidgets

from labctl.live.browser.compare import CompareView
from labctl.live.browser.filters import FilterBar
from labctl.live.browser.finder import Found, RunFinder
from labctl.live.browser.table import COLUMNS, MOST_COMPARED, RUN, RunTable
from labctl.live.text import grouped
from labctl.live.theme import Theme, apply
from labctl.runs.query import RunQuery
from labctl.runs.summary import RunSummary

_LIST_SHARE, _COMPARE_SHARE = 9, 11


class RunBrowser(QtWidgets.QWidget):
    """The browser's window.

    Args:
        data_directory: Holds the runs.
        theme: Its colours.

    Signals:
        show_wanted: a run (`RunSummary`) to be shown in the live window.
    """

    show_wanted = QtCore.Signal(object)
    _answered = QtCore.Signal(object)

    def __init__(self, data_directory: Path, theme: Theme, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent, QtCore.Qt.WindowType.Window)
        self.setObjectName("window")
        self.setWindowTitle(f"Runs in {data_directory} · labctl")
        self._data = data_directory
        self._query, self._found = RunQuery(), Found(RunQuery())
        self.filters = FilterBar()
        self.table = RunTable(theme, self)
        self.compare = CompareView(data_directory, theme)
        self._make_list()
        self._make_buttons()
        self._lay_out()
        self._connect()
        self.finder = RunFinder(data_directory, self._answered.emit)
        self.apply_theme(theme)
        self.filters.ask()

    def _make_list(self) -> None:
        self.list = QtWidgets.QTableView()
        self.list.setModel(self.table)
        self.list.setSelectionBehavior(QtWidgets.QAbstractItemView.SelectionBehavior.SelectRows)
        self.list.setSelectionMode(QtWidgets.QAbstractItemView.SelectionMode.SingleSelection)
        self.list.setShowGrid(False)
        self.list.setWordWrap(False)
        self.list.verticalHeader().hide()
        self.list.verticalHeader().setDefaultSectionSize(26)
        header = self.list.horizontalHeader()
        header.setHighlightSections(False)
        header.setDefaultAlignment(QtCore.Qt.AlignmentFlag.AlignLeft | QtCore.Qt.AlignmentFlag.AlignVCenter)
        header.setStretchLastSection(True)
        for column, (_, width) in enumerate(COLUMNS):
            self.list.setColumnWidth(column, width)

    def _make_buttons(self) -> None:
        self.show_button = QtWidgets.QPushButton("Show")
        self.show_button.setToolTip("Show the run in the live window (Enter)")
        self.replay_button = QtWidgets.QPushButton("Replay")
        self.replay_button.setToolTip("Play the run again in a window of its own (R)")
        self.refresh_button = QtWidgets.QPushButton("Refresh")
        self.refresh_button.setToolTip("Refresh the list of runs (F5)")
        self.count = QtWidgets.QLabel()
        self.count.setObjectName("muted")
        self.trouble = QtWidgets.QLabel()
        self.trouble.setObjectName("warning")

    def _lay_out(self) -> None:
        below = QtWidgets.QHBoxLayout()
        below.setSpacing(8)
        for widget in (self.show_button, self.replay_button, self.refresh_button):
            below.addWidget(widget)
        below.addWidget(self.trouble)
        below.addStretch(1)
        below.addWidget(self.count)
        upper = QtWidgets.QWidget()
        inner = QtWidgets.QVBoxLayout(upper)
        inner.setContentsMargins(0, 0, 0, 0)
        inner.setSpacing(8)
        inner.addWidget(self.filters)
        inner.addWidget(self.list, 1)
        inner.addLayout(below)
        splitter = QtWidgets.QSplitter(QtCore.Qt.Orientation.Vertical)
        splitter.setChildrenCollapsible(False)
        for number, (part, share) in enumerate(((upper, _LIST_SHARE), (self.compare, _COMPARE_SHARE))):
            splitter.addWidget(part)
            splitter.setStretchFactor(number, share)
        splitter.setSizes([_LIST_SHARE * 100, _COMPARE_SHARE * 100])
        outer = QtWidgets.QVBoxLayout(self)
        outer.setContentsMargins(10, 10, 10, 10)
        outer.addWidget(splitter)

    def _connect(self) -> None:
        self._answered.connect(self._show_found)
        self.filters.changed.connect(self._find)
        self.filters.refused.connect(self.trouble.setText)
        self.table.refused.connect(self.trouble.setText)
        self.table.ticked.connect(self._ticked)
        self.list.doubleClicked.connect(lambda index: self._show(index.data(RUN)))
        self.show_button.clicked.connect(lambda: self._show(self.current))
        self.replay_button.clicked.connect(lambda: self._replay(self.current))
        self.refresh_button.clicked.connect(self.filters.ask)
        for key, action in (
            ("Return", lambda: self._show(self.current)),
            ("Space", self._tick_current),
            ("R", lambda: self._replay(self.current)),
        ):
            QtGui.QShortcut(key, self.list, action, context=QtCore.Qt.ShortcutContext.WidgetShortcut)
        QtGui.QShortcut("F5", self, self.filters.ask)
        QtGui.QShortcut("Ctrl+F", self, self.filters.words.setFocus)

    @property
    def current(self) -> RunSummary | None:
        """The run that is marked in the list."""
        return self.list.currentIndex().data(RUN)

    def _find(self, query: RunQuery) -> None:
        self._query = query
        self.finder.find(query)

    def _show_found(self, found: Found) -> None:
        if found.query != self._query:
            return  # something else is looked for meanwhile
        marked = self.current
        self._found = found
        self.table.show_runs(found.runs)
        self.filters.show_choices(found.choices)
        self.trouble.setText(found.error)
        self._count()
        uids = [run.uid for run in found.runs]
        if marked is not None and marked.uid in uids:
            self.list.selectRow(uids.index(marked.uid))
        elif uids:
            self.list.selectRow(0)

    def _count(self) -> None:
        told = f"{grouped(len(self._found.runs))} of {grouped(self._found.total)} runs"
        self.count.setText(f"{told}  ·  {len(self.table.chosen)} of {MOST_COMPARED} compared")

    def _ticked(self) -> None:
        self.trouble.setText("")
        self._count()
        self.compare.show_runs(tuple(self.table.chosen.values()))

    def _tick_current(self) -> None:
        run = self.current
        if run is not None:
            self.table.tick(run, run.uid not in self.table.chosen)

    def _show(self, run: RunSummary | None) -> None:
        if run is not None:
            self.show_wanted.emit(run)

    def _replay(self, run: RunSummary | None) -> None:
        """In a process of its own: neither window can harm the other."""
        if run is None:
            return
        arguments = ["-m", "labctl", "replay", run.uid, "--data", str(self._data.resolve())]
        if not QtCore.QProcess.startDetached(sys.executable, arguments)[0]:
            self.trouble.setText("the replay does not start")

    def apply_theme(self, theme: Theme) -> None:
        """Take other colours."""
        apply(self, theme)
        self.table.theme = theme
        self.compare.apply_theme(theme)

    def closeEvent(self, event: QtGui.QCloseEvent) -> None:  # noqa: N802 - Qt's spelling
        """End the reading."""
        self.finder.close()
        self.compare.close_reading()
        super().closeEvent(event)
