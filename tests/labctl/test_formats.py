"""Files carry the number of their format; what only a newer labctl can read is refused by name."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from labctl.commands.analyze import analyze_stored
from labctl.commands.exchange import export_runs
from labctl.commands.interrupt import EndRequest
from labctl.commands.resume import resume_run
from labctl.commands.runs import recover_runs, show_run, show_runs
from labctl.errors import ConfigurationError, NewerFormatError
from labctl.formats import FORMAT_NUMBER
from labctl.journal.format import decode, encode
from labctl.journal.reader import Tail, first_document, follow
from labctl.journal.writer import Journal
from labctl.live.model.watch import look
from labctl.records.cell import load_cell
from labctl.records.station import load_station, packaged_config
from labctl.runs.listing import find_run, list_runs
from labctl.runs.query import RunQuery
from plans.protocol.files import load_protocol, save_protocol
from tests.old_version import OLD, RUNS, run_named, unpacked

NEWER = 3
LOADERS: dict[str, tuple[Callable[[Path], Any], Path]] = {
    "station": (load_station, packaged_config("sim.yaml")),
    "cell": (load_cell, packaged_config("cells/lic-ncm.yaml")),
    "protocol": (load_protocol, OLD / "saved-protocol.json"),
}


def numbered(source: Path, number: str | None, target: Path) -> Path:
    """A copy of the file with this number for its format; None for none."""
    text = source.read_text()
    if source.suffix == ".json":
        content = {key: value for key, value in json.loads(text).items() if key != "format"}
        text = json.dumps({**({} if number is None else {"format": json.loads(number)}), **content})
    else:
        text = re.sub(r"(?m)^format: .*\n", "", text)
        text = text if number is None else f"format: {number}\n{text}"
    target.write_text(text)
    return target


@pytest.mark.parametrize("kind", LOADERS)
def test_a_file_is_read_with_every_number_up_to_the_newest_and_without_one(kind: str, tmp_path: Path) -> None:
    load, source = LOADERS[kind]
    bare = load(numbered(source, None, tmp_path / f"bare{source.suffix}")).model_dump()
    for number in range(1, FORMAT_NUMBER[kind] + 1):  # type: ignore[index]
        found = load(numbered(source, str(number), tmp_path / f"{number}{source.suffix}"))
        assert found.model_dump() == bare


@pytest.mark.parametrize("kind", LOADERS)
def test_a_file_of_a_newer_format_is_refused_by_name(kind: str, tmp_path: Path) -> None:
    load, source = LOADERS[kind]
    file = numbered(source, "3", tmp_path / f"newer{source.suffix}")
    with pytest.raises(NewerFormatError) as refused:
        load(file)
    assert str(refused.value) == f"{file}: format = 3: this labctl reads up to 2; use a newer labctl"


@pytest.mark.parametrize("kind", LOADERS)
@pytest.mark.parametrize("number", ["0", "-1", "1.5", '"two"', "true", "null", "[2]"])
def test_what_is_no_number_of_a_format_is_refused(kind: str, number: str, tmp_path: Path) -> None:
    load, source = LOADERS[kind]
    file = numbered(source, number, tmp_path / f"odd{source.suffix}")
    with pytest.raises(ConfigurationError, match=r": format.*: must be a whole number from 1 to 2"):
        load(file)


def test_the_refusal_comes_before_anything_else_that_a_newer_file_holds(tmp_path: Path) -> None:
    file = tmp_path / "future.yaml"
    file.write_text("format: 9\nbenches: [a, b]\n")
    with pytest.raises(NewerFormatError, match="format = 9"):
        load_station(file)


def test_what_is_written_carries_its_number(tmp_path: Path) -> None:
    save_protocol(load_protocol(OLD / "saved-protocol.json"), tmp_path / "new.json")
    assert json.loads((tmp_path / "new.json").read_text())["format"] == FORMAT_NUMBER["protocol"]
    journal = Journal(tmp_path / "data")
    journal("start", {"uid": "a" * 8, "time": 1.8e9, "labctl_format": 1})
    journal.close()
    assert journal.run_directory is not None
    assert first_document(journal.run_directory)["labctl_format"] == FORMAT_NUMBER["journal"]


# ---- journals
def set_number(run: Path, number: Any, **others: Any) -> None:
    """Give the journal of a run another number, as a labctl of that format would have written it."""
    path = run / "journal-0000.jsonl"
    first, _, rest = path.read_bytes().partition(b"\n")
    start = {**decode(first)["doc"], "labctl_format": number, **others}
    path.write_bytes(encode("start", start) + rest)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Runs of version 0.1, of which the GITT was written by a newer labctl."""
    there = unpacked(tmp_path)
    set_number(run_named(there, "gitt").directory, NEWER)
    return there


def commands(data: Path, uid: str, output: Path) -> dict[str, Callable[[], object]]:
    return {
        "show": lambda: show_run(uid, data, as_json=False),
        "show --json": lambda: show_run(uid, data, as_json=True),
        "analyze": lambda: analyze_stored(uid, data, as_json=False),
        "export": lambda: export_runs([uid], data, format="bdf", output=output, campaign=None, force=False),
        "live and replay": lambda: list(follow(find_run(data, uid).directory, live=False)),
        "resume": lambda: resume_run(uid, OLD / "station.yaml", data, EndRequest(), dry_run=True, auto=False),
    }


def test_every_command_that_reads_a_newer_run_refuses_it_by_name(data: Path, tmp_path: Path) -> None:
    run = run_named(data, "gitt")
    for name, command in commands(data, run.uid, tmp_path / "out").items():
        with pytest.raises(NewerFormatError) as refused:
            command()
        said = str(refused.value)
        assert said.startswith(str(run.directory)), name
        assert said.endswith(": format = 3: this labctl reads up to 2; use a newer labctl"), name


def test_a_newer_run_is_listed_with_the_reason_and_the_others_as_ever(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert show_runs(data, limit=20, as_json=False) == 0
    said = capsys.readouterr().out
    assert "456a59bd is unreadable: " in said
    assert "format = 3: this labctl reads up to 2; use a newer labctl" in " ".join(said.split())
    states = {run.uid: run.status for run in list_runs(data)}
    assert states == {
        RUNS["gitt"]: "unreadable",
        RUNS["spectrum"]: "finished",
        RUNS["stopped"]: "stopped",
        RUNS["imported"]: "finished",
        RUNS["killed"]: "interrupted",
    }
    (found,) = list_runs(data, query=RunQuery(status="unreadable"))
    assert found.plan_name == "gitt"


def test_a_newer_run_that_has_not_ended_is_not_closed_but_the_others_are(
    data: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    newer = run_named(data, "gitt").directory / "journal-0000.jsonl"
    newer.write_bytes(newer.read_bytes()[:20_000])  # within a line
    before = newer.read_bytes()
    assert recover_runs(data) == 0
    assert newer.read_bytes() == before
    assert f"run {RUNS['killed']} closed" in capsys.readouterr().out
    assert "left as it is: " in caplog.text
    assert "format = 3" in caplog.text


def test_the_window_lists_a_newer_run_and_reads_the_others(data: Path) -> None:
    set_number(run_named(data, "killed").directory, NEWER)  # the newest of its station: a channel
    listing = look(data, None)
    assert not listing.error
    assert len(listing.runs) == len(RUNS)
    assert RUNS["killed"] not in listing.readings
    assert RUNS["imported"] in listing.readings


def test_a_newer_run_is_refused_again_each_time_its_journal_is_asked(data: Path) -> None:
    tail = Tail(run_named(data, "gitt").directory)
    for _ in range(2):
        with pytest.raises(NewerFormatError):
            next(tail.available())
    tail.close()


def test_a_start_script_is_told_that_the_last_run_cannot_be_read(data: Path, tmp_path: Path) -> None:
    set_number(run_named(data, "killed").directory, NEWER)
    station = tmp_path / "auto.yaml"
    station.write_text((OLD / "station.yaml").read_text() + "auto_resume: true\n")
    with pytest.raises(ConfigurationError, match=r"format = 3: this labctl reads up to 2"):
        resume_run("last", station, data, EndRequest(), dry_run=True, auto=True)


def test_a_newer_start_document_may_hold_what_is_nonsense_today(data: Path) -> None:
    run = run_named(data, "spectrum").directory
    set_number(run, 7, uid=["a", "b"], time="2031-01-01", cell=[1], devices=3)
    (found,) = [run for run in list_runs(data) if run.uid == RUNS["spectrum"]]
    assert found.status == "unreadable"
    with pytest.raises(NewerFormatError, match="format = 7"):
        list(follow(run, live=False))


def test_a_number_that_is_none_is_told_as_damage_and_the_run_is_read(data: Path) -> None:
    run = run_named(data, "spectrum").directory
    set_number(run, "two")
    told = list[str]()
    documents = list(follow(run, live=False, on_damage=lambda damage: told.append(str(damage))))
    assert documents[-1][0] == "stop"
    assert len(told) == 1
    assert "labctl_format" in told[0]
