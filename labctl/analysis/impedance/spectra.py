"""The impedance spectra of a run, each with the state of the cell and the conditions of the measurement."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import nan
from typing import Any

import numpy as np

from labctl.analysis.impedance.complex_fit import Complexes, Floats
from labctl.documents import RunTables
from labctl.schema import (
    APPLIED_PRESSURE,
    CYCLE_COUNT,
    END_REASON,
    END_TEST_TIME,
    ENVIRONMENT,
    FREQUENCY,
    IMAGINARY_IMPEDANCE,
    IMPEDANCE,
    PROTOCOL_STEP,
    REAL_IMPEDANCE,
    SPECTRUM_COUNT,
    START_TEST_TIME,
    STATUS,
    STEP_CHARGING_CAPACITY,
    STEP_COUNT,
    STEP_DISCHARGING_CAPACITY,
    STEP_TYPE,
    STEPS,
    SURFACE_PRESSURE,
    TEMPERATURE,
    TEST_TIME,
    VOLTAGE,
)

_PLACE = re.compile(r"(\d+)(?:\[\d+\])?")


@dataclass(frozen=True, eq=False)
class Spectrum:
    """One spectrum; points without a valid reading are left out. NaN: not recorded.

    Attributes:
        spectrum_count: Its number in the run.
        step_count: Number of its step.
        cycle_count: Cycle it belongs to.
        tag: What the protocol says it is for.
        start_test_time_second: Begin of its step.
        voltage_volt: Mean cell voltage of its points.
        net_charge_ah: Net charge into the cell between the start of the run and the spectrum.
        moved_charge_ah: Net charge into the cell during the spectrum, by the DC current of its points.
        temperature_celsius: Mean temperature meanwhile.
        pressure_pa: Mean stack pressure meanwhile, of the load cell where there is one.
        frequency_hertz: Falling, shape (n,).
        impedance_ohm: Complex, capacitive < 0, shape (n,).
    """

    spectrum_count: int
    step_count: int
    cycle_count: int
    tag: str
    start_test_time_second: float
    voltage_volt: float
    net_charge_ah: float
    moved_charge_ah: float
    temperature_celsius: float
    pressure_pa: float
    frequency_hertz: Floats = field(repr=False)
    impedance_ohm: Complexes = field(repr=False)

    def conditions(self) -> dict[str, Any]:
        """All but the points, as plain JSON."""
        return {
            SPECTRUM_COUNT: self.spectrum_count,
            STEP_COUNT: self.step_count,
            CYCLE_COUNT: self.cycle_count,
            "tag": self.tag,
            START_TEST_TIME: self.start_test_time_second,
            VOLTAGE: self.voltage_volt,
            "net_charge_ah": self.net_charge_ah,
            "moved_charge_ah": self.moved_charge_ah,
            "temperature_celsius": self.temperature_celsius,
            "pressure_pa": self.pressure_pa,
        }


def spectra(run: RunTables) -> tuple[Spectrum, ...]:
    """All finished spectra of a run, in order; one that was interrupted is left out."""
    points, steps = run.stream(IMPEDANCE.name), run.stream(STEPS.name)
    if not len(points.get(SPECTRUM_COUNT, ())) or not len(steps.get(STEP_COUNT, ())):
        return ()
    return tuple(_spectrum(run, row) for row in range(len(steps[STEP_COUNT])) if _is_finished(steps, row))


def _is_finished(steps: Mapping[str, Any], row: int) -> bool:
    return str(steps[STEP_TYPE][row]) in ("peis", "geis") and str(steps[END_REASON][row]) == "complete"


def _spectrum(run: RunTables, row: int) -> Spectrum:
    points, steps = run.stream(IMPEDANCE.name), run.stream(STEPS.name)
    mine = points[STEP_COUNT] == steps[STEP_COUNT][row]
    begin, end = float(steps[START_TEST_TIME][row]), float(steps[END_TEST_TIME][row])
    frequency = np.asarray(points[FREQUENCY][mine], dtype=float)
    impedance = points[REAL_IMPEDANCE][mine] + 1j * points[IMAGINARY_IMPEDANCE][mine]
    valid = np.isfinite(frequency) & np.isfinite(impedance) & (points[STATUS][mine] == 0)
    order = np.argsort(-frequency[valid], kind="stable")
    moved = steps[STEP_CHARGING_CAPACITY] - steps[STEP_DISCHARGING_CAPACITY]
    counts = points[SPECTRUM_COUNT][mine]
    return Spectrum(
        spectrum_count=int(counts[0]) if len(counts) else 0,
        step_count=int(steps[STEP_COUNT][row]),
        cycle_count=int(steps[CYCLE_COUNT][row]),
        tag=_tag(run.start.get("protocol"), str(steps[PROTOCOL_STEP][row])),
        start_test_time_second=begin,
        voltage_volt=_mean(points[VOLTAGE][mine]),
        net_charge_ah=float(np.nansum(moved[:row])),
        moved_charge_ah=float(moved[row]),
        temperature_celsius=_meanwhile(run, TEMPERATURE, begin, end),
        pressure_pa=_pressure(run, begin, end),
        frequency_hertz=frequency[valid][order],
        impedance_ohm=impedance[valid][order],
    )


def _pressure(run: RunTables, begin: float, end: float) -> float:
    measured = _meanwhile(run, SURFACE_PRESSURE, begin, end)
    return measured if np.isfinite(measured) else _meanwhile(run, APPLIED_PRESSURE, begin, end)


def _meanwhile(run: RunTables, column: str, begin: float, end: float) -> float:
    """Mean of the readings of the surroundings in a time; the last one before it if there is none in it."""
    around = run.stream(ENVIRONMENT.name)
    times = around.get(TEST_TIME)
    if times is None or column not in around:
        return nan
    inside = (times >= begin) & (times <= end) & np.isfinite(around[column])
    if inside.any():
        return _mean(around[column][inside])
    before = np.flatnonzero((times < begin) & np.isfinite(around[column]))
    return float(around[column][before[-1]]) if len(before) else nan


def _mean(values: Any) -> float:
    valid = np.asarray(values, dtype=float)
    valid = valid[np.isfinite(valid)]
    return float(valid.mean()) if len(valid) else nan


def _tag(protocol: Any, path: str) -> str:
    """The tag of the item at a path such as "2[3].0" of a protocol in its JSON form."""
    items: Sequence[Any] = protocol.get("items", ()) if isinstance(protocol, Mapping) else ()
    tag = ""
    for place in path.split("."):
        match = _PLACE.fullmatch(place)
        if match is None or int(match[1]) >= len(items) or not isinstance(items[int(match[1])], Mapping):
            return tag
        item = items[int(match[1])]
        tag = str(item.get("tag") or tag)
        items = item.get("body") or item.get("techniques") or ()
    return tag
