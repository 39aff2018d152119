"""The window under pytest-qt: what it draws is what the documents hold."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PySide6 import QtCore, QtGui, QtWidgets

from labctl.journal import Journal
from labctl.live.controller import FollowController, ReplayController
from labctl.live.reader import Feed
from labctl.live.theme import DARK, LIGHT
from labctl.live.window import LiveWindow

KEY = QtCore.Qt.Key


@pytest.fixture
def open_on(qtbot: Any) -> Iterator[Callable[..., FollowController]]:
    """Opens windows on data directories, as `labctl live` does."""
    controllers = []

    def opened(data: Path, run_directory: Path | None = None) -> FollowController:
        window = LiveWindow(DARK)
        qtbot.addWidget(window)
        controllers.append(FollowController(window, data, run_directory))
        window.resize(1280, 720)
        window.show()
        controllers[-1].begin()
        return controllers[-1]

    yield opened
    for controller in controllers:
        controller.window.close()


@pytest.fixture
def replayed(qtbot: Any) -> Iterator[Callable[..., ReplayController]]:
    """Windows that show documents at once."""
    controllers = []

    def opened(documents: Any) -> ReplayController:
        window = LiveWindow(DARK, with_channels=False)
        qtbot.addWidget(window)
        controller = ReplayController(window, "Replay", None)
        controllers.append(controller)
        window.resize(1280, 720)
        window.show()
        controller.feed_all(documents)
        for _ in range(3):
            controller.show_now()
            QtWidgets.QApplication.processEvents()
        return controller

    yield opened
    for controller in controllers:
        controller.window.close()


def drawn(controller: Any, name: str) -> tuple[np.ndarray, np.ndarray]:
    return getattr(controller.window.plots, name).curve.getData()


def pixels(window: LiveWindow, colour: str) -> int:
    """How many pixels of the window have a colour."""
    image = window.grab().toImage().convertToFormat(QtGui.QImage.Format.Format_RGB32)
    data = np.frombuffer(image.constBits(), dtype=np.uint32).reshape(image.height(), -1)
    return int((data & 0xFFFFFF == int(colour[1:], 16)).sum())


def write_documents(journal: Journal, documents: Any) -> None:
    for name, doc in documents:
        journal(name, doc)


def test_the_curves_in_view_are_the_data_of_the_run(replayed: Any, make_gitt: Any) -> None:
    run = make_gitt(4)
    controller = replayed(run.documents())
    for name, fed in (("voltage", run.voltage), ("current", run.current)):
        x, y = drawn(controller, name)
        np.testing.assert_array_equal(x, run.time)
        np.testing.assert_array_equal(y, fed)


def test_a_long_run_is_drawn_thinned_without_losing_an_extreme(replayed: Any, make_rate_test: Any) -> None:
    run = make_rate_test()
    x, y = drawn(replayed(run.documents()), "voltage")
    assert len(x) < len(run.time) / 4
    assert (y.min(), y.max()) == (run.voltage.min(), run.voltage.max())


def test_the_whole_run_is_in_view_with_room_above_and_below(replayed: Any, gitt: Any) -> None:
    plots = replayed(gitt.documents()).window.plots
    left, right = plots.voltage.view.viewRange()[0]
    low, high = plots.voltage.view.viewRange()[1]
    assert left < gitt.time[0] < gitt.time[-1] < right < 1.1 * gitt.time[-1]
    assert low < gitt.voltage.min() < gitt.voltage.max() < high
    assert plots.current.view.viewRange()[0] == [left, right]


def test_axes_carry_units_with_short_numbers(replayed: Any, gitt: Any) -> None:
    plots = replayed(gitt.documents()).window.plots
    assert plots.voltage.value_axis.labelText == "Voltage (V)"
    assert plots.current.value_axis.labelText == "Current (µA)"
    assert plots.current.time_axis.labelText == "Elapsed time (h)"
    low, high = plots.current.view.viewRange()[1]
    scale = plots.current.value_axis.scale
    _, ticks = plots.current.value_axis.tickValues(low, high, 150)[0]
    assert all(len(text) <= 4 for text in plots.current.value_axis.tickStrings(ticks, scale, 20e-6))


def test_curve_colours_are_on_the_screen_in_both_themes(replayed: Any, gitt: Any, qtbot: Any) -> None:
    controller = replayed(gitt.documents())
    for theme in (DARK, LIGHT):
        assert controller.window.theme is theme
        controller.show_now()
        QtWidgets.QApplication.processEvents()
        assert pixels(controller.window, theme.voltage) > 500
        assert pixels(controller.window, theme.current) > 500
        qtbot.keyClick(controller.window, KEY.Key_T)


def test_opened_late_the_window_shows_the_history_and_goes_on(
    tmp_path: Path, make_gitt: Any, open_on: Any, qtbot: Any
) -> None:
    run, journal = make_gitt(3), Journal(tmp_path)
    documents = list(run.documents())
    write_documents(journal, documents[:9])
    controller = open_on(tmp_path)
    qtbot.waitUntil(lambda: controller.model.version == 9 and len(drawn(controller, "voltage")[0]) > 0)
    early = len(drawn(controller, "voltage")[0])
    np.testing.assert_array_equal(drawn(controller, "voltage")[1], run.voltage[:early])
    write_documents(journal, documents[9:])
    journal.close()
    qtbot.waitUntil(lambda: len(drawn(controller, "voltage")[0]) == len(run.time))
    np.testing.assert_array_equal(drawn(controller, "voltage")[1], run.voltage)


def test_the_window_outlives_the_run_and_says_how_it_ended(
    tmp_path: Path, make_gitt: Any, open_on: Any, write_run: Any, qtbot: Any
) -> None:
    write_run(tmp_path, make_gitt(1).documents())
    controller = open_on(tmp_path)
    qtbot.waitUntil(lambda: "finished" in controller.window.status.state.text())
    assert controller.feed.finished
    assert controller.window.isVisible()


def test_a_dead_writer_makes_the_run_interrupted(
    tmp_path: Path, make_gitt: Any, open_on: Any, write_run: Any, qtbot: Any
) -> None:
    write_run(tmp_path, make_gitt(1).unfinished())
    controller = open_on(tmp_path)
    qtbot.waitUntil(lambda: "interrupted" in controller.window.status.state.text())
    assert "interrupted" in controller.window.channels.channels.index(1).data()


def test_an_empty_directory_is_named_and_the_first_run_appears_by_itself(
    tmp_path: Path, make_gitt: Any, open_on: Any, write_run: Any, qtbot: Any
) -> None:
    controller = open_on(tmp_path)
    message = controller.window.plots.message
    qtbot.waitUntil(lambda: message.text() == f"No run in {tmp_path} yet")
    assert message.isVisible()
    run = make_gitt(1)
    write_run(tmp_path, run.documents())
    qtbot.waitUntil(lambda: len(drawn(controller, "voltage")[0]) == len(run.time))
    assert not message.isVisible()
    assert controller.window.plots.voltage.view.width() > 500  # the plots take the place of the message


def test_a_run_without_samples_says_that_it_waits(
    replayed: Any, tmp_path: Path, gitt: Any, open_on: Any, qtbot: Any
) -> None:
    journal = Journal(tmp_path)
    write_documents(journal, gitt.unfinished(0))
    controller = open_on(tmp_path)
    qtbot.waitUntil(lambda: controller.window.plots.message.text() == "Waiting for the first sample …")
    journal.close()
    empty = replayed([*gitt.unfinished(0), ("stop", {"exit_status": "abort", "reason": "by hand"})])
    assert empty.window.plots.message.text() == "The run holds no samples"


def test_an_error_of_the_source_is_shown(qtbot: Any, open_on: Any) -> None:
    def broken(halt: Any) -> Any:
        raise ConnectionError("the store is gone")

    window = LiveWindow(DARK, with_channels=False)
    qtbot.addWidget(window)
    controller = ReplayController(window, "Replay", Feed(broken))
    window.show()
    controller.begin()
    qtbot.waitUntil(lambda: "the store is gone" in window.plots.message.text())
    window.close()


def test_the_newest_run_is_followed_and_an_old_one_stays_when_chosen(
    tmp_path: Path, make_gitt: Any, open_on: Any, write_run: Any, qtbot: Any
) -> None:
    old, first, second = (make_gitt(1, began=1e9 + number) for number in range(3))
    write_run(tmp_path, old.documents())
    write_run(tmp_path, first.documents())
    controller = open_on(tmp_path)
    qtbot.waitUntil(lambda: controller.model.uid == first.uid)
    write_run(tmp_path, second.documents())
    controller.watcher.focus(None)  # look now instead of in two seconds
    qtbot.waitUntil(lambda: controller.model.uid == second.uid)
    channels = controller.window.channels
    index = channels.channels.index_of(old.uid)
    place = channels.visualRect(index).center()
    qtbot.mouseClick(channels.viewport(), QtCore.Qt.MouseButton.LeftButton, pos=place)
    qtbot.waitUntil(lambda: controller.model.uid == old.uid)
    assert not controller.following
    write_run(tmp_path, make_gitt(1, began=2e9).documents())
    controller.watcher.focus(None)
    qtbot.waitUntil(lambda: channels.channels.rowCount() == 6)
    assert controller.model.uid == old.uid


def test_a_run_that_was_asked_for_is_not_left_for_a_newer_one(
    tmp_path: Path, make_gitt: Any, open_on: Any, write_run: Any, qtbot: Any
) -> None:
    old, new = make_gitt(1, began=1e9), make_gitt(1, began=2e9)
    directory = write_run(tmp_path, old.documents())
    write_run(tmp_path, new.documents())
    controller = open_on(tmp_path, directory)
    qtbot.waitUntil(lambda: controller.window.channels.channels.rowCount() == 4)
    assert controller.model.uid == old.uid
    assert controller.window.channels.currentIndex().row() == 3


def test_zooming_keeps_its_view_while_data_arrive_and_follow_brings_the_newest_back(
    make_gitt: Any, replayed: Any, qtbot: Any
) -> None:
    run = make_gitt(4)
    documents = list(run.documents())
    controller = replayed(documents[: len(documents) // 2])
    window, plots = controller.window, controller.window.plots
    viewport = plots.graphics.viewport()
    centre = plots.graphics.mapFromScene(plots.voltage.view.sceneBoundingRect().center())
    before = plots.voltage.view.viewRange()
    turn_wheel(viewport, centre, 240)
    assert not window.follow.isChecked()
    zoomed = plots.voltage.view.viewRange()[0]
    assert zoomed[1] - zoomed[0] < before[0][1] - before[0][0]
    controller.feed_all(documents[len(documents) // 2 :])
    controller.show_now()
    assert plots.voltage.view.viewRange()[0] == zoomed
    x, y = drawn(controller, "voltage")
    seen = y[(x >= zoomed[0]) & (x <= zoomed[1])]
    low, high = plots.voltage.view.viewRange()[1]
    assert low < seen.min() < seen.max() < high < low + 2 * (seen.max() - seen.min())
    qtbot.keyClick(window, KEY.Key_F)
    controller.show_now()
    assert plots.voltage.view.viewRange()[0][1] > run.time[-1]


def test_shift_and_wheel_zoom_the_values_and_leave_time_alone(gitt: Any, replayed: Any) -> None:
    controller = replayed(gitt.documents())
    plots = controller.window.plots
    (time_before, volt_before) = plots.voltage.view.viewRange()
    centre = plots.graphics.mapFromScene(plots.voltage.view.sceneBoundingRect().center())
    turn_wheel(plots.graphics.viewport(), centre, 240, QtCore.Qt.KeyboardModifier.ShiftModifier)
    controller.show_now()
    time_after, volt_after = plots.voltage.view.viewRange()
    assert time_after == time_before
    assert volt_after[1] - volt_after[0] < volt_before[1] - volt_before[0]
    assert controller.window.follow.isChecked()


def test_a_span_shows_the_last_hours_only(gitt: Any, replayed: Any) -> None:
    controller = replayed(gitt.documents())
    controller.window.span.setCurrentIndex(controller.window.span.findText("last 6 h"))
    controller.show_now()
    left, right = controller.window.plots.voltage.view.viewRange()[0]
    assert right - left < 1.2 * 6 * 3600
    assert right > gitt.time[-1]
    controller.window.show_whole_run()
    controller.show_now()
    assert controller.window.plots.voltage.view.viewRange()[0][0] < gitt.time[0]


def test_the_crosshair_reads_the_nearest_true_sample(gitt: Any, replayed: Any, qtbot: Any) -> None:
    controller = replayed(gitt.documents())
    plots = controller.window.plots
    place = plots.voltage.view.mapViewToScene(QtCore.QPointF(8100.0, 3.13))
    point = plots.graphics.mapFromScene(place)
    qtbot.mouseMove(plots.graphics.viewport(), point + QtCore.QPoint(3, 0))
    qtbot.wait(50)  # pyqtgraph takes at most 100 moves a second
    qtbot.mouseMove(plots.graphics.viewport(), point)
    controller.show_now()
    pointed = plots.voltage.view.mapSceneToView(QtCore.QPointF(plots.graphics.mapToScene(point))).x()
    row = int(np.abs(gitt.time - pointed).argmin())
    text = controller.window.readout.text()
    assert f"{gitt.voltage[row]:.4f} V" in text
    assert f"{gitt.current[row] * 1e6:.2f} µA" in text
    plots.crosshair.leave()
    controller.show_now()
    assert controller.window.readout.text() == ""


def test_missing_readings_leave_a_hole_in_the_curve(make_gitt: Any, replayed: Any) -> None:
    run = make_gitt(2)
    run.steps[1].voltage[:] = np.nan
    controller = replayed(run.documents())
    x, y = drawn(controller, "voltage")
    hole = (x > run.offsets[1] + 1) & (x < run.offsets[2] - 1)
    assert hole.any()
    assert np.isnan(y[hole]).all()
    assert pixels(controller.window, DARK.voltage) > 200


def test_nothing_is_drawn_while_nobody_sees_it(make_gitt: Any, replayed: Any) -> None:
    documents = list(make_gitt(2).documents())
    controller = replayed(documents[:5])
    rows = len(drawn(controller, "voltage")[0])
    controller.window.hide()
    controller.feed_all(documents[5:])
    controller.repaint()
    assert len(drawn(controller, "voltage")[0]) == rows
    controller.window.show()
    controller.repaint()
    assert len(drawn(controller, "voltage")[0]) > rows


def test_long_names_do_not_push_the_window_wider(make_gitt: Any, replayed: Any) -> None:
    cell = {"id": "n" * 300, "coating": {"material": "m" * 300, "mass_percent": 1.0, "method": "x"}}
    window = replayed(make_gitt(1, cell=cell, exit_status="fail", reason="r" * 900).documents()).window
    assert window.width() == 1280
    assert window.minimumSizeHint().width() < 1000
    assert window.status.title.toolTip().startswith("gitt · nnn")


def test_closing_ends_every_thread(
    tmp_path: Path, open_on: Any, write_run: Any, make_gitt: Any, qtbot: Any
) -> None:
    write_run(tmp_path, make_gitt(1).documents())
    controller = open_on(tmp_path)
    qtbot.waitUntil(lambda: controller.feed is not None)
    controller.window.close()
    assert not controller.watcher._thread.is_alive()
    assert not controller.feed._thread.is_alive()


def test_qt_gives_back_every_reference_it_takes() -> None:
    # PySide6 6.12.0 on Python 3.11 loses a reference to None at each call: the window dies within minutes.
    label = QtWidgets.QLabel()
    before = sys.getrefcount(None)
    for _ in range(500):
        label.setText("x")
    assert sys.getrefcount(None) > before - 100


def turn_wheel(
    viewport: QtWidgets.QWidget,
    place: QtCore.QPoint,
    angle: int,
    modifiers: QtCore.Qt.KeyboardModifier = QtCore.Qt.KeyboardModifier.NoModifier,
) -> None:
    event = QtGui.QWheelEvent(
        QtCore.QPointF(place),
        QtCore.QPointF(viewport.mapToGlobal(place)),
        QtCore.QPoint(),
        QtCore.QPoint(0, angle),
        QtCore.Qt.MouseButton.NoButton,
        modifiers,
        QtCore.Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QtWidgets.QApplication.sendEvent(viewport, event)
