"""Opens the live window, or draws it into a file without a screen.

Qt is imported when a window is made: a process that never shows one never loads it.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from labctl.errors import ConfigurationError, LabctlError
from labctl.live.model.feed import Document
from labctl.live.replay.playback import Playback

if TYPE_CHECKING:
    from PySide6 import QtWidgets

    from labctl.live.window.controller import LiveController
    from labctl.live.window.live_window import LiveWindow

_THEMES = ("system", "dark", "light")
_PICTURES = (".png", ".svg")
PANELS = (
    "voltage",
    "capacity",
    "dqdv",
    "cycles",
    "gitt",
    "nyquist",
    "bode",
    "kramers-kronig",
    "environment",
    "alarms",
)
_SIZE = (1280, 720)
_SIDE_PIXEL = (320, 16_384)
# Documents are trees of small objects: with Python's own setting collection takes half the time of reading.
GC_THRESHOLD = (50_000, 20, 50)
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
    theme: str = "system",
    panels: Sequence[str] = (),
) -> int:
    """Open the window on a data directory and return when it is closed.

    Args:
        data_directory: Its runs are listed; the newest is shown, and a newer one when it begins.
        run_directory: Show this run instead of the newest.
        screenshot: Draw all there is now into this file (.png or .svg) instead, without a screen.
        size: Width and height in pixels.
        theme: "system", "dark" or "light".
        panels: Show these panels (see `PANELS`) and no others; none for those that fit the run.

    Returns:
        Exit code, 0.

    Raises:
        LabctlError: Qt cannot be loaded, there is no screen, or the picture cannot be written.
    """
    check_look("live window", size=size, theme=theme, screenshot=screenshot, panels=panels)
    with _application(offscreen=screenshot is not None) as qt:
        from labctl.live.model.watch import look
        from labctl.live.window.controller import FollowController

        window = _window(theme, panels, with_channels=not panels, picture=screenshot is not None)
        if screenshot is None:
            return _run(qt, FollowController(window, data_directory, run_directory), size)
        controller = FollowController(window, data_directory, run_directory, threads=False)
        controller.take(look(data_directory, run_directory))
        return _draw(controller, screenshot, size)


def run_replay(
    documents: Callable[[], Iterator[Document]],
    *,
    speed: float | None,
    title: str,
    screenshot: Path | None = None,
    size: tuple[int, int] = _SIZE,
    theme: str = "system",
    panels: Sequence[str] = (),
    live: Callable[[threading.Event], Iterator[Document]] | None = None,
) -> int:
    """Show the documents of one run in the window and return when it is closed.

    Args:
        documents: Gives (name, document) in order, event pages or events, from the first one at each call.
        speed: Run time per wall time, > 0; None for as fast as possible.
        title: What is replayed.
        screenshot: Draw all of it into this file (.png or .svg) instead, without a screen.
        size: Width and height in pixels.
        theme: "system", "dark" or "light".
        panels: Show these panels (see `PANELS`) and no others; none for those that fit the run.
        live: Of a run that is still going: the same documents, then what comes until the event is set; a
            picture shows what there is now.

    Returns:
        Exit code, 0.

    Raises:
        LabctlError: As for `run_live`.
    """
    check_look("live window", size=size, theme=theme, screenshot=screenshot, panels=panels)
    if speed is not None and not 0 < speed < float("inf"):
        raise ConfigurationError("replay", "speed", speed, "a number > 0, or none for as fast as possible")
    with _application(offscreen=screenshot is not None) as qt:
        from labctl.live.replay.controls import Player
        from labctl.live.window.controller import ReplayController

        window = _window(theme, panels, with_channels=False, picture=screenshot is not None)
        if screenshot is None:
            return _run(qt, Player(window, Playback(documents, speed, title, live)), size)
        controller = ReplayController(window, title, None)
        controller.feed_all(documents())
        return _draw(controller, screenshot, size)


def save_screenshot(documents: Iterator[Document], path: Path, size: tuple[int, int] = _SIZE) -> None:
    """Draw the documents of one run into a picture, PNG or SVG, without a screen.

    Raises:
        LabctlError: As for `run_live`.
    """
    run_replay(lambda: documents, speed=None, title="", screenshot=path, size=size)


def check_look(
    where: str, *, size: tuple[int, int], theme: str, screenshot: Path | None, panels: Sequence[str]
) -> None:
    """Refuse what a window cannot look like, or where a picture cannot go.

    Raises:
        ConfigurationError: names `where`, the field, its value and what is allowed.
    """
    least, most = _SIDE_PIXEL
    if not all(least <= side <= most for side in size):
        shown = "x".join(map(str, size))
        raise ConfigurationError(where, "size", shown, f"{least} to {most} pixels each")
    if theme not in _THEMES:
        raise ConfigurationError(where, "theme", theme, f"allowed are {', '.join(_THEMES)}")
    for panel in panels:
        if panel not in PANELS:
            raise ConfigurationError(where, "panel", panel, f"allowed are {', '.join(PANELS)}")
    if screenshot is None:
        return
    if screenshot.suffix.lower() not in _PICTURES:
        raise ConfigurationError(where, "screenshot", str(screenshot), "a name that ends in .png or .svg")
    if not screenshot.absolute().parent.is_dir():
        raise ConfigurationError(where, "screenshot", str(screenshot), "a file in an existing directory")


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
            "no screen to open a window on (DISPLAY is not set); "
            "a picture can be made without one: --screenshot FILE.png"
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


def _window(theme: str, panels: Sequence[str], *, with_channels: bool, picture: bool) -> LiveWindow:
    """A window; a picture looks the same whatever was remembered, and is complete when it is drawn."""
    from PySide6 import QtCore

    from labctl.live.theme import THEMES
    from labctl.live.window.live_window import LiveWindow

    settings = None
    if not picture:
        formats, scopes = QtCore.QSettings.Format, QtCore.QSettings.Scope
        settings = QtCore.QSettings(formats.IniFormat, scopes.UserScope, "labctl", "live")
    window = LiveWindow(
        THEMES.get(theme), with_channels=with_channels, settings=settings, threaded=not picture
    )
    if panels:
        window.docks.show_only(panels)
    return window


def _run(qt: QtWidgets.QApplication, controller: LiveController, size: tuple[int, int]) -> int:
    from labctl.live.window.tools import WindowTools

    gc.set_threshold(*GC_THRESHOLD)
    WindowTools(controller)
    if size != _SIZE or not controller.window.restore_place():
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
    from labctl.live.window.picture import save_picture

    try:
        save_picture(controller.window, Path(path), size, controller.show_now)
    finally:
        _dispose(controller)
    return 0


def _dispose(controller: LiveController) -> None:
    from PySide6 import QtCore

    window = controller.window
    window.close()
    window.deleteLater()
    QtCore.QCoreApplication.sendPostedEvents(None, QtCore.QEvent.Type.DeferredDelete)
