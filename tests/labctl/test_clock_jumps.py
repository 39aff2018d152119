"""The computer's clock jumps by an hour to and fro during a run: order, times and charge do not care."""

from __future__ import annotations

import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import orjson
import pytest

from labctl.documents import tables
from labctl.journal.reader import follow
from labctl.runs.listing import list_runs

RUN = """
import sys, time
from pathlib import Path
real, shift, jumps = time.time, [0.0], sys.argv[2] == "jumps"
time.time = lambda: real() + shift[0]  # before anybody has taken the name
from labctl.records.cell import load_cell
from labctl.records.station import load_station, packaged_config
from labctl.plugins import load_plan
from labctl.session import open_session
def jump(name, doc):
    if jumps and name in ("event", "event_page"):
        shift[0] = {0.0: 3600.0, 3600.0: -3600.0, -3600.0: 0.0}[shift[0]]
station, cell = load_station(packaged_config("sim.yaml")), load_cell(packaged_config("cells/lic-ncm.yaml"))
simulate = station.simulate.model_copy(update={"stoichiometry": 0.7, "seed": 11})
station = station.model_copy(update={"simulate": simulate})
with open_session(station, cell, Path(sys.argv[1]), fresh_bench=True) as session:
    session.RE.subscribe(jump)
    session.RE(load_plan("gitt")(session.cycler, cell=cell, pulses=2, rest_second=600.0, direction="charge"))
"""


@pytest.mark.timeout(180)
def test_a_clock_that_jumps_changes_no_order_no_elapsed_time_and_no_charge(tmp_path: Path) -> None:
    children = {
        kind: subprocess.Popen([sys.executable, "-c", RUN, str(tmp_path / kind), kind])
        for kind in ("jumps", "steady")
    }
    assert {kind: child.wait(150) for kind, child in children.items()} == {"jumps": 0, "steady": 0}
    [run], [other] = (list_runs(tmp_path / kind) for kind in children)
    assert run.status == "finished"
    jumping, steady = (tables(follow(r.directory, live=False)) for r in (run, other))
    walls = [doc["time"] for name, doc in follow(run.directory, live=False) if name == "event"]
    assert min(b - a for a, b in pairwise(walls)) < -3000, "the wall clock went back while it was measured"
    for stream in ("timeseries", "steps"):
        times = jumping.streams[stream].get(
            "test_time_second", jumping.streams[stream].get("end_test_time_second")
        )
        assert (np.diff(times) > 0).all()
        for column, values in steady.streams[stream].items():
            np.testing.assert_array_equal(jumping.streams[stream][column], values, err_msg=column)
    rows, steps = jumping.streams["timeseries"], jumping.streams["steps"]
    moved = np.trapezoid(rows["current_ampere"], rows["test_time_second"]) / 3600
    stepped = steps["step_charging_capacity_ah"].sum() - abs(steps["step_discharging_capacity_ah"]).sum()
    steady_rows = steady.streams["timeseries"]
    assert moved == np.trapezoid(steady_rows["current_ampere"], steady_rows["test_time_second"]) / 3600
    assert stepped == pytest.approx(moved, rel=0.02)  # the trapezia of the switching samples are coarse
    seq_nums = [
        n for name, doc in follow(run.directory, live=False) if name == "event_page" for n in doc["seq_num"]
    ]
    assert seq_nums == list(range(1, len(seq_nums) + 1))


def test_the_journal_shows_where_the_clock_jumped(tmp_path: Path) -> None:
    script = """
import sys, time
from pathlib import Path
real, shift = time.time, [0.0]
time.time = lambda: real() + shift[0]
from event_model import compose_run
from labctl.journal.writer import Journal
journal, run = Journal(Path(sys.argv[1])), compose_run()
journal("start", run.start_doc)
shift[0] = -3600.0
journal("stop", run.compose_stop())
"""
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=True, timeout=60)
    [path] = tmp_path.glob("runs/*/*/journal-0000.jsonl")
    first, last = (orjson.loads(line)["clock"] for line in path.read_bytes().splitlines())
    wall = last["unix_second"] - first["unix_second"]
    elapsed = last["monotonic_second"] - first["monotonic_second"]
    assert 0 <= elapsed < 60
    assert wall - elapsed == pytest.approx(-3600, abs=1)
