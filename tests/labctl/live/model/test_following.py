"""The window on a data directory under pytest-qt: opened early or late, it shows what the journals hold."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PySide6 import QtCore

from labctl.journal.writer import Journal
from labctl.live.theme import DARK
from labctl.live.window.controller import FollowController
from labctl.live.window.live_window import LiveWindow


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


def drawn(controller: Any, name: str) -> tuple[np.ndarray, np.ndarray]:
    column = {"voltage": "voltage_volt", "current": "current_ampere"}[name]
    return getattr(controller.window.plots, name).curves[column].getData()


def write_documents(journal: Journal, documents: Any) -> None:
    for name, doc in documents:
        journal(name, doc)


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
    tmp_path: Path, gitt: Any, open_on: Any, qtbot: Any
) -> None:
    journal = Journal(tmp_path)
    write_documents(journal, gitt.unfinished(0))
    controller = open_on(tmp_path)
    qtbot.waitUntil(lambda: controller.window.plots.message.text() == "Waiting for the first sample …")
    journal.close()


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


def test_who_chose_a_run_is_not_taken_to_another_station(
    tmp_path: Path, make_gitt: Any, open_on: Any, write_run: Any, qtbot: Any
) -> None:
    chosen = make_gitt(1, began=1e9, station="a")
    directory = write_run(tmp_path, chosen.documents())
    write_run(tmp_path, make_gitt(1, began=2e9, station="b").documents())
    controller = open_on(tmp_path, directory)
    qtbot.waitUntil(lambda: controller.window.channels.channels.rowCount() == 3)
    assert controller.following
    assert controller.model.uid == chosen.uid
    successor = make_gitt(1, began=3e9, station="a")
    write_run(tmp_path, successor.documents())
    controller.watcher.focus(None)
    qtbot.waitUntil(lambda: controller.model.uid == successor.uid)


def test_closing_ends_every_thread(
    tmp_path: Path, open_on: Any, write_run: Any, make_gitt: Any, qtbot: Any
) -> None:
    write_run(tmp_path, make_gitt(1).documents())
    controller = open_on(tmp_path)
    qtbot.waitUntil(lambda: controller.feed is not None)
    controller.window.close()
    assert not controller.watcher._thread.is_alive()
    assert not controller.feed._thread.is_alive()


def test_the_window_tells_how_late_it_is_and_how_many_frames_it_left_out(
    tmp_path: Path, make_gitt: Any, open_on: Any, qtbot: Any
) -> None:
    run, journal = make_gitt(3), Journal(tmp_path)
    documents = list(run.documents())
    write_documents(journal, documents[:6])
    controller = open_on(tmp_path)
    qtbot.waitUntil(lambda: controller.model.version == 6)
    assert "lag" not in controller.window.status.health.text()  # history says nothing of it
    for name, doc in documents[6:9]:
        if name == "event_page":
            doc["time"] = [time.time()] * len(doc["time"])
        journal(name, doc)
    qtbot.waitUntil(lambda: controller.window.status.health.text().startswith("lag "))
    qtbot.wait(2100)  # a run that is being opened is not expected to be smooth
    before = controller.health.dropped_frames
    threading.Event().wait(0.6)  # the window hangs
    qtbot.waitUntil(lambda: controller.health.dropped_frames >= before + 9)
    qtbot.waitUntil(lambda: "frames dropped" in controller.window.status.health.text())
    journal.close()


def test_panels_are_looked_at_no_more_often_than_twenty_times_a_second(
    tmp_path: Path, make_gitt: Any, open_on: Any, qtbot: Any
) -> None:
    run, journal = make_gitt(20), Journal(tmp_path)
    documents = list(run.documents())
    write_documents(journal, documents[:6])
    controller = open_on(tmp_path)
    qtbot.waitUntil(lambda: controller.model.version == 6)
    refreshed: list[float] = []
    controller.window.plots.readout.connect(lambda _: refreshed.append(time.monotonic()))
    for name, doc in documents[6:]:
        journal(name, doc)
        qtbot.wait(5)
    journal.close()
    qtbot.waitUntil(lambda: controller.model.stop is not None and len(refreshed) > 5)
    assert len(refreshed) <= (refreshed[-1] - refreshed[0]) * 21 + 2
