"""`labctl demo`, whole: wire, journal, store, picture, diffusivity."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest


def labctl(place: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "LABCTL_DATA": str(place / "data"), "QT_QPA_PLATFORM": "offscreen"}
    environment.pop("DISPLAY", None)
    command = [sys.executable, "-m", "labctl", *arguments]
    return subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True, timeout=110)


def test_the_demo_measures_stores_shows_and_finds_the_true_diffusivity(tmp_path: Path) -> None:
    try:
        done = labctl(tmp_path, "demo")
        assert done.returncode == 0, done.stderr
        assert "cell time" in done.stdout
        assert "in the document store         yes" in done.stdout
        assert (tmp_path / "demo.png").stat().st_size > 10_000
        analysis = json.loads(labctl(tmp_path, "analyze", "last", "--json").stdout)
        assert analysis["median_ratio_to_truth"] == pytest.approx(1.0, abs=0.05)
        assert len(analysis["pulses"]) == 20
        picture = tmp_path / "replayed.png"
        replayed = labctl(
            tmp_path, "replay", "last", "--speed", "1000", "--source", "tiled", "--screenshot", str(picture)
        )
        assert replayed.returncode == 0, replayed.stderr
        assert picture.stat().st_size > 10_000
        listed = json.loads(labctl(tmp_path, "runs", "--json").stdout)
        assert [(run["plan_name"], run["status"]) for run in listed] == [("gitt", "finished")]
    finally:
        labctl(tmp_path, "store", "stop")
