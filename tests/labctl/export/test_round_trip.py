"""Out and in again: an imported run is a run like a measured one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import event_model
import numpy as np
import pytest

from labctl.analysis.gitt.analysis import analyze_run
from labctl.documents import RunTables, tables
from labctl.errors import ConfigurationError
from labctl.export.run import export_run
from labctl.importers.run import Imported, import_file
from labctl.store.client.store import Store
from tests.labctl.export.conftest import Measured


@pytest.fixture(scope="module")
def exported(measured: Measured, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("exported")
    return export_run(measured.store, measured.uid, "bdf", directory)[0]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def imported(exported: Path, data: Path) -> Imported:
    return import_file(exported, data)


@pytest.fixture(scope="module")
def again(imported: Imported, data: Path) -> RunTables:
    return tables(Store(data).documents(imported.uid))


def same(one: np.ndarray, other: np.ndarray) -> bool:
    if one.dtype.kind == "f":
        return np.array_equal(one, other, equal_nan=True)
    return one.dtype == other.dtype and bool((one == other).all())


@pytest.mark.parametrize("stream", ["timeseries", "steps"])
def test_every_column_comes_back_as_it_was(measured: Measured, again: RunTables, stream: str) -> None:
    before, after = measured.tables.stream(stream), again.stream(stream)
    assert list(after) == list(before)
    assert [name for name in before if not same(before[name], after[name])] == []


def test_temperature_and_pressure_come_back(measured: Measured, again: RunTables) -> None:
    environment = again.stream("environment")
    assert set(environment) <= set(measured.tables.stream("environment"))
    assert 24 < np.nanmin(environment["temperature_t1_celsius"]) < 26
    assert np.nanmax(environment["surface_pressure_pa"]) == pytest.approx(50e6, rel=0.01)


def test_the_run_is_marked_as_imported_and_knows_its_cell(
    measured: Measured, again: RunTables, exported: Path
) -> None:
    start = again.start
    assert start["plan_name"] == f"imported-{measured.tables.start['plan_name']}"
    assert start["imported"]["file"] == exported.name
    assert start["imported"]["format"] == "bdf"
    assert start["imported"]["source_uid"] == measured.uid
    assert start["cell"] == measured.tables.start["cell"]
    assert start["time"] == measured.tables.start["time"]
    assert again.stop is not None
    assert again.stop["exit_status"] == "success"


def test_its_documents_are_those_of_bluesky(imported: Imported, data: Path) -> None:
    for name, doc in Store(data).documents(imported.uid):
        event_model.schema_validators[event_model.DocumentNames[name]].validate(doc)


def test_its_columns_have_the_types_and_units_of_measured_ones(
    measured: Measured, imported: Imported, data: Path
) -> None:
    def keys(store: Store, uid: str) -> dict[tuple[str, str], tuple[str, str, str]]:
        return {
            (doc["name"], column): (key["dtype"], str(key.get("dtype_numpy")), str(key.get("units")))
            for name, doc in store.documents(uid)
            if name == "descriptor"
            for column, key in doc["data_keys"].items()
        }

    of_measured = keys(measured.store, measured.uid)
    of_imported = keys(Store(data), imported.uid)
    assert of_imported == {place: of_measured[place] for place in of_imported}


def test_the_same_file_again_is_refused_with_the_earlier_run(
    exported: Path, imported: Imported, data: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigurationError, match=imported.uid):
        import_file(exported, data)
    copy = tmp_path / "other name.csv"
    copy.write_bytes(exported.read_bytes())
    with pytest.raises(ConfigurationError, match="is imported already"):
        import_file(copy, data)
    assert import_file(copy, data, force=True).uid != imported.uid


def test_an_imported_gitt_is_analysed_like_the_measured_one(measured: Measured, again: RunTables) -> None:
    of_measured, of_imported = analyze_run(measured.tables), analyze_run(again)
    assert len(of_imported.pulses) == 3
    for one, other in zip(of_measured.pulses, of_imported.pulses, strict=True):
        assert other.diffusion_time_second == one.diffusion_time_second


def test_without_the_sidecar_steps_are_told_from_the_data(
    measured: Measured, exported: Path, tmp_path: Path
) -> None:
    alone = tmp_path / exported.name
    alone.write_bytes(exported.read_bytes())
    done = import_file(alone, tmp_path / "data")
    steps = tables(Store(tmp_path / "data").documents(done.uid)).stream("steps")
    recorded = measured.tables.stream("steps")
    sampled = ~np.isin(recorded["step_type"], ["peis", "geis"])
    for name in ("step_count", "step_type", "cycle_count", "end_reason"):
        assert steps[name].tolist() == recorded[name][sampled].tolist(), name
    for name in ("start_test_time_second", "end_test_time_second"):
        assert np.allclose(steps[name], recorded[name][sampled], rtol=0, atol=1e-6), name
    charged = steps["step_charging_capacity_ah"]
    assert np.allclose(charged, recorded["step_charging_capacity_ah"][sampled], rtol=1e-6, atol=1e-12)


def test_a_damaged_sidecar_is_told_and_not_used(exported: Path, tmp_path: Path) -> None:
    alone = tmp_path / "x.bdf.csv"
    alone.write_bytes(exported.read_bytes())
    for content in (b"{", b"[]", b'{"extras": {"labctl": {"run": {}}}}'):
        (tmp_path / "x.bdf.metadata.json").write_bytes(content)
        done = import_file(alone, tmp_path / "data", force=True)
        assert any("x.bdf.metadata.json was not used" in notice for notice in done.notices)
        assert done.plan_name == "imported-bdf"


def test_a_sidecar_of_other_data_does_not_bring_its_steps(exported: Path, tmp_path: Path) -> None:
    alone = tmp_path / "x.bdf.csv"
    heading, *rows = exported.read_text().splitlines(keepends=True)
    alone.write_text(heading + "".join(rows))
    sidecar = json.loads((exported.parent / exported.name.replace(".csv", ".metadata.json")).read_bytes())
    sidecar["extras"]["labctl"]["steps"][1]["end_test_time_second"] -= 100
    (tmp_path / "x.bdf.metadata.json").write_text(json.dumps(sidecar))
    done = import_file(alone, tmp_path / "data")
    assert any("not those of the data" in notice for notice in done.notices)


def test_an_imported_run_is_exported_again_with_equal_samples(
    exported: Path, imported: Imported, data: Path, tmp_path: Path
) -> None:
    files = export_run(Store(data), imported.uid, "bdf", tmp_path)
    keep = slice(0, 7)  # all but temperature and pressure, which now have a reading at every sample
    once, twice = (file.read_text().splitlines() for file in (exported, files[0]))
    assert [line.split(",")[keep] for line in twice] == [line.split(",")[keep] for line in once]


def test_the_command_line_shows_lists_and_analyses_an_imported_run(imported: Imported, data: Path) -> None:
    def labctl(*arguments: str) -> str:
        command = [sys.executable, "-m", "labctl", *arguments, "--data", str(data)]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout

    assert imported.uid in [run["uid"] for run in json.loads(labctl("runs", "--json"))]
    assert json.loads(labctl("show", imported.uid, "--json"))["start"]["imported"]["format"] == "bdf"
    assert len(json.loads(labctl("analyze", imported.uid, "--json"))["pulses"]) == 3
