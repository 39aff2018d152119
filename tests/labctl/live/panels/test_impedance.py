"""Nyquist, Bode and Kramers-Kronig under pytest-qt: what is drawn is what the journal holds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from labctl.analysis.impedance.kramers_kronig import linear_kk
from labctl.live.plots.curves import MOST_CURVES
from labctl.live.plots.export import Panel
from tests.labctl.live.made_runs import MadeRun, impedance_of

FREQUENCY = np.geomspace(2e5, 0.02, 43)
IMPEDANCE = [{"kind": "impedance"}]
REST = [{"kind": "open_circuit"}]


def ohm(number: int) -> float:
    """Charge transfer of the n-th spectrum."""
    return 60.0 + 5.0 * number


def spectra(count: int, *, environment: bool = False) -> MadeRun:
    """Spectra an hour apart; the cell takes up 0.1 mAh before each, and warms by 1 K."""
    run = MadeRun("impedance_spectrum", IMPEDANCE, environment=environment)
    for number in range(1, count + 1):
        begin = 3600.0 * number
        time = np.array([begin - 1800.0, begin - 1000.0, begin - 900.0])
        run.step("cc_charge", time, np.array([3.0, 3.1, 3.2]), 0.4e-3)
        if environment:
            run.page(
                "environment",
                test_time_second=[begin],
                temperature_t1_celsius=24.0 + number,
                surface_pressure_pa=50e6 + number * 1e6,
            )
        run.spectrum(number, begin, FREQUENCY, impedance_of(FREQUENCY, ohm(number)))
    return run


def newest(panel: Any, bundle: int = 0) -> tuple[np.ndarray, np.ndarray]:
    return panel.bundles[bundle].newest.getData()


def drawn_points(panel: Any, bundle: int = 0) -> int:
    """Points of all curves but the newest."""
    counts = [np.isfinite(item.getData()[0]).sum() for item in panel.bundles[bundle].items.values()]
    return int(sum(counts))


def test_the_newest_spectrum_is_drawn_upwards_point_by_point(panel_of: Any) -> None:
    panel = panel_of("nyquist", spectra(3).stop())
    x, y = newest(panel)
    wanted = impedance_of(FREQUENCY, ohm(3))
    np.testing.assert_array_equal(x, wanted.real)
    np.testing.assert_array_equal(y, -wanted.imag)
    assert drawn_points(panel) == 2 * len(FREQUENCY)
    assert panel.plot.left.quantity.startswith("−Im")


def test_both_axes_of_a_nyquist_plot_have_one_scale_and_one_prefix(panel_of: Any) -> None:
    panel = panel_of("nyquist", spectra(2).stop())
    (left, right), (low, high) = panel.plot.view.viewRange()
    width, height = panel.plot.view.width(), panel.plot.view.height()
    assert (right - left) / width == pytest.approx((high - low) / height, rel=1e-3)
    assert panel.plot.left.prefix == panel.plot.bottom.prefix
    x, y = newest(panel)
    assert left < x.min() < x.max() < right
    assert low < y.min() < y.max() < high


def test_modulus_and_phase_are_those_of_the_impedance(panel_of: Any) -> None:
    panel = panel_of("bode", spectra(1).stop())
    wanted = impedance_of(FREQUENCY, ohm(1))
    (x, modulus), (_, phase) = newest(panel, 0), newest(panel, 1)
    np.testing.assert_allclose(10**x, FREQUENCY)
    np.testing.assert_allclose(10**modulus, np.abs(wanted))
    np.testing.assert_allclose(phase, -np.degrees(np.angle(wanted)))


def test_a_spectrum_in_progress_grows(panel_of: Any) -> None:
    run = spectra(1)
    panel = panel_of("nyquist", run.documents)
    run.documents.clear()
    run.spectrum(2, 9000.0, FREQUENCY[:10], impedance_of(FREQUENCY, 70)[:10])
    panel.feed(run.documents)
    assert len(newest(panel)[0]) == 10
    run.documents.clear()
    run.steps_written -= 1  # the same step goes on
    run.spectrum(2, 9010.0, FREQUENCY[10:], impedance_of(FREQUENCY, 70)[10:])
    panel.feed(run.documents)
    np.testing.assert_array_equal(newest(panel)[0], impedance_of(FREQUENCY, 70).real)


@pytest.mark.parametrize(
    ("colour_by", "unit", "limits"),
    [
        ("time", "h", (1.0, 4.0)),
        ("state of charge", "mAh/g", (0.1 / 8.4e-3, 0.4 / 8.4e-3)),
        ("temperature", "°C", (25.0, 28.0)),
        ("pressure", "MPa", (51.0, 54.0)),
    ],
)
def test_colours_tell_the_condition_of_each_spectrum(
    panel_of: Any, colour_by: str, unit: str, limits: tuple[float, float]
) -> None:
    panel = panel_of("nyquist", spectra(4, environment=True).stop())
    panel.colour_by.setCurrentText(colour_by)
    panel.feed([])
    assert panel.bar.axis.unit == unit
    assert panel.bar.item.vb.viewRange()[1] == pytest.approx(limits, rel=1e-3)
    assert panel.bar.item.isVisible()


def test_a_condition_that_is_not_recorded_is_said_so(panel_of: Any) -> None:
    panel = panel_of("nyquist", spectra(2).stop())
    panel.colour_by.setCurrentText("temperature")
    panel.feed([])
    assert not panel.bar.item.isVisible()
    assert panel.note.text() == "temperature is not recorded"
    assert drawn_points(panel) == len(FREQUENCY)


def test_the_choice_of_colours_holds_for_all_panels_of_impedance(panel_of: Any) -> None:
    panel = panel_of("nyquist", spectra(2, environment=True).stop())
    panel.colour_by.setCurrentText("pressure")
    panel.show_box.setCurrentText("newest")
    bode = panel.controller.window.panels["bode"]
    assert (bode.colour_by.currentText(), bode.show_box.currentText()) == ("pressure", "newest")


def test_of_five_thousand_spectra_some_are_drawn_and_it_is_said(panel_of: Any) -> None:
    run = MadeRun("impedance_spectrum", IMPEDANCE)
    frequency = np.geomspace(1e4, 1, 9)
    for number in range(1, 5001):
        run.spectrum(number, 100.0 * number, frequency, impedance_of(frequency, 60 + number * 0.01))
    panel = panel_of("nyquist", run.stop())
    assert len(panel.model.spectra.all) == 5000
    assert drawn_points(panel) == (MOST_CURVES - 1) * len(frequency)
    assert panel.note.text() == "60 of 5\u202f000 spectra drawn, evenly over the run"
    np.testing.assert_array_equal(newest(panel)[0], impedance_of(frequency, 110.0).real)
    panel.show_box.setCurrentText("last 10")
    panel.feed([])
    assert drawn_points(panel) == 9 * len(frequency)
    assert panel.note.text() == ""


def test_residuals_are_those_of_the_analysis(panel_of: Any) -> None:
    panel = panel_of("kramers-kronig", spectra(2).stop())
    wanted = linear_kk(FREQUENCY, impedance_of(FREQUENCY, ohm(2)))
    for bundle, residual in enumerate((wanted.residual_real, wanted.residual_imaginary)):
        x, y = newest(panel, bundle)
        np.testing.assert_allclose(10**x, FREQUENCY)
        np.testing.assert_allclose(y, residual * 100)
    assert panel.note.text().startswith("Spectrum 2 passes")


def test_a_drifting_cell_is_told_by_the_running_test(panel_of: Any) -> None:
    run = spectra(1)
    drifting = impedance_of(FREQUENCY) * np.where(FREQUENCY < 1, 1.05, 1.0)
    run.spectrum(2, 9000.0, FREQUENCY, drifting)
    panel = panel_of("kramers-kronig", run.documents)
    assert panel.note.text().startswith("Spectrum 2 is not linear or not steady")
    assert panel.controller.model.spectra.all[-1].test.flags


def test_tests_run_beside_the_window_and_arrive(qtbot: Any) -> None:
    from labctl.live.theme import DARK
    from labctl.live.window.controller import ReplayController
    from labctl.live.window.live_window import LiveWindow

    window = LiveWindow(DARK, with_channels=False)
    qtbot.addWidget(window)
    window.docks.show_only(["kramers-kronig"])
    controller = ReplayController(window, "", None)
    window.show()
    controller.feed_all(spectra(1).stop())
    controller.begin()
    qtbot.waitUntil(
        lambda: np.size(newest(window.panels["kramers-kronig"])[0]) == len(FREQUENCY), timeout=20_000
    )
    window.close()


@pytest.mark.parametrize("name", ["nyquist", "bode", "kramers-kronig"])
def test_a_panel_without_impedance_says_why(panel_of: Any, name: str) -> None:
    assert panel_of(name, MadeRun("gitt", REST).documents).message.text() == "This run measures no impedance"
    assert panel_of(name, MadeRun("eis", IMPEDANCE).documents).message.text() == "No impedance yet"
    assert (
        panel_of(name, MadeRun("eis", IMPEDANCE).stop("abort")).message.text() == "The run holds no impedance"
    )


def test_missing_readings_leave_holes_and_a_spectrum_of_nothing_does_no_harm(panel_of: Any) -> None:
    run = MadeRun("eis", IMPEDANCE)
    holed = impedance_of(FREQUENCY)
    holed[5:8] = np.nan
    run.spectrum(1, 100.0, FREQUENCY, holed)
    run.spectrum(2, 200.0, FREQUENCY, np.full(len(FREQUENCY), np.nan + 0j))
    panel = panel_of("nyquist", run.documents)
    assert drawn_points(panel) == len(FREQUENCY) - 3
    tested = panel_of("kramers-kronig", run.documents)
    assert len(newest(tested)[0]) == len(FREQUENCY) - 3


def test_why_a_spectrum_has_no_test_is_told_and_the_others_have_theirs(panel_of: Any) -> None:
    run = MadeRun("eis", IMPEDANCE)
    run.spectrum(1, 100.0, FREQUENCY, impedance_of(FREQUENCY) * 1e-320)
    told = panel_of("kramers-kronig", run.documents).message.text()
    assert told.startswith("No Kramers-Kronig test of spectrum 1: Kramers-Kronig test: points")
    run.spectrum(2, 200.0, FREQUENCY, impedance_of(FREQUENCY))
    assert len(newest(panel_of("kramers-kronig", run.documents))[0]) == len(FREQUENCY)


def test_what_is_in_view_can_be_taken_out_as_a_table(panel_of: Any) -> None:
    panel = panel_of("bode", spectra(3).stop())
    table = panel.visible_data()
    assert isinstance(panel, Panel)
    rows = table["spectrum_count"] == 2
    np.testing.assert_array_equal(table["real_impedance_ohm"][rows], impedance_of(FREQUENCY, ohm(2)).real)
    assert {len(column) for column in table.values()} == {3 * len(FREQUENCY)}
