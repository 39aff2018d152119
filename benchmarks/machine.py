"""Where the figures come from: the machine, its disk, its load, and the versions of what was measured."""

from __future__ import annotations

import os
import platform
import tempfile
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median

from benchmarks.others_environment import versions
from labctl.platform import sync

MEASURED = ("bluesky", "ophyd", "event-model", "tiled", "bluesky-tiled-plugins", "numpy", "pyqtgraph")
QT = "PySide6-Essentials"
IN_MEMORY = ("tmpfs", "ramfs")
ROOMY = Path("/var/tmp")  # on a disk where /tmp is in memory
SYNCS, SYNCED_BYTE = 100, 4096
BUSY = 0.25  # processes that want a core, per core


def work_on_a_disk() -> None:
    """Let this process and its children put their files on a disk where the usual folder is in memory."""
    if file_system(Path(tempfile.gettempdir()))[0] in IN_MEMORY and os.access(ROOMY, os.W_OK):
        os.environ["TMPDIR"] = tempfile.tempdir = str(ROOMY)


def facts() -> dict[str, str]:
    """Name and value of each, in the order of the page."""
    folder = Path(tempfile.gettempdir())
    kind, device = file_system(folder)
    disk = f"{kind} on {device} ({folder}); write and sync of 4 kB takes {_sync_millisecond(folder):.2g} ms"
    others = ", ".join(f"{name} {found}" for name, found in versions().items()) or "not installed"
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "processor": f"{_processor()}, {os.cpu_count()} cores",
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
        "disk": disk,
        "load at start": _load(),
        "versions": ", ".join(f"{name} {version(name)}" for name in (*MEASURED, QT)),
        "other tools": others,
    }


def file_system(folder: Path) -> tuple[str, str]:
    """Kind and device of the file system that holds `folder`; "unknown" where nobody can tell."""
    found, depth = ("unknown", "unknown"), -1
    try:
        mounts = Path("/proc/mounts").read_text().splitlines()
    except OSError:
        return found
    for device, point, kind, *_ in (line.split() for line in mounts):
        if folder.resolve().is_relative_to(point) and len(Path(point).parts) >= depth:
            found, depth = (kind, device), len(Path(point).parts)
    return found


def _load() -> str:
    loads = os.getloadavg()
    busy = loads[0] > BUSY * (os.cpu_count() or 1)
    told = ", ".join(f"{load:.2f}" for load in loads) + " (1, 5, 15 min)"
    return told + (
        ": **busy with other work: figures and goals are worse than on a quiet machine**" if busy else ""
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.machine()


def _sync_millisecond(folder: Path) -> float:
    took = []
    with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
        for _ in range(SYNCS):
            began = time.perf_counter()
            file.write(b"x" * SYNCED_BYTE)
            sync(file.fileno())
            took.append((time.perf_counter() - began) * 1e3)
    return median(took)
