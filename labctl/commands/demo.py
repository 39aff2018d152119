"""`labctl demo`: a GITT on a simulated coated pellet, from the wire to the diffusivity, in about a minute."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from rich.table import Table

from labctl.analysis.gitt.analysis import analyze_run
from labctl.commands.chosen import chosen_data, show, write
from labctl.commands.interrupt import EndRequest
from labctl.commands.run import run_measurement
from labctl.documents import tables
from labctl.errors import LabctlError
from labctl.journal.reader import follow
from labctl.live.app import has_screen, save_screenshot
from labctl.plugins import load_plan
from labctl.records.cell import load_cell
from labctl.records.station import load_station, packaged_config
from labctl.schema import TEST_TIME, TIMESERIES
from labctl.session import open_session
from labctl.store.server.service import ensure_service

DEMO_STATION, DEMO_CELL = "sim.yaml", "cells/lic-ncm.yaml"
START_STOICHIOMETRY = 0.70
_SHIPPED_WITHIN_SECOND = 30.0


def run_demo(data: Path | None, request: EndRequest, *, pulses: int, window: bool) -> int:
    """Run it and print what came out; the exit code."""
    directory = chosen_data(data)
    station = load_station(packaged_config(DEMO_STATION))
    if station.simulate is None:
        raise TypeError("the demo station is simulated by definition")
    simulate = station.simulate.model_copy(update={"stoichiometry": START_STOICHIOMETRY, "speed": "max"})
    station = station.model_copy(update={"simulate": simulate})
    cell = load_cell(packaged_config(DEMO_CELL))
    write(f"labctl demo: GITT on the simulated pellet {cell.id}, {pulses} pulses towards charge")
    screen = window and has_screen()
    if screen:
        command = [sys.executable, "-m", "labctl", "live", "--data", str(directory)]
        subprocess.Popen(command, start_new_session=True, stdin=subprocess.DEVNULL)
    began = time.monotonic()
    still_wanted = request.require_none
    with open_session(station, cell, directory, fresh_bench=True, still_wanted=still_wanted) as session:
        if session.bench is None:
            raise TypeError("the demo station is simulated by definition")
        metadata = {"purpose": "demo", "simulation_truth": session.bench.truth()}
        measurement = load_plan("gitt")(
            session.cycler, cell=cell, pulses=pulses, direction="charge", metadata=metadata
        )
        code = run_measurement(session, measurement, request)
        uid, run_directory = session.journal.run_uid, session.journal.run_directory
    if code or uid is None or run_directory is None:
        return code or 1
    request.give_signals_back()  # what follows touches no instrument
    wall_second = time.monotonic() - began
    picture = "live window" if screen else _save_picture(run_directory)
    _print_result(directory, uid, run_directory, wall_second, picture)
    return 0


def _save_picture(run_directory: Path) -> str:
    """Where the picture is, or why there is none: a missing system library must not spoil a measurement."""
    path = Path("demo.png").resolve()
    try:
        save_screenshot(follow(run_directory, live=False), path, size=(1280, 720))
    except LabctlError as error:
        return f"none: {error}"
    return str(path)


def _print_result(data: Path, uid: str, run_directory: Path, wall_second: float, picture: str) -> None:
    from labctl.store.client.store import Store

    content = tables(follow(run_directory, live=False))
    result: Any = analyze_run(content)
    times = content.streams[TIMESERIES.name][TEST_TIME]
    ensure_service(data)
    shipped = Store(data).wait_until_shipped(uid, _SHIPPED_WITHIN_SECOND)
    table = Table(show_header=False, box=None)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in (
        ("run", uid),
        ("points", str(len(times))),
        ("cell time", f"{times[-1] / 3600:.1f} h"),
        ("wall time", f"{wall_second:.1f} s"),
        ("pulses fitted", str(len(result.pulses))),
        ("median of fitted over true D", f"{result.median_ratio_to_truth:.3f}"),
        ("in the document store", "yes" if shipped else "still being shipped"),
        ("picture", picture),
    ):
        table.add_row(name, value)
    show(table)
    write(f"\nsee it again:  labctl replay {uid[:8]}\nthe pulses:    labctl analyze {uid[:8]}")
