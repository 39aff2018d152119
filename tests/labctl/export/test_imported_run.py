"""A run that was imported is replayed, drawn and analysed like the measured one it came from."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from labctl.analysis.gitt.analysis import analyze_run
from labctl.documents import tables
from labctl.errors import ConfigurationError
from labctl.export.run import export_run
from labctl.importers.run import import_file
from labctl.store.client.store import Store
from tests.labctl.export.conftest import Measured


@pytest.fixture(scope="module")
def files(measured: Measured, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The measured run as the BDF files that other programs write; by their ending."""
    directory = tmp_path_factory.mktemp("files")
    csv = export_run(measured.store, measured.uid, "bdf", directory / "csv")[0]
    packed = csv.with_name(f"{csv.name}.gz")
    packed.write_bytes(gzip.compress(csv.read_bytes()))
    return {
        "csv": csv,
        "csv.gz": packed,
        "parquet": export_run(measured.store, measured.uid, "parquet", directory / "parquet")[0],
    }


def labctl(data: Path, *arguments: str) -> str:
    command = [sys.executable, "-m", "labctl", *arguments, "--data", str(data)]
    environment = {**os.environ, "QT_QPA_PLATFORM": "offscreen"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("ending", ["csv.gz", "parquet"])
def test_packed_csv_and_parquet_bring_back_every_value_and_their_hash(
    measured: Measured, files: dict[str, Path], tmp_path: Path, ending: str
) -> None:
    done = import_file(files[ending], tmp_path)
    again = tables(Store(tmp_path).documents(done.uid))
    for stream in ("timeseries", "steps"):
        before, after = measured.tables.stream(stream), again.stream(stream)
        assert list(after) == list(before)
        for name, values in before.items():
            np.testing.assert_array_equal(after[name], values, err_msg=name)
    assert 24 < np.nanmin(again.stream("environment")["temperature_t1_celsius"]) < 26
    told = again.start["imported"]
    assert told["sha256"] == hashlib.sha256(files[ending].read_bytes()).hexdigest()
    assert told["source_uid"] == measured.uid
    assert any("BDF has no impedance: 2 file(s)" in notice for notice in done.notices)
    with pytest.raises(ConfigurationError, match=f"is imported already, as run {done.uid}"):
        import_file(files[ending], tmp_path)


@pytest.mark.parametrize("ending", ["csv.gz", "parquet"])
@pytest.mark.parametrize("part", [0.02, 0.5, 0.99])
def test_a_cut_off_file_is_refused_by_name_and_nothing_is_written(
    files: dict[str, Path], tmp_path: Path, ending: str, part: float
) -> None:
    content = files[ending].read_bytes()
    path = tmp_path / f"cut.{ending}"
    path.write_bytes(content[: int(part * len(content))])
    with pytest.raises(ConfigurationError, match=f"cut.{ending}.*"):
        import_file(path, tmp_path / "data")
    assert not (tmp_path / "data" / "runs").exists()


def test_an_imported_run_replays_plots_and_analyses_like_the_measured_one(
    measured: Measured, files: dict[str, Path], tmp_path: Path
) -> None:
    data = tmp_path / "data"
    uid = import_file(files["parquet"], data).uid
    pictures = []
    for name, place, run in (("own", measured.store.data_directory, measured.uid), ("imported", data, uid)):
        picture = tmp_path / f"{name}.png"
        labctl(place, "replay", run, "--panel", "voltage", "--screenshot", str(picture), "--size", "900x600")
        pictures.append(pixels(picture))
    curve, again = (drawn(picture) for picture in pictures)
    assert curve.sum() > 500, "there is a curve to be seen"
    # The measured run goes on for a spectrum, which no BDF file has: its axis is a hair longer.
    assert (curve & thickened(again)).sum() > 0.98 * curve.sum(), "the same curve in the same place"
    own = analyze_run(measured.tables).to_dict()["pulses"]
    imported = json.loads(labctl(data, "analyze", uid, "--json"))["pulses"]
    assert len(own) == len(imported) == 3
    for pulse, other in zip(own, imported, strict=True):
        for name in ("step_count", "diffusion_time_second", "diffusivity_m2_per_s"):
            assert other[name] == pytest.approx(pulse[name], rel=1e-12), name
    shown = json.loads(labctl(data, "show", uid, "--json"))["start"]
    assert shown["plan_name"].startswith("imported-")
    assert shown["imported"]["file"] == files["parquet"].name
    documents = list(Store(data).documents(uid))
    assert documents[0][1]["imported"]["sha256"] == hashlib.sha256(files["parquet"].read_bytes()).hexdigest()


def pixels(path: Path) -> np.ndarray:
    """A picture as rows x columns x (red, green, blue)."""
    from PySide6.QtGui import QImage

    image = QImage(str(path)).convertToFormat(QImage.Format.Format_RGB888)
    rows = np.frombuffer(image.constBits(), dtype=np.uint8).reshape(image.height(), image.bytesPerLine())
    return rows[:, : 3 * image.width()].reshape(image.height(), image.width(), 3).astype(int)


def drawn(picture: np.ndarray) -> np.ndarray:
    """Pixels of a strong colour in the middle of the picture: curves, not axes and text."""
    colourful = (picture.max(axis=2) - picture.min(axis=2)) > 60
    colourful[:150] = colourful[-60:] = False
    return colourful


def thickened(picture: np.ndarray) -> np.ndarray:
    """With three pixels on both sides of each."""
    return np.logical_or.reduce([np.roll(picture, shift, axis=1) for shift in range(-3, 4)])
