"""What several commands need: the station and cell that were asked for, the data directory, output."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labctl.errors import ConfigurationError

if TYPE_CHECKING:
    from labctl.cell import Cell
    from labctl.config import Station

DEFAULT_STATION, DEFAULT_CELL = "sim.yaml", "cells/lic-ncm.yaml"


def chosen_station(path: Path | None) -> Station:
    """The station file, or the simulated station that comes with labctl."""
    from labctl.config import load_station, packaged_config

    return load_station(path or packaged_config(DEFAULT_STATION))


def chosen_cell(path: Path | None, station: Station) -> Cell:
    """The cell file; on a simulated station the coated example cell may stand in for it.

    Raises:
        ConfigurationError: a real station without a cell: its mass decides every current.
    """
    from labctl.config import load_cell, packaged_config

    if path is None and station.simulate is None:
        raise ConfigurationError(
            f"station {station.name}",
            "--cell",
            None,
            "is missing: a real station needs the record of its cell",
        )
    cell = load_cell(path or packaged_config(DEFAULT_CELL))
    for remark in cell.remarks:
        sys.stderr.write(f"note: {remark}\n")
    return cell


def unrecorded_notes(station: Station) -> list[str]:
    """A sentence for each device of the station that runs do not record."""
    kept = "a run keeps the readings of the cycler, and of the environment with what it uses"
    return [f"{role}: not recorded: {kept}" for role in station.unrecorded]


def chosen_data(option: Path | None, station: Station | None = None) -> Path:
    """The data directory by --data, LABCTL_DATA, the station, ./labctl-data, in this order."""
    from labctl.config import resolve_data_directory

    return resolve_data_directory(option, station, os.environ)


def existing_data(option: Path | None) -> Path:
    """The data directory by --data, LABCTL_DATA, ./labctl-data.

    Raises:
        ConfigurationError: There is none.
    """
    directory = chosen_data(option)
    if not directory.is_dir():
        raise ConfigurationError(
            "data directory",
            "path",
            str(directory),
            "does not exist; name one with --data or LABCTL_DATA (a first run makes it)",
        )
    return directory


def write_json(value: Any) -> None:
    """One JSON document on standard output; NaN becomes null."""
    import orjson

    sys.stdout.write(
        orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_SERIALIZE_NUMPY).decode() + "\n"
    )


def write(text: str) -> None:
    """A line on standard output."""
    sys.stdout.write(text + "\n")
