"""Rate test: capacities against the simulated cell's own, what is stated, what is refused, soft shorts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from pydantic import ValidationError

from labctl.errors import ProtocolError
from labctl.records.cell import Cell
from labctl.session import Session
from plans.rate import rate_test
from tests.helpers import Documents
from tests.plans.own_answer import fresh_pellet, to_voltage, wait

STOICHIOMETRY, REST_SECOND = 0.70, 60.0
CHARGE_RATE, RATES = 0.5, ("1C", "2C")
LADDER = ("0.1C", "0.2C", "0.5C", "1C", "2C", "0.1C")


def own_capacities_ah(
    cell: Cell, rates: Sequence[str] = RATES, charge_rate: float = CHARGE_RATE
) -> list[float]:
    """Discharge capacities of the same cycles on the pellet itself."""
    pellet, found = fresh_pellet(cell, STOICHIOMETRY), list[float]()
    wait(pellet, REST_SECOND)
    for rate in rates:
        to_voltage(pellet, cell.current(charge_rate), cell.voltage_max_volt)
        wait(pellet, REST_SECOND)
        found.append(to_voltage(pellet, -cell.current(rate), cell.voltage_min_volt))
        wait(pellet, REST_SECOND)
    return found


def discharges_ah(documents: Documents) -> list[float]:
    steps = documents.stream("steps")
    return [ah for ah in steps["step_discharging_capacity_ah"] if ah > 0]


@pytest.mark.parametrize("coating", ["bare", "coated"])
def test_capacities_are_those_of_the_cell_itself(
    open_sim: Callable[..., Session],
    documents: Documents,
    bare_cell: Cell,
    coated_cell: Cell,
    coating: str,
) -> None:
    cell = bare_cell if coating == "bare" else coated_cell
    session = open_sim(cell=cell, stoichiometry=STOICHIOMETRY)
    session.RE.subscribe(documents)
    measurement = rate_test(
        session.cycler,
        cell=cell,
        rates=RATES,
        cycles=1,
        charge_rate=CHARGE_RATE,
        rest_second=REST_SECOND,
    )
    session.RE(measurement)
    assert discharges_ah(documents) == pytest.approx(own_capacities_ah(cell), rel=0.03)
    steps = documents.stream("steps")
    assert steps["end_reason"] == ["time", *["voltage_above", "time", "voltage_below", "time"] * 2]
    assert steps["cycle_count"] == [0, 1, 1, 1, 1, 2, 2, 2, 2]
    assert documents.of("start")[0]["plan_parameters"]["charge_rate"] == CHARGE_RATE
    moved = session.bench.cell_state()["charge_ah"]
    charged = sum(steps["step_charging_capacity_ah"]) - sum(steps["step_discharging_capacity_ah"])
    assert charged == pytest.approx(moved, abs=1e-3 * cell.nominal_capacity_ah)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("coating", ["bare", "coated"])
def test_the_whole_ladder_is_that_of_the_cell_itself(
    open_sim: Callable[..., Session],
    documents: Documents,
    bare_cell: Cell,
    coated_cell: Cell,
    coating: str,
) -> None:
    cell = bare_cell if coating == "bare" else coated_cell
    session = open_sim(cell=cell, stoichiometry=STOICHIOMETRY)
    session.RE.subscribe(documents)
    session.RE(rate_test(session.cycler, cell=cell, cycles=1, rest_second=REST_SECOND))
    found = discharges_ah(documents)
    assert found == pytest.approx(own_capacities_ah(cell, LADDER, 0.1), rel=0.03)
    assert found[:5] == sorted(found[:5], reverse=True)
    assert found[-1] == pytest.approx(found[0], rel=0.03)  # back at the first rate


def test_symmetric_charges_at_each_rate_and_holds_if_asked(
    open_sim: Callable[..., Session], documents: Documents
) -> None:
    session = open_sim(stoichiometry=0.45)
    cell = session.cell
    session.RE.subscribe(documents)
    measurement = rate_test(
        session.cycler,
        cell=cell,
        rates=["2C", "1C"],
        cycles=1,
        charge_rate="symmetric",
        hold_until_rate="C/2",
        rest_second=REST_SECOND,
        voltage_min_volt=3.0,
        voltage_max_volt=3.5,
    )
    session.RE(measurement)
    steps = documents.stream("steps")
    charges = [row for row, kind in enumerate(steps["step_type"]) if kind == "cc_charge"]
    currents = [steps["end_current_ampere"][row] for row in charges]
    assert currents == pytest.approx([cell.current("2C"), cell.current("1C")], rel=1e-3)
    holds = [row for row, kind in enumerate(steps["step_type"]) if kind == "cv_charge"]
    assert [steps["end_reason"][row] for row in holds] == ["current_below"] * 2
    for row in holds:
        assert steps["end_current_ampere"][row] == pytest.approx(cell.current("C/2"), rel=0.02)
        assert steps["end_voltage_volt"][row] == pytest.approx(3.5, abs=1e-3)
    asked = documents.of("start")[0]["plan_parameters"]
    assert (asked["charge_rate"], asked["rates"]) == ("symmetric", ["2C", "1C"])


def test_a_charge_without_end_ends_the_cycles_of_its_rate(
    open_sim: Callable[..., Session], documents: Documents, coated_cell: Cell
) -> None:
    """A cell that takes far more than its record says, as one with a soft short does."""
    active = coated_cell.active_material.model_copy(update={"specific_capacity_mah_per_g": 20.0})
    cell = coated_cell.model_copy(update={"active_material": active})
    session = open_sim(cell=cell, stoichiometry=STOICHIOMETRY)
    session.RE.subscribe(documents)
    session.RE(rate_test(session.cycler, cell=cell, rates=["5C"], cycles=3, charge_rate="5C", rest_second=60))
    steps = documents.stream("steps")
    assert steps["end_reason"][1] == "charge"
    assert steps["step_charging_capacity_ah"][1] == pytest.approx(1.3 * cell.nominal_capacity_ah, rel=1e-3)
    assert max(steps["cycle_count"]) == 1
    assert "charge" in documents.stop["reason"]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"rates": ["1C", "80C"]}, r"step 2\[0\]\.3: current_ampere = -134.4 mA: .* up to 10 mA"),
        ({"voltage_max_volt": 4.0}, r"step 1\[0\]\.1: until_voltage_above_volt = 4 V: .* 2.38 V to 3.68 V"),
        ({"voltage_min_volt": 3.6, "voltage_max_volt": 3.5}, "voltage_min_volt = 3.6 V must lie below"),
    ],
)
def test_what_the_cell_does_not_allow_is_refused_by_step_and_field(
    idle: Session, wrong: dict[str, Any], said: str
) -> None:
    with pytest.raises(ProtocolError, match=said):
        rate_test(idle.cycler, cell=idle.cell, **wrong)


def test_nothing_leaves_for_the_instrument_when_a_rate_is_refused(open_sim: Callable[..., Session]) -> None:
    session = open_sim()
    before = session.bench.record()
    with pytest.raises(ProtocolError):
        rate_test(session.cycler, cell=session.cell, rates=["80C"])
    assert session.bench.record() == before


@pytest.mark.parametrize(
    ("field", "value"),
    [("rates", ["fast"]), ("rates", []), ("cycles", 0), ("charge_rate", True), ("rest_second", float("nan"))],
)
def test_wrong_parameters_are_refused_by_name(idle: Session, field: str, value: Any) -> None:
    with pytest.raises(ValidationError, match=field):
        rate_test(idle.cycler, cell=idle.cell, **{field: value})
