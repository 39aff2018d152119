"""Formation: slow cycles, and the coulombic efficiency of what follows."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from labctl.analysis.cycling.cycles import analyze_cycles
from labctl.documents import tables
from labctl.records.cell import Cell
from labctl.session import Session
from plans.formation import formation
from plans.rate import rate_test
from tests.helpers import Documents

CYCLES = 2


def test_formation_cycles_as_asked_and_says_so(
    open_sim: Callable[..., Session], documents: Documents
) -> None:
    session = open_sim(stoichiometry=0.65)
    session.RE.subscribe(documents)
    measurement = formation(
        session.cycler,
        cell=session.cell,
        rate="1C",
        cycles=CYCLES,
        rest_second=60,
        hold_until_rate="C/4",
        voltage_min_volt=3.0,
        voltage_max_volt=3.4,
        metadata={"note": "first"},
    )
    session.RE(measurement)
    start, steps = documents.of("start")[0], documents.stream("steps")
    assert (start["plan_name"], start["note"]) == ("formation", "first")
    one_cycle = ["cc_charge", "cv_charge", "rest", "cc_discharge", "rest"]
    assert steps["step_type"] == ["rest", *one_cycle * CYCLES]
    assert steps["cycle_count"] == [0, *[1] * 5, *[2] * 5]
    current = session.cell.current("1C")
    ends = dict(zip(steps["step_type"], steps["end_current_ampere"], strict=True))
    assert ends["cc_charge"] == pytest.approx(current, rel=1e-3)
    assert ends["cc_discharge"] == pytest.approx(-current, rel=1e-3)
    assert ends["cv_charge"] == pytest.approx(session.cell.current("C/4"), rel=0.02)
    assert not session.bench.cell_state()["circuit_closed"]


@pytest.mark.parametrize("coating", ["bare", "coated"])
def test_after_formation_what_goes_in_comes_out(
    open_sim: Callable[..., Session], bare_cell: Cell, coated_cell: Cell, coating: str
) -> None:
    """CE of every cycle whose charge begins where a discharge at the same rate ended."""
    session = open_sim(cell=bare_cell if coating == "bare" else coated_cell, stoichiometry=0.7)
    cell = session.cell
    session.RE(formation(session.cycler, cell=cell, rate="1C", cycles=1, rest_second=60))
    documents = Documents()
    session.RE.subscribe(documents)
    session.RE(rate_test(session.cycler, cell=cell, rates=["1C"], cycles=2, charge_rate="1C", rest_second=60))
    cycles = analyze_cycles(tables(documents.all)).cycles
    assert len(cycles) == 2
    for cycle in cycles:
        assert 0.99 < cycle.coulombic_efficiency < 1.0005
