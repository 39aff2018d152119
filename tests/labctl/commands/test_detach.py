"""`labctl run --detach`: checked in the foreground, run in a session of its own, stopped by a signal."""

from __future__ import annotations

import os
import re
import signal
import socket
import stat
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from labctl.platform import has_ended
from labctl.records.station import packaged_config
from labctl.runs.directory import run_directories
from labctl.runs.listing import list_runs
from tests.helpers import wait_until
from tests.signalled_run import GITT, INT, TERM, Place, outcome, signalled_place

if sys.platform == "win32":
    pytest.skip("refused on Windows", allow_module_level=True)

RUN = ("run", *GITT, "--station", "paced.yaml", "--detach")


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with signalled_place(tmp_path) as made:
        yield made


def detached(place: Place, *arguments: str) -> tuple[int, str]:
    """Start a run that outlives its command; its process and what the command said."""
    process = place.start(*arguments)
    said, errors = process.communicate(timeout=90)
    assert process.returncode == 0, errors
    found = re.search(r"run (\S+) has begun, in the background as process (\d+)", said)
    assert found is not None, said
    assert found[1] in [run.name for run in run_directories(place.data)]
    return int(found[2]), said


def stop(pid: int) -> float:
    asked = time.time()
    os.kill(pid, signal.SIGTERM)
    assert has_ended(pid, 60)
    return asked


def test_it_goes_on_by_itself_and_ends_by_a_signal(place: Place) -> None:
    pid, said = detached(place, *RUN)
    try:
        assert os.getsid(pid) == pid
        (log,) = (place.data / "logs").iterdir()
        assert str(log) in said
        assert stat.S_IMODE(log.stat().st_mode) == 0o600
        if Path("/proc").is_dir():
            leads_to = [Path(f"/proc/{pid}/fd/{fd}").readlink() for fd in range(3)]
            assert leads_to == [Path(os.devnull), log, log]
        wait_until(place.circuit_closed, 60)
    finally:
        asked = stop(pid)
    assert place.opened_after(asked) < 2.0
    assert (place.run.status, place.run.reason) == ("aborted", "aborted by SIGTERM")
    assert "ended early: aborted by SIGTERM" in log.read_text()


@pytest.mark.slow
def test_it_outlives_the_terminal_it_was_started_at(place: Place) -> None:
    ours, theirs = os.openpty()
    process = place.start(*RUN, terminal=theirs, controlling=True)
    os.close(theirs)
    assert process.wait(90) == 0
    os.close(ours)
    pid = int((run_directories(place.data)[0] / "writer.lock").read_text())
    try:
        rows = place.rows()
        wait_until(lambda: place.rows() > rows + 3, 60)
    finally:
        stop(pid)


def test_what_is_wrong_is_refused_in_the_foreground_and_nothing_begins(place: Place) -> None:
    dry = place.start(*RUN, "--dry-run")
    wrong = place.start(*RUN, "--set", "pulses=-3")
    code, errors = outcome(wrong)
    assert code == 2
    assert errors == outcome(place.start("run", *GITT, "--station", "paced.yaml", "--set", "pulses=-3"))[1]
    code, errors = outcome(dry)
    assert (code, errors.count("\n")) == (2, 1)
    assert "--detach: not with --dry-run" in errors
    assert not (place.data / "logs").exists()
    assert not run_directories(place.data)


@pytest.mark.slow
def test_a_run_that_does_not_begin_says_why(place: Place) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"socket://127.0.0.1:{listener.getsockname()[1]}"
    station = {"name": "dead", "devices": {"cycler": {"driver": "palmsens", "address": address}}}
    (place.directory / "dead.yaml").write_text(yaml.safe_dump(station))
    cell = str(packaged_config("cells/lic-ncm.yaml"))
    code, errors = outcome(place.start("run", *GITT, "--station", "dead.yaml", "--cell", cell, "--detach"))
    assert (code, errors.count("\n")) == (1, 1), errors
    assert "the run did not begin" in errors
    assert "devices.cycler.address" in errors
    assert not run_directories(place.data)


@pytest.mark.slow
def test_control_c_before_it_has_begun_ends_both(place: Place) -> None:
    process = place.start(*RUN)
    wait_until(lambda: any((place.data / "logs").glob("*.log")), 60)
    process.send_signal(INT)
    code, errors = outcome(process)
    assert code == 1
    assert "aborted by SIGINT" in errors
    assert errors.count("\n") == 1
    assert len(place.stop_documents()) == len(run_directories(place.data))
    assert not place.circuit_closed()
    place.assert_lets_go()


@pytest.mark.slow
def test_a_run_is_resumed_in_the_background(place: Place) -> None:
    process = place.start_gitt()
    process.send_signal(TERM)
    outcome(process)
    pid, _ = detached(place, "resume", "last", "--station", "paced.yaml", "--detach")
    stop(pid)
    newest, oldest = list_runs(place.data)
    assert (newest.status, oldest.status) == ("aborted", "aborted")
