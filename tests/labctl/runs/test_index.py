"""Searching runs, and the table beside them that makes it fast: a cache that is never trusted."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import event_model
import pytest

from labctl.errors import ConfigurationError
from labctl.journal.format import encode
from labctl.journal.writer import Journal
from labctl.runs.listing import list_runs
from labctl.runs.query import RunQuery, parse_time
from labctl.runs.recovery import recover

BEGAN = datetime(2026, 10, 1, 8, tzinfo=UTC)
COATED = {"id": "lic-1", "coating": {"material": "Li3InCl6", "method": "dry"}}


def write(data: Path, hours: float = 0.0, *, exit_status: str | None = "success", **metadata: Any) -> str:
    """A finished run that began so many hours later; its uid."""
    began = BEGAN + timedelta(hours=hours)
    run = event_model.compose_run(time=began.timestamp(), metadata=metadata)
    directory = data / "runs" / began.strftime("%Y-%m-%d") / run.start_doc["uid"]
    directory.mkdir(parents=True)
    lines = encode("start", run.start_doc)
    if exit_status is not None:
        lines += encode("stop", run.compose_stop(exit_status=exit_status, reason="circuit opened by hand"))
    (directory / "journal-0000.jsonl").write_bytes(lines)
    return run.start_doc["uid"]


@pytest.fixture
def lab(tmp_path: Path) -> dict[str, str]:
    """Four runs of different kinds, by name."""
    return {
        "coated": write(tmp_path, 0, plan_name="gitt", cell=COATED, tags=["first light", "paper"]),
        "bare": write(tmp_path, 1, plan_name="gitt", cell={"id": "bare-1", "coating": None}, tags="paper"),
        "rate": write(tmp_path, 30, plan_name="rate_test", cell=COATED, station={"name": "press-2"},
                      note="Pressed at 375 MPa", exit_status="fail"),
        "open": write(tmp_path, 60, plan_name="rate_test", cell="old-7", exit_status=None),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("query", "found"),
    [
        (RunQuery(), "open rate bare coated"),
        (RunQuery(plan_name="gitt"), "bare coated"),
        (RunQuery(cell="lic-1"), "rate coated"),
        (RunQuery(cell="lic"), ""),
        (RunQuery(coating="Li3InCl6"), "rate coated"),
        (RunQuery(coating="bare"), "bare"),
        (RunQuery(station="press-2"), "rate"),
        (RunQuery(status="finished"), "bare coated"),
        (RunQuery(status="failed"), "rate"),
        (RunQuery(status="interrupted"), "open"),
        (RunQuery(tag="paper"), "bare coated"),
        (RunQuery(tag="first light"), "coated"),
        (RunQuery(tag="light"), ""),
        (RunQuery(since=BEGAN + timedelta(hours=1)), "open rate bare"),
        (RunQuery(until=BEGAN + timedelta(hours=1)), "coated"),
        (RunQuery(text="375 pressed"), "rate"),
        (RunQuery(text="375 press-1"), ""),
        (RunQuery(text="DRY li3incl6"), "rate coated"),
        (RunQuery(text="by hand"), "rate bare coated"),
        (RunQuery(text="%' OR 1=1 --"), ""),
        (RunQuery(cell="lic-1", plan_name="gitt", text="paper"), "coated"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_runs_are_found_by_what_their_documents_say(
    tmp_path: Path, lab: dict[str, str], query: RunQuery, found: str
) -> None:
    names = {uid: name for name, uid in lab.items()}
    for _ in range(2):  # when the table is made, and from the table
        assert [names[run.uid] for run in list_runs(tmp_path, query=query)] == found.split()


def test_runs_are_found_by_the_beginning_of_their_uid(tmp_path: Path, lab: dict[str, str]) -> None:
    assert [run.uid for run in list_runs(tmp_path, query=RunQuery(uid=lab["rate"][:9]))] == [lab["rate"]]


def test_pages_follow_one_another(tmp_path: Path) -> None:
    uids = [write(tmp_path, hours) for hours in range(7)][::-1]
    pages = [[run.uid for run in list_runs(tmp_path, 3, skip=skip)] for skip in (0, 3, 6, 9)]
    assert pages == [uids[:3], uids[3:6], uids[6:], []]


def damage_by_zeros(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def damage_in_the_middle(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[4096:] = os.urandom(len(content) - 4096)
    path.write_bytes(content)


def damage_by_another_layout(path: Path) -> None:
    path.unlink()
    with sqlite3.connect(path) as table:
        table.execute("CREATE TABLE runs (directory TEXT)")
        table.execute("PRAGMA user_version = 99")


def damage_by_a_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    "damage",
    [
        damage_by_zeros,
        damage_in_the_middle,
        damage_by_another_layout,
        damage_by_a_directory,
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(path.read_bytes()[:5000]),
        lambda path: path.write_bytes(b"no database" * 1000),
    ],
)
def test_a_damaged_table_is_made_anew(
    tmp_path: Path, lab: dict[str, str], damage: Callable[[Path], None]
) -> None:
    before = list_runs(tmp_path)
    assert len(before) == len(lab)
    damage(tmp_path / "runs" / "index.sqlite")
    for _ in range(2):
        assert list_runs(tmp_path) == before


def test_a_journal_that_changes_is_read_again(tmp_path: Path) -> None:
    uid = write(tmp_path, exit_status=None, plan_name="before")
    [dead] = list_runs(tmp_path)
    assert (dead.status, dead.reason) == ("interrupted", "")
    assert [closed.uid for closed in recover(tmp_path)] == [uid]
    [closed] = list_runs(tmp_path)
    assert (closed.status, closed.reason[:12]) == ("interrupted", "interrupted:")
    [path] = tmp_path.glob("runs/*/*/journal-0000.jsonl")
    start = {"uid": uid, "time": BEGAN.timestamp(), "plan_name": "after"}
    path.write_bytes(encode("start", start))
    assert [(run.plan_name, run.status) for run in list_runs(tmp_path)] == [("after", "interrupted")]
    shutil.rmtree(path.parent)
    assert list_runs(tmp_path) == []


def test_a_run_that_begins_grows_rotates_and_ends_is_told_each_time(tmp_path: Path) -> None:
    key = {"voltage_volt": {"source": "t", "dtype": "number", "dtype_numpy": "<f8", "shape": []}}
    journal, run = Journal(tmp_path, segment_limit_byte=3000), event_model.compose_run()
    assert list_runs(tmp_path) == []
    journal("start", run.start_doc)
    descriptor = run.compose_descriptor(name="timeseries", data_keys=key)
    journal("descriptor", descriptor.descriptor_doc)
    for number in range(1, 31):
        event = descriptor.compose_event(data={"voltage_volt": 1.0}, timestamps={"voltage_volt": 1.0})
        journal("event", event)
        assert [(r.status, r.points) for r in list_runs(tmp_path)] == [("running", number)]
    assert len(list(tmp_path.glob("runs/*/*/journal-*"))) > 1
    journal("stop", run.compose_stop())
    assert [(r.status, r.points) for r in list_runs(tmp_path)] == [("finished", 30)]
    journal.close()


def test_many_who_list_at_once_see_the_same(tmp_path: Path) -> None:
    uids = {write(tmp_path, hours / 10) for hours in range(300)}
    script = "import sys; from pathlib import Path; from labctl.runs.listing import list_runs\n"
    script += "print(*[run.uid for run in list_runs(Path(sys.argv[1]))])"
    command = [sys.executable, "-c", script, str(tmp_path)]
    children = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    for child in children:
        listed = child.communicate(timeout=60)[0].split()
        assert len(listed) == 300
        assert set(listed) == uids


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-10-01", datetime(2026, 10, 1, tzinfo=UTC)),
        ("2026-10-01T14:30", datetime(2026, 10, 1, 14, 30, tzinfo=UTC)),
        ("2026-10-01T14:30+02:00", datetime(2026, 10, 1, 12, 30, tzinfo=UTC)),
    ],
)
def test_dates_and_times_are_read_in_utc_unless_they_say_otherwise(text: str, expected: datetime) -> None:
    assert parse_time(text, "--since") == expected
    day = parse_time("2026-10-01", "--until", end=True)
    assert day == datetime(2026, 10, 2, tzinfo=UTC)
    assert abs(parse_time("7d", "--since") - (datetime.now(UTC) - timedelta(days=7))) < timedelta(seconds=5)


@pytest.mark.parametrize("text", ["yesterday", "2026-13-01", "99999d9", "", "2026-10-01T99:00"])
def test_what_is_no_date_is_refused_with_what_is_allowed(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"--since = '.*': a date as 2026-10-01"):
        parse_time(text, "--since")


def test_conditions_that_cannot_be_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="status = 'done': allowed are running, paused, finished"):
        RunQuery(status="done")  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match=r"since = .* a time with its time zone"):
        RunQuery(since=datetime(2026, 1, 1))
    with pytest.raises(ConfigurationError, match="uid = '%': letters, digits and hyphens"):
        RunQuery(uid="%")


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_page_of_ten_thousand_runs_is_there_within_a_second(tmp_path: Path) -> None:
    for number in range(10_000):
        write(tmp_path, number / 10, plan_name="gitt", cell={"id": f"lic-{number % 50}"}, protocol="x" * 5000)
    list_runs(tmp_path, 20)
    for query in (
        RunQuery(),
        RunQuery(cell="lic-7"),
        RunQuery(text="lic-7 gitt"),
        RunQuery(status="running"),
    ):
        took = []
        for _ in range(3):
            began = time.monotonic()
            list_runs(tmp_path, 20, query)
            took.append(time.monotonic() - began)
        assert min(took) < 1.0, query
