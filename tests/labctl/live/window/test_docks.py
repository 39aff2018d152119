"""How panels are laid out: by what a run is about, as a person left them, and nothing for those unseen."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PySide6 import QtCore, QtGui, QtWidgets

from labctl.live.model.run_kind import Kind, contents_of
from labctl.live.plots.export import Panel
from labctl.live.theme import DARK, LIGHT
from labctl.live.window.controller import ReplayController
from labctl.live.window.docks import LAYOUTS
from labctl.live.window.live_window import LiveWindow
from tests.labctl.live.made_runs import MadeRun, cycling

IMPEDANCE, REST, CURRENT = {"kind": "impedance"}, {"kind": "open_circuit"}, {"kind": "constant_current"}
GAPLESS = {"kind": "gapless", "techniques": [CURRENT, REST]}
MARK = {"kind": "mark"}


@pytest.fixture
def open_window(qtbot: Any, tmp_path: Path) -> Iterator[Callable[..., LiveWindow]]:
    """Windows that remember in one file, as windows of one person do."""
    windows = []

    def opened(theme: Any = DARK) -> LiveWindow:
        settings = QtCore.QSettings(str(tmp_path / "live.ini"), QtCore.QSettings.Format.IniFormat)
        windows.append(LiveWindow(theme, with_channels=False, settings=settings))
        qtbot.addWidget(windows[-1])
        windows[-1].resize(1280, 720)
        windows[-1].show()
        return windows[-1]

    yield opened
    for window in windows:
        window.close()


def in_view(window: LiveWindow) -> list[str]:
    QtWidgets.QApplication.processEvents()
    return sorted(panel.name for panel in window.docks.in_view())


@pytest.mark.parametrize(
    ("plan", "items", "kind"),
    [
        ("gitt", [REST, GAPLESS], "gitt"),
        ("my_titration", [REST, {"kind": "loop", "repeat": 9, "body": [GAPLESS]}], "gitt"),
        ("impedance_spectrum", [REST, IMPEDANCE], "impedance"),
        ("mine", [REST, IMPEDANCE], "impedance"),
        (
            "mine",
            [{"kind": "loop", "repeat": 50, "body": [MARK, CURRENT, REST, CURRENT, IMPEDANCE]}],
            "cycling",
        ),
        ("ocv", [REST], "general"),
        ("charge_once", [MARK, CURRENT], "general"),
        ("anything", [], "general"),
    ],
)
def test_the_protocol_decides_the_first_layout(plan: str, items: Any, kind: Kind) -> None:
    assert contents_of(MadeRun(plan, items).documents[0][1]).kind == kind


@pytest.mark.parametrize("kind", list(LAYOUTS))
def test_the_front_panels_of_a_layout_are_in_view_and_the_others_are_behind_tabs(
    open_window: Any, kind: Kind
) -> None:
    window = open_window()
    window.arrange(kind)
    fronts = sorted(cell[0] for row in LAYOUTS[kind] for cell in row)
    everything = {name for row in LAYOUTS[kind] for cell in row for name in cell}
    assert in_view(window) == fronts
    shown = {name for name, dock in window.docks.docks.items() if not dock.isHidden()}
    assert shown == everything


def test_each_panel_is_what_tools_expect_of_a_panel(open_window: Any) -> None:
    window = open_window()
    assert all(isinstance(panel, Panel) for panel in window.panels.values())
    assert all(name == panel.name for name, panel in window.panels.items())
    assert len({panel.title for panel in window.panels.values()}) == len(window.panels)
    assert window.panels["bode"].plot_items()[0].getAxis("left").quantity == "|Z|"
    assert window.panels["voltage"].plot_items()[0].getAxis("bottom").is_time
    assert all(panel.visible_data() == {} for panel in window.panels.values())


def test_a_layout_is_remembered_for_runs_of_its_kind_and_can_be_reset(open_window: Any) -> None:
    window = open_window()
    window.arrange("gitt")
    window.docks.docks["gitt"].close()
    next(action for action in window.docks.toggles() if action.text() == "dQ/dV").trigger()
    left = in_view(window)
    assert "gitt" not in left
    assert "dqdv" in left
    window.arrange("impedance")
    assert "nyquist" in in_view(window)
    window.close()
    again = open_window()
    again.arrange("gitt")
    assert in_view(again) == left
    again.docks.reset()
    assert in_view(again) == ["gitt", "voltage"]
    again.close()
    third = open_window()
    third.arrange("gitt")
    assert in_view(third) == ["gitt", "voltage"]


def test_size_and_theme_are_remembered(open_window: Any) -> None:
    window = open_window()
    window.choose_theme("light")
    window.resize(760, 600)
    window.close()
    again = open_window(None)
    assert again.restore_place()
    assert (again.width(), again.height()) == (760, 600)
    assert again.theme is LIGHT


def test_the_theme_of_the_desktop_is_followed_until_another_is_chosen(open_window: Any, qapp: Any) -> None:
    window, hints = open_window(None), QtGui.QGuiApplication.styleHints()
    try:
        for scheme, theme in ((QtCore.Qt.ColorScheme.Light, LIGHT), (QtCore.Qt.ColorScheme.Dark, DARK)):
            hints.setColorScheme(scheme)
            if hints.colorScheme() != scheme:
                pytest.skip("the platform has no colour scheme of its own")
            assert window.theme is theme
        window.choose_theme("dark")
        hints.setColorScheme(QtCore.Qt.ColorScheme.Light)
        assert window.theme is DARK
    finally:
        hints.unsetColorScheme()


def test_a_tab_that_is_clicked_comes_to_the_front_and_is_up_to_date(open_window: Any, qtbot: Any) -> None:
    window = open_window()
    controller = ReplayController(window, "", None)
    controller.feed_all(cycling(3).stop())
    controller.show_now()
    bar = next(b for b in window.docks.findChildren(QtWidgets.QTabBar) if b.tabText(0) == "Cycles")
    assert [bar.tabText(n) for n in range(bar.count())] == ["Cycles", "Nyquist", "Bode"]
    place = bar.tabRect(1).center()
    qtbot.mouseClick(bar, QtCore.Qt.MouseButton.LeftButton, pos=place)
    controller.show_now()
    assert "nyquist" in in_view(window)
    assert window.panels["nyquist"].message.text() == "This run measures no impedance"


def test_panels_nobody_sees_draw_nothing(open_window: Any) -> None:
    window = open_window()
    controller = ReplayController(window, "", None)
    controller.feed_all(cycling(3).stop())
    controller.show_now()
    QtWidgets.QApplication.processEvents()
    controller.show_now()
    hidden = [panel for panel in window.panels.values() if panel.name not in in_view(window)]
    assert len(hidden) > 4
    for panel in hidden:
        for item in panel.plot_items():
            assert all(
                np.size(curve.getData()[0]) == 0 for curve in item.curves if curve.getData()[0] is not None
            )
    window.docks.docks["dqdv"].raise_()
    QtWidgets.QApplication.processEvents()
    controller.show_now()
    assert np.size(window.panels["dqdv"].bundles[0].newest.getData()[0]) > 0


def test_a_panel_in_a_window_of_its_own_says_whose_it_is(open_window: Any) -> None:
    window = open_window()
    controller = ReplayController(window, "", None)
    controller.feed_all(MadeRun("ocv", [REST]).documents)
    controller.show_now()
    dock = window.docks.docks["voltage"]
    dock.setFloating(True)
    assert dock.windowTitle() == "Voltage and current · ocv · lic-ncm-1, Li3InCl6 3 wt%"
    assert "voltage" in in_view(window)
    dock.setFloating(False)
    assert dock.windowTitle() == "Voltage and current"


def test_follow_brings_every_panel_back_to_its_data(open_window: Any, qtbot: Any) -> None:
    window = open_window()
    controller = ReplayController(window, "", None)
    controller.feed_all(cycling(3).stop())
    controller.show_now()
    QtWidgets.QApplication.processEvents()
    panel = window.panels["capacity"]
    panel.voltage.view.setRange(xRange=(10, 20), yRange=(3.0, 3.1), padding=0)
    panel.voltage.view.moved.emit(-1)
    controller.show_now()
    assert panel.voltage.x_range == (10, 20)
    qtbot.keyClick(window, QtCore.Qt.Key.Key_Home)
    controller.show_now()
    assert panel.voltage.x_range[1] > 100
