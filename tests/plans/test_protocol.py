"""Protocols as data: walking, loops that stop, dry run, round trip."""

import pytest

from devices.techniques import ConstantCurrent, OpenCircuit, Sampling, StepResult
from labctl.config import load_cell, packaged_config
from labctl.errors import ProtocolError
from plans.dry_run import dry_run
from plans.durations import scheduled_points
from plans.protocol import Gapless, Loop, Mark, Protocol
from plans.walk import Course

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
    progress, seen = Course(protocol).walk(), []
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
