"""Impedance spectra of a run, each with the conditions it was measured under, and as files of EIS tools."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labctl.export.content import RunContent
from labctl.schema import (
    AMPLITUDE_RMS,
    AMPLITUDE_UNIT,
    CURRENT,
    CYCLE_COUNT,
    END_TEST_TIME,
    FREQUENCY,
    IMAGINARY_IMPEDANCE,
    IMPEDANCE,
    REAL_IMPEDANCE,
    SPECTRUM_COUNT,
    START_TEST_TIME,
    STATUS,
    STEP_COUNT,
    STEP_TYPE,
    STEPS,
    TEST_TIME,
    VOLTAGE,
)

_IMPEDANCE = (FREQUENCY, REAL_IMPEDANCE, IMAGINARY_IMPEDANCE)
Steps = dict[int, dict[str, Any]]
SIGN_NOTE = "imaginary_impedance_ohm has its true sign: below 0 where the cell is capacitive"


@dataclass(frozen=True)
class Spectrum:
    """One spectrum: its rows and its conditions (units in their names; None where they are not known)."""

    frequency_hertz: NDArray[np.float64]
    impedance_ohm: NDArray[np.complex128]
    conditions: dict[str, Any]

    def csv(self, uid: str, cell_id: str) -> str:
        """Three columns: frequency, real and imaginary part; all else stands in lines that begin with '#'.

        This is what impedance.py's `readCSV` and `numpy.loadtxt(..., delimiter=",")` read as it is.
        """
        lines = [f"# impedance spectrum of cell {cell_id}, run {uid}"]
        lines += [f"# {name} = {value}" for name, value in self.conditions.items() if value is not None]
        lines += [f"# {SIGN_NOTE}", f"# columns: {','.join(_IMPEDANCE)}"]
        lines += [
            f"{f!r},{z.real!r},{z.imag!r}"
            for f, z in zip(self.frequency_hertz.tolist(), self.impedance_ohm.tolist(), strict=True)
        ]
        return "\n".join(" ".join(line.splitlines()) for line in lines) + "\n"


def spectra(content: RunContent) -> list[Spectrum]:
    """The spectra of a run in their order; none if it has no `impedance`."""
    rows = content.tables.stream(IMPEDANCE.name)
    steps = {step[STEP_COUNT]: step for step in content.rows(STEPS.name)}
    counts = rows.get(SPECTRUM_COUNT, np.empty(0, np.int64))
    return [
        _spectrum(content, steps, {k: v[counts == n] for k, v in rows.items()}) for n in np.unique(counts)
    ]


def _spectrum(content: RunContent, steps: Steps, rows: dict[str, NDArray]) -> Spectrum:
    unit, step_count = str(rows[AMPLITUDE_UNIT][0]), int(rows[STEP_COUNT][0])
    kind = steps.get(step_count, {}).get(STEP_TYPE) or {"V": "peis", "A": "geis"}.get(unit)
    time = rows[TEST_TIME]
    readings = content.environment
    conditions = {
        SPECTRUM_COUNT: int(rows[SPECTRUM_COUNT][0]),
        "kind": kind,
        "points": len(time),
        AMPLITUDE_RMS: _one(rows[AMPLITUDE_RMS]),
        AMPLITUDE_UNIT: unit or None,
        "mean_voltage_volt": _mean(rows[VOLTAGE]),
        "mean_current_ampere": _mean(rows[CURRENT]),
        START_TEST_TIME: float(time.min()),
        END_TEST_TIME: float(time.max()),
        "rest_before_second": _rest_second(steps.get(step_count - 1, {})),
        STEP_COUNT: step_count,
        CYCLE_COUNT: int(rows[CYCLE_COUNT][0]),
        "flagged_points": int(np.count_nonzero(rows[STATUS])),
        **{f"mean_{name}": _mean(readings.at(name, time)) for name in readings.columns},
    }
    impedance = rows[REAL_IMPEDANCE] + 1j * rows[IMAGINARY_IMPEDANCE]
    return Spectrum(rows[FREQUENCY], impedance, conditions)


def _rest_second(step: dict[str, Any]) -> float | None:
    """Length of a step if it is a rest (s)."""
    if step.get(STEP_TYPE) != "rest":
        return None
    return step[END_TEST_TIME] - step[START_TEST_TIME]


def _one(values: NDArray) -> float | None:
    """The value that all rows share; None if they do not, or if it is not known."""
    first = float(values[0])
    return first if np.all(values == first) else None


def _mean(values: NDArray) -> float | None:
    valid = values[np.isfinite(values)]
    return float(valid.mean()) if valid.size else None
