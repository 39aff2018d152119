"""One program from its preparation to its end, across pauses: what it was, what became of it, its status."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from ophyd.status import DeviceStatus

from devices.program_record import ProgramRecord
from devices.techniques import Program, StepResult


@dataclass
class Course:
    """State of a program; `program` is what is left of it after a pause, which begins another record."""

    program: Program
    records: list[ProgramRecord] = field(default_factory=list)
    status: DeviceStatus | None = None
    paused: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def open(self) -> bool:
        """Whether it was started and its status still waits for an end."""
        return self.status is not None and not self.status.done

    @property
    def results(self) -> list[StepResult]:
        """What became of the steps so far, in order."""
        return [result for record in self.records for result in record.results]

    def settle(self, failure: Exception | None = None) -> None:
        """End its status, once; a failure ends a paused one as well."""
        with self._lock:
            if self.status is None or self.status.done:
                return
            self.paused = False
            if failure is None:
                self.status.set_finished()
            else:
                self.status.set_exception(failure)
