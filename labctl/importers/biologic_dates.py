"""Dates as BioLogic's programs write them: when a measurement began, and times given as dates.

They write month, day, year; what stands between them is the separator of the computer's language, so a date
with dots is month first too. Only a first number above 12 shows that somebody turned it round. The files name
no time zone: times are those of this computer's.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from labctl.importers.rows import Floats, Integers
from labctl.importers.text import line_error

_DATE = re.compile(
    r"(\d{1,2})[/.-](\d{1,2})[/.-](\d{4}) (\d{1,2})[:.](\d{2})[:.](\d{2})(?:[.,](\d{1,6})\d*)?", re.ASCII
)


def is_date(text: str) -> bool:
    """Whether a field holds a date and a time of day."""
    return _DATE.fullmatch(text.strip()) is not None


def started_at(text: str) -> tuple[float | None, list[str]]:
    """Wall time of a date (seconds since 1970), None if it is none; and what is doubtful about it."""
    match = _DATE.fullmatch(text)
    if match is None:
        return None, [f"when it was measured is not known ({text!r})" if text else "the file has no date"]
    first, second = int(match[1]), int(match[2])
    found = _moment(match, day_first=first > 12)
    if found is None:
        return None, [f"when it was measured is not known ({text!r})"]
    doubtful = first <= 12 and second <= 12 and first != second
    return found.timestamp(), [f"the date {text!r} was read as month/day/year"] if doubtful else []


def elapsed_second(
    path: Path, texts: NDArray[np.object_], lines: Integers, heading: str
) -> tuple[Floats, float | None]:
    """Seconds since the first row of a column of dates, and the wall time of that row.

    Raises:
        ConfigurationError: names the line of a field that is no date.
    """
    matches = [_DATE.fullmatch(str(text)) for text in texts]
    day_first = any(match is not None and int(match[1]) > 12 for match in matches)
    found = np.empty(len(matches))
    for row, match in enumerate(matches):
        moment = None if match is None else _moment(match, day_first=day_first)
        if moment is None:
            allowed = f"must be a date like {'27/08' if day_first else '08/27'}/2021 10:00:00.500"
            raise line_error(path, int(lines[row]), heading, str(texts[row])[:60], allowed)
        found[row] = moment.timestamp()
    return (found - found[0], float(found[0])) if found.size else (found, None)


def without_dates(fields: Sequence[str]) -> list[str]:
    """The fields that are no dates."""
    return [field for field in fields if not is_date(field)]


def _moment(match: re.Match[str], *, day_first: bool) -> datetime | None:
    first, second = int(match[1]), int(match[2])
    month, day = (second, first) if day_first else (first, second)
    microsecond = int((match[7] or "0").ljust(6, "0"))
    clock = (int(match[3]), month, day, int(match[4]), int(match[5]), int(match[6]), microsecond)
    try:
        return datetime(*clock).astimezone()
    except ValueError:
        return None
