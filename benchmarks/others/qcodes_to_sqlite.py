"""Rows to QCoDeS' SQLite at its usual settings; asks for folder, points, rows_per_call, as_arrays.

Time is the setpoint of the other seven columns, as QCoDeS wants it: its table then has seven rows a point,
or seven rows a call when whole arrays are stored as such.
"""

# pyright: reportMissingImports=false
from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from points import COLUMNS, Point, point
from qcodes.dataset import Measurement, initialise_or_create_database_at, load_or_create_experiment

SYNCHRONOUS = ("OFF", "NORMAL", "FULL", "EXTRA")  # of SQLite, by number


def main() -> None:
    """Answer with points per second and the settings that decide what is safe when."""
    request = json.load(sys.stdin)
    initialise_or_create_database_at(Path(request["folder"]) / "qcodes.db")
    experiment = load_or_create_experiment("benchmark", "pellet")
    measurement = _measurement(experiment, request["as_arrays"])
    began = time.perf_counter()
    with measurement.run() as saver:
        _store(saver, request["points"], request["rows_per_call"])
    took = time.perf_counter() - began
    stored = saver.dataset.get_parameter_data("status")["status"]["status"].size
    assert stored == request["points"], f"{stored} points were stored of {request['points']}"
    print(json.dumps({"value": stored / took, "settings": _settings(experiment, measurement)}))


def _measurement(experiment: Any, as_arrays: bool) -> Any:
    measurement = Measurement(exp=experiment)
    for name in COLUMNS:
        kind = "array" if as_arrays else "text" if name == "step_type" else "numeric"
        setpoints = None if name == COLUMNS[0] else (COLUMNS[0],)
        measurement.register_custom_parameter(name, setpoints=setpoints, paramtype=kind)
    return measurement


def _store(saver: Any, points: int, rows_per_call: int) -> None:
    for first in range(0, points, rows_per_call):
        rows = [point(number) for number in range(first, first + rows_per_call)]
        values = rows[0] if rows_per_call == 1 else _columns(rows)
        saver.add_result(*zip(COLUMNS, values, strict=True))


def _columns(rows: list[Point]) -> list[np.ndarray]:
    return [np.array(column) for column in zip(*rows, strict=True)]


def _settings(experiment: Any, measurement: Any) -> str:
    (mode,), (synchronous,) = (
        experiment.conn.execute(f"PRAGMA {name}").fetchone() for name in ("journal_mode", "synchronous")
    )
    period = f"on disk every {measurement.write_period:g} s"
    return f"{period}, {mode.upper()}, synchronous {SYNCHRONOUS[synchronous]}"


main()
