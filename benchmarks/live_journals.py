"""Runs to look at: documents of a cycling run of any length, in journals at once or as time goes by."""

from __future__ import annotations

import sys
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from labctl.journal.writer import Journal
from labctl.schema import STEPS, TIMESERIES

PAGE_ROWS = 1000
STEP_ROWS = 20_000
_AMPERE = 84e-6
_CELL = {"id": "lic-ncm-1", "composite": {"mass_mg": 12.0}, "active_material": {"mass_fraction": 0.7}}
Document = tuple[str, dict[str, Any]]


class Cycling:
    """A cycling run sampled once a second; `rows` are composed when they are asked for."""

    def __init__(self, station: str = "bench") -> None:
        self.uid = str(uuid.uuid4())
        self._station = station
        self._began = time.time()
        self._next = 0

    def head(self) -> Iterator[Document]:
        """Start document and descriptors."""
        body = [{"kind": "mark"}, {"kind": "constant_current"}]
        yield (
            "start",
            {
                "uid": self.uid,
                "time": self._began,
                "plan_name": "cycle_life",
                "station": self._station,
                "cell": _CELL,
                "protocol": {"items": [{"kind": "loop", "repeat": 1000, "body": body}]},
                "devices": {},
                "limits": {},
            },
        )
        for name, specs in (("timeseries", TIMESERIES), ("steps", STEPS)):
            keys = {spec.name: spec.data_key("bench") for spec in specs}
            uid = f"{self.uid}-{name}"
            yield (
                "descriptor",
                {"uid": uid, "run_start": self.uid, "name": name, "data_keys": keys, "time": 0.0},
            )

    def rows(self, count: int, *, per_second: float = 1.0) -> Iterator[Document]:
        """The next rows as one page, and the row of `steps` where a step ends with them."""
        first, self._next = self._next, self._next + count
        number = np.arange(first, self._next)
        step = first // STEP_ROWS + 1
        sign = 1 if step % 2 else -1
        share = (number % STEP_ROWS) / STEP_ROWS
        volt = (3.0 + 0.7 * share if sign > 0 else 3.7 - 1.2 * share) + 3e-5 * np.sin(number * 12.9898)
        time_second = number / per_second
        data = {
            "test_time_second": time_second.tolist(),
            "step_time_second": ((number % STEP_ROWS) / per_second).tolist(),
            "voltage_volt": volt.tolist(),
            "current_ampere": (sign * _AMPERE + 2e-8 * np.sin(number * 78.233)).tolist(),
            "step_count": [step] * count,
            "cycle_count": [(step + 1) // 2] * count,
            "step_type": ["cc_charge" if sign > 0 else "cc_discharge"] * count,
            "status": [0] * count,
        }
        now = time.time()
        yield (
            "event_page",
            {
                "descriptor": f"{self.uid}-timeseries",
                "seq_num": (number + 1).tolist(),
                "time": [now] * count,
                "uid": [f"{self.uid[:8]}-{n}" for n in number],
                "data": data,
                "timestamps": {name: [now] * count for name in data},
                "filled": {},
            },
        )
        if self._next % STEP_ROWS == 0:
            yield "event", self._step(step, sign, float(time_second[-1]), STEP_ROWS / per_second, now)

    def _step(
        self, step: int, sign: int, end_second: float, lasted_second: float, now: float
    ) -> dict[str, Any]:
        moved = _AMPERE * lasted_second / 3600
        row = {
            "step_count": step,
            "protocol_step": str(step),
            "step_type": "cc_charge" if sign > 0 else "cc_discharge",
            "cycle_count": (step + 1) // 2,
            "start_test_time_second": end_second - lasted_second,
            "end_test_time_second": end_second,
            "end_reason": "time",
            "step_charging_capacity_ah": moved if sign > 0 else 0.0,
            "step_discharging_capacity_ah": moved if sign < 0 else 0.0,
            "end_voltage_volt": 3.0,
            "end_current_ampere": sign * _AMPERE,
        }
        event = {"uid": str(uuid.uuid4()), "descriptor": f"{self.uid}-steps", "seq_num": step, "time": now}
        return event | {"data": row, "timestamps": dict.fromkeys(row, now), "filled": {}}

    def tail(self) -> Document:
        """The stop document."""
        stop = {
            "uid": str(uuid.uuid4()),
            "run_start": self.uid,
            "time": time.time(),
            "exit_status": "success",
        }
        return "stop", stop | {"num_events": {"timeseries": self._next}}

    def documents(self, rows: int) -> Iterator[Document]:
        """A whole run."""
        yield from self.head()
        for _ in range(0, rows, PAGE_ROWS):
            yield from self.rows(PAGE_ROWS)
        yield self.tail()


def write(data: Path, rows: int) -> Path:
    """A whole run as a journal; its directory."""
    journal = Journal(data)
    for name, doc in Cycling().documents(rows):
        journal(name, doc)
    journal.close()
    assert journal.run_directory is not None
    return journal.run_directory


def write_on(data: Path, channels: int, rows_per_second: float, seconds: float) -> None:
    """Runs that go on: ten pages a second to each of some journals."""
    journals = [(Journal(data), Cycling(f"station-{n}")) for n in range(channels)]
    for journal, run in journals:
        for name, doc in run.head():
            journal(name, doc)
    began, pause = time.monotonic(), threading.Event()
    for tick in range(round(10 * seconds)):
        for journal, run in journals:
            for name, doc in run.rows(max(round(rows_per_second / 10), 1), per_second=rows_per_second):
                journal(name, doc)
        pause.wait(max(began + (tick + 1) / 10 - time.monotonic(), 0.0))
    for journal, _ in journals:
        journal.close()


if __name__ == "__main__":
    write_on(Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), float(sys.argv[4]))
