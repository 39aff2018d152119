"""What Ctrl-C, SIGTERM and a closed terminal do: pause at once in the console, end in order elsewhere.

A signal handler runs anywhere in the main thread, also while that thread holds a lock. So the handlers here
only take a note; a thread that was started before does the rest.
"""

from __future__ import annotations

import atexit
import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from types import FrameType
from typing import TYPE_CHECKING, Any

from labctl.errors import EndedEarlyError

if TYPE_CHECKING:
    from bluesky import RunEngine


CONSOLE_CLOSED = "the console's terminal was closed"
_AGAIN_SECOND = 0.05
_HANG_UP = [signal.SIGHUP] if hasattr(signal, "SIGHUP") else []  # a closed terminal, a dropped connection
_ENDING = (signal.SIGINT, signal.SIGTERM, *_HANG_UP)


class PauseAtOnce:
    """RunEngine context manager: the first Ctrl-C opens the circuit and pauses, further ones change nothing.

    bluesky's own handler would wait for the next checkpoint, which can be hours away in a long step.
    """

    def __init__(self, engine: RunEngine) -> None:
        self._engine = engine
        self._asked = False
        self._notes: SimpleQueue[bool] = SimpleQueue()  # True: pause, False: the RunEngine has returned

    def __enter__(self) -> PauseAtOnce:
        """Take over SIGINT for as long as the RunEngine runs."""
        self._asked = False
        self._notes = SimpleQueue()
        threading.Thread(
            target=self._pause_when_asked, args=(self._notes,), name="pause", daemon=True
        ).start()
        self._previous = signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(self, *exception: object) -> None:
        """Give SIGINT back."""
        signal.signal(signal.SIGINT, self._previous)
        self._notes.put(False)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if not self._asked and self._engine.state == "running":
            self._asked = True
            self._notes.put(True)

    def _pause_when_asked(self, notes: SimpleQueue[bool]) -> None:
        if notes.get():
            with contextlib.suppress(RuntimeError):  # it ended just now
                self._engine.request_pause()


class EndRequest:
    """Whether this process was asked to end, and in which words; by signals or by a closed terminal.

    Args:
        hang_up: the reason that a SIGHUP gives.

    Attributes:
        reason: None as long as nobody asked; the first to ask gives it.
    """

    def __init__(self, hang_up: str = "aborted by SIGHUP") -> None:
        self.reason: str | None = None
        self._reasons = {"SIGHUP": hang_up}
        self._notes: SimpleQueue[None] = SimpleQueue()
        self._leave: Callable[[], bool] = lambda: False
        self._previous: dict[signal.Signals, Any] = {}

    def take_signals(self, *, interrupt: bool = True, hang_up: bool = True) -> EndRequest:
        """From now to the last moment of this process, SIGTERM, SIGHUP and SIGINT only ask it to end.

        A SIGHUP that is ignored already stays so: that is what nohup does for a process that is to go on
        when its terminal is closed.

        Args:
            interrupt: SIGINT too.
            hang_up: SIGHUP too.
        """
        taken = [number for number in _ENDING if interrupt or number != signal.SIGINT]
        taken = [
            number for number in taken if number not in _HANG_UP or (hang_up and not _is_ignored(number))
        ]
        for number in taken:
            previous = signal.signal(number, self._note)
            self._previous.setdefault(number, previous)
        # While Python takes itself down it would give them their deadly default action back.
        atexit.register(self._ignore_signals)
        return self

    def give_signals_back(self) -> None:
        """From now on signals do what they did before; for a process that goes on with other work."""
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous = {}

    def _ignore_signals(self) -> None:
        for number in self._previous:
            signal.signal(number, signal.SIG_IGN)

    def ask(self, reason: str) -> None:
        """Ask the process to end; the first reason counts."""
        if self.reason is None:
            self.reason = reason
        self._notes.put(None)

    def _note(self, number: int, frame: FrameType | None) -> None:
        first, name = self.reason is None, signal.Signals(number).name
        self.ask(self._reasons.get(name, f"aborted by {name}"))
        if first and self._leave():
            raise SystemExit(1)

    def require_none(self) -> None:
        """Go on only if nobody asked to end.

        Raises:
            EndedEarlyError: somebody did; for where nothing has moved yet.
        """
        if self.reason is not None:
            raise EndedEarlyError(f"ended before the run began: {self.reason}")

    @contextmanager
    def aborting(self, engine: RunEngine) -> Iterator[None]:
        """Inside, the request aborts the RunEngine's run in order, with the reason; also one made before."""
        over = threading.Event()
        thread = threading.Thread(
            target=self._abort_when_asked, args=(engine, over), name="abort", daemon=True
        )
        thread.start()
        try:
            yield
        finally:
            over.set()
            self._notes.put(None)

    @contextmanager
    def leaving(self, engine: RunEngine) -> Iterator[None]:
        """As `aborting`, at a prompt: a signal that finds no run going on leaves at once, by SystemExit."""
        with self.aborting(engine):
            self._leave = lambda: engine.state in ("idle", "paused")
            try:
                yield
            finally:
                self._leave = lambda: False

    def _abort_when_asked(self, engine: RunEngine, over: threading.Event) -> None:
        """Abort as soon as the RunEngine can, and again if that fails in whatever way.

        It refuses while it is idle, as just before its start. A paused run is left to the main thread.
        """
        while self.reason is None and not over.is_set():
            self._notes.get()
        while self.reason is not None and not over.is_set():
            try:
                if engine.state != "paused":
                    engine.abort(self.reason)
                    return
            except Exception:  # noqa: BLE001  # a stop must stop; bluesky prints, for example
                pass
            over.wait(_AGAIN_SECOND)


def _is_ignored(number: signal.Signals) -> bool:
    return signal.getsignal(number) is signal.SIG_IGN
