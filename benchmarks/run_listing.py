"""A page of 10 000 runs, beside the same without the table that is kept of them."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import event_model

from benchmarks.table import Beside, Goal, Row
from labctl.journal.format import encode
from labctl.runs.index import INDEX_NAME
from labctl.runs.listing import list_runs
from labctl.runs.query import RunQuery

RUNS, ROUNDS, PAGE = 10_000, 5, 20


def run_listing() -> list[Row]:
    """Seconds per page of 20, and per search for words."""
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder)
        _make_runs(data)
        anew = _seconds(lambda: list_runs(data, PAGE))
        page = median(_seconds(lambda: list_runs(data, PAGE)) for _ in range(ROUNDS))
        words = RunQuery(text="pressed 399")
        search = median(_seconds(lambda: list_runs(data, PAGE, words)) for _ in range(ROUNDS))
        assert (data / "runs" / INDEX_NAME).exists()
    alternative = (Beside("from the journals alone", anew),)
    meaning = "How long `labctl runs` takes in a data directory of many years."
    return [
        Row("page of 20 of 10 000 runs", page, "s", meaning, alternative, Goal(most=1)),
        Row("search for words in 10 000 runs", search, "s", meaning, alternative, Goal(most=1)),
    ]


def _make_runs(data: Path) -> None:
    for number in range(RUNS):
        run = event_model.compose_run(
            time=1.7e9 + number * 600.0,
            metadata={
                "plan_name": "gitt",
                "cell": {"id": f"lic-{number % 50}", "coating": None},
                "note": f"pressed at {number % 400} MPa",
                "protocol": "x" * 5_000,
            },
        )
        directory = data / "runs" / f"2026-01-{1 + number % 28:02d}" / run.start_doc["uid"]
        directory.mkdir(parents=True)
        lines = encode("start", dict(run.start_doc)) + encode("stop", dict(run.compose_stop()))
        (directory / "journal-0000.jsonl").write_bytes(lines)


def _seconds(action: Callable[[], object]) -> float:
    began = time.perf_counter()
    action()
    return time.perf_counter() - began
