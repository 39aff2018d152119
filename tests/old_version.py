"""The data directory that version 0.1 has written (see tests/data/version-0.1/README.md)."""

from __future__ import annotations

import tarfile
from pathlib import Path

from labctl.runs.listing import list_runs
from labctl.runs.summary import RunSummary

OLD = Path(__file__).parent / "data" / "version-0.1"
RUNS = {
    "gitt": "456a59bd-31f7-4a6d-bba7-e74b1b89982e",
    "spectrum": "7b73839e-93e0-47d2-95e6-c12949ac5b4a",
    "stopped": "31b07eb9-c4d5-4eed-a734-1bba321cbe04",
    "imported": "60174c22-4825-49ba-8a91-5ba5b96593d0",
    "killed": "c9f36497-d360-46a3-926a-5c15a589db8e",
}


def unpacked(directory: Path) -> Path:
    """The data directory of version 0.1, unpacked below `directory`."""
    with tarfile.open(OLD / "labctl-data.tar.gz") as archive:
        archive.extractall(directory, filter="data")
    return directory / "labctl-data"


def run_named(data: Path, name: str) -> RunSummary:
    """One of its runs at a glance."""
    return next(run for run in list_runs(data) if run.uid == RUNS[name])
