"""Stations: which devices at which addresses, real or simulated; and where files are found."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainValidator,
    PrivateAttr,
    Strict,
    model_validator,
)

from labctl.errors import ConfigurationError
from labctl.records.limits import Limits
from labctl.records.loader import Name, Number, Record, load_record

DATA_VARIABLE = "LABCTL_DATA"
DEFAULT_DATA = Path("labctl-data")
NO_ADDRESS = "not-connected"  # of a simulated device whose bench does not run: it can be checked, not used
_SHARED = (
    "hardware shared by several cells needs a port-owner process, which labctl does not have yet; "
    "give every station its own device and leave `shared` out"
)


def _speed(value: object) -> object:
    if value == "max":
        return value
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 1e9:
        raise ValueError("must be 'max' or a number > 0 (seconds of cell time per second of wall time)")
    return float(value)


def _no_boolean(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("must be a whole number, not true or false")
    return value


def _address(text: str) -> str:
    """A pyserial device or URL, or a VISA resource; pyserial's other URL handlers can write files."""
    scheme = re.match(r"([A-Za-z0-9+.-]+)://", text)
    if (
        not text.strip()
        or any(c.isspace() for c in text)
        or (scheme and scheme[1] not in {"socket", "rfc2217"})
    ):
        raise ValueError(
            "must be a serial port (/dev/ttyACM0, COM3), socket://host:port, rfc2217://host:port "
            "or a VISA resource (TCPIP::host::5025::SOCKET)"
        )
    if scheme:
        _require_host_and_port(text)
    return text


def _require_host_and_port(text: str) -> None:
    try:
        parts = urlsplit(text)
        good = bool(parts.hostname) and parts.port is not None and parts.port > 0
    except ValueError:
        good = False
    if not good:
        raise ValueError("must name host and port, such as socket://192.168.0.7:4001 (port 1 to 65535)")


def _uri(text: str) -> str:
    if not re.fullmatch(r"https?://[^\s/@]+(/[^\s@]*)?", text):
        raise ValueError(
            "must be http://host:port or https://host (a Tiled server; no user name or key in it)"
        )
    return text


def _driver(text: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9_]*", text):
        raise ValueError("must be the name of a registered driver, such as 'palmsens' (never a path or code)")
    return text


class Simulate(Record):
    """How the bench is simulated.

    `speed` is cell time per wall time; "max" is as fast as it computes. `stoichiometry` is the lithium
    per formula unit of the active material that a fresh pellet starts with. With `ageing` pellets fade as
    they are cycled. `spread` makes replicates differ as pressed pellets do: the relative standard deviation
    of mass, contact, tortuosity and resistances, drawn from the seed and the cell's id.
    """

    seed: Annotated[int, BeforeValidator(_no_boolean), Field(ge=0, le=2**63 - 1)] = 1
    speed: Annotated[float | Literal["max"], PlainValidator(_speed)] = "max"
    stoichiometry: Annotated[Number, Field(gt=0, lt=1)] = 0.90
    temperature_celsius: Annotated[Number, Field(ge=-60, le=200)] = 25.0
    pressure_mpa: Annotated[Number, Field(gt=0, le=2000)] = 50.0
    ageing: Annotated[bool, Strict()] = True
    spread: Annotated[Number, Field(ge=0, le=0.3)] = 0.0

    @property
    def pressure_pa(self) -> float:
        """Stack pressure in Pa."""
        return self.pressure_mpa * 1e6


class DeviceEntry(Record):
    """One role of a station: the registered driver, where the device is, and the driver's options.

    A device made of others has no address but `uses`: its driver's parameter -> the role it is given.
    """

    driver: Annotated[str, AfterValidator(_driver)]
    address: Annotated[str, AfterValidator(_address)] | None = None
    options: dict[str, Any] = Field(default_factory=dict)
    uses: dict[str, str] = Field(default_factory=dict)
    shared: bool = False

    @model_validator(mode="after")
    def _own_hardware(self) -> Self:
        if self.shared:
            raise ValueError(f"shared: {_SHARED}")
        return self


class StoreEntry(Record):
    """A lab-wide Tiled server in place of the local one, and the file that holds its API key.

    The file is looked for beside the station file; only its owner may be able to read it.
    """

    uri: Annotated[str, AfterValidator(_uri)]
    api_key_file: Path


class Station(Record):
    """One bench for one cell: its devices by role, its limits, and where its data go."""

    name: Name
    simulate: Simulate | None = None
    devices: dict[str, DeviceEntry]
    limits: Limits = Limits()
    data: Path | None = None
    store: StoreEntry | None = None
    auto_resume: bool = False  # whether `labctl resume --auto` may go on with this station's cut-off run
    _path: Path | None = PrivateAttr(default=None)

    def model_post_init(self, context: Any, /) -> None:
        """Remember the file that this station was loaded from."""
        if isinstance(context, dict) and "path" in context:
            self._path = Path(context["path"]).resolve()

    @property
    def path(self) -> Path | None:
        """The file this station was loaded from (absolute)."""
        return self._path

    @property
    def unrecorded(self) -> tuple[str, ...]:
        """Roles whose readings are in no run: all but the cycler, the environment and what that uses."""
        environment = self.devices.get("environment")
        recorded = {"cycler", "environment", *(environment.uses.values() if environment is not None else ())}
        return tuple(role for role in self.devices if role not in recorded)

    @model_validator(mode="after")
    def _roles(self) -> Self:
        if "cycler" not in self.devices:
            raise ValueError("devices: the role 'cycler' is missing; every station needs one")
        for role, device in self.devices.items():
            if not re.fullmatch(r"[a-z][a-z0-9_]{0,63}", role):
                raise ValueError(f"devices: the role {role!r} must be lower-case letters, digits and '_'")
            for parameter, used in device.uses.items():
                if used not in self.devices or self.devices[used].uses:
                    allowed = ", ".join(name for name, entry in self.devices.items() if not entry.uses)
                    raise ValueError(f"devices.{role}.uses.{parameter}: {used!r} must be one of {allowed}")
            if device.uses and device.address is not None:
                raise ValueError(f"devices.{role}.address: a device that uses others has none of its own")
            if self.simulate is None and device.address is None and not device.uses:
                raise ValueError(
                    f"devices.{role}.address: is missing; a real station needs it (a simulated one has a "
                    "'simulate' block)"
                )
            if self.simulate is not None and device.address is not None:
                raise ValueError(
                    f"devices.{role}.address: {device.address!r} is not allowed on a simulated station, "
                    "which brings its own; leave it out, or leave out 'simulate' to use the real device"
                )
        return self


def load_station(path: Path | str) -> Station:
    """The station in a YAML file.

    Args:
        path: the file; config/README.md says what its fields mean.

    Raises:
        ConfigurationError: one line per fault, each naming file, field, value and what is allowed.
    """
    return load_record(path, Station, "station")


def packaged_config(name: str) -> Path:
    """A configuration file that comes with labctl, e.g. "sim.yaml" or "cells/bare-ncm.yaml"."""
    root = _packaged_root()
    files = {file.relative_to(root).as_posix(): file for file in sorted(root.rglob("*.yaml"))}
    if name not in files:
        raise ConfigurationError("packaged configuration", "name", name, f"must be one of {', '.join(files)}")
    return files[name]


def resolve_data_directory(option: Path | None, station: Station | None, environ: Mapping[str, str]) -> Path:
    """Where runs go: `option` (--data), else LABCTL_DATA, else the station's `data`, else ./labctl-data.

    The station's `data` is relative to its file. Stations that come with labctl, and no station at all,
    use ./labctl-data. The result is absolute; it is not created.
    """
    if option is not None:
        chosen = option
    elif environ.get(DATA_VARIABLE):
        chosen = Path(environ[DATA_VARIABLE])
    elif station is not None and station.data is not None and not _is_packaged(station):
        base = station.path.parent if station.path else Path()
        chosen = base / station.data.expanduser()
    else:
        chosen = DEFAULT_DATA
    return chosen.expanduser().resolve()


def _packaged_root() -> Path:
    """The wheel carries the files as labctl/_config, a checkout as config beside the package."""
    here = Path(__file__).resolve().parents[1]
    installed = here / "_config"
    return installed if installed.is_dir() else here.parent / "config"


def _is_packaged(station: Station) -> bool:
    return station.path is not None and station.path.is_relative_to(_packaged_root())
