"""A window left open: an hour of eight channels must not make it grow.

The length is `LABCTL_SOAK_MINUTE` (10 without it; 60 is what the figures of the documentation come from).
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from tests.helpers import wait_until

if sys.platform != "linux":
    pytest.skip("looks at processes in /proc", allow_module_level=True)

MINUTES = int(os.environ.get("LABCTL_SOAK_MINUTE", "10"))
CHANNELS, ROWS_PER_SECOND = 8, 100
SAMPLE_SECOND = 10
# What is kept of the shown run comes to 33 B a row: time and two curves with their pyramids 26 B, its
# pulses 4 B, environment, half cycles and spectra the rest; the other seven channels keep nothing. The
# allocator adds what lies idle between blocks of two threads: 110 B a row in all over an hour. A leak of
# 400 B at each of 20 repaints a second is twice as much as the room that is left.
MOST_BYTES_PER_ROW_SHOWN = 150
ALLOCATOR_BYTES = 12e6  # what pages that are freed and taken again may come to, whatever the length
MOST_CORE_SHARE = 0.5
TICKS = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
LAYOUT = """
import sys
from PySide6 import QtCore, QtWidgets
from labctl.live.theme import DARK
from labctl.live.window.live_window import LiveWindow
application = QtWidgets.QApplication([])
kept = QtCore.QSettings.Format.IniFormat, QtCore.QSettings.Scope.UserScope
settings = QtCore.QSettings(*kept, "labctl", "live")
window = LiveWindow(DARK, settings=settings)
window.resize(1920, 1080)
window.show()
window.arrange("cycling")
down, along = QtCore.Qt.Orientation.Vertical, QtCore.Qt.Orientation.Horizontal
rows = [("voltage", "capacity", "dqdv"), ("cycles", "gitt", "environment"),
        ("nyquist", "bode", "kramers-kronig", "alarms")]
docks = window.docks.docks
for dock in docks.values():
    window.docks.removeDockWidget(dock)
window.docks.addDockWidget(QtCore.Qt.DockWidgetArea.LeftDockWidgetArea, docks["voltage"])
for above, below in zip(rows, rows[1:]):
    window.docks.splitDockWidget(docks[above[0]], docks[below[0]], down)
for row in rows:
    for left, right in zip(row, row[1:]):
        window.docks.splitDockWidget(docks[left], docks[right], along)
for dock in docks.values():
    dock.show()
application.processEvents()
assert len(list(window.docks.in_view())) == len(docks), [panel.name for panel in window.docks.in_view()]
window.close()
"""


@contextmanager
def process(*command: str, environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    started = subprocess.Popen([sys.executable, *command], env=environment)
    try:
        yield started
    finally:
        started.kill()
        started.wait(20)


def vitals(pid: int) -> tuple[float, int, int, float]:
    """Resident memory (bytes), open files, threads, CPU time (s) of a process."""
    proc = Path(f"/proc/{pid}")
    fields = (proc / "stat").read_text().rpartition(")")[2].split()
    resident = int((proc / "statm").read_text().split()[1]) * PAGE_BYTES
    files = sum(1 for _ in (proc / "fd").iterdir())
    return float(resident), files, int(fields[17]), (int(fields[11]) + int(fields[12])) / TICKS


def observed(window: subprocess.Popen[bytes], writer: subprocess.Popen[bytes], table: Path) -> np.ndarray:
    """Rows of seconds and `vitals` until the runs have ended; also written to a file as they are taken."""
    began, rows = time.monotonic(), []
    with table.open("w") as file:
        file.write("second,resident_byte,files,threads,cpu_second\n")
        while writer.poll() is None:
            assert window.poll() is None, "the window ended"
            rows.append((time.monotonic() - began, *vitals(window.pid)))
            file.write(",".join(f"{value:.10g}" for value in rows[-1]) + "\n")
            file.flush()
            due = len(rows) * SAMPLE_SECOND
            wait_until(lambda due=due: time.monotonic() - began > due or writer.poll() is not None, 60)
    return np.array(rows)


@pytest.mark.slow
@pytest.mark.timeout(60 * MINUTES + 900)
def test_a_window_with_all_panels_on_eight_channels_does_not_grow(tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "QT_QPA_PLATFORM": "offscreen",
        "XDG_CONFIG_HOME": str(tmp_path / "settings"),
    }
    subprocess.run([sys.executable, "-c", LAYOUT], env=environment, check=True, timeout=120)
    data = tmp_path / "data"
    write = ["-m", "tests.labctl.live.soak_writer", str(data)]
    write += [str(CHANNELS), str(ROWS_PER_SECOND), str(60 * MINUTES)]
    show = ["-c", "from labctl.cli import main; main()", "live", "--data", str(data), "--size", "1920x1080"]
    with process(*write, environment=environment) as writer:
        wait_until(lambda: len(list(data.glob("runs/*/*"))) == CHANNELS, 60)
        with process(*show, environment=environment) as window:
            rows = observed(window, writer, tmp_path / "vitals.csv")
    assert writer.returncode == 0
    second, resident, files, threads, cpu = rows.T
    warm = second > second[-1] / 4
    shown_rows = ROWS_PER_SECOND * (second[-1] - second[warm][0])
    slope, _ = np.polyfit(second[warm], resident[warm], 1)
    growth = slope * (second[-1] - second[warm][0])
    share = np.diff(cpu) / np.diff(second)
    first, last = np.array_split(share[warm[1:]], 2)
    print(  # noqa: T201 - the figures of a long test
        f"{second[-1] / 60:.0f} min: resident {resident[warm][0] / 1e6:.1f} -> {resident[-1] / 1e6:.1f} MB, "
        f"{growth / shown_rows:.1f} B per row shown, {growth / shown_rows / CHANNELS:.1f} B per row written; "
        f"files {files[warm].min():.0f} to {files[warm].max():.0f}, "
        f"threads {threads[warm].min():.0f} to {threads[warm].max():.0f}; "
        f"CPU {100 * first.mean():.0f} % then {100 * last.mean():.0f} % of a core"
    )
    assert growth < MOST_BYTES_PER_ROW_SHOWN * shown_rows + ALLOCATOR_BYTES
    assert files[-1] <= files[warm][0] + 2  # a look at the data directory may have one open
    assert threads[warm].max() <= threads[warm][0] + 1
    assert share[warm[1:]].mean() < MOST_CORE_SHARE
