"""One window in a process of its own, without a screen: what it takes to open, draw, follow and hold."""

from __future__ import annotations

import gc
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["QT_QPA_PLATFORM"] = "offscreen"

import numpy as np
import pyqtgraph as pg
from PySide6 import QtCore, QtWidgets

from benchmarks.live_journals import Cycling
from labctl.journal.reader import follow
from labctl.live.app import GC_THRESHOLD
from labctl.live.model.feed import Feed
from labctl.live.theme import DARK
from labctl.live.window.controller import FollowController, LiveController, ReplayController
from labctl.live.window.live_window import LiveWindow

_SIZE = (1280, 720)
_FRAMES = 101


def _application() -> QtWidgets.QApplication:
    gc.set_threshold(*GC_THRESHOLD)
    return QtWidgets.QApplication([])


def _show(window: Any) -> None:
    window.resize(*_SIZE)
    window.show()


def _last_drawn(window: LiveWindow) -> float:
    times = window.plots.voltage.curves["voltage_volt"].getData()[0]
    return float(times[-1]) if times is not None and len(times) else -1.0


def _until(done: Callable[[], bool]) -> None:
    """Let events be handled as they are in a window; look every 10 ms."""
    loop, timer = QtCore.QEventLoop(), QtCore.QTimer(interval=10)
    timer.timeout.connect(lambda: loop.quit() if done() else None)
    timer.start()
    loop.exec()


def _memory_megabyte() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def _median_millisecond(frame: Callable[[], None]) -> float:
    took = []
    for _ in range(_FRAMES):
        began = time.perf_counter()
        frame()
        took.append(time.perf_counter() - began)
    return float(np.median(took) * 1e3)


def ours(data: Path, rows: int) -> dict[str, float]:
    """Open the window on a journal; then frames in which every panel in view is drawn anew."""
    app = _application()
    began = time.perf_counter()
    window = LiveWindow(DARK)
    _show(window)
    controller = FollowController(window, data, None)
    controller.begin()
    _until(lambda: _last_drawn(window) >= rows - 1)
    app.processEvents()
    opened = time.perf_counter() - began

    def frame() -> None:
        for panel in window.docks.in_view():
            panel.redraw()
        controller.show_now()
        app.processEvents()

    frame_millisecond = _median_millisecond(frame)
    window.close()
    return {"open_second": opened, "frame_millisecond": frame_millisecond}


def plain(data: Path, rows: int, *, peaks: bool) -> dict[str, float]:
    """The same run in plain pyqtgraph: read, two plots, all points, or its own downsampling to peaks."""
    app = _application()
    began = time.perf_counter()
    time_second, volt, ampere = np.empty(rows), np.empty(rows), np.empty(rows)
    at = 0
    for name, doc in follow(next(data.glob("runs/*/*")), live=False):
        if name == "event_page":
            columns, count = doc["data"], len(doc["seq_num"])
            for array, column in (
                (time_second, "test_time_second"),
                (volt, "voltage_volt"),
                (ampere, "current_ampere"),
            ):
                array[at : at + count] = columns[column]
            at += count
    widget: Any = pg.GraphicsLayoutWidget()
    curves = [widget.addPlot(row=row, col=0).plot(time_second, y) for row, y in enumerate((volt, ampere))]
    for curve in curves if peaks else ():
        curve.setDownsampling(auto=True, method="peak")
        curve.setClipToView(True)
    _show(widget)
    app.processEvents()
    opened = time.perf_counter() - began

    def frame() -> None:
        for curve, y in zip(curves, (volt, ampere), strict=True):
            curve.setData(time_second, y)
        app.processEvents()

    return {"open_second": opened, "frame_millisecond": _median_millisecond(frame)}


def hold(rows: int) -> dict[str, float]:
    """Memory that a run of so many rows adds to an empty window."""
    app = _application()
    window = LiveWindow(DARK)
    _show(window)
    app.processEvents()
    empty = _memory_megabyte()
    controller = ReplayController(window, "", Feed(lambda halt: Cycling().documents(rows)))
    controller.begin()
    _until(lambda: controller.model.stop is not None and _last_drawn(window) >= rows - 1)
    gc.collect()
    held = _memory_megabyte() - empty
    window.close()
    return {"held_megabyte": held, "rows_held": float(len(controller.model.timeseries))}


def watch(data: Path, seconds: float, rows_per_second: float) -> dict[str, float]:
    """Follow a run (and list the others) as they are written; latency from written to drawn, and CPU."""
    application = _application()  # noqa: F841 - alive as long as the window is
    window = LiveWindow(DARK)
    _show(window)
    controller: LiveController = FollowController(window, data, None)
    controller.begin()
    _until(lambda: _last_drawn(window) > 3.0)
    latencies: list[float] = []
    seen = [_last_drawn(window)]
    cpu, began = time.process_time(), time.monotonic()
    # The curve is looked at whenever the event loop has come round, thus after it was painted.
    timer = QtCore.QTimer(interval=5)

    def look() -> None:
        newest = _last_drawn(window)
        written = controller.model.last_data_unix_second
        if newest > seen[-1] and written is not None:
            seen.append(newest)
            latencies.append(time.time() - written)

    timer.timeout.connect(look)
    timer.start()
    _until(lambda: time.monotonic() - began > seconds)
    share = (time.process_time() - cpu) / (time.monotonic() - began)
    window.close()
    return {
        "latency_p95_millisecond": float(np.percentile(latencies, 95) * 1e3),
        "core_percent": 100 * share,
        "dropped_frames": float(controller.health.dropped_frames),
        "rows_per_second": rows_per_second,
    }


def main() -> None:
    """Do what the command line names; print the result as JSON."""
    what, data, *numbers = sys.argv[1:]
    if what == "ours":
        result = ours(Path(data), int(numbers[0]))
    elif what in ("plain", "peaks"):
        result = plain(Path(data), int(numbers[0]), peaks=what == "peaks")
    elif what == "hold":
        result = hold(int(numbers[0]))
    else:
        result = watch(Path(data), float(numbers[0]), float(numbers[1]))
    sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
