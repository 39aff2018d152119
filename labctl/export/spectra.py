"""Impedance spectra of a run, each with the conditions it was measured under, and as files of EIS tools."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labctl.export.content import RunContent

_IMPEDANCE = ("frequency_hertz", "real_impedance_ohm", "imaginary_impedance_ohm")
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
    rows = content.tables.stream("impedance")
    steps = {step["step_count"]: step for step in content.rows("steps")}
    counts = rows.get("spectrum_count", np.empty(0, np.int64))
    return [
        _spectrum(content, steps, {k: v[counts == n] for k, v in rows.items()}) for n in np.unique(counts)
    ]


def _spectrum(content: RunContent, steps: Steps, rows: dict[str, NDArray]) -> Spectrum:
    unit, step_count = str(rows["amplitude_unit"][0]), int(rows["step_count"][0])
    kind = steps.get(step_count, {}).get("step_type") or {"V": "peis", "A": "geis"}.get(unit)
    time = rows["test_time_second"]
    readings = content.environment
    conditions = {
        "spectrum_count": int(rows["spectrum_count"][0]),
        "kind": kind,
        "points": len(time),
        "amplitude_rms": _one(rows["amplitude_rms"]),
        "amplitude_unit": unit or None,
        "mean_voltage_volt": _mean(rows["voltage_volt"]),
        "mean_current_ampere": _mean(rows["current_ampere"]),
        "start_test_time_second": float(time.min()),
        "end_test_time_second": float(time.max()),
        "rest_before_second": _rest_second(steps.get(step_count - 1, {})),
        "step_count": step_count,
        "cycle_count": int(rows["cycle_count"][0]),
        "flagged_points": int(np.count_nonzero(rows["status"])),
        **{f"mean_{name}": _mean(readings.at(name, time)) for name in readings.columns},
    }
    impedance = rows["real_impedance_ohm"] + 1j * rows["imaginary_impedance_ohm"]
    return Spectrum(rows["frequency_hertz"], impedance, conditions)


def _rest_second(step: dict[str, Any]) -> float | None:
    """Length of a step if it is a rest (s)."""
    if step.get("step_type") != "rest":
        return None
    return step["end_test_time_second"] - step["start_test_time_second"]


def _one(values: NDArray) -> float | None:
    """The value that all rows share; None if they do not, or if it is not known."""
    first = float(values[0])
    return first if np.all(values == first) else None


def _mean(values: NDArray) -> float | None:
    valid = values[np.isfinite(values)]
    return float(valid.mean()) if valid.size else None
