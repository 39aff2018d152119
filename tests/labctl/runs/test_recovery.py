"""Runs whose writer died: what is left of them, and how they are closed."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import event_model
import pytest

from labctl.errors import JournalError
from labctl.journal.format import Damage
from labctl.journal.reader import follow
from labctl.journal.writer import Journal
from labctl.platform import is_locked
from labctl.runs.recovery import recover
from tests.labctl.journal.numbered_run import voltages, write

WRITER = """
import sys
from pathlib import Path
from event_model import compose_run
from labctl.journal.writer import Journal
journal = Journal(Path(sys.argv[1]))
run = compose_run(metadata={"plan_name": "killed"})
journal("start", run.start_doc)
key = {"voltage_volt": {"source": "t", "dtype": "number", "dtype_numpy": "<f8", "shape": []}}
descriptor = run.compose_descriptor(name="timeseries", data_keys=key)
journal("descriptor", descriptor.descriptor_doc)
for number in range(1_000_000):
    journal("event", descriptor.compose_event(
        data={"voltage_volt": number * 0.1}, timestamps={"voltage_volt": 1.0}, validate=False))
    print(number + 1, flush=True)
"""


def kill_after(data: Path, rows: int) -> tuple[Path, int]:
    """Kill -9 a process that writes a run after at least `rows` rows; how many it said it had written."""
    child = subprocess.Popen([sys.executable, "-c", WRITER, str(data)], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    said = 0
    while said < rows:
        said = int(child.stdout.readline())
    child.send_signal(signal.SIGKILL)
    rest = child.stdout.read().split()
    child.stdout.close()
    child.wait()
    [directory] = (data / "runs").glob("*/*")
    return directory, int(rest[-1]) if rest and rest[-1].isdigit() else said


def test_kill_9_loses_no_line_that_was_written_and_the_reader_ends(tmp_path: Path) -> None:
    directory, said = kill_after(tmp_path, 500)
    assert not is_locked(directory / "writer.lock")
    documents = list(follow(directory))
    numbers = [doc["seq_num"] for name, doc in documents if name == "event"]
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(numbers) >= said
    assert documents[-1][0] == "event"


def test_recover_closes_the_runs_of_dead_writers_only_and_counts_their_rows(tmp_path: Path) -> None:
    dead, _ = kill_after(tmp_path, 50)
    rows = len(voltages(dead))
    finished = write(tmp_path, 3)
    living = Journal(tmp_path)
    living("start", event_model.compose_run().start_doc)
    before = (dead / "journal-0000.jsonl").read_bytes()
    [recovered] = recover(tmp_path)
    assert (recovered.directory, recovered.num_events) == (dead, {"timeseries": rows})
    assert (dead / "journal-0000.jsonl").read_bytes().startswith(before)
    name, stop = list(follow(dead))[-1]
    event_model.schema_validators[event_model.DocumentNames.stop].validate(stop)
    assert (name, stop["exit_status"], stop["run_start"]) == ("stop", "abort", dead.name)
    assert "interrupted" in stop["reason"]
    assert stop["num_events"] == {"timeseries": rows}
    assert len(voltages(finished)) == 3
    assert recover(tmp_path) == []
    living.close()


def test_a_last_line_that_lacks_only_its_end_is_whole_when_the_run_is_closed(tmp_path: Path) -> None:
    path = write(tmp_path, 5, stop=False) / "journal-0000.jsonl"
    path.write_bytes(path.read_bytes()[:-1])
    assert [r.num_events for r in recover(tmp_path)] == [{"timeseries": 5}]
    damage: list[Damage] = []
    assert voltages(path.parent, on_damage=damage.append) == [0, 1, 2, 3, 4]
    assert damage == []


@pytest.mark.parametrize("cut", [2, 9, 40])
def test_a_torn_last_line_is_skipped_in_silence_and_stays_when_the_run_is_closed(
    tmp_path: Path, cut: int
) -> None:
    directory = write(tmp_path, 5, stop=False)
    path = directory / "journal-0000.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut])
    damage: list[Damage] = []
    assert voltages(directory, on_damage=damage.append) == [0, 1, 2, 3]
    assert damage == []
    assert [r.num_events for r in recover(tmp_path)] == [{"timeseries": 4}]
    assert path.read_bytes().startswith(whole[:-cut])
    documents = list(follow(directory, on_damage=damage.append))
    assert documents[-1][0] == "stop"
    assert [str(d).rsplit(": ", 1)[1] for d in damage] == ["not a whole journal line (no CRC at its end)"]


UNWRITABLE = """
import resource, sys
from pathlib import Path
from labctl.runs.recovery import recover
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
recover(Path(sys.argv[1]))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX")
def test_recover_says_which_run_it_cannot_close(tmp_path: Path) -> None:
    directory = write(tmp_path, 1, stop=False)
    arguments = [sys.executable, "-c", UNWRITABLE, str(tmp_path)]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=30)
    last = done.stderr.splitlines()[-1]
    assert last.startswith(f"{JournalError.__module__}.JournalError: {directory}: the run cannot be closed: ")
    assert len(recover(tmp_path)) == 1
