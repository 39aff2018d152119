"""`labctl off`: open every circuit of a station now, verify it, and report the result."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from labctl.clock import MonotonicClock
from labctl.commands.chosen import chosen_data, chosen_station, write
from labctl.equipment import Bench, OpensCircuit
from labctl.errors import DeviceError, LabctlError, PortInUseError, TransportError
from labctl.journal.format import LOCK_NAME
from labctl.journal.reader import first_document
from labctl.platform import FileLock, ask_to_end, end_by_force, has_ended, is_locked, port_locks
from labctl.records.station import Station
from labctl.runs.directory import is_run_directory, run_names
from labctl.runs.summary import station_name

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


_TRIES, _TRY_AGAIN_SECOND = 3, 0.3
_CUT_OFF = "interrupted: its process ended without a stop document; `labctl off` opened the circuit"


def switch_off(path: Path, data: Path | None) -> int:
    """Open every circuit of a station; 0 when each was read back open, 1 when something could not be done.

    Whoever runs the station is asked to end (SIGTERM: a run is aborted in order, a console ends), and is
    killed when it has not let go after `ANSWER_WITHIN_SECOND`. Then each cycler is connected to, its program
    ended, its circuit opened and read back.
    """
    station = chosen_station(path)
    return _Off(station, chosen_data(data, station)).run()


class _Off:
    """One `labctl off`: what was done, and whether all could be."""

    def __init__(self, station: Station, directory: Path) -> None:
        self._station, self._directory = station, directory
        self._bench: Bench | None = None
        self._good = True
        self._asked: dict[int, tuple[Owner, float]] = {}

    def run(self) -> int:
        with _undisturbed():
            self._ask(
                run_writers(self._directory, self._station.name)
            )  # first: nothing is known yet of ports
            self._find_bench()
            try:
                if self._station.simulate is None or self._bench is not None:
                    for role in self._circuits():
                        self._open(role)
                else:
                    self._part_owners()
                    self._no_bench()
            finally:
                if self._bench is not None:
                    self._bench.close()
        if len(self._station.devices) > 1:
            write("temperature and stack pressure are left unchanged")
        return 0 if self._good else 1

    def _failed(self, text: str) -> None:
        self._good = False
        write(text)

    # ---- whoever runs the station
    def _ask(self, owners: list[Owner]) -> None:
        for owner in merged(owners):
            known = self._asked.get(owner.pid)
            if known is not None:
                known[0].locks += owner.locks
                continue
            owner.ask()
            self._asked[owner.pid] = owner, time.monotonic()
            if owner.refusal:
                self._failed(f"process {owner.pid} ({owner.what}) {owner.refusal}")

    def _part_owners(self) -> None:
        """Wait until all that were asked have let go; those that do not are killed."""
        asked, self._asked = self._asked, {}
        deadline = max((moment for _, moment in asked.values()), default=0.0) + ANSWER_WITHIN_SECOND
        for owner, let_go in wait_for([owner for owner, _ in asked.values()], deadline):
            who = f"process {owner.pid} ({owner.what})"
            if let_go:
                write(f"{who}: was asked to end, and has released the station")
                continue
            owner.force()
            if owner.refusal:
                within = f"{ANSWER_WITHIN_SECOND:g} s"
                self._failed(f"{who} did not release the station within {within}, and {owner.refusal}")
            else:
                write(f"{who}: did not release the station within {ANSWER_WITHIN_SECOND:g} s, and was killed")

    # ---- the simulated bench
    def _find_bench(self) -> None:
        from labctl.plugins import load_bench

        if self._station.simulate is not None:
            try:
                self._bench = load_bench()(self._station, self._directory, start=False)
            except LabctlError as error:
                self._failed(f"the bench of station {self._station.name} cannot be reached: {error}")

    def _no_bench(self) -> None:
        if self._good:
            write(f"no bench of station {self._station.name} is running in {self._directory}: nothing is on")

    # ---- instruments
    def _circuits(self) -> list[str]:
        """The roles that can close a circuit."""
        from labctl.plugins import load_driver

        where, found = str(self._station.path or self._station.name), list[str]()
        for role, entry in self._station.devices.items():
            if hasattr(load_driver(entry.driver, where, f"devices.{role}.driver"), "confirm_open"):
                found.append(role)
        self._ask(port_holders(address for role in found if (address := self._address(role))))
        return found

    def _address(self, role: str) -> str | None:
        if self._bench is not None:
            return self._bench.addresses.get(role)
        return self._station.devices[role].address

    def _open(self, role: str) -> None:
        address = self._address(role)
        if address is None:
            self._failed(f"{role}: the bench that is running has no such instrument")
            return
        for number in range(_TRIES):
            self._part_owners()
            try:
                self._take_over(role, address)
                return
            except (PortInUseError, TransportError) as error:
                if number == _TRIES - 1:
                    self._failed(f"{role}: output NOT verified off: {error}")
                self._ask(port_holders([address]))
                threading.Event().wait(_TRY_AGAIN_SECOND)
            except DeviceError as error:
                self._failed(f"{role}: output NOT verified off: {error}")
                return

    def _take_over(self, role: str, address: str) -> None:
        from labctl.session import make_device

        clock = self._bench.clock if self._bench is not None else MonotonicClock()
        made = make_device(self._station, role, self._station.limits, clock, address=address)
        device = cast(OpensCircuit, made)  # as its driver says, or it would not be asked
        try:
            device.connect()  # which ends what runs there and opens the circuit, confirmed
            write(f"{role}: {device.confirm_open()}")
            if role == "cycler":
                self._close_cut_off_run(device)
        finally:
            device.disconnect()

    def _close_cut_off_run(self, device: OpensCircuit) -> None:
        """The station's last run, if its process died: what flowed until now belongs to it."""
        from labctl.runs.listing import list_runs
        from labctl.runs.recovery import ends_with_stop, recover_run

        runs = list_runs(self._directory) if self._directory.is_dir() else []
        newest = next((run for run in runs if run.station == self._station.name), None)
        if newest is None or newest.has_writer or ends_with_stop(newest.directory):
            return
        found = {"found_clock_second": device.found_clock_second, "found_running": device.found_running}
        try:
            closed = recover_run(newest.directory, _CUT_OFF, found)
        except LabctlError as error:
            self._failed(str(error))
            return
        if closed is not None:
            uid = closed.uid[:8]
            write(f"run {uid} was cut off; `labctl resume {uid}` continues it")


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """A second `labctl off` and a terminal that closes do not cut this one short; it ends soon by itself."""
    numbers = [signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]
    previous = {number: signal.signal(number, signal.SIG_IGN) for number in numbers}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
