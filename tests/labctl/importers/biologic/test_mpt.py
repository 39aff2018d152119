"""BioLogic text exports: techniques, decimal signs, signs, spectra, times that go back."""

from __future__ import annotations

from datetime import datetime
from math import sqrt
from pathlib import Path

import numpy as np
import pytest

from labctl.errors import ConfigurationError
from labctl.importers.biologic.mpt import read_mpt
from labctl.importers.streams import ImportedStreams, streams_of
from tests.labctl.importers.damage import FILES, changed


def streams(name: str) -> ImportedStreams:
    return streams_of(read_mpt(FILES / name))


def test_gcpl_with_a_decimal_comma_becomes_steps_charges_and_temperatures() -> None:
    found = streams("gcpl_comma.mpt").streams
    steps, samples = found["steps"], found["timeseries"]
    assert list(steps["step_type"]) == ["rest", "cc_charge", "rest", "cc_discharge", "rest"]
    assert steps["end_test_time_second"].tolist() == [60, 660, 1860, 2460, 3660]
    charge = 84e-6 * 600 / 3600
    assert steps["step_charging_capacity_ah"] == pytest.approx([0, charge, 0, 0, 0])
    assert steps["step_discharging_capacity_ah"] == pytest.approx([0, 0, 0, charge, 0])
    assert samples["current_ampere"][10] == pytest.approx(84e-6, rel=1e-15)  # 0.084 mA; positive charges
    assert samples["voltage_volt"][10] == 2.9502
    assert samples["step_time_second"][10] == 20
    assert found["environment"]["temperature_t1_celsius"][0] == 60.021


def test_the_heading_tells_instrument_start_and_settings() -> None:
    rows = read_mpt(FILES / "gcpl_comma.mpt")
    started = datetime(2021, 8, 26, 9, 42, 52, 250_000).astimezone()
    assert rows.start_unix_second == started.timestamp()
    assert rows.devices["cycler"]["model"] == "VMP-300"
    assert rows.devices["cycler"]["serial"] == "0001"
    assert "Comments : pellet 7, 60 °C" in rows.about["heading"]
    assert rows.about["voltage_column"] == "Ewe/V"


def test_peis_gets_the_true_sign_its_amplitude_and_one_spectrum_per_loop() -> None:
    found = streams("peis_point.mpt").streams
    impedance = found["impedance"]
    assert set(found) == {"impedance", "steps"}
    assert np.unique(impedance["spectrum_count"], return_counts=True)[1].tolist() == [43, 43]
    assert impedance["frequency_hertz"][0] == 1e6
    assert (impedance["imaginary_impedance_ohm"] < 0).all()  # the file gives -Im(Z), all above 0
    assert impedance["imaginary_impedance_ohm"][0] == -6.445775e-3
    assert impedance["amplitude_rms"] == pytest.approx(10e-3 / sqrt(2))  # the file gives the peak, Va (mV)
    assert set(impedance["amplitude_unit"]) == {"V"}
    assert impedance["test_time_second"][0] == 7200.2000015
    assert list(found["steps"]["step_type"]) == ["peis", "peis"]
    assert list(found["steps"]["end_reason"]) == ["complete", "complete"]


def test_open_circuit_has_no_current_column_and_none_flows() -> None:
    found = streams("ocv_comma.mpt").streams
    assert set(found["timeseries"]["current_ampere"]) == {0.0}
    assert list(found["steps"]["step_type"]) == ["rest"]
    assert found["timeseries"]["voltage_volt"][-1] == 2.9112


def test_a_date_that_may_be_read_in_two_ways_is_told() -> None:
    assert "read as month/day/year" in read_mpt(FILES / "ocv_comma.mpt").notices[0]


def test_several_techniques_in_one_file_keep_their_order() -> None:
    found = streams("modulo_bat.mpt").streams
    assert list(found["steps"]["step_type"]) == ["rest", "peis", "cc_charge", "cv_charge"]
    assert len(found["impedance"]["frequency_hertz"]) == 21
    assert set(found["impedance"]["step_count"]) == {2}
    assert set(found["timeseries"]["step_count"]) == {1, 3, 4}
    assert found["timeseries"]["status"].sum() == 1  # the file's own error flag


def test_rows_given_twice_are_left_out_and_a_late_one_stays_told_with_their_lines() -> None:
    rows = read_mpt(FILES / "gcpl_backward.mpt")
    imported = streams_of(rows)
    assert any("identical to earlier rows: line 48" in notice for notice in rows.notices)
    assert any("put between theirs: line 54" in notice for notice in rows.notices)
    samples = imported.streams["timeseries"]
    assert (np.diff(samples["test_time_second"]) > 0).all()
    assert 2.9999 in samples["voltage_volt"]
    assert len(samples["voltage_volt"]) == 62 - 1


def test_a_clock_that_begins_again_begins_a_step_and_moves_no_charge() -> None:
    rows = read_mpt(FILES / "gcpl_backward.mpt")
    imported = streams_of(rows)
    (gap,) = imported.gaps
    assert (gap.line, gap.jump_second) == (70, -659.0)
    steps = imported.streams["steps"]
    assert list(steps["step_type"]) == ["rest", "cc_charge", "cc_discharge"]
    assert steps["step_charging_capacity_ah"].sum() == pytest.approx(84e-6 * 600 / 3600)
    assert steps["step_discharging_capacity_ah"].sum() == pytest.approx(84e-6 * 380 / 3600)
    assert any("line 70" in notice and "elapsed time is unknown" in notice for notice in rows.notices)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "Nb header lines : 27",
            "Nb header lines : 26",
            "lines = 26: that line must name the columns",
        ),
        ("Nb header lines : 27", "Nb header lines : many", "Nb header lines.*a number from 3 to 5000"),
        ("EC-Lab ASCII FILE", "EC-Lab LOG FILE", "kind.*must be EC-Lab ASCII FILE or BT-Lab ASCII FILE"),
        ("<I>/mA", "<I>/uA", "line 38: heading = '<I>/mA or I/mA': is missing.*this row is no rest"),
        ("Ewe/V", "Ewe/mV", "line 27: heading = 'Ecell/V or .*: is missing for gcpl"),
        ("time/s", "time", "time/s': is missing"),
        ("6,000000000000000E+000", "6.000000000000000E+000", r"has both '\.' and ','"),
        ("2,400000000000000E+001", "2.400000000000000E+001", "line 31: time/s.*',' as decimal sign"),
        ("2,400000000000000E+001", "", "line 31: time/s = '': must be a number"),
        ("2,400000000000000E+001", "1_0", "line 31: time/s = '1_0'"),
        ("2,400000000000000E+001", "2,4E+999", "line 31: time/s"),
        ("2,400000000000000E+001", "-2,4E+001", "line 31: test time = -24.0: must not be below 0 s"),
        ("half cycle", "Ns", "line 27: heading = 'Ns': is given twice"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = changed("gcpl_comma.mpt", tmp_path, lambda text: text.replace(old, new, 1))
    with pytest.raises(ConfigurationError, match=message) as raised:
        streams_of(read_mpt(path))
    assert str(path) in str(raised.value)


def test_a_file_without_rows_is_refused(tmp_path: Path) -> None:
    path = changed("ocv_comma.mpt", tmp_path, lambda text: text[: text.index("3\t0\t")])
    with pytest.raises(ConfigurationError, match="rows: there are none"):
        streams_of(read_mpt(path))


def test_two_exports_glued_together_are_refused(tmp_path: Path) -> None:
    path = changed("ocv_comma.mpt", tmp_path, lambda text: text + text)
    with pytest.raises(ConfigurationError, match=r"line 38: row: has 1 fields where the headings name 4"):
        read_mpt(path)


def test_day_first_dates_of_german_computers_are_understood(tmp_path: Path) -> None:
    rows = read_mpt(FILES / "peis_point.mpt")
    assert rows.start_unix_second == datetime(2021, 8, 27, 10, 0, 0, 500_000).astimezone().timestamp()
    path = changed("gcpl_comma.mpt", tmp_path, lambda text: text.replace("08/26/2021", "26/08/2021"))
    assert read_mpt(path).start_unix_second == read_mpt(FILES / "gcpl_comma.mpt").start_unix_second


def test_the_amplitude_of_galvanostatic_spectra_is_in_ampere(tmp_path: Path) -> None:
    def to_geis(text: str) -> str:
        text = text.replace("Potentio Electro", "Galvano Electro").replace("lines : 38", "lines : 39")
        return text.replace(
            "Va (mV)             10.0", "Ia                  20.000\r\nunit Ia             µA", 1
        )

    path = changed("peis_point.mpt", tmp_path, to_geis)
    found = streams_of(read_mpt(path)).streams["impedance"]
    assert found["amplitude_rms"] == pytest.approx(20e-6 / sqrt(2))
    assert set(found["amplitude_unit"]) == {"A"}
