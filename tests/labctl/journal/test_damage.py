"""Journals that were cut, flipped, emptied or forged: they always open, and say what is damaged and where."""

from __future__ import annotations

import random
import zlib
from pathlib import Path
from typing import Any

import event_model
import pytest

from labctl.errors import JournalError
from labctl.journal.format import Damage
from labctl.journal.reader import follow
from labctl.journal.writer import Journal
from labctl.runs.listing import find_run, list_runs
from labctl.runs.recovery import recover

KEYS = {"voltage_volt": {"source": "t", "dtype": "number", "dtype_numpy": "<f8", "shape": []}}
SEGMENT_BYTE = 20_000


def write(data: Path, rows: int, *, stop: bool = True) -> Path:
    """A run of single events, in several segments."""
    journal = Journal(data, segment_limit_byte=SEGMENT_BYTE)
    run = event_model.compose_run(metadata={"plan_name": "damaged"})
    journal("start", run.start_doc)
    descriptor = run.compose_descriptor(name="timeseries", data_keys=KEYS)
    journal("descriptor", descriptor.descriptor_doc)
    for number in range(rows):
        row = {"voltage_volt": float("nan") if number % 10 == 9 else number / 7}
        journal("event", descriptor.compose_event(data=row, timestamps={"voltage_volt": 1.0}))
    if stop:
        journal("stop", run.compose_stop())
    journal.close()
    assert journal.run_directory is not None
    return journal.run_directory


def read(directory: Path) -> tuple[list[str], list[Damage]]:
    """What can be read, as text (NaN equals itself), and what is damaged."""
    damage: list[Damage] = []
    documents = [repr(document) for document in follow(directory, live=False, on_damage=damage.append)]
    return documents, damage


def test_every_truncation_of_the_last_4_kilobytes_loses_only_what_was_cut(tmp_path: Path) -> None:
    directory = write(tmp_path, 16)
    [path] = directory.glob("journal-*")
    whole = path.read_bytes()
    documents, _ = read(directory)
    assert len(whole) > 4096
    for size in range(len(whole) - 4096, len(whole)):
        path.write_bytes(whole[:size])
        lost = whole[size:].count(b"\n")
        kept, damage = read(directory)
        assert kept == documents[: len(documents) - lost]
        assert damage == []
        if size % 512 == 0:  # and each can be closed, from any place
            assert [run.uid for run in recover(tmp_path)] == [directory.name]
            assert find_run(tmp_path, "last").status == "interrupted"


def flip(path: Path, generator: random.Random) -> int:
    """Flip one bit; where."""
    content = bytearray(path.read_bytes())
    place = generator.randrange(len(content))
    content[place] ^= 1 << generator.randrange(8)
    path.write_bytes(content)
    return place


@pytest.mark.parametrize("seed", range(4))
def test_a_flipped_bit_costs_its_line_and_is_named_with_its_place(tmp_path: Path, seed: int) -> None:
    directory = write(tmp_path, 60)
    paths, generator = sorted(directory.glob("journal-*")), random.Random(seed)
    documents, _ = read(directory)
    for _ in range(250):
        path = generator.choice(paths)
        whole = path.read_bytes()
        place = flip(path, generator)
        kept, damage = read(directory)
        begin = whole.rfind(b"\n", 0, place) + 1
        ended = len(path.read_bytes()) == place + 1  # the last newline itself: what is before it is torn
        assert [found for found in damage if found.file != path] == []
        assert {begin} >= {found.offset_byte for found in damage[:1]}
        assert damage or ended
        assert [document for document in kept if document not in documents] == []
        assert len(documents) - len(kept) <= (2 if whole[place : place + 1] == b"\n" else 1)
        path.write_bytes(whole)


def test_many_flipped_bits_at_once_leave_the_undamaged_lines(tmp_path: Path) -> None:
    directory = write(tmp_path, 2000)
    paths, generator = sorted(directory.glob("journal-*")), random.Random(7)
    documents, _ = read(directory)
    for _ in range(1000):
        flip(generator.choice(paths), generator)
    kept, damage = read(directory)
    assert [document for document in kept if document not in documents] == []
    assert 400 < len(kept) < 1600
    assert len(damage) > 400
    assert all(found.file in paths and found.reason for found in damage)
    assert len(list_runs(tmp_path)) == 1
    assert len(recover(tmp_path)) <= 1


def checked(body: bytes) -> bytes:
    return b'%s,"crc":"%08x"}\n' % (body[:-1], zlib.crc32(body))


NESTED = b"[" * 10**6 + b"]" * 10**6
FORGED = {
    "empty": b"",
    "zeros": bytes(100_000),
    "newlines": b"\n" * 10_000,
    "a million nested lists": checked(b'{"name":"start","doc":{"uid":"x","a":%s}}' % NESTED),
    "no document": checked(b'{"name":"start"}'),
    "a list": checked(b'["start",{}]'),
    "another kind": checked(b'{"name":"event_page","doc":{}}'),
    "wrong types": checked(b'{"name":"start","doc":{"time":"now","uid":7,"tags":{"a":1},"cell":[1]}}'),
    "odd descriptor": checked(b'{"name":"descriptor","doc":{"uid":["x"],"data_keys":[1],"configuration":7}}'),
    "odd event": checked(b'{"name":"event","doc":{"descriptor":[1],"data":[null],"seq_num":{}}}'),
    "latin 1": checked(b'{"name":"start","doc":{"note":"gr\xf6\xdfe"}}'),
    "odd stop": checked(b'{"name":"start","doc":{"uid":"x","time":1e9,"tags":3,"cell":7}}')
    + checked(b'{"name":"stop","doc":{"exit_status":[],"num_events":[1],"reason":{}}}'),
}


@pytest.mark.parametrize("content", FORGED.values(), ids=FORGED)
def test_forged_journals_are_listed_read_and_closed_without_another_error(
    tmp_path: Path, content: bytes
) -> None:
    good = write(tmp_path, 3)
    directory = good.with_name("forged-1")
    directory.mkdir()
    (directory / "journal-0000.jsonl").write_bytes(content)
    listed = list_runs(tmp_path)
    assert good.name in [run.uid for run in listed]
    assert {run.uid for run in listed} <= {good.name, "forged-1"}
    assert isinstance(read(directory), tuple)
    recover(tmp_path)
    assert find_run(tmp_path, good.name).status == "finished"
    assert good.name in [run.uid for run in list_runs(tmp_path)]


@pytest.mark.parametrize("uid", ["../../escaped", "..", "a/../../b", "/etc/x", "a\x00b", "", 7, None, ["a"]])
def test_a_forged_uid_writes_nothing_outside_the_data_directory(tmp_path: Path, uid: Any) -> None:
    data = tmp_path / "data"
    data.mkdir()
    with pytest.raises(JournalError, match="uid"):
        Journal(data)("start", {"uid": uid, "time": 1e9})
    assert [path.name for path in tmp_path.iterdir()] == ["data"]
    assert list(data.iterdir()) == []
