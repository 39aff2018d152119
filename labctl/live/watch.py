"""The runs of a data directory, looked at in a thread of their own, and which of them to show."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from labctl.errors import LabctlError
from labctl.journal_format import LOCK_NAME
from labctl.live.status import State, state_of_stop
from labctl.live.text import grouped
from labctl.platform import is_locked
from labctl.runs import RunSummary, list_runs

_POLL_SECOND = 2.0
_RUNS_LISTED = 60
_JOIN_TIMEOUT_SECOND = 2.0


@dataclass(frozen=True)
class Listing:
    """What was found: runs, newest first; whether the shown run has a living writer; what went wrong."""

    runs: tuple[RunSummary, ...] = ()
    writer_alive: bool = True
    error: str = ""


@dataclass(frozen=True)
class ChannelRow:
    """One row of the channel list; `run` is None for a heading."""

    title: str
    subtitle: str = ""
    state: State | None = None
    run: RunSummary | None = None

    @property
    def uid(self) -> str:
        """The run's uid, "" for a heading."""
        return self.run.uid if self.run else ""


class RunWatcher:
    """Looks at a data directory every two seconds; read `latest` from any thread."""

    def __init__(self, data_directory: Path) -> None:
        self._data = data_directory
        self._halt, self._look_now = threading.Event(), threading.Event()
        self._focus: Path | None = None
        self.latest: Listing | None = None
        self._thread = threading.Thread(target=self._watch, name="live-watcher", daemon=True)
        self._thread.start()

    def focus(self, run_directory: Path | None) -> None:
        """Name the run whose writer is watched."""
        self._focus = run_directory
        self._look_now.set()

    def _watch(self) -> None:
        while not self._halt.is_set():
            self._look_now.clear()
            self.latest = look(self._data, self._focus)
            self._look_now.wait(_POLL_SECOND)

    def close(self) -> None:
        """End the watching."""
        self._halt.set()
        self._look_now.set()
        self._thread.join(_JOIN_TIMEOUT_SECOND)


def look(data_directory: Path, focus: Path | None) -> Listing:
    """What is in the data directory now; trouble is told in the listing, never raised."""
    try:
        alive = focus is None or is_locked(focus / LOCK_NAME)
        return Listing(tuple(list_runs(data_directory, limit=_RUNS_LISTED)), alive)
    except (LabctlError, OSError, ValueError, KeyError) as error:
        return Listing(error=f"{data_directory} cannot be listed: {error}")


def newest(runs: Sequence[RunSummary]) -> RunSummary | None:
    """The run to open on: the newest that runs, else the newest."""
    return next((run for run in runs if run.status == "running"), runs[0] if runs else None)


def successor(shown_uid: str, runs: Sequence[RunSummary]) -> RunSummary | None:
    """The run to go over to: a newer one of the same station or, once the shown one has ended, of any."""
    shown = next((run for run in runs if run.uid == shown_uid), None)
    if shown is None:
        return newest(runs) if not shown_uid else None
    newer = [run for run in runs if run.start_unix_second > shown.start_unix_second]
    same = [run for run in newer if run.station == shown.station]
    return newest(same) or (newest(newer) if shown.status != "running" else None)


def state_of(run: RunSummary) -> State:
    """The state of a listed run."""
    if run.status in ("running", "interrupted"):
        return run.status
    exit_status = {"finished": "success", "aborted": "abort"}.get(run.status, "fail")
    return state_of_stop(exit_status, run.reason)


def channel_rows(runs: Sequence[RunSummary]) -> list[ChannelRow]:
    """The newest run of each station, then the earlier runs; each part under its heading."""
    stations: dict[str, RunSummary] = {}
    for run in runs:
        stations.setdefault(run.station, run)
    current = list(stations.values())
    rows = [ChannelRow("Stations"), *(_station_row(run) for run in current)] if current else []
    earlier = [run for run in runs if run not in current]
    if earlier:
        rows += [ChannelRow("Earlier runs"), *(_run_row(run) for run in earlier)]
    return rows


def _station_row(run: RunSummary) -> ChannelRow:
    what = " · ".join(part for part in (run.plan_name, run.cell_id) if part)
    return ChannelRow(run.station or "unnamed station", what, state_of(run), run)


def _run_row(run: RunSummary) -> ChannelRow:
    title = " · ".join(part for part in (run.plan_name, run.cell_id) if part) or run.uid[:8]
    began = datetime.fromtimestamp(run.start_unix_second).astimezone()
    return ChannelRow(title, f"{began:%d %b %Y %H:%M} · {grouped(run.points)} points", state_of(run), run)
