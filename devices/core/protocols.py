"""What plans may ask of a device. Plans import this file, never a driver."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol, runtime_checkable

from bluesky.protocols import Readable, Status

from devices.core.techniques import Program, StepResult
from labctl.equipment import Identity as Identity  # drivers have it from here


class Settable(Protocol):
    """Temperature or stack pressure: brought to a value, done when it has stayed there."""

    def set(self, value: float, /, **options: Any) -> Status:
        """Go there; `options` are ramp, tolerance, dwell and timeout under the device's own names."""
        ...


@runtime_checkable
class Environment(Protocol):
    """What surrounds the cell: temperature (degC) and stack pressure (Pa)."""

    @property
    def temperature(self) -> Settable:
        """Temperature of the die in degC."""
        ...

    @property
    def pressure(self) -> Settable:
        """Stack pressure in Pa."""
        ...

    def check_temperature(self, celsius: float, ramp_kelvin_per_minute: float | None = None) -> None:
        """Refuse what is not allowed, naming value and limit; a controller that is connected is asked too."""
        ...

    def check_pressure(self, stack_pa: float) -> None:
        """Refuse what is not allowed, naming value and limit; what is connected is asked too."""
        ...

    def stop(self, *, success: bool = False) -> None:
        """Abandon ramps and hold here; never raises."""
        ...

    def environment(self) -> dict[str, float]:
        """The latest row of the `environment` stream but its time; NaN where stale; nothing on the wire."""
        ...

    def metadata(self) -> dict[str, Any]:
        """Identities and limits, for the start document."""
        ...


@runtime_checkable
class StreamFlyer(Protocol):
    """One stream of a cycler: started, finished and drained by the executor."""

    name: str

    def describe_collect(self) -> dict[str, Any]:
        """Data keys of the stream."""
        ...

    def kickoff(self) -> Status:
        """Start the prepared program; done when the instrument has taken it up."""
        ...

    def complete(self) -> Status:
        """Done when the program has ended; fails with the instrument's own words."""
        ...

    def collect_pages(self) -> Iterator[dict[str, Any]]:
        """All rows recorded so far, at most 1 000 a page."""
        ...


@runtime_checkable
class Cycler(Readable[Any], Protocol):
    """A potentiostat, galvanostat or cycler that runs programs by itself.

    `pause()`, `stop()` and `unstage()` open the circuit within 2 s and never raise.
    """

    dc: StreamFlyer
    eis: StreamFlyer
    found_clock_second: float | None
    """Station's clock (s) when the instrument was connected; None before, or where the driver cannot tell"""
    found_running: bool
    """whether a program was running on it until then."""

    def check(self, program: Program) -> None:
        """Refuse, naming technique and field, what instrument, station or cell do not allow."""
        ...

    def prepare(self, value: Program) -> Status:
        """Check, compile and upload; no current flows."""
        ...

    def stop(self, *, success: bool = False) -> None:
        """Open the circuit."""
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
    def results(self) -> tuple[StepResult, ...]:
        """What became of the steps of the last program, in order; a continued step has several entries."""
        ...

    @property
    def identity(self) -> Identity | None:
        """Who the instrument says it is; None before it was connected."""
        ...

    def metadata(self) -> dict[str, Any]:
        """Identity, address, and the limits in force, for the start document."""
        ...
