"""The journal and the medium: what is synced when, and what happens when the disk is full or broken."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import event_model
import pytest

from labctl.journal.format import Damage
from labctl.journal.reader import follow
from labctl.journal.writer import Journal
from labctl.platform import is_locked
from tests.small_disk import mounted_disk

COUNTED = """
import os, sys
from pathlib import Path
from event_model import compose_run
from labctl.journal.writer import Journal
real, count = os.fdatasync, [0]
def counted(fd):
    count[0] += 1
    real(fd)
os.fdatasync = counted
journal = Journal(Path(sys.argv[1]), sync_period_second=1e6)
def said(what):
    print(what, count[0] > 0)
    count[0] = 0
run = compose_run()
journal("start", run.start_doc); said("start")
key = {"x": {"source": "t", "dtype": "number", "shape": []}}
fast = run.compose_descriptor(name="timeseries", data_keys=key)
slow = run.compose_descriptor(name="steps", data_keys=key)
journal("descriptor", fast.descriptor_doc); journal("descriptor", slow.descriptor_doc); said("descriptors")
for name, d in (("timeseries", fast), ("steps", slow)):
    journal("event", d.compose_event(data={"x": 1.0}, timestamps={"x": 1.0})); said(name)
journal.alarm(kind="k", source="s", value=1, limit=1, action="a"); said("alarm")
journal("stop", run.compose_stop()); said("stop")
"""


linux = pytest.mark.skipif(sys.platform != "linux", reason="fdatasync")


def script(code: str, directory: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code, str(directory)], capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@linux
def test_start_steps_alarms_and_stop_are_synced_before_the_call_returns(tmp_path: Path) -> None:
    assert script(COUNTED, tmp_path).split() == (
        "start True descriptors False timeseries False steps True alarm True stop True".split()
    )


FULL = """
import logging, sys
from pathlib import Path
from bluesky import RunEngine, plan_stubs as bps, preprocessors as bpp
from ophyd.sim import det
from labctl.errors import JournalError
from labctl.journal.writer import Journal
logging.disable()
if len(sys.argv) > 3:
    import resource
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]),) * 2)
RE = RunEngine({}, context_managers=[])
RE.subscribe(Journal(Path(sys.argv[1]), sync_period_second=0.05))
ended = []
@bpp.finalize_decorator(lambda: (yield from bps.null()) or ended.append(True))
@bpp.run_decorator(md={"padding": "x" * int(sys.argv[2]), "plan_name": "fills the disk"})
def plan():
    for _ in range(10_000):
        yield from bps.trigger_and_read([det])
try:
    RE(plan())
except JournalError as error:
    print("cannot be written" in str(error), "No space left" in str(error), RE.state, ended)
"""


def numbers_of(directory: Path) -> list[int]:
    return [doc["seq_num"] for name, doc in follow(directory) if name == "event"]


@linux
def test_a_write_that_fails_halfway_ends_the_run_in_order_and_keeps_what_was_written(tmp_path: Path) -> None:
    arguments = [sys.executable, "-c", FULL, str(tmp_path), "900000", "1060000"]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=60)
    assert done.stdout in ("True False idle [True]\n", "True True idle [True]\n"), done.stderr
    [directory] = (tmp_path / "runs").glob("*/*")
    numbers = numbers_of(directory)
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(numbers) > 100
    assert not is_locked(directory / "writer.lock")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 3.5 MB."""
    with mounted_disk(tmp_path / "disk", "3500k") as disk:
        yield disk


def fill(disk: Path, leave_byte: int) -> Path:
    """A file that leaves so much of a disk free."""
    path = disk / "somebody else's file"
    with path.open("wb") as file:
        file.write(bytes(shutil.disk_usage(disk).free - leave_byte))
    return path


@linux
def test_on_a_full_disk_the_reserve_takes_the_alarm_and_the_stop_document(small_disk: Path) -> None:
    command = [sys.executable, "-c", FULL, small_disk, "900000"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.stdout == "False True idle [True]\n", done.stderr
    [directory] = (small_disk / "runs").glob("*/*")
    damage: list[Damage] = []
    documents = list(follow(directory, on_damage=damage.append))
    assert damage == [], "not even the document at which it became full is lost"
    numbers = [doc["seq_num"] for name, doc in documents if name == "event" and "det" in doc["data"]]
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(numbers) > 100
    alarms = [doc["data"] for name, doc in documents if name == "event" and "kind" in doc["data"]]
    told = {alarm["kind"]: alarm for alarm in alarms}
    assert set(told) == {"disk_low", "disk_full"}
    assert told["disk_low"]["limit"] == 64 * 2**20
    assert (told["disk_full"]["source"], told["disk_full"]["action"]) == ("journal", "the run is ended")
    name, stop = documents[-1]
    assert (name, stop["exit_status"]) == ("stop", "fail")
    assert "No space left" in stop["reason"]
    assert stop["num_events"] == {"primary": len(numbers), "alarms": 2}


KEEPS = """
import sys
from pathlib import Path
from event_model import compose_run
from labctl.errors import JournalError
from labctl.journal.writer import Journal
journal = Journal(Path(sys.argv[1]))
run = compose_run()
journal("start", run.start_doc)
key = {"source": "t", "dtype": "string", "shape": []}
descriptor = run.compose_descriptor(name="s", data_keys={"x": key})
journal("descriptor", descriptor.descriptor_doc)
told = 0
print("ready", flush=True)
sys.stdin.readline()
for number in range(1200):  # 1.3 MB, more than a step of the reserve and less than the reserve
    try:
        event = descriptor.compose_event(data={"x": "x" * 1000}, timestamps={"x": 1.0}, validate=False)
        journal("event", event)
    except JournalError:
        told += 1
journal("stop", run.compose_stop())
print(told)
"""


@linux
def test_nobody_else_can_take_the_reserve_and_the_full_disk_is_told_once(small_disk: Path) -> None:
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", KEEPS, small_disk], text=True, **pipes) as child:
        assert child.stdout is not None
        assert child.stdin is not None
        child.stdout.readline()
        fill(small_disk, 0)
        child.stdin.write("go\n")
        child.stdin.flush()
        assert child.stdout.read() == "1\n"
    [directory] = (small_disk / "runs").glob("*/*")
    documents = list(follow(directory))
    events = [doc for name, doc in documents if name == "event" and "x" in doc["data"]]
    assert len(events) == 1200
    assert documents[-1][0] == "stop"


@linux
def test_a_run_does_not_begin_without_room_and_begins_once_there_is(small_disk: Path) -> None:
    other = fill(small_disk, 2_500_000)
    command = [sys.executable, "-c", FULL, small_disk, "900000"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert "JournalError" in done.stderr or "False True" in done.stdout
    assert not list((small_disk / "runs").glob("*/*/journal-*"))
    other.unlink()
    journal = Journal(small_disk)
    run = event_model.compose_run()
    free = shutil.disk_usage(small_disk).free
    journal("start", run.start_doc)
    assert shutil.disk_usage(small_disk).free < free - 2_000_000
    journal("stop", run.compose_stop())
    journal.close()
    assert shutil.disk_usage(small_disk).free > free - 100_000, "the reserve was given back"


UNSTARTED = """
import resource, sys
from pathlib import Path
from event_model import compose_run
from labctl.errors import JournalError
from labctl.journal.writer import Journal
resource.setrlimit(resource.RLIMIT_FSIZE, (1_060_000, 1_060_000))
journal = Journal(Path(sys.argv[1]))
try:
    journal("start", compose_run(metadata={"protocol": "x" * 2_000_000}).start_doc)
except JournalError as error:
    print("the start document cannot be written" in str(error))
run = compose_run()
journal("start", run.start_doc)
journal("stop", run.compose_stop())
"""


@linux
def test_a_run_that_could_not_begin_does_not_keep_the_next_from_beginning(tmp_path: Path) -> None:
    assert script(UNSTARTED, tmp_path) == "True\n"
    names = [[name for name, _ in follow(directory)] for directory in (tmp_path / "runs").glob("*/*")]
    assert sorted(names) == [[], ["start", "stop"]]


BROKEN = """
import logging, os, sys
from pathlib import Path
from bluesky import RunEngine, plan_stubs as bps, preprocessors as bpp
from ophyd.sim import det
from labctl.errors import JournalError
from labctl.journal.writer import Journal
logging.disable()
RE = RunEngine({}, context_managers=[])
RE.subscribe(Journal(Path(sys.argv[1]), sync_period_second=0.01))
real = os.fdatasync
def broken(fd):
    raise OSError(5, "Input/output error")
@bpp.run_decorator()
def plan():
    yield from bps.trigger_and_read([det])
    os.fdatasync = broken
    for _ in range(500):
        yield from bps.sleep(0.01)
        yield from bps.trigger_and_read([det])
try:
    RE(plan())
except JournalError as error:
    print("[Errno 5] Input/output error" in str(error), RE.state)
os.fdatasync = real
RE(bpp.run_wrapper(bps.trigger_and_read([det])))
"""


@linux
def test_a_sync_error_ends_the_run_soon_and_the_next_run_works(
    tmp_path: Path,
) -> None:
    assert script(BROKEN, tmp_path) == "True idle\n"
    first, second = sorted((tmp_path / "runs").glob("*/*"), key=lambda d: d.stat().st_mtime)
    documents = list(follow(first))
    assert documents[-1][0] == "stop"
    assert documents[-1][1]["exit_status"] == "fail"
    assert len(documents) < 400
    assert next(d for n, d in follow(second) if n == "stop")["exit_status"] == "success"
