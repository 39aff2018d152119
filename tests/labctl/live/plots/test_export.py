"""Export of what is in view, and copying of a value, under pytest-qt: files hold what the journal holds."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from PySide6 import QtCore, QtGui, QtWidgets

from labctl.documents import tables
from labctl.errors import LabctlError
from labctl.journal.reader import follow
from labctl.live.plots.export import ExportCaption, write_csv, write_png, write_svg
from labctl.live.theme import DARK, LIGHT
from labctl.live.window.controller import FollowController
from labctl.live.window.live_window import LiveWindow
from labctl.live.window.tools import WindowTools
from tests.helpers import until

KEY = QtCore.Qt.Key
CONTROL = QtCore.Qt.KeyboardModifier.ControlModifier
WHO = ExportCaption("gitt · lic-ncm-1 · run 1234abcd", "lic-ncm-1__gitt")


@pytest.fixture
def open_on(qtbot: Any) -> Iterator[Callable[..., WindowTools]]:
    """Opens windows with their tools on data directories, as `labctl live` does, once all is drawn."""
    controllers: list[FollowController] = []

    def opened(data: Path, rows: int) -> WindowTools:
        window = LiveWindow(DARK)
        qtbot.addWidget(window)
        controllers.append(FollowController(window, data, None))
        tools = WindowTools(controllers[-1])
        window.resize(1280, 720)
        window.show()
        controllers[-1].begin()
        until(qtbot, lambda: len(controllers[-1].model.timeseries) == rows)
        for _ in range(3):
            controllers[-1].show_now()
            QtWidgets.QApplication.processEvents()
        return tools

    yield opened
    for controller in controllers:
        controller.window.close()


def rows_of(path: Path) -> dict[str, np.ndarray]:
    with path.open() as file:
        rows = list(csv.DictReader(file))
    return {name: np.array([float(row[name] or "nan") for row in rows]) for name in rows[0]}


def voltage(tools: WindowTools) -> Any:
    return tools.window.panels["voltage"]


def test_the_data_in_view_are_those_of_the_journal_in_full(
    tmp_path: Path, make_gitt: Any, write_run: Any, open_on: Any, qtbot: Any
) -> None:
    run = make_gitt(2)
    run.steps[1].voltage[5] = np.nan
    directory = write_run(tmp_path, run.documents())
    tools = open_on(tmp_path, len(run.time))
    tools.window.time_range.set_by_hand(300.0, 5000.0)
    tools._controller.show_now()
    tools.menus["voltage"].export("csv", tmp_path / "view.csv")
    found = rows_of(tmp_path / "view.csv")
    stored = tables(follow(directory, live=False)).stream("timeseries")
    seen = (stored["test_time_second"] >= 300.0) & (stored["test_time_second"] <= 5000.0)
    assert 100 < seen.sum() < len(run.time)
    for name in ("test_time_second", "voltage_volt", "current_ampere"):
        np.testing.assert_array_equal(found[name], stored[name][seen])
    assert np.isnan(found["voltage_volt"]).sum() == 1
    assert tools.window.readout.text() == f"written: {tmp_path / 'view.csv'}"


def test_the_menu_asks_for_a_file_and_writes_it(
    tmp_path: Path, make_gitt: Any, write_run: Any, open_on: Any, qtbot: Any
) -> None:
    run = make_gitt(1)
    write_run(tmp_path, run.documents())
    tools = open_on(tmp_path, len(run.time))
    tools.export_menu.aboutToShow.emit()
    offered = [action.text() for action in tools.export_menu.actions()]
    assert "Voltage and current" in offered
    assert "Nyquist" not in offered  # not in view
    action = next(a for a in tools.menus["voltage"].actions() if "CSV" in a.text())
    action.trigger()
    dialogue = voltage(tools).findChild(QtWidgets.QFileDialog)
    assert dialogue is not None
    edit = dialogue.findChild(QtWidgets.QLineEdit)
    assert edit.text().startswith("lic-ncm-1__gitt__20270115_")
    assert edit.text().endswith("__voltage.csv")
    edit.setText(str(tmp_path / "chosen"))
    qtbot.keyClick(edit, KEY.Key_Return)
    until(qtbot, lambda: (tmp_path / "chosen.csv").exists())
    np.testing.assert_array_equal(rows_of(tmp_path / "chosen.csv")["voltage_volt"], run.voltage)


def test_vector_graphics_keep_their_texts_and_lines(
    tmp_path: Path, make_gitt: Any, write_run: Any, open_on: Any
) -> None:
    run = make_gitt(1)
    write_run(tmp_path, run.documents())
    tools = open_on(tmp_path, len(run.time))
    tools.menus["voltage"].export("svg", tmp_path / "view.svg")
    tree = ElementTree.parse(tmp_path / "view.svg")
    tags = [element.tag.rpartition("}")[2] for element in tree.iter()]
    texts = " ".join("".join(element.itertext()) for element in tree.iter() if element.tag.endswith("}text"))
    assert "image" not in tags
    assert "Voltage (V)" in texts
    assert "(µA)" in texts
    assert "Elapsed time" in texts
    assert f"gitt · lic-ncm-1, Li3InCl6 3 wt% · run {run.uid[:8]} · Voltage and current" in texts
    lines = [element for element in tree.iter() if element.tag.endswith("}polyline")]
    paths = [element for element in tree.iter() if element.tag.endswith("}path")]
    points = sum(len(line.get("points", "").split()) for line in lines)
    assert points + sum(path.get("d", "").count("L") for path in paths) > len(run.time) / 2


@pytest.mark.parametrize("theme", [DARK, LIGHT])
def test_a_picture_has_twice_the_pixels_the_curves_and_the_identity(
    tmp_path: Path, make_gitt: Any, write_run: Any, open_on: Any, theme: Any
) -> None:
    run = make_gitt(1)
    write_run(tmp_path, run.documents())
    tools = open_on(tmp_path, len(run.time))
    tools.window.apply_theme(theme)
    tools._controller.show_now()
    tools.menus["voltage"].export("png", tmp_path / "view.png")
    image = QtGui.QImage(str(tmp_path / "view.png")).convertToFormat(QtGui.QImage.Format.Format_RGB32)
    view = voltage(tools).graphics.viewport()
    assert image.width() == 2 * view.width()
    assert image.height() > 2 * view.height()
    data = np.frombuffer(image.constBits(), dtype=np.uint32).reshape(image.height(), -1) & 0xFFFFFF
    caption = data[: image.height() - 2 * view.height()]
    assert len(np.unique(caption)) > 5
    assert (data == int(theme.plot[1:], 16)).mean() > 0.5
    wanted = int(theme.voltage[1:], 16)
    away = [np.abs((data >> n & 255).astype(int) - (wanted >> n & 255)) for n in (16, 8, 0)]
    assert (np.max(away, axis=0) < 24).sum() > 500


def test_the_window_looks_the_same_after_an_export(
    tmp_path: Path, make_gitt: Any, write_run: Any, open_on: Any
) -> None:
    run = make_gitt(1)
    write_run(tmp_path, run.documents())
    panel = voltage(open_on(tmp_path, len(run.time)))
    axes = [item.getAxis(side) for item in panel.plot_items() for side in ("left", "bottom")]
    before, look = [axis.cacheMode() for axis in axes], panel.grab().toImage()
    write_svg(panel, tmp_path / "view.svg", WHO)
    write_png(panel, tmp_path / "view.png", WHO)
    assert [axis.cacheMode() for axis in axes] == before
    assert panel.grab().toImage() == look


def test_every_panel_in_view_can_be_exported_or_says_why_not(
    tmp_path: Path, make_rate_test: Any, write_run: Any, open_on: Any
) -> None:
    run = make_rate_test()
    run.steps = run.steps[:8]  # two cycles
    write_run(tmp_path, run.documents())
    tools = open_on(tmp_path, len(run.time))
    for name, menu in tools.menus.items():
        for kind in ("png", "svg", "csv"):
            path = tmp_path / f"{name}.{kind}"
            menu.export(kind, path)
            told = tools.window.readout.text()
            assert path.exists() == (told == f"written: {path}")
            if not path.exists():
                assert told in (
                    "not exported: there are no data in view",
                    f"not exported: {menu.panel.title} has no picture",
                )
    assert {"voltage.csv", "voltage.svg", "cycles.csv", "capacity.png"} <= {
        p.name for p in tmp_path.iterdir()
    }


def test_nothing_in_view_or_nowhere_to_write_is_told(
    tmp_path: Path, make_gitt: Any, write_run: Any, open_on: Any
) -> None:
    with pytest.raises(LabctlError, match="no data in view"):
        write_csv({}, tmp_path / "x.csv")
    run = make_gitt(1)
    write_run(tmp_path, run.documents())
    tools = open_on(tmp_path, len(run.time))
    (tmp_path / "a file").write_text("")
    for kind in ("csv", "png", "svg"):
        tools.menus["voltage"].export(kind, tmp_path / "a file" / f"view.{kind}")
        assert tools.window.readout.text().startswith("not exported: ")


def test_control_c_copies_the_sample_at_the_pointer_with_full_numbers(
    tmp_path: Path, make_gitt: Any, write_run: Any, open_on: Any, qtbot: Any
) -> None:
    run = make_gitt(1)
    write_run(tmp_path, run.documents())
    tools = open_on(tmp_path, len(run.time))
    point_at(qtbot, tools, 400.0)
    qtbot.keyClick(tools.window, KEY.Key_C, CONTROL)
    names, numbers = (line.split("\t") for line in QtWidgets.QApplication.clipboard().text().splitlines())
    assert names == ["test_time_second", "voltage_volt", "current_ampere"]
    row = int(np.flatnonzero(run.time == float(numbers[0]))[0])
    assert abs(run.time[row] - 400.0) < 60
    assert [float(number) for number in numbers[1:]] == [run.voltage[row], run.current[row]]
    assert tools.window.readout.text().startswith("copied: ")


def test_without_a_value_nothing_is_copied(
    tmp_path: Path, make_gitt: Any, write_run: Any, open_on: Any, qtbot: Any
) -> None:
    run = make_gitt(1)
    write_run(tmp_path, run.documents())
    tools = open_on(tmp_path, len(run.time))
    QtWidgets.QApplication.clipboard().setText("what was there")
    qtbot.keyClick(tools.window, KEY.Key_C, CONTROL)
    assert QtWidgets.QApplication.clipboard().text() == "what was there"
    assert tools.window.readout.text() == "there is no value at the pointer"


def test_a_right_click_on_a_plot_offers_its_export(
    tmp_path: Path, make_gitt: Any, write_run: Any, open_on: Any, qtbot: Any
) -> None:
    run = make_gitt(1)
    write_run(tmp_path, run.documents())
    tools = open_on(tmp_path, len(run.time))
    menu = tools.menus["voltage"]
    panel = voltage(tools)
    centre = panel.graphics.mapFromScene(panel.voltage.view.sceneBoundingRect().center())
    qtbot.mouseClick(panel.graphics.viewport(), QtCore.Qt.MouseButton.RightButton, pos=centre)
    until(qtbot, menu.isVisible)
    assert any("SVG" in action.text() for action in menu.actions())
    menu.close()


def point_at(qtbot: Any, tools: WindowTools, second: float) -> None:
    """Move the pointer over the voltage to a time."""
    panel = voltage(tools)
    low, high = panel.voltage.view.viewRange()[1]
    place = panel.voltage.view.mapViewToScene(QtCore.QPointF(second, (low + high) / 2))
    point = panel.graphics.mapFromScene(place)
    qtbot.mouseMove(panel.graphics.viewport(), point + QtCore.QPoint(3, 0))
    qtbot.wait(50)  # pyqtgraph takes at most 100 moves a second
    qtbot.mouseMove(panel.graphics.viewport(), point)
    until(qtbot, lambda: " V" in tools.window.readout.text())
