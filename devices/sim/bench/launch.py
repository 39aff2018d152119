"""Finding the bench of a directory, or starting one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from devices.sim.bench.process import ALREADY_RUNNING, INFO_NAME, LOCK_NAME
from devices.sim.bench.settings import BenchSettings
from labctl.errors import DeviceError
from labctl.platform import is_locked

START_WALL_SECOND = 30.0
_RETRY_WALL_SECOND = 0.02
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
_background: list[subprocess.Popen[bytes]] = []  # Windows: kept, for a forgotten Popen warns


def is_running(directory: Path) -> bool:
    """Whether a bench lives in the directory."""
    return is_locked(directory / LOCK_NAME)


def read_info(directory: Path) -> dict[str, Any] | None:
    """What the bench of the directory tells of itself; None while it does not."""
    try:
        info = json.loads((directory / INFO_NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return info if isinstance(info, dict) else None


def find_or_start(
    directory: Path, settings: BenchSettings, *, private: bool, idle_second: float
) -> dict[str, Any]:
    """The running bench of the directory, or a new one with these settings; the content of its bench.json.

    Raises:
        DeviceError: it does not start; the message is its own.
    """
    deadline = time.monotonic() + START_WALL_SECOND
    reason = "no answer"
    while time.monotonic() < deadline:
        if not is_running(directory):
            reason = _start(directory, settings, private=private, idle_second=idle_second)
            if reason and ALREADY_RUNNING not in reason:
                break
        info = read_info(directory)
        if info is not None and is_running(directory):
            return info
        threading.Event().wait(_RETRY_WALL_SECOND)
    raise DeviceError(f"the simulated bench in {directory} does not start: {reason}")


def wait_until_gone(directory: Path, timeout_second: float) -> bool:
    """Wait for the bench of the directory to end; False if it still lives."""
    deadline = time.monotonic() + timeout_second
    while is_running(directory):
        if time.monotonic() > deadline:
            return False
        threading.Event().wait(_RETRY_WALL_SECOND)
    return True


def _start(directory: Path, settings: BenchSettings, *, private: bool, idle_second: float) -> str:
    """Start a detached process and wait until it is ready; "" then, else what it says."""
    # -P: a folder `devices` in the working directory is not labctl's
    command = [sys.executable, "-P", "-m", "devices.sim.bench.process"]
    command += ["--directory", str(directory), "--detach"]
    command += ["--settings", settings.model_dump_json(), "--idle-second", str(idle_second)]
    command += ["--private"] if private else []
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, **_ONE_THREAD},
        start_new_session=True,
        creationflags=getattr(subprocess, "DETACHED_PROCESS", 0),
    )
    said = bytearray()
    if process.stdout is not None:
        with process.stdout as output:
            while not said.endswith(b"ready\n") and (line := output.readline()):
                said += line
    if hasattr(os, "fork"):
        process.wait()  # the process that went on is its child
    else:
        _background.append(process)
    text = said.decode(errors="replace").strip()
    return "" if text.endswith("ready") else text or "it ended without a message"
