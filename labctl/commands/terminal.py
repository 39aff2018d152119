"""Terminals and pipes that go away: output that cannot fail, and whether the terminal is still there."""

from __future__ import annotations

import contextlib
import io
import os
import select
import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer as Buffer


_LOOK_SECOND = 0.5


class _LastingFile(io.FileIO):
    """Accepts everything; what a closed terminal, a closed pipe or a full disk does not take is lost."""

    def write(self, data: Buffer, /) -> int:
        written = None  # as where a terminal that does not wait is full
        with contextlib.suppress(OSError):
            written = super().write(data)
        return memoryview(data).nbytes if written is None else written


def outlive_terminal() -> None:
    """From now on no write to standard output or standard error fails in this process.

    A process that measures must not end, nor fail to end, because nobody can read it any more. Descriptors 0
    to 2 that are closed lead to the null device, so that no file of a run becomes one of them.
    """
    _open_missing()
    if sys.platform == "win32":
        return  # a console of Windows is no file; its process ends with it
    sys.stdout = sys.__stdout__ = _lasting(sys.stdout, 1)
    sys.stderr = sys.__stderr__ = _lasting(sys.stderr, 2)


def _open_missing() -> None:
    for fd in (0, 1, 2):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest that is free, which is this one


def _lasting(stream: TextIO | None, fd: int) -> io.TextIOWrapper:
    if stream is not None:
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    return io.TextIOWrapper(
        io.BufferedWriter(_LastingFile(fd, "w", closefd=False)),
        encoding=stream.encoding if stream is not None else None,
        errors=stream.errors if stream is not None else "backslashreplace",
        line_buffering=fd == 2 or os.isatty(fd),
    )


def watch_terminal(closed: Callable[[], object], over: threading.Event) -> None:
    """Call `closed` once if the terminal of standard input goes away before `over` is set (POSIX).

    The kernel's SIGHUP does not always come: it may be ignored, or the terminal be another process' one.
    """
    if hasattr(select, "poll") and os.isatty(0):
        threading.Thread(target=_watch, args=(closed, over), name="terminal", daemon=True).start()


def _watch(closed: Callable[[], object], over: threading.Event) -> None:
    poll = select.poll()
    poll.register(0, 0)  # hanging up is always reported
    while not over.is_set():
        if any(event & select.POLLHUP for _, event in poll.poll(_LOOK_SECOND * 1e3)):
            closed()
            return
