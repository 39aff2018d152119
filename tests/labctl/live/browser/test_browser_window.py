"""The browser beside the live window: a stored run is shown, from its journal or from the document store."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PySide6 import QtCore

from labctl.live.theme import DARK, LIGHT
from labctl.live.window.controller import FollowController
from labctl.live.window.live_window import LiveWindow
from labctl.live.window.tools import WindowTools
from labctl.store.client.store import Store
from labctl.store.server.service import ensure_service, stop_service
from tests.helpers import until

KEY = QtCore.Qt.Key
CONTROL = QtCore.Qt.KeyboardModifier.ControlModifier


@pytest.fixture
def tools(qtbot: Any, tmp_path: Path) -> Iterator[WindowTools]:
    """A live window on the data directory."""
    window = LiveWindow(DARK)
    qtbot.addWidget(window)
    controller = FollowController(window, tmp_path, None)
    window.resize(1280, 720)
    made = WindowTools(controller)
    window.show()
    controller.begin()
    yield made
    window.close()


def browse(qtbot: Any, tools: WindowTools, runs: int) -> Any:
    tools.window.activateWindow()
    until(qtbot, tools.window.isActiveWindow)
    qtbot.keyClick(tools.window, KEY.Key_B, CONTROL)
    until(qtbot, lambda: tools.browser is not None and len(tools.browser.table.runs) == runs)
    return tools.browser


def show(qtbot: Any, browser: Any, uid: str) -> None:
    """Double-click the run."""
    row = [run.uid for run in browser.table.runs].index(uid)
    place = browser.list.visualRect(browser.table.index(row, 3)).center()
    qtbot.mouseClick(browser.list.viewport(), QtCore.Qt.MouseButton.LeftButton, pos=place)
    qtbot.mouseDClick(browser.list.viewport(), QtCore.Qt.MouseButton.LeftButton, pos=place)


def test_a_run_from_the_browser_is_shown_and_not_left_for_a_newer_one(
    tools: WindowTools, tmp_path: Path, make_gitt: Any, write_run: Any, qtbot: Any
) -> None:
    old, new = make_gitt(1, began=1e9), make_gitt(1, began=2e9)
    for run in (old, new):
        write_run(tmp_path, run.documents())
    controller: Any = tools._controller
    until(qtbot, lambda: controller.model.uid == new.uid)
    show(qtbot, browse(qtbot, tools, 2), old.uid)
    until(
        qtbot, lambda: controller.model.uid == old.uid and len(controller.model.timeseries) == len(old.time)
    )
    np.testing.assert_array_equal(controller.model.timeseries.values("voltage_volt"), old.voltage)
    assert not controller.following
    write_run(tmp_path, make_gitt(1, began=2.1e9).documents())
    controller.watcher.focus(None)
    until(qtbot, lambda: len(controller._listing.runs) == 3)
    assert controller.model.uid == old.uid


def test_the_browser_takes_the_colours_of_the_window_and_closes_with_it(
    tools: WindowTools, tmp_path: Path, make_gitt: Any, write_run: Any, qtbot: Any
) -> None:
    write_run(tmp_path, make_gitt(1).documents())
    browser = browse(qtbot, tools, 1)
    tools.window.apply_theme(LIGHT)
    assert browser.compare.theme is LIGHT
    first = browser
    assert browse(qtbot, tools, 1) is first  # the same, brought to the front
    threads = [browser.finder._journals._thread, browser.finder._store._thread]
    tools.window.close()
    assert not any(thread.is_alive() for thread in threads)


def test_a_browser_that_was_closed_opens_again(
    tools: WindowTools, tmp_path: Path, make_gitt: Any, write_run: Any, qtbot: Any
) -> None:
    write_run(tmp_path, make_gitt(1).documents())
    first = browse(qtbot, tools, 1)
    first.close()
    assert browse(qtbot, tools, 1) is not first


@pytest.mark.slow
def test_a_run_whose_journal_is_gone_is_found_shown_and_compared_from_the_document_store(
    tools: WindowTools, tmp_path: Path, make_gitt: Any, write_run: Any, qtbot: Any
) -> None:
    kept, gone = make_gitt(1, began=2e9), make_gitt(2, began=1e9)
    directories = [write_run(tmp_path, run.documents()) for run in (kept, gone)]
    ensure_service(tmp_path)
    try:
        with Store(tmp_path) as store:
            assert store.wait_until_shipped(gone.uid, 60)
        shutil.rmtree(directories[1])
        browser = browse(qtbot, tools, 2)
        found = next(run for run in browser.table.runs if run.uid == gone.uid)
        assert (found.source, found.points, found.status) == ("tiled", len(gone.time), "finished")
        show(qtbot, browser, gone.uid)
        controller: Any = tools._controller
        until(qtbot, lambda: controller.model.uid == gone.uid and controller.model.stop is not None)
        np.testing.assert_array_equal(controller.model.timeseries.values("voltage_volt"), gone.voltage)
        until(qtbot, lambda: "finished" in tools.window.status.state.text())
        for run in (kept, gone):
            browser.table.tick(next(one for one in browser.table.runs if one.uid == run.uid), True)
        until(qtbot, lambda: len(browser.compare.overlays) == 2)
        browser.compare.way.setCurrentText("voltage over time")
        browser.compare.refresh()
        browser.compare.refresh()
        x, y = browser.compare.shown._items[gone.uid][0].getData()
        np.testing.assert_array_equal(x, gone.time)
        np.testing.assert_array_equal(y, gone.voltage)
    finally:
        stop_service(tmp_path)
