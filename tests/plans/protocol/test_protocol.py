"""Protocols as data: walking, loops that stop, dry run, round trip."""

import pytest

from devices.core.techniques import ConstantCurrent, OpenCircuit, Sampling, StepResult
from labctl.errors import ProtocolError
from labctl.records.cell import load_cell
from labctl.records.station import packaged_config
from plans.executor.dry_run import dry_run
from plans.executor.estimate import scheduled_points
from plans.protocol.protocol import Gapless, Loop, LoopCondition, Mark, Protocol
from plans.protocol.rated_steps import CcCv, RatedCurrent
from plans.protocol.walk import ProtocolWalk

EVERY = Sampling.every(1)
REST = OpenCircuit(until_time_second=100, sampling=EVERY)
PULSE = ConstantCurrent(
    current_ampere=84e-6, until_time_second=50, until_voltage_above_volt=3.6, sampling=EVERY
)
TITRATION = Protocol(
    name="test",
    items=(
        REST,
        Mark(),
        Loop(repeat=3, body=(Gapless(techniques=(PULSE, REST)), Mark()), stop_on=("voltage_above",)),
    ),
)


@pytest.fixture(scope="module")
def cell():
    return load_cell(packaged_config("cells/lic-ncm.yaml"))


def result(reason: str, charging_ah: float = 0.0, discharging_ah: float = 0.0) -> StepResult:
    return StepResult(
        technique_index=0,
        step_count=1,
        step_type="rest",
        start_test_time_second=0,
        end_test_time_second=1,
        end_reason=reason,
        charging_capacity_ah=charging_ah,
        discharging_capacity_ah=discharging_ah,
        end_voltage_volt=3.0,
        end_current_ampere=0.0,
    )


def paths(protocol: Protocol, results: dict[str, list[StepResult]]) -> list[tuple[str, int]]:
    progress, seen = ProtocolWalk(protocol).walk(), []
    try:
        visit = next(progress)
        while True:
            seen.append((visit.path, visit.cycle_count))
            visit = progress.send(results.get(visit.path, [result("time")]))
    except StopIteration:
        return seen


def test_steps_come_in_order_with_their_loop_passes_and_cycles() -> None:
    assert paths(TITRATION, {}) == [("0", 0), ("2[0].0", 1), ("2[1].0", 2), ("2[2].0", 3)]


def test_a_loop_ends_after_the_pass_in_which_a_step_met_its_reason() -> None:
    assert paths(TITRATION, {"2[1].0": [result("voltage_above"), result("time")]})[-1] == ("2[1].0", 2)


def test_the_dry_run_adds_up_time_points_and_charge(cell) -> None:
    estimate = dry_run(TITRATION, cell)
    assert estimate.duration_second == pytest.approx(100 + 3 * 150 + 4)  # a second between programs
    assert estimate.steps == 7
    assert estimate.net_charge_ah == pytest.approx(3 * 84e-6 * 50 / 3600)
    assert estimate.points == 101 + 3 * (51 + 101)


def test_a_protocol_survives_the_way_through_json() -> None:
    assert Protocol.model_validate_json(TITRATION.model_dump_json()) == TITRATION


def test_a_window_beyond_the_cell_is_refused_naming_step_and_field(cell) -> None:
    wild = PULSE.model_copy(update={"until_voltage_above_volt": 4.3})
    protocol = Protocol(name="test", items=(REST, Gapless(techniques=(wild, REST))))
    with pytest.raises(ProtocolError, match=r"step 1\.0: until_voltage_above_volt = 4.3 V"):
        dry_run(protocol, cell)


def test_points_follow_the_sampling_schedule() -> None:
    assert scheduled_points(Sampling.staged((0.2, 10), (5, None)), 600) == 50 + 118 + 1


CHARGE = ConstantCurrent(current_ampere=1e-3, until_voltage_above_volt=3.6, sampling=EVERY)
DISCHARGE = ConstantCurrent(current_ampere=-1e-3, until_voltage_below_volt=2.4, sampling=EVERY)
CHECK_UPS = Protocol(
    name="cycle_life",
    items=(
        Loop(
            repeat=4,
            body=(
                REST,
                Loop(
                    repeat=3,
                    body=(Mark(), CHARGE, DISCHARGE),
                    stop_when=(
                        LoopCondition(quantity="retention_below", value=0.8),
                        LoopCondition(quantity="efficiency_below", value=0.95, consecutive=2),
                    ),
                ),
            ),
            stop_on=("retention_below", "efficiency_below"),
        ),
    ),
)


def course_of(capacities: list[tuple[float, float]]) -> tuple[int, list[str]]:
    """Cycles made, and the notes, of a cell that gives these charging and discharging capacities (Ah)."""
    course = ProtocolWalk(CHECK_UPS)
    progress, cycles = course.walk(), 0
    visit = next(progress, None)
    while visit is not None:
        charging, discharging = capacities[min(cycles, len(capacities) - 1)]
        outcome = [result("time")]
        if visit.techniques[0] is CHARGE:
            outcome = [result("voltage_above", charging_ah=charging)]
        elif visit.techniques[0] is DISCHARGE:
            outcome, cycles = [result("voltage_below", discharging_ah=discharging)], cycles + 1
        try:
            visit = progress.send(outcome)
        except StopIteration:
            visit = None
    return cycles, course.notes


def test_a_sound_cell_makes_all_cycles() -> None:
    assert course_of([(1.0, 0.99)]) == (12, [])


def test_retention_is_against_the_first_cycle_of_all_and_ends_inner_and_outer_loop() -> None:
    cycles, notes = course_of([(1.0, 1.0), (0.9, 0.9), (0.85, 0.85), (0.83, 0.83), (0.79, 0.79)])
    assert cycles == 5
    assert notes == [
        "loop 0[1].1 ended after pass 2: retention_below 0.8 (was 0.79)",
        "loop 0 ended after pass 2: retention_below",
    ]


def test_a_soft_short_ends_the_loop_only_when_it_lasts() -> None:
    once = [(1.0, 1.0), (1.2, 1.0), (1.0, 1.0)]
    assert course_of(once) == (12, [])
    cycles, notes = course_of([(1.0, 1.0), (1.2, 1.0)])
    assert cycles == 3
    assert "efficiency_below 0.95 (was 0.8333)" in notes[0]


def test_after_a_charge_that_did_not_meet_its_voltage_there_is_no_hold() -> None:
    step = CcCv(
        direction="charge", voltage_volt=3.6, current_ampere=1e-3, until_charge_ah=2e-3, sampling=EVERY
    )
    protocol = Protocol(name="p", items=(step, DISCHARGE))
    assert [path for path, _ in paths(protocol, {"0.0": [result("voltage_above")]})] == ["0.0", "0.1", "1"]
    assert [path for path, _ in paths(protocol, {"0.0": [result("charge")]})] == ["0.0", "1"]


def test_rates_become_currents_of_the_cell(cell) -> None:
    protocol = Protocol(
        name="p",
        items=(
            Loop(
                repeat=2,
                body=(
                    RatedCurrent(
                        rate_per_hour=0.5, direction="discharge", until_charge_share=0.1, sampling=EVERY
                    ),
                ),
            ),
        ),
    )
    (loop,) = protocol.resolved(cell).items
    assert isinstance(loop, Loop)
    (step,) = loop.body
    assert isinstance(step, ConstantCurrent)
    assert step.current_ampere == pytest.approx(-0.5 * cell.nominal_capacity_ah)
    assert step.until_charge_ah == pytest.approx(0.1 * cell.nominal_capacity_ah)
    with pytest.raises(TypeError, match="resolve the protocol first"):
        paths(protocol, {})
    assert dry_run(protocol, cell).duration_second == pytest.approx(2 * (0.1 / 0.5 * 3600 + 1))


def test_a_protocol_of_unreasonable_length_is_refused() -> None:
    inner = Loop(repeat=1000, body=(REST,))
    with pytest.raises(ValueError, match="at most 1000000 are allowed"):
        Protocol(name="p", items=(Loop(repeat=1001, body=(inner,)),))
