"""Readings of an emulated Keithley unit that have no value: over range, or not a number.

Over range reads 9.9e37 with the sign of what is measured, as instruments of the series do; "not a number" is
the 9.91e37 of SCPI-99 (volume 1, 7.2.1), a guess for this series. Both are marked questionable.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from devices.sim.faults import LineFault

Array = NDArray[np.float64]
OVERFLOW, NOT_A_NUMBER = 9.9e37, 9.91e37
READING_FAULTS = frozenset({"overrange", "nan"})


class ReadingFaults:
    """Faults that count readings where a fault of the line counts lines."""

    def __init__(self) -> None:
        self._armed: list[LineFault] = []

    def arm(self, fault: LineFault) -> None:
        """One more fault."""
        self._armed.append(fault)

    def clear(self) -> None:
        """No faults any more."""
        self._armed.clear()

    def applied(self, values: Array) -> tuple[Array, NDArray[np.bool_]]:
        """The next readings as they come, and which of them have no value; nothing is used up."""
        found, struck = values.copy(), np.zeros(len(values), dtype=bool)
        for fault in self._armed:
            place = np.arange(len(values)) - fault.after_lines
            hit = (place >= 0) & ((place < fault.lines) | (fault.lines == 0))
            found[hit] = np.copysign(OVERFLOW, values[hit]) if fault.kind == "overrange" else NOT_A_NUMBER
            struck |= hit
        return found, struck

    def use(self, count: int) -> None:
        """So many readings are made."""
        for fault in list(self._armed):
            beyond = max(count - fault.after_lines, 0)
            fault.after_lines = max(fault.after_lines - count, 0)
            if fault.lines and beyond >= fault.lines:
                self._armed.remove(fault)
            elif fault.lines:
                fault.lines -= beyond
