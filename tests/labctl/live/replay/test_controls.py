"""A replay under pytest-qt: keys and mouse decide what is shown, and what is shown is the run up to there."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from PySide6 import QtCore

from labctl.live.replay.controls import Player, speed_text
from labctl.live.replay.playback import Playback, ReplayClock, paced, read_outline
from labctl.live.theme import DARK
from labctl.live.window.live_window import LiveWindow
from tests.helpers import in_background, until, wait_until

KEY = QtCore.Qt.Key
SHIFT, CONTROL = QtCore.Qt.KeyboardModifier.ShiftModifier, QtCore.Qt.KeyboardModifier.ControlModifier
NONE = QtCore.Qt.KeyboardModifier.NoModifier


@pytest.fixture
def play(qtbot: Any) -> Iterator[Callable[..., Player]]:
    """Opens replays of a run, as `labctl replay` does."""
    players = []

    def opened(run: Any, speed: float | None) -> Player:
        window = LiveWindow(DARK, with_channels=False)
        qtbot.addWidget(window)
        player = Player(window, Playback(run.documents, speed, "replay"))
        players.append(player)
        window.resize(1280, 720)
        window.show()
        player.begin()
        until(qtbot, lambda: player._replay.outline is not None)
        return player

    yield opened
    for player in players:
        player.window.close()


def shown_until(player: Player) -> float:
    time = player.model.timeseries.time
    return float(time[-1]) if len(time) else 0.0


def rows_until(run: Any, second: float) -> int:
    return int(np.searchsorted(run.time, second, "right"))


def wait_for_rows(qtbot: Any, player: Player, run: Any, second: float) -> None:
    """Wait until exactly the run up to `second` is shown, and see that it is the run's."""
    rows = rows_until(run, second)
    until(qtbot, lambda: len(player.model.timeseries) == rows)
    np.testing.assert_array_equal(player.model.timeseries.time, run.time[:rows])
    np.testing.assert_array_equal(player.model.timeseries.values("voltage_volt"), run.voltage[:rows])


def press(qtbot: Any, player: Player, key: Any, modifier: Any = NONE) -> None:
    qtbot.keyClick(player.window, key, modifier)


def click_slider(qtbot: Any, player: Player, share: float) -> None:
    slider = player.controls.slider
    place = QtCore.QPoint(round(share * slider.width()), slider.height() // 2)
    qtbot.mouseClick(slider, QtCore.Qt.MouseButton.LeftButton, pos=place)


def test_space_pauses_and_goes_on_to_the_end(play: Any, make_gitt: Any, qtbot: Any) -> None:
    run = make_gitt(2)
    player = play(run, 5_000.0)
    until(qtbot, lambda: shown_until(player) > 500)
    press(qtbot, player, KEY.Key_Space)
    still = player._replay.clock.now_second
    wait_for_rows(qtbot, player, run, still)
    qtbot.wait(200)
    assert len(player.model.timeseries) == rows_until(run, still) < len(run.time)
    assert player.controls.play.text() == "▶"
    player.controls.speed.setCurrentText("max")
    press(qtbot, player, KEY.Key_Space)
    wait_for_rows(qtbot, player, run, run.time[-1])


def test_a_click_on_the_slider_shows_the_run_up_to_there_forth_and_back(
    play: Any, gitt: Any, qtbot: Any
) -> None:
    player = play(gitt, 1.0)
    press(qtbot, player, KEY.Key_Space)
    times = []
    for share in (0.7, 0.2, 0.5):
        click_slider(qtbot, player, share)
        until(qtbot, lambda: player._replay.clock.now_second > 0)
        times.append(player._replay.clock.now_second)
        assert times[-1] == pytest.approx(share * gitt.time[-1], abs=0.02 * gitt.time[-1])
        wait_for_rows(qtbot, player, gitt, times[-1])
    drawn = player.window.plots.voltage.curves["voltage_volt"].getData
    until(qtbot, lambda: drawn()[0].max() == gitt.time[rows_until(gitt, times[-1]) - 1])


def test_dragging_reads_the_run_again_only_when_the_slider_rests(play: Any, gitt: Any, qtbot: Any) -> None:
    player = play(gitt, 1.0)
    press(qtbot, player, KEY.Key_Space)
    press(qtbot, player, KEY.Key_Right, CONTROL)
    wait_for_rows(qtbot, player, gitt, gitt.time[-1])
    sought = []
    player.controls.sought.connect(sought.append)
    slider = player.controls.slider
    left = QtCore.Qt.MouseButton.LeftButton
    qtbot.mousePress(slider, left, pos=QtCore.QPoint(slider.width() // 2, 8))
    for x in range(slider.width() // 2, slider.width() // 4, -5):
        qtbot.mouseMove(slider, QtCore.QPoint(x, 8))
    qtbot.mouseRelease(slider, left, pos=QtCore.QPoint(slider.width() // 4, 8))
    assert len(sought) <= 2
    assert sought[-1] == pytest.approx(gitt.time[-1] / 4, rel=0.1)
    wait_for_rows(qtbot, player, gitt, sought[-1])


def test_arrows_move_by_a_fiftieth_and_with_shift_by_steps(play: Any, gitt: Any, qtbot: Any) -> None:
    player = play(gitt, 1.0)
    press(qtbot, player, KEY.Key_Space)
    ends = gitt.offsets[1:]
    until(qtbot, lambda: player._replay.outline is not None)  # it has looked through the run
    for _ in range(3):
        press(qtbot, player, KEY.Key_Right, SHIFT)
    assert player._replay.clock.now_second == ends[2]
    wait_for_rows(qtbot, player, gitt, ends[2])
    assert player.model.progress.steps_done == 3
    press(qtbot, player, KEY.Key_Left, SHIFT)
    wait_for_rows(qtbot, player, gitt, ends[1])
    press(qtbot, player, KEY.Key_Right)
    assert player._replay.clock.now_second == pytest.approx(ends[1] + 0.02 * gitt.time[-1])
    press(qtbot, player, KEY.Key_Left)
    press(qtbot, player, KEY.Key_Left, CONTROL)
    wait_for_rows(qtbot, player, gitt, 0.0)


def test_up_and_down_change_the_speed_without_a_jump(play: Any, gitt: Any, qtbot: Any) -> None:
    player = play(gitt, 100.0)
    clock = player._replay.clock
    before = clock.now_second
    press(qtbot, player, KEY.Key_Up)
    assert clock.speed == 1000.0
    assert player.controls.speed.currentText() == speed_text(1000.0)
    assert before <= clock.now_second < before + 5_000
    for _ in range(6):
        press(qtbot, player, KEY.Key_Up)
    assert clock.speed is None
    wait_for_rows(qtbot, player, gitt, gitt.time[-1])
    assert "max" in player.controls.speed.currentText()


def test_at_the_end_it_says_so_and_space_plays_from_the_beginning(
    play: Any, make_gitt: Any, qtbot: Any
) -> None:
    run = make_gitt(2)
    player = play(run, None)
    wait_for_rows(qtbot, player, run, run.time[-1])
    until(qtbot, lambda: player.controls.play.text() == "▶")
    assert player.controls.time.text() == "4 h 20 min of 4 h 20 min"
    assert player.controls.slider.value() == player.controls.slider.maximum()
    player.controls.speed.setCurrentText(speed_text(1000.0))
    press(qtbot, player, KEY.Key_Space)
    until(qtbot, lambda: 0 < shown_until(player) < run.time[-1] / 2)
    press(qtbot, player, KEY.Key_Space)


def test_zoomed_views_stay_when_one_goes_back(play: Any, gitt: Any, qtbot: Any) -> None:
    player = play(gitt, None)
    wait_for_rows(qtbot, player, gitt, gitt.time[-1])
    volt, ampere = player.window.plots.voltage, player.window.plots.current
    player.window.time_range.set_by_hand(10_000.0, 20_000.0)
    ampere.automatic[1] = False
    ampere.view.setYRange(-1e-3, 1e-3, padding=0)
    assert not player.window.follow.isChecked()
    click_slider(qtbot, player, 0.5)
    wait_for_rows(qtbot, player, gitt, player._replay.clock.now_second)
    player.show_now()
    assert volt.x_range == ampere.x_range == (10_000.0, 20_000.0)
    assert ampere.view.viewRange()[1] == [-1e-3, 1e-3]
    assert not player.window.follow.isChecked()


def test_closing_while_paused_ends_every_thread(play: Any, gitt: Any) -> None:
    player = play(gitt, 1.0)
    player._replay.clock.play(False)
    player.window.close()
    assert not player.feed._thread.is_alive()
    assert not player._replay._reader.is_alive()


def test_the_outline_is_the_length_of_the_run_and_the_ends_of_its_steps(gitt: Any) -> None:
    outline = read_outline(gitt.documents(), threading.Event())
    assert outline is not None
    assert outline.duration_second == gitt.time[-1]
    assert outline.step_ends_second == tuple(gitt.offsets[1:])


def test_single_events_wait_for_their_time_too() -> None:
    clock, halt = ReplayClock(1.0), threading.Event()
    clock.play(False)
    clock.set_to(100.0)
    rows = [{"descriptor": "d", "seq_num": n, "data": {"test_time_second": float(n)}} for n in range(200)]
    seen: list[float] = []

    def read() -> None:
        for _, doc in paced([("event", row) for row in rows], clock, halt):
            seen.append(doc["data"]["test_time_second"])

    thread = in_background(read)
    wait_until(lambda: len(seen) == 101)
    thread.join(0.2)
    assert len(seen) == 101
    clock.set_speed(None)
    clock.play()
    thread.join(20)
    assert seen == list(range(200))
