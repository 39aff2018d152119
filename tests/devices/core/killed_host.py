"""A process that starts a step of ten hours on an instrument and is then killed, as a host that crashes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

from devices.core.cycler import CyclerDevice

_HOST = """
import importlib, sys
from devices.core.techniques import ConstantCurrent, Program, Sampling
from labctl.records.limits import Limits
module, driver, address = sys.argv[1:]
limits = Limits(voltage_min_volt=1.88, voltage_max_volt=3.70, current_max_ampere=5e-3)
cycler = getattr(importlib.import_module(module), driver)(address, name="cycler", limits=limits)
cycler.connect()
step = ConstantCurrent(current_ampere=1e-4, until_time_second=36000, sampling=Sampling.every(60))
cycler.prepare(Program(techniques=(step,))).wait(10)
cycler.start_program().wait(10)
sys.stdout.write("running\\n")
sys.stdout.flush()
sys.stdin.read()
"""


def start_and_kill_host(driver: type[CyclerDevice[Any]], address: str, before: Callable[[], object]) -> None:
    """Run the step with a driver of its own process, call `before`, then kill -9 that process."""
    host = subprocess.Popen(
        [sys.executable, "-c", _HOST, driver.__module__, driver.__name__, address],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert host.stdout is not None
        assert host.stdout.readline() == b"running\n"
        before()
    finally:
        host.kill()  # SIGKILL
        host.communicate()
