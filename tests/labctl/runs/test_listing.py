"""Listing and finding runs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import event_model
import pytest

from labctl.errors import ConfigurationError
from labctl.journal.writer import Journal
from labctl.runs.listing import find_run, list_runs
from labctl.runs.recovery import recover

KEYS = {
    "voltage_volt": {"source": "t", "dtype": "number", "dtype_numpy": "<f8", "shape": []},
    "note": {"source": "t", "dtype": "string", "shape": []},
}


def write(
    data: Path,
    *,
    uid: str | None = None,
    start: float = 1.7e9,
    rows: int = 0,
    exit_status: str | None = "success",
    note: str = "",
    **metadata: Any,
) -> Journal:
    """A run whose pages hold ten rows each; without `exit_status` it is left open."""
    run = event_model.compose_run(uid=uid, time=start, metadata=metadata)
    journal = Journal(data)
    journal("start", run.start_doc)
    other = run.compose_descriptor(name="environment", data_keys=KEYS)
    journal("descriptor", other.descriptor_doc)
    descriptor = run.compose_descriptor(name="timeseries", data_keys=KEYS)
    journal("descriptor", descriptor.descriptor_doc)
    for first in range(1, rows + 1, 10):
        numbers = list(range(first, first + 10))
        columns = {"voltage_volt": [1.0] * 10, "note": [note] * 10}
        page = descriptor.compose_event_page(
            data=columns, timestamps=columns, seq_num=numbers, time=[1.0] * 10, validate=False
        )
        journal("event_page", page)
    columns = {"voltage_volt": 1.0, "note": note}
    journal("event", other.compose_event(data=columns, timestamps=columns, validate=False))
    if exit_status is not None:
        journal("stop", run.compose_stop(exit_status=exit_status, reason=f"because {exit_status}"))
        journal.close()
    return journal


def test_runs_are_listed_newest_first_with_what_their_documents_say(tmp_path: Path) -> None:
    write(tmp_path, start=1.7e9, rows=40, plan_name="gitt", cell={"id": "lic-1"}, station={"name": "sim"})
    write(tmp_path, start=1.7e9 + 90_000, exit_status="fail", station="bench-2", cell="bare-7")
    write(tmp_path, start=1.7e9 + 60, rows=10, exit_status="abort")
    failed, aborted, finished = list_runs(tmp_path)
    assert (finished.plan_name, finished.cell_id, finished.station) == ("gitt", "lic-1", "sim")
    assert (finished.status, finished.points, finished.reason) == ("finished", 40, "because success")
    assert (finished.start_unix_second, finished.start_time.isoformat()) == (
        1.7e9,
        "2023-11-14T22:13:20+00:00",
    )
    assert finished.directory == tmp_path / "runs" / "2023-11-14" / finished.uid
    assert (failed.status, failed.station, failed.cell_id, failed.points) == (
        "failed",
        "bench-2",
        "bare-7",
        0,
    )
    assert (aborted.status, aborted.points) == ("aborted", 10)


def test_a_limit_gives_the_newest(tmp_path: Path) -> None:
    for number in range(7):
        write(tmp_path, start=1.7e9 + number * 40_000, plan_name=str(number))
    assert [run.plan_name for run in list_runs(tmp_path, limit=3)] == ["6", "5", "4"]
    assert list_runs(tmp_path, limit=0) == []
    assert list_runs(tmp_path / "nothing-here") == []


def test_an_open_run_is_running_while_its_writer_lives_then_interrupted_also_when_it_was_closed(
    tmp_path: Path,
) -> None:
    journal = write(tmp_path, rows=120, exit_status=None)
    [running] = list_runs(tmp_path)
    assert (running.status, running.points) == ("running", 120)
    journal.close()
    [interrupted] = list_runs(tmp_path)
    assert (interrupted.status, interrupted.points) == ("interrupted", 120)
    recover(tmp_path)
    [closed] = list_runs(tmp_path)
    assert (closed.status, closed.points) == ("interrupted", 120)
    assert "interrupted" in closed.reason


def test_a_killed_writer_leaves_an_interrupted_run(tmp_path: Path) -> None:
    script = """
import sys
from pathlib import Path
from event_model import compose_run
from labctl.journal.writer import Journal
Journal(Path(sys.argv[1]))("start", compose_run().start_doc)
print("up", flush=True)
sys.stdin.read()
"""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], **pipes) as child:
        assert child.stdout is not None
        child.stdout.readline()
        assert [run.status for run in list_runs(tmp_path)] == ["running"]
        child.send_signal(signal.SIGKILL)
    assert [run.status for run in list_runs(tmp_path)] == ["interrupted"]


def test_a_torn_or_damaged_end_still_gives_a_summary(tmp_path: Path) -> None:
    journal = write(tmp_path, rows=30, exit_status=None)
    journal.close()
    assert journal.run_directory is not None
    path = journal.run_directory / "journal-0000.jsonl"
    with path.open("ab") as file:
        file.write(b'{"name":"event_page","doc":{"descr')
    assert (list_runs(tmp_path)[0].status, list_runs(tmp_path)[0].points) == ("interrupted", 30)
    text = path.read_bytes()
    path.write_bytes(b"X" + text[1:])
    [summary] = list_runs(tmp_path)
    assert (summary.status, summary.plan_name) == ("interrupted", "(start document damaged)")
    path.write_bytes(b"")
    assert list_runs(tmp_path) == []


def test_listing_reads_only_the_ends_of_a_large_journal(tmp_path: Path) -> None:
    journal = write(tmp_path, rows=5000, note="n" * 10_000, exit_status=None)
    assert journal.run_directory is not None
    size = (journal.run_directory / "journal-0000.jsonl").stat().st_size
    assert size > 40e6
    before = _read_byte()
    [summary] = list_runs(tmp_path)
    assert (summary.points, summary.status) == (5000, "running")
    assert _read_byte() - before < 12e6
    journal.close()


def _read_byte() -> int:
    if not Path("/proc/self/io").exists():
        return 0
    return int(Path("/proc/self/io").read_text().split("rchar: ")[1].split()[0])


def test_a_run_is_found_by_uid_prefix_and_place(tmp_path: Path) -> None:
    for number, uid in enumerate(("aa11", "aa22", "bb33", "aa11-longer")):
        write(tmp_path, uid=uid, start=1.7e9 + number)
    assert find_run(tmp_path, "bb33").uid == "bb33"
    assert find_run(tmp_path, "b").uid == "bb33"
    assert find_run(tmp_path, "aa11").uid == "aa11", "a whole uid wins over the beginning of another"
    assert find_run(tmp_path, "aa11-").uid == "aa11-longer"
    assert find_run(tmp_path, "last").uid == "aa11-longer"
    assert find_run(tmp_path, "last-1").uid == "bb33"
    assert find_run(tmp_path, "last-3").uid == "aa11"


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("aa", r"run = 'aa': 2 runs begin with it \(aa11, aa22\); give more of it"),
        ("cc", r"run = 'cc': no such run; 3 runs are there"),
        ("last-3", r"run = 'last-3': only 3 runs are there"),
        ("../../etc", "run = .*a uid or its beginning, `last`, or `last-1`"),
        ("*", "a uid or its beginning"),
        ("aa/..", "a uid or its beginning"),
        ("", "a uid or its beginning"),
        ("aa\n", "a uid or its beginning"),
        ("last--1", "a uid or its beginning|no such run"),
    ],
)
def test_a_reference_that_names_no_one_run_is_refused_with_what_is_allowed(
    tmp_path: Path, reference: str, message: str
) -> None:
    for number, uid in enumerate(("aa11", "aa22", "bb33")):
        write(tmp_path, uid=uid, start=1.7e9 + number)
    with pytest.raises(ConfigurationError, match=message):
        find_run(tmp_path, reference)


def test_five_hundred_runs_are_listed_within_two_seconds(tmp_path: Path) -> None:
    line = write(tmp_path, rows=10)
    assert line.run_directory is not None
    source = line.run_directory / "journal-0000.jsonl"
    for number in range(500):
        directory = source.parent.with_name(f"copy-{number}")
        directory.mkdir()
        os.link(source, directory / source.name)
    began = time.monotonic()
    assert len(list_runs(tmp_path)) == 501
    assert time.monotonic() - began < 2
