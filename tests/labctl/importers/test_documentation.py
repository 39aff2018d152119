"""The example of docs/how-to/exchange-data.md."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from labctl.bdf import ENVIRONMENT_COLUMNS
from labctl.export.run import FORMATS
from labctl.importers.generic_csv import ColumnMap
from labctl.importers.run import import_file
from labctl.records.loader import load_record, validate_record

HOW_TO = Path(__file__).parents[3] / "docs/how-to"
PAGE = (HOW_TO / "exchange-data.md").read_text(encoding="utf-8")

IMPEDANCE = {
    "frequency_hertz": {"column": "f", "unit": "Hz"},
    "real_impedance_ohm": {"column": "Re", "unit": "ohm"},
    "imaginary_impedance_ohm": {"column": "Im", "unit": "ohm"},
}


def test_the_example_is_imported_with_the_map_that_the_page_shows(tmp_path: Path) -> None:
    example = HOW_TO / "example"
    shown = re.search(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    assert shown is not None
    assert shown[1] == (example / "cycler-export.yaml").read_text(encoding="utf-8")
    done = import_file(example / "cycler-export.csv", tmp_path, columns=example / "cycler-export.yaml")
    assert done.plan_name == "imported-cycling"
    assert done.rows == {"timeseries": 30, "environment": 30, "steps": 3}


def test_the_page_names_all_formats_and_columns() -> None:
    for format in FORMATS:
        assert f"| `{format}`" in PAGE
    for name in ENVIRONMENT_COLUMNS:
        assert name in PAGE or re.fullmatch(r"temperature_t[2-5]_celsius", name)


@pytest.mark.parametrize("row", re.findall(r"^\| (`[a-z0-9]+_.*?) \| (`.*) \|$", PAGE, re.MULTILINE))
def test_every_unit_that_the_page_names_is_allowed(row: tuple[str, str]) -> None:
    names, units = (re.findall(r"`([^`]+)`", cell) for cell in row)
    columns = load_record(HOW_TO / "example/cycler-export.yaml", ColumnMap).model_dump()["columns"]
    for name in names:
        for unit in units:
            if re.fullmatch("[A-Za-z]+", unit) and unit != "datetime":
                changed = {**columns, **IMPEDANCE, name: {"column": "x", "unit": unit}}
                validate_record({"current_positive": "charge", "columns": changed}, ColumnMap, where="page")
