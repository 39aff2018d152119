"""`labctl check` and `labctl sim`: what answers at a station, and its simulated bench."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from rich.console import Console
from rich.table import Table

from labctl.commands.common import chosen_cell, chosen_data, chosen_station, write, write_json
from labctl.errors import ConfigurationError, LabctlError
from labctl.plugins import load_bench
from labctl.session import open_session

_HEADINGS = ("role", "maker", "model", "serial", "firmware", "address", "reading", "verdict")


def check_station(path: Path, data: Path | None) -> int:
    """Connect to every device of the station; 0 when all is well, 1 when something is not."""
    station = chosen_station(path)
    table = Table(title=f"Station {station.name}", title_justify="left")
    for heading in _HEADINGS:
        table.add_column(heading, overflow="fold")
    try:
        with open_session(station, chosen_cell(None), chosen_data(data, station)) as session:
            verdicts = [_row(table, role, device) for role, device in session.devices.items()]
    except LabctlError as error:
        write(f"station {station.name}: {error}")
        return 1
    Console().print(table)
    return 0 if all(verdicts) else 1


def _row(table: Table, role: str, device: Any) -> bool:
    who = device.identity
    try:
        reading, verdict, good = f"{device.measure_rest_voltage():.5f} V", "good", True
    except LabctlError as error:
        reading, verdict, good = "none", str(error), False
    table.add_row(role, who.maker, who.model, who.serial, who.firmware, device.prefix, reading, verdict)
    return good


def show_bench(
    path: Path | None, data: Path | None, cell: Path | None, *, speed: str | None, stop: bool, as_json: bool
) -> int:
    """Start or find the bench of a simulated station; show or change it."""
    station = chosen_station(path)
    if station.simulate is None:
        raise ConfigurationError(str(station.path), "simulate", None, "this station is not simulated")
    directory = chosen_data(data, station)
    directory.mkdir(parents=True, exist_ok=True)
    bench = load_bench()(station, directory, cell=None if cell is None else chosen_cell(cell))
    try:
        if speed is not None:
            bench.set_speed(_speed(speed))
        if stop:
            bench.stop()
            write("bench ended; its cell is saved")
            return 0
        state = {"addresses": bench.addresses, "cell": bench.cell_state()}
    finally:
        bench.close()
    if as_json:
        write_json(state)
        return 0
    for role, address in state["addresses"].items():
        write(f"{role}: {address}")
    for name, value in state["cell"].items():
        write(f"{name}: {value}")
    return 0


def _speed(text: str) -> float | Literal["max"]:
    if text == "max":
        return "max"
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= 1e9:
        raise ConfigurationError("labctl sim", "--speed", text, "allowed is a number above 0, or max")
    return value
