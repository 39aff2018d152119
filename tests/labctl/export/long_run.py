"""A long run as a journal, made in seconds."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from labctl.importers.run_writer import write_run
from labctl.importers.streams import ImportedStreams

_STEP_ROWS = 5000


def write_long_run(data_directory: Path, rows: int) -> str:
    """A run of `rows` samples, one per second, with a reading of temperature and pressure every 10 s."""
    rng = np.random.default_rng(1)
    time = np.arange(1, rows + 1, dtype=float)
    step = np.arange(rows) // _STEP_ROWS + 1
    charging = step % 2 == 0
    samples = {
        "test_time_second": time,
        "step_time_second": (time - 1) % _STEP_ROWS + 1,
        "voltage_volt": 3 + 0.3 * np.sin(time / 1e4) + 2e-5 * rng.standard_normal(rows),
        "current_ampere": 84e-6 * charging + 1e-9 * rng.standard_normal(rows),
        "step_count": step,
        "cycle_count": step // 4,
        "step_type": np.where(charging, "cc_charge", "rest").astype(object),
        "status": np.zeros(rows, dtype=np.int64),
    }
    read = np.arange(0, rows, 10.0)
    environment = {
        "test_time_second": read,
        "temperature_t1_celsius": 60 + 0.1 * rng.standard_normal(len(read)),
        "applied_pressure_pa": 5e7 + 1e4 * rng.standard_normal(len(read)),
    }
    start = {
        "time": 1.79e9,
        "plan_name": "long",
        "station": {"name": "bench-1", "simulated": False},
        "imported": {"file": "none", "format": "none"},
    }
    return write_run(
        data_directory, start, ImportedStreams({"timeseries": samples, "environment": environment}, [])
    )
