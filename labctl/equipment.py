"""What a session asks of the devices of its station and of its bench; drivers have it, and labctl knows none.

What a program is only drivers and plans know: to them `devices.core.protocols` says more of a cycler.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, overload, runtime_checkable

from labctl.clock import Clock
from labctl.records.cell import Cell
from labctl.records.limits import Limits
from labctl.records.station import Station


@dataclass(frozen=True)
class Identity:
    """Who an instrument says it is."""

    maker: str
    model: str
    serial: str
    firmware: str

    def as_metadata(self) -> dict[str, str]:
        """For the start document."""
        return asdict(self)


class Device(Protocol):
    """Every device of a station."""

    on_alarm: Callable[..., None]
    """called with kind, source, value, limit and action when something is wrong"""

    @property
    def name(self) -> str:
        """Its role in the station."""
        ...

    @property
    def prefix(self) -> str:
        """Where it is; empty for one that is made of others."""
        ...

    @property
    def identity(self) -> Identity | None:
        """Who it says it is; None before it was connected."""
        ...

    def connect(self) -> object:
        """Open the port and learn who answers; DeviceError if nobody, or the wrong one, does."""
        ...

    def disconnect(self) -> None:
        """Let go of the port; may be called twice."""
        ...

    def check_reading(self) -> str:
        """One fresh reading with its unit; DeviceError when there is none."""
        ...

    def check_limits(self) -> str:
        """The limits in force, in words."""
        ...

    def metadata(self) -> dict[str, Any]:
        """For the start document."""
        ...


@runtime_checkable
class Limited(Protocol):
    """A device that refuses what lies beyond limits."""

    limits: Limits


@runtime_checkable
class TakesOver(Protocol):
    """A device that stops a program which it finds on its instrument, unless it is told not to."""

    take_over: bool


class Cycler(Device, Protocol):
    """The device that moves charge.

    Programs, what becomes of them, streams and statuses are the drivers' and the plans' own: labctl hands
    them on and looks into none.
    """

    dc: Any
    eis: Any
    found_clock_second: float | None
    """Station's clock (s) when the instrument was connected; None before, or where the driver cannot tell"""
    found_running: bool
    """whether somebody's program was running on it until then."""

    def check(self, program: Any) -> None:
        """Refuse what instrument, station or cell do not allow."""
        ...

    def prepare(self, value: Any) -> Any:
        """Check, compile and upload a program; its status."""
        ...

    def read(self) -> Any:
        """The last reading, as bluesky takes it."""
        ...

    def describe(self) -> Any:
        """Its data keys."""
        ...

    def stop(self, *, success: bool = False) -> None:
        """Open the circuit; never raises."""
        ...

    def start_run(self) -> None:
        """Begin a run: test time starts at 0."""
        ...

    def test_time_second(self) -> float:
        """The run's test time now."""
        ...

    def clock_second(self) -> float:
        """The station's clock now (s)."""
        ...

    @property
    def results(self) -> tuple[Any, ...]:
        """What became of the steps of the last program, in order."""
        ...


class OpensCircuit(Device, Protocol):
    """A device whose instrument can be asked whether its circuit is open, and says what it found there."""

    found_clock_second: float | None
    found_running: bool

    def confirm_open(self) -> str:
        """What the instrument itself says of its open circuit, asked now; DeviceError if that is not open."""
        ...


class Environment(Device, Protocol):
    """What surrounds the cell. Both settables take a value and options, and give a status of the driver's."""

    @property
    def temperature(self) -> Any:
        """Temperature of the die in degC, to be set."""
        ...

    @property
    def pressure(self) -> Any:
        """Stack pressure in Pa, to be set."""
        ...

    def check_temperature(self, celsius: float, ramp_kelvin_per_minute: float | None = None) -> None:
        """Refuse what is not allowed."""
        ...

    def check_pressure(self, stack_pa: float) -> None:
        """Refuse what is not allowed."""
        ...

    def stop(self, *, success: bool = False) -> None:
        """Abandon ramps and hold here; never raises."""
        ...

    def environment(self) -> dict[str, float]:
        """The latest row of the `environment` stream but its time; NaN where stale."""
        ...


class Bench(Protocol):
    """The simulated bench of a station; DeviceError when it is gone or refuses."""

    @property
    def addresses(self) -> Mapping[str, str]:
        """What the driver of each simulated role takes."""
        ...

    @property
    def clock(self) -> Clock:
        """The bench's own."""
        ...

    def mount(self, cell: Cell, stoichiometry: float | None = None) -> None:
        """Put a cell onto the leads, as this bench left it, or a new one; refused while a program runs."""
        ...

    def cell_state(self) -> dict[str, Any]:
        """Voltage, current, charge and more of the mounted cell, now."""
        ...

    def truth(self) -> dict[str, Any]:
        """What measurements on the mounted cell ought to find."""
        ...

    def set_speed(self, speed: float | Literal["max"]) -> None:
        """Seconds of virtual time per second of wall time."""
        ...

    def inject(self, role: str, fault: str, /, **arguments: Any) -> None:
        """Arm a fault of a role's instrument or its line."""
        ...

    def ping(self) -> dict[str, Any]:
        """Whether it is there: pid, running (a program), clients."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...

    def stop(self) -> None:
        """End it; its cell is saved."""
        ...


class FindsBench(Protocol):
    """The function that starts or finds the simulated bench of a station."""

    @overload
    def __call__(
        self,
        station: Station,
        data_directory: Path,
        /,
        *,
        cell: Cell | None = None,
        fresh: bool = False,
        start: Literal[True] = True,
    ) -> Bench: ...

    @overload
    def __call__(
        self, station: Station, data_directory: Path, /, *, start: Literal[False]
    ) -> Bench | None: ...
