"""What tests of whole runs share."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any


class Documents:
    """Everything a run emitted, in order."""

    def __init__(self) -> None:
        self.all: list[tuple[str, dict[str, Any]]] = []

    def __call__(self, name: str, doc: dict[str, Any]) -> None:
        self.all.append((name, doc))

    def of(self, name: str) -> list[dict[str, Any]]:
        return [doc for n, doc in self.all if n == name]

    @property
    def stop(self) -> dict[str, Any]:
        return self.of("stop")[-1]

    def stream(self, stream: str) -> dict[str, list[Any]]:
        """Columns of a stream, with its seq_num."""
        uids = {d["uid"]: d for d in self.of("descriptor") if d["name"] == stream}
        columns: dict[str, list[Any]] = {"seq_num": []}
        for name, doc in self.all:
            if name == "event_page" and doc["descriptor"] in uids:
                columns["seq_num"] += doc["seq_num"]
                for key, values in doc["data"].items():
                    columns.setdefault(key, []).extend(values)
            elif name == "event" and doc["descriptor"] in uids:
                columns["seq_num"].append(doc["seq_num"])
                for key, value in doc["data"].items():
                    columns.setdefault(key, []).append(value)
        return columns


def wait_until(condition: Callable[[], bool], timeout_second: float = 20.0) -> None:
    """Poll until `condition` holds."""
    deadline = time.monotonic() + timeout_second
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout_second} s")
        threading.Event().wait(0.02)


def until(qtbot: Any, condition: Callable[[], Any]) -> None:
    """Let Qt go on until `condition` holds; patient, for busy machines."""
    qtbot.waitUntil(condition, timeout=20_000)


def in_background(action: Callable[[], Any]) -> threading.Thread:
    """Run `action` in a thread of its own."""
    thread = threading.Thread(target=action, daemon=True)
    thread.start()
    return thread
