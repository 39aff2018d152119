"""BDF files of other programs: labels of several versions, step words, wall time only."""

from __future__ import annotations

from pathlib import Path

import pytest

from labctl.errors import ConfigurationError
from labctl.importers.bdf import read_bdf
from labctl.importers.streams import streams_of

HEADING = "Test Time / s,Voltage / V,Current / A"


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "x.bdf.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_three_required_columns_are_enough(tmp_path: Path) -> None:
    rows = "".join(f"{t},{3 + t / 1e4},{0 if t < 100 else 0.001}\n" for t in range(0, 200, 10))
    found = streams_of(read_bdf(written(tmp_path, f"{HEADING}\n{rows}"))).streams
    assert list(found["steps"]["step_type"]) == ["rest", "cc_charge"]
    assert found["steps"]["step_charging_capacity_ah"][1] == pytest.approx(0.001 * 100 / 3600)
    assert set(found["timeseries"]["cycle_count"]) == {0}


@pytest.mark.parametrize(
    "heading",
    [
        "test_time_second,voltage_volt,current_ampere,temperature_t1_celsius",
        f"{HEADING},Temperature T1 / degC",
        f"{HEADING},Surface Temperature T1 / degC",
        f"\ufeff{HEADING},Temperature / degC",
        '"Test Time / s","Voltage / V","Current / A","Temperature / degC"',
        f"{HEADING},Temperature T1 / degC".replace(",", "\t"),
    ],
)
def test_headings_of_all_versions_of_the_format_are_understood(tmp_path: Path, heading: str) -> None:
    row = "0,3.0,-0.001,60\n".replace(",", "\t" if "\t" in heading else ",")
    rows = read_bdf(written(tmp_path, f"{heading}\n{row}"))
    assert rows.columns["current_ampere"].tolist() == [-0.001]
    assert rows.columns["temperature_t1_celsius"].tolist() == [60.0]


def test_the_words_of_the_format_for_steps_become_labctls(tmp_path: Path) -> None:
    words = ["REST", "CC_CHG", "CV_CHG", "OCV", "CC_DCH", "CC_CHG"]
    rows = "".join(f"{t},3,{0 if w in ('REST', 'OCV') else 1},{t},{w}\n" for t, w in enumerate(words))
    found = streams_of(read_bdf(written(tmp_path, f"{HEADING},Step Count / 1,Step Type\n{rows}"))).streams
    expected = ["rest", "cc_charge", "cv_charge", "rest", "cc_discharge", "cc_charge"]
    assert list(found["steps"]["step_type"]) == expected
    assert found["steps"]["step_count"].tolist() == [0, 1, 2, 3, 4, 5]


def test_unknown_words_and_columns_are_told_and_types_taken_from_the_data(tmp_path: Path) -> None:
    text = f"{HEADING},Step Type,Humidity / %\n0,3,1,BOOST,40\n1,3.1,1,BOOST,40\n"
    rows = read_bdf(written(tmp_path, text))
    found = streams_of(rows).streams
    assert list(found["steps"]["step_type"]) == ["cc_charge"]
    assert any("Humidity / %" in notice for notice in rows.notices)
    assert any("BOOST" in notice for notice in rows.notices)


def test_step_numbers_that_begin_again_are_counted_anew(tmp_path: Path) -> None:
    rows = "".join(f"{t},3,{[0, 1][n - 1]},{n}\n" for t, n in enumerate([1, 1, 2, 2, 1, 1]))
    read = read_bdf(written(tmp_path, f"{HEADING},Step Count / 1\n{rows}"))
    found = streams_of(read).streams
    assert found["timeseries"]["step_count"].tolist() == [1, 1, 2, 2, 3, 3]
    assert any("counted anew" in notice for notice in read.notices)


def test_wall_time_alone_gives_test_time(tmp_path: Path) -> None:
    text = "Unix Time / s,Voltage / V,Current / A\n1790000000.5,3,0\n1790000002.0,3,0\n"
    rows = read_bdf(written(tmp_path, text))
    assert rows.test_time_second.tolist() == [0, 1.5]
    assert rows.start_unix_second == 1790000000.5


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "Test Time / s,Voltage / V\n0,3\n",
            "heading = 'Current / A': is missing; the file has Test",
        ),
        ("Test Time / s,Voltage / mV,Current / A\n0,3,0\n", "heading = 'Voltage / V': is missing"),
        (f"{HEADING},voltage_volt\n0,3,0,3\n", "heading = 'voltage_volt': Voltage / V is given twice"),
        (
            f"{HEADING},Cycle Count / 1\n0,3,0,1.5\n",
            "Cycle Count / 1 = '1.5': must be a whole number",
        ),
        (f"{HEADING}\n0,3,nan\nnan,3,0\n", "line 3: Test Time / s = 'nan'"),
        (f"{HEADING}\n0,3.1.2,0\n", r"line 2: Voltage / V = '3\.1\.2'"),
        (f"{HEADING}\n-1,3,0\n", "line 2: test time = -1.0: must not be below 0 s"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        streams_of(read_bdf(written(tmp_path, text)))
