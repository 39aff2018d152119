"""A session: one station with one cell, its devices, and a RunEngine whose only subscriber is the journal."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, cast

from labctl.clock import Clock, MonotonicClock
from labctl.equipment import Bench, Cycler, Device, Environment
from labctl.errors import MAY_BE_CLOSED, ConfigurationError, DeviceError, PortInUseError
from labctl.host_time import HOST
from labctl.journal.writer import Journal
from labctl.plugins import installed_versions, load_bench, load_driver
from labctl.records.cell import Cell
from labctl.records.limits import Limits
from labctl.records.station import NO_ADDRESS, Station
from labctl.version import __version__

if TYPE_CHECKING:
    from bluesky import RunEngine


def end_open_run(engine: RunEngine, reason: str, timeout_second: float = 10.0) -> None:
    """A run that is paused, or goes on though nobody waits for it any more, gets its stop document.

    Args:
        engine: the RunEngine.
        reason: what the stop document says.
        timeout_second: how long to wait for its end.
    """
    asked, patience = False, threading.Event()
    for _ in range(int(timeout_second / _LOOK_SECOND)):
        state = str(engine.state)
        if state in ("idle", "panicked"):
            return
        if state == "paused" or (state == "running" and not asked):
            asked = True
            with contextlib.suppress(RuntimeError):  # it has changed its state just now
                engine.abort(reason)
        patience.wait(_LOOK_SECOND)


logger = logging.getLogger(__name__)
_LOOK_SECOND = 0.05  # between looks at a RunEngine that is to end
_VERSIONED = ("bluesky", "ophyd", "event-model", "numpy")


@dataclass
class Session:
    """What a person works with; made by `open_session`, which also takes it down again."""

    station: Station
    cell: Cell
    data_directory: Path
    RE: RunEngine
    journal: Journal
    devices: dict[str, Device] = field(default_factory=dict)
    bench: Bench | None = None

    @property
    def cycler(self) -> Cycler:
        """The station's cycler."""
        return _cycler_of(self.devices)

    @property
    def environment(self) -> Environment | None:
        """The station's heated pressure cell, None without one."""
        return cast(Environment | None, self.devices.get("environment"))

    @property
    def circuit_state(self) -> str:
        """Whether the circuit is open, as far as the cycler knows, and what to do if it is not."""
        closed = getattr(self.cycler, "cell_on", None)
        return f"the circuit {MAY_BE_CLOSED}" if closed is None or closed.get() else "the circuit is open"


@contextmanager
def open_session(
    station: Station,
    cell: Cell,
    data_directory: Path,
    *,
    fresh_bench: bool = False,
    connect: bool = True,
    start_bench: bool | None = None,
    context_managers: Sequence[Callable[[RunEngine], AbstractContextManager[object]]] = (),
    still_wanted: Callable[[], object] = lambda: None,
) -> Iterator[Session]:
    """Open the station: bench if it is simulated, devices by their registered drivers, journal, RunEngine.

    Args:
        station: the station record.
        cell: the cell in it; its limits narrow the station's.
        data_directory: where runs go; created when missing.
        fresh_bench: a private simulated bench that ends with the session.
        connect: connect the devices; without, nothing on the wire is touched.
        start_bench: start the bench of a simulated station; by default when devices are connected.
        context_managers: of the RunEngine, for instance what Ctrl-C does.
        still_wanted: called before each step of the opening; what it raises ends the opening in order.

    Raises:
        ConfigurationError: a device cannot be reached, or its driver or options are wrong.
        PortInUseError: another process holds a port.
    """
    from bluesky import RunEngine

    from labctl.journal.validation import install_compiled_validators

    install_compiled_validators()
    with ExitStack() as stack:
        still_wanted()
        _know_all_drivers(station)
        bench: Bench | None = None
        if connect or start_bench:
            _make_directory(data_directory)
        if station.simulate is not None and (connect if start_bench is None else start_bench):
            bench = load_bench()(station, data_directory, fresh=fresh_bench)
            stack.callback(bench.close)
        clock: Clock = bench.clock if bench is not None else MonotonicClock()
        devices = _make_devices(station, cell, clock, bench)
        journal = Journal(data_directory, test_time=_cycler_of(devices).test_time_second)
        stack.callback(journal.close)
        engine = RunEngine({}, context_managers=list(context_managers))
        engine.record_interruptions = True  # a stream of its own says when the run is paused
        engine.md.update(_session_metadata(station, private_bench=fresh_bench))
        engine.subscribe(journal)
        session = Session(station, cell, data_directory, engine, journal, devices, bench)
        for role in sorted(devices, key=lambda role: bool(station.devices[role].uses)):
            device = devices[role]
            device.on_alarm = journal.alarm
            if connect:
                still_wanted()
                connect_device(station, role, device)
            stack.callback(device.disconnect)
        stack.callback(end_open_run, engine, "the session was closed")
        stack.enter_context(HOST.report_gaps(lambda gap: journal.alarm(**gap.as_alarm())))
        if bench is not None and connect:
            bench.mount(cell)  # only now: whoever holds the ports may change the cell
        yield session


def _cycler_of(devices: Mapping[str, Device]) -> Cycler:
    return cast(Cycler, devices["cycler"])  # the role says what its driver can do; every station has it


def _know_all_drivers(station: Station) -> None:
    where = str(station.path or station.name)
    for role, entry in station.devices.items():
        load_driver(entry.driver, where, f"devices.{role}.driver")


def _make_directory(directory: Path) -> None:
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(
            "data directory", "path", str(directory), f"cannot be made: {error}"
        ) from error


def _make_devices(station: Station, cell: Cell, clock: Clock, bench: Bench | None) -> dict[str, Device]:
    """All devices by role, those that others are made of first."""
    made: dict[str, Device] = {}
    limits = station.limits.narrowed_by(cell.limits)
    for role in sorted(station.devices, key=lambda role: bool(station.devices[role].uses)):
        entry = station.devices[role]
        if entry.uses:
            parts = {parameter: made[used] for parameter, used in entry.uses.items()}
            made[role] = make_device(station, role, limits, clock, pellet_area_m2=cell.area_m2, **parts)
        else:
            address = bench.addresses[role] if bench is not None else entry.address or NO_ADDRESS
            made[role] = make_device(station, role, limits, clock, address=address)
    return {role: made[role] for role in station.devices}


def make_device(station: Station, role: str, limits: Limits, clock: Clock, **given: object) -> Device:
    """The device of one role, by its registered driver; nothing is connected."""
    entry = station.devices[role]
    where = str(station.path or station.name)
    driver = load_driver(entry.driver, where, f"devices.{role}.driver")
    try:
        return driver(name=role, clock=clock, limits=limits, **given, **entry.options)
    except TypeError as error:
        raise ConfigurationError(where, f"devices.{role}.options", dict(entry.options), str(error)) from error


def connect_device(station: Station, role: str, device: Device) -> None:
    """Connect one device; where it cannot be reached, say which field of which file to look at."""
    try:
        device.connect()
    except PortInUseError:
        raise
    except DeviceError as error:
        where = str(station.path or station.name)
        field_name, value = f"devices.{role}.address", device.prefix
        if uses := station.devices[role].uses:
            field_name, value = f"devices.{role}.uses", ", ".join(uses.values())
        said = str(error).removeprefix(f"{device.prefix}: ")
        raise ConfigurationError(where, field_name, value, said) from error


def _session_metadata(station: Station, *, private_bench: bool) -> dict[str, object]:
    described: dict[str, object] = {"name": station.name, "simulated": station.simulate is not None}
    if described["simulated"]:
        described["private_bench"] = private_bench
    return {
        "station": described,
        "versions": {"labctl": __version__, **installed_versions(_VERSIONED)},
    }
