"""The live window at 10^6 and 10^7 points and with 8 channels, beside plain pyqtgraph drawing all points."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.live_journals import write
from benchmarks.table import Row

_POINTS = 1_000_000
_MOST_POINTS = 10_000_000
_CHANNELS, _ROWS_PER_SECOND, _SECONDS = 8, 100, 20
_BYTES_OF_PLAIN_ARRAYS = 3 * 8  # time, voltage, current


def live_window() -> list[Row]:
    """Each figure in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder)
        write(data, _POINTS)
        ours = _in_process("ours", data, _POINTS)
        plain = _in_process("plain", data, _POINTS)
    held = _in_process("hold", Path(), _MOST_POINTS)
    one, eight = (_watched(channels) for channels in (1, _CHANNELS))
    plain_name = "pyqtgraph, all points"
    arrays = _MOST_POINTS * _BYTES_OF_PLAIN_ARRAYS / 1e6
    return [
        _row("live window, 10^6 points, late opening", ours, "open_second", "s", plain_name, plain, "<= 3 s"),
        _row(
            "live window, 10^6 points, a frame",
            ours,
            "frame_millisecond",
            "ms",
            plain_name,
            plain,
            "<= 16 ms",
        ),
        Row(
            "live window, 10^7 points, memory", held["held_megabyte"], "MB", "bare arrays", arrays, "bounded"
        ),
        _row("written to drawn, p95, 1 channel", one, "latency_p95_millisecond", "ms", "", None, "<= 250 ms"),
        _row(
            "written to drawn, p95, 8 channels", eight, "latency_p95_millisecond", "ms", "", None, "<= 250 ms"
        ),
        _row("8 channels at 100 points/s, share of a core", eight, "core_percent", "%", "", None, "< 50 %"),
    ]


def _row(
    what: str, found: dict[str, float], key: str, unit: str, alternative: str, plain: Any, goal: str
) -> Row:
    return Row(what, found[key], unit, alternative, plain[key] if plain else None, goal)


def _in_process(what: str, data: Path, *numbers: float) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.live_window_process", what, str(data), *map(str, numbers)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def _watched(channels: int) -> dict[str, float]:
    """A window on runs that another process writes meanwhile."""
    with tempfile.TemporaryDirectory() as folder:
        arguments = [folder, str(channels), str(_ROWS_PER_SECOND), str(_SECONDS + 30)]
        writer = subprocess.Popen([sys.executable, "-m", "benchmarks.live_journals", *arguments])
        try:
            return _in_process("watch", Path(folder), _SECONDS, _ROWS_PER_SECOND)
        finally:
            writer.terminate()
            writer.wait()
