"""Conditioning: press, heat, soak, rest, and the first spectrum against the pellet's true impedance."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from labctl.errors import ProtocolError
from labctl.records.cell import Cell
from labctl.records.station import load_station, packaged_config
from labctl.session import Session, open_session
from plans.conditioning import condition
from tests.helpers import Documents

QUICK: dict[str, Any] = {"soak_second": 60, "rest_second": 60, "frequency_min_hertz": 1.0}


@pytest.fixture(scope="module")
def press(coated_cell: Cell, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    station = load_station(packaged_config("sim-press.yaml"))
    with open_session(station, coated_cell, tmp_path_factory.mktemp("press"), fresh_bench=True) as session:
        yield session


def test_press_heat_soak_rest_and_spectrum_in_this_order(press: Session, documents: Documents) -> None:
    press.RE.subscribe(documents)
    measurement = condition(
        press.cycler,
        cell=press.cell,
        environment=press.environment,
        pressure_mpa=80,
        soak_celsius=40,
        temperature_celsius=30,
        **QUICK,
    )
    press.RE(measurement)
    steps = documents.stream("steps")
    assert steps["step_type"] == ["environment", "environment", "rest", "environment", "rest", "peis"]
    spans = list(zip(steps["start_test_time_second"], steps["end_test_time_second"], strict=True))
    assert all(end <= begin for (_, end), (begin, _) in pairwise(spans))  # one time axis for all
    around = press.bench.surroundings()
    assert around["stack_pressure_pa"] == pytest.approx(80e6, rel=0.02)
    assert around["temperature_kelvin"] == pytest.approx(303.15, abs=0.6)
    environment = documents.stream("environment")
    assert max(environment["temperature_t1_celsius"]) == pytest.approx(40, abs=1)
    spectra = {name: np.array(values) for name, values in documents.stream("impedance").items()}
    measured = spectra["real_impedance_ohm"] + 1j * spectra["imaginary_impedance_ohm"]
    true = np.array(press.bench.impedance(spectra["frequency_hertz"].tolist()))
    assert np.max(np.abs(measured / true - 1)) < 0.02
    assert press.bench.cell_state()["charge_ah"] == pytest.approx(
        0, abs=1e-3 * press.cell.nominal_capacity_ah
    )
    assert not press.bench.cell_state()["circuit_closed"]


def test_a_press_takes_the_cell_s_own_stack_pressure(press: Session) -> None:
    measurement = condition(press.cycler, cell=press.cell, environment=press.environment, **QUICK)
    first = measurement.protocol.items[0]
    assert first.model_dump()["pressure_pa"] == press.cell.stack_pressure_mpa * 1e6
    assert measurement.metadata["plan_parameters"]["pressure_mpa"] is None  # as it was asked


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"temperature_celsius": 80}, r"step 1: temperature_celsius = 80: cell lic-ncm-1 allows up to 60"),
        (
            {"pressure_mpa": 500},
            r"step 0: pressure_pa = 5e\+08: the die of cell lic-ncm-1 allows up to 4e\+08",
        ),
    ],
)
def test_what_cell_and_die_do_not_allow_is_refused(press: Session, wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ProtocolError, match=said):
        condition(press.cycler, cell=press.cell, environment=press.environment, **wrong)


def test_without_a_heated_pressure_cell_only_time_and_spectrum_are_possible(idle: Session) -> None:
    measurement = condition(idle.cycler, cell=idle.cell, soak_second=None)
    assert measurement.estimate.steps == 2
    with pytest.raises(ProtocolError, match="step 0: set_pressure: the station has no heated pressure cell"):
        condition(idle.cycler, cell=idle.cell, pressure_mpa=50)
