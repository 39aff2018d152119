"""The list of channels: each station's newest run with its state, last values and recent voltage."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PySide6 import QtCore, QtGui

from labctl.journal.format import segments
from labctl.journal.writer import Journal
from labctl.live.model.newest import ChannelReading, NewestReader
from labctl.live.model.watch import Listing, Lookout, channel_rows, state_now
from labctl.live.panels.channels import ChannelPanel, sparkline
from labctl.live.theme import DARK
from labctl.runs.listing import summary_of


def rows_of(run: Any, reading: ChannelReading) -> np.ndarray:
    """Numbers of the run's rows that a reading holds; they must be the run's own."""
    rows = np.searchsorted(run.time, reading.times_second)
    np.testing.assert_array_equal(run.time[rows], reading.times_second)
    np.testing.assert_array_equal(run.voltage[rows], reading.volts)
    return rows


def test_a_pulse_reads_the_end_of_a_long_journal_and_true_rows_only(
    tmp_path: Path, make_rate_test: Any, write_run: Any
) -> None:
    run = make_rate_test()
    directory = write_run(tmp_path, run.documents())
    assert segments(directory)[0].stat().st_size > 4 * 256 * 1024
    reading = NewestReader(directory).read()
    rows = rows_of(run, reading)
    assert rows[0] > len(run.time) / 2
    assert rows[-1] == len(run.time) - 1
    assert len(rows) <= 512
    assert (reading.volt, reading.current_ampere) == (run.voltage[-1], run.current[-1])
    recent = run.voltage[rows[0] :]
    assert (min(reading.volts), max(reading.volts)) == (recent.min(), recent.max())


def test_a_pulse_goes_on_where_it_was(tmp_path: Path, make_gitt: Any) -> None:
    run, journal = make_gitt(3), Journal(tmp_path)
    documents = list(run.documents())
    for name, doc in documents[:5]:
        journal(name, doc)
    assert journal.run_directory is not None
    pulse = NewestReader(journal.run_directory)
    before = rows_of(run, pulse.read())
    for name, doc in documents[5:-1]:
        journal(name, doc)
    after = rows_of(run, pulse.read())
    assert after[-1] == len(run.time) - 1 > before[-1]
    assert pulse.read().volt == run.voltage[-1]
    journal.close()


def test_missing_readings_pauses_and_trips_are_told(tmp_path: Path, make_gitt: Any) -> None:
    run, journal = make_gitt(1), Journal(tmp_path)
    run.steps[1].voltage[-3:] = np.nan
    for name, doc in run.unfinished():
        journal(name, doc)
    when = {"seq_num": 1, "time": run.began, "uid": "e1", "filled": {}}
    for stream, data in (
        ("interruptions", {"interruption": "pause"}),
        ("alarms", {"kind": "trip", "action": "circuit opened"}),
    ):
        keys = {key: {"source": "test", "dtype": "string", "shape": []} for key in data}
        descriptor = {"uid": f"d-{stream}", "run_start": run.uid, "time": run.began, "name": stream}
        journal("descriptor", descriptor | {"data_keys": keys})
        journal(
            "event", when | {"descriptor": f"d-{stream}", "data": data, "timestamps": dict.fromkeys(data, 0)}
        )
    assert journal.run_directory is not None
    reading = NewestReader(journal.run_directory).read()
    journal.close()
    assert np.isnan(reading.volts[-3:]).all()
    assert reading.paused
    assert reading.tripped


@pytest.mark.parametrize(
    ("changes", "age", "state"),
    [
        ({}, 5, "running"),
        ({}, 100, "stale"),
        ({"longest_gap_second": 60.0}, 100, "running"),
        ({"paused": True}, 5, "paused"),
        ({"paused": True, "tripped": True}, 5, "tripped"),
    ],
)
def test_a_running_channel_tells_silence_and_pause(
    tmp_path: Path, gitt: Any, changes: Any, age: float, state: str
) -> None:
    journal = Journal(tmp_path)
    for name, doc in gitt.unfinished(3):
        journal(name, doc)
    assert journal.run_directory is not None
    run = summary_of(journal.run_directory)
    reading = replace(ChannelReading(last_data_unix_second=1000.0), **changes)
    assert state_now(run, reading, 1000.0 + age) == state
    journal.close()
    assert state_now(summary_of(run.directory), reading, 1000.0 + age) == "interrupted"


def test_every_station_is_a_channel_however_old_its_newest_run_is(
    tmp_path: Path, make_gitt: Any, write_run: Any
) -> None:
    write_run(tmp_path, make_gitt(1, began=1e9, station="seldom used").documents())
    for number in range(65):
        write_run(tmp_path, make_gitt(1, began=2e9 + number, station="a").unfinished(0))
    lookout = Lookout(tmp_path)
    rows = channel_rows(lookout.look(None))
    assert [row.title for row in rows[1:3]] == ["a", "seldom used"]
    assert rows[2].reading is not None
    assert rows[2].reading.volts


def test_what_is_added_is_seen_at_the_next_look(tmp_path: Path, make_gitt: Any, write_run: Any) -> None:
    lookout = Lookout(tmp_path)
    assert lookout.look(None).runs == ()
    run, journal = make_gitt(1, station="a"), Journal(tmp_path)
    documents = list(run.documents())
    for name, doc in documents[:4]:
        journal(name, doc)
    first = lookout.look(None)
    assert [one.status for one in first.runs] == ["running"]
    for name, doc in documents[4:]:
        journal(name, doc)
    journal.close()
    second = lookout.look(None)
    assert [one.status for one in second.runs] == ["finished"]
    rows_of(run, second.readings[run.uid])
    write_run(tmp_path, make_gitt(1, station="b").documents())
    assert {one.station for one in lookout.look(None).runs} == {"a", "b"}


def test_the_sparkline_fills_its_box_and_breaks_where_there_is_no_reading() -> None:
    box = QtCore.QRectF(10, 20, 100, 30)
    nan = float("nan")
    path = sparkline(ChannelReading(times_second=(0.0, 1.0, 2.0, 4.0), volts=(3.0, 3.5, nan, 4.0)), box)
    points = [path.elementAt(n) for n in range(path.elementCount())]
    assert [(point.x, point.y) for point in points] == [(10, 50), (35, 35), (110, 20)]
    assert [point.isMoveTo() for point in points] == [True, False, True]
    assert sparkline(ChannelReading(times_second=(0.0,), volts=(3.0,)), box).isEmpty()


def test_noise_looks_like_noise_in_a_sparkline() -> None:
    box = QtCore.QRectF(0, 0, 100, 30)
    volts = tuple(3.0 + 20e-6 * (number % 2) for number in range(50))
    path = sparkline(ChannelReading(times_second=tuple(map(float, range(50))), volts=volts), box)
    assert path.boundingRect().height() < 1


def test_channels_are_drawn_with_value_state_and_line(
    tmp_path: Path, make_rate_test: Any, make_gitt: Any, write_run: Any, qtbot: Any
) -> None:
    write_run(tmp_path, make_rate_test(station="bench-1", began=1e9).documents())
    journal = Journal(tmp_path)
    for name, doc in make_gitt(2, station="bench-2", began=time.time(), pace=0.0).unfinished():
        journal(name, doc)
    listing = Lookout(tmp_path).look(None)
    panel = ChannelPanel(DARK)
    qtbot.addWidget(panel)
    panel.resize(280, 300)
    panel.show()
    panel.show_rows(channel_rows(listing), "")
    assert [row.title for row in panel.channels.rows] == ["Channels", "bench-2", "bench-1"]
    image = panel.grab().toImage().convertToFormat(QtGui.QImage.Format.Format_RGB32)
    fresh, ended = (panel.visualRect(panel.channels.index(row)) for row in (1, 2))
    assert blue(image, fresh, DARK.voltage) > 50
    assert blue(image, ended, DARK.voltage) == 0  # nothing comes any more: faded
    journal.close()


def blue(image: QtGui.QImage, box: QtCore.QRect, colour: str) -> int:
    """How many pixels at the lower right of a row are nearly of a colour."""
    wanted = QtGui.QColor(colour)
    count = 0
    for x in range(box.right() - 120, box.right()):
        for y in range(box.center().y(), box.bottom()):
            there = image.pixelColor(x, y)
            near = abs(there.red() - wanted.red()) + abs(there.green() - wanted.green())
            count += near + abs(there.blue() - wanted.blue()) < 60
    return count


def test_a_click_on_a_channel_chooses_its_run(
    tmp_path: Path, make_gitt: Any, write_run: Any, qtbot: Any
) -> None:
    run = make_gitt(1, station="a")
    write_run(tmp_path, run.documents())
    panel = ChannelPanel(DARK)
    qtbot.addWidget(panel)
    panel.resize(280, 300)
    panel.show()
    panel.show_rows(channel_rows(Lookout(tmp_path).look(None)), "")
    place = panel.visualRect(panel.channels.index_of(run.uid)).center()
    with qtbot.waitSignal(panel.chosen) as chosen:
        qtbot.mouseClick(panel.viewport(), QtCore.Qt.MouseButton.LeftButton, pos=place)
    assert chosen.args == [run.uid]


def test_an_empty_list_has_no_channels() -> None:
    assert channel_rows(Listing()) == []
