"""Temperature, stack pressure and alarms under pytest-qt."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PySide6 import QtCore

from tests.labctl.live.made_runs import MadeRun

REST = [{"kind": "open_circuit"}]
TIME = np.arange(0.0, 3600.0, 10.0)
CELSIUS = 25 + TIME / 360


def warming(**start: Any) -> MadeRun:
    run = MadeRun("made", REST, environment=True, **start)
    run.step("rest", TIME, np.full(len(TIME), 3.0), 0.0)
    run.page(
        "environment",
        test_time_second=TIME,
        temperature_t1_celsius=CELSIUS,
        temperature_setpoint_celsius=35.0,
        surface_pressure_pa=50e6 + 1e5 * np.sin(TIME),
        pressure_setpoint_pa=50e6,
    )
    return run


def test_curves_are_the_readings_and_setpoints_are_dashed(panel_of: Any) -> None:
    panel = panel_of("environment", warming().stop())
    measured, wanted = (panel.temperature.curves[f"temperature_{n}_celsius"] for n in ("t1", "setpoint"))
    np.testing.assert_array_equal(measured.getData()[0], TIME)
    np.testing.assert_array_equal(measured.getData()[1], CELSIUS)
    np.testing.assert_array_equal(wanted.getData()[1], np.full(len(TIME), 35.0))
    assert measured.opts["pen"].style() == QtCore.Qt.PenStyle.SolidLine
    assert wanted.opts["pen"].style() == QtCore.Qt.PenStyle.DashLine
    pressure = panel.pressure.curves["surface_pressure_pa"].getData()[1]
    np.testing.assert_array_equal(pressure, 50e6 + 1e5 * np.sin(TIME))
    assert panel.pressure.left.shown_unit == "MPa"


def test_only_what_has_readings_is_named(panel_of: Any) -> None:
    panel = panel_of("environment", warming().stop())
    assert "load cell" in panel.legend.text()
    assert "actuator" not in panel.legend.text()


def test_time_is_the_same_stretch_as_in_the_panel_of_voltage(panel_of: Any) -> None:
    panel = panel_of("environment", warming().stop())
    window = panel.controller.window
    window.time_range.following = False
    window.time_range.set_by_hand(600.0, 1200.0)
    panel.feed([])
    window.docks.show_only(["voltage"])
    panel.feed([])
    for plot in (panel.temperature, panel.pressure, window.plots.voltage, window.plots.current):
        assert plot.x_range == (600.0, 1200.0)


@pytest.mark.parametrize(
    ("documents", "text"),
    [
        (MadeRun("made", REST).documents, "This run records neither temperature nor pressure"),
        (MadeRun("made", REST, environment=True).documents, "No temperature or pressure yet"),
        (MadeRun("made", REST, environment=True).stop(), "The run holds no temperature or pressure"),
    ],
)
def test_without_readings_the_panel_says_why(panel_of: Any, documents: Any, text: str) -> None:
    assert panel_of("environment", documents).message.text() == text


def test_a_sensor_that_breaks_leaves_a_hole(panel_of: Any) -> None:
    run = warming()
    run.page("environment", test_time_second=TIME + 3600, pressure_setpoint_pa=50e6)
    panel = panel_of("environment", run.stop())
    x, y = panel.temperature.curves["temperature_t1_celsius"].getData()
    assert np.isnan(y[x > 3600]).all()
    assert np.isfinite(panel.pressure.curves["pressure_setpoint_pa"].getData()[1]).all()


def test_alarms_are_listed_newest_first_with_their_numbers(panel_of: Any) -> None:
    run = warming()
    run.alarm(100.0, "gap", "went on")
    run.alarm(200.0, "trip")
    panel = panel_of("alarms", run.documents)
    shown = [
        [panel.alarms.index(row, column).data() for column in range(panel.alarms.columnCount())]
        for row in range(2)
    ]
    assert [row[1] for row in shown] == ["trip", "gap"]
    assert shown[0][0] == "3 min 20 s"
    assert shown[0][3:6] == ["4.4", "4.3", "circuit opened"]
    assert panel.message.isHidden() or not panel.message.isVisible()
    table = panel.visible_data()
    assert table["kind"].tolist() == ["gap", "trip"]
    run.alarm(300.0, "acknowledged", "")
    panel.feed(run.documents[-1:])
    assert panel.alarms.rowCount() == 3


def test_without_alarms_the_list_says_so(panel_of: Any) -> None:
    panel = panel_of("alarms", warming().stop())
    assert panel.message.text() == "No alarms in this run"
    assert panel.visible_data() == {}
