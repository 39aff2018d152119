"""Telling a protocol that came to its end from one that was stopped, of new runs and of old ones."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from devices.core.techniques import ConstantCurrent, OpenCircuit, Sampling
from labctl.journal.run_end import as_it_ended, ending, stopped_reason
from labctl.records.cell import Cell
from labctl.runs.summary import status_of_stop
from plans.executor.dry_run import visits
from plans.protocol.protocol import Gapless, Loop, Mark, Protocol, SetTemperature, Soak
from plans.protocol.rated_steps import CcCv

EVERY = Sampling.every(10)
STEP = ConstantCurrent(current_ampere=1e-4, until_time_second=60, sampling=EVERY)
REST = OpenCircuit(until_time_second=60, sampling=EVERY)
PULSE = Gapless(techniques=(STEP, REST))
CC_CV = CcCv(direction="charge", voltage_volt=3.6, current_ampere=1e-4, sampling=EVERY)
PROTOCOLS = {
    "one step": (STEP,),
    "one sequence": (PULSE,),
    "marks at the end": (STEP, REST, Mark()),
    "a loop at the end": (REST, Loop(repeat=3, body=(Mark(), PULSE, STEP))),
    "a loop in a loop": (Loop(repeat=2, body=(STEP, Loop(repeat=3, body=(PULSE, Mark())), Mark())),),
    "a temperature at the end": (STEP, SetTemperature(temperature_celsius=40)),
    "a soak at the end": (SetTemperature(temperature_celsius=40), Soak(until_time_second=60)),
    "ten items": (STEP,) * 10,
}
SUCCESS = {"exit_status": "success", "reason": ""}


def paths(protocol: Protocol, cell: Cell) -> Iterator[str]:
    """`protocol_step` of all steps in turn, by the executor's own walk."""
    for visit in visits(protocol, cell):
        yield from (visit.technique_path(index) for index in range(max(len(visit.techniques), 1)))


def status(protocol: Protocol, row: dict[str, Any] | None, **stop: Any) -> str:
    start = {"protocol": protocol.model_dump(mode="json")}
    return status_of_stop(as_it_ended(start, {**SUCCESS, **stop}, lambda: row))


@pytest.mark.parametrize("items", PROTOCOLS.values(), ids=PROTOCOLS.keys())
def test_only_the_last_step_of_a_protocol_ends_it(items: tuple[Any, ...], coated_cell: Cell) -> None:
    protocol = Protocol(name="any", items=items)
    *before, last = paths(protocol, coated_cell)
    assert status(protocol, None) == "stopped"
    for path in before:
        assert status(protocol, {"protocol_step": path, "end_reason": "time"}) == "stopped", path
    assert status(protocol, {"protocol_step": last, "end_reason": "time"}) == "finished"
    for reason in ("stopped", "paused", "interrupted"):
        assert status(protocol, {"protocol_step": last, "end_reason": reason}) == "stopped"


def test_a_step_that_was_not_held_and_a_rest_after_an_interruption_may_be_the_last() -> None:
    charge = Protocol(name="charge", items=(REST, CC_CV))
    assert status(charge, {"protocol_step": "1.0", "end_reason": "charge"}) == "finished"
    assert status(charge, {"protocol_step": "1.1", "end_reason": "current_below"}) == "finished"
    assert status(charge, {"protocol_step": "1.0", "end_reason": "voltage_above"}) == "stopped"
    pulses = Protocol(name="pulses", items=(Loop(repeat=2, body=(PULSE,)),))
    assert status(pulses, {"protocol_step": "0[1].0.rest", "end_reason": "drift"}) == "finished"
    assert status(pulses, {"protocol_step": "0[0].0.rest", "end_reason": "drift"}) == "stopped"


def test_a_loop_that_ended_early_has_told_so_and_what_is_certain_is_not_asked() -> None:
    protocol = Protocol(name="any", items=(Loop(repeat=9, body=(STEP,)),))
    first = {"protocol_step": "0[0].0", "end_reason": "voltage_above"}
    assert status(protocol, first, reason="loop 0 ended after pass 1: voltage_above") == "finished"
    assert status(protocol, first, protocol_completed=True) == "finished"
    assert status(protocol, first, exit_status="fail") == "failed"
    assert status_of_stop(as_it_ended({"plan_name": "count"}, SUCCESS, lambda: None)) == "finished"


def test_the_stop_document_gets_a_key_that_is_true_or_absent() -> None:
    start, reason = {"protocol": {"items": []}}, stopped_reason(33, 453)
    assert reason == "stopped at step 33 of 453"
    assert stopped_reason(12, 10) == "stopped at step 12 of 12"
    aborted = {"exit_status": "abort", "reason": "aborted by SIGTERM"}
    assert ending(start, {"exit_status": "abort", "reason": reason}, None) == {"stopped": True}
    assert ending(start, aborted, None) == {}
    assert ending(start, {"exit_status": "fail", "reason": "x"}, None) == {}
    assert ending({"plan_name": "count"}, SUCCESS, None) == {}


def test_a_success_that_the_last_step_does_not_bear_out_is_none() -> None:
    """The RunEngine's own stop document, where a second stop has kept the executor from writing it."""
    start = {"protocol": Protocol(name="two", items=(STEP, REST)).model_dump(mode="json")}
    first, last = ({"protocol_step": path, "end_reason": "time"} for path in "01")
    assert ending(start, SUCCESS, first) == ending(start, SUCCESS, None) == {"stopped": True}
    assert ending(start, SUCCESS, last) == {"protocol_completed": True}
    assert ending(start, {**SUCCESS, "reason": "loop 0 ended after pass 1"}, first) == {
        "protocol_completed": True
    }
