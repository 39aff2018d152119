"""`labctl runs`, `show`, `recover`: what is in a data directory, read from the journals."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from labctl.analysis.tables import RunTables, tables
from labctl.commands.common import chosen_data, write, write_json
from labctl.journal_reader import follow
from labctl.recovery import recover
from labctl.runs import RunSummary, find_run, list_runs


def show_runs(data: Path | None, *, limit: int, as_json: bool) -> int:
    """The newest runs, one line each."""
    directory = chosen_data(data)
    found = list_runs(directory, limit=limit)
    if as_json:
        write_json([_plain(run) for run in found])
        return 0
    if not found:
        write(f"no runs in {directory} yet")
        return 0
    table = Table(title=f"Runs in {directory}", title_justify="left", box=None)
    for heading in ("uid", "started (UTC)", "plan", "cell", "station", "state", "points"):
        right = heading == "points"
        table.add_column(
            heading, justify="right" if right else "left", no_wrap=heading in ("uid", "started (UTC)")
        )
    for run in found:
        started = run.start_time.strftime("%Y-%m-%d %H:%M:%S")
        table.add_row(
            run.uid[:8], started, run.plan_name, run.cell_id, run.station, run.status, str(run.points)
        )
    Console().print(table)
    return 0


def _plain(run: RunSummary) -> dict[str, Any]:
    return {**asdict(run), "directory": str(run.directory), "start_time": run.start_time.isoformat()}


def show_run(reference: str, data: Path | None, *, as_json: bool) -> int:
    """One run in detail."""
    run = find_run(chosen_data(data), reference)
    content = tables(follow(run.directory, live=False))
    if as_json:
        steps = {name: column.tolist() for name, column in content.streams.get("steps", {}).items()}
        write_json({"summary": _plain(run), "start": content.start, "stop": content.stop, "steps": steps})
        return 0
    console = Console()
    console.print(_header(run, content))
    console.print(_steps_table(content))
    return 0


def _header(run: RunSummary, content: RunTables) -> Table:
    start = content.start or {}
    cell, cycler = start.get("cell", {}), start.get("devices", {}).get("cycler", {})
    coating = (cell.get("coating") or {}).get("material", "bare")
    times = content.streams.get("timeseries", {}).get("test_time_second")
    table = Table(show_header=False, box=None)
    for name, value in (
        ("uid", run.uid),
        ("state", run.status + (f" ({run.reason})" if run.reason else "")),
        ("plan", run.plan_name),
        ("cell", f"{run.cell_id} ({coating})"),
        ("station", run.station),
        ("cycler", " ".join(str(cycler.get(key, "")) for key in ("maker", "model", "serial"))),
        ("started", run.start_time.strftime("%Y-%m-%d %H:%M:%S UTC")),
        ("points", str(run.points)),
        ("cell time", f"{times[-1] / 3600:.2f} h" if times is not None and len(times) else "none yet"),
        ("journal", str(run.directory)),
    ):
        table.add_row(name, value)
    return table


_COLUMNS = (
    ("#", "step_count", "{:.0f}"),
    ("step", "protocol_step", "{}"),
    ("type", "step_type", "{}"),
    ("cycle", "cycle_count", "{:.0f}"),
    ("until\nh", "end_test_time_second", "{:.3f}"),
    ("in\nµAh", "step_charging_capacity_ah", "{:.3f}"),
    ("out\nµAh", "step_discharging_capacity_ah", "{:.3f}"),
    ("end\nV", "end_voltage_volt", "{:.4f}"),
    ("ended by", "end_reason", "{}"),
)
_SCALE = {
    "end_test_time_second": 1 / 3600,
    "step_charging_capacity_ah": 1e6,
    "step_discharging_capacity_ah": 1e6,
}


def _steps_table(content: RunTables) -> Table:
    steps = content.streams.get("steps", {})
    table = Table(
        title="Steps (in: charge moved on charging, out: on discharging)", title_justify="left", box=None
    )
    for heading, _, form in _COLUMNS:
        table.add_column(heading, justify="left" if form == "{}" else "right", overflow="fold")
    for row in range(len(steps.get("step_count", ()))):
        table.add_row(
            *(
                form.format(steps[column][row] * _SCALE[column] if column in _SCALE else steps[column][row])
                for _, column, form in _COLUMNS
            )
        )
    return table


def recover_runs(data: Path | None) -> int:
    """Close interrupted runs with a stop document of their own."""
    closed = recover(chosen_data(data))
    for run in closed:
        write(f"run {run.uid} closed with {run.num_events.get('timeseries', 0)} samples")
    write(f"{len(closed)} interrupted run(s) closed")
    if closed:
        write("the instrument may still be running the last program: `labctl check STATION` tells")
    return 0
