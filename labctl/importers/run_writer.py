"""Writing an imported file as a run: journalled like a measured one, whole or not at all."""

from __future__ import annotations

import secrets
import shutil
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import nan
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labctl.bdf import TERMS
from labctl.documents import PAGE
from labctl.errors import LabctlError
from labctl.importers.streams import ImportedStreams, Stream
from labctl.journal.writer import Journal
from labctl.platform import leads_out, sync_directory
from labctl.schema import COLUMNS, END_TEST_TIME, ENVIRONMENT, IMPEDANCE, STEPS, TEST_TIME, TIMESERIES

PAGE_ROWS = 1000
_SCRATCH = ".importing-"
_OBJECT = {TIMESERIES.name: "cycler_dc", IMPEDANCE.name: "cycler_eis"}
_ORDER = tuple(stream.name for stream in (TIMESERIES, IMPEDANCE, ENVIRONMENT, STEPS))
_UNITS = {
    **{name: term.units for name, term in TERMS.items()},
    **{name: column.units for name, column in COLUMNS.items()},
}
_KINDS = {"f": ("number", "<f8"), "i": ("integer", "<i8"), "O": ("string", "<U64")}


def write_run(data_directory: Path, start: dict[str, Any], imported: ImportedStreams) -> str:
    """Write a run beside the others and return its uid.

    It is written elsewhere in the data directory and moved into place when it is complete, so that no other
    process ever sees a part of it.

    Args:
        data_directory: made if it is not there.
        start: keys of the start document; uid is added, `time` is the wall time of test time 0.
        imported: the streams.

    Raises:
        LabctlError: it cannot be written; nothing is left behind.
    """
    uid = str(uuid.uuid4())
    scratch = data_directory / f"{_SCRATCH}{secrets.token_hex(6)}"
    try:
        scratch.mkdir(parents=True)
        directory = _write(scratch, {"uid": uid, **start}, imported)
        final = data_directory / directory.relative_to(scratch)
        if leads_out(final, data_directory):
            raise LabctlError(f"{final}: a link leads out of the data directory, nothing is written")
        final.parent.mkdir(parents=True, exist_ok=True)
        directory.rename(final)
        sync_directory(final.parent)
    except OSError as error:
        raise LabctlError(f"{data_directory}: the run cannot be written: {error}") from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return uid


def remove_leftovers(data_directory: Path) -> None:
    """Remove what imports left that were killed; only for whoever knows that no other import runs."""
    for scratch in data_directory.glob(f"{_SCRATCH}*"):
        shutil.rmtree(scratch, ignore_errors=True)


def _write(scratch: Path, start: dict[str, Any], imported: ImportedStreams) -> Path:
    now = [nan]  # test time of the alarm being written
    journal = Journal(scratch, test_time=lambda: now[0])
    try:
        journal("start", start)
        writers = [
            _StreamWriter(name, imported.streams[name], start) for name in _ORDER if name in imported.streams
        ]
        for writer in writers:
            journal("descriptor", writer.descriptor)
        for page in _in_order_of_time(writers):
            journal(PAGE, page)
        for gap in imported.gaps:
            now[0] = gap.test_time_second
            file = start["imported"]["file"]
            what = (
                "the clock of {} began again at line {}"
                if gap.jump_second < 0
                else "{} has no rows before line {}"
            )
            action = what.format(file, gap.line)
            journal.alarm(kind="gap", source=file, value=gap.jump_second, limit=nan, action=action)
        journal("stop", _stop(start["uid"], writers))
        if journal.run_directory is None:
            raise LabctlError(f"{scratch}: the journal did not begin")
        return journal.run_directory
    finally:
        journal.close()


def _stop(run_uid: str, writers: list[_StreamWriter]) -> dict[str, Any]:
    return {
        "uid": str(uuid.uuid4()),
        "time": time.time(),
        "run_start": run_uid,
        "exit_status": "success",
        "reason": "",
        "num_events": {writer.name: writer.rows for writer in writers},
    }


def _in_order_of_time(writers: list[_StreamWriter]) -> Iterator[dict[str, Any]]:
    """Pages of all streams as they would have come: always of the stream that has got least far."""
    while open_ones := [writer for writer in writers if writer.written < writer.rows]:
        yield min(open_ones, key=lambda writer: writer.next_end_second).page()


@dataclass
class _StreamWriter:
    """One stream on its way into documents."""

    name: str
    columns: Stream
    start: dict[str, Any]
    written: int = 0
    descriptor: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        self.descriptor = _descriptor(self.name, self.columns, self.start)

    @property
    def rows(self) -> int:
        return len(self._time)

    @property
    def _time(self) -> NDArray[np.float64]:
        return self.columns[END_TEST_TIME if self.name == STEPS.name else TEST_TIME]

    @property
    def next_end_second(self) -> float:
        """Test time at the end of the next page."""
        return float(self._time[min(self.written + PAGE_ROWS, self.rows) - 1])

    def page(self) -> dict[str, Any]:
        """The next page."""
        here = slice(self.written, min(self.written + PAGE_ROWS, self.rows))
        wall = self.start["time"] + self._time[here]
        numbers = np.arange(here.start + 1, here.stop + 1)
        self.written = here.stop
        return {
            "uid": [str(uuid.uuid4()) for _ in numbers],
            "descriptor": self.descriptor["uid"],
            "seq_num": numbers.tolist(),
            "time": wall.tolist(),
            "data": {name: values[here].tolist() for name, values in self.columns.items()},
            "timestamps": dict.fromkeys(self.columns, wall.tolist()),
            "filled": {},
        }


def _descriptor(name: str, columns: Stream, start: dict[str, Any]) -> dict[str, Any]:
    device = _OBJECT.get(name, name)
    keys = {}
    for column, values in columns.items():
        dtype, dtype_numpy = _KINDS[values.dtype.kind]
        keys[column] = {
            "source": f"imported:{start['imported']['format']}",
            "dtype": dtype,
            "dtype_numpy": dtype_numpy,
            "shape": [],
            "units": _UNITS.get(column, ""),
            "object_name": device,
        }
    return {
        "uid": str(uuid.uuid4()),
        "run_start": start["uid"],
        "time": start["time"],
        "name": name,
        "data_keys": keys,
        "object_keys": {device: list(keys)},
        "configuration": {device: {"data": {}, "timestamps": {}, "data_keys": {}}},
        "hints": {},
    }
