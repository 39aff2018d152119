"""Opens the live window, or draws it into a file without a screen.

Qt is imported when a window is made: a process that never shows one never loads it.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from labctl.errors import ConfigurationError, LabctlError
from labctl.live.reader import Document, Feed
from labctl.live.replay import paced

if TYPE_CHECKING:
    from PySide6 import QtWidgets

    from labctl.live.controller import LiveController
    from labctl.live.window import LiveWindow

_SIZE = (1280, 720)
_SIZE_LIMIT = 16_384
# Documents are trees of small objects: with Python's own setting collection takes half the time of reading.
_GC_THRESHOLD = (50_000, 20, 50)
_QT_PLATFORM = "QT_QPA_PLATFORM"


def has_screen() -> bool:
    """Whether a window can be shown: there is a display, or the platform has one of its own."""
    if os.environ.get(_QT_PLATFORM):
        return os.environ[_QT_PLATFORM] not in ("offscreen", "minimal")
    if sys.platform in ("win32", "darwin"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def run_live(
    data_directory: Path,
    *,
    run_directory: Path | None = None,
    screenshot: Path | None = None,
    size: tuple[int, int] = _SIZE,
    theme: str = "dark",
) -> int:
    """Open the window on a data directory and return when it is closed.

    Args:
        data_directory: Its runs are listed; the newest is shown, and a newer one when it begins.
        run_directory: Show this run instead of the newest.
        screenshot: Draw all there is now into this PNG file instead, without a screen.
        size: Width and height in pixels.
        theme: "dark" or "light".

    Returns:
        Exit code, 0.

    Raises:
        LabctlError: Qt cannot be loaded, there is no screen, or the picture cannot be written.
    """
    _check(size, theme, screenshot)
    with _application(offscreen=screenshot is not None) as qt:
        from labctl.live.controller import FollowController
        from labctl.live.watch import look

        window = _window(theme, with_channels=True)
        if screenshot is None:
            return _run(qt, FollowController(window, data_directory, run_directory), size)
        controller = FollowController(window, data_directory, run_directory, threads=False)
        controller.take(look(data_directory, run_directory))
        return _draw(controller, screenshot, size)


def run_replay(
    documents: Iterator[Document],
    *,
    speed: float | None,
    title: str,
    screenshot: Path | None = None,
    size: tuple[int, int] = _SIZE,
    theme: str = "dark",
) -> int:
    """Show the documents of one run in the window and return when it is closed.

    Args:
        documents: (name, document) in order, event pages or events.
        speed: Run time per wall time, > 0; None for as fast as possible.
        title: What is replayed.
        screenshot: Draw all of it into this PNG file instead, without a screen.
        size: Width and height in pixels.
        theme: "dark" or "light".

    Returns:
        Exit code, 0.

    Raises:
        LabctlError: As for `run_live`.
    """
    _check(size, theme, screenshot)
    if speed is not None and not 0 < speed < float("inf"):
        raise ConfigurationError("replay", "speed", speed, "a number > 0, or none for as fast as possible")
    with _application(offscreen=screenshot is not None) as qt:
        from labctl.live.controller import ReplayController

        window = _window(theme, with_channels=False)
        if screenshot is None:
            return _run(
                qt, ReplayController(window, title, Feed(partial(_source, documents, speed)), speed), size
            )
        controller = ReplayController(window, title, None)
        controller.feed_all(documents)
        return _draw(controller, screenshot, size)


def save_screenshot(documents: Iterator[Document], path: Path, size: tuple[int, int] = _SIZE) -> None:
    """Draw the documents of one run into a PNG file, without a screen.

    Raises:
        LabctlError: As for `run_live`.
    """
    run_replay(documents, speed=None, title="", screenshot=path, size=size)


def _source(documents: Iterator[Document], speed: float | None, halt: threading.Event) -> Iterator[Document]:
    return documents if speed is None else paced(documents, speed, halt)


def _check(size: tuple[int, int], theme: str, screenshot: Path | None) -> None:
    if not all(200 <= side <= _SIZE_LIMIT for side in size):
        raise ConfigurationError("live window", "size", size, f"two numbers of pixels, 200 to {_SIZE_LIMIT}")
    if theme not in ("dark", "light"):
        raise ConfigurationError("live window", "theme", theme, "dark or light")
    if screenshot is not None and not Path(screenshot).absolute().parent.is_dir():
        raise ConfigurationError(
            "live window", "screenshot", str(screenshot), "a file in an existing directory"
        )


@contextmanager
def _application(*, offscreen: bool) -> Iterator[QtWidgets.QApplication]:
    """The process's Qt application; one that was made here is taken down again in order.

    Raises:
        LabctlError: Qt's system libraries are missing, or a window is wanted and there is no screen.
    """
    try:
        from PySide6 import QtWidgets
    except ImportError as error:
        raise LabctlError(f"the live window needs Qt's system libraries: {error}") from error
    existing = QtWidgets.QApplication.instance()
    if isinstance(existing, QtWidgets.QApplication):
        yield existing
        return
    if not offscreen and not has_screen() and not os.environ.get(_QT_PLATFORM):
        raise LabctlError(
            "no screen to open a window on (DISPLAY is not set); a picture can be made without one"
        )
    with _platform("offscreen" if offscreen else None):
        made = QtWidgets.QApplication(["labctl"])
    made.setApplicationName("labctl")
    try:
        yield made
    finally:
        # What is left to the interpreter's exit is destroyed in any order, and Qt may then crash.
        made.closeAllWindows()
        made.processEvents()
        made.shutdown()


@contextmanager
def _platform(name: str | None) -> Iterator[None]:
    """Set Qt's platform while the application is made; the environment is as before afterwards."""
    before = os.environ.get(_QT_PLATFORM)
    if name is not None:
        os.environ[_QT_PLATFORM] = name
    try:
        yield
    finally:
        if name is not None:
            os.environ.pop(_QT_PLATFORM)
            if before is not None:
                os.environ[_QT_PLATFORM] = before


def _window(theme: str, *, with_channels: bool) -> LiveWindow:
    from labctl.live.theme import THEMES
    from labctl.live.window import LiveWindow

    return LiveWindow(THEMES[theme], with_channels=with_channels)


def _run(qt: QtWidgets.QApplication, controller: LiveController, size: tuple[int, int]) -> int:
    gc.set_threshold(*_GC_THRESHOLD)
    controller.window.resize(*size)
    controller.window.show()
    controller.begin()
    try:
        with _closed_by_interrupt(controller.window):
            return qt.exec()
    finally:
        _dispose(controller)


@contextmanager
def _closed_by_interrupt(window: LiveWindow) -> Iterator[None]:
    """Ctrl-C closes the window; without this Qt would swallow it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, lambda *_: window.close())
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _draw(controller: LiveController, path: Path, size: tuple[int, int]) -> int:
    try:
        controller.window.save_picture(Path(path), size, controller.show_now)
    finally:
        _dispose(controller)
    return 0


def _dispose(controller: LiveController) -> None:
    from PySide6 import QtCore

    window = controller.window
    window.close()
    window.deleteLater()
    QtCore.QCoreApplication.sendPostedEvents(None, QtCore.QEvent.Type.DeferredDelete)
