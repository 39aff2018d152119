"""`labctl sim`: the simulated bench of a station."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import yaml

from labctl.commands.chosen import chosen_cell, chosen_data, chosen_station, write, write_json
from labctl.equipment import Bench
from labctl.errors import ConfigurationError, DeviceError
from labctl.plugins import load_bench


def show_bench(
    path: Path | None,
    data: Path | None,
    cell: Path | None,
    *,
    speed: str | None,
    faults: list[str],
    stop: bool,
    as_json: bool,
) -> int:
    """Start or find the bench of a simulated station; show or change it."""
    station = chosen_station(path)
    if station.simulate is None:
        raise ConfigurationError(str(station.path), "simulate", None, "this station is not simulated")
    directory = chosen_data(data, station)
    directory.mkdir(parents=True, exist_ok=True)
    bench = load_bench()(station, directory, cell=None if cell is None else chosen_cell(cell, station))
    try:
        if speed is not None:
            bench.set_speed(_speed(speed))
        for fault in faults:
            _inject(bench, fault)
        if stop:
            if bench.ping()["running"]:
                raise ConfigurationError(
                    "labctl sim", "--stop", None, "a program runs on this bench; end its run first"
                )
            bench.stop()
            write("bench ended; its cell is saved")
            return 0
        state = {"addresses": bench.addresses, "cell": _cell_state(bench)}
    finally:
        bench.close()
    if as_json:
        write_json(state)
        return 0
    for role, address in state["addresses"].items():
        write(f"{role}: {address}")
    for name, value in state["cell"].items():
        write(f"{name}: {f'{value:.6g}' if isinstance(value, float) else value}")
    return 0


def _inject(bench: Bench, text: str) -> None:
    """Arm ROLE:FAULT[:NAME=VALUE,...]; the bench says which faults and arguments there are."""
    role, _, rest = text.partition(":")
    fault, _, arguments = rest.partition(":")
    pairs = [pair.partition("=") for pair in arguments.split(",") if pair]
    try:
        values = {name: _value(text) for name, _, text in pairs}
        bench.inject(role, fault, **values)
    except (DeviceError, yaml.YAMLError) as error:
        raise ConfigurationError("labctl sim", "--inject", text, str(error)) from error


def _value(text: str) -> Any:
    """Of an argument; YAML alone takes 1e-3 for a text."""
    value = yaml.safe_load(text)
    with suppress(ValueError, TypeError):
        return float(value) if isinstance(value, str) else value
    return value


def _cell_state(bench: Bench) -> dict[str, Any]:
    try:
        return bench.cell_state()
    except DeviceError:
        return {"cell_id": None}  # nothing on the leads yet: --cell FILE puts one there, and so does a run


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
