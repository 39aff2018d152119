"""A process that stops itself at a chosen instant, as a host does that is suspended or swapped out."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

_BEGINNING = """
import json, os, signal, sys, threading, time
from labctl.clock import MonotonicClock

def stop_here():
    began = time.monotonic()
    os.kill(os.getpid(), signal.SIGSTOP)
    while time.monotonic() - began < 1.0:  # it may run on for an instant before it stops
        pass

class StoppingClock(MonotonicClock):
    '''The clock of a host that is stopped as it looks at it, once, after `armed`.'''
    armed = False
    def now(self):
        value = super().now()
        if StoppingClock.armed:
            StoppingClock.armed = False
            stop_here()
        return value

def tell(found):
    sys.stdout.write(json.dumps(found))
"""


def run_stopped(
    code: str, *arguments: str, second: float, meanwhile: Callable[[], object] = lambda: None
) -> Any:
    """What `code` tells by `tell(found)`; it stops itself once by `stop_here`, for `second` (> 1)."""
    host = subprocess.Popen(
        [sys.executable, "-c", _BEGINNING + code, *arguments], stdout=subprocess.PIPE, text=True
    )
    try:
        _, status = os.waitpid(host.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status), "it has ended without stopping"
        meanwhile()
        threading.Event().wait(second)
        host.send_signal(signal.SIGCONT)
        return json.loads(host.communicate(timeout=60)[0])
    finally:
        host.kill()
        host.communicate()
