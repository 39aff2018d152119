"""Links, FIFOs and devices where files are expected: nothing is written or read elsewhere, nothing waits."""

from __future__ import annotations

import logging
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import event_model
import pytest

from labctl.errors import ConfigurationError, JournalError, LabctlError
from labctl.importers.generic_csv import ColumnMap
from labctl.importers.run import import_file
from labctl.journal.format import Damage
from labctl.journal.reader import follow
from labctl.journal.writer import Journal
from labctl.platform import is_locked, open_regular, open_to_append, read_regular
from labctl.records.cell import load_cell
from labctl.records.loader import load_record
from labctl.records.station import load_station
from labctl.runs.listing import find_run, list_runs
from labctl.runs.recovery import recover
from labctl.store.client.store import Store
from labctl.store.ship.shipper import write_status
from plans.protocol.files import load_protocol

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="links and FIFOs are POSIX's")
PATIENCE_SECOND = 20


def begun(data: Path, *, ended: bool = False) -> Path:
    """A run in a data directory, by default one whose writer has died; its directory."""
    run: Any = event_model.compose_run(metadata={"plan_name": "somewhere"})
    journal = Journal(data)
    journal("start", run.start_doc)
    if ended:
        journal("stop", run.compose_stop())
    journal.close()
    assert journal.run_directory is not None
    return journal.run_directory


def contents(directory: Path) -> dict[str, bytes | None]:
    """Everything below a directory."""
    return {
        str(path.relative_to(directory)): path.read_bytes() if path.is_file() else None
        for path in sorted(directory.rglob("*"))
    }


@pytest.mark.parametrize("level", ["runs", "day", "run"])
def test_a_link_out_of_the_data_directory_is_skipped_with_a_word(
    tmp_path: Path, level: str, caplog: pytest.LogCaptureFixture
) -> None:
    elsewhere, data = tmp_path / "elsewhere", tmp_path / "data"
    foreign = begun(elsewhere)
    parts = foreign.relative_to(elsewhere).parts
    linked = Path(*parts[: ["runs", "day", "run"].index(level) + 1])
    own = None if level == "runs" else begun(data, ended=True)
    if level == "day":  # the day's name is taken by our own run
        linked = Path("runs", "2001-01-01")
    (data / linked).parent.mkdir(parents=True, exist_ok=True)
    (data / linked).symlink_to(elsewhere.joinpath(*parts[: len(linked.parts)]))
    before = contents(elsewhere)
    with caplog.at_level(logging.WARNING):
        assert recover(data) == []
    assert f"{data / linked}: a link that leads out of the data directory" in caplog.text
    assert [run.uid for run in list_runs(data)] == ([own.name] if own else [])
    with pytest.raises(ConfigurationError, match="no such run"):
        find_run(data, foreign.name)
    assert Store(data).journal_directory(foreign.name) is None
    assert contents(elsewhere) == before


@pytest.mark.parametrize("name", ["runs", "day"])
def test_no_run_is_begun_or_imported_through_a_link(tmp_path: Path, name: str) -> None:
    elsewhere, data = tmp_path / "elsewhere", tmp_path / "data"
    elsewhere.mkdir()
    day = begun(tmp_path / "another").parent.name
    link = data / "runs" if name == "runs" else data / "runs" / day
    link.parent.mkdir(parents=True)
    link.symlink_to(elsewhere)
    with pytest.raises(JournalError, match="a link leads out of the data directory, nothing is written"):
        begun(data)
    if name == "runs":
        with pytest.raises(LabctlError, match="a link leads out of the data directory, nothing is written"):
            import_file(table(tmp_path), data)
    assert contents(elsewhere) == {}


def test_a_data_directory_that_is_a_link_is_a_data_directory(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    data = tmp_path / "data"
    data.symlink_to(tmp_path / "disk")
    cut_off, ended = begun(data), begun(data, ended=True)
    assert {run.uid for run in list_runs(data)} == {cut_off.name, ended.name}
    assert [run.uid for run in recover(data)] == [cut_off.name]
    assert find_run(data, cut_off.name).status == "interrupted"


def test_a_link_within_the_data_directory_is_followed(tmp_path: Path) -> None:
    run = begun(tmp_path, ended=True)
    moved = tmp_path / "kept" / run.name
    moved.parent.mkdir()
    run.rename(moved)
    run.symlink_to(moved)
    assert [found.uid for found in list_runs(tmp_path)] == [run.name]


def test_a_segment_that_is_a_link_is_neither_read_nor_written(tmp_path: Path) -> None:
    data, secret = tmp_path / "data", tmp_path / "secret.jsonl"
    other = begun(tmp_path / "other")
    secret.write_bytes((other / "journal-0000.jsonl").read_bytes())
    before = secret.read_bytes()
    first, second, good = begun(data), begun(data), begun(data)
    (first / "journal-0000.jsonl").unlink()
    (first / "journal-0000.jsonl").symlink_to(secret)
    (second / "journal-0001.jsonl").symlink_to(secret)
    damage: list[Damage] = []
    assert [name for name, _ in follow(second, live=False, on_damage=damage.append)] == ["start"]
    assert [found.file.name for found in damage] == ["journal-0001.jsonl"]
    assert "symbolic link" in damage[0].reason
    assert list(follow(first, live=False, on_damage=damage.append)) == []
    assert {run.uid for run in recover(data)} == {second.name, good.name}
    assert secret.read_bytes() == before


def test_a_lock_that_is_a_link_spoils_only_its_own_run(tmp_path: Path) -> None:
    bad, good, target = begun(tmp_path), begun(tmp_path), tmp_path / "target"
    (bad / "writer.lock").unlink()
    (bad / "writer.lock").symlink_to(target)
    with pytest.raises(JournalError, match=f"{bad.name}: the run cannot be closed.*1 others were closed"):
        recover(tmp_path)
    assert not target.exists()
    assert find_run(tmp_path, good.name).status == "interrupted"
    assert not is_locked(bad / "writer.lock")


def test_an_alarm_outside_a_run_is_not_written_through_a_link(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_text("mine")
    data = tmp_path / "data"
    data.mkdir()
    (data / "alarms.jsonl").symlink_to(target)
    with pytest.raises(JournalError, match=r"alarms\.jsonl.*symbolic link"):
        Journal(data).alarm(kind="gap", source="s", value=1.0, limit=1.0, action="none")
    assert target.read_text() == "mine"


def test_the_index_and_the_shippers_word_are_not_written_through_links(tmp_path: Path) -> None:
    data, target = tmp_path / "data", tmp_path / "target"
    target.write_bytes(b"")
    run = begun(data, ended=True)
    (data / "runs" / "index.sqlite").symlink_to(target)
    assert [found.uid for found in list_runs(data)] == [run.name]
    (data / "store").mkdir()
    (data / "store" / "shipper.new").symlink_to(target)
    write_status(data / "store")
    assert target.read_bytes() == b""
    assert (data / "store" / "shipper.json").read_bytes().startswith(b"{")


# ---- what is no regular file
@contextmanager
def fifo(path: Path) -> Iterator[Path]:
    os.mkfifo(path)
    yield path


@contextmanager
def listening(path: Path) -> Iterator[Path]:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        yield path


@contextmanager
def endless(path: Path) -> Iterator[Path]:
    path.symlink_to("/dev/zero")
    yield path


@contextmanager
def folder(path: Path) -> Iterator[Path]:
    path.mkdir()
    yield path


READERS = {
    "station": "from labctl.records.station import load_station as f",
    "cell": "from labctl.records.cell import load_cell as f",
    "protocol": "from plans.protocol.files import load_protocol as f",
    "import": "import labctl.importers.run as r; f = lambda p: r.import_file(p, p + '-data')",
    "journal": "import labctl.runs.listing as r; f = lambda p: r.list_runs(p + '-data')",
}


def table(directory: Path) -> Path:
    path = directory / "table.bdf.csv"
    path.write_text("Test Time / s,Voltage / V,Current / A\n" + "".join(f"{n},3.1,0\n" for n in range(9)))
    return path


@pytest.mark.parametrize("make", [fifo, listening, endless, folder])
def test_only_regular_files_are_read(tmp_path: Path, make: object) -> None:
    # In a process of its own: what waits for a FIFO can only be ended from outside.
    with make(tmp_path / "it.json") as path:  # type: ignore[operator]
        code = "\n".join(
            f"{reader}\ntry:\n    f({str(path)!r})\nexcept ConfigurationError as e: print(e)"
            for name, reader in READERS.items()
            if name != "journal"
        )
        done = subprocess.run(
            [sys.executable, "-c", f"from labctl.errors import ConfigurationError\n{code}"],
            capture_output=True, text=True, timeout=PATIENCE_SECOND,
        )  # fmt: skip
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert len(lines) == len(READERS) - 1
    assert all(str(path) in line for line in lines)
    if make is not listening:  # which cannot even be opened
        assert all("no regular file" in line for line in lines)


def test_fifos_among_the_runs_keep_nobody_waiting(tmp_path: Path) -> None:
    good, bad = begun(tmp_path), begun(tmp_path)
    (bad / "journal-0000.jsonl").unlink()
    os.mkfifo(bad / "journal-0000.jsonl")
    (good / "writer.lock").unlink()
    os.mkfifo(good / "writer.lock")
    (tmp_path / "store").mkdir(exist_ok=True)
    os.mkfifo(tmp_path / "store" / "service.json")
    os.mkfifo(tmp_path / "runs" / "index.sqlite")
    for arguments, code in ((["runs"], 0), (["show", good.name], 0), (["show", bad.name], 2)):
        done = subprocess.run(
            [sys.executable, "-m", "labctl", *arguments, "--data", str(tmp_path)],
            capture_output=True, text=True, timeout=PATIENCE_SECOND,
        )  # fmt: skip
        assert done.returncode == code, done.stderr
        assert "Traceback" not in done.stderr
        assert (good.name[:8] in done.stdout) == (code == 0)


def test_files_are_opened_without_waiting_and_within_bounds(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "file").write_bytes(b"12345")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    assert read_regular(tmp_path / "link", 5) == b"12345"
    with pytest.raises(OSError, match="is larger than 4 bytes"):
        read_regular(tmp_path / "file", 4)
    with pytest.raises(OSError, match="symbolic link"):
        open_regular(tmp_path / "link", follow=False)
    with pytest.raises(OSError, match="symbolic link"):
        open_to_append(tmp_path / "link")
    with pytest.raises(OSError, match="no regular file"):
        open_to_append(tmp_path / "fifo")
    for load in (load_station, load_cell, load_protocol, lambda path: load_record(path, ColumnMap)):
        with pytest.raises(ConfigurationError, match="FIFO"):
            load(tmp_path / "fifo")
