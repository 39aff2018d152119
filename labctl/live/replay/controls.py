"""Play, pause, speed and time of a replay, with the mouse and from the keyboard."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from math import inf

from PySide6 import QtCore, QtGui, QtWidgets

from labctl.live.model.status import Status
from labctl.live.replay.playback import Playback
from labctl.live.widgets import PickBox
from labctl.live.window.controller import ReplayController
from labctl.live.window.live_window import LiveWindow
from labctl.units import duration_text

_SPEEDS = (1.0, 10.0, 100.0, 1_000.0, 10_000.0, 100_000.0)
_SLIDER_STEPS = 10_000
_JUMP = 0.02  # of the run, with an arrow key
_SETTLED_MILLISECOND = 120  # of the slider: to go back is to read the run again up to there
_AT_A_STEP_SECOND = 1e-3
_PAUSE_SIGN, _PLAY_SIGN = "❚❚", "▶"


def speed_text(speed: float | None) -> str:
    """A speed as people read it, e.g. "1 000 ×" or "max"."""
    return "max" if speed is None else f"{speed:,.10g} ×".replace(",", "\u202f")


class SeekSlider(QtWidgets.QSlider):
    """A slider that goes to where it is clicked."""

    def __init__(self) -> None:
        super().__init__(QtCore.Qt.Orientation.Horizontal)
        self.setRange(0, _SLIDER_STEPS)
        self.setPageStep(_SLIDER_STEPS // 50)
        self.setFocusPolicy(QtCore.Qt.FocusPolicy.NoFocus)  # the arrow keys are the window's

    def mousePressEvent(self, ev: QtGui.QMouseEvent) -> None:  # noqa: N802 - Qt's spelling
        """Bring the handle to the pointer first, so that it can be dragged on from there."""
        handle = self.style().pixelMetric(QtWidgets.QStyle.PixelMetric.PM_SliderLength, None, self)
        room = max(self.width() - handle, 1)
        place = round(ev.position().x() - handle / 2)
        value = QtWidgets.QStyle.sliderValueFromPosition(0, _SLIDER_STEPS, place, room)
        self.setValue(value)
        self.sliderMoved.emit(value)
        super().mousePressEvent(ev)


class ReplayControls(QtWidgets.QFrame):
    """The bar below the plots.

    Signals:
        sought: the requested time of the run (s).
    """

    sought = QtCore.Signal(float)

    def __init__(self, replay: Playback, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("card")
        self._replay = replay
        self._reached_second = 0.0
        self._wanted_second: float | None = None
        self._settled = QtCore.QTimer(self, singleShot=True, interval=_SETTLED_MILLISECOND)
        self._settled.timeout.connect(self._seek)
        self._make()
        self._lay_out()
        self._connect()
        self.show_time(0.0)

    def _make(self) -> None:
        self.begin = _button("❘◀", "Back to the beginning (Ctrl+Left)")
        self.play = _button(_PAUSE_SIGN, "Play or pause (Space)")
        self.end = _button("▶❘", "To the end (Ctrl+Right)")
        self.speed = PickBox()
        self.speed.setToolTip("Run time per wall time (Up, Down)")
        self.speed.setFocusPolicy(QtCore.Qt.FocusPolicy.NoFocus)
        given = self._replay.clock.speed
        for speed in sorted({*_SPEEDS, given or _SPEEDS[0]}):
            self.speed.addItem(speed_text(speed), speed)
        self.speed.addItem(speed_text(None), None)
        self.speed.setCurrentText(speed_text(given))
        self.slider = SeekSlider()
        self.slider.setToolTip("Time of the run (Left, Right; with Shift: step by step)")
        self.time = QtWidgets.QLabel()
        self.time.setMinimumWidth(210)
        self.time.setAlignment(QtCore.Qt.AlignmentFlag.AlignRight | QtCore.Qt.AlignmentFlag.AlignVCenter)

    def _lay_out(self) -> None:
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(10, 6, 12, 6)
        layout.setSpacing(8)
        for widget in (self.begin, self.play, self.end, self.speed):
            layout.addWidget(widget)
        layout.addWidget(self.slider, 1)
        layout.addWidget(self.time)

    def _connect(self) -> None:
        self.begin.clicked.connect(lambda: self.seek(0.0))
        self.play.clicked.connect(self.toggle)
        self.end.clicked.connect(self.seek_end)
        self.speed.currentIndexChanged.connect(self._speed_chosen)
        self.slider.sliderMoved.connect(self._slid)
        self.slider.sliderReleased.connect(self._seek)

    def add_shortcuts(self, window: QtWidgets.QWidget) -> None:
        """Let the keys work wherever the focus is in the window."""
        for key, action in (
            ("Space", self.toggle),
            ("Left", lambda: self.jump(-1)),
            ("Right", lambda: self.jump(1)),
            ("Shift+Left", lambda: self.step(-1)),
            ("Shift+Right", lambda: self.step(1)),
            ("Up", lambda: self._change_speed(1)),
            ("Down", lambda: self._change_speed(-1)),
            ("Ctrl+Left", lambda: self.seek(0.0)),
            ("Ctrl+Right", self.seek_end),
        ):
            QtGui.QShortcut(QtGui.QKeySequence(key), window, action)

    @property
    def duration_second(self) -> float:
        """How long the run is; as far as it was shown while that is not known yet."""
        outline = self._replay.outline
        return max(outline.duration_second if outline else 0.0, self._reached_second)

    def toggle(self) -> None:
        """Play, or pause; at the end, play from the beginning."""
        clock = self._replay.clock
        if self.ended:
            clock.play()
            self.seek(0.0)
        else:
            clock.play(not clock.playing)
        self.show_time(self._reached_second)

    @property
    def ended(self) -> bool:
        """Whether all of the run was shown."""
        outline = self._replay.outline
        return outline is not None and self._reached_second >= outline.duration_second

    def jump(self, direction: int) -> None:
        """Go forth (1) or back (-1) by a fiftieth of the run."""
        self.seek(self._position() + direction * _JUMP * self.duration_second)

    def step(self, direction: int) -> None:
        """Go to the end of this step (1), or of the one before (-1)."""
        outline = self._replay.outline
        ends = outline.step_ends_second if outline else ()
        here = self._position()
        if direction > 0:
            number = bisect_right(ends, here + _AT_A_STEP_SECOND)
            self.seek(ends[number] if number < len(ends) else self.duration_second)
        else:
            number = bisect_left(ends, here - _AT_A_STEP_SECOND) - 1
            self.seek(ends[number] if number >= 0 else 0.0)

    def seek_end(self) -> None:
        """Go to the end."""
        self.seek(self.duration_second)

    def seek(self, second: float) -> None:
        """Go to a time of the run; from there on, as before."""
        self._wanted_second = min(max(second, 0.0), self.duration_second)
        self.show_time(self._wanted_second)
        self._seek()

    def _slid(self, value: int) -> None:
        self._wanted_second = value / _SLIDER_STEPS * self.duration_second
        self._say_time(self._wanted_second)
        self._settled.start()

    def _seek(self) -> None:
        self._settled.stop()
        wanted, self._wanted_second = self._wanted_second, None
        if wanted is not None:
            self.sought.emit(wanted)

    def _position(self) -> float:
        return self._reached_second if self._wanted_second is None else self._wanted_second

    def _speed_chosen(self) -> None:
        self._replay.clock.set_speed(self.speed.currentData())

    def _change_speed(self, by: int) -> None:
        self.speed.setCurrentIndex(min(max(self.speed.currentIndex() + by, 0), self.speed.count() - 1))

    def show_time(self, reached_second: float) -> None:
        """Show how far the replay is."""
        clock = self._replay.clock
        now = clock.now_second
        self._reached_second = reached_second if now == inf else min(max(now, reached_second), self._end())
        sign = _PAUSE_SIGN if clock.playing and not self.ended else _PLAY_SIGN
        if self.play.text() != sign:
            self.play.setText(sign)
        if self._wanted_second is None and not self.slider.isSliderDown():
            self._say_time(self._reached_second)
            share = self._reached_second / self.duration_second if self.duration_second > 0 else 0.0
            self.slider.setValue(round(share * _SLIDER_STEPS))

    def _end(self) -> float:
        return self._replay.outline.duration_second if self._replay.outline else inf

    def _say_time(self, second: float) -> None:
        known = self._replay.outline is not None
        text = f"{duration_text(second)} of {duration_text(self.duration_second) if known else '…'}"
        if self.time.text() != text:
            self.time.setText(text)


def _button(sign: str, tip: str) -> QtWidgets.QPushButton:
    button = QtWidgets.QPushButton(sign)
    button.setToolTip(tip)
    button.setFixedWidth(44)
    button.setFocusPolicy(QtCore.Qt.FocusPolicy.NoFocus)
    return button


class Player(ReplayController):
    """Shows a replay; to go back, it reads the run from its beginning again.

    Args:
        window: Where to show it; gets the controls.
        replay: The run.
    """

    def __init__(self, window: LiveWindow, replay: Playback) -> None:
        super().__init__(window, replay.title, replay.feed(), replay.clock.speed)
        self._replay = replay
        self.controls = ReplayControls(replay)
        self.controls.add_shortcuts(window)
        self.controls.sought.connect(self._seek)
        window.add_below(self.controls)

    def _seek(self, second: float) -> None:
        if not self._replay.clock.set_to(second):
            return
        # Who has zoomed in wants to see that stretch again.
        following = self.window.follow.isChecked()
        plots = [plot for panel in self.window.panels.values() for plot in getattr(panel, "plots", ())]
        automatic = [list(plot.automatic) for plot in plots]
        self.show_documents(self._replay.feed())
        self.window.follow.setChecked(following)
        for plot, before in zip(plots, automatic, strict=True):
            plot.automatic = before

    def status(self, now_unix_second: float) -> Status:
        """The status line's texts."""
        self._speed = self._replay.clock.speed
        return super().status(now_unix_second)

    def show_now(self) -> None:
        """Bring the window up to date."""
        super().show_now()
        self.controls.show_time(self.model.progress.test_time_second)

    def close(self) -> None:
        """Stop everything."""
        super().close()
        self._replay.close()
