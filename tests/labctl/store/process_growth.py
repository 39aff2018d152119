"""How the memory and the open files of processes grow with the rows of a run."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

PAGE_BYTE = os.sysconf("SC_PAGE_SIZE")


def resident_byte(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_BYTE


def open_files(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def place_in(pid: int, run: Path) -> int | None:
    """Bytes of a run's journal that the process has gone through; None while it has none of it open.

    Of several readers in it the last one counts.
    """
    segments = sorted(run.glob("journal-*.jsonl"))
    sizes = [segment.stat().st_size for segment in segments]
    places = []
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        try:
            file = descriptor.readlink()
            told = (descriptor.parent.with_name("fdinfo") / descriptor.name).read_text()
        except FileNotFoundError:  # closed meanwhile
            continue
        if file in segments:
            places.append(sum(sizes[: segments.index(file)]) + int(told.split()[1]))
    return min(places, default=None)


@dataclass
class Growth:
    """What one process held as rows came."""

    pid: int
    rows: list[int] = field(default_factory=list)
    resident: list[int] = field(default_factory=list)
    files: list[int] = field(default_factory=list)

    def look(self, rows: int) -> None:
        """Note what it holds when so many rows have come."""
        self.resident.append(resident_byte(self.pid))
        self.files.append(open_files(self.pid))
        self.rows.append(rows)

    def _after(self, warm_up_rows: int) -> slice:
        return slice(int(np.searchsorted(self.rows, warm_up_rows)), None)

    def byte_per_row(self, warm_up_rows: int) -> float:
        """Slope of the memory after so many rows, by regression."""
        kept = self._after(warm_up_rows)
        return float(np.polyfit(self.rows[kept], self.resident[kept], 1)[0])

    def more_files(self, warm_up_rows: int) -> int:
        """Open files at the end, above the most of the first quarter of what came after so many rows."""
        files = self.files[self._after(warm_up_rows)]
        return files[-1] - max(files[: max(len(files) // 4, 1)])
