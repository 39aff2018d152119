"""The command line. Only names and help are here; each command imports its work when it is called."""

from __future__ import annotations

import errno
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from labctl.errors import ConfigurationError, LabctlError, PortInUseError, ProtocolError
from labctl.printable import printable

if TYPE_CHECKING:
    from labctl.commands.interrupt import EndRequest

app = typer.Typer(
    name="labctl",
    help="Instrument control and acquisition for solid-state-battery pellets.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
_MEDIUM = (errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOSPC, errno.EDQUOT)  # it cannot be written
store_app = typer.Typer(help="The document store (Tiled) of a data directory.", no_args_is_help=True)
app.add_typer(store_app, name="store")

Data = Annotated[
    Path | None,
    typer.Option("--data", metavar="DIR", help="Data directory [default: LABCTL_DATA, the station's]"),
]
StationFile = Annotated[
    Path | None,
    typer.Option("--station", metavar="FILE", help="Station file [default: the simulated station]"),
]
CellFile = Annotated[
    Path | None, typer.Option("--cell", metavar="FILE", help="Cell file [default: the coated example cell]")
]
Json = Annotated[bool, typer.Option("--json", help="Machine-readable output")]
Reference = Annotated[str, typer.Argument(metavar="UID", help="Run: uid, its beginning, last, last-1, ...")]
Screenshot = Annotated[
    Path | None, typer.Option("--screenshot", metavar="FILE", help="Draw into a .png or .svg file")
]
Panel = Annotated[
    str | None,
    typer.Option("--panel", metavar="NAME", help="Show this panel only, e.g. nyquist; several with commas"),
]
Detach = Annotated[
    bool, typer.Option("--detach", help="Check here, run in the background, independent of this terminal")
]
Theme = Annotated[str, typer.Option("--theme", help="system, dark or light")]
Size = Annotated[str, typer.Option("--size", metavar="WxH", help="Size of the window or picture in pixels")]


@app.command()
def run(
    plan: Annotated[str, typer.Argument(help="Registered plan, e.g. gitt, or a protocol file (.json)")],
    station: StationFile = None,
    cell: CellFile = None,
    parameters: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="A parameter of the plan; repeatable"),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check and estimate it; nothing is moved or measured")
    ] = False,
    data: Data = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Use a private simulated bench, which ends with the run")
    ] = False,
    detach: Detach = False,
    save_protocol: Annotated[
        Path | None, typer.Option("--save-protocol", metavar="FILE", help="With --dry-run: write it as JSON")
    ] = None,
) -> None:
    """Run a plan on a station with a cell; `labctl plans` lists them, `labctl plans NAME` explains one.

    Ctrl-C, SIGTERM and a closed terminal (SIGHUP) end the run in order: the circuit is opened, the stop
    document gives the reason, the exit code is 1. Under nohup and with --detach a closed terminal
    has no effect.
    """
    request = _end_request(dry_run=dry_run, detach=detach)
    from labctl.commands.run import run_plan

    options = {"dry_run": dry_run, "fresh": fresh, "detach": detach, "save_protocol": save_protocol}
    _leave(run_plan(plan, station, cell, parameters or [], data, request, **options))


@app.command()
def plans(name: Annotated[str | None, typer.Argument(metavar="[NAME]")] = None) -> None:
    """List the registered plans, or explain one with its parameters, units and defaults."""
    from labctl.commands.plans import show_plans

    _leave(show_plans(name))


@app.command()
def protocol(
    source: Annotated[Path, typer.Argument(metavar="IN", help="Protocol file (labctl or aurora-unicycler)")],
    target: Annotated[Path, typer.Argument(metavar="OUT", help="File to write; must not be there")],
    form: Annotated[str, typer.Option("--form", help="labctl or unicycler")] = "labctl",
) -> None:
    """Convert a protocol file between labctl's form and aurora-unicycler's."""
    from labctl.commands.plans import convert_protocol

    _leave(convert_protocol(source, target, form))


@app.command()
def resume(
    uid: Reference = "last",
    station: StationFile = None,
    data: Data = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check, and show what is left to do")] = False,
    auto: Annotated[
        bool, typer.Option("--auto", help="Only if the station's last run was cut off and it may be resumed")
    ] = False,
    detach: Detach = False,
) -> None:
    """Resume a run that was cut off, failed, stopped or aborted, in a new run, from its first open step."""
    request = _end_request(dry_run=dry_run, detach=detach)
    from labctl.commands.resume import resume_run

    _leave(resume_run(uid, station, data, request, dry_run=dry_run, auto=auto, detach=detach))


@app.command()
def console(
    station: StationFile = None, cell: CellFile = None, data: Data = None, fresh: bool = False
) -> None:
    """Open an IPython session with RE, the devices, the plans and the store."""
    from labctl.commands.interrupt import CONSOLE_CLOSED, EndRequest
    from labctl.commands.terminal import outlive_terminal

    outlive_terminal()
    request = EndRequest(hang_up=CONSOLE_CLOSED).take_signals(interrupt=False)
    from labctl.commands.console import start_console

    _leave(start_console(station, cell, data, request, fresh=fresh))


@app.command()
def runs(
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="[WORD]...", help="Words in the documents of the run; case is ignored"),
    ] = None,
    cell: Annotated[str | None, typer.Option("--cell", metavar="ID", help="Only runs of this cell")] = None,
    coating: Annotated[
        str | None, typer.Option("--coating", metavar="NAME", help="Only cells with this coating, or bare")
    ] = None,
    plan: Annotated[str | None, typer.Option("--plan", metavar="NAME", help="Only runs of this plan")] = None,
    station: Annotated[
        str | None, typer.Option("--station", metavar="NAME", help="Only runs of this station")
    ] = None,
    status: Annotated[
        str | None,
        typer.Option(
            "--status",
            metavar="STATE",
            help="running, paused, finished, stopped, failed, aborted, interrupted, unreadable",
        ),
    ] = None,
    tag: Annotated[str | None, typer.Option("--tag", metavar="TAG", help="Only runs with this tag")] = None,
    since: Annotated[
        str | None, typer.Option("--since", metavar="DATE", help="2026-10-01, or 7d for the last 7 days")
    ] = None,
    until: Annotated[
        str | None, typer.Option("--until", metavar="DATE", help="Up to the end of this day (UTC)")
    ] = None,
    data: Data = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="Runs on a page")] = 20,
    page: Annotated[int, typer.Option("--page", min=1, help="1 shows the newest")] = 1,
    json: Json = False,
) -> None:
    """List the runs of the data directory, newest first, all or those that match."""
    from labctl.commands.runs import run_query, show_runs

    query = run_query(words or [], cell, coating, plan, station, status, tag, since, until)
    _leave(show_runs(data, limit=limit, page=page, query=query, as_json=json))


@app.command()
def show(uid: Reference = "last", data: Data = None, json: Json = False) -> None:
    """Show one run: cell, plan, steps, state, alarms."""
    from labctl.commands.runs import show_run

    _leave(show_run(uid, data, as_json=json))


@app.command()
def live(
    uid: Annotated[str | None, typer.Argument(metavar="[UID]")] = None,
    data: Data = None,
    screenshot: Screenshot = None,
    size: Size = "1280x720",
    panel: Panel = None,
    theme: Theme = "system",
) -> None:
    """Open the live window on the newest run (or UID)."""
    from labctl.commands.window import open_live

    _leave(open_live(uid, data, screenshot=screenshot, size=size, theme=theme, panel=panel))


@app.command()
def replay(
    uid: Reference = "last",
    speed: Annotated[
        str, typer.Option("--speed", metavar="N", help="Cell time per wall time, or max")
    ] = "max",
    source: Annotated[str, typer.Option("--source", help="auto, journal or tiled")] = "auto",
    data: Data = None,
    screenshot: Screenshot = None,
    size: Size = "1280x720",
    panel: Panel = None,
    theme: Theme = "system",
) -> None:
    """Show a stored run in the window at a chosen speed."""
    from labctl.commands.window import open_replay

    _leave(
        open_replay(
            uid,
            data,
            speed=speed,
            source=source,
            screenshot=screenshot,
            size=size,
            theme=theme,
            panel=panel,
        )
    )


@app.command()
def analyze(uid: Reference = "last", data: Data = None, json: Json = False) -> None:
    """Analyse a run: GITT, ICI, cycles, DCIR, impedance, conductivity, tortuosity, polarisation."""
    from labctl.commands.analyze import analyze_stored

    _leave(analyze_stored(uid, data, as_json=json))


@app.command()
def check(station: Annotated[Path, typer.Argument(metavar="STATION")], data: Data = None) -> None:
    """Connect to every device of a station; show its identity, a reading, and what is wrong."""
    from labctl.commands.check import check_station

    _leave(check_station(station, data))


@app.command()
def off(station: Annotated[Path, typer.Argument(metavar="STATION")], data: Data = None) -> None:
    """Open every circuit of a station NOW, and verify that the outputs are off.

    A process that uses the station is requested to end: a run is aborted in
    order, with its circuit open within 2 s; a console ends. A process that
    has not released the station after 5 s is killed; the circuits are open
    within 2 s then. Every cycler is taken over, its program ended, its
    output switched off and read back. Temperature and stack pressure are
    left unchanged.

    Exit codes: 0 every output was read back off; 1 something could not be
    done, and is reported; 2 wrong usage.
    """
    from labctl.commands.off import switch_off

    _leave(switch_off(station, data))


@app.command()
def sim(
    station: Annotated[Path | None, typer.Argument(metavar="[STATION]")] = None,
    data: Data = None,
    cell: CellFile = None,
    speed: Annotated[str | None, typer.Option("--speed", help="Cell time per wall time, or max")] = None,
    inject: Annotated[
        list[str] | None,
        typer.Option("--inject", metavar="ROLE:FAULT[:NAME=VALUE,...]", help="Arm a fault; repeatable"),
    ] = None,
    stop: Annotated[bool, typer.Option("--stop", help="Save the cell and end the bench")] = False,
    json: Json = False,
) -> None:
    """Start or find the simulated bench of a station and show its state."""
    from labctl.commands.bench import show_bench

    _leave(show_bench(station, data, cell, speed=speed, faults=inject or [], stop=stop, as_json=json))


@app.command()
def export(
    uids: Annotated[
        list[str] | None, typer.Argument(metavar="UID...", help="Runs: uids, their beginnings, last, last-1")
    ] = None,
    format: Annotated[str, typer.Option("--format", help="bdf, parquet, csv, xlsx or hdf5")] = "bdf",
    output: Annotated[Path, typer.Option("--output", metavar="DIR", help="Directory of the files")] = Path(),
    campaign: Annotated[
        str | None, typer.Option("--campaign", metavar="UID", help="All runs of this campaign")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace files that exist")] = False,
    data: Data = None,
) -> None:
    """Write runs to files of other tools, with their conditions."""
    from labctl.commands.exchange import export_runs

    _leave(export_runs(uids or [], data, format=format, output=output, campaign=campaign, force=force))


@app.command("import")
def import_(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...")],
    cell: Annotated[
        Path | None, typer.Option("--cell", metavar="FILE", help="Record of the cell that was measured")
    ] = None,
    format: Annotated[
        str | None, typer.Option("--format", help="bdf, mpt or csv [default: from the file]")
    ] = None,
    columns: Annotated[
        Path | None, typer.Option("--columns", metavar="FILE", help="Column map of a csv file")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Import a file again that was imported before")
    ] = False,
    data: Data = None,
) -> None:
    """Import files of other programs as runs: BDF, BioLogic .mpt, any CSV with a column map."""
    from labctl.commands.exchange import import_files

    _leave(import_files(files, data, format=format, cell=cell, columns=columns, force=force))


@app.command()
def recover(data: Data = None) -> None:
    """Close runs whose process has ended: a stop document is added, no data are removed."""
    from labctl.commands.runs import recover_runs

    _leave(recover_runs(data))


@app.command()
def verify(uid: Reference = "last", data: Data = None, json: Json = False) -> None:
    """Compare the journal of a run with the document store, row by row."""
    from labctl.commands.verify import verify_stored

    _leave(verify_stored(uid, data, as_json=json))


@app.command()
def demo(
    data: Data = None,
    pulses: Annotated[int, typer.Option(min=1, max=60)] = 20,
    window: Annotated[bool, typer.Option(help="Open the live window if there is a screen")] = True,
) -> None:
    """Run a GITT on a simulated coated pellet: wire, journal, store, window, diffusivity."""
    request = _end_request()
    from labctl.commands.demo import run_demo

    _leave(run_demo(data, request, pulses=pulses, window=window))


@store_app.command("status")
def store_status(data: Data = None, json: Json = False) -> None:
    """Show whether the store runs, its address, and what is shipped."""
    from labctl.commands.store import show_status

    _leave(show_status(data, as_json=json))


@store_app.command("serve")
def store_serve(data: Data = None) -> None:
    """Start the store (it is also started when it is first needed)."""
    from labctl.commands.store import serve

    _leave(serve(data))


@store_app.command("stop")
def store_stop(data: Data = None) -> None:
    """End the store of this data directory."""
    from labctl.commands.store import stop

    _leave(stop(data))


def _end_request(*, dry_run: bool = False, detach: bool = False) -> EndRequest:
    """What signals ask of a command that measures, from now on: before anything else is imported.

    A dry run moves nothing; signals end it at once, as any other command. A terminal that is closed while a
    detached run starts ends the command alone.
    """
    from labctl.commands.interrupt import EndRequest
    from labctl.commands.terminal import outlive_terminal

    if dry_run:
        return EndRequest()
    outlive_terminal()
    return EndRequest().take_signals(hang_up=not detach)


def _leave(code: int) -> None:
    if code:
        raise typer.Exit(code)


def _tell(error: LabctlError) -> None:
    """One line that begins with the program's name, once."""
    text = printable(error, lines=True)
    sys.stderr.write(text + "\n" if text.startswith(("labctl ", "labctl:")) else f"labctl: {text}\n")


def main() -> None:
    """Entry point: one clear line for what went wrong; exit code 2 for wrong usage or configuration."""
    try:
        app()
    except (ConfigurationError, ProtocolError, PortInUseError) as error:
        _tell(error)
        sys.exit(2)
    except LabctlError as error:
        _tell(error)
        sys.exit(1)
    except BrokenPipeError:  # `labctl runs | head`
        sys.exit(0)
    except OSError as error:
        if error.errno not in _MEDIUM or error.filename is None:
            raise
        sys.stderr.write(printable(f"labctl: {error.filename}: cannot be written: {error.strerror}") + "\n")
        sys.exit(1)
