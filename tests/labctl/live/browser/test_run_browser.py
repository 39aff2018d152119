"""The browser of stored runs under pytest-qt: what is typed, ticked and clicked decides what is there."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PySide6 import QtCore, QtWidgets

from labctl.live.browser.finder import NewestOnly
from labctl.live.browser.run_browser import RunBrowser
from labctl.live.browser.table import MOST_COMPARED
from labctl.live.theme import DARK
from tests.helpers import until, wait_until

LEFT = QtCore.Qt.MouseButton.LeftButton
KEY = QtCore.Qt.Key
BARE = {"id": "bare-ncm-1", "coating": None}


@pytest.fixture
def browse(qtbot: Any) -> Iterator[Callable[..., RunBrowser]]:
    """Opens browsers on data directories."""
    browsers: list[RunBrowser] = []

    def opened(data: Path, runs: int) -> RunBrowser:
        browser = RunBrowser(data, DARK)
        browsers.append(browser)
        qtbot.addWidget(browser)
        browser.resize(1280, 720)
        browser.show()
        until(qtbot, lambda: len(browser.table.runs) == runs)
        return browser

    yield opened
    for browser in browsers:
        browser.close()


@pytest.fixture
def four_runs(tmp_path: Path, make_gitt: Any, make_rate_test: Any, write_run: Any) -> dict[str, Any]:
    """A finished GITT, a failed and an interrupted one, and a rate test; on two cells and two stations."""
    runs = {
        "finished": make_gitt(1, began=1_760_000_000.0, station="bench-1"),
        "failed": make_gitt(
            1, began=1_761_000_000.0, cell=BARE, exit_status="fail", reason="no reply from COM3"
        ),
        "interrupted": make_gitt(1, began=1_762_000_000.0, cell=BARE),
        "rate": make_rate_test(began=1_763_000_000.0, station="bench-1"),
    }
    for name, run in runs.items():
        write_run(tmp_path, run.unfinished() if name == "interrupted" else run.documents())
    return runs


def shown(browser: RunBrowser) -> list[str]:
    return [run.uid for run in browser.table.runs]


def cell(browser: RunBrowser, row: int, column: int) -> QtCore.QPoint:
    """The middle of a cell of the table, on its viewport."""
    return browser.list.visualRect(browser.table.index(row, column)).center()


def tick_box(browser: RunBrowser, row: int) -> QtCore.QPoint:
    option = QtWidgets.QStyleOptionViewItem()
    index = browser.table.index(row, 0)
    browser.list.itemDelegate().initStyleOption(option, index)
    option.rect = browser.list.visualRect(index)
    element = QtWidgets.QStyle.SubElement.SE_ItemViewItemCheckIndicator
    return browser.list.style().subElementRect(element, option, browser.list).center()


def test_all_runs_are_listed_newest_first_with_what_they_are(
    tmp_path: Path, four_runs: Any, browse: Any
) -> None:
    browser = browse(tmp_path, 4)
    assert shown(browser) == [four_runs[name].uid for name in ("rate", "interrupted", "failed", "finished")]
    texts = [str(browser.table.index(2, column).data()) for column in range(1, 9)]
    assert texts[1:7] == ["gitt", "bare-ncm-1", "bare", "sim", "✖ failed", "446"]
    assert texts[7] == four_runs["failed"].uid[:8]
    assert "no reply from COM3" in browser.table.index(2, 2).data(QtCore.Qt.ItemDataRole.ToolTipRole)
    assert browser.count.text().startswith("4 of 4 runs")


def test_words_are_looked_for_as_they_are_typed(
    tmp_path: Path, four_runs: Any, browse: Any, qtbot: Any
) -> None:
    browser = browse(tmp_path, 4)
    qtbot.keyClicks(browser.filters.words, "com3 reply")
    until(qtbot, lambda: shown(browser) == [four_runs["failed"].uid])
    assert browser.count.text().startswith("1 of 4 runs")
    browser.filters.words.clear()
    until(qtbot, lambda: len(shown(browser)) == 4)


@pytest.mark.parametrize(
    ("box", "choice", "expected"),
    [
        ("cell", "bare-ncm-1", ["interrupted", "failed"]),
        ("coating", "Li3InCl6", ["rate", "finished"]),
        ("plan", "rate_test", ["rate"]),
        ("status", "failed", ["failed"]),
    ],
)
def test_filters_offer_what_there_is_and_narrow_the_list(
    tmp_path: Path, four_runs: Any, browse: Any, qtbot: Any, box: str, choice: str, expected: list[str]
) -> None:
    browser = browse(tmp_path, 4)
    combo = getattr(browser.filters, box)
    combo.setFocus()
    while combo.currentData() != choice:
        before = combo.currentIndex()
        qtbot.keyClick(combo, KEY.Key_Down)
        assert combo.currentIndex() == before + 1
    until(qtbot, lambda: shown(browser) == [four_runs[name].uid for name in expected])


def test_dates_narrow_the_list_and_a_wrong_one_is_told(
    tmp_path: Path, four_runs: Any, browse: Any, qtbot: Any
) -> None:
    browser = browse(tmp_path, 4)
    qtbot.keyClicks(browser.filters.since, "2025-10-20")
    qtbot.keyClick(browser.filters.since, KEY.Key_Return)
    qtbot.keyClicks(browser.filters.until, "2025-11-01")
    qtbot.keyClick(browser.filters.until, KEY.Key_Return)
    until(qtbot, lambda: shown(browser) == [four_runs["interrupted"].uid, four_runs["failed"].uid])
    qtbot.keyClicks(browser.filters.until, "x")
    until(qtbot, lambda: "2025-11-01x" in browser.trouble.text())
    assert "a date as" in browser.trouble.text()
    browser.filters.until.clear()
    until(qtbot, lambda: len(shown(browser)) == 3)
    assert browser.trouble.text() == ""


def test_new_runs_come_with_refresh_and_the_marked_one_stays_marked(
    tmp_path: Path, four_runs: Any, browse: Any, make_gitt: Any, write_run: Any, qtbot: Any
) -> None:
    browser = browse(tmp_path, 4)
    qtbot.mouseClick(browser.list.viewport(), LEFT, pos=cell(browser, 2, 2))
    write_run(tmp_path, make_gitt(1, began=1_764_000_000.0).documents())
    qtbot.keyClick(browser, KEY.Key_F5)
    until(qtbot, lambda: len(shown(browser)) == 5)
    assert browser.current is not None
    assert browser.current.uid == four_runs["failed"].uid
    assert browser.list.currentIndex().row() == 3


def test_a_tick_takes_a_run_into_the_comparison_and_stays_when_the_filter_hides_it(
    tmp_path: Path, four_runs: Any, browse: Any, qtbot: Any
) -> None:
    browser = browse(tmp_path, 4)
    qtbot.mouseClick(browser.list.viewport(), LEFT, pos=tick_box(browser, 3))
    browser.list.selectRow(1)
    browser.list.setFocus()
    qtbot.keyClick(browser.list, KEY.Key_Space)
    uids = [four_runs["finished"].uid, four_runs["interrupted"].uid]
    assert list(browser.table.chosen) == uids
    browser.filters.plan.setCurrentText("rate_test")
    until(qtbot, lambda: len(shown(browser)) == 1)
    assert list(browser.table.chosen) == uids
    until(qtbot, lambda: [o.run.uid for o in browser.compare.overlays] == uids)
    assert "2 of 12 compared" in browser.count.text()


def test_a_thirteenth_run_is_refused_in_words(
    tmp_path: Path, make_gitt: Any, write_run: Any, browse: Any, qtbot: Any
) -> None:
    for number in range(MOST_COMPARED + 1):
        write_run(tmp_path, make_gitt(1, began=1.7e9 + number).unfinished(1))
    browser = browse(tmp_path, MOST_COMPARED + 1)
    browser.list.setFocus()
    browser.list.selectRow(0)
    for _ in range(MOST_COMPARED + 1):
        qtbot.keyClick(browser.list, KEY.Key_Space)
        qtbot.keyClick(browser.list, KEY.Key_Down)
    assert len(browser.table.chosen) == MOST_COMPARED
    assert browser.trouble.text() == "12 runs can be compared at a time: untick one first"
    qtbot.keyClick(browser.list, KEY.Key_Home)
    qtbot.keyClick(browser.list, KEY.Key_Up)
    browser.list.selectRow(0)
    qtbot.keyClick(browser.list, KEY.Key_Space)
    assert len(browser.table.chosen) == MOST_COMPARED - 1
    assert browser.trouble.text() == ""


def test_a_double_click_or_return_shows_a_run(
    tmp_path: Path, four_runs: Any, browse: Any, qtbot: Any
) -> None:
    browser = browse(tmp_path, 4)
    place = cell(browser, 2, 3)
    qtbot.mouseClick(browser.list.viewport(), LEFT, pos=place)
    with qtbot.waitSignal(browser.show_wanted) as wanted:
        qtbot.mouseDClick(browser.list.viewport(), LEFT, pos=place)
    assert wanted.args[0].uid == four_runs["failed"].uid
    with qtbot.waitSignal(browser.show_wanted) as wanted:
        qtbot.keyClick(browser.list, KEY.Key_Return)
    assert wanted.args[0].uid == four_runs["failed"].uid


@pytest.mark.skipif(sys.platform != "linux", reason="looks for the process in /proc")
def test_a_replay_opens_in_a_process_of_its_own(
    tmp_path: Path, four_runs: Any, browse: Any, qtbot: Any
) -> None:
    browser = browse(tmp_path, 4)
    browser.list.selectRow(3)
    qtbot.keyClick(browser.list, KEY.Key_R)
    wait_until(lambda: len(replays_of(four_runs["finished"].uid)) == 1)
    (pid,) = replays_of(four_runs["finished"].uid)
    assert browser.trouble.text() == ""
    browser.close()
    assert replays_of(four_runs["finished"].uid) == [pid]
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not replays_of(four_runs["finished"].uid))


def replays_of(uid: str) -> list[int]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if uid.encode() in words and b"replay" in words:
            found.append(int(process.name))
    return found


def test_where_there_are_no_runs_the_list_is_empty_and_says_so(
    tmp_path: Path, browse: Any, qtbot: Any
) -> None:
    browser = browse(tmp_path / "nowhere", 0)
    until(qtbot, lambda: browser.count.text().startswith("0 of 0 runs"))
    assert browser.trouble.text() == ""
    assert "Tick up to 12 runs" in browser.compare.message.text()


def test_requests_that_were_overtaken_are_left_out() -> None:
    begun, go_on, done = threading.Event(), threading.Event(), []

    def work(request: int) -> None:
        done.append(request)
        begun.set()
        go_on.wait(20)

    newest: NewestOnly[int] = NewestOnly(work, "test")
    newest.ask(1)
    assert begun.wait(20)
    for request in (2, 3, 4):
        newest.ask(request)
    assert newest.overtaken
    go_on.set()
    wait_until(lambda: done == [1, 4])
    newest.close()
    assert not newest._thread.is_alive()
