"""Runs that still go on, died, repeat rows, or come as single events."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from labctl.export.content import read_content
from labctl.export.run import export_run
from labctl.journal.writer import Journal
from labctl.store.client.store import Store
from tests.labctl.export.conftest import Measured

Document = tuple[str, dict[str, Any]]


def as_events(documents: list[Document]) -> Iterator[Document]:
    """The same rows one by one."""
    for name, doc in documents:
        if name != "event_page":
            yield name, doc
            continue
        for row, number in enumerate(doc["seq_num"]):
            parts = ("data", "timestamps")
            cut = {part: {key: values[row] for key, values in doc[part].items()} for part in parts}
            yield "event", {**doc, **cut, "seq_num": number, "time": doc["time"][row], "uid": doc["uid"][row]}


@pytest.fixture
def documents(measured: Measured) -> list[Document]:
    return list(measured.store.documents(measured.uid))


def exported_volts(directory: Path) -> list[float]:
    (path,) = directory.glob("*.bdf.csv")
    with path.open(newline="", encoding="utf-8") as file:
        return [float(row["Voltage / V"]) for row in csv.DictReader(file)]


def test_a_run_that_goes_on_is_exported_up_to_now(
    measured: Measured, documents: list[Document], tmp_path: Path
) -> None:
    pages = [place for place, (name, _) in enumerate(documents) if name == "event_page"]
    journal = Journal(tmp_path / "data")
    for name, doc in documents[: pages[2] + 1]:
        journal(name, doc)
    export_run(Store(tmp_path / "data"), "last", "bdf", tmp_path / "out")
    journal.close()
    volts = measured.tables.stream("timeseries")["voltage_volt"].tolist()
    found = exported_volts(tmp_path / "out")
    assert found == volts[: len(found)]
    assert 0 < len(found) < len(volts)
    (sidecar,) = (tmp_path / "out").glob("*.metadata.json")
    run = json.loads(sidecar.read_bytes())["extras"]["labctl"]["run"]
    assert run["exit_status"] is None
    assert run["rows"]["timeseries"] == len(found)


def test_single_events_are_exported_like_pages(
    measured: Measured, documents: list[Document], tmp_path: Path
) -> None:
    journal = Journal(tmp_path / "data")
    for name, doc in as_events(documents):
        journal(name, doc)
    journal.close()
    export_run(Store(tmp_path / "data"), "last", "bdf", tmp_path / "out")
    assert exported_volts(tmp_path / "out") == measured.tables.stream("timeseries")["voltage_volt"].tolist()


def test_rows_that_a_rewound_plan_repeats_are_exported_once(
    measured: Measured, documents: list[Document]
) -> None:
    first = next(place for place, (name, _) in enumerate(documents) if name == "event_page")
    again = [*documents[: first + 1], documents[first], *documents[first + 1 :]]
    content = read_content(lambda: again)
    rows = sum(table.num_rows for table in content.sample_tables())
    assert rows == content.sample_count == len(measured.tables.stream("timeseries")["voltage_volt"])
