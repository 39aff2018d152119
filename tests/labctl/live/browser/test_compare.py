"""Runs laid over one another under pytest-qt: what is drawn is what the journals hold, coloured by cell."""

from __future__ import annotations

import csv
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PySide6 import QtCore

from labctl.errors import ConfigurationError
from labctl.live.browser.compare import CompareView
from labctl.live.browser.overlays import CycleChoice
from labctl.live.model.decimation import telling_rows
from labctl.live.plots.export import Panel
from labctl.live.theme import DARK
from labctl.runs.listing import list_runs
from labctl.runs.summary import RunSummary
from tests.helpers import until

MASS_KG = 8.4e-6
COMPOSITE = {
    "composite": {"mass_mg": 12.0},
    "active_material": {"mass_fraction": 0.7, "specific_capacity_mah_per_g": 200.0},
}
COATED = {"id": "lic-ncm-1", "coating": {"material": "Li3InCl6", "mass_percent": 3.0}, **COMPOSITE}
BARE = {"id": "bare-ncm-1", "coating": None, **COMPOSITE}


@pytest.fixture
def compare(qtbot: Any, tmp_path: Path, write_run: Any) -> Iterator[Callable[..., CompareView]]:
    """Writes runs and opens a comparison of them, all read."""
    views: list[CompareView] = []

    def opened(*runs: Any, size: tuple[int, int] = (1280, 720)) -> CompareView:
        for run in runs:
            write_run(tmp_path, run.documents())
        view = CompareView(tmp_path, DARK)
        views.append(view)
        qtbot.addWidget(view)
        view.resize(*size)
        view.show()
        view.show_runs(in_order(tmp_path, runs))
        until(qtbot, lambda: len(view.overlays) == len(runs))
        return view

    yield opened
    for view in views:
        view.close_reading()
        view.close()


def in_order(data: Path, runs: Any) -> list[RunSummary]:
    listed = {run.uid: run for run in list_runs(data)}
    return [listed[run.uid] for run in runs]


def drawn(view: CompareView, uid: str) -> tuple[np.ndarray, np.ndarray]:
    """The run's line."""
    view.refresh()
    view.refresh()  # the first may have moved the view
    return view.shown._items[uid][0].getData()


def capacity_ah(step: Any) -> np.ndarray:
    """Charge since the beginning of a step, by trapezoids."""
    between = np.diff(step.time) * (step.current[1:] + step.current[:-1]) / 2 / 3600
    return np.abs(np.concatenate([[0.0], np.cumsum(between)]))


def test_voltage_over_time_is_that_of_the_journals(compare: Any, make_gitt: Any) -> None:
    first, second = make_gitt(1, cell=COATED), make_gitt(2, cell=BARE)
    view = compare(first, second)
    view.way.setCurrentText("voltage over time")
    for run in (first, second):
        x, y = drawn(view, run.uid)
        np.testing.assert_array_equal(x, run.time)
        np.testing.assert_array_equal(y, run.voltage)
    left, right = view.shown.plot.x_range
    assert left < first.time[0] < second.time[-1] < right


def test_voltage_over_capacity_counts_the_charge_per_gram_of_active_material(
    compare: Any, make_gitt: Any
) -> None:
    run = make_gitt(1, cell=COATED)
    view = compare(run)
    x, y = drawn(view, run.uid)
    pulse = run.steps[0]
    np.testing.assert_allclose(x[:-1], capacity_ah(pulse) / MASS_KG, rtol=1e-9)
    np.testing.assert_array_equal(y[:-1], pulse.voltage)
    assert np.isnan(x[-1])
    assert view.shown.plot.bottom.labelText == "Capacity (mAh/g of active material)"
    view.basis.setCurrentText("mAh")
    x, y = drawn(view, run.uid)
    np.testing.assert_allclose(x[:-1], capacity_ah(pulse) * 1e3, rtol=1e-9)
    assert view.shown.plot.bottom.labelText == "Capacity (mAh)"


def test_long_half_cycles_are_drawn_with_true_rows_and_their_extremes(
    compare: Any, make_rate_test: Any
) -> None:
    run = make_rate_test(cell=COATED)
    view = compare(run)
    view.cycles.setText("1")
    x, y = drawn(view, run.uid)
    charge, rest, discharge = run.steps[:3]
    assert rest.step_type == "rest"
    assert len(discharge.time) > 2000
    parts = np.split(np.arange(len(x)), np.flatnonzero(np.isnan(x)) + 1)[:2]
    for part, step in zip(parts, (charge, discharge), strict=True):
        volts, capacities = y[part][:-1], x[part][:-1]
        rows = np.array([int(np.abs(step.voltage - volt).argmin()) for volt in volts])
        np.testing.assert_array_equal(step.voltage[rows], volts)
        np.testing.assert_allclose(capacities, capacity_ah(step)[rows] / MASS_KG, rtol=1e-6)
        assert len(rows) <= 1100
        assert capacities[-1] == pytest.approx(capacity_ah(step)[-1] / MASS_KG)


def test_cycles_are_chosen_as_they_are_typed(compare: Any, make_rate_test: Any, qtbot: Any) -> None:
    run = make_rate_test(cell=COATED)
    view = compare(run)
    everything = int(np.isnan(drawn(view, run.uid)[0]).sum())
    assert everything == 36
    qtbot.keyClicks(view.cycles, "1-2, last")
    assert int(np.isnan(drawn(view, run.uid)[0]).sum()) == 6
    qtbot.keyClicks(view.cycles, " x")
    assert "cycles are given as all" in view.note.text()
    view.cycles.setText("99")
    view.refresh()
    assert view.message.text() == "None of the runs has these cycles"
    assert view.message.isVisible()


def test_capacity_per_cycle_is_that_of_the_steps(compare: Any, make_rate_test: Any) -> None:
    run = make_rate_test(cell=COATED)
    view = compare(run)
    view.way.setCurrentText("capacity per cycle")
    x, y = drawn(view, run.uid)
    steps = [step for step in run.steps if step.step_type == "cc_discharge"]
    np.testing.assert_array_equal(x, [step.cycle for step in steps])
    np.testing.assert_allclose(y, [-step.charge_ah / MASS_KG for step in steps])
    _, hollow, filled = view.shown._items[run.uid]
    charges = [step.charge_ah / MASS_KG for step in run.steps if step.step_type == "cc_charge"]
    np.testing.assert_allclose(hollow.getData()[1], charges)
    np.testing.assert_array_equal(filled.getData()[1], y)


def test_runs_of_one_cell_share_a_colour_and_differ_in_their_line(compare: Any, make_gitt: Any) -> None:
    runs = [make_gitt(1, cell=cell) for cell in (COATED, BARE, COATED, BARE, COATED)]
    view = compare(*runs)
    pens = []
    for run in runs:
        drawn(view, run.uid)
        pen = view.shown._items[run.uid][0].opts["pen"]
        pens.append((pen.color().name(), pen.style()))
    assert len(set(pens)) == 5
    assert {pens[n][0] for n in (0, 2, 4)} == {pens[0][0]}
    assert {pens[n][0] for n in (1, 3)} == {pens[1][0]} != {pens[0][0]}
    texts = [view.legend.item(n).text() for n in range(5)]
    assert texts[0].startswith("lic-ncm-1 · Li3InCl6\ngitt · ")
    assert texts[1].startswith("bare-ncm-1 · bare\ngitt · ")


def test_a_cell_without_its_mass_is_named_and_can_be_compared_in_mah(compare: Any, make_gitt: Any) -> None:
    unknown = make_gitt(1, cell={"id": "found-in-a-drawer", "coating": None})
    view = compare(unknown, make_gitt(1, cell=COATED))
    view.refresh()
    assert "no mAh/g for found-in-a-drawer" in view.note.text()
    assert np.isnan(drawn(view, unknown.uid)[0]).all()
    view.basis.setCurrentText("mAh")
    assert np.isfinite(drawn(view, unknown.uid)[0][:-1]).all()


def test_zoom_stays_while_further_runs_are_read_only_until_the_comparison_changes(
    compare: Any, make_gitt: Any
) -> None:
    run = make_gitt(1, cell=COATED)
    view = compare(run)
    view.way.setCurrentText("voltage over time")
    drawn(view, run.uid)
    plot = view.shown.plot
    plot.automatic = [False, False]
    plot.view.setRange(xRange=(100, 200), yRange=(3.0, 3.1), padding=0)
    view.refresh()
    assert plot.x_range == (100, 200)
    view.fit()
    drawn(view, run.uid)
    assert plot.x_range[1] > run.time[-1]


def test_an_unticked_run_disappears_and_is_forgotten(compare: Any, make_gitt: Any, tmp_path: Path) -> None:
    first, second = make_gitt(1, cell=COATED), make_gitt(1, cell=BARE)
    view = compare(first, second)
    drawn(view, second.uid)
    view.show_runs(in_order(tmp_path, [first]))
    drawn(view, first.uid)
    assert list(view.shown._items) == [first.uid]
    assert view.legend.count() == 1
    assert list(view._overlays) == [first.uid]


def test_reading_a_long_run_does_not_hold_up_the_window(
    compare: Any, make_rate_test: Any, make_gitt: Any, tmp_path: Path, write_run: Any, qtbot: Any
) -> None:
    view = compare(make_gitt(1, cell=COATED))
    long = make_rate_test(cell=BARE)
    write_run(tmp_path, long.documents())
    beats: list[float] = []
    heart = QtCore.QTimer(interval=5)
    heart.timeout.connect(lambda: beats.append(time.monotonic()))
    heart.start()
    view.show_runs(in_order(tmp_path, [long]))
    assert view.overlays == []
    assert view.message.text() or view.note.text().startswith("reading 1 of 1")
    until(qtbot, lambda: len(view.overlays) == 1)
    heart.stop()
    assert len(beats) > 5  # it was alive all the time; reading takes some 100 ms


def test_a_run_that_cannot_be_read_is_told_and_the_others_are_drawn(
    compare: Any, make_gitt: Any, tmp_path: Path, qtbot: Any
) -> None:
    good, gone = make_gitt(1, cell=COATED), make_gitt(1, cell=BARE)
    view = compare(good, gone)
    listed = in_order(tmp_path, [good, gone])
    view.show_runs([])
    for file in listed[1].directory.iterdir():
        file.unlink()
    listed[1].directory.rmdir()
    view.show_runs(listed)
    until(qtbot, lambda: f"{gone.uid[:8]} cannot be read" in view.note.text())
    assert [overlay.run.uid for overlay in view.overlays] == [good.uid]


def test_the_pointer_reads_a_curve_in_the_units_of_the_axes(compare: Any, make_gitt: Any, qtbot: Any) -> None:
    run = make_gitt(1, cell=COATED)
    view = compare(run)
    x, y = drawn(view, run.uid)
    row = len(x) // 2
    plot = view.shown.plot
    place = view.shown.graphics.mapFromScene(plot.view.mapViewToScene(QtCore.QPointF(x[row], y[row])))
    viewport = view.shown.graphics.viewport()
    qtbot.mouseMove(viewport, place + QtCore.QPoint(3, 3))
    qtbot.wait(50)  # pyqtgraph takes at most 100 moves a second
    qtbot.mouseMove(viewport, place)
    until(qtbot, lambda: " V" in view.readout.text())
    number, unit = view.readout.text().split("     ")[0].split(" ", 1)
    assert unit == "mAh/g of active material"
    assert float(number) == pytest.approx(x[row], rel=0.05)


def test_what_is_in_view_is_exported_with_its_run_and_mass(
    compare: Any, make_gitt: Any, make_rate_test: Any, tmp_path: Path
) -> None:
    first, second = make_gitt(1, cell=COATED), make_rate_test(cell=BARE)
    second.steps = second.steps[:12]
    view = compare(first, second)
    assert isinstance(view, Panel)
    view.way.setCurrentText("capacity per cycle")
    drawn(view, second.uid)
    view.menu.export("csv", tmp_path / "cycles.csv")
    with (tmp_path / "cycles.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == [
        "run_uid",
        "cell_id",
        "cycle_count",
        "charging_capacity_ah",
        "discharging_capacity_ah",
        "active_mass_kg",
    ]
    assert {row["run_uid"] for row in rows} == {second.uid}  # the other marks no cycles
    steps = [step for step in second.steps if step.step_type == "cc_discharge"]
    found = [float(row["discharging_capacity_ah"]) for row in rows]
    np.testing.assert_allclose(found, [-step.charge_ah for step in steps])
    assert float(rows[0]["active_mass_kg"]) == pytest.approx(MASS_KG)
    assert f"written: {tmp_path / 'cycles.csv'}" in view.note.text()


@pytest.mark.parametrize(
    ("text", "taken"),
    [
        ("", [0, 1, 2, 9]),
        ("all", [0, 1, 2, 9]),
        ("2", [2]),
        ("1-2", [1, 2]),
        ("first, last", [1, 9]),
        (" 0 , 9", [0, 9]),
    ],
)
def test_cycles_in_words(text: str, taken: list[int]) -> None:
    choice = CycleChoice.parse(text)
    assert [cycle for cycle in (0, 1, 2, 9) if choice.takes(cycle, 9)] == taken


@pytest.mark.parametrize("text", ["x", "1-", "1,,2", "-3", "1 to 2"])
def test_cycles_that_make_no_sense_are_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="cycles"):
        CycleChoice.parse(text)


def test_telling_rows_are_ends_and_extremes() -> None:
    values = np.sin(np.arange(10_000) / 50)
    values[1234], values[777] = 5.0, np.nan
    kept = telling_rows(values, 50)
    assert len(kept) <= 200
    assert {0, 1234, 9999} <= set(kept.tolist())
    assert np.all(np.diff(kept) > 0)
    np.testing.assert_array_equal(telling_rows(values[:200], 50), np.arange(200))
