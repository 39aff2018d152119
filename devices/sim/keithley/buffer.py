"""Reading buffers of an emulated Keithley unit."""

from __future__ import annotations

import datetime
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from devices.sim.keithley.scpi import ILLEGAL_VALUE, OUT_OF_RANGE, ScpiError

Array = NDArray[np.float64]
EPOCH_UNIX_SECOND = 1_767_225_600.0  # virtual second 0 is 1 January 2026, whenever the bench runs
_ELEMENTS = (
    "READing",
    "RELative",
    "SOURce",
    "SOURSTATus",
    "STATus",
    "SEConds",
    "FRACtional",
    "TSTamp",
    "UNIT",
)
_SMALLEST = 10


class Readings(NamedTuple):
    """Some readings: virtual seconds, measured and source values, and their two status words."""

    seconds: Array
    values: Array
    source: Array
    status: Array
    source_status: Array

    def first(self, count: int) -> Readings:
        """The first `count` of them."""
        return Readings(
            self.seconds[:count],
            self.values[:count],
            self.source[:count],
            self.status[:count],
            self.source_status[:count],
        )


class ReadingBuffer:
    """One buffer of `size` readings; `continuous` overwrites the oldest, otherwise new ones are lost."""

    def __init__(self, size: int, *, continuous: bool) -> None:
        if size < _SMALLEST:
            raise ScpiError(OUT_OF_RANGE)
        self.size, self.continuous = size, continuous
        self.clear()

    def clear(self) -> None:
        """Forget all readings."""
        self._columns = np.empty((5, 1024))
        self._count = 0
        self.first_index = 1
        self._origin_second = 0.0

    def __len__(self) -> int:
        return self._count

    def append(self, readings: Readings) -> None:
        """Take in readings."""
        count = len(readings.seconds)
        if not self.continuous:
            count = min(count, self.size - self._count)
        if count <= 0:
            return
        if not self._count:
            self._origin_second = float(readings.seconds[0])
        self._make_room(count)
        place = slice(self._count, self._count + count)
        self._columns[0, place] = readings.seconds[:count]
        self._columns[1, place] = readings.values[:count]
        self._columns[2, place] = readings.source[:count]
        self._columns[3, place] = readings.status[:count]
        self._columns[4, place] = readings.source_status[:count]
        self._count += count
        self._drop_oldest()

    def _make_room(self, count: int) -> None:
        needed = self._count + count
        if needed > self._columns.shape[1]:
            grown = np.empty((5, max(needed, 2 * self._columns.shape[1])))
            grown[:, : self._count] = self._columns[:, : self._count]
            self._columns = grown

    def _drop_oldest(self) -> None:
        surplus = self._count - self.size
        if surplus > 0:
            self._columns[:, : self.size] = self._columns[:, surplus : self._count].copy()
            self._count, self.first_index = self.size, self.first_index + surplus

    def text(self, first: int, last: int, elements: tuple[str, ...], precision: int, unit: str) -> str:
        """Elements of the readings from index `first` to `last`, separated by commas.

        Raises:
            ScpiError: there are no such readings or elements.
        """
        start, stop = first - self.first_index, last - self.first_index + 1
        if not 0 <= start < stop <= self._count:
            raise ScpiError(OUT_OF_RANGE)
        columns = [self._texts(name, slice(start, stop), precision, unit) for name in elements]
        return ",".join(",".join(row) for row in zip(*columns, strict=True))

    def _texts(self, element: str, place: slice, precision: int, unit: str) -> list[str]:
        seconds, values, source, status, source_status = self._columns[:, place]
        name = _element(element)
        if name == "UNIT":
            return [unit] * len(seconds)
        unix = seconds + EPOCH_UNIX_SECOND
        if name == "TSTamp":
            return [time_stamp(second) for second in seconds.tolist()]
        columns = {
            "READing": values,
            "SOURce": source,
            "RELative": np.round(seconds - self._origin_second, 6),
            "STATus": status,
            "SOURSTATus": source_status,
            "SEConds": np.floor(unix),
            "FRACtional": unix - np.floor(unix),
        }
        digits = f"%.{precision - 1}E"
        return [digits % value for value in columns[name].tolist()]


def _element(text: str) -> str:
    for name in _ELEMENTS:
        short = name.rstrip("abcdefghijklmnopqrstuvwxyz")
        if text.upper() in (short, name.upper()):
            return name
    raise ScpiError(ILLEGAL_VALUE)


def time_stamp(virtual_second: float) -> str:
    """A virtual instant as the instrument shows it."""
    moment = datetime.datetime.fromtimestamp(EPOCH_UNIX_SECOND + virtual_second, datetime.UTC)
    return f"{moment:%Y/%m/%d %H:%M:%S}.{moment.microsecond // 1000:03d}"
