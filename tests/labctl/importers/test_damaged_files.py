"""Damaged files: an error that names the file, or exactly the numbers that were there. Never another one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from labctl.errors import ConfigurationError
from labctl.importers.bdf import read_bdf
from labctl.importers.biologic.mpt import read_mpt
from labctl.importers.generic_csv import ColumnMap, read_csv
from labctl.importers.rows import FileRows
from labctl.importers.streams import streams_of
from labctl.records.loader import load_record
from tests.labctl.importers.damage import FILES

NO_DIGITS = bytes(set(range(256)) - set(b"0123456789+-.,eE\t;\n\r \"'"))
BDF = (
    "Test Time / s,Voltage / V,Current / A,Cycle Count / 1,Step Count / 1,Step Type,Temperature T1 / degC\n"
    + "".join(
        f"{0.5 * n},{3 + n * 1.0625e-3},{(n // 8 % 3 - 1) * 84e-6},{n // 16},{n // 8},rest,{25 + n / 8}\n"
        for n in range(40)
    )
).encode()


@dataclass(frozen=True)
class Kind:
    """A whole file and its reader."""

    content: bytes
    read: Callable[[Path], FileRows]


def _read_german(path: Path) -> FileRows:
    return read_csv(path, load_record(FILES / "lab_german.yaml", ColumnMap))


KINDS = {
    "bdf": Kind(BDF, read_bdf),
    "gcpl": Kind((FILES / "gcpl_comma.mpt").read_bytes(), read_mpt),
    "peis": Kind((FILES / "peis_point.mpt").read_bytes(), read_mpt),
    "csv": Kind((FILES / "lab_german.csv").read_bytes(), _read_german),
}


def columns_of(kind: Kind, path: Path, content: bytes) -> dict[str, list[float]]:
    path.write_bytes(content)
    rows = kind.read(path)
    counts = {"cycle": rows.cycle_count, "step": rows.step_count}
    columns = {**rows.columns, "time": rows.test_time_second}
    columns |= {name: values for name, values in counts.items() if values is not None}
    found = {name: values.tolist() for name, values in columns.items()}
    streams_of(rows)  # must not fail either
    return found


def columns_or_refusal(name: str, path: Path, content: bytes) -> dict[str, list[float]] | str:
    try:
        return columns_of(KINDS[name], path, content)
    except ConfigurationError as error:
        return str(error)


@cache
def whole(name: str, directory: Path) -> dict[str, list[float]]:
    return columns_of(KINDS[name], directory / "whole", KINDS[name].content)


def same(one: list[float], other: list[float]) -> bool:
    return np.array_equal(one, other, equal_nan=True)


def check(name: str, directory: Path, damaged: bytes) -> None:
    """Every number that is read is one of the whole file, in its row; or the file is refused by name."""
    found = columns_or_refusal(name, directory / "damaged", damaged)
    if isinstance(found, str):
        assert str(directory / "damaged") in found
        return
    there = whole(name, directory)
    for column, values in found.items():
        if name == "peis" and column == "amplitude_rms":  # a setting of the heading, known or not
            assert set(np.isfinite(values)) == {False} or same(values, there[column][: len(values)])
        else:
            assert same(values, there[column][: len(values)]), column


many = settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.mark.parametrize("name", KINDS)
@many
@given(data=st.data())
def test_cut_off_anywhere(name: str, data: st.DataObject, tmp_path: Path) -> None:
    content = KINDS[name].content
    check(name, tmp_path, content[: data.draw(st.integers(0, len(content) - 1))])


@pytest.mark.parametrize("name", KINDS)
@many
@given(data=st.data())
def test_garbage_over_some_bytes(name: str, data: st.DataObject, tmp_path: Path) -> None:
    content = bytearray(KINDS[name].content)
    start = data.draw(st.integers(0, len(content) - 1))
    garbage = bytes(data.draw(st.lists(st.sampled_from(NO_DIGITS), min_size=1, max_size=30)))
    content[start : start + len(garbage)] = garbage[: len(content) - start]
    check(name, tmp_path, bytes(content))


@pytest.mark.parametrize("name", KINDS)
@many
@given(data=st.data())
def test_a_line_lost(name: str, data: st.DataObject, tmp_path: Path) -> None:
    lines = KINDS[name].content.splitlines(keepends=True)
    number = data.draw(st.integers(0, len(lines) - 1))
    path = tmp_path / "damaged"
    found = columns_or_refusal(name, path, b"".join(lines[:number] + lines[number + 1 :]))
    if isinstance(found, str):
        assert str(path) in found
        return
    there = whole(name, tmp_path)
    length = len(there["time"])
    missing = length - len(found["time"])
    assert missing in (0, 1)
    rows = [row for row in range(length) if not missing or row != number - (len(lines) - length)]
    for column in ("time", "voltage_volt", "current_ampere"):
        assert same(found[column], [there[column][row] for row in rows])


@pytest.mark.parametrize("name", ["gcpl", "peis", "csv"])
@many
@given(data=st.data())
def test_one_number_in_another_locale(name: str, data: st.DataObject, tmp_path: Path) -> None:
    content = KINDS[name].content
    ours, other = (b".", b",") if name == "peis" else (b",", b".")
    body = len(content) // 2  # in the data, behind any heading
    places = [place for place in range(body, len(content)) if content[place : place + 1] == ours]
    place = data.draw(st.sampled_from(places))
    check(name, tmp_path, content[:place] + other + content[place + 1 :])


@many
@given(st.binary(max_size=3000))
def test_anything_at_all_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "damaged"
    path.write_bytes(content)
    for kind in KINDS.values():
        with pytest.raises(ConfigurationError, match="damaged"):
            streams_of(kind.read(path))


def test_two_lines_made_one_are_refused(tmp_path: Path) -> None:
    """The line of units and the first row, whose line end has lost its second byte."""
    content = KINDS["csv"].content
    units = content.index(b"MPa\r\n")
    check("csv", tmp_path, content[: units + 4] + b"!" + content[units + 5 :])
    (tmp_path / "damaged").write_bytes(content[: units + 4] + b"!" + content[units + 5 :])
    with pytest.raises(ConfigurationError, match=r"damaged, line 4: text = '\\r': is a control character"):
        KINDS["csv"].read(tmp_path / "damaged")


def test_a_line_of_units_that_the_first_row_has_run_into_is_no_line_of_units(tmp_path: Path) -> None:
    content = KINDS["csv"].content
    end = content.index(b"\r\n", content.index(b";bar" if b";bar" in content else b";MPa"))
    check("csv", tmp_path, content[:end] + b"!!" + content[end + 2 :])
    found = columns_or_refusal("csv", tmp_path / "damaged", content[:end] + b"!!" + content[end + 2 :])
    assert isinstance(found, str)
    assert "this line has 11 fields where the headings name 6" in found
