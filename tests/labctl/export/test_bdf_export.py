"""BDF files against the format's own rules.

They stand in the README of github.com/battery-data-alliance/battery-data-format ("Defining the BDF for Cycler
Time-Series Data", points 1 to 7) and in the table schema 1.2.0 of its ontology (`schema/schema.json`; for the
sign of the current the definition of `current_ampere`).
"""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from labctl.bdf import TERMS
from labctl.export.run import export_run
from tests.labctl.export.conftest import Measured

# Preferred labels (csvw:titles) and types of the schema, of the columns that labctl can have.
LABELS = {
    "test_time_second": "Test Time / s",
    "unix_time_second": "Unix Time / s",
    "voltage_volt": "Voltage / V",
    "current_ampere": "Current / A",
    "cycle_count": "Cycle Count / 1",
    "step_count": "Step Count / 1",
    "step_time_second": "Step Time / s",
    "step_type": "Step Type",
    "temperature_t1_celsius": "Temperature T1 / degC",
    "applied_pressure_pa": "Applied Pressure / Pa",
    "surface_pressure_pa": "Surface Pressure / Pa",
}
REQUIRED = {"Test Time / s", "Voltage / V", "Current / A"}
INTEGERS = {"Cycle Count / 1", "Step Count / 1"}


@pytest.fixture(scope="module")
def files(measured: Measured, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    directory = tmp_path_factory.mktemp("bdf")
    export_run(measured.store, measured.uid, "bdf", directory)
    export_run(measured.store, measured.uid, "parquet", directory)
    return {"".join(path.suffixes): path for path in directory.iterdir()}


@pytest.fixture(scope="module")
def rows(files: dict[str, Path]) -> list[dict[str, str]]:
    with files[".bdf.csv"].open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file, strict=True))


def test_the_labels_are_those_of_the_schema() -> None:
    assert {name: TERMS[name].label for name in LABELS} == LABELS


def test_the_first_row_holds_preferred_labels_with_the_required_ones(rows: list[dict[str, str]]) -> None:
    headings = set(rows[0])
    assert headings >= REQUIRED
    assert headings - set(LABELS.values()) == {"Status / 1"}  # the one column that the format does not know


def test_all_rows_match_the_heading_in_their_number_of_columns(files: dict[str, Path]) -> None:
    with files[".bdf.csv"].open(newline="", encoding="utf-8") as file:
        widths = {len(row) for row in csv.reader(file, strict=True)}
    assert len(widths) == 1


def test_test_time_does_not_go_back_or_below_zero(rows: list[dict[str, str]]) -> None:
    time = np.array([float(row["Test Time / s"]) for row in rows])
    assert time[0] >= 0
    assert (np.diff(time) >= 0).all()


def test_counts_are_whole_numbers_that_do_not_fall(rows: list[dict[str, str]]) -> None:
    for label in INTEGERS:
        counts = [int(row[label]) for row in rows]  # "1.0" would not do
        assert counts == sorted(counts)
        assert min(counts) >= 0


def test_positive_current_charges_the_cell(rows: list[dict[str, str]]) -> None:
    charging = [row for row in rows if row["Step Type"] == "cc_charge"]
    assert {round(float(row["Current / A"]), 7) for row in charging} == {84e-6}
    pulse = [float(row["Voltage / V"]) for row in charging if row["Step Count / 1"] == "2"]
    assert pulse[-1] > pulse[0]


def test_every_number_is_the_one_that_was_measured(measured: Measured, rows: list[dict[str, str]]) -> None:
    samples = measured.tables.stream("timeseries")
    assert len(rows) == len(samples["voltage_volt"])
    for name in ("test_time_second", "step_time_second", "voltage_volt", "current_ampere"):
        assert [float(row[TERMS[name].label]) for row in rows] == samples[name].tolist()


def test_parquet_holds_the_same_table_with_units_and_types(
    files: dict[str, Path], rows: list[dict[str, str]]
) -> None:
    table = parquet.read_table(files[".bdf.parquet"])
    assert table.column_names == list(rows[0])
    assert table["Voltage / V"].to_pylist() == [float(row["Voltage / V"]) for row in rows]
    assert table["Step Type"].to_pylist() == [row["Step Type"] for row in rows]
    temperature = [float(row["Temperature T1 / degC"] or "nan") for row in rows]
    assert table["Temperature T1 / degC"].to_pylist() == [None if np.isnan(t) else t for t in temperature]
    assert {table.schema.field(label).type for label in INTEGERS} == {pa.int64()}
    about = table.schema.field("Current / A").metadata
    assert about[b"units"] == b"A"
    assert about[b"iri"].endswith(b"#current_ampere")


def test_a_simulated_cell_has_no_wall_time(rows: list[dict[str, str]]) -> None:
    assert "Unix Time / s" not in rows[0]


def test_the_sidecar_tells_cell_instruments_limits_and_versions(
    measured: Measured, files: dict[str, Path]
) -> None:
    sidecar = json.loads(files[".bdf.metadata.json"].read_bytes())
    assert list(sidecar) == ["extras"]  # the key that the format's package leaves to others
    record = sidecar["extras"]["labctl"]
    assert record["cell"] == measured.tables.start["cell"]
    assert record["cell_derived"]["nominal_capacity_ah"] == pytest.approx(1.68e-3)
    assert record["devices"]["cycler"]["serial"] == "ES4HR00S0001"
    assert "socket://" not in files[".bdf.metadata.json"].read_text()  # nobody else's network
    assert record["limits"]["voltage_max_volt"] == 3.68
    assert record["versions"]["labctl"]
    assert record["run"]["uid"] == measured.uid
    assert record["run"]["rows"]["timeseries"] == len(measured.tables.stream("timeseries")["voltage_volt"])
    assert [step["step_type"] for step in record["steps"]] == list(
        measured.tables.stream("steps")["step_type"]
    )
    assert {column["label"] for column in record["columns"]} >= REQUIRED


def test_the_sidecar_tells_the_conditions_of_every_spectrum(files: dict[str, Path]) -> None:
    record = json.loads(files[".bdf.metadata.json"].read_bytes())["extras"]["labctl"]
    peis, geis = record["impedance"]
    assert (peis["kind"], peis["amplitude_rms"], peis["amplitude_unit"]) == ("peis", 0.01, "V")
    assert (geis["kind"], geis["amplitude_rms"], geis["amplitude_unit"]) == ("geis", 1e-5, "A")
    assert peis["points"] == 31
    assert peis["rest_before_second"] == pytest.approx(1800)
    assert geis["rest_before_second"] is None
    assert 2.9 < peis["mean_voltage_volt"] < 3.1


@pytest.mark.crosscheck
@pytest.mark.parametrize("ending", [".bdf.csv", ".bdf.parquet"])
def test_the_validator_of_the_format_accepts_the_file(files: dict[str, Path], ending: str) -> None:
    bdf = pytest.importorskip("bdf", reason="pip install batterydf")
    report = bdf.validate(str(files[ending]), raise_on_error=True)
    assert report["ok"]
    assert report["missing"] == []
    assert report["time_stats"]["monotonic"]
