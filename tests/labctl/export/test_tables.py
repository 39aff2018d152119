"""CSV, Excel and HDF5: the same values as in the journal, with names and units."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import h5py
import numpy as np
import pyarrow as pa
import pytest
from openpyxl import load_workbook

from labctl.errors import LabctlError
from labctl.export.content import read_content
from labctl.export.excel import ExcelFile
from labctl.export.hdf5 import Hdf5File
from labctl.export.metadata import run_metadata
from labctl.export.run import export_run
from labctl.store.client.store import Store
from tests.labctl.export.conftest import Measured
from tests.labctl.export.long_run import write_long_run

STREAMS = ("timeseries", "impedance", "environment", "steps")


def columns_of(path: Path) -> dict[str, list[str]]:
    with path.open(newline="", encoding="utf-8") as file:
        heading, *rows = csv.reader(file, strict=True)
    return dict(zip(heading, map(list, zip(*rows, strict=True)), strict=True))


def test_csv_has_a_file_per_stream_with_the_journals_names_and_values(
    measured: Measured, tmp_path: Path
) -> None:
    export_run(measured.store, measured.uid, "csv", tmp_path)
    for stream in STREAMS:
        written = columns_of(next(tmp_path.glob(f"*.{stream}.csv")))
        for name, values in measured.tables.stream(stream).items():
            if values.dtype.kind == "f":
                assert [float(text) for text in written[name]] == values.tolist(), (stream, name)
            else:
                assert written[name] == [str(value) for value in values], (stream, name)
    record = json.loads(next(tmp_path.glob("*.metadata.json")).read_bytes())
    assert record["run"]["uid"] == measured.uid


def test_samples_carry_the_temperature_read_nearest_in_time(measured: Measured, tmp_path: Path) -> None:
    export_run(measured.store, measured.uid, "csv", tmp_path)
    samples = columns_of(next(tmp_path.glob("*.timeseries.csv")))
    given = {text for text in samples["temperature_t1_celsius"] if text}
    assert given
    assert all(24 < float(text) < 26 for text in given)


def test_excel_opens_with_all_streams_and_what_they_are(measured: Measured, tmp_path: Path) -> None:
    (path,) = export_run(measured.store, measured.uid, "xlsx", tmp_path)
    book = load_workbook(path, read_only=True)
    assert set(book.sheetnames) == {"about", *STREAMS}
    about = {row[0]: row[-1] for row in book["about"].iter_rows(values_only=True)}
    assert about["cell.id"] == "lic-ncm-1"
    assert about["conventions.current"] == "positive current charges the cell"
    heading, *rows = book["timeseries"].iter_rows(values_only=True)
    volts = measured.tables.stream("timeseries")["voltage_volt"]
    assert [row[heading.index("voltage_volt")] for row in rows] == volts.tolist()
    book.close()


def test_text_in_excel_is_never_a_formula_and_missing_values_are_empty(tmp_path: Path) -> None:
    table = pa.table({"reason": ["=1+1", "a\x00b", "long " * 10_000], "value": [1.5, float("nan"), None]})
    with ExcelFile(tmp_path / "x.xlsx") as book:
        book.describe({"note": "=2+2", "long": "y" * 40_000})
        book.begin("alarms")
        book.write(table.slice(0, 2))
    found = load_workbook(tmp_path / "x.xlsx")
    cells = list(found["alarms"].iter_rows(min_row=2))
    assert [cell.data_type for cell in (cells[0][0], found["about"]["B1"])] == ["s", "s"]
    assert cells[0][0].value == "=1+1"
    assert cells[1][0].value == "a\N{REPLACEMENT CHARACTER}b"
    assert cells[1][1].value is None
    assert "".join(row[1].value for row in found["about"].iter_rows(min_row=2)) == "y" * 40_000


def test_a_full_excel_sheet_is_followed_by_another(tmp_path: Path) -> None:
    with ExcelFile(tmp_path / "x.xlsx", sheet_rows=4) as book:
        book.begin("timeseries")
        book.write(pa.table({"n": list(range(7))}))
    found = load_workbook(tmp_path / "x.xlsx")
    assert found.sheetnames == ["timeseries", "timeseries 2", "timeseries 3"]
    values = [row[0] for sheet in found for row in sheet.iter_rows(min_row=2, values_only=True)]
    assert values == list(range(7))


def test_hdf5_is_nexus_like_with_units_on_every_column(measured: Measured, tmp_path: Path) -> None:
    (path,) = export_run(measured.store, measured.uid, "hdf5", tmp_path)
    with h5py.File(path) as file:
        assert file.attrs["default"] == "entry"
        entry = file["entry"]
        assert entry.attrs["NX_class"] == "NXentry"
        assert entry["entry_identifier"].asstr()[()] == measured.uid
        for stream in STREAMS:
            for name, values in measured.tables.stream(stream).items():
                dataset = entry[stream][name]
                found = dataset.asstr()[:] if values.dtype.kind == "T" else dataset[:]
                assert found.tolist() == values.tolist(), (stream, name)
                assert "units" in dataset.attrs
        samples = entry["timeseries"]
        assert (samples.attrs["NX_class"], samples.attrs["signal"]) == ("NXdata", "voltage_volt")
        assert list(samples.attrs["axes"]) == ["test_time_second"]
        assert samples["voltage_volt"].attrs["units"] == "V"
        assert entry["impedance/frequency_hertz"].attrs["units"] == "Hz"
        assert entry["sample/name"].asstr()[()] == "lic-ncm-1"
        assert entry["sample/composite/mass_mg"][()] == 12.0
        assert entry["instrument/cycler/serial"].asstr()[()] == "ES4HR00S0001"
        assert json.loads(entry["metadata"].asstr()[()])["run"]["uid"] == measured.uid


def test_a_label_too_long_for_hdf5_is_refused_not_cut(measured: Measured, tmp_path: Path) -> None:
    content = read_content(lambda: measured.store.documents(measured.uid))
    with Hdf5File(tmp_path / "x.h5", content, run_metadata(content)) as file:
        with pytest.raises(LabctlError, match="longer than 64 bytes"):
            file.append("timeseries", pa.table({"step_type": ["ü" * 33]}))


def test_a_real_run_has_wall_times_and_pages_join_without_a_seam(tmp_path: Path) -> None:
    uid = write_long_run(tmp_path / "data", 60_001)
    told: list[int] = []
    export_run(Store(tmp_path / "data"), uid, "csv", tmp_path / "out", on_rows=told.append)
    samples = columns_of(next((tmp_path / "out").glob("*.timeseries.csv")))
    time = np.array(samples["test_time_second"], dtype=float)
    assert time.tolist() == np.arange(1, 60_002).tolist()
    assert (np.array(samples["unix_time_second"], dtype=float) - time == 1.79e9).all()
    assert sum(told) == 60_001
    assert len(told) > 1
