"""Capacity, dQ/dV and cycles under pytest-qt: what is drawn is what the journal holds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from labctl.analysis.cycling.cycles import analyze_cycles
from labctl.documents import tables
from labctl.live.panels.capacity import ABSOLUTE, IN_SEQUENCE
from tests.labctl.live.made_runs import MASS_KG, MadeRun, cycling

MILLI = 1e3


def curve_of(item: Any) -> tuple[np.ndarray, np.ndarray]:
    return item.getData()


def shaded(panel: Any, bundle: int = 0) -> int:
    """Points of all curves but those of the newest cycle."""
    return int(sum(np.isfinite(item.getData()[0]).sum() for item in panel.bundles[bundle].items.values()))


def of_step(run: MadeRun, number: int) -> dict[str, np.ndarray]:
    series = tables(run.documents).stream("timeseries")
    return {name: column[series["step_count"] == number] for name, column in series.items()}


def test_the_newest_cycle_is_drawn_over_the_capacity_of_its_samples(panel_of: Any) -> None:
    run = cycling(3)
    panel = panel_of("capacity", run.stop())
    x, y = curve_of(panel.bundles[0].newest)
    parts = []
    for step in (5, 6):  # charge and discharge of the third cycle
        rows = of_step(run, step)
        passed = np.abs(rows["current_ampere"]) * (rows["test_time_second"] - rows["test_time_second"][0])
        parts += [(passed / 3600 / MASS_KG, rows["voltage_volt"]), (np.array([np.nan]), np.array([np.nan]))]
    np.testing.assert_allclose(x, np.concatenate([part[0] for part in parts]), rtol=1e-9, atol=1e-9)
    np.testing.assert_array_equal(y, np.concatenate([part[1] for part in parts]))
    assert shaded(panel) == 4 * 60
    assert panel.axis.shown_unit == "mAh/g"
    np.testing.assert_array_equal(curve_of(panel.bundles[1].newest)[1][:60], np.full(60, 0.32e-3))


def test_capacity_can_be_shown_of_the_cell(panel_of: Any) -> None:
    panel = panel_of("capacity", cycling(2).stop())
    panel.unit.setCurrentText(ABSOLUTE)
    panel.feed([])
    assert panel.axis.shown_unit == "mAh"
    assert np.nanmax(curve_of(panel.bundles[0].newest)[0]) == pytest.approx(1.6 * 0.999)


def test_in_sequence_the_whole_run_is_one_line_over_the_net_charge(panel_of: Any) -> None:
    run = cycling(2)
    panel = panel_of("capacity", run.stop())
    panel.mode.setCurrentText(IN_SEQUENCE)
    panel.feed([])
    series = tables(run.documents).stream("timeseries")
    x, y = curve_of(panel.lines[0])
    np.testing.assert_array_equal(y, series["voltage_volt"])
    assert x.max() == pytest.approx(1.6e-3 / MASS_KG, rel=1e-6)
    assert abs(x[-1]) < 1e-6 / MASS_KG
    assert not panel.bundles[0].items or shaded(panel) == 0


def test_a_rest_takes_up_no_charge_whatever_the_instrument_reads(panel_of: Any) -> None:
    run = MadeRun("made", [{"kind": "constant_current"}])
    time = np.arange(0.0, 3601.0, 20.0)
    run.step("cc_charge", time, np.linspace(3, 3.5, len(time)), 1e-3)
    run.step("rest", 3602 + time, np.full(len(time), 3.4), 5e-6)
    run.step("cc_charge", 7204 + time, np.linspace(3.4, 3.6, len(time)), 1e-3)
    panel = panel_of("capacity", run.stop())
    x, _ = curve_of(panel.bundles[0].newest)
    assert np.nanmax(x) == pytest.approx(2e-3 / MASS_KG)
    assert np.isfinite(x).sum() == 2 * len(time)
    assert panel.model.net_charge_ah == pytest.approx(2e-3)


def test_dqdv_counts_all_charge_and_its_sign_tells_the_direction(panel_of: Any) -> None:
    run = cycling(1, rows=400)
    panel = panel_of("dqdv", run.stop())
    table = panel.visible_data()
    for direction in (1, -1):
        rows = table["direction"] == direction
        charge = table["differential_capacity_ah_per_volt"][rows].sum() * panel.step_volt
        assert charge == pytest.approx(1.6e-3, rel=1e-6)
    x, y = curve_of(panel.bundles[0].newest)
    assert (np.nanmax(y), np.nanmin(y)) > (0, -1e9)
    assert np.nanmin(y) < 0 < np.nanmax(y)
    assert 2.3 < np.nanmin(x) < np.nanmax(x) < 3.7
    assert panel.axis.shown_unit == "mAh/(g V)"


def test_wider_intervals_mean_fewer_points(panel_of: Any) -> None:
    panel = panel_of("dqdv", cycling(1, rows=400).stop())
    fine = len(curve_of(panel.bundles[0].newest)[0])
    panel.step.setCurrentText("ΔV = 20 mV")
    panel.feed([])
    assert len(curve_of(panel.bundles[0].newest)[0]) < fine / 3


def test_each_cycle_has_its_marks_as_the_analysis_says(panel_of: Any) -> None:
    run = cycling(6)
    panel = panel_of("cycles", run.stop())
    wanted = analyze_cycles(tables(run.documents)).cycles
    for item, values in (
        (panel.charge, [c.charge_capacity_mah_per_g for c in wanted]),
        (panel.discharge, [c.discharge_capacity_mah_per_g for c in wanted]),
        (panel.others[0], [100 * c.coulombic_efficiency for c in wanted]),
        (panel.others[1], [100 * c.retention for c in wanted]),
        (panel.others[2], [c.polarization_volt for c in wanted]),
    ):
        x, y = item.complete.getData()
        np.testing.assert_array_equal(x, np.arange(1, 7))
        np.testing.assert_allclose(y, values, rtol=1e-9)
    assert panel.capacity_axis.shown_unit == "mAh/g"
    assert "8.4 mg" in panel.note.toolTip()


def test_a_running_cycle_is_an_open_mark_and_has_no_efficiency_yet(panel_of: Any) -> None:
    run = cycling(2)
    panel = panel_of("cycles", run.documents[:-2])  # the last discharge is not there
    assert [len(item.getData()[0]) for item in (panel.charge.complete, panel.charge.running)] == [1, 1]
    assert len(panel.others[0].complete.getData()[0]) == 1
    assert len(panel.others[0].running.getData()[0]) == 0
    last = run.documents[-2:]
    panel.feed([*last, *run.stop()[-1:]])
    assert len(panel.others[0].complete.getData()[0]) == 2
    assert len(panel.charge.running.getData()[0]) == 0


def test_two_thousand_cycles_are_shown_whole_and_overlaid_in_part(panel_of: Any) -> None:
    run = cycling(2000, rows=12, fade=0.9998)
    panel = panel_of("cycles", run.stop())
    assert len(panel.discharge.complete.getData()[0]) == 2000
    y = panel.others[1].complete.getData()[1]
    assert y[-1] == pytest.approx(100 * 0.9998**1999, rel=1e-6)
    overlaid = panel_of("capacity", run.documents)
    assert overlaid.note.text() == "24 of 2\u202f000 cycles drawn, evenly over the run"
    assert overlaid.bar.item.vb.viewRange()[1] == [1, 2000]
    assert shaded(overlaid) == 23 * 2 * 12


def test_a_long_half_cycle_is_thinned_to_true_rows_with_its_extremes(panel_of: Any) -> None:
    run = MadeRun("made", [{"kind": "constant_current"}])
    time = np.arange(0.0, 36_000.0, 1.0)
    volt = np.linspace(3.0, 3.6, len(time)) + np.random.default_rng(0).normal(0, 1e-3, len(time))
    volt[20_000] = 3.9
    run.step("cc_charge", time, volt, 1e-4)
    panel = panel_of("capacity", run.stop())
    x, y = curve_of(panel.bundles[0].newest)
    known = np.isfinite(x)
    assert known.sum() < 1200
    rows = np.round(x[known] * MASS_KG * 3600 / 1e-4).astype(int)
    np.testing.assert_array_equal(y[known], volt[rows])
    assert np.nanmax(y) == 3.9
    assert np.all(np.diff(x[known]) >= 0)


@pytest.mark.parametrize("name", ["capacity", "dqdv", "cycles"])
def test_a_panel_without_charge_says_why(panel_of: Any, name: str) -> None:
    rest, charge = [{"kind": "open_circuit"}], [{"kind": "rated_current"}]
    text = panel_of(name, MadeRun("ocv", rest).documents).message.text()
    assert text == "This run neither charges nor discharges the cell"
    assert (
        panel_of(name, MadeRun("rate_test", charge).documents).message.text() == "No charge or discharge yet"
    )
    ended = panel_of(name, MadeRun("rate_test", charge).stop("abort"))
    assert ended.message.text() == "The run holds no charge or discharge"


def test_tables_of_what_is_drawn_have_columns_of_one_length(panel_of: Any) -> None:
    run = cycling(3)
    for name, rows in (("capacity", 6 * 60), ("cycles", 3), ("dqdv", None)):
        table = panel_of(name, run.documents).visible_data()
        lengths = {len(column) for column in table.values()}
        assert lengths == {rows} if rows else len(lengths) == 1
        assert "cycle_count" in table
