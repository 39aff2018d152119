"""From the rows of a file to the streams of a run, with the columns that every reader of runs expects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labctl.bdf import ENVIRONMENT
from labctl.errors import ConfigurationError
from labctl.importers.rows import IMPEDANCE_COLUMNS, FileRows, Integers
from labctl.importers.silences import part, silences
from labctl.importers.steps import counted_steps, number_steps, step_rows, step_times, type_steps
from labctl.importers.timeline import Gap, straighten

Stream = dict[str, NDArray[Any]]
_SAMPLES = (
    "test_time_second",
    "step_time_second",
    "voltage_volt",
    "current_ampere",
    "step_count",
    "cycle_count",
    "step_type",
    "status",
)
_IMPEDANCE = (
    "test_time_second",
    *IMPEDANCE_COLUMNS,
    "voltage_volt",
    "current_ampere",
    "amplitude_rms",
    "amplitude_unit",
    "spectrum_count",
    "step_count",
    "cycle_count",
    "status",
)


@dataclass(frozen=True)
class ImportedStreams:
    """The streams of a run to be: name -> column -> array of one length; and where its clock began again."""

    streams: dict[str, Stream]
    gaps: list[Gap]


def streams_of(rows: FileRows, *, part_steps: bool = True) -> ImportedStreams:
    """Number and type the steps, make time go forward, and sort the rows into streams.

    Args:
        rows: of the file; changed in place.
        part_steps: whether a new step begins behind a time without rows in which current flowed, so that
            nobody integrates over it. False for a file whose steps and charges are known from elsewhere.

    Raises:
        ConfigurationError: there is nothing in the file, or its times are no elapsed time.
    """
    if not len(rows):
        raise ConfigurationError(str(rows.path), "rows", None, "there are none after the headings")
    stretch, gaps = straighten(rows)
    unknown = np.zeros(len(rows), dtype=bool)
    if part_steps:
        found = silences(rows, counted_steps(rows, stretch))
        stretch, more = part(rows, stretch, found)
        gaps = sorted([*gaps, *more], key=lambda gap: gap.test_time_second)
        unknown[[silence.row for silence in found]] = True
    step_count = number_steps(rows, stretch)
    types = type_steps(rows, step_count)
    steps = step_rows(rows, step_count, types, stretch, unknown)
    within = step_times(rows, step_count, steps["start_test_time_second"])
    spectral = np.zeros(len(rows), dtype=bool) if rows.is_impedance is None else rows.is_impedance
    common = {
        "test_time_second": rows.test_time_second,
        "voltage_volt": rows.columns["voltage_volt"],
        "current_ampere": rows.columns["current_ampere"],
        "step_count": step_count,
        "cycle_count": _counts(rows.cycle_count, len(rows)),
        "status": _counts(rows.status, len(rows)),
    }
    samples = {**common, "step_time_second": within, "step_type": types}
    samples = {name: samples[name] for name in _SAMPLES}
    streams: dict[str, Stream] = {}
    if not spectral.all():
        streams["timeseries"] = _where(samples, ~spectral)
    if spectral.any():
        streams["impedance"] = _impedance(rows, common, spectral)
    if environment := _environment(rows):
        streams["environment"] = environment
    return ImportedStreams({**streams, "steps": steps}, gaps)


def _counts(values: Integers | None, length: int) -> Integers:
    return np.zeros(length, dtype=np.int64) if values is None else values


def _where(columns: Stream, mask: NDArray[np.bool_]) -> Stream:
    whole = bool(mask.all())  # no copy of what is taken over as it is
    return {name: values if whole else values[mask] for name, values in columns.items()}


def _impedance(rows: FileRows, common: Stream, spectral: NDArray[np.bool_]) -> Stream:
    missing = np.full(len(rows), np.nan)
    found = _where(
        {
            **common,
            **{name: rows.columns[name] for name in IMPEDANCE_COLUMNS},
            "amplitude_rms": rows.columns.get("amplitude_rms", missing),
        },
        spectral,
    )
    found["amplitude_unit"] = np.array([rows.amplitude_unit] * int(spectral.sum()), dtype=object)
    found["spectrum_count"] = np.unique(found["step_count"], return_inverse=True)[1].astype(np.int64) + 1
    return {name: found[name] for name in _IMPEDANCE}


def _environment(rows: FileRows) -> Stream:
    """A row wherever the file gives a temperature or pressure; only the columns that it has."""
    named = {name: rows.columns[name] for name in ENVIRONMENT if name in rows.columns}
    named = {name: values for name, values in named.items() if np.isfinite(values).any()}
    if not named:
        return {}
    read = np.any([np.isfinite(values) for values in named.values()], axis=0)
    return _where({"test_time_second": rows.test_time_second, **named}, read)
