"""What every reader hands over: the rows of a file in labctl's names, units and signs."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labctl.schema import FREQUENCY, IMAGINARY_IMPEDANCE, REAL_IMPEDANCE

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
IMPEDANCE_COLUMNS = (FREQUENCY, REAL_IMPEDANCE, IMAGINARY_IMPEDANCE)


@dataclass
class FileRows:
    """The rows of one file, in its order, in SI units, current > 0 charging, impedance with its true sign.

    Attributes:
        path: the file.
        sha256: of its bytes.
        format: "bdf", "mpt" or "csv".
        technique: what was measured, in short, such as "gcpl"; names the plan.
        line_number: of each row.
        test_time_second: of each row, as the file has it.
        columns: float columns by name: voltage_volt and current_ampere, perhaps impedance, amplitude,
            temperature and pressure; NaN where the file gives nothing.
        is_impedance: rows that are a point of a spectrum.
        step_key: a number that changes where the file says that a step begins; None if it says nothing.
        step_count: the file's own numbers of steps, to be kept; None if it has none.
        step_type: what the file says each row is, in labctl's words, "" where it says nothing.
        step_time_second: time since the step began; None if the file does not give it.
        spectrum_key: a number that changes where a spectrum begins.
        cycle_count: the file's cycle of each row.
        status: 0 is good.
        start_unix_second: wall time of test time 0; None if the file does not say.
        devices: of the start document.
        about: further keys of what the start document says about the import.
        notices: what the person should know.
        line_word: what `line_number` counts, "line" or "row".
    """

    path: Path
    sha256: str
    format: str
    technique: str
    line_number: Integers
    test_time_second: Floats
    columns: dict[str, Floats]
    is_impedance: NDArray[np.bool_] | None = None
    step_key: Integers | None = None
    step_count: Integers | None = None
    step_type: NDArray[Any] | None = None
    step_time_second: Floats | None = None
    spectrum_key: Integers | None = None
    impedance_kind: str = "peis"
    amplitude_unit: str = ""
    cycle_count: Integers | None = None
    status: Integers | None = None
    start_unix_second: float | None = None
    devices: dict[str, Any] = field(default_factory=dict)
    about: dict[str, Any] = field(default_factory=dict)
    notices: list[str] = field(default_factory=list)
    line_word: str = "line"

    def __len__(self) -> int:
        return len(self.test_time_second)

    def select(self, keep: NDArray[np.bool_]) -> None:
        """Leave out the rows that are not kept."""
        self.line_number, self.test_time_second = self.line_number[keep], self.test_time_second[keep]
        self.columns = {name: values[keep] for name, values in self.columns.items()}
        for name in _PER_ROW:
            values = getattr(self, name)
            if values is not None:
                setattr(self, name, values[keep])


_PER_ROW = (
    "is_impedance",
    "step_key",
    "step_count",
    "step_type",
    "step_time_second",
    "spectrum_key",
    "cycle_count",
    "status",
)


def lines_text(lines: Integers, word: str = "line", most: int = 12) -> str:
    """Line numbers as people write them: "line 3", "lines 3 to 7", "lines 3, 9 and 40 more"."""
    shown = [str(line) for line in lines[:most]]
    if len(lines) > 2 and lines[-1] - lines[0] == len(lines) - 1:
        return f"{word}s {lines[0]} to {lines[-1]}"
    rest = f" and {len(lines) - most} more" if len(lines) > most else ""
    return (f"{word}s " if len(lines) > 1 else f"{word} ") + ", ".join(shown) + rest
