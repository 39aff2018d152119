"""`labctl runs`, `show`, `recover`: what is in a data directory, read from the journals."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from labctl.commands.chosen import existing_data, show, write, write_json
from labctl.documents import RunTables, tables
from labctl.errors import ConfigurationError
from labctl.number_table import NumberTable
from labctl.printable import printable
from labctl.runs.query import RunQuery, parse_time
from labctl.runs.recovery import recover
from labctl.runs.summary import RunSummary
from labctl.schema import (
    CYCLE_COUNT,
    END_REASON,
    END_TEST_TIME,
    END_VOLTAGE,
    PROTOCOL_STEP,
    STEP_CHARGING_CAPACITY,
    STEP_COUNT,
    STEP_DISCHARGING_CAPACITY,
    STEP_TYPE,
    STEPS,
    TEST_TIME,
    TIMESERIES,
)
from labctl.store.client.store import Store


def show_runs(
    data: Path | None, *, limit: int, as_json: bool, query: RunQuery | None = None, page: int = 1
) -> int:
    """The newest runs that meet the query, one line each; those whose journals are gone included."""
    directory = existing_data(data)
    for name, value in (("--limit", limit), ("--page", page)):
        if value < 1:
            raise ConfigurationError("labctl runs", name, value, "a whole number from 1")
    with Store(directory) as store:
        found = store.runs(query, limit=limit, skip=(page - 1) * limit)
        complete = store.is_answering or not store.has_kept_runs
    if as_json:
        write_json([_plain(run) for run in found])
        return 0
    if found:
        write(f"Runs in {directory}")
        show(_runs_table(found))
        for run in found:
            if run.status == "unreadable":
                write(f"{run.uid[:8]} is unreadable: {run.reason}")
    else:
        write(f"no such run in {directory}" if query or page > 1 else f"no runs in {directory} yet")
    if not complete:
        write("the document store is not running: runs whose journals were removed are not listed")
        write("(labctl store serve)")
    return 0


def _columns(found: list[RunSummary]) -> dict[str, list[str]]:
    in_store = {"journal": "", "tiled": ", in the store only"}
    return {
        "uid": [run.uid[:8] for run in found],
        "started (UTC)": [run.start_time.strftime("%Y-%m-%d %H:%M") for run in found],
        "plan": [run.plan_name for run in found],
        "cell": [run.cell_id for run in found],
        "coating": [run.coating for run in found],
        "station": [run.station for run in found],
        "state": [run.status + in_store[run.source] for run in found],
        "points": [str(run.points) for run in found],
    }


def run_query(
    words: list[str],
    cell: str | None,
    coating: str | None,
    plan: str | None,
    station: str | None,
    status: str | None,
    tag: str | None,
    since: str | None,
    until: str | None,
) -> RunQuery | None:
    """What was asked for on the command line; None for all runs.

    Raises:
        ConfigurationError: A state that there is not, or no date.
    """
    query = RunQuery(
        plan_name=plan,
        cell=cell,
        coating=coating,
        station=station,
        status=status,  # type: ignore[arg-type]  # RunQuery says what is allowed
        tag=tag,
        since=parse_time(since, "--since") if since else None,
        until=parse_time(until, "--until", end=True) if until else None,
        text=" ".join(words) or None,
    )
    return query if query != RunQuery() else None


def _runs_table(found: list[RunSummary]) -> NumberTable:
    columns = {heading: values for heading, values in _columns(found).items() if any(values)}
    return NumberTable(
        columns, words=columns.keys() - {"points"}, dispensable=("station", "coating", "points"), ruled=False
    )


def _plain(run: RunSummary) -> dict[str, Any]:
    return {**asdict(run), "directory": str(run.directory), "start_time": run.start_time.isoformat()}


def show_run(reference: str, data: Path | None, *, as_json: bool) -> int:
    """One run in detail, from its journal, or from the document store when its journal is gone."""
    with Store(existing_data(data)) as store:
        run = store.summary(reference)
        content = tables(store.documents(run.uid))
    if as_json:
        steps = {name: column.tolist() for name, column in content.streams.get(STEPS.name, {}).items()}
        write_json({"summary": _plain(run), "start": content.start, "stop": content.stop, "steps": steps})
        return 0
    show(_header(run, content))
    if run.source == "journal":
        write(f"journal    {run.directory}")  # whole, to be copied
    write("\nSteps (in: charge moved on charging, out: on discharging)")
    show(_steps_table(content))
    return 0


def _header(run: RunSummary, content: RunTables) -> Table:
    cycler = (content.start.get("devices") or {}).get("cycler", {})
    times = content.streams.get(TIMESERIES.name, {}).get(TEST_TIME)
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in (
        ("uid", run.uid),
        ("state", run.status + (f" ({run.reason})" if run.reason else "")),
        ("plan", run.plan_name),
        ("cell", f"{run.cell_id} ({run.coating})" if run.coating else run.cell_id),
        ("station", run.station),
        ("cycler", " ".join(str(cycler.get(key, "")) for key in ("maker", "model", "serial"))),
        ("started", run.start_time.strftime("%Y-%m-%d %H:%M:%S UTC")),
        ("points", str(run.points)),
        ("cell time", f"{times[-1] / 3600:.2f} h" if times is not None and len(times) else "none yet"),
        ("tags", ", ".join(run.tags) or "none"),
        ("journal", "" if run.source == "journal" else "removed; read from the document store"),
    ):
        if not value:
            continue
        table.add_row(name, Text(printable(value, lines=True)))
    return table


_COLUMNS = (
    ("#", STEP_COUNT, "{:.0f}"),
    ("step", PROTOCOL_STEP, "{}"),
    ("type", STEP_TYPE, "{}"),
    ("cycle", CYCLE_COUNT, "{:.0f}"),
    ("until\nh", END_TEST_TIME, "{:.3f}"),
    ("in\nµAh", STEP_CHARGING_CAPACITY, "{:.3f}"),
    ("out\nµAh", STEP_DISCHARGING_CAPACITY, "{:.3f}"),
    ("end\nV", END_VOLTAGE, "{:.4f}"),
    ("ended by", END_REASON, "{}"),
)
_SCALE = {
    END_TEST_TIME: 1 / 3600,
    STEP_CHARGING_CAPACITY: 1e6,
    STEP_DISCHARGING_CAPACITY: 1e6,
}


def _steps_table(content: RunTables) -> NumberTable:
    steps = content.stream(STEPS.name)
    columns = {
        heading: [form.format(value * _SCALE.get(name, 1)) for value in steps.get(name, ())]
        for heading, name, form in _COLUMNS
    }
    words = [heading for heading, _, form in _COLUMNS if form == "{}"]
    return NumberTable(columns, words=words, dispensable=("cycle", "#"), ruled=False)


def recover_runs(data: Path | None) -> int:
    """Close interrupted runs with a stop document of their own."""
    closed = recover(existing_data(data))
    for run in closed:
        write(f"run {run.uid} closed with {run.num_events.get(TIMESERIES.name, 0)} samples")
    write(f"{len(closed)} interrupted run(s) closed")
    if closed:
        write("the instrument may still be running the last program: `labctl off STATION` ends it")
    return 0
