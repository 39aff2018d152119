"""The runs of a data directory, read in a separate thread, and the choice of the one to show."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from math import inf
from pathlib import Path

from labctl.errors import LabctlError
from labctl.journal.format import LOCK_NAME
from labctl.live.model.newest import ChannelReading, NewestReader
from labctl.live.model.status import State, longest_silence_second
from labctl.live.text import grouped
from labctl.platform import is_locked
from labctl.runs.directory import run_names
from labctl.runs.listing import list_runs, summary_of
from labctl.runs.summary import RunSummary

_POLL_SECOND = 2.0
_RUNS_LISTED = 60
_FIRST_DOCUMENT_SECOND = 10.0
_LIST_AGAIN_SECOND = 20.0  # a run may be closed by another process, or its journal removed
_JOIN_TIMEOUT_SECOND = 2.0


@dataclass(frozen=True)
class Listing:
    """What was found.

    Attributes:
        runs: The newest runs, newest first, and the newest run of every station.
        writer_alive: Whether the shown run has a living writer.
        error: What went wrong.
        readings: What the ends of the journals of the stations' newest runs say, by uid.
        unix_second: Wall time of the look.
    """

    runs: tuple[RunSummary, ...] = ()
    writer_alive: bool = True
    error: str = ""
    readings: Mapping[str, ChannelReading] = field(default_factory=dict)
    unix_second: float = 0.0


@dataclass(frozen=True)
class ChannelRow:
    """One row of the channel list; `run` is None for a heading, `reading` for all but channels."""

    title: str
    subtitle: str = ""
    state: State | None = None
    run: RunSummary | None = None
    reading: ChannelReading | None = None

    @property
    def uid(self) -> str:
        """The run's uid, "" for a heading."""
        return self.run.uid if self.run else ""


class RunWatcher:
    """Looks at a data directory every two seconds; read `latest` from any thread."""

    def __init__(self, data_directory: Path) -> None:
        self._lookout = Lookout(data_directory)
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
            self.latest = self._lookout.look(self._focus)
            self._look_now.wait(_POLL_SECOND)

    def close(self) -> None:
        """End the watching."""
        self._halt.set()
        self._look_now.set()
        self._thread.join(_JOIN_TIMEOUT_SECOND)


class Lookout:
    """Looks at a data directory again and again; what has not changed is not read again."""

    def __init__(self, data_directory: Path) -> None:
        self._data = data_directory
        self._pulses: dict[str, NewestReader] = {}
        self._runs: tuple[RunSummary, ...] = ()
        self._names: list[Path] = []
        self._count = 0
        self._added_at = self._listed_at = -inf

    def look(self, focus: Path | None) -> Listing:
        """What is there now; trouble is told in the listing, never raised."""
        try:
            alive = focus is None or is_locked(focus / LOCK_NAME)
            self._runs = self._listed()
            return Listing(self._runs, alive, "", self._read(channels(self._runs)), time.time())
        except (LabctlError, OSError, ValueError, KeyError) as error:
            return Listing(error=f"{self._data} cannot be listed: {error}")

    def _listed(self) -> tuple[RunSummary, ...]:
        """All runs are gone through when one has been added, and now and then; else only those that run."""
        names, now = run_names(self._data), time.monotonic()
        if names != self._names:
            self._names, self._added_at = names, now
        # A run that has no document yet is not in the list: it is looked for again.
        expected = self._count < len(names) and now - self._added_at < _FIRST_DOCUMENT_SECOND
        if self._added_at == now or expected or now - self._listed_at > _LIST_AGAIN_SECOND:
            everything = list_runs(self._data)
            self._count, self._listed_at = len(everything), now
            return newest_runs(everything)
        return tuple(summary_of(run.directory) if run.has_writer else run for run in self._runs)

    def _read(self, runs: Sequence[RunSummary]) -> dict[str, ChannelReading]:
        readable = [run for run in runs if run.status != "unreadable"]
        self._pulses = {run.uid: self._pulses.get(run.uid) or NewestReader(run.directory) for run in readable}
        return {uid: pulse.read() for uid, pulse in self._pulses.items()}


def look(data_directory: Path, focus: Path | None) -> Listing:
    """What is in the data directory now; trouble is told in the listing, never raised."""
    return Lookout(data_directory).look(focus)


def newest_runs(everything: Sequence[RunSummary]) -> tuple[RunSummary, ...]:
    """The newest runs and, however old, the newest one of every station; newest first."""
    recent = everything[:_RUNS_LISTED]
    return (*recent, *(run for run in channels(everything) if run not in recent))


def channels(runs: Sequence[RunSummary]) -> list[RunSummary]:
    """The newest run of each station: one station is one channel."""
    stations: dict[str, RunSummary] = {}
    for run in runs:
        stations.setdefault(run.station, run)
    return list(stations.values())


def newest(runs: Sequence[RunSummary]) -> RunSummary | None:
    """The run to open on: the newest that runs, else the newest."""
    return next((run for run in runs if run.has_writer), runs[0] if runs else None)


def successor(shown_uid: str, runs: Sequence[RunSummary]) -> RunSummary | None:
    """The run to go over to: a newer one of the same station or, once the shown one has ended, of any."""
    shown = next((run for run in runs if run.uid == shown_uid), None)
    if shown is None:
        return newest(runs) if not shown_uid else None
    newer = [run for run in runs if run.start_unix_second > shown.start_unix_second]
    same = [run for run in newer if run.station == shown.station]
    return newest(same) or (newest(newer) if not shown.has_writer else None)


def state_of(run: RunSummary) -> State:
    """The state of a listed run."""
    return run.status


def state_now(run: RunSummary, reading: ChannelReading, now_unix_second: float) -> State:
    """The state of a channel: also whether it has tripped, is paused, or has been silent for too long."""
    state = state_of(run)
    if reading.tripped and state not in ("finished", "interrupted"):
        return "tripped"
    if not run.has_writer:
        return state
    if reading.paused:
        return "paused"
    last = reading.last_data_unix_second
    silent = last is not None and now_unix_second - last > longest_silence_second(reading.longest_gap_second)
    return "stale" if silent else "running"


def channel_rows(listing: Listing) -> list[ChannelRow]:
    """The newest run of each station, then the earlier runs; each part under its heading."""
    current = channels(listing.runs)
    rows = [ChannelRow("Channels"), *(_channel_row(run, listing) for run in current)] if current else []
    earlier = [run for run in listing.runs if run not in current]
    if earlier:
        rows += [ChannelRow("Earlier runs"), *(_run_row(run) for run in earlier)]
    return rows


def _channel_row(run: RunSummary, listing: Listing) -> ChannelRow:
    what = " · ".join(part for part in (run.cell_id, run.plan_name) if part)
    reading = listing.readings.get(run.uid, ChannelReading())
    state = state_now(run, reading, listing.unix_second)
    return ChannelRow(run.station or "unnamed station", what, state, run, reading)


def _run_row(run: RunSummary) -> ChannelRow:
    title = " · ".join(part for part in (run.plan_name, run.cell_id) if part) or run.uid[:8]
    began = datetime.fromtimestamp(run.start_unix_second).astimezone()
    return ChannelRow(title, f"{began:%d %b %Y %H:%M} · {grouped(run.points)} points", state_of(run), run)
