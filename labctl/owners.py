"""Who runs a station: the processes that hold its ports or write its runs, asked to end, or ended."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from labctl.journal_ends import first_document
from labctl.journal_format import LOCK_NAME
from labctl.platform import FileLock, ask_to_end, end_by_force, has_ended, is_locked, port_locks
from labctl.recovery import is_run_directory, run_names
from labctl.run_summary import station_name

ANSWER_WITHIN_SECOND = 5.0
_GONE_WITHIN_SECOND = 2.0  # after SIGKILL
_LOOK_SECOND = 0.02


@dataclass
class Owner:
    """A process that holds locks of a station.

    Attributes:
        pid: Its process id.
        what: What it holds, for people.
        locks: The files.
        refusal: Why it could not be asked or ended; "" if it could.
    """

    pid: int
    what: str
    locks: list[FileLock] = field(default_factory=list)
    refusal: str = ""

    @property
    def holds_on(self) -> bool:
        """Whether it still holds any of them."""
        return any(lock.holder_pid() == self.pid for lock in self.locks)

    def ask(self) -> None:
        """Ask it to end in order; one that is stopped (SIGSTOP, Ctrl-Z) is woken up for that."""
        self._try(ask_to_end)

    def force(self) -> None:
        """End it as it stands, and wait until the system has taken its locks from it."""
        self._try(end_by_force)
        if not self.refusal and not has_ended(self.pid, _GONE_WITHIN_SECOND) and self.holds_on:
            self.refusal = f"could not be killed within {_GONE_WITHIN_SECOND:g} s"

    def _try(self, action: Callable[[int], None]) -> None:
        try:
            action(self.pid)
        except ProcessLookupError:
            pass
        except PermissionError:
            self.refusal = "belongs to another user: it cannot be ended from here"


def run_writers(data_directory: Path, station: str) -> list[Owner]:
    """The processes that write runs of a station now."""
    found = list[Owner]()
    for run in run_names(data_directory):
        if is_locked(run / LOCK_NAME) and is_run_directory(run):
            lock, start = FileLock(run / LOCK_NAME), first_document(run)
            if station_name(start) == station and (pid := lock.holder_pid()) is not None:
                found.append(Owner(pid, f"run {run.name[:8]}", [lock]))
    return found


def port_holders(addresses: Iterable[str]) -> list[Owner]:
    """The processes that hold ports of a station now."""
    return [
        Owner(pid, f"port {address}", [lock])
        for address in addresses
        for lock in port_locks(address)
        if (pid := lock.holder_pid()) is not None
    ]


def merged(owners: Iterable[Owner]) -> list[Owner]:
    """One entry for each process."""
    by_pid: dict[int, Owner] = {}
    for owner in owners:
        if owner.pid not in by_pid:
            by_pid[owner.pid] = owner
        else:
            by_pid[owner.pid].locks += owner.locks
    return list(by_pid.values())


def wait_for(owners: Iterable[Owner], deadline: float) -> Iterator[tuple[Owner, bool]]:
    """Each owner once it has let go, with True; at `deadline` (time.monotonic) the others, with False."""
    waiting = [owner for owner in owners if not owner.refusal]
    while waiting:
        late = time.monotonic() >= deadline
        gone = [owner for owner in waiting if not owner.holds_on]
        yield from ((owner, True) for owner in gone)
        waiting = [owner for owner in waiting if owner not in gone]
        if late:
            yield from ((owner, False) for owner in waiting)
            return
        threading.Event().wait(_LOOK_SECOND)
