"""Delimited rows to columns of numbers: every row whole, every number a number, or an error says which."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from math import nan
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from labctl.importers.text import TextFile, line_error

Kind = Literal["number", "required_number", "integer", "text"]
Decimal = Literal[".", ","]
_BLOCK_ROWS = 8192
_PLAIN = frozenset("0123456789+-.eE\n")
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?", re.ASCII)
_WHOLE_LIMIT = 2.0**53
_ALLOWED: dict[Kind, str] = {
    "number": "must be a number with '{}' as decimal sign, or empty",
    "required_number": "must be a number with '{}' as decimal sign",
    "integer": "must be a whole number",
}
_DTYPE: dict[Kind, Any] = {"integer": np.int64, "text": object}


def read_columns(
    file: TextFile,
    lines: Iterator[str],
    headings: Sequence[str],
    wanted: Mapping[int, Kind],
    *,
    separator: str,
    decimal: Decimal,
    quoted: bool,
) -> tuple[dict[int, NDArray[Any]], NDArray[np.int64]]:
    """The wanted columns of all rows that `lines` still gives, and the line number of each row.

    Empty lines at the end are skipped. One empty field at the end of a row is (a separator that closes it).

    Args:
        file: where `lines` come from; names file and line in errors.
        lines: the lines after the headings.
        headings: names of the columns, for their number and for errors.
        wanted: position of a column -> what it holds.
        separator: between fields.
        decimal: the decimal sign; the other one is refused in numbers.
        quoted: whether fields may be in double quotes.

    Raises:
        ConfigurationError: a row with too few or too many fields, or a field that is not what it must be.
    """
    parts: dict[int, list[NDArray[Any]]] = {position: [] for position in wanted}
    numbers: list[NDArray[np.int64]] = []
    words: dict[str, str] = {}
    rows = _rows(file, lines, len(headings), separator, quoted=quoted)
    while block := list(islice(rows, _BLOCK_ROWS)):
        at = [line for line, _ in block]
        numbers.append(np.array(at, dtype=np.int64))
        columns = list(zip(*(row for _, row in block), strict=True))
        for position, kind in wanted.items():
            found = _convert(columns[position], kind, decimal)
            if isinstance(found, int):
                allowed = _ALLOWED[kind].format(decimal)
                value = columns[position][found]
                raise line_error(file.path, at[found], headings[position], value[:60], allowed)
            if kind == "text":  # one object per word, not per row
                found = np.array([words.setdefault(word, word) for word in found], dtype=object)
            parts[position].append(found)
    joined = {position: joined_parts(parts.pop(position), wanted[position]) for position in wanted}
    return joined, joined_parts(numbers, "integer")


def joined_parts(parts: list[NDArray[Any]], kind: Kind) -> NDArray[Any]:
    """One array of all parts of a column, which may be none."""
    return np.concatenate(parts) if parts else np.empty(0, _DTYPE.get(kind, float))


def _rows(
    file: TextFile, lines: Iterator[str], fields: int, separator: str, *, quoted: bool
) -> Iterator[tuple[int, list[str]]]:
    quoting = csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE
    reader = csv.reader(lines, delimiter=separator, quoting=quoting, strict=True)
    blank = 0
    try:
        for row in reader:
            if not row or row == [""]:
                blank = blank or file.line_number
                continue
            if blank:
                raise line_error(file.path, blank, "row", None, "is empty, but more rows follow")
            if len(row) == fields + 1 and not row[-1]:
                row.pop()
            if len(row) != fields:
                allowed = f"has {len(row)} fields where the headings name {fields}"
                raise file.error("row", None, allowed)
            yield file.line_number, row
    except csv.Error as error:
        raise file.error("row", None, str(error)) from None


def _convert(values: Sequence[str], kind: Kind, decimal: Decimal) -> NDArray[Any] | int:
    """The column, or the index of the first value that is not what it must be."""
    if kind == "text":
        return np.array([value.strip() for value in values], dtype=object)
    found = _quickly(values, decimal)
    if found is None:
        found = _carefully(values, decimal)
    if isinstance(found, int):
        return found
    if kind != "number":
        bad = np.isnan(found)
        if kind == "integer":
            bad |= (found != np.floor(found)) | (np.abs(found) >= _WHOLE_LIMIT)
        if bad.any():
            return int(np.argmax(bad))
    return found.astype(np.int64) if kind == "integer" else found


def _quickly(values: Sequence[str], decimal: Decimal) -> NDArray[np.float64] | None:
    """The numbers if all are plain ones; None if any needs a closer look."""
    text = "\n".join(values)
    if decimal == ",":
        if "." in text:
            return None
        text = text.replace(",", ".")
    if not _PLAIN.issuperset(text):  # float() itself takes 1_000, infinity and digits of any script
        return None
    try:
        found = np.array([float(value) for value in text.split("\n")])
    except ValueError:
        return None
    return found if np.isfinite(found).all() else None


def _carefully(values: Sequence[str], decimal: Decimal) -> NDArray[np.float64] | int:
    found = np.empty(len(values))
    for index, value in enumerate(values):
        number = parse_number(value, decimal)
        if number is None:
            return index
        found[index] = number
    return found


def parse_number(text: str, decimal: Decimal = ".") -> float | None:
    """A number as files write it; NaN for an empty field or "nan"; None if it is none."""
    text = text.strip(" ")
    if not text or text.lower() == "nan":
        return nan
    if decimal == ",":
        if "." in text:
            return None
        text = text.replace(",", ".")
    if _NUMBER.fullmatch(text) is None:
        return None
    number = float(text)
    return number if np.isfinite(number) else None
