"""Where documents come from: the reading thread, the pace of a replay, the list of runs."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from labctl.journal.writer import Journal
from labctl.live.model.feed import Feed, JournalSource
from labctl.live.model.run_model import RunModel
from labctl.live.model.watch import Listing, channel_rows, look, newest, successor
from labctl.live.replay.playback import ReplayClock, paced
from labctl.runs.summary import RunSummary


def drain_until(feed: Feed, done: Any, sink: Any, within: float = 10.0) -> None:
    end = time.monotonic() + within
    while not done():
        assert time.monotonic() < end, "nothing came"
        feed.drain(sink, 0.01)


def summary(
    uid: str, start: float, status: Any = "finished", station: str = "sim", reason: str = ""
) -> RunSummary:
    return RunSummary(uid, Path("/data") / uid, start, "gitt", "cell-1", station, status, 10, reason)


def test_a_late_reader_gets_the_whole_history_and_then_what_comes(tmp_path: Path, make_gitt: Any) -> None:
    run, model, journal = make_gitt(2), RunModel(), Journal(tmp_path)
    documents = list(run.documents())
    for name, doc in documents[:6]:
        journal(name, doc)
    assert journal.run_directory is not None
    feed = Feed(JournalSource(journal.run_directory))
    try:
        drain_until(feed, lambda: model.version == 6, model.feed)
        for name, doc in documents[6:]:
            journal(name, doc)
        drain_until(feed, lambda: feed.finished, model.feed)
    finally:
        feed.close()
        journal.close()
    np.testing.assert_array_equal(model.timeseries.values("voltage_volt"), run.voltage)
    assert model.stop is not None


def test_what_was_read_and_not_yet_taken_is_bounded() -> None:
    made = 0

    def endless(halt: threading.Event) -> Iterator[tuple[str, dict[str, Any]]]:
        nonlocal made
        while True:
            made += 1
            yield "event_page", {"seq_num": [0] * 1000}

    feed = Feed(endless)
    try:
        seen = -1
        while made != seen:  # until the thread stands still
            seen = made
            threading.Event().wait(0.1)
        assert 50 <= made <= 200
        assert feed.drain(lambda name, doc: None, 1.0) > 0
    finally:
        feed.close()
    assert not any(thread.name == "live-reader" for thread in threading.enumerate())


def test_draining_keeps_to_its_budget() -> None:
    def slow(name: str, doc: dict[str, Any]) -> None:
        threading.Event().wait(0.005)

    feed = Feed(lambda halt: iter([("event", {})] * 1000))
    try:
        begin = time.perf_counter()
        handed = feed.drain(slow, 0.02)
        assert time.perf_counter() - begin < 0.2
        assert 0 <= handed < 50
    finally:
        feed.close()


def test_an_error_of_the_source_is_kept_for_the_window() -> None:
    def broken(halt: threading.Event) -> Iterator[tuple[str, dict[str, Any]]]:
        yield "start", {}
        raise ConnectionError("the store is gone")

    feed, seen = Feed(broken), []
    drain_until(feed, lambda: feed.finished, lambda name, doc: seen.append(name))
    feed.close()
    assert seen == ["start"]
    assert str(feed.error) == "the store is gone"


def test_damage_in_a_journal_is_counted(tmp_path: Path, make_gitt: Any, write_run: Any) -> None:
    directory = write_run(tmp_path, make_gitt(1).documents())
    journal = directory / "journal-0000.jsonl"
    lines = journal.read_bytes().split(b"\n")
    lines[4] = lines[4].replace(b"0", b"1", 3)
    journal.write_bytes(b"\n".join(lines))
    source = JournalSource(directory)
    assert len(list(source.now())) == len(lines) - 2
    assert source.damaged == 1


def test_a_replay_gives_every_row_once_at_the_pace_of_the_run(make_gitt: Any) -> None:
    run, model = make_gitt(1), RunModel()
    begin, pages = time.monotonic(), 0
    for name, doc in paced(run.documents(), ReplayClock(20_000), halt=threading.Event()):
        model.feed(name, doc)
        pages += name == "event_page"
    took = time.monotonic() - begin
    np.testing.assert_array_equal(model.timeseries.time, run.time)
    np.testing.assert_array_equal(model.timeseries.values("current_ampere"), run.current)
    assert 7800 / 20_000 - 0.06 < took < 5  # rows are let go up to a twentieth of a second early
    assert pages > 4


def test_a_slow_replay_can_be_ended_at_once(gitt: Any) -> None:
    halt = threading.Event()
    threading.Timer(0.1, halt.set).start()
    begin = time.monotonic()
    seen = [name for name, _ in paced(gitt.documents(), ReplayClock(0.001), halt=halt)]
    assert time.monotonic() - begin < 1.0
    assert "stop" not in seen


def test_the_list_shows_each_station_and_the_earlier_runs_with_their_states(
    tmp_path: Path, make_gitt: Any, write_run: Any
) -> None:
    write_run(tmp_path, make_gitt(1, began=1e9, station="a").documents())
    write_run(tmp_path, make_gitt(1, began=2e9, station="a").unfinished())
    write_run(tmp_path, make_gitt(1, began=1.5e9, station="b", exit_status="fail", reason="x").documents())
    rows = channel_rows(look(tmp_path, None))
    assert [(row.title, row.state) for row in rows] == [
        ("Channels", None),
        ("a", "interrupted"),
        ("b", "failed"),
        ("Earlier runs", None),
        ("gitt · lic-ncm-1", "finished"),
    ]


def test_an_empty_or_missing_data_directory_is_no_error(tmp_path: Path) -> None:
    assert look(tmp_path, None).runs == ()
    assert look(tmp_path / "nowhere", None).error == ""
    assert channel_rows(Listing()) == []


def test_the_lock_of_the_shown_run_tells_whether_its_writer_lives(tmp_path: Path, make_gitt: Any) -> None:
    journal = Journal(tmp_path)
    for name, doc in make_gitt(1).unfinished(2):
        journal(name, doc)
    assert look(tmp_path, journal.run_directory).writer_alive
    journal.close()
    assert not look(tmp_path, journal.run_directory).writer_alive


def test_the_window_opens_on_the_newest_run_that_runs() -> None:
    runs = [summary("c", 3), summary("b", 2, "running"), summary("a", 1, "running")]
    assert newest(runs) == runs[1]
    assert newest([summary("a", 1)]) == summary("a", 1)
    assert newest([]) is None


def test_a_running_run_is_left_only_for_a_newer_one_of_its_station() -> None:
    shown = summary("a", 1, "running")
    other = summary("b", 2, "running", station="other")
    same = summary("c", 3, "running")
    assert successor("a", [other, shown]) is None
    assert successor("a", [same, other, shown]) == same


def test_an_ended_run_is_left_for_a_newer_one_of_any_station() -> None:
    other = summary("b", 2, "running", station="other")
    assert successor("a", [other, summary("a", 1)]) == other
    assert successor("a", [summary("a", 1)]) is None


def test_a_run_of_another_data_directory_is_never_left() -> None:
    assert successor("elsewhere", [summary("a", 1, "running")]) is None
