"""`labctl off` as a person types it: real processes; what the bench itself has recorded decides."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from devices.core.techniques import ConstantCurrent, OpenCircuit, Sampling
from devices.sim.bench.client import BenchHandle, ensure_bench
from labctl.commands.off import ANSWER_WITHIN_SECOND
from labctl.documents import RunTables, tables
from labctl.journal.reader import follow
from labctl.platform import FileLock, is_locked, port_lock, port_locks
from labctl.records.station import load_station, packaged_config
from labctl.runs.listing import find_run, list_runs
from labctl.store.server.service import stop_service
from plans.protocol.files import save_protocol
from plans.protocol.protocol import Protocol
from tests.helpers import wait_until

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
LABCTL = [sys.executable, "-m", "labctl"]
CELL = str(packaged_config("cells/lic-ncm.yaml"))
OPEN_WITHIN_SECOND = 2.0
CURRENT = 840e-6  # C/2
STEP = ConstantCurrent(current_ampere=CURRENT, until_charge_ah=0.14e-3, sampling=Sampling.every(2))
# A run whose process does not listen to SIGTERM.
DEAF = """
import signal, sys
from pathlib import Path
signal.signal(signal.SIGTERM, signal.SIG_IGN)
from labctl.records.cell import load_cell
from labctl.records.station import load_station
from labctl.plugins import load_executor
from labctl.session import open_session
station, cell, protocol, data = map(Path, sys.argv[1:])
record = load_cell(cell)
with open_session(load_station(station), record, data) as session:
    steps = load_executor("load_protocol")(protocol)
    session.RE(load_executor("run_protocol")(session.cycler, steps, cell=record))
"""


class Place:
    """A data directory with a station, whose bench runs ten times as fast as the wall's clock."""

    def __init__(self, directory: Path, **simulate: Any) -> None:
        self.directory, self.data = directory, directory / "data"
        record = yaml.safe_load(packaged_config("sim.yaml").read_text())
        record["simulate"] = {"seed": 3, "speed": 10, "stoichiometry": 0.7, **simulate}
        self.station = directory / "paced.yaml"
        self.station.write_text(yaml.safe_dump(record))
        self.protocol = directory / "step.json"
        rest = OpenCircuit(until_time_second=20, sampling=Sampling.every(2))
        save_protocol(Protocol(name="step", items=(STEP, rest)), self.protocol)
        self._processes: list[subprocess.Popen[str]] = []
        self._benches: list[BenchHandle] = []

    def labctl(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [*LABCTL, *arguments, "--data", str(self.data)]
        return subprocess.run(command, capture_output=True, text=True, timeout=120)

    def start(self, *command: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        self._processes.append(process)
        return process

    def start_run(self) -> subprocess.Popen[str]:
        options = ["--station", str(self.station), "--cell", CELL, "--data", str(self.data)]
        return self.start(*LABCTL, "run", str(self.protocol), *options)

    def bench(self) -> BenchHandle:
        """The bench that runs now."""
        found: list[BenchHandle] = []

        def look() -> bool:
            if (bench := ensure_bench(load_station(self.station), self.data, start=False)) is not None:
                found.append(bench)
            return bool(found)

        wait_until(look, 60)
        self._benches += found
        return found[0]

    def in_mid_step(self, process: subprocess.Popen[str]) -> BenchHandle:
        """The bench, once current flows and samples have been written."""
        bench = self.bench()
        wait_until(lambda: process.poll() is not None or circuit(bench)[-1:] == [True], 60)
        wait_until(lambda: bool(list_runs(self.data)) and find_run(self.data, "last").points > 5, 60)
        assert process.poll() is None
        return bench

    def read(self, uid: str = "last") -> RunTables:
        return tables(follow(find_run(self.data, uid).directory, live=False))

    def close(self) -> None:
        for process in self._processes:
            process.kill()
            process.communicate()
        if is_locked(self.data / "bench" / "sim" / "bench.lock"):
            self.bench().stop()
        for bench in self._benches:
            bench.close()
        stop_service(self.data)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path)
    yield made
    made.close()


def circuit(bench: BenchHandle) -> list[bool]:
    """Whether the circuit was closed, by the bench's own record, after each change."""
    return [entry["closed"] for entry in bench.record() if entry["kind"] == "circuit"]


def off(place: Place, *arguments: str) -> tuple[subprocess.CompletedProcess[str], float]:
    """`labctl off` and the wall time (s) that is its own: what a command takes to be there is taken off."""
    began = time.time()
    assert place.labctl("off", str(place.directory / "nowhere.yaml")).returncode == 2
    startup = time.time() - began
    began = time.time()
    done = place.labctl("off", str(place.station), *arguments)
    return done, began + startup


def opened_after(bench: BenchHandle, began: float) -> float:
    """Wall time (s) from `began` to the last opening of the circuit, by the bench's own record."""
    last = [entry for entry in bench.record() if entry["kind"] == "circuit"][-1]
    assert not last["closed"]
    return last["unix_second"] - began


def test_a_station_at_rest_is_left_at_rest_and_no_bench_is_started(place: Place) -> None:
    done, _ = off(place)
    assert done.returncode == 0, done.stderr
    assert f"no bench of station sim is running in {place.data}: nothing is on" in done.stdout
    assert not place.data.exists()
    place.labctl("sim", str(place.station), "--cell", CELL)
    done, _ = off(place)
    assert done.returncode == 0, done.stderr
    assert "cycler: output off, read back; 3.1" in done.stdout
    assert " V, 0 A" in done.stdout
    assert circuit(place.bench()) == []


def test_wrong_usage_is_told_in_a_line(place: Place) -> None:
    for arguments in ((str(place.directory / "nowhere.yaml"),), (), (str(place.station), "more")):
        done = place.labctl("off", *arguments)
        assert done.returncode == 2
        assert "Traceback" not in done.stderr


def test_a_run_is_asked_and_ends_in_order(place: Place) -> None:
    process = place.start_run()
    bench = place.in_mid_step(process)
    done, began = off(place)
    assert done.returncode == 0, done.stdout
    assert opened_after(bench, began) <= OPEN_WITHIN_SECOND
    assert f"process {process.pid} (run " in done.stdout
    assert "was asked to end, and has let go of the station" in done.stdout
    assert "cycler: output off, read back; " in done.stdout
    process.wait(30)
    run = find_run(place.data, "last")
    assert (run.status, run.reason) == ("aborted", "aborted by SIGTERM")
    assert circuit(bench) == [True, False]
    assert place.read().stream("steps")["end_reason"].tolist() == ["stopped"]


def test_a_run_that_was_stopped_by_sigstop_is_woken_to_end_in_order(place: Place) -> None:
    process = place.start_run()
    bench = place.in_mid_step(process)
    process.send_signal(signal.SIGSTOP)
    done, began = off(place)
    assert done.returncode == 0, done.stdout
    assert opened_after(bench, began) <= OPEN_WITHIN_SECOND
    assert find_run(place.data, "last").status == "aborted"
    assert circuit(bench) == [True, False]


def test_who_does_not_answer_is_killed_and_the_instrument_taken_over(place: Place) -> None:
    arguments = [str(each) for each in (place.station, CELL, place.protocol, place.data)]
    process = place.start(sys.executable, "-c", DEAF, *arguments)
    bench = place.in_mid_step(process)
    done, began = off(place)
    assert done.returncode == 0, done.stdout
    assert f"did not let go within {ANSWER_WITHIN_SECOND:g} s, and was killed" in done.stdout
    assert process.wait(10) == -signal.SIGKILL
    assert ANSWER_WITHIN_SECOND - 1 < opened_after(bench, began) <= ANSWER_WITHIN_SECOND + OPEN_WITHIN_SECOND
    assert "cycler: output off, read back; " in done.stdout
    assert find_run(place.data, "last").status == "interrupted"


@pytest.mark.slow
def test_current_that_a_killed_run_has_left_on_is_ended_and_counted_later(
    place: Place,
) -> None:
    process = place.start_run()
    bench = place.in_mid_step(process)
    process.kill()
    process.communicate(timeout=30)
    assert circuit(bench) == [True], "the instrument goes on by itself"
    done, _ = off(place)
    assert done.returncode == 0, done.stdout
    assert circuit(bench) == [True, False]
    parent = find_run(place.data, "last")
    assert f"run {parent.uid[:8]} was cut off; `labctl resume {parent.uid[:8]}` goes on" in done.stdout
    assert parent.status == "interrupted"
    stop = place.read().stop or {}
    assert (stop["exit_status"], stop["recovered"], stop["found_running"]) == ("abort", True, True)
    flowed = bench.cell_state()["charge_ah"]
    assert 0 < flowed < 0.14e-3
    again, _ = off(place)  # nothing more happens to the run
    assert again.returncode == 0
    assert "was cut off" not in again.stdout
    assert place.read().stop == stop
    bench.set_speed("max")
    resumed = place.labctl("resume", "last", "--station", str(place.station))
    assert resumed.returncode == 0, resumed.stderr
    child = place.read()
    assert child.start["parent_uid"] == parent.uid
    steps = child.stream("steps")
    parts = list(zip(map(str, steps["protocol_step"]), map(str, steps["end_reason"]), strict=True))
    assert parts[:2] == [("0", "interrupted"), ("0", "unrecorded")]
    assert parts[3:] == [("0", "charge"), ("1", "time")]
    charging = steps["step_charging_capacity_ah"]
    assert charging[0] + charging[1] == pytest.approx(flowed, rel=0.02)
    assert charging.sum() == pytest.approx(0.14e-3, rel=0.02)
    assert bench.cell_state()["charge_ah"] == pytest.approx(0.14e-3, rel=0.02)


def test_what_could_not_be_done_is_said(place: Place) -> None:
    process = place.start_run()
    bench = place.in_mid_step(process)
    process.kill()
    process.communicate(timeout=30)
    bench.inject("cycler", "silent", lines=0)
    done, _ = off(place)
    assert done.returncode == 1
    assert "cycler: NOT seen to be open: socket://127.0.0.1:" in done.stdout
    assert "no answer" in done.stdout
    assert "read back;" not in done.stdout
    bench.inject("cycler", "clear")
    done, _ = off(place)
    assert done.returncode == 0, done.stdout
    assert circuit(bench)[-1] is False


@pytest.mark.slow
def test_two_at_once_and_a_hang_up_do_not_disturb_each_other(place: Place) -> None:
    process = place.start_run()
    bench = place.in_mid_step(process)
    command = [*LABCTL, "off", str(place.station), "--data", str(place.data)]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = [each.communicate(timeout=100)[0] for each in both]
    assert [each.returncode for each in both] == [0, 0], said
    assert all("cycler: output off, read back; " in text for text in said)
    assert circuit(bench) == [True, False]
    assert find_run(place.data, "last").status == "aborted"


@pytest.mark.slow
def test_temperature_and_pressure_are_left_as_they_are(tmp_path: Path) -> None:
    record = yaml.safe_load(packaged_config("sim-press.yaml").read_text())
    place = Place(tmp_path)
    place.station.write_text(yaml.safe_dump({**record, "name": "sim"}))
    try:
        place.labctl("sim", str(place.station), "--cell", CELL)
        before = len(place.bench().record())
        done, _ = off(place)
        assert done.returncode == 0, done.stdout
        assert "temperature and stack pressure are left as they are" in done.stdout
        new = place.bench().record()[before:]
        assert [entry for entry in new if entry["kind"] == "setpoint"] == []
    finally:
        place.close()


@pytest.mark.slow
def test_a_keithley_says_what_it_has_read_back(tmp_path: Path) -> None:
    place = Place(tmp_path)
    record = yaml.safe_load(place.station.read_text())
    record["devices"]["cycler"] = {"driver": "keithley2450"}
    place.station.write_text(yaml.safe_dump(record))
    try:
        process = place.start_run()
        bench = place.in_mid_step(process)
        process.kill()
        process.communicate(timeout=30)
        done, _ = off(place)
        assert done.returncode == 0, done.stdout
        assert "cycler: output off and of high impedance, read back, so 0 A" in done.stdout
        assert not bench.cell_state()["circuit_closed"]
    finally:
        place.close()


@pytest.mark.slow
@pytest.mark.parametrize("paused", [False, True])
def test_a_console_is_asked_and_its_paused_run_gets_its_stop_document(place: Place, paused: bool) -> None:
    pexpect = pytest.importorskip("pexpect")
    environment = {**os.environ, "TERM": "dumb", "NO_COLOR": "1", "QT_QPA_PLATFORM": "offscreen"}
    environment["IPYTHONDIR"] = str(place.directory / "ipython")
    options = ["--station", str(place.station), "--cell", CELL, "--data", str(place.data)]
    console = pexpect.spawn(
        sys.executable, ["-m", "labctl", "console", *options], env=environment, encoding="utf-8", timeout=60
    )
    prompt = r"In \[\d+\]: "
    try:
        console.expect(prompt)
        bench = place.bench()
        if paused:
            console.sendline(
                "RE(gitt(cycler, cell=cell, pulses=1, first_rest_second=10, direction='charge'))"
            )
            wait_until(lambda: circuit(bench) == [True], 60)
            console.sendintr()
            console.expect(prompt)
            assert find_run(place.data, "last").status == "paused"
        done, _ = off(place)
        assert done.returncode == 0, done.stdout
        assert f"process {console.pid} (" in done.stdout
        assert "was asked to end, and has let go of the station" in done.stdout
        console.expect(pexpect.EOF)
    finally:
        console.close(force=True)
    assert circuit(bench) == ([True, False] if paused else [])
    assert [run.status for run in list_runs(place.data)] == (["aborted"] if paused else [])


HOLDER = """
import sys
from labctl.platform import FileLock
lock = FileLock(sys.argv[1])
assert lock.acquire()
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def holder() -> Iterator[Callable[[Path], subprocess.Popen[str]]]:
    """Starts a process that holds a lock."""
    started: list[subprocess.Popen[str]] = []

    def hold(path: Path) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", HOLDER, str(path)]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        started.append(process)
        return process

    yield hold
    for process in started:
        process.kill()
        process.communicate()


def test_only_a_process_that_has_the_lock_open_is_taken_for_its_holder(
    tmp_path: Path, holder: Callable[[Path], subprocess.Popen[str]]
) -> None:
    path = tmp_path / "some.lock"
    process = holder(path)
    assert FileLock(path).holder_pid() == process.pid
    if sys.platform == "linux":  # a pid of another computer, say
        path.write_text(f"{os.getpid()}\n")
        assert FileLock(path).holder_pid() is None
    process.kill()
    process.communicate()
    assert FileLock(path).holder_pid() is None


def test_the_ports_of_other_users_are_looked_at_where_that_is_allowed(
    holder: Callable[[Path], subprocess.Popen[str]],
) -> None:
    address = f"socket://127.0.0.1:{os.getpid() % 60_000 + 1}"
    own = port_lock(address).path
    other = own.parent.with_name(f"labctl-locks-9{os.getpid()}")
    other.mkdir(mode=0o700)
    try:
        process = holder(other / own.name)
        holders = [lock.holder_pid() for lock in port_locks(address)]
        assert holders == [None, process.pid]
    finally:
        for file in other.iterdir():
            file.unlink()
        other.rmdir()
