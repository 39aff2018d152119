"""The crosshair under pytest-qt: what it says is a true row of the run, told with its unit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pyqtgraph as pg
import pytest
from PySide6 import QtCore, QtWidgets

from labctl.live.plots.axes import LogAxis, TimeAxis, ValueAxis
from labctl.live.plots.crosshair import axis_value
from labctl.live.plots.readings import column_value
from labctl.live.theme import DARK
from labctl.live.window.controller import ReplayController
from labctl.live.window.live_window import LiveWindow

FREQUENCY = np.logspace(5, 0, 26)
IMPEDANCE = 20 + 60 / (1 + 2j * np.pi * FREQUENCY * 60 * 1e-5)
KINDS = {"number": "<f8", "integer": "<i8"}


@pytest.fixture
def shown(qtbot: Any) -> Iterator[Callable[..., Any]]:
    """Shows documents in a window; gives one of its panels, in view, and the window."""
    controllers: list[ReplayController] = []

    def opened(documents: Any, *names: str) -> list[Any]:
        window = LiveWindow(DARK, with_channels=False)
        qtbot.addWidget(window)
        window.docks.show_only(names)
        controller = ReplayController(window, "Replay", None)
        controllers.append(controller)
        window.resize(1280, 720)
        window.show()
        controller.feed_all(documents)
        settle(controller)
        return [controller, *(window.panels[name] for name in names)]

    yield opened
    for controller in controllers:
        controller.window.close()


def settle(controller: ReplayController) -> None:
    for _ in range(3):
        controller.show_now()
        QtWidgets.QApplication.processEvents()


def stream(uid: str, name: str, columns: dict[str, np.ndarray]) -> list[Any]:
    """The descriptor and one page of a stream."""
    kinds = {key: "integer" if column.dtype.kind == "i" else "number" for key, column in columns.items()}
    keys = {
        key: {"source": "test", "dtype": kind, "dtype_numpy": KINDS[kind], "shape": []}
        for key, kind in kinds.items()
    }
    count = len(next(iter(columns.values())))
    data = {key: column.tolist() for key, column in columns.items()}
    page = {
        "uid": [f"{name}-{n}" for n in range(count)],
        "descriptor": f"{uid}-{name}",
        "seq_num": list(range(1, count + 1)),
        "time": [1.8e9] * count,
        "data": data,
        "timestamps": {key: [1.8e9] * count for key in data},
        "filled": {},
    }
    descriptor = {"uid": f"{uid}-{name}", "run_start": uid, "time": 1.8e9, "name": name, "data_keys": keys}
    return [("descriptor", descriptor), ("event_page", page)]


def with_spectra(run: Any, count: int) -> list[Any]:
    """The run's documents and so many spectra, growing from one to the next."""
    points = len(FREQUENCY)
    z = np.concatenate([IMPEDANCE * (1 + 0.2 * number) for number in range(count)])
    number = np.repeat(np.arange(1, count + 1), points)
    columns = {
        "test_time_second": 600.0 * number + np.tile(np.arange(points) * 1.0, count),
        "frequency_hertz": np.tile(FREQUENCY, count),
        "real_impedance_ohm": z.real,
        "imaginary_impedance_ohm": z.imag,
        "spectrum_count": number,
        "step_count": number,
        "cycle_count": number,
    }
    documents = list(run.documents())
    return [*documents[:-1], *stream(run.uid, "impedance", columns), documents[-1]]


def with_environment(run: Any) -> list[Any]:
    time = np.arange(0, run.time[-1], 30.0)
    columns = {"test_time_second": time, "temperature_t1_celsius": 60 + np.sin(time / 900)}
    documents = list(run.documents())
    return [*documents[:-1], *stream(run.uid, "environment", columns), documents[-1]]


def point_at(qtbot: Any, controller: Any, panel: Any, plot: Any, x: float, y: float) -> None:
    place = panel.graphics.mapFromScene(plot.view.mapViewToScene(QtCore.QPointF(x, y)))
    viewport = panel.graphics.viewport()
    qtbot.mouseMove(viewport, place + QtCore.QPoint(3, 0))
    qtbot.wait(50)  # pyqtgraph takes at most 100 moves a second
    qtbot.mouseMove(viewport, place)
    controller.show_now()


def test_over_time_it_reads_the_nearest_true_sample_of_all_curves(shown: Any, gitt: Any, qtbot: Any) -> None:
    controller, panel = shown(gitt.documents(), "voltage")
    point_at(qtbot, controller, panel, panel.voltage, 8100.0, 3.13)
    reading = panel.crosshair.reading
    row = int(np.flatnonzero(gitt.time == reading.x)[0])
    assert abs(gitt.time[row] - 8100.0) < 200
    found = {value.name: value.number for value in reading.values}
    assert found == {
        "test_time_second": gitt.time[row],
        "voltage_volt": gitt.voltage[row],
        "current_ampere": gitt.current[row],
    }
    text = controller.window.readout.text()
    assert f"{gitt.voltage[row]:.4f} V" in text
    assert f"{gitt.current[row] * 1e6:.2f} µA" in text
    assert text.startswith("2 h ")
    lines = [item for plot in panel.plot_items() for item in plot.items if type(item) is pg.InfiniteLine]
    assert [line.value() for line in lines if line.angle == 90 and line.isVisible()] == [reading.x] * 2


def test_it_goes_when_the_pointer_leaves_and_comes_back(shown: Any, gitt: Any, qtbot: Any) -> None:
    controller, panel = shown(gitt.documents(), "voltage")
    point_at(qtbot, controller, panel, panel.voltage, 8100.0, 3.13)
    QtWidgets.QApplication.sendEvent(panel.graphics.viewport(), QtCore.QEvent(QtCore.QEvent.Type.Leave))
    controller.show_now()
    assert controller.window.readout.text() == ""
    assert panel.crosshair.reading is None
    assert panel.crosshair.last is not None
    point_at(qtbot, controller, panel, panel.current, 8100.0, 1e-5)
    assert " V" in controller.window.readout.text()


def test_its_line_stands_at_the_same_time_in_every_panel_over_time(
    shown: Any, make_gitt: Any, qtbot: Any
) -> None:
    controller, volt, environment = shown(with_environment(make_gitt(2)), "voltage", "environment")
    middle = float(np.mean(volt.voltage.view.viewRange()[1]))
    point_at(qtbot, controller, volt, volt.voltage, 5000.0, middle)
    settle(controller)
    instant = volt.crosshair.reading.x
    assert set(vertical(environment)) == {instant}
    assert environment.crosshair.reading is None
    volt.crosshair.leave()
    settle(controller)
    assert vertical(environment) == []
    plot = environment.plots[0]
    point_at(qtbot, controller, environment, plot, 3000.0, 60.0)
    settle(controller)
    assert abs(environment.crosshair.reading.x - 3000.0) < 100
    assert set(vertical(volt)) == {environment.crosshair.reading.x}
    assert " °C" in controller.window.readout.text()


def vertical(panel: Any) -> list[float]:
    """Where the vertical lines of a panel's visible plots stand."""
    items = [item for plot in panel.plot_items() if plot.isVisible() for item in plot.items]
    lines = [item for item in items if isinstance(item, pg.InfiniteLine)]
    return [line.value() for line in lines if line.angle == 90 and line.isVisible()]


@pytest.mark.parametrize("newest", [True, False])
def test_on_a_nyquist_plot_it_reads_frequency_impedance_time_and_cycle(
    shown: Any, make_gitt: Any, qtbot: Any, newest: bool
) -> None:
    controller, panel = shown(with_spectra(make_gitt(1), 3), "nyquist")
    z = IMPEDANCE * (1.4 if newest else 1.0)
    row = 15
    point_at(qtbot, controller, panel, panel.plot, z[row].real, -z[row].imag)
    found = {value.name: value.number for value in panel.crosshair.reading.values}
    assert found == {
        "frequency_hertz": FREQUENCY[row],
        "real_impedance_ohm": z[row].real,
        "imaginary_impedance_ohm": z[row].imag,
        "start_test_time_second": 1800.0 if newest else 600.0,
        "cycle_count": 3 if newest else 1,
    }
    text = controller.window.readout.text()
    assert text.split("     ")[0] == "100.0 Hz"
    assert f"Re Z {z[row].real:#.4g} Ω" in text
    assert f"Im Z −{-z[row].imag:#.4g} Ω" in text
    assert ("at 30 min 00 s" if newest else "at 10 min 00 s") in text


def test_on_a_bode_plot_it_reads_the_same_point(shown: Any, make_gitt: Any, qtbot: Any) -> None:
    controller, panel = shown(with_spectra(make_gitt(1), 1), "bode")
    row = 10
    phase = float(np.degrees(np.arctan2(-IMPEDANCE[row].imag, IMPEDANCE[row].real)))
    point_at(qtbot, controller, panel, panel.phase, float(np.log10(FREQUENCY[row])), phase)
    found = {value.name: value.number for value in panel.crosshair.reading.values}
    assert found["frequency_hertz"] == FREQUENCY[row]
    assert found["imaginary_impedance_ohm"] == IMPEDANCE[row].imag


def test_far_from_every_curve_there_is_no_value(shown: Any, make_gitt: Any, qtbot: Any) -> None:
    controller, panel = shown(with_spectra(make_gitt(1), 1), "nyquist")
    (left, right), (_, top) = panel.plot.view.viewRange()
    point_at(qtbot, controller, panel, panel.plot, left + 0.02 * (right - left), 0.98 * top)
    assert panel.crosshair.reading is None
    assert controller.window.readout.text() == ""


def test_every_panel_with_plots_reads_what_it_draws(shown: Any, make_rate_test: Any, qtbot: Any) -> None:
    run = make_rate_test()
    run.steps = run.steps[:20]  # five cycles
    controller, cycles, capacity = shown(run.documents(), "cycles", "capacity")
    for panel in (cycles, capacity):
        plot = panel.plots[0]
        drawn = [
            child.getData()
            for child in plot.item.items
            if isinstance(child, pg.PlotCurveItem | pg.ScatterPlotItem) and child.isVisible()
        ]
        x, y = next((x, y) for x, y in drawn if x is not None and len(x) > 3)
        row = len(x) // 2
        point_at(qtbot, controller, panel, plot, float(x[row]), float(y[row]))
        reading = panel.crosshair.reading
        assert reading is not None
        _, marked_x, marked_y = reading.marks[0]
        there = [(xs == marked_x) & (ys == marked_y) for xs, ys in drawn if xs is not None]
        assert any(found.any() for found in there)
        assert controller.window.readout.text() == reading.text
        assert all(value.name for value in reading.values)
        panel.crosshair.leave()
        controller.show_now()


@pytest.mark.parametrize(
    ("name", "number", "text"),
    [
        ("test_time_second", 8100.2, "2 h 15 min 00 s"),
        ("voltage_volt", 3.13421, "3.1342 V"),
        ("current_ampere", 84.004e-6, "84.00 µA"),
        ("temperature_t1_celsius", -5.0, "−5.00 °C"),
        ("surface_pressure_pa", 50e6, "50.00 MPa"),
        ("real_impedance_ohm", 1234.5, "Re Z 1.234 kΩ"),
        ("net_charge_ah", 1.5e-3, "1.500 mAh"),
        ("cycle_count", 12, "cycle 12"),
        ("voltage_volt", float("nan"), "– V"),
    ],
)
def test_columns_are_told_with_short_numbers_and_their_units(name: str, number: float, text: str) -> None:
    assert column_value(name, number).text == text


def test_places_on_axes_are_told_in_the_unit_of_the_axis(qapp: Any) -> None:
    charge = ValueAxis("Capacity", "mAh", side="bottom", factor=1e3)
    ampere = ValueAxis("Current", "A", prefixed=True)
    ampere.setRange(-1e-4, 1e-4)
    hertz = LogAxis("Frequency", "Hz", side="bottom")
    assert axis_value(charge, 1.25e-3).text == "1.2500 mAh"
    assert axis_value(ampere, 8.4e-5).text == "84.000 µA"
    assert axis_value(ampere, 8.4e-5).name == "Current / µA"
    assert axis_value(hertz, 3.0).text == "1.0000 kHz"
    assert axis_value(hertz, 3.0).number == pytest.approx(1000.0)
    assert axis_value(TimeAxis(labelled=True), 65.0).text == "1 min 05 s"
    assert axis_value(ValueAxis("Cycle", ""), 12.0).text == "Cycle 12"
