"""A journalled run of single events with numbered voltages, and those voltages read back."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import event_model

from labctl.journal.reader import follow
from labctl.journal.writer import Journal

KEYS = {"voltage_volt": {"source": "t", "dtype": "number", "dtype_numpy": "<f8", "shape": []}}


def write(data: Path, rows: int, *, stop: bool = True, segment_limit_byte: int = 1 << 26) -> Path:
    """A run of single events with voltages 0, 1, 2, ...; every tenth is NaN."""
    journal = Journal(data, segment_limit_byte=segment_limit_byte)
    run = event_model.compose_run()
    journal("start", run.start_doc)
    descriptor = run.compose_descriptor(name="timeseries", data_keys=KEYS)
    journal("descriptor", descriptor.descriptor_doc)
    for number in range(rows):
        value = math.nan if number % 10 == 9 else float(number)
        stamps = {"voltage_volt": 1.0}
        journal("event", descriptor.compose_event(data={"voltage_volt": value}, timestamps=stamps))
    if stop:
        journal("stop", run.compose_stop())
    journal.close()
    assert journal.run_directory is not None
    return journal.run_directory


def voltages(run_directory: Path, **options: Any) -> list[float]:
    return [doc["data"]["voltage_volt"] for name, doc in follow(run_directory, **options) if name == "event"]
