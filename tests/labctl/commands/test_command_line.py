"""The command line as a person types it: real processes, a shared simulated bench, signals, wrong usage."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from labctl.journal.reader import follow
from labctl.records.station import packaged_config
from labctl.runs.listing import find_run, list_runs
from tests.helpers import wait_until

LABCTL = [sys.executable, "-m", "labctl"]
CELL = str(packaged_config("cells/lic-ncm.yaml"))
OTHER_CELL = str(packaged_config("cells/bare-ncm.yaml"))


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """A data directory and a station file paced so that a pulse can be caught; ends its bench and store."""
    station = yaml.safe_load(packaged_config("sim.yaml").read_text())
    station["simulate"] = {"seed": 3, "speed": 50, "stoichiometry": 0.7}
    (tmp_path / "paced.yaml").write_text(yaml.safe_dump(station))
    yield tmp_path
    labctl(tmp_path, "sim", "paced.yaml", "--speed", "max")  # what still runs comes to its end
    wait_until(lambda: labctl(tmp_path, "sim", "paced.yaml", "--stop").returncode == 0, 60)
    labctl(tmp_path, "store", "stop")


def environment(place: Path) -> dict[str, str]:
    return {**os.environ, "LABCTL_DATA": str(place / "data"), "QT_QPA_PLATFORM": "offscreen"}


def labctl(place: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*LABCTL, *arguments], cwd=place, env=environment(place), capture_output=True, text=True, timeout=90
    )


def start_gitt(place: Path) -> subprocess.Popen[str]:
    """A GITT whose first pulse is running when this returns."""
    command = [*LABCTL, "run", "gitt", "--station", "paced.yaml", "--set", "pulses=2"]
    command += ["--set", "first_rest_second=10", "--set", "direction=charge"]
    process = subprocess.Popen(
        command, cwd=place, env=environment(place), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    wait_until(lambda: process.poll() is not None or bench_state(place).get("circuit_closed", False), 60)
    assert process.poll() is None, process.stderr.read() if process.stderr else ""
    return process


def bench_state(place: Path) -> dict:
    done = labctl(place, "sim", "paced.yaml", "--json")
    return json.loads(done.stdout)["cell"] if done.returncode == 0 else {}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_aborts_the_run_with_its_reason_and_an_open_circuit(place: Path, number: int) -> None:
    process = start_gitt(place)
    process.send_signal(number)
    process.send_signal(number)  # a second one changes nothing
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 1
    assert f"aborted by {signal.Signals(number).name}" in errors
    assert "Traceback" not in errors
    assert not bench_state(place)["circuit_closed"]
    run = find_run(place / "data", "last")
    assert run.status == "aborted"
    assert run.reason == f"aborted by {signal.Signals(number).name}"


def test_a_killed_run_keeps_its_lines_and_the_instrument_ends_its_program_alone(place: Path) -> None:
    process = start_gitt(place)
    data = place / "data"
    wait_until(
        lambda: any(name == "event_page" for name, _ in follow(list_runs(data)[0].directory, live=False))
    )
    process.kill()
    process.communicate(timeout=30)
    before = list(follow(list_runs(data)[0].directory, live=False))
    assert bench_state(place)["circuit_closed"]  # nobody has told the instrument to stop
    labctl(place, "sim", "paced.yaml", "--speed", "max")
    wait_until(lambda: not bench_state(place)["circuit_closed"], 30)
    moved = bench_state(place)["charge_ah"]
    assert moved == pytest.approx(84e-6 * 600 / 3600, rel=0.01)  # its own time condition, to the end
    assert list(follow(list_runs(data)[0].directory, live=False)) == before
    listed = json.loads(labctl(place, "runs", "--json").stdout)
    assert [run["status"] for run in listed] == ["interrupted"]
    closed = labctl(place, "recover")
    assert "1 interrupted run(s) closed" in closed.stdout
    assert "0 interrupted run(s) closed" in labctl(place, "recover").stdout


def station_with(place: Path, **cycler: object) -> str:
    station = {"name": "wrong", "devices": {"cycler": {"driver": "palmsens", **cycler}}}
    (place / "wrong.yaml").write_text(yaml.safe_dump(station))
    return "wrong.yaml"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def assert_one_clear_line(done: subprocess.CompletedProcess[str], *words: str) -> None:
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    for word in words:
        assert word in done.stderr, done.stderr


def test_an_impossible_parameter_is_one_clear_line(tmp_path: Path) -> None:
    done = labctl(tmp_path, "run", "gitt", "--dry-run", "--set", "pulses=-3")
    assert_one_clear_line(done, "pulses=-3: must be a whole number from 1 to 10000")


def test_an_unknown_parameter_is_one_clear_line_with_what_is_allowed(tmp_path: Path) -> None:
    assert_one_clear_line(labctl(tmp_path, "run", "gitt", "--set", "puls=3"), "puls=3", "pulse_second")


def test_an_unknown_plan_is_one_clear_line(tmp_path: Path) -> None:
    assert_one_clear_line(labctl(tmp_path, "run", "gitt2"), "gitt2", "registered are condition", "gitt")


def test_an_unknown_device_is_one_clear_line(tmp_path: Path) -> None:
    station = station_with(tmp_path, driver="galvanomat", address="/dev/ttyX")
    assert_one_clear_line(
        labctl(tmp_path, "run", "gitt", "--station", station, "--cell", CELL), "galvanomat", "palmsens"
    )


def test_an_unknown_option_of_a_driver_is_one_clear_line(tmp_path: Path) -> None:
    station = station_with(tmp_path, address="/dev/ttyX", options={"colour": "red"})
    assert_one_clear_line(
        labctl(tmp_path, "run", "gitt", "--station", station, "--cell", CELL),
        "devices.cycler.options",
        "colour",
    )


@pytest.mark.parametrize("kind", ["device", "socket"])
def test_a_wrong_address_is_one_clear_line(tmp_path: Path, kind: str) -> None:
    address = "/dev/does-not-exist" if kind == "device" else f"socket://127.0.0.1:{free_port()}"
    station = station_with(tmp_path, address=address)
    done = labctl(tmp_path, "run", "gitt", "--station", station, "--cell", CELL)
    assert_one_clear_line(done, "devices.cycler.address", address)


def test_a_device_that_is_no_potentiostat_is_one_clear_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        station = station_with(tmp_path, address=f"socket://127.0.0.1:{mute.getsockname()[1]}")
        done = labctl(tmp_path, "run", "gitt", "--station", station, "--cell", CELL)
    assert_one_clear_line(done, "no answer to the abort command")


def test_a_port_in_use_is_one_clear_line_naming_the_owner(place: Path) -> None:
    process = start_gitt(place)
    done = labctl(place, "run", "gitt", "--station", "paced.yaml")
    assert_one_clear_line(done, "in use by process", str(process.pid))
    assert process.poll() is None  # the first is undisturbed
    process.terminate()
    process.communicate(timeout=30)


def test_a_refused_second_run_changes_nothing_at_the_first_ones_cell(place: Path) -> None:
    process = start_gitt(place)
    done = labctl(place, "run", "gitt", "--station", "paced.yaml", "--cell", OTHER_CELL)
    assert_one_clear_line(done, "in use by process")
    assert bench_state(place)["cell_id"] == "lic-ncm-1"
    checked = labctl(place, "check", "paced.yaml")
    assert checked.returncode == 1
    assert "in use by process" in checked.stdout
    process.terminate()
    process.communicate(timeout=30)


@pytest.mark.slow
def test_a_check_leaves_a_program_running_whose_host_has_died(place: Path) -> None:
    process = start_gitt(place)
    process.kill()
    process.communicate(timeout=30)
    done = labctl(place, "check", "paced.yaml")
    assert done.returncode == 1
    assert "a program is running on the instrument" in done.stdout
    assert bench_state(place)["circuit_closed"]
    refused = labctl(place, "sim", "paced.yaml", "--stop")
    assert_one_clear_line(refused, "a program runs on this bench")


def test_a_real_station_without_a_cell_record_is_refused(tmp_path: Path) -> None:
    station = station_with(tmp_path, address="/dev/ttyX")
    done = labctl(tmp_path, "run", "gitt", "--station", station)
    assert_one_clear_line(done, "--cell", "needs the record of its cell")


@pytest.mark.parametrize("address", ["socket://x:99999", "socket://localhost:abc", "socket://localhost"])
def test_an_address_without_a_possible_port_is_one_clear_line(tmp_path: Path, address: str) -> None:
    station = station_with(tmp_path, address=address)
    assert_one_clear_line(labctl(tmp_path, "check", station), "devices.cycler.address", address)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name: [unclosed", ["damaged.yaml", "line"]),
        ("name: x\ndevices: {cycler: {driver: palmsens}}\nvolts: 4\n", ["damaged.yaml", "volts"]),
        ("!!python/object/apply:os.system ['true']", ["damaged.yaml"]),
    ],
)
def test_a_damaged_station_file_is_told_by_file_and_field(
    tmp_path: Path, text: str, words: list[str]
) -> None:
    (tmp_path / "damaged.yaml").write_text(text)
    done = labctl(tmp_path, "run", "gitt", "--station", "damaged.yaml")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in done.stderr


def test_a_dry_run_tells_what_it_takes_and_touches_nothing(tmp_path: Path) -> None:
    done = labctl(tmp_path, "run", "gitt", "--dry-run", "--set", "pulses=20", "--set", "direction=charge")
    assert done.returncode == 0
    for words in (
        r"steps\s+41",
        r"duration\s+43\.5 h",
        r"points\s+\d{4}",
        r"current\s+at most 84 µA",
        r"estimate\s+from an empty cell",
    ):
        assert re.search(words, done.stdout), done.stdout
    assert not (tmp_path / "data" / "bench").exists()


def test_an_unknown_run_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    assert_one_clear_line(labctl(tmp_path, "show", "abcdef"), "abcdef")


def test_a_fault_can_be_armed_from_the_command_line_and_is_refused_in_words(place: Path) -> None:
    armed = labctl(place, "sim", "paced.yaml", "--inject", "cycler:silent:after_lines=3")
    assert armed.returncode == 0
    assert labctl(place, "sim", "paced.yaml", "--inject", "cycler:late:delay_second=1e-3").returncode == 0
    soon = labctl(place, "sim", "paced.yaml", "--inject", "cycler:late:delay_second=soon")
    assert_one_clear_line(soon, "late: delay_second = 'soon'", "must be a number from 0 to 3600")
    assert_one_clear_line(labctl(place, "sim", "paced.yaml", "--inject", "cycler:magic"), "magic", "garbage")
    assert_one_clear_line(labctl(place, "sim", "paced.yaml", "--inject", "toaster:late"), "toaster", "cycler")
