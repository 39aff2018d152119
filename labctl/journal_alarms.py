"""The `alarms` stream, which the journal composes itself so that any thread may write to it at any time."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from typing import Any

_OBJECT = "journal"
_COLUMNS = {
    "test_time_second": ("number", "<f8", "s"),
    "kind": ("string", "<U64", ""),
    "source": ("string", "<U64", ""),
    "value": ("number", "<f8", ""),
    "limit": ("number", "<f8", ""),
    "action": ("string", "<U64", ""),
}


def alarm_row(
    test_time_second: float, kind: str, source: str, value: float, limit: float, action: str
) -> dict[str, Any]:
    """The columns of one alarm; value and limit share the unit of the source."""
    return {
        "test_time_second": float(test_time_second),
        "kind": str(kind),
        "source": str(source),
        "value": float(value),
        "limit": float(limit),
        "action": str(action),
    }


class AlarmStream:
    """Composes the documents of one run's alarms; `count` rows so far."""

    def __init__(self, run_uid: str) -> None:
        self._run_uid = run_uid
        self._descriptor_uid: str | None = None
        self.count = 0

    def documents(self, row: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield the descriptor, the first time, and the event of `row`."""
        now = time.time()
        if self._descriptor_uid is None:
            self._descriptor_uid = str(uuid.uuid4())
            yield "descriptor", self._descriptor(self._descriptor_uid, now)
        self.count += 1
        event = {
            "uid": str(uuid.uuid4()),
            "descriptor": self._descriptor_uid,
            "time": now,
            "seq_num": self.count,
            "data": row,
            "timestamps": dict.fromkeys(row, now),
            "filled": {},
        }
        yield "event", event

    def _descriptor(self, uid: str, now: float) -> dict[str, Any]:
        keys = {
            name: {
                "source": "labctl",
                "dtype": dtype,
                "dtype_numpy": dtype_numpy,
                "shape": [],
                "units": units,
                "object_name": _OBJECT,
            }
            for name, (dtype, dtype_numpy, units) in _COLUMNS.items()
        }
        return {
            "uid": uid,
            "run_start": self._run_uid,
            "time": now,
            "name": "alarms",
            "data_keys": keys,
            "object_keys": {_OBJECT: list(keys)},
            "configuration": {_OBJECT: {"data": {}, "timestamps": {}, "data_keys": {}}},
            "hints": {_OBJECT: {"fields": []}},
        }
