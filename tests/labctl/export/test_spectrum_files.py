"""Impedance as CSV for EIS tools."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from labctl.export.run import export_run
from tests.labctl.export.conftest import Measured


def test_each_spectrum_is_a_file_that_impedance_py_reads_as_it_is(measured: Measured, tmp_path: Path) -> None:
    export_run(measured.store, measured.uid, "bdf", tmp_path)
    files = sorted(tmp_path.glob("*.eis-*.csv"))
    assert [file.name[-13:] for file in files] == [".eis-0001.csv", ".eis-0002.csv"]
    measured_rows = measured.tables.stream("impedance")
    for number, file in enumerate(files, 1):
        data = np.genfromtxt(file, delimiter=",")  # what impedance.py's readCSV does with a file
        here = measured_rows["spectrum_count"] == number
        assert np.array_equal(data[:, 0], measured_rows["frequency_hertz"][here])
        assert np.array_equal(data[:, 1], measured_rows["real_impedance_ohm"][here])
        assert np.array_equal(data[:, 2], measured_rows["imaginary_impedance_ohm"][here])
        assert (data[len(data) // 2 :, 2] < 0).all()  # capacitive


def test_a_spectrum_says_its_conditions_and_its_sign(measured: Measured, tmp_path: Path) -> None:
    export_run(measured.store, measured.uid, "csv", tmp_path)
    text = next(tmp_path.glob("*.eis-0001.csv")).read_text()
    assert "# amplitude_rms = 0.01" in text
    assert "# amplitude_unit = V" in text
    assert "# imaginary_impedance_ohm has its true sign: below 0 where the cell is capacitive" in text
    assert f"run {measured.uid}" in text
