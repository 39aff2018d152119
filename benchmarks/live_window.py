"""The live window at 10^6 and 10^7 points and with 8 channels, beside plain pyqtgraph drawing all points."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.live_journals import write
from benchmarks.table import Beside, Goal, Row

_POINTS = 1_000_000
_MOST_POINTS = 10_000_000
_CHANNELS, _ROWS_PER_SECOND, _SECONDS = 8, 100, 20
_BYTES_OF_PLAIN_ARRAYS = 3 * 8  # time, voltage, current
_PLAIN = {"pyqtgraph, all points": "plain", "pyqtgraph, its peak downsampling": "peaks"}
Figures = dict[str, float]


def live_window() -> list[Row]:
    """Each figure in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder)
        write(data, _POINTS)
        ours = _in_process("ours", data, _POINTS)
        plain = {name: _in_process(what, data, _POINTS) for name, what in _PLAIN.items()}
    held = _in_process("hold", Path(), _MOST_POINTS)
    watched = {channels: _watched(channels) for channels in (1, _CHANNELS)}
    return [*_drawing(ours, plain), _memory(held), *_following(watched)]


def _drawing(ours: Figures, plain: dict[str, Figures]) -> list[Row]:
    def row(what: str, key: str, unit: str, meaning: str, most: float) -> Row:
        besides = tuple(Beside(name, found[key]) for name, found in plain.items())
        return Row(f"live window, 10^6 points, {what}", ours[key], unit, meaning, besides, Goal(most=most))

    opening = (
        "How long a window takes to show a run of 11 days at a sample a second, from its first point on."
    )
    frame = "What drawing all panels in view once costs; plain pyqtgraph draws two curves and nothing else."
    return [
        row("late opening", "open_second", "s", opening, 3),
        row("a frame", "frame_millisecond", "ms", frame, 16),
    ]


def _memory(held: Figures) -> Row:
    arrays = Beside("bare arrays of time, voltage, current", _MOST_POINTS * _BYTES_OF_PLAIN_ARRAYS / 1e6)
    meaning = "What a window holds of a run of four months at a sample a second."
    return Row("live window, 10^7 points, memory", held["held_megabyte"], "MB", meaning, (arrays,))


def _following(watched: dict[int, Figures]) -> list[Row]:
    one, eight = watched[1], watched[_CHANNELS]
    latency, late = "latency_p95_millisecond", "How old a point is when it is drawn, at most, 19 times of 20."
    busy = "What a window that watches eight cells takes from the machine."
    first, last = "1 channel", f"{_CHANNELS} channels"
    goal = Goal(most=250)
    return [
        Row(
            f"written to drawn, p95, {first}", one[latency], "ms", late, (Beside(last, eight[latency]),), goal
        ),
        Row(
            f"written to drawn, p95, {last}", eight[latency], "ms", late, (Beside(first, one[latency]),), goal
        ),
        Row(
            f"{last} at {_ROWS_PER_SECOND} points/s, share of a core",
            eight["core_percent"],
            "%",
            busy,
            (Beside(first, one["core_percent"]),),
            Goal(most=50),
        ),
    ]


def _in_process(what: str, data: Path, *numbers: float) -> Figures:
    command = [sys.executable, "-m", "benchmarks.live_window_process", what, str(data), *map(str, numbers)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{what}: {(done.stderr.strip().splitlines() or ['no message'])[-1]}")
    return json.loads(done.stdout.splitlines()[-1])


def _watched(channels: int) -> Figures:
    """A window on runs that another process writes meanwhile."""
    with tempfile.TemporaryDirectory() as folder:
        arguments = [folder, str(channels), str(_ROWS_PER_SECOND), str(_SECONDS + 30)]
        writer = subprocess.Popen([sys.executable, "-m", "benchmarks.live_journals", *arguments])
        try:
            return _in_process("watch", Path(folder), _SECONDS, _ROWS_PER_SECOND)
        finally:
            writer.terminate()
            writer.wait()
