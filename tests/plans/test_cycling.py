"""Cycle life: check-ups, their spectra, and every reason for which cycling ends early."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from labctl.analysis.cycling.cycles import analyze_cycles
from labctl.documents import tables
from labctl.errors import ConfigurationError, ProtocolError
from labctl.records.cell import Cell
from labctl.session import Session
from plans.cycling import cycle_life
from tests.helpers import Documents

QUICK: dict[str, Any] = {
    "rate": "1C",
    "check_up_rate": "1C",
    "check_up_every": 2,
    "rest_second": 30,
    "spectrum_rest_second": 60,
    "frequency_min_hertz": 1.0,
    "voltage_min_volt": 3.0,
    "voltage_max_volt": 3.45,
}
WIDE = {"voltage_min_volt": None, "voltage_max_volt": None}  # the whole window of the cell


def run(session: Session, **changes: Any) -> Documents:
    documents = Documents()
    session.RE.subscribe(documents)
    session.RE(cycle_life(session.cycler, cell=session.cell, **{**QUICK, **changes}))
    return documents


def step_types(documents: Documents, count: int) -> list[str]:
    """Of the steps of one cycle, without its rests."""
    steps = documents.stream("steps")
    return [
        kind
        for kind, cycle in zip(steps["step_type"], steps["cycle_count"], strict=True)
        if cycle == count and kind != "rest"
    ]


def test_check_ups_before_between_and_after_with_a_spectrum_each(open_sim: Callable[..., Session]) -> None:
    session = open_sim(stoichiometry=0.6)
    documents = run(session, cycles=4, stop_efficiency=None)
    plain, check_up = ["cc_charge", "cc_discharge"], ["cc_charge", "peis", "cc_discharge"]
    expected = [check_up, plain, plain, check_up, plain, plain, check_up]
    assert [step_types(documents, count) for count in range(1, 8)] == expected
    spectra = documents.stream("impedance")
    assert set(spectra["spectrum_count"]) == {1, 2, 3}
    assert set(spectra["cycle_count"]) == {1, 4, 7}
    assert documents.stop["exit_status"] == "success"
    assert documents.stop["reason"] == ""
    assert not session.bench.cell_state()["circuit_closed"]


def test_a_spectrum_leaves_the_state_of_charge(open_sim: Callable[..., Session]) -> None:
    session = open_sim(stoichiometry=0.6)
    documents = run(
        session, cycles=2, frequency_min_hertz=0.01, spectrum_rest_second=3600, stop_efficiency=None
    )
    steps, nominal = documents.stream("steps"), session.cell.nominal_capacity_ah
    net = np.subtract(steps["step_charging_capacity_ah"], steps["step_discharging_capacity_ah"])
    spectra = np.array(steps["step_type"]) == "peis"
    assert spectra.sum() == 2
    assert np.all(np.abs(net[spectra]) < 1e-3 * nominal)
    moved = session.bench.cell_state()["charge_ah"]
    assert moved == pytest.approx(net.sum(), abs=1e-3 * nominal)  # also while no DC row was recorded


@pytest.mark.slow
def test_cycling_ends_when_the_efficiency_is_too_low_twice_in_a_row(
    open_sim: Callable[..., Session], bare_cell: Cell
) -> None:
    """Side reactions of bare particles take about 0.2 % of each charge."""
    session = open_sim(cell=bare_cell, stoichiometry=0.6)
    documents = run(
        session, cycles=8, check_up_every=8, stop_efficiency=0.9995, check_up_spectrum=False, **WIDE
    )
    assert "efficiency_below 0.9995 (was 0.99" in documents.stop["reason"]
    cycles = analyze_cycles(tables(documents.all)).cycles[1:-1]  # between the check-ups
    low = [cycle.coulombic_efficiency < 0.9995 for cycle in cycles]
    assert low[-2:] == [True, True]
    assert [True, True] not in [low[i : i + 2] for i in range(len(low) - 2)]
    assert not documents.stream("impedance")["seq_num"]


@pytest.mark.slow
def test_cycling_ends_when_the_capacity_has_gone(open_sim: Callable[..., Session], bare_cell: Cell) -> None:
    session = open_sim(cell=bare_cell, stoichiometry=0.6)
    documents = run(
        session,
        cycles=12,
        check_up_every=12,
        rate="0.5C",
        stop_retention=0.994,
        check_up_spectrum=False,
        **WIDE,
    )
    assert "retention_below 0.994 (was 0.99" in documents.stop["reason"]
    capacities = [cycle.discharge_capacity_ah for cycle in analyze_cycles(tables(documents.all)).cycles[1:-1]]
    shares = np.array(capacities) / capacities[0]
    assert shares[-1] < 0.994
    assert np.all(shares[:-1] >= 0.994)


def test_cycling_ends_when_a_charge_finds_no_end(open_sim: Callable[..., Session], coated_cell: Cell) -> None:
    """A cell that takes far more than its record says, as one with a soft short does."""
    active = coated_cell.active_material.model_copy(update={"specific_capacity_mah_per_g": 20.0})
    cell = coated_cell.model_copy(update={"active_material": active})
    session = open_sim(cell=cell, stoichiometry=0.7)
    documents = run(session, cycles=4, rate="5C", check_up_rate="5C", check_up_spectrum=False, **WIDE)
    steps = documents.stream("steps")
    charges = [
        reason
        for reason, kind in zip(steps["end_reason"], steps["step_type"], strict=True)
        if kind == "cc_charge"
    ]
    assert charges == ["charge"]  # in the very first check-up: nothing follows
    assert max(steps["cycle_count"]) == 1
    assert "the protocol ended before step" in documents.stop["reason"]
    assert "charge" in documents.stop["reason"]


@pytest.mark.parametrize(
    ("wrong", "error", "said"),
    [
        ({"cycles": 120}, ConfigurationError, "cycles = 120: must be a whole multiple of check_up_every, 50"),
        ({"rate": "10C"}, ProtocolError, r"step \d.*: current_ampere = 16.8 mA: .* up to 10 mA"),
        ({"frequency_min_hertz": 1e6}, ProtocolError, "frequency_min_hertz = 1e"),
    ],
)
def test_what_is_not_allowed_is_refused(
    idle: Session, wrong: dict[str, Any], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        cycle_life(idle.cycler, cell=idle.cell, **wrong)


def test_fewer_cycles_than_between_check_ups_are_one_block(idle: Session) -> None:
    measurement = cycle_life(idle.cycler, cell=idle.cell, cycles=7, check_up_spectrum=False)
    assert measurement.estimate.steps == 1 + 4 * (7 + 2)
