"""The impedance spectra of a run in progress, and their Kramers-Kronig tests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from labctl.analysis.failures import CANNOT_BE_EVALUATED, reason
from labctl.analysis.impedance.kramers_kronig import FEWEST_POINTS, KramersKronig, linear_kk
from labctl.live.model.charge import parts_of_one
from labctl.live.model.pyramid import Floats
from labctl.live.model.worker import Worker
from labctl.schema import (
    CYCLE_COUNT,
    FREQUENCY,
    IMAGINARY_IMPEDANCE,
    REAL_IMPEDANCE,
    SPECTRUM_COUNT,
    STEP_COUNT,
    TEST_TIME,
)

COLUMNS = (TEST_TIME, FREQUENCY, REAL_IMPEDANCE, IMAGINARY_IMPEDANCE)
COUNTS = (SPECTRUM_COUNT, STEP_COUNT, CYCLE_COUNT)


def _none() -> Floats:
    return np.empty(0)


@dataclass(eq=False)
class RunSpectrum:
    """One spectrum, as far as it was measured: arrays of shape (points,), and the net charge at its start.

    `untestable` says why the Kramers-Kronig test of its points failed; "" if it did not.
    """

    number: int
    step_count: int
    cycle_count: int
    start_second: float
    net_charge_ah: float
    frequency_hertz: Floats = field(default_factory=_none)
    real_ohm: Floats = field(default_factory=_none)
    imaginary_ohm: Floats = field(default_factory=_none)
    test: KramersKronig | None = None
    untestable: str = ""
    tested_points: int = 0

    def __len__(self) -> int:
        return len(self.frequency_hertz)

    def add(self, columns: Mapping[str, npt.NDArray[Any]], rows: slice) -> None:
        """Add points."""
        for name, column in zip(("frequency_hertz", "real_ohm", "imaginary_ohm"), COLUMNS[1:], strict=True):
            setattr(self, name, np.concatenate((getattr(self, name), columns[column][rows])))


class Spectra:
    """All spectra of a run, in order.

    Attributes:
        all: The spectra.
        version: Grows with every point.
        test_version: Grows with every Kramers-Kronig test.
    """

    def __init__(self) -> None:
        self.all: list[RunSpectrum] = []
        self.version = self.test_version = 0
        self._testing: set[int] = set()

    def take(self, columns: Mapping[str, npt.NDArray[Any]], net_charge_ah: float) -> None:
        """Take rows of `impedance`: the columns in `COLUMNS` and `COUNTS`; and the net charge now."""
        numbers = columns[SPECTRUM_COUNT]
        if not len(numbers):
            return
        for _, rows in parts_of_one(numbers):
            self._spectrum(columns, rows.start, net_charge_ah).add(columns, rows)
        self.version += 1

    def _spectrum(
        self, columns: Mapping[str, npt.NDArray[Any]], row: int, net_charge_ah: float
    ) -> RunSpectrum:
        number = int(columns[SPECTRUM_COUNT][row])
        if not self.all or self.all[-1].number != number:
            step, cycle = int(columns[STEP_COUNT][row]), int(columns[CYCLE_COUNT][row])
            start = float(columns[TEST_TIME][row])
            self.all.append(RunSpectrum(number, step, cycle, start, net_charge_ah))
        return self.all[-1]

    def test(self, spectrum: RunSpectrum, worker: Worker) -> None:
        """Have a spectrum tested, if it has points that were not."""
        points = len(spectrum)
        if points < FEWEST_POINTS or points == spectrum.tested_points or spectrum.number in self._testing:
            return
        self._testing.add(spectrum.number)
        frequency = spectrum.frequency_hertz
        impedance = spectrum.real_ohm + 1j * spectrum.imaginary_ohm

        def done(result: KramersKronig | str | None) -> None:
            self._testing.discard(spectrum.number)
            spectrum.test = result if isinstance(result, KramersKronig) else None
            spectrum.untestable = result if isinstance(result, str) else ""
            spectrum.tested_points = points
            self.test_version += 1

        worker.submit(lambda: _tested(frequency, impedance), done)


def _tested(frequency: Floats, impedance: npt.NDArray[np.complex128]) -> KramersKronig | str | None:
    """The test of what is valid, or why it failed; None where that is too little."""
    valid = np.isfinite(impedance) & (frequency > 0)
    if valid.sum() < FEWEST_POINTS:
        return None
    try:
        return linear_kk(frequency[valid], impedance[valid])
    except CANNOT_BE_EVALUATED as error:
        return reason(error)
