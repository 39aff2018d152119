"""Pictures from the command: one panel or several, PNG or SVG, and what is refused before anything starts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PySide6 import QtGui, QtSvg

from labctl.commands.window import open_live, open_replay
from labctl.errors import ConfigurationError
from labctl.live.app import PANELS
from labctl.live.theme import DARK, LIGHT
from labctl.live.window.live_window import LiveWindow
from tests.labctl.live.made_runs import MadeRun, cycling, impedance_of

LOOK: dict[str, Any] = {"screenshot": None, "size": "1280x720", "theme": "dark"}


def pixels_of(path: Path) -> np.ndarray:
    image = QtGui.QImage(str(path)).convertToFormat(QtGui.QImage.Format.Format_RGB32)
    data = np.frombuffer(image.constBits(), dtype=np.uint32).reshape(image.height(), -1)
    return data[:, : image.width()] & 0xFFFFFF


def count(pixels: np.ndarray, colour: str) -> int:
    return int((pixels == int(colour[1:], 16)).sum())


def test_every_panel_can_be_asked_for_by_name(qtbot: Any) -> None:
    window = LiveWindow(DARK, with_channels=False)
    qtbot.addWidget(window)
    assert tuple(window.panels) == PANELS


def test_a_picture_of_one_panel_shows_it_alone_with_the_cell_above(
    qapp: Any, tmp_path: Path, write_run: Any
) -> None:
    run = MadeRun("eis", [{"kind": "impedance"}])
    frequency = np.geomspace(1e5, 0.1, 30)
    run.spectrum(1, 10.0, frequency, impedance_of(frequency))
    write_run(tmp_path, run.stop())
    path = tmp_path / "nyquist.png"
    assert open_live(None, tmp_path, **{**LOOK, "screenshot": path}, panel="nyquist") == 0
    pixels = pixels_of(path)
    assert pixels.shape == (720, 1280)
    assert count(pixels[200:], DARK.shade(0.5)) > 300  # the only spectrum, drawn thick
    assert count(pixels[:100, :600], DARK.text) > 100  # plan and cell
    assert count(pixels, DARK.current) == 0


def test_an_svg_holds_lines_and_texts_of_its_own(qapp: Any, tmp_path: Path, write_run: Any) -> None:
    write_run(tmp_path, cycling(2).stop())
    path = tmp_path / "cycles.svg"
    look = {"screenshot": path, "size": "1000x600", "theme": "light"}
    assert open_live("last", tmp_path, **look, panel="capacity, cycles") == 0
    text = path.read_text()
    assert "Capacity (mAh/g)" in text
    assert "cycle_life" in text
    assert text.count("<polyline") + text.count("<path") > 20
    renderer = QtSvg.QSvgRenderer(str(path))
    assert renderer.viewBox().getRect() == (0, 0, 1000, 600)
    image = QtGui.QImage(1000, 600, QtGui.QImage.Format.Format_RGB32)
    painter = QtGui.QPainter(image)
    renderer.render(painter)
    painter.end()
    image.save(str(tmp_path / "back.png"))
    assert count(pixels_of(tmp_path / "back.png"), LIGHT.plot) > 200_000


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"screenshot": Path("/tmp/f.jpg")}, "screenshot.*f.jpg.*.png or .svg"),
        ({"screenshot": Path("/tmp/f")}, "screenshot.*.png or .svg"),
        ({"screenshot": Path("/nowhere/f.png")}, "screenshot.*existing directory"),
        ({"size": "1280"}, "size.*1280.*WIDTHxHEIGHT"),
        ({"size": "100x100"}, "size.*100x100.*320 to 16384"),
        ({"size": "99999x720"}, "size.*320 to 16384"),
        ({"theme": "pink"}, "theme.*pink.*system, dark, light"),
        ({"panel": "nyquist,foo"}, "panel.*foo.*voltage, capacity"),
        ({"panel": ""}, "panel.*voltage"),
    ],
)
def test_what_cannot_be_drawn_is_refused_before_anything_starts(
    tmp_path: Path, options: dict[str, Any], told: str
) -> None:
    nowhere = tmp_path / "no data here"
    with pytest.raises(ConfigurationError, match=f"labctl live.*{told}"):
        open_live("no such run", nowhere, **{**LOOK, **options})
    with pytest.raises(ConfigurationError, match=f"labctl replay.*{told}"):
        open_replay("no such run", nowhere, speed="max", source="auto", **{**LOOK, **options})


@pytest.mark.parametrize(
    ("options", "told"),
    [({"speed": "-1"}, "speed"), ({"speed": "fast"}, "speed"), ({"source": "moon"}, "source")],
)
def test_a_replay_refuses_what_it_cannot_do(tmp_path: Path, options: dict[str, str], told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        open_replay("last", tmp_path, **{"speed": "max", "source": "auto", **LOOK, **options})
