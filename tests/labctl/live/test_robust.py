"""Journals as they should not be, and long ones: read from real files, shown sensibly."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PySide6 import QtWidgets

from labctl.journal.writer import Journal
from labctl.live.theme import DARK
from labctl.live.window.controller import FollowController
from labctl.live.window.live_window import LiveWindow
from labctl.runs.recovery import recover
from tests.labctl.live.made_runs import MadeRun, cycling, impedance_of

CURRENT, IMPEDANCE, REST = ({"kind": kind} for kind in ("constant_current", "impedance", "open_circuit"))
TIME = np.arange(0.0, 600.0, 1.0)


@pytest.fixture
def open_journal(qtbot: Any, tmp_path: Path) -> Any:
    """Writes documents as a journal and opens a window on it, which reads it once."""
    windows: list[LiveWindow] = []

    def opened(documents: Any, before: Callable[[Path], None] = lambda data: None) -> FollowController:
        journal = Journal(tmp_path)
        for name, doc in documents:
            journal(name, doc)
        journal.close()
        before(tmp_path)
        from labctl.live.model.watch import look

        window = LiveWindow(DARK, threaded=False)
        qtbot.addWidget(window)
        windows.append(window)
        controller = FollowController(window, tmp_path, None, threads=False)
        controller.take(look(tmp_path, None))
        controller.take(look(tmp_path, Path(journal.run_directory or tmp_path)))
        window.resize(1280, 720)
        window.show()
        for _ in range(3):
            controller.show_now()
            QtWidgets.QApplication.processEvents()
        return controller

    yield opened
    for window in windows:
        window.close()


def voltage(controller: FollowController) -> tuple[np.ndarray, np.ndarray]:
    return controller.window.plots.voltage.curves["voltage_volt"].getData()


def test_missing_readings_are_holes_everywhere(open_journal: Any) -> None:
    run = MadeRun("charge", [CURRENT])
    volt = 3.0 + TIME / 1000
    volt[100:200] = math.nan
    run.step("cc_charge", TIME, volt, 1e-3)
    controller = open_journal(run.stop())
    x, y = voltage(controller)
    assert np.isnan(y[(x >= 100) & (x < 200)]).all()
    assert np.isfinite(y[(x < 100) | (x >= 200)]).all()
    assert controller.model.net_charge_ah == pytest.approx(1e-3 * 599 / 3600)
    assert controller.window.status.tiles[0]._number.text() == "3.5990"


def test_only_nan_is_no_error(open_journal: Any) -> None:
    run = MadeRun("charge", [CURRENT, IMPEDANCE])
    run.step("cc_charge", TIME, np.full(len(TIME), math.nan), math.nan)
    run.spectrum(1, 700.0, np.full(8, math.nan), np.full(8, math.nan + 0j))
    controller = open_journal(run.stop())
    assert controller.window.status.tiles[0]._number.text() == "–"
    for name in controller.window.panels:
        controller.window.docks.show_only([name])
        controller.show_now()
        QtWidgets.QApplication.processEvents()


def test_a_spectrum_between_samples_is_a_gap_and_no_slope(open_journal: Any) -> None:
    run = MadeRun("eis", [REST, IMPEDANCE])
    frequency = np.geomspace(1e4, 0.1, 10)
    run.step("rest", TIME, np.full(len(TIME), 3.0), 0.0)
    run.spectrum(1, 600.0, frequency, impedance_of(frequency))
    run.step("cc_charge", 1200 + TIME, np.full(len(TIME), 3.4), 1e-3)
    x, y = voltage(open_journal(run.stop()))
    hole = np.flatnonzero(np.isnan(y))
    assert len(hole) == 1
    assert (x[hole[0] - 1], x[hole[0] + 1]) == (599.0, 1200.0)


def test_a_wall_clock_that_steps_back_changes_no_curve(open_journal: Any) -> None:
    run = MadeRun("charge", [CURRENT])
    run.step("cc_charge", TIME, 3.0 + TIME / 1000, 1e-3)
    run.wall -= 7200  # somebody set the clock
    run.step("cc_charge", 600 + TIME, 3.6 + TIME / 1000, 1e-3)
    controller = open_journal(run.stop())
    x, _ = voltage(controller)
    np.testing.assert_array_equal(x, np.arange(1200.0))
    assert controller.window.status.age.text().startswith("ended ")


def test_test_time_that_goes_back_is_held(open_journal: Any) -> None:
    run = MadeRun("charge", [CURRENT])
    run.step("cc_charge", TIME, 3.0 + TIME / 1000, 1e-3)
    run.step("cc_charge", 300 + TIME, 3.6 + TIME / 1000, 1e-3)
    controller = open_journal(run.stop())
    assert np.all(np.diff(controller.model.timeseries.time) >= 0)
    assert controller.model.net_charge_ah >= 1e-3 * 599 / 3600


def test_a_run_whose_writer_has_died_says_so(open_journal: Any) -> None:
    run = MadeRun("charge", [CURRENT])
    run.step("cc_charge", TIME, 3.0 + TIME / 1000, 1e-3)
    assert "interrupted" in open_journal(run.documents).window.status.state.text()


def test_a_recovered_run_stays_interrupted_as_in_the_list_of_runs(open_journal: Any) -> None:
    run = MadeRun("charge", [CURRENT])
    run.step("cc_charge", TIME, 3.0 + TIME / 1000, 1e-3)
    controller = open_journal(run.documents, before=recover)
    assert "interrupted" in controller.window.status.state.text()
    assert "without a stop document" in controller.window.status.warning.text()


def test_a_torn_end_and_damage_are_told_and_the_rest_is_shown(open_journal: Any) -> None:
    run = MadeRun("charge", [CURRENT])
    for part in range(4):
        run.step("cc_charge", 600 * part + TIME, 3.0 + TIME / 1000, 1e-3)

    def damage(data: Path) -> None:
        journal = next(data.glob("runs/*/*/journal-0000.jsonl"))
        lines = journal.read_bytes().split(b"\n")
        lines[7] = lines[7][:50] + b"#" + lines[7][51:]
        journal.write_bytes(b"\n".join(lines)[:-200])

    controller = open_journal(run.documents, before=damage)
    assert "damaged stretch" in controller.window.status.warning.text()
    assert len(controller.model.timeseries) == 3 * len(TIME)


def test_a_trip_is_told_until_it_is_acknowledged(open_journal: Any) -> None:
    run = MadeRun("charge", [CURRENT])
    run.step("cc_charge", TIME, 3.0 + TIME / 1000, 1e-3)
    run.alarm(600.0, "trip")
    controller = open_journal(run.stop("fail", "over_voltage"))
    assert "tripped" in controller.window.status.state.text()
    assert "over_voltage" in controller.window.status.warning.text()
    assert "trip cycler: circuit opened" in controller.window.status.warning.text()


def test_a_run_without_a_protocol_and_with_foreign_steps_is_shown(open_journal: Any) -> None:
    run = MadeRun("from_elsewhere")
    run.documents[0][1]["cell"] = "pellet 3"
    run.step("cc_charge", TIME, 3.0 + TIME / 1000, 1e-3)
    for name, doc in run.documents:
        if name == "event_page" and doc["descriptor"].endswith("-steps"):
            doc["data"] = {key: doc["data"][key] for key in ("step_count", "step_type", "cycle_count")}
            doc["data"] |= {"start_test_time_second": [0.0], "end_test_time_second": [599.0]}
    controller = open_journal(run.stop())
    assert len(voltage(controller)[0]) == len(TIME)
    assert controller.model.cycles.results()[0].charge_capacity_ah == pytest.approx(1e-3 * 599 / 3600)


@pytest.mark.slow
def test_two_thousand_cycles_and_five_thousand_spectra_from_a_journal(open_journal: Any) -> None:
    run = cycling(2000, rows=12)
    frequency = np.geomspace(1e5, 0.1, 13)
    for number in range(1, 5001):
        run.spectrum(number, 1e6 + 100 * number, frequency, impedance_of(frequency, 60 + number / 100))
    controller = open_journal(run.stop())
    assert len(controller.model.cycles.results()) == 2000
    assert len(controller.model.spectra.all) == 5000
    for name in controller.window.panels:
        controller.window.docks.show_only([name])
        controller.show_now()
