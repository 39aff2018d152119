"""Readings as they come from a Keithley unit's buffer."""

from __future__ import annotations

from dataclasses import dataclass
from math import isnan, nan

import numpy as np
from numpy.typing import NDArray

from devices.program_record import Trouble

Array = NDArray[np.float64]
ELEMENTS = "READ, SOUR, REL, STAT, SOURSTAT"
OVERFLOW, NOT_A_NUMBER = 9.9e37, 9.91e37  # SCPI-99 volume 1, 7.2.1
# Bits of the `status` column: a reading is questionable, has no value (overflow or not a number: voltage or
# current is NaN); the source was limited, off, hot.
STATUS_QUESTIONABLE, STATUS_OVERFLOW = 1, 4096
STATUS_LIMITED, STATUS_OUTPUT_OFF, STATUS_HOT = 8192, 16384, 32768
_SOURCE_HOT, _SOURCE_LIMITED, _SOURCE_OUTPUT = 16, 32, 128  # buffer.STAT_... of source statuses
_QUESTIONABLE = 3  # bit 1 in the 2461 reference manual (p. 6-160), 2 in that of the 2450 (p. 8-33)
_COLUMNS = 5


@dataclass(frozen=True, eq=False)
class Readings:
    """Rows: measured value, source value, seconds since the buffer's first reading, status."""

    rows: Array

    def __len__(self) -> int:
        return self.rows.shape[1]

    def part(self, start: int, stop: int | None = None) -> Readings:
        """Some of them."""
        return Readings(self.rows[:, start:stop])

    def followed_by(self, later: Readings) -> Readings:
        """These and later ones."""
        return Readings(np.concatenate([self.rows, later.rows], axis=1)) if len(self) else later

    @property
    def measured(self) -> Array:
        """What is measured: the voltage while a current is sourced, and the other way round."""
        return self.rows[0]

    @property
    def second(self) -> Array:
        """Time since the first reading of the program."""
        return self.rows[2]

    @property
    def status(self) -> Array:
        """Bits of the `status` column; 0 is good."""
        return self.rows[3]

    def trouble(self, place: int) -> Trouble | None:
        """Why a reading has no valid voltage or current; None if it has both."""
        for name, sent in zip(("measured", "source"), self.rows[:2, place].tolist(), strict=True):
            if isnan(sent) or abs(sent) >= NOT_A_NUMBER:
                return Trouble("no_reading", f"the instrument sent no number as {name} value ({sent:g})")
            if abs(sent) >= OVERFLOW:
                return Trouble("overload", f"{name} value out of range; the instrument sent {sent:g}", sent)
        return None

    def volt_and_ampere(self, *, sources_voltage: bool) -> tuple[Array, Array]:
        """Voltage (V) and current (A), NaN where there is no value."""
        measured, source = valid(self.rows[0]), valid(self.rows[1])
        return (source, measured) if sources_voltage else (measured, source)


NONE = Readings(np.empty((4, 0)))


def parse_readings(text: str, count: int) -> Readings | None:
    """Readings from the answer to TRAC:DATA? with ELEMENTS; None if it is damaged.

    A measured or source value that is not a number is one that the instrument could not tell, not damage.
    """
    try:
        values = np.array(text.split(","), dtype=np.float64)
    except ValueError:
        return None
    if values.shape != (_COLUMNS * count,):
        return None
    measured, source, second, own, sourced = values.reshape(count, _COLUMNS).T
    if not np.isfinite([second, own, sourced]).all():
        return None
    source_bits = sourced.astype(np.int64)
    status = np.where(own.astype(np.int64) & _QUESTIONABLE, STATUS_QUESTIONABLE, 0)
    status |= np.where(np.isnan(valid(measured)) | np.isnan(valid(source)), STATUS_OVERFLOW, 0)
    status |= np.where(source_bits & _SOURCE_LIMITED, STATUS_LIMITED, 0)
    status |= np.where(source_bits & _SOURCE_OUTPUT, 0, STATUS_OUTPUT_OFF)
    status |= np.where(source_bits & _SOURCE_HOT, STATUS_HOT, 0)
    return Readings(np.stack([measured, source, second, status.astype(np.float64)]))


def valid(values: Array) -> Array:
    """Overflow, and what stands for "not a number", as NaN."""
    return np.where(np.abs(values) >= OVERFLOW, nan, values)
