"""Journals whose CRCs are right and whose documents are not: every command says so in a line, none trips."""

from __future__ import annotations

import random
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from labctl.commands.analyze import analyze_stored
from labctl.commands.exchange import export_runs
from labctl.commands.interrupt import EndRequest
from labctl.commands.resume import resume_run
from labctl.commands.runs import recover_runs, show_run, show_runs
from labctl.errors import LabctlError
from labctl.export.run import FORMATS
from labctl.journal.format import Damage
from labctl.journal.reader import follow
from labctl.live.model.run_model import RunModel
from labctl.live.model.status import describe
from labctl.plugins import load_plan
from labctl.records.cell import load_cell
from labctl.records.station import load_station, packaged_config
from labctl.session import open_session
from labctl.store.client.verify import _Comparison, _journal
from tests.labctl.journal.journal_mutations import Record, lines_of, mutated, records_of

SHORT: dict[str, dict[str, Any]] = {
    "gitt": {"pulses": 1, "pulse_second": 60, "rest_second": 60, "first_rest_second": 10},
    "impedance_spectrum": {},
}
NOT_FOR_A_SCREEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The directories of two small runs, as they are measured: a GITT and a spectrum."""
    data = tmp_path_factory.mktemp("measured")
    station, cell = (
        load_station(packaged_config("sim.yaml")),
        load_cell(packaged_config("cells/lic-ncm.yaml")),
    )
    found = []
    with open_session(station, cell, data, fresh_bench=True) as session:
        for name, options in SHORT.items():
            session.RE(load_plan(name)(session.cycler, cell=cell, **options))
            assert session.journal.run_directory is not None
            found.append(session.journal.run_directory)
    return found


def placed(data: Path, run: Path, records: list[Record] | None = None) -> Path:
    """The run in this data directory, with other records if some are given."""
    place = data / "runs" / run.parent.name / run.name
    shutil.copytree(run, place)
    (place / "writer.lock").unlink()
    if records is not None:
        (place / "journal-0000.jsonl").write_bytes(lines_of(records))
    return place


def live(run: Path) -> None:
    model = RunModel()
    for name, doc in follow(run, live=False):
        model.feed(name, doc)
    describe(model, now_unix_second=1.8e9)


def verify(run: Path, other: Path) -> None:
    """What `labctl verify` does, with a journal in the place of the document store."""
    comparison = _Comparison(is_running=False)
    comparison.run(_journal(run, comparison.differ), _journal(other, comparison.differ))


def commands(data: Path, run: Path, whole: Path) -> dict[str, Callable[[], object]]:
    uid = run.name
    exports = {
        f"export {form}": lambda form=form: export_runs(
            [uid], data, format=form, output=data / form, campaign=None, force=False
        )
        for form in FORMATS
    }
    return {
        "runs": lambda: show_runs(data, limit=20, as_json=False),
        "runs --json": lambda: show_runs(data, limit=20, as_json=True),
        "show": lambda: show_run(uid, data, as_json=False),
        "show --json": lambda: show_run(uid, data, as_json=True),
        "analyze": lambda: analyze_stored(uid, data, as_json=False),
        "analyze --json": lambda: analyze_stored(uid, data, as_json=True),
        "live": lambda: live(run),
        "verify": lambda: verify(run, whole),
        "resume": lambda: resume_run(uid, None, data, EndRequest(), dry_run=True, auto=False),
        **exports,
        "recover": lambda: recover_runs(data),
    }


def said_by_all(data: Path, run: Path, whole: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    """What each command writes, or raises on purpose; any other exception ends the test."""
    said = {}
    for name, command in commands(data, run, whole).items():
        error = ""
        try:
            command()
        except LabctlError as refused:
            error = str(refused)
            assert error.count("\n") == 0, f"{name}: {error}"
        out, err = capsys.readouterr()
        assert NOT_FOR_A_SCREEN.search(out + err) is None, f"{name}: {out + err!r}"
        said[name] = out + err + error
    return said


def attack(measured: list[Path], data: Path, seeds: range, capsys: pytest.CaptureFixture[str]) -> None:
    records = {run: records_of(run / "journal-0000.jsonl") for run in measured}
    for seed in seeds:
        generator = random.Random(seed)
        run, whole = generator.sample(measured, 2)
        place = data / str(seed)
        beside = placed(place, whole)
        forged = placed(place, run, mutated(records[run], generator))
        said = said_by_all(place, forged, beside, capsys)
        assert beside.name[:8] in said["runs"], seed  # the others are listed all the same
        assert beside.name in said["runs --json"], seed


def test_whole_runs_are_told_by_every_command(
    measured: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, other = (placed(tmp_path, each) for each in measured)
    said = said_by_all(tmp_path, run, other, capsys)
    assert "R²/D" in said["analyze"]
    assert "cc_charge" in said["show"]
    assert ".h5" in said["export hdf5"]


@pytest.mark.parametrize("first", range(0, 24, 8))
def test_no_command_trips_over_a_forged_document(
    measured: list[Path], tmp_path: Path, first: int, capsys: pytest.CaptureFixture[str]
) -> None:
    attack(measured, tmp_path, range(first, first + 8), capsys)


@pytest.mark.slow
@pytest.mark.parametrize("first", range(1000, 2000, 100))
def test_no_command_trips_over_many_forged_documents(
    measured: list[Path], tmp_path: Path, first: int, capsys: pytest.CaptureFixture[str]
) -> None:
    attack(measured, tmp_path, range(first, first + 100), capsys)


def without(key: str) -> Callable[[Record], None]:
    return lambda doc: doc.pop(key)


def given(key: str, value: Any) -> Callable[[Record], None]:
    return lambda doc: doc.update({key: value})


def shortened(doc: Record) -> None:
    doc["data"]["voltage_volt"].pop()


def nested(doc: Record) -> None:
    value: Any = []
    for _ in range(200):
        value = [value]
    doc["note"] = value


ODD: dict[str, tuple[str, Callable[[Record], Any], str]] = {
    "an event without descriptor": ("event_page", without("descriptor"), "rows whose descriptor is None"),
    "columns of unequal length": ("event_page", shortened, "'voltage_volt' must be a list of"),
    "rows without their numbers": (
        "event_page",
        given("seq_num", "many"),
        "seq_num must be a list of counts",
    ),
    "rows without times": ("event_page", without("time"), "time must be a list of numbers"),
    "odd data keys": ("descriptor", given("data_keys", [1]), "data_keys must be a mapping"),
    "a type that is none": (
        "descriptor",
        given("data_keys", {"x": {"dtype": "array", "dtype_numpy": "<q9"}}),
        "dtype_numpy '<q9' is no type",
    ),
    "a time that is text": ("start", given("time", "x"), "start document: time 'x' is no time"),
    "a time beyond all years": ("start", given("time", 1e300), "start document: time 1e+300 is no time"),
    "no uid": ("start", without("uid"), "start document: uid None is no uid"),
    "devices that are a list": ("start", given("devices", [1]), "start document: devices = a list left out"),
    "nested deep": ("start", nested, "start document: it is nested deeper than 100 levels"),
    "counts that are text": ("stop", given("num_events", {"x": "many"}), "num_events = a dict left out"),
    "an end that there is not": ("stop", given("exit_status", []), "exit_status = a list left out"),
}


@pytest.mark.parametrize(("kind", "change", "reason"), ODD.values(), ids=ODD)
def test_an_odd_document_is_named_with_file_and_byte(
    measured: list[Path], tmp_path: Path, kind: str, change: Callable[[Record], Any], reason: str,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    run, whole = measured
    records = records_of(run / "journal-0000.jsonl")
    at = next(n for n, record in enumerate(records) if record["name"] == kind)
    change(records[at]["doc"])
    forged, beside = placed(tmp_path, run, records), placed(tmp_path, whole)
    damage: list[Damage] = []
    read = list(follow(forged, live=False, on_damage=damage.append))
    assert len(read) >= len(records) - 1
    path = forged / "journal-0000.jsonl"
    assert [(d.file, d.offset_byte) for d in damage] == [(path, len(lines_of(records[:at])))]
    assert reason in damage[0].reason
    said_by_all(tmp_path, forged, beside, capsys)


def test_a_stream_named_as_a_path_is_exported_within_its_directory(
    measured: list[Path], tmp_path: Path
) -> None:
    records = records_of(measured[0] / "journal-0000.jsonl")
    for record in records:
        if record["name"] == "descriptor" and record["doc"]["name"] == "steps":
            record["doc"]["name"] = "/../../[*]: a name that is much longer than a sheet may have"
    run = placed(tmp_path / "data", measured[0], records)
    output = tmp_path / "deep" / "er" / "out"
    for form in FORMATS:
        export_runs([run.name], tmp_path / "data", format=form, output=output, campaign=None, force=True)
    assert {path.name for path in tmp_path.iterdir()} == {"data", "deep"}
    assert [path.name for path in (tmp_path / "deep" / "er").iterdir()] == ["out"]
    assert [path for path in output.iterdir() if path.is_dir()] == []
