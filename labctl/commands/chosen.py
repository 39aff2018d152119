"""What several commands need: the station and cell that were asked for, the data directory, output."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labctl.errors import ConfigurationError
from labctl.printable import printable, printable_json

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from labctl.records.cell import Cell
    from labctl.records.station import Station


_NO_TERMINAL = (200, 24)
DEFAULT_STATION, DEFAULT_CELL = "sim.yaml", "cells/lic-ncm.yaml"


def chosen_station(path: Path | None) -> Station:
    """The station file, or the simulated station that comes with labctl."""
    from labctl.records.station import load_station, packaged_config

    return load_station(path or packaged_config(DEFAULT_STATION))


def chosen_cell(path: Path | None, station: Station) -> Cell:
    """The cell file; on a simulated station the coated example cell may stand in for it.

    Raises:
        ConfigurationError: a real station without a cell: its mass decides every current.
    """
    from labctl.records.cell import load_cell
    from labctl.records.station import packaged_config

    if path is None and station.simulate is None:
        raise ConfigurationError(
            f"station {station.name}",
            "--cell",
            None,
            "is missing: a real station needs the record of its cell",
        )
    cell = load_cell(path or packaged_config(DEFAULT_CELL))
    for remark in cell.remarks:
        sys.stderr.write(f"note: {printable(remark)}\n")
    return cell


def unrecorded_notes(station: Station) -> list[str]:
    """A sentence for each device of the station that runs do not record."""
    kept = "a run keeps the readings of the cycler, and of the environment with what it uses"
    return [f"{role}: not recorded: {kept}" for role in station.unrecorded]


def chosen_data(option: Path | None, station: Station | None = None) -> Path:
    """The data directory by --data, LABCTL_DATA, the station, ./labctl-data, in this order."""
    from labctl.records.station import resolve_data_directory

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

    text = orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_SERIALIZE_NUMPY).decode()
    sys.stdout.write(printable_json(text) + "\n")


def write(text: str) -> None:
    """A line on standard output, or several."""
    sys.stdout.write(printable(text, lines=True) + "\n")


def show(*parts: RenderableType) -> None:
    """Print on standard output. What is too wide for the terminal goes on in its next line, uncut.

    Where nothing is known of a width (a pipe, a file) lines may be 200 characters long.
    """
    console = screen(width=shutil.get_terminal_size(_NO_TERMINAL).columns)
    for part in parts:
        console.print(part, crop=False)


def screen(*, error: bool = False, width: int | None = None) -> Console:
    """Where tables go: standard output, or standard error. Texts are shown as they are, never obeyed."""
    from rich.console import Console
    from rich.text import Text

    class Screen(Console):
        def render_str(self, text: str, **options: Any) -> Text:
            plain = {"emoji": False, "markup": False, "highlight": False}
            return super().render_str(printable(text, lines=True), **{**options, **plain})

    return Screen(file=sys.stderr if error else sys.stdout, width=width, highlight=False)
