"""`make bench`: measure, and print each figure with its alternative and their ratio; trust the ratios."""

from __future__ import annotations

import os
import platform
import sys
from datetime import UTC, datetime

from benchmarks.circuit_fit import circuit_fit
from benchmarks.data_path import data_path
from benchmarks.emstat_lines import emstat_lines
from benchmarks.gitt_to_store import gitt_to_store
from benchmarks.live_window import live_window
from benchmarks.loop_stall import loop_stall
from benchmarks.pellet_ageing import pellet_ageing
from benchmarks.pellet_step import pellet_step
from benchmarks.run_engine_documents import run_engine_documents
from benchmarks.run_listing import run_listing

MEASUREMENTS = (
    emstat_lines,
    run_engine_documents,
    data_path,
    run_listing,
    loop_stall,
    pellet_step,
    pellet_ageing,
    circuit_fit,
    gitt_to_store,
    live_window,
)


def main() -> None:
    """Run all, or those named on the command line."""
    wanted = set(sys.argv[1:])
    known = {measure.__name__ for measure in MEASUREMENTS}
    if wanted - known:
        sys.exit(f"benchmarks: {', '.join(sorted(wanted - known))}: there are {', '.join(sorted(known))}")
    print(f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, Python {platform.python_version()}")
    for measure in MEASUREMENTS:
        if not wanted or measure.__name__ in wanted:
            for row in measure():
                print(row.text())


if __name__ == "__main__":
    main()
