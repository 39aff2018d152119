"""The metadata that labctl's own export put beside a BDF file: taken back where it fits the data."""

from __future__ import annotations

import glob
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from labctl.importers.rows import FileRows
from labctl.importers.streams import ImportedStreams, Stream
from labctl.records.cell import Cell
from labctl.schema import STEP_COUNT, STEPS, TEST_TIME, TIMESERIES

_LARGEST_BYTE = 64 << 20
_SLACK_SECOND = 1e-6


@dataclass(frozen=True)
class Sidecar:
    """What the sidecar says of the run that was exported."""

    uid: str
    plan_name: str
    cell: dict[str, Any] | None
    devices: dict[str, Any]
    is_simulated: bool
    start_unix_second: float | None
    steps: list[dict[str, Any]]

    def applied_to(self, imported: ImportedStreams) -> ImportedStreams | None:
        """The streams with the recorded steps for the reconstructed ones; None if they are others."""
        recorded = _as_stream(self.steps, imported.streams[STEPS.name])
        if recorded is None or not _fits(recorded, imported):
            return None
        return replace(imported, streams={**imported.streams, "steps": recorded})


def sidecar_path(path: Path) -> Path:
    """Where the metadata of a BDF file is: `x.bdf.csv` and `x.bdf.csv.gz` have `x.bdf.metadata.json`."""
    path = path.with_suffix("") if path.suffix == ".gz" else path
    return path.with_suffix(".metadata.json")


def read_sidecar(path: Path, rows: FileRows) -> Sidecar | None:
    """The metadata beside a file; None without it. One that is damaged or not of labctl is noted."""
    place = sidecar_path(path)
    stem = place.name.removesuffix(".bdf.metadata.json")
    if rows.format == "bdf" and (spectra := list(path.parent.glob(f"{glob.escape(stem)}.eis-*.csv"))):
        rows.notices.append(
            f"BDF has no impedance: {len(spectra)} file(s) {stem}.eis-*.csv beside it were not read"
        )
    if rows.format != "bdf" or not place.is_file() or place.stat().st_size > _LARGEST_BYTE:
        return None
    try:
        record = orjson.loads(place.read_bytes())["extras"]["labctl"]
        run, cell = record["run"], record.get("cell")
        station = run.get("station")
        return Sidecar(
            uid=str(run["uid"]),
            plan_name=str(run["plan_name"]),
            cell=None if cell is None else Cell.model_validate(cell).model_dump(mode="json"),
            devices=dict(record.get("devices") or {}),
            is_simulated=isinstance(station, dict) and bool(station.get("simulated")),
            start_unix_second=_finite(run.get("start_unix_second")),
            steps=[dict(step) for step in record["steps"]],
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        reason = str(error).splitlines()[0][:100] if str(error) else type(error).__name__
        rows.notices.append(f"{place.name} was not used, it is not labctl's or damaged: {reason}")
        return None


def _finite(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and np.isfinite(value) else None


def _as_stream(steps: list[dict[str, Any]], like: Stream) -> Stream | None:
    """The recorded steps in the columns and types of `like`; None if they do not have them."""
    if not steps:
        return None
    try:
        columns = {name: [step[name] for step in steps] for name in like}
        return {name: _column(values, like[name].dtype) for name, values in columns.items()}
    except (KeyError, TypeError, ValueError):
        return None


def _column(values: list[Any], dtype: np.dtype[Any]) -> np.ndarray:
    if dtype.kind == "f":
        return np.array([np.nan if value is None else value for value in values], dtype=np.float64)
    if dtype.kind == "i" and not all(isinstance(value, int) for value in values):
        raise ValueError("not a whole number")
    return np.array([str(v) for v in values] if dtype.kind == "O" else values, dtype=dtype)


def _fits(recorded: Stream, imported: ImportedStreams) -> bool:
    """Every sample lies within the recorded step of its number."""
    if imported.gaps or TIMESERIES.name not in imported.streams:
        return False
    samples = imported.streams[TIMESERIES.name]
    order = np.argsort(recorded[STEP_COUNT], kind="stable")
    numbers = recorded[STEP_COUNT][order]
    place = np.searchsorted(numbers, samples[STEP_COUNT])
    if (place >= len(numbers)).any() or (numbers[place] != samples[STEP_COUNT]).any():
        return False
    begin, end = (recorded[f"{word}_test_time_second"][order][place] for word in ("start", "end"))
    time = samples[TEST_TIME]
    return bool(((time >= begin - _SLACK_SECOND) & (time <= end + _SLACK_SECOND)).all())
