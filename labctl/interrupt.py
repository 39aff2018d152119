"""What Ctrl-C and SIGTERM do: pause at once in the console, abort with a reason under `labctl run`."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

_AGAIN_SECOND = 0.05
_HANG_UP = [signal.SIGHUP] if hasattr(signal, "SIGHUP") else []  # a closed terminal, a dropped connection
_ENDING = (signal.SIGINT, signal.SIGTERM, *_HANG_UP)

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
    """SIGINT, SIGTERM and SIGHUP abort the run in order, with a reason; further ones change nothing."""
    request, over = AbortRequest(), threading.Event()

    def abort(number: int, frame: FrameType | None) -> None:
        if request.reason is None:
            request.reason = f"aborted by {signal.Signals(number).name}"
            arguments = (engine, request.reason, over)
            threading.Thread(target=_insist_on_abort, args=arguments, name="abort", daemon=True).start()

    previous = {number: signal.signal(number, abort) for number in _ENDING}
    try:
        yield request
    finally:
        over.set()
        for number, handler in previous.items():
            signal.signal(number, handler)


@contextmanager
def leave_on_hang_up() -> Iterator[None]:
    """A console whose terminal goes away ends as if by exit(), so that its devices are made safe."""

    def leave(number: int, frame: FrameType | None) -> None:
        raise SystemExit(1)

    previous = {number: signal.signal(number, leave) for number in (*_HANG_UP, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _insist_on_abort(engine: RunEngine, reason: str, over: threading.Event) -> None:
    """Abort as soon as the RunEngine can: it refuses while it is idle, as just before its start."""
    while not over.is_set():
        try:
            engine.abort(reason)
            return
        except RuntimeError:  # bluesky's TransitionError is one
            over.wait(_AGAIN_SECOND)
