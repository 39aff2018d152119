"""A run as an Excel workbook: a sheet that says what it is, and one per stream."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from math import isnan
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pyarrow as pa
from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell

from labctl.export.metadata import flattened

SHEET_ROWS = 1_048_576  # what a worksheet of the format holds, its heading included
_CELL_LETTERS = 32_767  # what a cell of the format holds
_TITLE_LETTERS, _NO_TITLE = 31, re.compile(r"[\x00-\x1f\[\]:*?/\\']")  # of a sheet
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")  # not allowed in XML


class ExcelFile:
    """A workbook that is written row by row, at constant memory."""

    def __init__(self, path: Path, *, sheet_rows: int = SHEET_ROWS) -> None:
        self._path, self._sheet_rows = path, sheet_rows
        self._book = Workbook(write_only=True)
        self._sheet: Any = None
        self._title, self._number, self._room = "", 0, 0

    def describe(self, record: dict[str, Any]) -> None:
        """A sheet of names and values; what is too long for one cell goes on below."""
        sheet = self._book.create_sheet("about")
        for name, value in flattened(record):
            for part in _parts(value):
                sheet.append([_text(sheet, name), _value(sheet, part)])

    def begin(self, title: str) -> None:
        """Begin a sheet; one that is full is followed by another, numbered."""
        self._title, self._number, self._room = title, 0, 0

    def write(self, table: pa.Table) -> None:
        """Append rows to the sheet begun last."""
        columns = [column.to_pylist() for column in table.columns]
        for row in zip(*columns, strict=True):
            if not self._room:
                self._next_sheet(table.column_names)
            self._sheet.append([_value(self._sheet, value) for value in row])
            self._room -= 1

    def _next_sheet(self, names: Sequence[str]) -> None:
        self._number += 1
        plain = _NO_TITLE.sub("-", self._title)
        title = (
            plain[:_TITLE_LETTERS] if self._number == 1 else f"{plain[: _TITLE_LETTERS - 4]} {self._number}"
        )
        self._sheet = self._book.create_sheet(title)
        self._sheet.freeze_panes = "A2"
        self._sheet.append([_text(self._sheet, name) for name in names])
        self._room = self._sheet_rows - 1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self._book.save(self._path)
        else:
            for sheet in self._book.worksheets:  # each ends its XML now, not when it is collected
                sheet.close()
        self._book.close()


def _parts(value: Any) -> Iterator[Any]:
    if not isinstance(value, str) or len(value) <= _CELL_LETTERS:
        yield value
        return
    for begin in range(0, len(value), _CELL_LETTERS):
        yield value[begin : begin + _CELL_LETTERS]


def _value(sheet: Any, value: Any) -> Any:
    if isinstance(value, str):
        return _text(sheet, value)
    return None if isinstance(value, float) and isnan(value) else value


def _text(sheet: Any, text: str) -> Any:
    """Text as text: what begins with '=' would be taken for a formula."""
    cell = WriteOnlyCell(sheet, value=_CONTROL.sub("\N{REPLACEMENT CHARACTER}", text))
    cell.data_type = "s"
    return cell
