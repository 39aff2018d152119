"""The journal as the RunEngine's subscriber: what it writes, and how it fails."""

from __future__ import annotations

import math
import threading
import zlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import event_model
import numpy as np
import orjson
import pytest
from bluesky import RunEngine
from bluesky import plan_stubs as bps
from bluesky import preprocessors as bpp
from ophyd.sim import det

from labctl.errors import JournalError
from labctl.formats import FORMAT_NUMBER
from labctl.journal.format import LINE_LIMIT_BYTE, encode
from labctl.journal.reader import count_points, first_document, follow
from labctl.journal.writer import CLOCK_PERIOD_SECOND, Journal
from labctl.platform import is_locked

KEYS = {
    "voltage_volt": {"source": "t", "dtype": "number", "dtype_numpy": "<f8", "shape": [], "units": "V"},
    "step_count": {"source": "t", "dtype": "integer", "dtype_numpy": "<i8", "shape": [], "units": "1"},
    "step_type": {"source": "t", "dtype": "string", "dtype_numpy": "<U64", "shape": []},
}


def begin(journal: Journal, stream: str = "timeseries") -> tuple[Any, Any]:
    run = event_model.compose_run(metadata={"plan_name": "test"})
    journal("start", run.start_doc)
    descriptor = run.compose_descriptor(name=stream, data_keys=KEYS)
    journal("descriptor", descriptor.descriptor_doc)
    return run, descriptor


def row(voltage: object, step: object = 1, kind: object = "rest") -> dict[str, Any]:
    return {"voltage_volt": voltage, "step_count": step, "step_type": kind}


def event(descriptor: Any, data: dict[str, Any]) -> dict[str, Any]:
    return descriptor.compose_event(data=data, timestamps=dict.fromkeys(data, 1.0), validate=False)


def lines(journal: Journal, segment: int = 0) -> list[bytes]:
    assert journal.run_directory is not None
    return (journal.run_directory / f"journal-{segment:04d}.jsonl").read_bytes().splitlines()


def test_a_line_is_the_document_with_the_crc_of_its_bytes(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    run, _ = begin(journal)
    body, _, crc = lines(journal)[1].rpartition(b',"crc":"')
    assert orjson.loads(body + b"}")["name"] == "descriptor"
    assert crc == b'%08x"}' % zlib.crc32(body + b"}")
    journal("stop", run.compose_stop())
    journal.close()


def test_a_run_lies_under_its_utc_date_and_uid_and_is_locked_while_it_lasts(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    run, _ = begin(journal)
    day = datetime.fromtimestamp(run.start_doc["time"], UTC).strftime("%Y-%m-%d")
    directory = tmp_path / "runs" / day / run.start_doc["uid"]
    assert (journal.run_directory, journal.run_uid) == (directory, run.start_doc["uid"])
    assert is_locked(directory / "writer.lock")
    journal("stop", run.compose_stop())
    assert not is_locked(directory / "writer.lock")
    assert sorted(p.name for p in directory.iterdir()) == ["journal-0000.jsonl", "writer.lock"]
    assert journal.run_directory == directory
    journal.close()


def test_a_start_line_carries_both_clocks_inside_the_crc(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    begin(journal)
    clock = orjson.loads(lines(journal)[0])["clock"]
    assert abs(clock["unix_second"] - datetime.now(UTC).timestamp()) < 10
    assert 0 < clock["monotonic_second"]
    assert b'"clock"' in lines(journal)[0].rpartition(b',"crc":"')[0]
    journal.close()


def test_once_a_second_a_line_carries_both_clocks_again(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    run, descriptor = begin(journal)
    for _ in range(2):
        journal("event", event(descriptor, row(1.0, 1, "peis")))
    threading.Event().wait(CLOCK_PERIOD_SECOND + 0.01)
    for _ in range(2):
        journal("event", event(descriptor, row(1.0, 1, "peis")))
    journal("stop", run.compose_stop())
    clocks = [orjson.loads(line).get("clock") for line in lines(journal)]
    assert [clock is not None for clock in clocks] == [True, False, False, False, True, False, True]
    seconds = [clock["monotonic_second"] for clock in clocks if clock]
    assert seconds == sorted(seconds)
    journal.close()


def test_numpy_values_come_back_as_numbers_and_nan_as_nan(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    run, descriptor = begin(journal)
    journal("event", event(descriptor, row(np.float64("nan"), np.int64(2**53 + 1), np.str_("peis"))))
    journal("event", event(descriptor, row(np.float32(0.5), np.int32(-1))))
    page = {
        "voltage_volt": np.array([1.0, math.nan, 3.0, 9.0])[::2],
        "step_count": np.arange(2),
        "step_type": np.array(["a", "b"]),
    }
    journal(
        "event_page",
        descriptor.compose_event_page(
            data=page,
            timestamps={k: [1.0, 2.0] for k in page},
            seq_num=[3, 4],
            time=[1.0, 2.0],
            validate=False,
        ),
    )
    journal("stop", run.compose_stop())
    assert journal.run_directory is not None
    data = [doc["data"] for name, doc in follow(journal.run_directory) if name.startswith("event")]
    assert math.isnan(data[0]["voltage_volt"])
    assert data[0]["step_count"] == 2**53 + 1
    assert data[0]["step_type"] == "peis"
    assert data[1] == {"voltage_volt": 0.5, "step_count": -1, "step_type": "rest"}
    assert data[2] == {"voltage_volt": [1.0, 3.0], "step_count": [0, 1], "step_type": ["a", "b"]}
    journal.close()


@pytest.mark.parametrize(
    ("value", "where"),
    [
        (Path("/a"), r"event document: data\.voltage_volt: .*Path.* neither JSON nor numpy"),
        ({1: 2}, r"event document: data\.voltage_volt\.1: the key must be a string"),
        ([0, object()], r"event document: data\.voltage_volt\[1\]: .*object is neither"),
        (2**70, r"event document: data\.voltage_volt: 118"),
    ],
)
def test_a_value_that_is_not_json_is_named_and_the_run_can_go_on(
    tmp_path: Path, value: object, where: str
) -> None:
    journal = Journal(tmp_path)
    run, descriptor = begin(journal)
    with pytest.raises(JournalError, match=where):
        journal("event", event(descriptor, row(value)))
    journal("event", event(descriptor, row(1.0)))
    journal("stop", run.compose_stop())
    assert [orjson.loads(line)["name"] for line in lines(journal)] == ["start", "descriptor", "event", "stop"]
    journal.close()


def test_a_start_document_that_cannot_be_read_again_begins_no_run(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    run = event_model.compose_run(metadata={"plan_name": "test", "operator_log": "x" * 39_000_000})
    allowed = r"it has 39 MB, but at most 33\.55 MB \(33554432 bytes\) can be read again"
    with pytest.raises(JournalError, match=f"start document: {allowed}; its largest part, operator_log"):
        journal("start", run.start_doc)
    assert list(tmp_path.rglob("*")) == []
    run, _ = begin(journal)  # and the next run is not disturbed
    journal("stop", run.compose_stop())
    journal.close()


@pytest.mark.parametrize("over", [0, 1])
def test_the_longest_line_that_is_written_is_the_longest_that_is_read(tmp_path: Path, over: int) -> None:
    uid = "0123abcd"
    plain = {"uid": uid, "time": 1.0, "note": ""}
    room = LINE_LIMIT_BYTE - (len(encode("start", plain)) - 1)
    longest = {**plain, "note": "x" * (room + over)}
    if over:
        with pytest.raises(JournalError, match="can be read again"):
            encode("start", longest)
        return
    (tmp_path / "journal-0000.jsonl").write_bytes(encode("start", longest))
    assert list(follow(tmp_path, live=False)) == [("start", longest)]
    assert first_document(tmp_path) == longest


def test_events_and_descriptors_that_cannot_be_read_again_are_refused_and_the_run_can_end(
    tmp_path: Path,
) -> None:
    journal = Journal(tmp_path)
    run, descriptor = begin(journal)
    with pytest.raises(JournalError, match=r"event document: .* its largest part, data"):
        journal("event", event(descriptor, row(1.0, kind="x" * 34_000_000)))
    other = run.compose_descriptor(name="other", data_keys=KEYS).descriptor_doc
    with pytest.raises(JournalError, match=r"descriptor document: .* its largest part, hints"):
        journal("descriptor", {**other, "hints": {"note": "x" * 34_000_000}})
    journal("stop", run.compose_stop())
    assert [name for name, _ in follow(journal.run_directory, live=False)] == ["start", "descriptor", "stop"]
    journal.close()


def test_the_points_of_a_run_with_a_long_start_document_are_counted(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    run = event_model.compose_run(metadata={"plan_name": "test", "note": "x" * 5_000_000})
    journal("start", run.start_doc)
    descriptor = run.compose_descriptor(name="timeseries", data_keys=KEYS)
    journal("descriptor", descriptor.descriptor_doc)
    journal("event", event(descriptor, row(1.0)))
    journal("stop", run.compose_stop())
    assert count_points(journal.run_directory) == 1
    journal.close()


@pytest.mark.parametrize("uid", ["../../../etc", "a/b", "", "x" * 65, None, "a\nb"])
def test_a_uid_that_is_no_plain_name_never_becomes_a_path(tmp_path: Path, uid: object) -> None:
    with pytest.raises(JournalError, match="uid"):
        Journal(tmp_path / "data")("start", {"uid": uid, "time": 1.0})
    assert list(tmp_path.rglob("*")) == []


def test_a_second_run_before_the_stop_and_documents_outside_a_run_are_refused(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    run, descriptor = begin(journal)
    with pytest.raises(JournalError, match="one run at a time"):
        journal("start", event_model.compose_run().start_doc)
    journal("stop", run.compose_stop())
    with pytest.raises(JournalError, match="event document outside a run"):
        journal("event", event(descriptor, row(1.0)))
    with pytest.raises(JournalError, match="a run cannot be begun"):
        journal("start", run.start_doc)
    journal.close()
    with pytest.raises(JournalError, match="the journal is closed"):
        journal("start", event_model.compose_run().start_doc)


def test_segments_rotate_without_losing_a_document(tmp_path: Path) -> None:
    journal = Journal(tmp_path, segment_limit_byte=4_000)
    run, descriptor = begin(journal)
    for number in range(40):
        journal("event", event(descriptor, row(float(number))))
    journal("stop", run.compose_stop())
    journal.close()
    assert journal.run_directory is not None
    files = sorted(journal.run_directory.glob("journal-*.jsonl"))
    assert len(files) >= 3
    assert all(file.stat().st_size <= 4_000 for file in files)
    documents = list(follow(journal.run_directory))
    assert [d["data"]["voltage_volt"] for n, d in documents if n == "event"] == [float(i) for i in range(40)]
    assert documents[-1][0] == "stop"


def test_alarms_from_any_thread_become_a_stream_counted_in_the_stop_document(tmp_path: Path) -> None:
    times = iter(range(1000))
    journal = Journal(tmp_path, test_time=lambda: float(next(times)))
    run, descriptor = begin(journal)

    def shout() -> None:
        for _ in range(20):
            journal.alarm(kind="over_voltage", source="cell", value=4.4, limit=4.3, action="open circuit")

    threads = [threading.Thread(target=shout) for _ in range(3)]
    for thread in threads:
        thread.start()
    for number in range(100):
        journal("event", event(descriptor, row(float(number))))
    for thread in threads:
        thread.join()
    journal("stop", run.compose_stop())
    assert journal.run_directory is not None
    documents = list(follow(journal.run_directory))
    for name, doc in documents:
        event_model.schema_validators[event_model.DocumentNames[name]].validate(doc)
    uid = next(d["uid"] for n, d in documents if n == "descriptor" and d["name"] == "alarms")
    alarms = [d for n, d in documents if n == "event" and d["descriptor"] == uid]
    assert [a["seq_num"] for a in alarms] == list(range(1, 61))
    assert sorted(a["data"]["test_time_second"] for a in alarms) == [float(i) for i in range(60)]
    assert alarms[0]["data"]["kind"] == "over_voltage"
    assert documents[-1][1]["num_events"] == {"timeseries": 100, "alarms": 60}
    journal.close()


def test_an_alarm_without_reading_or_test_time_is_nan_and_outside_a_run_goes_to_its_own_file(
    tmp_path: Path,
) -> None:
    journal = Journal(tmp_path)
    journal.alarm(kind="stale", source="load cell", value=math.nan, limit=math.nan, action="hold")
    run, _ = begin(journal)
    journal.alarm(kind="stale", source="load cell", value=math.nan, limit=2.0, action="hold")
    journal("stop", run.compose_stop())
    journal.alarm(kind="acknowledged", source="operator", value=0, limit=0, action="none")
    journal.close()
    outside = [orjson.loads(line) for line in (tmp_path / "alarms.jsonl").read_bytes().splitlines()]
    assert [record["doc"]["data"]["kind"] for record in outside] == ["stale", "acknowledged"]
    assert journal.run_directory is not None
    [inside] = [d for n, d in follow(journal.run_directory) if n == "event"]
    assert math.isnan(inside["data"]["value"])
    assert math.isnan(inside["data"]["test_time_second"])
    assert inside["data"]["limit"] == 2.0


def test_what_is_written_is_synced_within_a_second_or_so(tmp_path: Path) -> None:
    journal = Journal(tmp_path, sync_period_second=0.02)
    _, descriptor = begin(journal)
    segment = journal._segments
    assert segment is not None
    journal("event", event(descriptor, row(1.0)))
    for _ in range(250):
        if not segment._changed:
            break
        threading.Event().wait(0.02)
    assert not segment._changed
    journal.close()


def test_a_journal_of_the_run_engine_holds_every_document_it_emitted(tmp_path: Path) -> None:
    RE, seen = RunEngine({}, context_managers=[]), []
    journal = Journal(tmp_path)
    RE.subscribe(journal)
    RE.subscribe(lambda name, doc: seen.append([name, doc]))

    @bpp.run_decorator(md={"plan_name": "p"})
    def plan() -> Any:
        for _ in range(3):
            yield from bps.trigger_and_read([det])

    RE(plan())
    assert journal.run_directory is not None
    written = [list(pair) for pair in follow(journal.run_directory)]
    assert written[0][1].pop("labctl_format") == FORMAT_NUMBER["journal"]  # the journal's own word
    assert written == orjson.loads(orjson.dumps(seen, option=orjson.OPT_SERIALIZE_NUMPY))
    assert [name for name, _ in written] == ["start", "descriptor", *["event"] * 3, "stop"]
    journal.close()
