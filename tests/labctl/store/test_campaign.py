"""A campaign whose runs are partly or only in the document store is exported whole, or refused with why."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from labctl.errors import StoreError
from labctl.export.campaign import runs_of_campaign
from labctl.store.client.store import Store
from labctl.store.lab_store import LabStore, use_lab_store
from labctl.store.server.service import ensure_service

CAMPAIGN = "campaign of two stations"


def measured(writer: Callable[..., Any], served: Store, rows: int) -> Any:
    run = writer(plan_name="of_a_campaign", campaign_uid=CAMPAIGN)
    run.stream()
    run.page(rows)
    run.stop()
    assert served.wait_until_shipped(run.uid, 30)
    return run


def lab_wide(folder: Path, uri: str, key: str) -> Path:
    """A data directory without runs whose store is the one at `uri`."""
    (folder / "lab.key").write_text(f"{key}\n")
    (folder / "lab.key").chmod(0o600)
    (folder / "office").mkdir()
    use_lab_store(folder / "office", LabStore(uri, folder / "lab.key"))
    return folder / "office"


def test_runs_that_only_the_lab_wide_store_has_are_exported_with_their_campaign(
    served: Store, writer: Callable[..., Any], tmp_path: Path
) -> None:
    runs = [measured(writer, served, rows) for rows in (5, 7)]
    lab = ensure_service(served.data_directory)
    office = lab_wide(tmp_path, lab.uri, lab.api_key)
    command = [sys.executable, "-m", "labctl", "export", "--campaign", CAMPAIGN, "--format", "csv"]
    places = ["--data", str(office), "--output", str(tmp_path / "out")]
    done = subprocess.run([*command, *places], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    for run, rows in zip(runs, (5, 7), strict=True):
        [path] = (tmp_path / "out").glob(f"*{run.uid[:8]}.timeseries.csv")
        assert len(path.read_text().splitlines()) == rows + 1
    runs[0].directory.rename(served.data_directory / f"away-{runs[0].uid}")
    assert runs_of_campaign(served, CAMPAIGN) == [run.uid for run in runs], "oldest first, journal or not"


def test_a_store_that_does_not_answer_refuses_a_campaign_with_the_reason(tmp_path: Path) -> None:
    office = lab_wide(tmp_path, "http://127.0.0.1:9/api/v1", "key")
    with Store(office) as store, pytest.raises(StoreError, match=r"only the document store has.*not answer"):
        runs_of_campaign(store, CAMPAIGN)
