"""Delimited text of any program by a column map: units, signs, clocks, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from labctl.errors import ConfigurationError
from labctl.importers.generic_csv import ColumnMap, read_csv
from labctl.importers.rows import FileRows
from labctl.importers.streams import streams_of
from labctl.records.loader import load_record, validate_record
from tests.labctl.importers.damage import FILES, changed

PLAIN = {
    "current_positive": "charge",
    "columns": {
        "test_time_second": {"column": "t", "unit": "s"},
        "voltage_volt": {"column": "U", "unit": "V"},
        "current_ampere": {"column": "I", "unit": "A"},
    },
}
NO_TIMES = {
    "current_positive": "charge",
    "columns": {
        "frequency_hertz": {"column": "f", "unit": "kHz"},
        "real_impedance_ohm": {"column": "Z'", "unit": "ohm"},
        "imaginary_impedance_ohm": {"column": "-Z''", "unit": "ohm", "negated": True},
    },
}


def column_map(**changes: Any) -> ColumnMap:
    return validate_record({**PLAIN, **changes}, ColumnMap, where="map")


def read(tmp_path: Path, text: str, mapping: ColumnMap) -> FileRows:
    path = tmp_path / "data.csv"
    path.write_text(text, encoding=mapping.encoding)
    return read_csv(path, mapping)


def test_a_german_file_comes_out_in_si_units_with_charging_positive() -> None:
    mapping = load_record(FILES / "lab_german.yaml", ColumnMap)
    found = streams_of(read_csv(FILES / "lab_german.csv", mapping)).streams
    samples, environment = found["timeseries"], found["environment"]
    assert samples["test_time_second"][0] == 36.0  # 0,0100 h
    assert samples["voltage_volt"][0] == 2.901  # 2901,0 mV
    assert samples["current_ampere"][10] == pytest.approx(84e-6, rel=1e-15)  # the file: discharge positive
    assert environment["temperature_t1_celsius"][0] == pytest.approx(60.0)  # 333,15 K
    assert environment["surface_pressure_pa"][0] == 50.1e6  # 50,1 MPa
    assert list(found["steps"]["step_type"]) == ["rest", "cc_charge", "cc_discharge"]
    assert found["steps"]["cycle_count"].tolist() == [1, 1, 2]
    assert found["steps"]["step_charging_capacity_ah"][1] == pytest.approx(84e-6 * 360 / 3600)


@pytest.mark.parametrize(
    ("unit", "texts", "seconds"),
    [
        ("min", ["0", "1.5"], [0, 90]),
        ("h:min:s", ["0:00:00", "26:03:07.5"], [0, 93787.5]),
        ("h:min:s", ["0:00:00", "1d 02:03:07.5"], [0, 93787.5]),
    ],
)
def test_elapsed_times(tmp_path: Path, unit: str, texts: list[str], seconds: list[float]) -> None:
    columns = {**PLAIN["columns"], "test_time_second": {"column": "t", "unit": unit}}
    rows = read(tmp_path, "t,U,I\n" + "".join(f"{text},3,0\n" for text in texts), column_map(columns=columns))
    assert rows.test_time_second.tolist() == seconds
    assert rows.start_unix_second is None


def test_dates_become_elapsed_time_across_the_end_of_summer_time(tmp_path: Path) -> None:
    when = {"unit": "datetime", "pattern": "%d.%m.%Y %H:%M:%S", "timezone": "Europe/Berlin"}
    columns = {**PLAIN["columns"], "test_time_second": {"column": "t", **when}}
    text = "t,U,I\n26.10.2025 01:59:00,3,0\n26.10.2025 03:01:00,3,0\n"
    rows = read(tmp_path, text, column_map(columns=columns))
    assert rows.test_time_second.tolist() == [0, 2 * 3600 + 120]  # on the clock 1 h 2 min
    assert rows.start_unix_second == 1761436740.0


def test_a_spectrum_without_times_or_voltages(tmp_path: Path) -> None:
    mapping = validate_record(NO_TIMES, ColumnMap, where="map")
    text = "f,Z',-Z''\n100,50,1\n10,60,5\n1,70,2\n100,51,1\n10,61,5\n"
    rows = read(tmp_path, text, mapping)
    found = streams_of(rows).streams["impedance"]
    assert found["frequency_hertz"].tolist() == [1e5, 1e4, 1e3, 1e5, 1e4]
    assert found["imaginary_impedance_ohm"].tolist() == [-1, -5, -2, -1, -5]
    assert found["spectrum_count"].tolist() == [1, 1, 1, 2, 2]
    assert "no times" in rows.notices[0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("t,U,I\n1,3,0\n2,3\n", "line 3: row: has 2 fields where the headings name 3"),
        ("t,U,I\n1,3,0\n2,3,0,0\n", "line 3: row: has 4 fields"),
        ("t,U,I\n1,3,0\n2,3 V,0\n", "line 3: U = '3 V': must be a number"),
        ("t,U,I\n1,3,0\n2,3,infinity\n", "line 3: I = 'infinity'"),
        ("t,U,I\n1,3,0\n,3,0\n", "line 3: t = '': must be a number"),
        ("t,U,I\n1,3,0\n\n2,3,0\n", "line 3: row: is empty, but more rows follow"),
        ("t,U,I\n1,3,0\n2,3,0", "line 3: text: the file ends within this line"),
        ("t,U,I\n1,3,0\n2,3,\x000\n", "line 3: text.*control character at byte 5"),
        ("t;U;I\n1;3;0\n", "line 1: heading = 't': is not there; the file has t;U;I"),
        ("t,U,U\n1,3,0\n", "line 1: heading = 'U': is there more than once"),
        ('t,U,I\n1,"3"x,0\n', "line 2: row"),
        ("", "heading_line = 1: lies behind the end of the file"),
    ],
)
def test_a_bad_file_is_refused_with_line_field_and_reason(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        read(tmp_path, text, column_map())


@pytest.mark.parametrize("value", ["1.234,5", "1.5", "1,2,3", "1 234,5", "1'234", "0x10", "١٢"])
def test_a_number_in_another_locale_is_never_guessed(tmp_path: Path, value: str) -> None:
    mapping = column_map(separator=";", decimal=",")
    with pytest.raises(ConfigurationError, match=r"line 2: U = .*must be a number with ',' as decimal sign"):
        read(tmp_path, f"t;U;I\n0;{value};0\n", mapping)


def test_bytes_of_another_encoding_are_named(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    path.write_bytes("t,U,I\n1,3,0\n2,3,0 # größe\n".encode("latin-1"))
    with pytest.raises(ConfigurationError, match=r"line 3: text = .*byte 11 is not utf-8 text"):
        read_csv(path, column_map())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"columns": {"voltage": {"column": "U", "unit": "V"}}}, "voltage.*is not known; allowed are"),
        ({"columns": {"voltage_volt": {"column": "U", "unit": "V"}}}, "columns.test_time_second: is missing"),
        ({"current_positive": None}, "current_positive"),
        ({"decimal": ","}, "',' is the separator too"),
        (
            {"columns": {**PLAIN["columns"], "voltage_volt": {"column": "U", "unit": "volts"}}},
            "must be one of V, mV",
        ),
        ({"columns": {**PLAIN["columns"], "voltage_volt": {"column": "U"}}}, "'' must be one of V, mV, uV"),
        ({"columns": {**NO_TIMES["columns"], "frequency_hertz": None}}, "frequency_hertz"),
        ({"separator": "tab"}, "separator"),
        ({"seperator": ";"}, "did you mean 'separator'"),
        (
            {"columns": {**PLAIN["columns"], "test_time_second": {"column": "t", "unit": "datetime"}}},
            "pattern: belongs to unit 'datetime'",
        ),
    ],
)
def test_a_bad_column_map_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        column_map(**changes)


def test_a_wrong_decimal_sign_in_the_map_is_found_out(tmp_path: Path) -> None:
    mapping = load_record(FILES / "lab_german.yaml", ColumnMap)
    path = changed("lab_german.csv", tmp_path, lambda text: text.replace(",", "."))
    with pytest.raises(ConfigurationError, match=r"line 5: Zeit.*',' as decimal sign"):
        read_csv(path, mapping)
