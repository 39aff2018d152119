"""What makes a picture legible: ticks where they are needed, no numbers without data, nothing left out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from labctl.live.plots.axes import LogAxis, ValueAxis
from tests.labctl.live.made_runs import MadeRun


@pytest.mark.parametrize(("low", "high"), [(52.0, 190.0), (110.0, 230.0), (1.1e-15, 2.3e-15), (3.0, 30.0)])
def test_within_about_a_decade_labelled_ticks_reach_over_the_whole_axis(
    qapp: Any, low: float, high: float
) -> None:
    size, left, right = 280.0, float(np.log10(low)), float(np.log10(high))
    ((_, ticks),) = LogAxis("|Z|", "Ω").tickValues(left, right, size)
    pixel = (np.array(ticks) - left) / (right - left) * size
    assert len(ticks) >= 4
    assert np.diff(pixel).min() > 16  # the height of a label
    assert np.diff(np.concatenate(([0.0], pixel, [size]))).max() < 0.4 * size


def test_a_low_axis_has_two_labels_where_one_would_not_tell_the_scale(qapp: Any) -> None:
    for low, high in ((-40.0, 900.0), (-3.5, 0.2), (0.0, 1.0), (2.41, 3.68), (-950.0, 950.0)):
        ((_, values), *_) = ValueAxis("Current", "µA").tickValues(low, high, 62)
        assert len(values) >= 2
        assert len(values) * 16 <= 62


def test_cycles_are_counted_in_whole_numbers(qapp: Any) -> None:
    axis = ValueAxis("Cycle", "", side="right")
    axis.whole = True
    for high in (2.0, 3.0, 18.0, 2000.0):
        ((_, values), *_) = axis.tickValues(1.0, high, 300)
        assert len(values) >= 2
        assert all(value == round(value) for value in values)


def test_a_sample_that_no_line_leads_to_is_a_dot(panel_of: Any) -> None:
    run = MadeRun()
    volt = np.array([3.1])
    run.page("timeseries", test_time_second=np.array([0.1]), voltage_volt=volt, current_ampere=2e-3)
    panel = panel_of("voltage", run.documents)
    assert [list(part) for part in panel.voltage.lonely["voltage_volt"].getData()] == [[0.1], [3.1]]
    run.documents.clear()
    time = np.arange(1.0, 7.0)
    volt = np.array([3.1, 3.2, np.nan, 3.3, np.nan, 3.4])
    run.page("timeseries", test_time_second=time, voltage_volt=volt, current_ampere=2e-3)
    panel.feed(run.documents)
    assert list(panel.voltage.lonely["voltage_volt"].getData()[1]) == [3.3, 3.4]
    assert list(panel.current.lonely["current_ampere"].getData()[0]) == []


def test_what_no_cycle_has_told_yet_says_so_instead_of_showing_numbers(panel_of: Any) -> None:
    run = MadeRun("rate_test", [{"kind": "mark"}, {"kind": "constant_current"}])
    time = np.arange(0.0, 100.0)
    run.page(
        "timeseries",
        test_time_second=time,
        voltage_volt=3 + time / 200,
        current_ampere=1e-3,
        step_count=1,
        cycle_count=1,
        step_type="cc_charge",
    )
    panel = panel_of("cycles", run.documents)
    assert panel.capacity.left.style["showValues"]
    assert not panel.efficiency.left.style["showValues"]
    run.documents.clear()
    run.steps_written = 1
    run.step("cc_discharge", 100 + time, 3.5 - time / 200, -1e-3, cycle=1)
    run.step("cc_charge", 200 + time, 3 + time / 200, 1e-3, cycle=2)
    panel.feed(run.documents)
    assert panel.efficiency.left.style["showValues"]


def test_four_panels_that_are_asked_for_make_two_rows(shared_window: Any, panel_of: Any) -> None:
    panel_of("voltage", MadeRun().documents)
    names = ("voltage", "gitt", "nyquist", "environment")
    shared_window.window.docks.show_only(names)
    shared_window.show_now()
    frames = [shared_window.window.docks.docks[name].geometry() for name in names]
    assert frames[0].top() == frames[1].top() < frames[2].top() == frames[3].top()
    assert frames[0].left() == frames[2].left() < frames[1].left() == frames[3].left()
    assert len(list(shared_window.window.docks.in_view())) == len(names)
