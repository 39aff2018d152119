"""The three ways in: live, replay, and a picture from a process without a screen."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PySide6 import QtCore, QtGui, QtWidgets

from labctl.errors import ConfigurationError, LabctlError
from labctl.live.app import has_screen, run_live, run_replay, save_screenshot
from labctl.live.theme import DARK, LIGHT
from labctl.live.window.live_window import LiveWindow


def picture(path: Path) -> np.ndarray:
    """Pixels as 0xrrggbb, shape (height, width)."""
    image = QtGui.QImage(str(path)).convertToFormat(QtGui.QImage.Format.Format_RGB32)
    data = np.frombuffer(image.constBits(), dtype=np.uint32).reshape(image.height(), -1)
    return data[:, : image.width()] & 0xFFFFFF


def count(pixels: np.ndarray, colour: str) -> int:
    return int((pixels == int(colour[1:], 16)).sum())


def close_when(ready: Callable[[LiveWindow], bool]) -> None:
    """Close the window that opens as soon as it is ready, at the latest after 20 s."""
    end = time.monotonic() + 20

    def look() -> None:
        shown = [
            w for w in QtWidgets.QApplication.topLevelWidgets() if isinstance(w, LiveWindow) and w.isVisible()
        ]
        if shown and (ready(shown[0]) or time.monotonic() > end):
            shown[0].close()
        else:
            QtCore.QTimer.singleShot(20, look)

    QtCore.QTimer.singleShot(0, look)


def drawn_until(window: LiveWindow) -> float:
    """Newest time in the voltage curve, s; 0 while it is empty."""
    times = window.plots.voltage.curves["voltage_volt"].getData()[0]
    return float(times.max()) if times is not None and len(times) else 0.0


@pytest.mark.parametrize(("size", "theme"), [((1280, 720), DARK), ((3840, 2160), LIGHT)])
def test_a_picture_of_the_newest_run_has_its_size_and_its_curves(
    qapp: Any, tmp_path: Path, make_gitt: Any, write_run: Any, size: tuple[int, int], theme: Any
) -> None:
    write_run(tmp_path, make_gitt(4, began=1e9).documents())
    write_run(tmp_path, make_gitt(10, began=2e9).documents())
    assert run_live(tmp_path, screenshot=tmp_path / "f.png", size=size, theme=theme.name) == 0
    pixels = picture(tmp_path / "f.png")
    assert pixels.shape == (size[1], size[0])
    assert count(pixels, theme.voltage) > size[0] / 2
    assert count(pixels, theme.current) > size[0] / 2


def test_a_picture_of_a_run_that_was_asked_for_shows_that_run(
    qapp: Any, tmp_path: Path, make_gitt: Any, write_run: Any
) -> None:
    old, new = make_gitt(4, began=1e9), make_gitt(9, began=2e9)
    write_run(tmp_path / "alone", old.documents())
    directory = write_run(tmp_path / "both", old.documents())
    write_run(tmp_path / "both", new.documents())
    look: dict[str, Any] = {"panels": ["voltage"], "theme": "dark"}
    run_live(tmp_path / "alone", screenshot=tmp_path / "alone.png", **look)
    run_live(tmp_path / "both", run_directory=directory, screenshot=tmp_path / "old.png", **look)
    run_live(tmp_path / "both", screenshot=tmp_path / "new.png", **look)
    alone, asked, newest = (picture(tmp_path / f"{name}.png")[150:] for name in ("alone", "old", "new"))
    np.testing.assert_array_equal(asked, alone)
    assert (newest != alone).sum() > 1000


def test_where_there_is_nothing_to_show_the_picture_says_so(qapp: Any, tmp_path: Path) -> None:
    assert run_live(tmp_path, screenshot=tmp_path / "f.png") == 0
    pixels = picture(tmp_path / "f.png")
    middle = pixels[220:420, 400:1200]
    assert count(middle, DARK.plot) > 0.9 * middle.size
    assert len(np.unique(middle)) > 5  # and the message upon it


def test_the_window_opens_on_a_running_directory_and_closes_with_0(
    qapp: Any, tmp_path: Path, make_gitt: Any, write_run: Any
) -> None:
    run, seen = make_gitt(2), []
    write_run(tmp_path, run.documents())
    close_when(lambda window: seen.append(drawn_until(window)) or seen[-1] == run.time[-1])
    assert run_live(tmp_path) == 0
    assert seen[-1] == run.time[-1]


def test_a_replay_runs_to_its_end_as_fast_as_it_can(qapp: Any, make_gitt: Any) -> None:
    run, seen = make_gitt(2), []
    close_when(lambda window: seen.append(drawn_until(window)) or seen[-1] == run.time[-1])
    assert run_replay(run.documents, speed=None, title="Replay of abcd") == 0
    assert seen[-1] == run.time[-1]


def test_a_replay_at_a_speed_shows_part_of_the_run_at_first(qapp: Any, gitt: Any) -> None:
    began, seen = time.monotonic(), []
    close_when(lambda window: seen.append(drawn_until(window)) or seen[-1] > 5000)
    assert run_replay(gitt.documents, speed=10_000, title="Replay of abcd") == 0
    assert 5000 < seen[-1] < 10_000 * (time.monotonic() - began) + 1000
    assert seen[-1] < gitt.time[-1]


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"size": (10, 10)}, "size"),
        ({"theme": "pink"}, "theme"),
        ({"screenshot": Path("/nowhere/at/all/f.png")}, "screenshot"),
        ({"screenshot": Path("/tmp/f.jpg")}, "screenshot.*png or .svg"),
        ({"panels": ("nyquist", "nothing")}, "panel.*nothing.*nyquist"),
    ],
)
def test_wrong_options_are_named_before_anything_opens(tmp_path: Path, options: Any, field: str) -> None:
    with pytest.raises(ConfigurationError, match=field):
        run_live(tmp_path, **options)


@pytest.mark.parametrize("speed", [0.0, -1.0, float("inf"), float("nan")])
def test_a_replay_refuses_an_impossible_speed(speed: float) -> None:
    with pytest.raises(ConfigurationError, match="speed"):
        run_replay(lambda: iter([]), speed=speed, title="x")


def test_a_picture_that_cannot_be_written_is_an_error(qapp: Any, tmp_path: Path, gitt: Any) -> None:
    taken = tmp_path / "taken.png"
    taken.mkdir()
    with pytest.raises(LabctlError, match="cannot be written"):
        save_screenshot(gitt.documents(), taken)


def test_a_process_without_a_screen_makes_a_picture_and_ends_clean(
    tmp_path: Path, make_gitt: Any, write_run: Any
) -> None:
    directory = write_run(tmp_path, make_gitt(2).documents())
    script = f"""
import pathlib, os
from labctl.journal.writer import follow
from labctl.live.app import run_live, save_screenshot
for number in range(2):
    documents = follow(pathlib.Path({str(directory)!r}), live=False)
    save_screenshot(documents, pathlib.Path({str(tmp_path / "f.png")!r}), (1280, 720))
    run_live(pathlib.Path({str(tmp_path)!r}), screenshot=pathlib.Path({str(tmp_path / "g.png")!r}))
assert "QT_QPA_PLATFORM" not in os.environ
"""
    hidden = ("QT_QPA_PLATFORM", "DISPLAY", "WAYLAND_DISPLAY")
    environment = {key: value for key, value in os.environ.items() if key not in hidden}
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        env=environment,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert count(picture(tmp_path / "f.png"), DARK.voltage) > 500
    assert count(picture(tmp_path / "g.png"), DARK.voltage) > 500


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="these always have a screen")
def test_without_a_screen_a_window_is_refused_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("QT_QPA_PLATFORM", "DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    assert not has_screen()
    script = f"""
import pathlib
from labctl.errors import LabctlError
from labctl.live.app import run_live
try:
    run_live(pathlib.Path({str(tmp_path)!r}))
except LabctlError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.startswith("no screen to open a window on")
