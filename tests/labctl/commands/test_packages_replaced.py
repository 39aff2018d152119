"""A run whose packages vanish from the disk, as an update replaces them, ends as any other run does."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import bluesky
import event_model
import ophyd
import pyvisa
import rich
import serial

import devices
import labctl
import plans
from labctl.journal.reader import follow
from tests.attack.stand import Stand, stand

OURS = (labctl, devices, plans)
OTHERS = (bluesky, ophyd, event_model, rich, serial, pyvisa)
# Writes down every module that is looked for on the disk, from the first line of the process on.
_SITECUSTOMIZE = """
import os, sys, time

class Lookout:
    file = open(os.path.join(os.environ["IMPORTS"], f"{os.getpid()}.txt"), "a", buffering=1)

    def find_spec(self, name, path=None, target=None):
        self.file.write(f"{time.time():.6f} {name}\\n")

sys.meta_path.insert(0, Lookout())
"""
WITHIN_SECOND = 10.0


class Environment:
    """Copies of the packages that a run is made of, which come first where Python looks for them."""

    def __init__(self, directory: Path) -> None:
        self.packages, self._imports = directory / "packages", directory / "imports"
        self._imports.mkdir(parents=True)
        for package in (*OURS, *OTHERS):
            source = Path(str(package.__file__)).parent
            ignored = shutil.ignore_patterns("__pycache__", "tests")
            shutil.copytree(source, self.packages / source.name, ignore=ignored)
        (self.packages / "sitecustomize.py").write_text(_SITECUSTOMIZE)
        paths = [str(self.packages), *filter(None, [os.environ.get("PYTHONPATH")])]
        variables = {"PYTHONPATH": os.pathsep.join(paths), "IMPORTS": str(self._imports)}
        self.variables = {**os.environ, **variables, "PYTHONDONTWRITEBYTECODE": "1"}

    def take_away(self) -> None:
        """Rename every package: what was not read before cannot be read any more."""
        for package in self.packages.iterdir():
            package.rename(package.with_name(f"{package.name}.replaced"))

    def imported_after(self, process: subprocess.Popen[str], unix_second: float) -> list[str]:
        """The modules that a process has looked for since."""
        lines = (self._imports / f"{process.pid}.txt").read_text().splitlines()
        stamps = [line.split(" ", 1) for line in lines]
        assert len(stamps) > 500  # it does write them down
        return [name for stamp, name in stamps if float(stamp) > unix_second]


@contextmanager
def in_pulse(directory: Path, config: str) -> Iterator[tuple[Stand, Environment, subprocess.Popen[str]]]:
    """A GITT whose first pulse goes on, from packages that may be taken away; the bench has its own."""
    environment = Environment(directory / "environment")
    with stand(directory, config) as place:
        place.bench.ping()  # it is started from here
        process = place.start(cwd=directory, env=environment.variables)
        place.in_pulse()
        yield place, environment, process


def assert_ended_in_order(place: Stand, process: subprocess.Popen[str], since: float, reason: str) -> None:
    assert process.wait(60) == 1, place.output()
    assert place.opened_after(since) < WITHIN_SECOND
    stops = [doc for name, doc in follow(place.run().directory, live=False) if name == "stop"]
    assert len(stops) == 1
    assert reason in stops[0]["reason"]
    said = " ".join(place.output().split())
    assert "the circuit is open" in said
    assert "Error" not in said.replace("SIGTERM", "")
    assert "Traceback" not in said


def test_sigterm_ends_a_run_in_order_after_its_packages_were_renamed(tmp_path: Path) -> None:
    with in_pulse(tmp_path, "sim.yaml") as (place, environment, process):
        begun = time.time()
        environment.take_away()
        process.send_signal(signal.SIGTERM)
        assert_ended_in_order(place, process, begun, "aborted by SIGTERM")
        assert not environment.imported_after(process, begun)


def test_a_lost_link_ends_a_run_in_order_after_its_packages_were_renamed(tmp_path: Path) -> None:
    with in_pulse(tmp_path, "sim-keithley.yaml") as (place, environment, process):
        begun = time.time()
        environment.take_away()
        place.bench.inject("cycler", "drop_link")
        assert_ended_in_order(place, process, begun, "link lost")
        assert not environment.imported_after(process, begun)
