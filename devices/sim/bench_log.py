"""The bench's own record of what really happened: circuit, programs, faults; independent of any host."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any


class BenchRecord:
    """Append-only entries in memory and, one JSON line each, in a file.

    Every entry has `kind` (circuit, setpoint, program, mount, fault, instrument, bench), `virtual_second` and
    `unix_second`. Circuit entries have `closed`, `current_ampere` (> 0 charges; when the circuit opens, the
    current just before), `charge_ah` of the cell and the `reason`. What a full disk refuses is written once
    there is room again: an instrument does not stop because a computer's disk is full.
    """

    def __init__(self, now: Callable[[], float], path: Path | None = None) -> None:
        self._now = now
        self._entries: list[dict[str, Any]] = []
        self._file = path.open("ab", buffering=0) if path is not None else None
        self._unwritten = b""

    def add(self, kind: str, *, virtual_second: float | None = None, **fields: Any) -> None:
        """Append one entry; `virtual_second` is the present if not given."""
        entry = {
            "kind": kind,
            "virtual_second": self._now() if virtual_second is None else virtual_second,
            "unix_second": time.time(),
            **fields,
        }
        self._entries.append(entry)
        if self._file is not None:
            self._unwritten += json.dumps(entry).encode() + b"\n"
            with suppress(OSError):
                self._unwritten = self._unwritten[self._file.write(self._unwritten) or 0 :]

    def entries(self, first: int = 0) -> list[dict[str, Any]]:
        """All entries from number `first` on."""
        return self._entries[first:]

    def close(self) -> None:
        """Close the file; the entries stay readable."""
        if self._file is not None:
            self._file.close()
            self._file = None
