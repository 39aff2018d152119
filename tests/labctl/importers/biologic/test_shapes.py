"""BioLogic text exports in the shapes that other versions, settings and languages give them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from math import sqrt
from pathlib import Path

import numpy as np
import pytest

from labctl.errors import ConfigurationError
from labctl.importers.biologic.mpt import read_mpt
from labctl.importers.streams import streams_of
from tests.labctl.importers.damage import FILES, changed

SAMPLES = ("mode", "ox/red", "error", "control changes", "Ns changes", "Ns", "time/s", "Ewe/V", "I/mA")
ABOVE = ("Run on channel : 2 (SN 20112)", "Acquisition started on : 11/20/2024 11:38:41.707")


def number(value: float, sign: str = ".") -> str:
    """A float as EC-Lab writes it."""
    digits, exponent = f"{value:.7E}".split("E")
    return f"{digits}E{exponent[0]}{int(exponent[1:]):03d}".replace(".", sign)


def mpt(
    directory: Path,
    technique: str | None,
    headings: Sequence[str],
    rows: Sequence[Sequence[str | int]],
    settings: Sequence[str] = (),
    kind: str = "EC-Lab",
) -> Path:
    """A text export as the program leaves it: tab behind the headings, no line end behind the last row."""
    above = [] if technique is None else ["", technique, "", *ABOVE, *settings, ""]
    lines = [f"{kind} ASCII FILE", f"Nb header lines : {len(above) + 3}{'':20}", *above]
    lines += ["\t".join(headings) + "\t", *("\t".join(map(str, row)) for row in rows)]
    path = directory / "export.mpt"
    path.write_bytes("\r\n".join(lines).encode("cp1252"))
    return path


def cycle(rest: int, charge: int, discharge: int) -> list[list[str | int]]:
    """Rest, charge and discharge at 1 Hz with 0.1 mA; Ns 0, 1, 2."""
    rows: list[list[str | int]] = []
    for sequence, (count, mode, current) in enumerate(
        [(rest, 3, 0.0), (charge, 1, 0.1), (discharge, 1, -0.1)]
    ):
        for row in range(count):
            second, volt = float(len(rows)), 3.0 + 1e-3 * len(rows)
            flags = [mode, int(current > 0), 0, 0, int(row == 0 and sequence > 0), sequence]
            rows.append([*flags, number(second), number(volt), number(current)])
    return rows


def test_a_last_row_without_line_end_is_read_when_it_is_whole(tmp_path: Path) -> None:
    rows = read_mpt(mpt(tmp_path, "Modulo Bat", SAMPLES, cycle(3, 4, 5)))
    assert len(rows) == 12
    assert rows.notices == []
    assert rows.columns["current_ampere"][-1] == -1e-4


@pytest.mark.parametrize("cut", [1, 2, 3, 5])
def test_a_last_number_that_may_be_cut_off_costs_its_row_and_is_told(tmp_path: Path, cut: int) -> None:
    path = mpt(tmp_path, "Modulo Bat", SAMPLES, cycle(3, 4, 5))
    path.write_bytes(path.read_bytes()[:-cut])
    rows = read_mpt(path)
    assert len(rows) == 11
    assert any("line 21, the last one, was left out" in notice for notice in rows.notices)


def test_a_last_row_cut_within_another_field_is_refused(tmp_path: Path) -> None:
    path = mpt(tmp_path, "Modulo Bat", SAMPLES, cycle(3, 4, 5))
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ConfigurationError, match="line 21: row: the file ends within it, after 8 of 9"):
        read_mpt(path)


def test_a_file_without_heading_is_read_by_its_columns(tmp_path: Path) -> None:
    rows = read_mpt(mpt(tmp_path, None, SAMPLES, cycle(3, 4, 5)))
    assert rows.technique == "mpt"
    assert rows.start_unix_second is None
    assert any("no heading" in notice for notice in rows.notices)
    assert list(streams_of(rows).streams["steps"]["step_type"]) == ["rest", "cc_charge", "cc_discharge"]


def test_an_open_circuit_file_without_heading_and_current_is_a_rest(tmp_path: Path) -> None:
    rows = [[3, 0, number(float(second)), number(2.9)] for second in range(4)]
    path = mpt(tmp_path, None, ("mode", "error", "time/s", "Ewe/V"), rows)
    samples = streams_of(read_mpt(path)).streams["timeseries"]
    assert set(samples["step_type"]) == {"rest"}
    assert set(samples["current_ampere"]) == {0.0}


def test_a_technique_without_a_name_of_ours_is_read_by_its_columns(tmp_path: Path) -> None:
    rows = read_mpt(mpt(tmp_path, "Battery Capacity Determination", SAMPLES, cycle(3, 4, 5), kind="BT-Lab"))
    assert rows.technique == "battery-capacity-determination"
    assert any("is not supported" in notice for notice in rows.notices)


def test_columns_behind_one_without_a_name_have_no_data(tmp_path: Path) -> None:
    headings = (
        "freq/Hz",
        "Re(Z)/Ohm",
        "-Im(Z)/Ohm",
        "time/s",
        "<Ewe>/V",
        "<I>/mA",
        "Re(Zce)/Ohm",
        "",
        "Ewe-Ece/V",
    )
    rows = [[number(value) for value in (10.0**-n, 5.0 + n, 1.0, n, 2.9, 0.01, 7.0)] for n in range(5)]
    found = read_mpt(mpt(tmp_path, "Potentio Electrochemical Impedance Spectroscopy", headings, rows))
    assert found.columns["real_impedance_ohm"].tolist() == [5, 6, 7, 8, 9]
    assert found.about["voltage_column"] == "<Ewe>/V"
    assert any("Re(Z); not taken over: Re(Zce)/Ohm" in notice for notice in found.notices)


@pytest.mark.parametrize(
    ("setting", "value", "unit"),
    [
        (
            ("Ia/Va               Ia", "Ia                  50.000", "unit  Ia            µA"),
            50e-6 / sqrt(2),
            "A",
        ),
        (("Ia                  0.050", "unit Ia             mA"), 50e-6 / sqrt(2), "A"),
        (("Ia/Va               Va", "Ia                  0.050", "unit  Ia            mA"), np.nan, "A"),
    ],
)
def test_the_amplitude_of_a_galvanostatic_spectrum_stands_in_its_settings(
    tmp_path: Path, setting: tuple[str, ...], value: float, unit: str
) -> None:
    headings = ("freq/Hz", "Re(Z)/Ohm", "-Im(Z)/Ohm", "time/s", "<Ewe>/V", "<I>/mA")
    rows = [[number(v) for v in (10.0**-n, 5.0, 1.0, n, 2.9, 0.01)] for n in range(3)]
    path = mpt(tmp_path, "Galvano Electrochemical Impedance Spectroscopy", headings, rows, setting)
    found = read_mpt(path)
    assert found.amplitude_unit == unit
    assert found.columns["amplitude_rms"] == pytest.approx(value, nan_ok=True)


@pytest.mark.parametrize("fraction", [".7070", ",7070"])
def test_times_given_as_dates_become_seconds_since_the_first_row(tmp_path: Path, fraction: str) -> None:
    rows = [
        [0, f"11/20/2024 11:{38 + n // 60:02d}:{n % 60:02d}{fraction}", number(3.0, fraction[0]), number(0.1)]
        for n in range(0, 120, 10)
    ]
    rows = [[*row[:3], str(row[3]).replace(".", fraction[0])] for row in rows]
    path = mpt(tmp_path, "Modulo Bat", ("Ns", "time/s", "Ecell/V", "I/mA"), rows)
    found = read_mpt(path)
    assert found.test_time_second == pytest.approx(np.arange(0, 120, 10), abs=1e-6)
    assert found.start_unix_second == datetime(2024, 11, 20, 11, 38, 0, 707_000).astimezone().timestamp()


def test_a_field_that_is_no_date_among_dates_is_refused(tmp_path: Path) -> None:
    rows = [[0, f"11/20/2024 11:38:{n:02d}.000", number(3.0), number(0.1)] for n in range(5)]
    rows[3][1] = number(3.0)
    path = mpt(tmp_path, "Modulo Bat", ("Ns", "time/s", "Ecell/V", "I/mA"), rows)
    with pytest.raises(ConfigurationError, match=r"line 13: time/s = .*must be a date like 08/27/2021"):
        read_mpt(path)


def test_without_mode_the_sequence_and_the_current_give_the_steps(tmp_path: Path) -> None:
    rows = [[row[5], *row[6:]] for row in cycle(3, 4, 5)]
    path = mpt(tmp_path, "Modulo Bat", ("Ns", "time/s", "Ewe/V", "I/mA"), rows)
    steps = streams_of(read_mpt(path)).streams["steps"]
    assert list(steps["step_type"]) == ["rest", "cc_charge", "cc_discharge"]


def test_a_half_cycle_counted_one_row_late_makes_no_step_of_its_own(tmp_path: Path) -> None:
    rows = [[*row, int(place >= 8)] for place, row in enumerate(cycle(3, 4, 5))]
    steps = streams_of(read_mpt(mpt(tmp_path, "Modulo Bat", (*SAMPLES, "half cycle"), rows))).streams["steps"]
    assert list(steps["step_type"]) == ["rest", "cc_charge", "cc_discharge"]


def test_a_sequence_that_is_repeated_at_once_is_a_step_each_time(tmp_path: Path) -> None:
    rows = cycle(0, 6, 0)
    rows[3][4] = 1
    steps = streams_of(read_mpt(mpt(tmp_path, "Modulo Bat", SAMPLES, rows))).streams["steps"]
    assert list(steps["step_type"]) == ["cc_charge", "cc_charge"]


def test_empty_lines_between_rows_are_told_and_cost_nothing(tmp_path: Path) -> None:
    path = changed(
        "gcpl_comma.mpt", tmp_path, lambda text: text[:-1200] + text[-1200:].replace("\n", "\n\r\n", 3)
    )
    rows, whole = read_mpt(path), read_mpt(FILES / "gcpl_comma.mpt")
    assert rows.test_time_second.tolist() == whole.test_time_second.tolist()
    assert any("3 empty line(s)" in notice for notice in rows.notices)


def test_comments_of_any_language_and_files_saved_again_as_utf_8_are_read(tmp_path: Path) -> None:
    path = tmp_path / "gcpl.mpt"
    text = (FILES / "gcpl_comma.mpt").read_bytes().decode("cp1252").replace("pellet 7", "\u7535\u6c60 7")
    for encoding in ("utf-8", "gb18030"):
        path.write_bytes(text.encode(encoding))
        found = streams_of(read_mpt(path)).streams
        if encoding == "utf-8":
            assert found["environment"]["temperature_t1_celsius"][0] == 60.021
        assert len(found["timeseries"]["voltage_volt"]) == 110


def test_dates_with_dots_are_month_first_as_those_with_slashes(tmp_path: Path) -> None:
    dotted = changed("ocv_comma.mpt", tmp_path, lambda text: text.replace("03/04/2022", "03.04.2022"))
    rows = read_mpt(dotted)
    assert rows.start_unix_second == datetime(2022, 3, 4, 1, 2, 3).astimezone().timestamp()
    assert "read as month/day/year" in rows.notices[0]
