"""The GITT panel under pytest-qt: the pulses, their fits and diffusivities are those of the analysis."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PySide6 import QtCore

from labctl.analysis.gitt.analysis import analyze_run
from labctl.analysis.gitt.stream import GittStream
from labctl.analysis.sphere_diffusion import pulse_response, rest_response
from labctl.documents import tables
from labctl.live.model.gitt_pulses import Pulses
from labctl.live.model.worker import Worker
from labctl.records.cell import load_cell
from labctl.records.station import packaged_config
from tests.helpers import wait_until
from tests.labctl.live.made_runs import MadeRun

GAPLESS = [{"kind": "gapless", "techniques": [{"kind": "constant_current"}, {"kind": "open_circuit"}]}]
PULSE = np.concatenate([np.arange(0.2, 10, 0.2), np.arange(10, 600.1, 10.0)])
REST = np.concatenate([PULSE, np.arange(660, 7200.1, 60.0)])
SECOND = 6250.0  # R^2/D
CELL = load_cell(packaged_config("cells/lic-ncm.yaml")).model_dump(mode="json")


def titration(pulses: int, *, cell: Any = CELL) -> MadeRun:
    """Pulses of 84 uA and 5 mV on spheres of 6250 s, with noise."""
    run, rng, now = MadeRun("gitt", GAPLESS, cell=cell), np.random.default_rng(0), 0.0
    run.step("rest", REST, 3.1 + rng.normal(0, 1e-5, len(REST)), 0.0, began=0.0)
    now, level = 7200.0, 3.1
    for _ in range(pulses):
        during = level + 0.01 + 5e-3 * pulse_response(PULSE, SECOND, 600.0)
        after = level + 5e-3 * rest_response(REST, SECOND, 600.0)
        run.step("cc_charge", now + PULSE, during + rng.normal(0, 1e-5, len(PULSE)), 84e-6, began=now)
        run.step("rest", now + 600 + REST, after + rng.normal(0, 1e-5, len(REST)), 0.0, began=now + 600)
        now, level = now + 7800, level + 5e-3
    return run


@pytest.fixture(scope="module")
def run() -> MadeRun:
    made = titration(4)
    made.stop()
    return made


def test_every_pulse_has_the_diffusivity_of_the_analysis(panel_of: Any, run: MadeRun) -> None:
    panel = panel_of("gitt", run.documents)
    pulses = analyze_run(tables(run.documents)).pulses
    x, y = panel.marks.getData()
    np.testing.assert_allclose(10**y, [pulse.diffusivity_m2_per_s for pulse in pulses], rtol=1e-9)
    np.testing.assert_allclose(x, [(p.voltage_before_volt + p.voltage_after_volt) / 2 for p in pulses])
    assert panel.visible_data()["diffusion_time_second"] == pytest.approx(SECOND, rel=0.05)
    assert (panel.diffusion_axis.quantity, panel.diffusion_axis.unit) == ("D", "m²/s")


def test_the_newest_pulse_is_shown_with_its_samples_and_its_fit(panel_of: Any, run: MadeRun) -> None:
    panel = panel_of("gitt", run.documents)
    series = tables(run.documents).stream("timeseries")
    x, y = panel.samples.getData()
    last = np.isin(series["step_count"], (8, 9))
    np.testing.assert_array_equal(y, series["voltage_volt"][last])
    np.testing.assert_allclose(x, series["test_time_second"][last] - (7200 + 3 * 7800))
    _, fitted = panel.fit.getData()
    inside = np.isfinite(fitted)
    assert np.sqrt(((fitted - y)[inside] ** 2).mean()) < 2e-5
    assert panel.note.text().startswith("charge pulse 4 of 4 · R²/D = ")


def test_buttons_and_a_click_on_a_point_choose_a_pulse(panel_of: Any, run: MadeRun, qtbot: Any) -> None:
    panel = panel_of("gitt", run.documents)
    left = QtCore.Qt.MouseButton.LeftButton
    qtbot.mouseClick(panel.previous, left)
    panel.feed([])
    assert panel.note.text().startswith("charge pulse 3 of 4")
    first = panel.marks.getData()[0][0], panel.marks.getData()[1][0]
    place = panel.diffusion.view.mapViewToScene(QtCore.QPointF(*first))
    qtbot.mouseClick(panel.graphics.viewport(), left, pos=panel.graphics.mapFromScene(place))
    panel.feed([])
    assert panel.note.text().startswith("charge pulse 1 of 4")
    np.testing.assert_allclose([panel.ring.getData()[0][0], panel.ring.getData()[1][0]], first)
    for _ in range(5):
        qtbot.mouseClick(panel.next, left)
    panel.feed([])
    assert panel.note.text().startswith("charge pulse 4 of 4")


def test_pulses_appear_as_their_rests_end(panel_of: Any, run: MadeRun) -> None:
    parts = [n for n, (name, doc) in enumerate(run.documents) if doc.get("descriptor", "").endswith("-steps")]
    panel = panel_of("gitt", run.documents[: parts[1] + 1])  # first rest and first pulse
    assert panel.message.text() == "No current pulse between two complete rests yet"
    panel.feed(run.documents[parts[1] + 1 : parts[2] + 1])
    assert len(panel.marks.getData()[0]) == 1
    panel.feed(run.documents[parts[2] + 1 : parts[4] + 1])
    assert len(panel.marks.getData()[0]) == 2


def test_without_a_radius_the_panel_shows_the_diffusion_time(panel_of: Any) -> None:
    panel = panel_of("gitt", titration(2, cell={"id": "x"}).stop())
    assert (panel.diffusion_axis.quantity, panel.diffusion_axis.unit) == ("R²/D", "s")
    assert 10 ** panel.marks.getData()[1] == pytest.approx(SECOND, rel=0.05)


def test_against_charge_the_axis_carries_the_mass_basis(panel_of: Any, run: MadeRun) -> None:
    panel = panel_of("gitt", run.documents)
    panel.along.setCurrentText("against net charge since start")
    panel.feed([])
    assert panel.along_axis.shown_unit == "mAh/g"
    charge = 84e-6 * 600 / 3600 / panel.model.active_mass_kg
    np.testing.assert_allclose(panel.marks.getData()[0], [charge * (n + 0.5) for n in range(4)], rtol=1e-6)


def feed(pulses: Pulses, run: MadeRun) -> None:
    """All samples of a step, then its row of `steps`."""
    content = tables(run.documents)
    series, steps = content.stream("timeseries"), content.stream("steps")
    for row, step in enumerate(steps["step_count"]):
        chosen = series["step_count"] == step
        pulses.take_samples({name: column[chosen] for name, column in series.items()})
        pulses.take_step({name: column[row] for name, column in steps.items()})


def test_fits_are_done_by_the_worker_and_handed_over(run: MadeRun) -> None:
    pulses, worker = Pulses({}, wanted=True), Worker()
    feed(pulses, run)
    assert (pulses.waiting, len(pulses.fitted)) == (4, 0)

    def done() -> bool:
        pulses.pursue(worker)
        worker.deliver()
        return pulses.waiting == 0

    wait_until(done)
    worker.close()
    assert list(pulses.fitted) == [2, 4, 6, 8]
    assert [found.last for found in pulses.fitted.values()] == [False, False, False, True]


def test_where_too_much_waits_fits_are_done_at_once(run: MadeRun) -> None:
    pulses = Pulses({}, wanted=True, most_rows_waiting=1)
    feed(pulses, run)
    assert (pulses.waiting, list(pulses.fitted)) == (0, [2, 4, 6, 8])


def test_a_run_without_pulses_says_so(panel_of: Any) -> None:
    rest, charge = [{"kind": "open_circuit"}], [{"kind": "constant_current"}]
    assert (
        panel_of("gitt", MadeRun("ocv", rest).documents).message.text() == "This run holds no current pulses"
    )
    panel = panel_of("gitt", MadeRun("rate_test", charge).stop())
    assert panel.message.text() == "The run holds no current pulse between two complete rests"


def test_a_cycling_run_does_not_keep_samples_for_pulses() -> None:
    stream = GittStream({"uid": "u"})
    many = np.arange(300)
    for first in range(0, 300, 10):
        rows = slice(first, first + 10)
        columns = dict.fromkeys(("step_time_second", "voltage_volt", "current_ampere"), np.zeros(10))
        stream.take_samples({**columns, "step_count": many[rows], "status": np.zeros(10, dtype=np.int64)})
    assert len(stream._samples) <= 128
