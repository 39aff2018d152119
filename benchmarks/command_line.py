"""What the first answer of the command line takes, beside the interpreter and an import of bluesky."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from statistics import median

from benchmarks.table import Goal, Row, beside

ROUNDS = 10


def command_line() -> list[Row]:
    """Seconds until `labctl --help` has answered."""
    labctl = Path(sys.executable).with_name("labctl")
    return [
        Row(
            "`labctl --help`",
            _seconds(str(labctl), "--help"),
            "s",
            "How long a person waits for the command line itself, whatever is asked of it.",
            (
                beside("python, doing nothing", lambda: _seconds(sys.executable, "-c", "pass")),
                beside(
                    'python -c "import bluesky"', lambda: _seconds(sys.executable, "-c", "import bluesky")
                ),
            ),
            Goal(most=0.3),
        )
    ]


def _seconds(*command: str) -> float:
    """Median wall time of a command that succeeds."""
    took = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        took.append(time.perf_counter() - began)
    return median(took)
