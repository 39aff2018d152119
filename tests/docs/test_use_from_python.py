"""The blocks of docs/how-to/use-labctl-from-python.md, each in a process of its own, as a person has it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import textwrap
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from labctl import Store, load_cell, tables
from labctl.records.station import packaged_config

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/how-to/use-labctl-from-python.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE))
KERNEL = Path(__file__).with_name("as_jupyter.py")
INTERRUPTED = """\
import os, signal, threading
from bluesky.utils import RunEngineInterrupted
from plans.gitt import gitt
session.bench.set_speed(20)
closed = threading.Event()
cycler.cell_on.subscribe(lambda value, **_: closed.set() if value else None)
def interrupt():
    closed.wait(60)
    os.kill(os.getpid(), signal.SIGINT)
threading.Thread(target=interrupt).start()
try:
    RE(gitt(cycler, cell=cell, pulses=1, pulse_second=3600, first_rest_second=10))
except RunEngineInterrupted:
    print("state", RE.state, "closed", session.bench.cell_state()["circuit_closed"])
"""


def blocks(section: str, language: str = "python") -> list[str]:
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", SECTIONS[section], re.DOTALL | re.MULTILINE)
    return [text for of, text in fenced if of == language]


class Folder:
    """A working directory, and programs that are run in it."""

    def __init__(self, path: Path) -> None:
        self.path, self.data = path, path / "labctl-data"

    def run(self, *arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=self.path,
            env={**os.environ, "PYTHONPATH": str(self.path)},
            capture_output=True,
            text=True,
            timeout=110,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def labctl(self, line: str) -> str:
        return self.run("-P", "-m", "labctl", *line.split()[1:])

    def script(self, source: str) -> str:
        (self.path / "script.py").write_text(source)
        return self.run("script.py")

    def notebook(self, cells: list[str]) -> str:
        (self.path / "cells.json").write_text(json.dumps(cells))
        return self.run(str(KERNEL), "cells.json")


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Folder]:
    made = Folder(tmp_path)
    yield made
    if (made.data / "store").exists():
        made.labctl("labctl store stop")
    for bench in (made.data / "bench").glob("*"):
        made.labctl(f"labctl sim {packaged_config(bench.name + '.yaml')} --stop")


def test_the_script_measures_reads_and_analyses(folder: Folder) -> None:
    (source,) = blocks("A script")
    told = folder.script(source)
    assert re.search(r"^\d{3,} samples, [23]\.\d{3} V at the end$", told, re.MULTILINE)
    (charged,) = re.findall(r"^(\S+) mAh charged$", told, re.MULTILINE)
    capacity_ah = load_cell(packaged_config("cells/lic-ncm.yaml")).nominal_capacity_ah
    assert float(charged) == pytest.approx(2 * 600 / 3600 * capacity_ah * 1e3 / 10, rel=0.01)
    assert "'pulses': 2" in told
    assert len(re.findall(r"^pulse [01]: R\^2/D = \d", told, re.MULTILINE)) == 2


def test_ctrl_c_ends_the_run_of_the_script_in_order(folder: Folder) -> None:
    opening, running = "    measurement = gitt(", "    (uid,) = session.RE("
    (source,) = blocks("A script")
    assert opening in source
    assert running in source
    head, tail = source.split(opening)
    slow = INTERRUPTED.partition("try:")[0].replace("cycler.", "session.cycler.")
    started = opening + tail.partition(running)[0] + running + "measurement)\n"
    with pytest.raises(AssertionError, match="RunEngineInterrupted"):
        folder.script(head + textwrap.indent(slow, "    ") + started)
    assert ending_of(folder) == "the session was closed"


def ending_of(folder: Folder) -> str:
    """What the stop document of the only run says."""
    with Store(folder.data) as store:
        (run,) = store.runs()
        (stop,) = [document for name, document in store.documents(run.uid) if name == "stop"]
    return str(stop["reason"])


def test_the_cells_of_the_notebook_run_in_jupyters_manner(folder: Folder) -> None:
    told = folder.notebook(blocks("A notebook"))
    assert "Out[2]" in told
    with Store(folder.data) as store:
        assert [run.status for run in store.runs()] == ["finished"]


def test_an_interrupt_in_the_notebook_pauses_with_the_circuit_open(folder: Folder) -> None:
    opening, _, closing = blocks("A notebook")
    told = folder.notebook([opening, INTERRUPTED, closing])
    assert "state paused closed False" in told
    assert ending_of(folder) == "the session was closed"


@pytest.fixture
def with_own_plan(folder: Folder) -> Folder:
    (source,), (project,) = blocks("A plan of your own"), blocks("A plan of your own", "toml")
    (folder.path / "my_plans.py").write_text(source)
    install(tomllib.loads(project)["project"], folder.path)
    return folder


EXPLAIN, DRY_RUN, RUN = blocks("A plan of your own", "")[0].splitlines()


def test_the_own_plan_is_explained_and_checked(with_own_plan: Folder) -> None:
    told = with_own_plan.labctl(EXPLAIN)
    assert re.search(r"depth_volt = 0\.2 +a number above 0, up to 1 V\n +how far below", told)
    assert "allowed on station sim" in with_own_plan.labctl(DRY_RUN)


def test_the_own_plan_runs_and_states_all_that_it_was_asked_for(with_own_plan: Folder) -> None:
    with_own_plan.labctl(RUN)
    with Store(with_own_plan.data) as store:
        found = tables(store.documents("last"))
    given = {"cycles": 1, "rate": "2C", "depth_volt": 0.2, "rest_second": 300.0}
    assert (found.start["plan_name"], found.start["plan_parameters"]) == ("warm_up", given)
    assert found.stop is not None
    assert found.stop["exit_status"] == "success"


def install(project: dict[str, object], where: Path) -> None:
    """What pip writes beside a module that it installs."""
    told = where / f"{str(project['name']).replace('-', '_')}-{project['version']}.dist-info"
    told.mkdir()
    (told / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    groups = project["entry-points"]
    assert isinstance(groups, dict)
    lines = [f"[{group}]\n" + "".join(f"{n} = {v}\n" for n, v in of.items()) for group, of in groups.items()]
    (told / "entry_points.txt").write_text("\n".join(lines))


def test_the_plan_of_blueskys_is_recorded_as_a_run(folder: Folder) -> None:
    (source,) = blocks("A plan of Bluesky's")
    told = folder.script(source)
    assert re.findall(r"^count \[(.*)\]$", told, re.MULTILINE) == ["25. 25. 25.", "25."]
    with Store(folder.data) as store:
        assert [run.status for run in store.runs()] == ["finished", "finished"]
        assert "cycler_voltage" in tables(store.documents("last")).stream("primary")


def test_every_python_block_is_run_here() -> None:
    assert {name: len(blocks(name)) for name in SECTIONS} == {
        "A script": 1,
        "A notebook": 3,
        "A plan of your own": 1,
        "A plan of Bluesky's": 1,
    }
    assert "docs/how-to/use-labctl-from-python.md" in (ROOT / "README.md").read_text(encoding="utf-8")
