"""What version 0.1 has written is read, shipped, exported, analysed and gone on with by this one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from devices.sim.bench.client import ensure_bench
from labctl.commands.interrupt import EndRequest
from labctl.commands.resume import resume_run
from labctl.commands.runs import recover_runs, show_run
from labctl.documents import tables
from labctl.errors import ConfigurationError
from labctl.export.run import FORMATS, export_run
from labctl.formats import START_FIELD
from labctl.importers.run import find_import, import_file
from labctl.journal.format import Damage
from labctl.journal.reader import first_document, follow
from labctl.live.model.run_model import RunModel
from labctl.live.model.status import describe
from labctl.live.model.watch import look
from labctl.records.cell import load_cell
from labctl.records.station import load_station
from labctl.runs.listing import find_run, list_runs
from labctl.store.client.store import Store
from labctl.store.client.verify import verify_run
from labctl.store.server.service import stop_service
from plans.protocol.files import load_protocol
from plans.protocol.protocol import Protocol
from tests.old_version import OLD, RUNS, run_named, unpacked

EVERY_STEP = {"0", "1", "3[0].0", "3[0].1", "3[1].0", "3[1].1"}
POINTS = {"gitt": 199, "spectrum": 115, "stopped": 17, "imported": 61, "killed": 28}  # as 0.1 listed them


@pytest.fixture
def data(tmp_path: Path) -> Iterator[Path]:
    there = unpacked(tmp_path)
    yield there
    stop_service(there)


def test_nothing_of_it_has_the_number_of_a_format(data: Path) -> None:
    assert all(START_FIELD not in first_document(run.directory) for run in list_runs(data))
    assert "format" not in json.loads((OLD / "saved-protocol.json").read_text())
    assert not any("\nformat:" in (OLD / name).read_text() for name in ("station.yaml", "cell.yaml"))


def test_its_files_are_read() -> None:
    assert load_station(OLD / "station.yaml").name == "bench-1"
    assert load_cell(OLD / "cell.yaml").id == "lic-ncm-1"
    saved = load_protocol(OLD / "saved-protocol.json")
    assert saved.name == "pulse-and-spectrum"
    by_hand = load_protocol(OLD / "pulse-and-spectrum.json").resolved(load_cell(OLD / "cell.yaml"))
    assert saved.items == by_hand.items


def test_its_runs_are_listed_whatever_its_own_table_of_them_says(data: Path) -> None:
    assert (data / "runs" / "index.sqlite").exists()
    found = {run.uid: (run.status, run.points) for run in list_runs(data)}
    assert found == {
        RUNS["gitt"]: ("finished", POINTS["gitt"]),
        RUNS["spectrum"]: ("finished", POINTS["spectrum"]),
        RUNS["stopped"]: ("stopped", POINTS["stopped"]),
        RUNS["imported"]: ("finished", POINTS["imported"]),
        RUNS["killed"]: ("interrupted", POINTS["killed"]),
    }
    assert find_run(data, "last").uid == RUNS["killed"]
    assert [run.coating for run in list_runs(data)] == ["Li3InCl6"] * len(RUNS)


@pytest.mark.parametrize("name", RUNS)
def test_a_run_of_it_is_read_whole_without_damage_and_shown(
    name: str, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, damage, model = run_named(data, name), list[Damage](), RunModel()
    documents = list(follow(run.directory, live=False, on_damage=damage.append))
    assert not damage
    for kind, doc in documents:
        model.feed(kind, doc)
    describe(model, now_unix_second=1.8e9)
    read = tables(documents)
    assert len(read.streams["timeseries"]["voltage_volt"]) == POINTS[name]
    assert (read.stop is None) == (name == "killed")
    assert show_run(run.uid, data, as_json=False) == 0
    assert run.uid in capsys.readouterr().out
    if "protocol" in read.start:
        Protocol.model_validate(read.start["protocol"])


def test_the_window_finds_its_runs(data: Path) -> None:
    listing = look(data, None)
    assert not listing.error
    assert len(listing.runs) == len(RUNS)
    assert listing.readings[RUNS["killed"]].volt == pytest.approx(3.17, abs=0.3)


def test_its_interrupted_run_is_closed_and_what_it_measured_stays(data: Path) -> None:
    run = run_named(data, "killed")
    before = (run.directory / "journal-0000.jsonl").read_bytes()
    assert recover_runs(data) == 0
    after = (run.directory / "journal-0000.jsonl").read_bytes()
    assert after.startswith(before)
    assert run_named(data, "killed").status == "interrupted"
    assert tables(follow(run.directory, live=False)).stop is not None


def test_its_file_counts_as_imported(data: Path) -> None:
    file = OLD / "other-tester.bdf.csv"
    assert find_import(data, hashlib.sha256(file.read_bytes()).hexdigest()) == RUNS["imported"]
    with pytest.raises(ConfigurationError, match=RUNS["imported"]):
        import_file(file, data)


@pytest.mark.parametrize("form", FORMATS)
def test_its_runs_are_exported(form: str, data: Path, tmp_path: Path) -> None:
    with Store(data) as store:
        for name, uid in RUNS.items():
            output = tmp_path / "out" / name
            written = export_run(store, uid, form, output)
            assert written
            assert all(path.stat().st_size for path in output.iterdir())


def test_its_runs_are_analysed(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from labctl.commands.analyze import analyze_stored

    assert analyze_stored(RUNS["gitt"], data, as_json=True) == 0
    assert "diffusion" in capsys.readouterr().out
    assert analyze_stored(RUNS["spectrum"], data, as_json=True) == 0
    assert "circuit" in capsys.readouterr().out


def test_its_runs_are_shipped_replayed_from_the_store_and_verified(data: Path) -> None:
    recover_runs(data)
    with Store(data) as store:
        for name, uid in RUNS.items():
            assert store.wait_until_shipped(uid, 60.0), name
            verification = verify_run(store, uid)
            assert verification.is_equal, (name, verification.differences)
            assert verification.rows["timeseries"] == POINTS[name]
            assert not verification.waiting, name
            assert not store.refused(uid), name
            replayed = tables(store.documents(uid, source="tiled"))
            assert len(replayed.streams["timeseries"]["voltage_volt"]) == POINTS[name]


def as_fast_as_it_goes(tmp_path: Path) -> Path:
    station = tmp_path / "station.yaml"
    station.write_text((OLD / "station.yaml").read_text().replace("speed: 20", "speed: max"))
    return station


@pytest.mark.parametrize("name", ["killed", "stopped"])
def test_its_run_is_gone_on_with_on_the_cell_that_it_left(name: str, data: Path, tmp_path: Path) -> None:
    station, run = as_fast_as_it_goes(tmp_path), run_named(data, name)
    bench = ensure_bench(load_station(station), data)
    try:
        assert resume_run(run.uid, station, data, EndRequest(), dry_run=False, auto=False) == 0
    finally:
        bench.stop()
    parent = tables(follow(run.directory, live=False))
    child = tables(follow(find_run(data, "last").directory, live=False))
    assert child.start["parent_uid"] == run.uid
    assert child.stop is not None
    assert child.stop["exit_status"] == "success"
    done = paths(parent) | paths(child)
    assert EVERY_STEP <= done
    assert not {"0", "1"} & paths(child)  # the rest and the spectrum were measured already


def paths(run: Any) -> set[str]:
    """Places of the protocol that have a row of `steps`."""
    return set(map(str, run.streams["steps"]["protocol_step"]))
