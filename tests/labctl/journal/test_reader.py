"""Following journals: live, torn, damaged, rotated."""

from __future__ import annotations

import math
import threading
import time
import tracemalloc
from pathlib import Path

import event_model
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labctl.journal.format import Damage, decode, encode, is_uid
from labctl.journal.reader import Tail, follow
from labctl.journal.writer import Journal
from tests.labctl.journal.numbered_run import KEYS, voltages, write


def test_null_in_a_float_column_comes_back_as_nan(tmp_path: Path) -> None:
    read = voltages(write(tmp_path, 20))
    assert [i for i, v in enumerate(read) if math.isnan(v)] == [9, 19]
    assert read[:9] == [float(i) for i in range(9)]


def test_nan_comes_back_in_arrays_and_configuration_and_null_stays_elsewhere(tmp_path: Path) -> None:
    keys = {
        "spectrum": {"source": "t", "dtype": "array", "dtype_numpy": "<f8", "shape": [2, 2]},
        "note": {"source": "t", "dtype": "string", "shape": []},
    }
    part = {
        "data": {"limit": None, "name": None},
        "timestamps": {"limit": 1.0, "name": 1.0},
        "data_keys": {
            "limit": {"source": "t", "dtype": "number", "shape": []},
            "name": {"source": "t", "dtype": "string", "shape": []},
        },
    }
    descriptor = {"uid": "d", "data_keys": keys, "name": "s", "configuration": {"device": part}}
    data = {"spectrum": [[None, 1.0], [2.0, None]], "note": None}
    event = {"descriptor": "d", "seq_num": 1, "time": 1.0, "data": data}
    event["timestamps"] = dict.fromkeys(data, 1.0)
    lines = encode("descriptor", descriptor) + encode("event", event)
    (tmp_path / "journal-0000.jsonl").write_bytes(lines)
    (_, read), (_, row) = follow(tmp_path, live=False)
    assert math.isnan(read["configuration"]["device"]["data"]["limit"])
    assert read["configuration"]["device"]["data"]["name"] is None
    assert math.isnan(row["data"]["spectrum"][0][0])
    assert math.isnan(row["data"]["spectrum"][1][1])
    assert row["data"]["note"] is None


def test_a_live_reader_gets_every_document_as_it_comes_and_ends_with_the_stop(tmp_path: Path) -> None:
    journal, run = Journal(tmp_path, segment_limit_byte=20_000), event_model.compose_run()
    journal("start", run.start_doc)
    descriptor = run.compose_descriptor(name="timeseries", data_keys=KEYS)
    journal("descriptor", descriptor.descriptor_doc)
    assert journal.run_directory is not None
    seen: list[tuple[str, float]] = []
    reader = follow(journal.run_directory)
    read = threading.Thread(target=lambda: seen.extend((n, time.monotonic()) for n, _ in reader))
    read.start()
    for number in range(300):
        data = {"voltage_volt": float(number)}
        journal("event", descriptor.compose_event(data=data, timestamps={"voltage_volt": 1.0}))
        threading.Event().wait(0.001)
    written = time.monotonic()
    threading.Event().wait(0.5)
    assert read.is_alive(), "it waits for the stop document"
    journal("stop", run.compose_stop())
    read.join(5)
    assert not read.is_alive()
    assert [name for name, _ in seen] == ["start", "descriptor", *["event"] * 300, "stop"]
    assert seen[-2][1] - written < 0.4
    journal.close()


def test_a_reader_of_what_is_there_now_does_not_wait_for_a_living_writer(tmp_path: Path) -> None:
    journal, run = Journal(tmp_path), event_model.compose_run()
    journal("start", run.start_doc)
    assert journal.run_directory is not None
    assert [name for name, _ in follow(journal.run_directory, live=False)] == ["start"]
    journal.close()


def test_a_live_reader_ends_when_it_is_told_to(tmp_path: Path) -> None:
    journal, halt = Journal(tmp_path), threading.Event()
    journal("start", event_model.compose_run().start_doc)
    seen: list[str] = []
    assert journal.run_directory is not None
    reader = follow(journal.run_directory, stop=halt)
    read = threading.Thread(target=lambda: seen.extend(name for name, _ in reader))
    read.start()
    threading.Event().wait(0.2)
    halt.set()
    read.join(2)
    assert not read.is_alive()
    assert seen == ["start"]
    journal.close()


def test_rotated_segments_read_as_one(tmp_path: Path) -> None:
    directory = write(tmp_path, 100, segment_limit_byte=3_000)
    assert len(list(directory.glob("journal-*.jsonl"))) > 5
    assert len(voltages(directory)) == 100


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (b'"voltage_volt":3.0', b'"voltage_volt":4.0', "bad CRC"),
        (b'"crc"', b'"src"', "no CRC at its end"),
    ],
)
def test_a_damaged_line_is_reported_with_file_and_offset_and_the_rest_is_read(
    tmp_path: Path, old: bytes, new: bytes, reason: str
) -> None:
    directory = write(tmp_path, 6)
    path = directory / "journal-0000.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    place = next(i for i, line in enumerate(lines) if b'"voltage_volt":3.0' in line)
    lines[place] = lines[place].replace(old, new)
    path.write_bytes(b"".join(lines))
    damage: list[Damage] = []
    assert voltages(directory, on_damage=damage.append) == [0, 1, 2, 4, 5]
    [found] = damage
    assert (found.file, found.offset_byte) == (path, sum(map(len, lines[:place])))
    assert reason in found.reason
    assert str(found).startswith(f"{path}: byte {found.offset_byte}: ")


def test_damage_is_logged_when_nobody_asks_for_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    directory = write(tmp_path, 2)
    with (directory / "journal-0000.jsonl").open("r+b") as file:
        file.write(b"X")
    assert [name for name, _ in follow(directory)] == ["descriptor", "event", "event", "stop"]
    assert f"{directory}/journal-0000.jsonl: byte 0: bad CRC" in caplog.text


def test_a_line_of_100_megabytes_is_skipped_at_bounded_memory(tmp_path: Path) -> None:
    directory = write(tmp_path, 2, stop=False)
    path = directory / "journal-0000.jsonl"
    good = path.read_bytes()
    with path.open("ab") as file:
        for _ in range(100):
            file.write(b"x" * 1_000_000)
        file.write(b"\n" + good.splitlines(keepends=True)[-1])
    damage: list[Damage] = []
    tracemalloc.start()
    assert voltages(directory, on_damage=damage.append) == [0, 1, 1]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 60e6
    assert [(d.offset_byte, d.reason) for d in damage] == [
        (len(good), "a line of 100000000 bytes, allowed 33554432")
    ]


def test_a_tail_can_be_closed_within_a_line_and_goes_on_there(tmp_path: Path) -> None:
    directory = write(tmp_path, 4)
    path = directory / "journal-0000.jsonl"
    whole = path.read_bytes()
    path.write_bytes(b"")
    tail, seen = Tail(directory), []
    for end in range(0, len(whole) + 1, 100):
        path.write_bytes(whole[:end])
        seen += [name for name, _ in tail.available()]
        tail.close()
    path.write_bytes(whole)
    seen += [name for name, _ in tail.available()]
    tail.close()
    assert seen == ["start", "descriptor", *["event"] * 4, "stop"]


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_are_refused_as_a_line_without_another_error(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"CRC|document"):
        decode(data)


TEXT = st.text(st.characters(exclude_categories=["Cs"]))
PLAIN = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | TEXT


@settings(max_examples=100, deadline=None)
@given(st.recursive(PLAIN, lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner), max_leaves=20))
def test_what_is_encoded_is_decoded_equal(value: object) -> None:
    line = encode("event", {"value": value})
    assert line.endswith(b"\n")
    assert b"\n" not in line[:-1]
    assert decode(line[:-1])["doc"] == {"value": value}


def test_a_flipped_bit_never_goes_unnoticed() -> None:
    line = encode("event", {"data": {"voltage_volt": 3.725}, "seq_num": 7})[:-1]
    for place in range(len(line) * 8):
        flipped = bytearray(line)
        flipped[place // 8] ^= 1 << place % 8
        with pytest.raises(ValueError, match=r"CRC|document"):
            decode(bytes(flipped))


@pytest.mark.parametrize(
    ("text", "allowed"),
    [
        ("0a1b-2c", True),
        ("..", False),
        ("a/b", False),
        ("abc", False),
        ("-abcd", False),
        ("abcd\n", False),
        (7, False),
    ],
)
def test_only_plain_names_are_uids(text: object, allowed: bool) -> None:
    assert is_uid(text) is allowed
