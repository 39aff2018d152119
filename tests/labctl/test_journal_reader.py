"""Following and recovering journals: live, torn, damaged, rotated, killed."""

from __future__ import annotations

import math
import signal
import subprocess
import sys
import threading
import time
import tracemalloc
from pathlib import Path
from typing import Any

import event_model
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labctl.errors import JournalError
from labctl.journal import Damage, Journal, follow, recover
from labctl.journal_format import decode, encode, is_uid
from labctl.journal_reader import Tail
from labctl.platform import is_locked

KEYS = {"voltage_volt": {"source": "t", "dtype": "number", "dtype_numpy": "<f8", "shape": []}}
WRITER = """
import sys
from pathlib import Path
from event_model import compose_run
from labctl.journal import Journal
journal = Journal(Path(sys.argv[1]))
run = compose_run(metadata={"plan_name": "killed"})
journal("start", run.start_doc)
key = {"voltage_volt": {"source": "t", "dtype": "number", "dtype_numpy": "<f8", "shape": []}}
descriptor = run.compose_descriptor(name="timeseries", data_keys=key)
journal("descriptor", descriptor.descriptor_doc)
for number in range(1_000_000):
    journal("event", descriptor.compose_event(
        data={"voltage_volt": number * 0.1}, timestamps={"voltage_volt": 1.0}, validate=False))
    print(number + 1, flush=True)
"""


def write(data: Path, rows: int, *, stop: bool = True, segment_limit_byte: int = 1 << 26) -> Path:
    """A run of single events with voltages 0, 1, 2, ...; every tenth is NaN."""
    journal = Journal(data, segment_limit_byte=segment_limit_byte)
    run = event_model.compose_run()
    journal("start", run.start_doc)
    descriptor = run.compose_descriptor(name="timeseries", data_keys=KEYS)
    journal("descriptor", descriptor.descriptor_doc)
    for number in range(rows):
        value = math.nan if number % 10 == 9 else float(number)
        stamps = {"voltage_volt": 1.0}
        journal("event", descriptor.compose_event(data={"voltage_volt": value}, timestamps=stamps))
    if stop:
        journal("stop", run.compose_stop())
    journal.close()
    assert journal.run_directory is not None
    return journal.run_directory


def voltages(run_directory: Path, **options: Any) -> list[float]:
    return [doc["data"]["voltage_volt"] for name, doc in follow(run_directory, **options) if name == "event"]


def kill_after(data: Path, rows: int) -> tuple[Path, int]:
    """Kill -9 a process that writes a run after at least `rows` rows; how many it said it had written."""
    child = subprocess.Popen([sys.executable, "-c", WRITER, str(data)], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    said = 0
    while said < rows:
        said = int(child.stdout.readline())
    child.send_signal(signal.SIGKILL)
    rest = child.stdout.read().split()
    child.stdout.close()
    child.wait()
    [directory] = (data / "runs").glob("*/*")
    return directory, int(rest[-1]) if rest and rest[-1].isdigit() else said


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
    event = {"descriptor": "d", "data": {"spectrum": [[None, 1.0], [2.0, None]], "note": None}}
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


def test_kill_9_loses_no_line_that_was_written_and_the_reader_ends(tmp_path: Path) -> None:
    directory, said = kill_after(tmp_path, 500)
    assert not is_locked(directory / "writer.lock")
    documents = list(follow(directory))
    numbers = [doc["seq_num"] for name, doc in documents if name == "event"]
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(numbers) >= said
    assert documents[-1][0] == "event"


def test_recover_closes_the_runs_of_dead_writers_only_and_counts_their_rows(tmp_path: Path) -> None:
    dead, _ = kill_after(tmp_path, 50)
    rows = len(voltages(dead))
    finished = write(tmp_path, 3)
    living = Journal(tmp_path)
    living("start", event_model.compose_run().start_doc)
    before = (dead / "journal-0000.jsonl").read_bytes()
    [recovered] = recover(tmp_path)
    assert (recovered.directory, recovered.num_events) == (dead, {"timeseries": rows})
    assert (dead / "journal-0000.jsonl").read_bytes().startswith(before)
    name, stop = list(follow(dead))[-1]
    event_model.schema_validators[event_model.DocumentNames.stop].validate(stop)
    assert (name, stop["exit_status"], stop["run_start"]) == ("stop", "abort", dead.name)
    assert "interrupted" in stop["reason"]
    assert stop["num_events"] == {"timeseries": rows}
    assert len(voltages(finished)) == 3
    assert recover(tmp_path) == []
    living.close()


def test_a_last_line_that_lacks_only_its_end_is_whole_when_the_run_is_closed(tmp_path: Path) -> None:
    path = write(tmp_path, 5, stop=False) / "journal-0000.jsonl"
    path.write_bytes(path.read_bytes()[:-1])
    assert [r.num_events for r in recover(tmp_path)] == [{"timeseries": 5}]
    damage: list[Damage] = []
    assert voltages(path.parent, on_damage=damage.append) == [0, 1, 2, 3, 4]
    assert damage == []


@pytest.mark.parametrize("cut", [2, 9, 40])
def test_a_torn_last_line_is_skipped_in_silence_and_stays_when_the_run_is_closed(
    tmp_path: Path, cut: int
) -> None:
    directory = write(tmp_path, 5, stop=False)
    path = directory / "journal-0000.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut])
    damage: list[Damage] = []
    assert voltages(directory, on_damage=damage.append) == [0, 1, 2, 3]
    assert damage == []
    assert [r.num_events for r in recover(tmp_path)] == [{"timeseries": 4}]
    assert path.read_bytes().startswith(whole[:-cut])
    documents = list(follow(directory, on_damage=damage.append))
    assert documents[-1][0] == "stop"
    assert [str(d).rsplit(": ", 1)[1] for d in damage] == ["not a whole journal line (no CRC at its end)"]


def test_every_truncation_of_the_last_kilobyte_can_be_read_and_loses_only_what_was_cut(
    tmp_path: Path,
) -> None:
    path = write(tmp_path, 8) / "journal-0000.jsonl"
    whole = path.read_bytes()
    for size in range(len(whole) - 1024, len(whole)):
        path.write_bytes(whole[:size])
        kept = whole[:size].count(b"\n")
        assert sum(1 for _ in follow(path.parent)) == kept


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


UNWRITABLE = """
import resource, sys
from pathlib import Path
from labctl.journal import recover
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
recover(Path(sys.argv[1]))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX")
def test_recover_says_which_run_it_cannot_close(tmp_path: Path) -> None:
    directory = write(tmp_path, 1, stop=False)
    arguments = [sys.executable, "-c", UNWRITABLE, str(tmp_path)]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=30)
    last = done.stderr.splitlines()[-1]
    assert last.startswith(f"{JournalError.__module__}.JournalError: {directory}: the run cannot be closed: ")
    assert len(recover(tmp_path)) == 1


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
