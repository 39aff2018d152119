"""Intermittent current interruption: what it samples gives resistance and diffusivity of the pellet."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from labctl.analysis.ici import analyze_ici
from labctl.documents import tables
from labctl.errors import ProtocolError
from labctl.session import Session
from plans.ici import ici
from tests.helpers import Documents

INTERRUPTIONS, STOICHIOMETRY = 8, 0.60


def regressions(documents: Documents) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of every pause, from 1 to 5 s: intercept (V) and slope (V s^-1/2) over sqrt(t); and the last V on."""
    rows = {name: np.array(values) for name, values in documents.stream("timeseries").items()}
    steps = documents.stream("steps")
    pauses = [n for n, path in zip(steps["step_count"], steps["protocol_step"], strict=True) if "0.1" in path]
    fits, on = [], []
    for count in pauses:
        chosen = (rows["step_count"] == count) & (rows["step_time_second"] >= 0.99)
        chosen &= rows["step_time_second"] <= 5.01
        assert chosen.sum() == 41  # every 0.1 s
        fits.append(np.polyfit(np.sqrt(rows["step_time_second"][chosen]), rows["voltage_volt"][chosen], 1))
        on.append(rows["voltage_volt"][rows["step_count"] == count - 1][-1])
    slope, intercept = np.array(fits).T
    return intercept, slope, np.array(on)


def test_pauses_tell_diffusivity_and_resistance(
    open_sim: Callable[..., Session], documents: Documents
) -> None:
    session = open_sim(stoichiometry=STOICHIOMETRY)
    session.RE.subscribe(documents)
    measurement = ici(
        session.cycler,
        cell=session.cell,
        interruptions=INTERRUPTIONS,
        direction="charge",
        rest_second=60,
        pause_second=10,
    )
    session.RE(measurement)
    intercept, slope, on = regressions(documents)
    truth, current = session.bench.truth(), session.cell.current("C/10")
    # Chien et al. 2023: D = (4 / 9 pi) (R (dE/dt_on) / slope)^2, past the first transients
    per_second = np.gradient(intercept, 300.0)[3:]
    found = 4 / (9 * np.pi) * (truth["equivalent_radius_metre"] * per_second / slope[3:]) ** 2
    x = truth["stoichiometry"]
    true = np.interp(x, truth["stoichiometry_grid"], truth["diffusivity_m2_per_s_grid"])
    assert np.median(found) == pytest.approx(true, rel=0.15)
    resistance = (on - intercept) / current
    spectrum = session.bench.impedance([1.0, 0.1])  # what has relaxed before 1 s counts as resistance
    assert 0.98 * spectrum[0].real < np.median(resistance) < 1.02 * spectrum[1].real
    analysis = analyze_ici(tables(documents.all))
    assert [one.slope_volt_per_sqrt_second for one in analysis.interruptions] == pytest.approx(slope)
    assert analysis.median("resistance_ohm") == pytest.approx(np.median(resistance), rel=0.01)
    true_second = truth["equivalent_radius_metre"] ** 2 / true
    assert analysis.median("diffusion_time_second") == pytest.approx(true_second, rel=0.15)
    assert analysis.median("sphere_diffusion_time_second") == pytest.approx(true_second, rel=0.3)


def test_both_directions_end_at_their_voltage(open_sim: Callable[..., Session], documents: Documents) -> None:
    session = open_sim(stoichiometry=STOICHIOMETRY)
    session.RE.subscribe(documents)
    rest_volt = session.cycler.measure_rest_voltage()
    measurement = ici(
        session.cycler,
        cell=session.cell,
        rate="0.5C",
        rest_second=30,
        voltage_max_volt=rest_volt + 0.12,
        voltage_min_volt=rest_volt - 0.12,
    )
    session.RE(measurement)
    steps = documents.stream("steps")
    reasons = [reason for reason, path in zip(steps["end_reason"], steps["protocol_step"], strict=True)]
    assert reasons.count("voltage_above") == reasons.count("voltage_below") == 1
    assert steps["step_type"][-1] == "rest"  # the pause after the limit is measured
    assert "voltage_above" in documents.stop["reason"]
    assert "voltage_below" in documents.stop["reason"]
    assert set(steps["cycle_count"]) == {1}
    assert documents.of("start")[0]["plan_parameters"]["pause_second"] == 10


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"rate": "10C"}, r"step 2\[0\]\.0\.0: current_ampere = 16.8 mA"),
        ({"voltage_min_volt": 2.0, "direction": "discharge"}, r"step 2\[0\]\.0\.0: until_voltage_below_volt"),
    ],
)
def test_what_the_cell_does_not_allow_is_refused(idle: Session, wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ProtocolError, match=said):
        ici(idle.cycler, cell=idle.cell, **wrong)
