"""`labctl console`: IPython with the RunEngine, the station's devices, the plans and the store."""

from __future__ import annotations

import logging
import re
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

# What tells of the end of a run is here before the run is: the files on the disk may change meanwhile.
from bluesky.utils import FailedStatus, RunEngineInterrupted
from pydantic import ValidationError

from labctl.commands.chosen import chosen_cell, chosen_data, chosen_station, unrecorded_notes
from labctl.commands.interrupt import CONSOLE_CLOSED, EndRequest, PauseAtOnce
from labctl.commands.progress_bar import progress_bar
from labctl.commands.runs import show_run, show_runs
from labctl.commands.terminal import watch_terminal
from labctl.documents import RunTables, tables
from labctl.errors import MAY_BE_CLOSED, LabctlError
from labctl.journal.reader import follow
from labctl.plan_parameters import refusal
from labctl.plugins import load_plan, plan_names
from labctl.printable import printable
from labctl.runs.listing import find_run
from labctl.session import Session, end_open_run, open_session

_OUT_OF_TURN = re.compile(r"(The )?Run ?Engine is (already|in|the) ")  # bluesky's words for a wrong state
_WHEN_PAUSED = "RE.resume() continues it, RE.abort() or RE.stop() ends the run"


class ConsoleTools:
    """The functions of the console that are not plans; bound to the session's data directory."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._data = session.data_directory
        self._windows: list[subprocess.Popen[bytes]] = []

    def runs(self, limit: int = 20) -> None:
        """List the newest runs."""
        show_runs(self._data, limit=limit, as_json=False)

    def show(self, uid: str = "last") -> None:
        """Show one run and its steps; `uid` may be shortened, or "last", "last-1"."""
        show_run(uid, self._data, as_json=False)

    def data(self, uid: str = "last") -> RunTables:
        """Columns of a run as arrays by BDF names, as in `.streams["timeseries"]["voltage_volt"]` (V)."""
        return tables(follow(find_run(self._data, uid).directory, live=False))

    def resume(self, uid: str = "last") -> Any:
        """What is left of an interrupted run, for `RE(resume())`."""
        from labctl.commands.resume import ancestry_of, resume_measurement

        return resume_measurement(self._session, ancestry_of(uid, self._data))

    def live(self) -> None:
        """Open the live window in a process of its own; closing it never touches a run."""
        self._window("live")

    def replay(self, uid: str = "last", speed: float | None = None) -> None:
        """Show a stored run again in a window; `speed` times cell time, None as fast as possible."""
        from labctl.store.client.store import Store

        full = Store(self._data).resolve(uid)
        self._window("replay", full, "--speed", "max" if speed is None else f"{speed:g}")

    def analyze(self, uid: str = "last") -> None:
        """Analyse a GITT run and print the result."""
        from labctl.commands.analyze import analyze_stored

        analyze_stored(uid, self._data, as_json=False)

    def _window(self, *arguments: str) -> None:
        command = [sys.executable, "-m", "labctl", *arguments, "--data", str(self._data)]
        self._windows = [window for window in self._windows if window.poll() is None]
        self._windows.append(subprocess.Popen(command, start_new_session=True, stdin=subprocess.DEVNULL))


def console_namespace(session: Session) -> dict[str, Any]:
    """The names a person finds in the console."""
    from labctl.store.client.store import Store

    tools = ConsoleTools(session)
    plans = {name: load_plan(name) for name in plan_names()}
    return {
        "RE": session.RE,
        "session": session,
        "station": session.station,
        "cell": session.cell,
        "store": Store(session.data_directory),
        "runs": tools.runs,
        "show": tools.show,
        "data": tools.data,
        "resume": tools.resume,
        "live": tools.live,
        "replay": tools.replay,
        "analyze": tools.analyze,
        **session.devices,
        **plans,
    }


def start_console(
    station_file: Path | None,
    cell_file: Path | None,
    data: Path | None,
    request: EndRequest,
    *,
    fresh: bool = False,
) -> int:
    """Open the session and hand over to IPython; the devices are disconnected when it ends.

    A run that is going on or paused then gets its stop document. The exit code is 1 when `request` ended it.
    """
    station = chosen_station(station_file)
    cell = chosen_cell(cell_file, station)
    directory = chosen_data(data, station)
    with open_session(
        station,
        cell,
        directory,
        fresh_bench=fresh,
        context_managers=[PauseAtOnce],
        still_wanted=request.require_none,
    ) as session:
        from labctl.store.server.service import start_service_in_background

        start_service_in_background(directory, station)
        session.RE.context_managers.append(lambda _: progress_bar(session, transient=True, remarks=True))
        try:
            _talk(session, request)
        finally:
            request.take_signals()  # what follows is not to be broken off by Ctrl-C either
            end_open_run(session.RE, request.reason or "the console was closed")
    return 1 if request.reason else 0


def _talk(session: Session, request: EndRequest) -> None:
    """IPython until a person leaves it, or `request` is made: that one ends a run first."""
    from IPython.terminal.ipapp import TerminalIPythonApp
    from traitlets.config import Config

    config = Config()
    config.TerminalInteractiveShell.banner1 = _banner(session)
    config.TerminalIPythonApp.display_banner = True
    application = TerminalIPythonApp.instance(user_ns=console_namespace(session), config=config)
    application.initialize(argv=[])
    shell: Any = application.shell
    quiet_errors(shell)
    shell.events.register("post_run_cell", lambda _: shell.ask_exit() if request.reason else None)
    over = threading.Event()
    watch_terminal(lambda: request.ask(CONSOLE_CLOSED), over)
    try:
        with request.leaving(session.RE):
            application.start()
    finally:
        over.set()


def quiet_errors(shell: Any) -> None:
    """Tell in a line, without traceback: errors on purpose, wrong parameters, the RunEngine out of turn."""
    logging.getLogger("bluesky").setLevel(logging.CRITICAL)  # the same failures, with tracebacks
    told = (RunEngineInterrupted, FailedStatus, LabctlError, ValidationError, RuntimeError)

    def tell(shell: Any, kind: type, error: BaseException, trace: Any, **options: Any) -> None:
        line = _line_of(error, shell.user_ns.get("RE"), shell.user_ns.get("session"))
        if line is None:
            shell.showtraceback((kind, error, trace), **options)
        else:
            sys.stderr.write(printable(line, lines=True) + "\n")

    shell.set_custom_exc(told, tell)


def _line_of(error: BaseException, engine: Any, session: object) -> str | None:
    """What is told of an error; None where its traceback is worth seeing."""
    state = session.circuit_state if isinstance(session, Session) else f"the circuit {MAY_BE_CLOSED}"
    if isinstance(error, RunEngineInterrupted):
        if getattr(engine, "state", "") == "paused":
            return f"interrupted, {state}: {_WHEN_PAUSED}"
        return "the run has ended early; show() gives the reason"
    if isinstance(error, ValidationError):
        return refusal(error, load_plan(error.title) if error.title in plan_names() else None)
    if isinstance(error, FailedStatus):
        return f"{error.__cause__ or error}; {state}"
    if isinstance(error, LabctlError):
        return str(error)
    return _out_of_turn(error, engine)


def _out_of_turn(error: BaseException, engine: Any) -> str | None:
    """What to type instead, where the RunEngine was asked for what its state does not allow."""
    if not _OUT_OF_TURN.match(str(error)):
        return None
    if getattr(engine, "state", "") == "paused":
        return f"a run is paused: {_WHEN_PAUSED}; then the next may start"
    return "nothing is running or paused; RE(gitt(cycler, cell=cell)) starts a run"


def _banner(session: Session) -> str:
    coating = session.cell.coating.material if session.cell.coating else "bare"
    plans = ", ".join(plan_names())
    return (
        f"labctl: station {session.station.name}, cell {session.cell.id} ({coating}), "
        f"data in {session.data_directory}\n"
        f"  plans: {plans}\n"
        "  e.g. RE(gitt(cycler, cell=cell, pulses=3))    help: gitt?\n"
        "  live()  runs()  show()  replay()  analyze()  data()  resume()  store\n"
        "  Ctrl-C opens the circuit and pauses; then RE.resume(), RE.abort() or RE.stop()\n"
        + "".join(f"  note: {note}\n" for note in unrecorded_notes(session.station))
    )
