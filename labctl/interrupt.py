"""What Ctrl-C and SIGTERM do: pause at once in the console, abort with a reason under `labctl run`."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bluesky import RunEngine


class PauseAtOnce:
    """RunEngine context manager: the first Ctrl-C opens the circuit and pauses, further ones change nothing.

    bluesky's own handler would wait for the next checkpoint, which can be hours away in a long step.
    """

    def __init__(self, engine: RunEngine) -> None:
        self._engine = engine
        self._asked = False

    def __enter__(self) -> PauseAtOnce:
        """Take over SIGINT for as long as the RunEngine runs."""
        self._asked = False
        self._previous = signal.signal(signal.SIGINT, self._pause)
        return self

    def __exit__(self, *exception: object) -> None:
        """Give SIGINT back."""
        signal.signal(signal.SIGINT, self._previous)

    def _pause(self, number: int, frame: FrameType | None) -> None:
        if not self._asked and self._engine.state == "running":
            self._asked = True
            threading.Thread(target=self._engine.request_pause, name="pause", daemon=True).start()


class AbortRequest:
    """Whether somebody asked to end, and by which signal."""

    def __init__(self) -> None:
        self.reason: str | None = None


@contextmanager
def abort_on_signal(engine: RunEngine) -> Iterator[AbortRequest]:
    """SIGINT and SIGTERM abort the run in order, with a reason; further ones change nothing."""
    request = AbortRequest()

    def abort(number: int, frame: FrameType | None) -> None:
        if request.reason is None:
            request.reason = f"aborted by {signal.Signals(number).name}"
            if engine.state != "idle":
                reason = request.reason
                threading.Thread(target=lambda: engine.abort(reason), name="abort", daemon=True).start()

    previous = {number: signal.signal(number, abort) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield request
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
