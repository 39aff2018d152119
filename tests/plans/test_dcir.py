"""Resistance to direct current: the pulses' voltages against the cell's own, and states of charge."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from labctl.analysis.dcir import analyze_dcir
from labctl.documents import tables
from labctl.errors import ConfigurationError, ProtocolError
from labctl.session import Session
from plans.dcir import dcir
from tests.helpers import Documents
from tests.plans.own_answer import fresh_pellet

STOICHIOMETRY = 0.65
TIMES_SECOND = np.array([0.1, 1.0, 10.0, 30.0])


def resistances_ohm(documents: Documents, pulse_step: int) -> np.ndarray:
    """R(t) = |V(t) - V_rest| / |I| of the step, at TIMES_SECOND."""
    rows = {name: np.array(values) for name, values in documents.stream("timeseries").items()}
    rest_volt = rows["voltage_volt"][rows["step_count"] == pulse_step - 1][-1]
    pulse = rows["step_count"] == pulse_step
    times, volts = rows["step_time_second"][pulse], rows["voltage_volt"][pulse]
    at = [int(np.argmin(np.abs(times - wanted))) for wanted in TIMES_SECOND]
    assert times[at] == pytest.approx(TIMES_SECOND, abs=1e-3)  # these instants are among the samples
    return np.abs(volts[at] - rest_volt) / np.abs(rows["current_ampere"][pulse][at])


def test_resistances_are_those_of_the_cell_itself(
    open_sim: Callable[..., Session], documents: Documents
) -> None:
    session = open_sim(stoichiometry=STOICHIOMETRY)
    session.RE.subscribe(documents)
    session.RE(dcir(session.cycler, cell=session.cell, rate="1C", rest_second=600))
    current, pellet = session.cell.current("1C"), fresh_pellet(session.cell, STOICHIOMETRY)
    rest_volt = pellet.voltage_volt
    pellet.set_current(-current)
    own = []
    for time in TIMES_SECOND:
        while pellet.time_second < time:
            pellet.move_to(min(pellet.horizon(), time))
        own.append((rest_volt - pellet.voltage_volt) / current)
    assert resistances_ohm(documents, 2) == pytest.approx(np.array(own), rel=0.01)
    analysis = analyze_dcir(tables(documents.all))
    assert [pulse.direction for pulse in analysis.pulses] == ["discharge", "charge"]
    assert analysis.pulses[0].resistance_ohm == pytest.approx(own, rel=0.01)
    charging = resistances_ohm(documents, 5)
    assert charging == pytest.approx(np.array(own), rel=0.1)
    assert np.all(np.diff(charging) > 0)
    nominal = session.cell.nominal_capacity_ah
    assert session.bench.cell_state()["charge_ah"] == pytest.approx(0, abs=1e-4 * nominal)


def test_states_of_charge_are_reached_from_the_charged_cell(
    open_sim: Callable[..., Session], documents: Documents
) -> None:
    session = open_sim(stoichiometry=0.40)
    session.RE.subscribe(documents)
    measurement = dcir(
        session.cycler,
        cell=session.cell,
        rate="C/2",
        rest_second=30,
        soc_percent=[100, 90, 85],
        soc_rate="1C",
        soc_rest_second=30,
    )
    session.RE(measurement)
    steps = documents.stream("steps")
    reached = [
        ah
        for ah, reason in zip(steps["step_discharging_capacity_ah"], steps["end_reason"], strict=True)
        if reason == "charge"
    ]
    shares = np.array(reached) / session.cell.nominal_capacity_ah
    assert shares == pytest.approx([0.10, 0.05], rel=1e-3)
    assert steps["end_reason"][0] == "voltage_above"
    assert steps["step_type"].count("cc_charge") == 1 + 3
    assert documents.of("start")[0]["plan_parameters"]["soc_percent"] == [100, 90, 85]


@pytest.mark.parametrize(
    ("wrong", "error", "said"),
    [
        ({"soc_percent": [50, 80]}, ConfigurationError, "soc_percent = .*states of charge must fall"),
        ({"rate": "8C"}, ProtocolError, r"step 1\.1: current_ampere = -13.44 mA"),
        ({"voltage_max_volt": 4.2}, ProtocolError, r"step 2\.1: until_voltage_above_volt = 4.2 V"),
    ],
)
def test_what_is_not_allowed_is_refused(
    idle: Session, wrong: dict[str, Any], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        dcir(idle.cycler, cell=idle.cell, **wrong)
