"""The window on a replayed run under pytest-qt: what it draws is what the documents hold."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from PySide6 import QtCore, QtGui, QtWidgets

from labctl.live.model.feed import Feed
from labctl.live.theme import DARK, LIGHT
from labctl.live.window.controller import ReplayController
from labctl.live.window.live_window import LiveWindow

KEY = QtCore.Qt.Key


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


COLUMN = {"voltage": "voltage_volt", "current": "current_ampere"}


def drawn(controller: Any, name: str) -> tuple[np.ndarray, np.ndarray]:
    return getattr(controller.window.plots, name).curves[COLUMN[name]].getData()


def pixels(window: LiveWindow, colour: str) -> int:
    """How many pixels of the window have a colour."""
    image = window.grab().toImage().convertToFormat(QtGui.QImage.Format.Format_RGB32)
    data = np.frombuffer(image.constBits(), dtype=np.uint32).reshape(image.height(), -1)
    return int((data & 0xFFFFFF == int(colour[1:], 16)).sum())


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
    assert plots.voltage.left.labelText == "Voltage (V)"
    assert plots.current.left.labelText in ("Current (µA)", "I (µA)")  # as there is room
    assert plots.current.bottom.labelText == "Elapsed time (h)"
    low, high = plots.current.view.viewRange()[1]
    scale = plots.current.left.scale
    _, ticks = plots.current.left.tickValues(low, high, 150)[0]
    assert all(len(text) <= 4 for text in plots.current.left.tickStrings(ticks, scale, 20e-6))


def test_curve_colours_are_on_the_screen_in_both_themes(replayed: Any, gitt: Any, qtbot: Any) -> None:
    controller = replayed(gitt.documents())
    for theme in (DARK, LIGHT):
        assert controller.window.theme is theme
        controller.show_now()
        QtWidgets.QApplication.processEvents()
        assert pixels(controller.window, theme.voltage) > 500
        assert pixels(controller.window, theme.current) > 500
        qtbot.keyClick(controller.window, KEY.Key_T)


def test_an_error_of_the_source_is_shown(qtbot: Any) -> None:
    def broken(halt: Any) -> Any:
        raise ConnectionError("the store is gone")

    window = LiveWindow(DARK, with_channels=False)
    qtbot.addWidget(window)
    controller = ReplayController(window, "Replay", Feed(broken))
    window.show()
    controller.begin()
    qtbot.waitUntil(lambda: "the store is gone" in window.plots.message.text())
    window.close()


def test_a_run_that_ended_without_samples_says_so(replayed: Any, gitt: Any) -> None:
    stop = {"exit_status": "abort", "reason": "by hand"}
    empty = replayed([*gitt.unfinished(0), ("stop", stop)])
    assert empty.window.plots.message.text() == "The run holds no samples"


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

    def read() -> bool:
        qtbot.mouseMove(plots.graphics.viewport(), point + QtCore.QPoint(3, 0))
        qtbot.wait(50)  # pyqtgraph takes at most 100 moves a second
        qtbot.mouseMove(plots.graphics.viewport(), point)
        controller.show_now()
        return bool(controller.window.readout.text())

    qtbot.waitUntil(read)
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
