"""All measurements, in the order of the page."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.acquisition import acquisition
from benchmarks.circuit_fit import circuit_fit
from benchmarks.command_line import command_line
from benchmarks.document_store import document_store
from benchmarks.emstat_lines import emstat_lines
from benchmarks.gitt_to_store import gitt_to_store
from benchmarks.live_window import live_window
from benchmarks.loop_stall import loop_stall
from benchmarks.page import Section
from benchmarks.pellet_ageing import pellet_ageing
from benchmarks.pellet_step import pellet_step
from benchmarks.run_listing import run_listing
from benchmarks.table import Row, failed


@dataclass(frozen=True)
class Measurement:
    """A function that measures some rows, its title on the page, and how long it takes (minutes, about)."""

    measure: Callable[[], list[Row]]
    title: str
    minute: float

    @property
    def name(self) -> str:
        """What is typed to repeat it."""
        return self.measure.__name__

    def section(self) -> Section:
        """Its part of the page; a failure becomes a row that says why, so that the others go on."""
        began = time.perf_counter()
        try:
            rows = self.measure()
        except Exception as error:  # noqa: BLE001  whatever it is, it is told
            rows = [failed(self.name, error)]
        return Section(self.name, self.title, rows, time.perf_counter() - began)


MEASUREMENTS = (
    Measurement(acquisition, "From the driver to the journal", 3),
    Measurement(document_store, "From the journal to the document store and back", 1.5),
    Measurement(gitt_to_store, "A whole GITT", 1),
    Measurement(emstat_lines, "From the wire", 0.2),
    Measurement(loop_stall, "The RunEngine's loop beside slow instruments", 1),
    Measurement(live_window, "The live window", 3),
    Measurement(run_listing, "Finding runs", 1),
    Measurement(circuit_fit, "Circuit fit", 0.2),
    Measurement(pellet_step, "The simulated pellet", 0.2),
    Measurement(pellet_ageing, "The simulated pellet, aged", 2),
    Measurement(command_line, "The command line", 0.1),
)
