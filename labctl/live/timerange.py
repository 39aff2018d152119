"""The stretch of time that all panels over time show: following the newest data, or where it is put."""

from __future__ import annotations

from PySide6 import QtCore, QtWidgets

_SHORTEST_SPAN_SECOND = 10.0
_ROOM_AHEAD = 0.05  # share of the view that is left free for what comes, so that the axis moves in steps
_ROOM_BESIDE = 0.02


class TimeRange(QtCore.QObject):
    """One range (s of elapsed time) for several plots.

    Attributes:
        following: Whether it keeps the newest data in view.
        span_second: How much it shows while following; None for the whole run.
        pointed_second: The time under the pointer, None where it is elsewhere.

    Signals:
        moved_by_hand: somebody moved or zoomed one of the plots.
        whole_run_wanted: somebody asked for all of it.
    """

    moved_by_hand = QtCore.Signal()
    whole_run_wanted = QtCore.Signal()

    def __init__(self) -> None:
        super().__init__()
        self.following = True
        self.span_second: float | None = None
        self.pointed_second: float | None = None
        self._pointed_by: QtWidgets.QWidget | None = None
        self.left, self.right = 0.0, _SHORTEST_SPAN_SECOND

    def keep_in_view(self, begin_second: float, end_second: float) -> None:
        """While following: show the run, or the newest part of it."""
        if not self.following:
            return
        begin, end = begin_second, end_second
        span = max(end - begin, _SHORTEST_SPAN_SECOND)
        if self.span_second is not None:
            begin, span = max(end - self.span_second, begin), min(self.span_second, span)
        fits = self.left <= begin and end <= self.right
        if not fits or (self.right - self.left) > span * (1 + 3 * _ROOM_AHEAD):
            self.left, self.right = begin - _ROOM_BESIDE * span, begin + span * (1 + _ROOM_AHEAD)

    def set_by_hand(self, left_second: float, right_second: float) -> None:
        """Show what somebody has moved a plot to."""
        self.left, self.right = left_second, right_second
        self.moved_by_hand.emit()

    def point(self, panel: QtWidgets.QWidget, second: float | None) -> None:
        """Take over what is under the pointer in a panel, None where it is elsewhere."""
        forgotten = self._pointed_by is not None and not self._pointed_by.isVisible()
        if second is not None or self._pointed_by is panel or forgotten:
            self.pointed_second = second
            self._pointed_by = panel if second is not None else None
