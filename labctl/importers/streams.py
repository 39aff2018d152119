"""From the rows of a file to the streams of a run, with the columns that every reader of runs expects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labctl.bdf import ENVIRONMENT_COLUMNS
from labctl.errors import ConfigurationError
from labctl.importers.rows import IMPEDANCE_COLUMNS, FileRows, Integers
from labctl.importers.silences import part, silences
from labctl.importers.steps import counted_steps, number_steps, step_rows, step_times, type_steps
from labctl.importers.timeline import Gap, straighten
from labctl.schema import (
    AMPLITUDE_RMS,
    AMPLITUDE_UNIT,
    CURRENT,
    CYCLE_COUNT,
    ENVIRONMENT,
    IMPEDANCE,
    SPECTRUM_COUNT,
    START_TEST_TIME,
    STATUS,
    STEP_COUNT,
    STEP_TIME,
    STEP_TYPE,
    TEST_TIME,
    TIMESERIES,
    VOLTAGE,
)

Stream = dict[str, NDArray[Any]]


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
    within = step_times(rows, step_count, steps[START_TEST_TIME])
    spectral = np.zeros(len(rows), dtype=bool) if rows.is_impedance is None else rows.is_impedance
    common = {
        TEST_TIME: rows.test_time_second,
        VOLTAGE: rows.columns[VOLTAGE],
        CURRENT: rows.columns[CURRENT],
        STEP_COUNT: step_count,
        CYCLE_COUNT: _counts(rows.cycle_count, len(rows)),
        STATUS: _counts(rows.status, len(rows)),
    }
    samples = {**common, STEP_TIME: within, STEP_TYPE: types}
    samples = {name: samples[name] for name in TIMESERIES.names}
    streams: dict[str, Stream] = {}
    if not spectral.all():
        streams[TIMESERIES.name] = _where(samples, ~spectral)
    if spectral.any():
        streams[IMPEDANCE.name] = _impedance(rows, common, spectral)
    if environment := _environment(rows):
        streams[ENVIRONMENT.name] = environment
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
            AMPLITUDE_RMS: rows.columns.get(AMPLITUDE_RMS, missing),
        },
        spectral,
    )
    found[AMPLITUDE_UNIT] = np.array([rows.amplitude_unit] * int(spectral.sum()), dtype=object)
    found[SPECTRUM_COUNT] = np.unique(found[STEP_COUNT], return_inverse=True)[1].astype(np.int64) + 1
    return {name: found[name] for name in IMPEDANCE.names}


def _environment(rows: FileRows) -> Stream:
    """A row wherever the file gives a temperature or pressure; only the columns that it has."""
    named = {name: rows.columns[name] for name in ENVIRONMENT_COLUMNS if name in rows.columns}
    named = {name: values for name, values in named.items() if np.isfinite(values).any()}
    if not named:
        return {}
    read = np.any([np.isfinite(values) for values in named.values()], axis=0)
    return _where({TEST_TIME: rows.test_time_second, **named}, read)
