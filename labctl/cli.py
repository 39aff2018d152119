"""The command line. Only names and help are here; each command imports its work when it is called."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from labctl.errors import ConfigurationError, LabctlError, PortInUseError, ProtocolError

app = typer.Typer(
    name="labctl",
    help="Instrument control and acquisition for solid-state-battery pellets.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
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
    Path | None, typer.Option("--screenshot", metavar="FILE", help="Render to a PNG and leave")
]
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
        bool, typer.Option("--dry-run", help="Check and show what it takes; nothing moves")
    ] = False,
    data: Data = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="A private simulated bench")] = False,
    save_protocol: Annotated[
        Path | None, typer.Option("--save-protocol", metavar="FILE", help="With --dry-run: write it as JSON")
    ] = None,
) -> None:
    """Run a plan on a station with a cell; `labctl plans` lists them, `labctl plans NAME` explains one."""
    from labctl.commands.run import run_plan

    options = {"dry_run": dry_run, "fresh": fresh, "save_protocol": save_protocol}
    _leave(run_plan(plan, station, cell, parameters or [], data, **options))


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
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check and tell what is left")] = False,
    auto: Annotated[
        bool, typer.Option("--auto", help="Only if the station's last run was cut off and it may be resumed")
    ] = False,
) -> None:
    """Go on with an interrupted run from its first unfinished step, in a run of its own."""
    from labctl.commands.resume import resume_run

    _leave(resume_run(uid, station, data, dry_run=dry_run, auto=auto))


@app.command()
def console(
    station: StationFile = None, cell: CellFile = None, data: Data = None, fresh: bool = False
) -> None:
    """Open an IPython session with RE, the devices, the plans and the store."""
    from labctl.console import start_console

    _leave(start_console(station, cell, data, fresh=fresh))


@app.command()
def runs(data: Data = None, limit: int = 20, json: Json = False) -> None:
    """List the newest runs of the data directory."""
    from labctl.commands.runs import show_runs

    _leave(show_runs(data, limit=limit, as_json=json))


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
    theme: str = "dark",
) -> None:
    """Open the live window on the newest run (or UID)."""
    from labctl.commands.window import open_live

    _leave(open_live(uid, data, screenshot=screenshot, size=size, theme=theme))


@app.command()
def replay(
    uid: Reference = "last",
    speed: Annotated[str, typer.Option("--speed", metavar="N", help="Times cell time, or max")] = "max",
    source: Annotated[str, typer.Option("--source", help="auto, journal or tiled")] = "auto",
    data: Data = None,
    screenshot: Screenshot = None,
    size: Size = "1280x720",
    theme: str = "dark",
) -> None:
    """Show a stored run again, as if it happened now."""
    from labctl.commands.window import open_replay

    _leave(open_replay(uid, data, speed=speed, source=source, screenshot=screenshot, size=size, theme=theme))


@app.command()
def analyze(uid: Reference = "last", data: Data = None, json: Json = False) -> None:
    """Analyse a run: GITT pulses to diffusion times and diffusivities."""
    from labctl.commands.analyze import analyze_stored

    _leave(analyze_stored(uid, data, as_json=json))


@app.command()
def check(station: Annotated[Path, typer.Argument(metavar="STATION")], data: Data = None) -> None:
    """Connect to every device of a station and say what answers and what is wrong."""
    from labctl.commands.check import check_station

    _leave(check_station(station, data))


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
def recover(data: Data = None) -> None:
    """Close runs whose process died: a stop document is added, nothing is lost."""
    from labctl.commands.runs import recover_runs

    _leave(recover_runs(data))


@app.command()
def demo(
    data: Data = None,
    pulses: Annotated[int, typer.Option(min=1, max=60)] = 20,
    window: Annotated[bool, typer.Option(help="Open the live window if there is a screen")] = True,
) -> None:
    """Run a GITT on a simulated coated pellet: wire, journal, store, window, diffusivity."""
    from labctl.commands.demo import run_demo

    _leave(run_demo(data, pulses=pulses, window=window))


@store_app.command("status")
def store_status(data: Data = None, json: Json = False) -> None:
    """Whether the store runs, where, and how far it has come."""
    from labctl.commands.store import show_status

    _leave(show_status(data, as_json=json))


@store_app.command("serve")
def store_serve(data: Data = None) -> None:
    """Start the store (it is also started when first needed)."""
    from labctl.commands.store import serve

    _leave(serve(data))


@store_app.command("stop")
def store_stop(data: Data = None) -> None:
    """End the store of this data directory."""
    from labctl.commands.store import stop

    _leave(stop(data))


def _leave(code: int) -> None:
    if code:
        raise typer.Exit(code)


def main() -> None:
    """Entry point: one clear line for what went wrong; exit code 2 for wrong usage or configuration."""
    try:
        app()
    except (ConfigurationError, ProtocolError, PortInUseError) as error:
        sys.stderr.write(f"labctl: {error}\n")
        sys.exit(2)
    except LabctlError as error:
        sys.stderr.write(f"labctl: {error}\n")
        sys.exit(1)
    except BrokenPipeError:  # `labctl runs | head`
        sys.exit(0)
