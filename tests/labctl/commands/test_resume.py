"""`labctl resume` after kill -9, as a person types it: real processes, a shared simulated bench."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from devices.core.techniques import ConstantCurrent, OpenCircuit, Sampling
from labctl.documents import RunTables, tables
from labctl.journal.reader import follow
from labctl.records.station import packaged_config
from labctl.runs.listing import list_runs
from plans.protocol.files import save_protocol
from plans.protocol.protocol import Gapless, Loop, Mark, Protocol
from plans.protocol.rated_steps import RatedCurrent
from tests.helpers import wait_until

LABCTL = [sys.executable, "-m", "labctl"]
EVERY = Sampling.every(10)
SPEED = 40.0


def stepped(rate: float, direction: Any, share: float) -> RatedCurrent:
    return RatedCurrent(
        rate_per_hour=rate,
        direction=direction,
        until_voltage_volt=3.68 if direction == "charge" else 2.38,
        until_charge_share=share,
        sampling=EVERY,
    )


def ladder(rates: tuple[float, ...], share: float) -> Protocol:
    """A rate test between two states of charge: each step ends by its charge, so that all can be compared."""
    body = [
        Loop(repeat=2, body=(Mark(), stepped(rate, "charge", share), stepped(rate, "discharge", share)))
        for rate in rates
    ]
    return Protocol(name="rate_test", items=tuple(body))


class Place:
    """A data directory, a paced station, and the command line in it."""

    def __init__(self, directory: Path) -> None:
        self.directory, self.data = directory, directory / "data"
        station = yaml.safe_load(packaged_config("sim.yaml").read_text())
        station["simulate"] = {"seed": 3, "speed": SPEED, "stoichiometry": 0.7}
        (directory / "station.yaml").write_text(yaml.safe_dump(station))
        self._environment = {**os.environ, "LABCTL_DATA": str(self.data)}

    def labctl(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*LABCTL, *arguments],
            cwd=self.directory, env=self._environment, capture_output=True, text=True, timeout=900,
        )  # fmt: skip

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*LABCTL, *arguments, "--station", "station.yaml"],
            cwd=self.directory, env=self._environment,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def bench(self, *arguments: str) -> dict[str, Any]:
        done = self.labctl("sim", "station.yaml", "--json", *arguments)
        return json.loads(done.stdout)["cell"] if done.returncode == 0 else {}

    def runs(self) -> int:
        return len(list_runs(self.data)) if self.data.exists() else 0


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path)
    yield place
    place.labctl("sim", "station.yaml", "--speed", "max")
    wait_until(lambda: place.labctl("sim", "station.yaml", "--stop").returncode == 0, 60)
    place.labctl("store", "stop")


def rows_of(place: Place) -> int:
    newest = list_runs(place.data)[0]
    return sum(1 for name, _ in follow(newest.directory, live=False) if name == "event_page")


def steps_of(place: Place) -> list[dict[str, Any]]:
    """The rows of `steps` of the newest run so far."""
    if not place.runs():
        return []
    steps = tables(follow(list_runs(place.data)[0].directory, live=False)).stream("steps")
    return [
        {name: str(column[row]) for name, column in steps.items()}
        for row in range(len(steps.get("step_count", ())))
    ]


def kill_after(place: Place, process: subprocess.Popen[str], runs_before: int, pages: int) -> bool:
    """Kill -9 the process when it has written some pages; False when it ended by itself."""
    wait_until(lambda: process.poll() is not None or place.runs() > runs_before, 60)
    wait_until(lambda: process.poll() is not None or rows_of(place) >= pages, 120)
    if process.poll() is not None:
        return False
    process.kill()
    process.communicate(timeout=30)
    return True


def joined(runs: list[RunTables]) -> dict[str, dict[str, float]]:
    """Charge (Ah) by protocol_step over all runs."""
    steps: dict[str, dict[str, float]] = {}
    for run in runs:
        table = run.stream("steps")
        for row, path in enumerate(map(str, table.get("protocol_step", ()))):
            if path.endswith((".resume", ".rest")):
                continue
            entry = steps.setdefault(path, {"charge": 0.0, "discharge": 0.0})
            entry["charge"] += float(table["step_charging_capacity_ah"][row])
            entry["discharge"] += float(table["step_discharging_capacity_ah"][row])
    return steps


def kill_and_resume(place: Place, protocol: Protocol, kills: int, pages: int) -> list[RunTables]:
    """Run it, kill it again and again, resume it each time; the runs in their order."""
    dice = random.Random(5)
    save_protocol(protocol, place.directory / "ladder.json")
    process, killed = place.start("run", "ladder.json"), 0
    while killed < kills and kill_after(place, process, killed, dice.randint(1, pages)):
        killed += 1
        process = place.start("resume", "last")
        wait_until(lambda: process.poll() is not None or place.runs() > killed, 60)  # noqa: B023
        assert process.poll() in (None, 0), process.communicate()[1]
    if process.poll() is None:
        place.labctl("sim", "station.yaml", "--speed", "max")
    _, errors = process.communicate(timeout=600)
    assert process.returncode == 0, errors
    assert killed >= min(kills, 1)
    finished = list_runs(place.data)[0]
    return _whole_ancestry(place, finished.uid)


def _whole_ancestry(place: Place, uid: str) -> list[RunTables]:
    found = {run.uid: run for run in list_runs(place.data)}
    runs = [tables(follow(found[uid].directory, live=False))]
    while parent := runs[0].start.get("parent_uid"):
        runs.insert(0, tables(follow(found[parent].directory, live=False)))
    return runs


def assert_as_undisturbed(place: Place, runs: list[RunTables], protocol: Protocol, share: float) -> None:
    nominal_ah = 1.68e-3
    steps = joined(runs)
    paths = [
        f"{index}[{number}].{part}"
        for index, loop in enumerate(protocol.items) if isinstance(loop, Loop)
        for number in range(loop.repeat)
        for part in (1, 2)
    ]  # fmt: skip
    assert list(steps) == paths
    for path, entry in steps.items():
        moved = entry["charge"] if path.endswith(".1") else entry["discharge"]
        assert moved == pytest.approx(share * nominal_ah, rel=0.01), path
    net = sum(entry["charge"] - entry["discharge"] for entry in steps.values())
    bench = place.bench()
    assert not bench["circuit_closed"]
    # what the cell itself has seen is what the tables say: nothing flowed unasked
    assert bench["charge_ah"] == pytest.approx(net, abs=0.03 * share * nominal_ah)
    assert len({str(run.start["campaign_uid"]) for run in runs[1:]}) == 1
    for run in runs:
        numbers = run.stream("timeseries")["test_time_second"]
        assert np.all(np.diff(numbers) > 0)


def test_a_killed_rate_test_goes_on_and_adds_up(place: Place) -> None:
    protocol, share = ladder((2.0,), 0.1), 0.1
    runs = kill_and_resume(place, protocol, kills=1, pages=3)
    assert_as_undisturbed(place, runs, protocol, share)
    again = place.labctl("resume", "last", "--station", "station.yaml")
    assert again.returncode == 2
    assert "it has finished" in again.stderr


def test_a_pulse_that_was_over_stays_so_and_a_dry_run_changes_nothing(place: Place) -> None:
    """Killed in the rest of a gapless pulse: the pulse has its row, the rest is flagged."""
    pulse = ConstantCurrent(current_ampere=168e-6, until_charge_ah=10e-6, sampling=EVERY)
    pair = Gapless(techniques=(pulse, OpenCircuit(until_time_second=7200, sampling=EVERY)))
    save_protocol(Protocol(name="pulses", items=(pair, pair)), place.directory / "pulses.json")
    process = place.start("run", "pulses.json")
    wait_until(lambda: process.poll() is not None or steps_of(place), 120)
    process.kill()
    process.communicate(timeout=30)
    assert [row["end_reason"] for row in steps_of(place)] == ["charge"]
    (run,) = list_runs(place.data)
    before = {file.name: file.read_bytes() for file in run.directory.iterdir()}
    told = place.labctl("resume", "last", "--station", "station.yaml", "--dry-run")
    assert "a rest in place of what is left of step 0, then the next step" in told.stdout, told.stderr
    assert {file.name: file.read_bytes() for file in run.directory.iterdir()} == before
    process = place.start("resume", "last")
    wait_until(lambda: process.poll() is not None or place.runs() > 1, 60)
    place.labctl("sim", "station.yaml", "--speed", "max")
    _, errors = process.communicate(timeout=100)
    assert process.returncode == 0, errors
    newest, oldest = list_runs(place.data)
    assert (newest.status, oldest.status) == ("finished", "interrupted")
    reasons = [(row["protocol_step"], row["end_reason"]) for row in steps_of(place)]
    assert reasons[:2] == [("0.1", "interrupted"), ("0.resume", "time")]
    assert [path for path, _ in reasons[2:]] == ["0.rest", "1.0", "1.1"]


def test_a_private_bench_ends_with_its_run_and_cannot_be_resumed(place: Place) -> None:
    save_protocol(ladder((2.0,), 0.1), place.directory / "ladder.json")
    assert kill_after(place, place.start("run", "ladder.json", "--fresh"), 0, 1)
    refused = place.labctl("resume", "last", "--station", "station.yaml")
    assert refused.returncode == 2
    assert "private bench" in refused.stderr


@pytest.mark.slow
def test_twenty_kills_at_random_moments_leave_the_same_steps_and_capacities(place: Place) -> None:
    protocol, share = ladder((0.5, 1.0, 2.0), 0.2), 0.2
    runs = kill_and_resume(place, protocol, kills=20, pages=25)
    assert len(runs) > 15
    assert_as_undisturbed(place, runs, protocol, share)


@pytest.mark.slow
def test_a_station_goes_on_by_itself_only_if_it_says_so(place: Place) -> None:
    done = place.labctl("resume", "--auto", "--station", "station.yaml")
    assert done.returncode == 2
    assert "auto_resume" in done.stderr
    station = yaml.safe_load((place.directory / "station.yaml").read_text())
    (place.directory / "station.yaml").write_text(yaml.safe_dump({**station, "auto_resume": True}))
    save_protocol(ladder((2.0,), 0.02), place.directory / "short.json")
    assert kill_after(place, place.start("run", "short.json"), 0, 1)
    place.labctl("sim", "station.yaml", "--speed", "max")
    done = place.labctl("resume", "--auto", "--station", "station.yaml")
    assert done.returncode == 0, done.stderr
    assert ancestry_of_last(place)
    again = place.labctl("resume", "--auto", "--station", "station.yaml")
    assert "was not interrupted" in again.stdout


def ancestry_of_last(place: Place) -> bool:
    """Whether the newest run goes on from another one."""
    newest = list_runs(place.data)[0]
    return "parent_uid" in _whole_ancestry(place, newest.uid)[-1].start
