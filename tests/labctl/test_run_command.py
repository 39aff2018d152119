"""What `labctl run` says before and after a run."""

from __future__ import annotations

import pytest

from devices.techniques import ConstantCurrent, Sampling
from labctl.commands.run import run_measurement
from labctl.store.service import stop_service
from plans.execute import run_protocol
from plans.protocol import Protocol
from tests.helpers import in_background, wait_until

CHARGE = ConstantCurrent(current_ampere=84e-6, until_time_second=36_000, sampling=Sampling.every(1))


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("error", "; the circuit is open"),
        (
            "silent",
            "; the circuit may still be closed: open it with `labctl off STATION`",
        ),  # no answer to that
    ],
)
def test_a_failed_run_says_whether_the_circuit_was_seen_to_be_open(
    open_sim, capsys: pytest.CaptureFixture[str], fault: str, words: str
) -> None:
    session = open_sim(speed=50.0)
    measurement = run_protocol(session.cycler, Protocol(name="charge", items=(CHARGE,)), cell=session.cell)

    def disturb() -> None:
        wait_until(lambda: session.bench.cell_state()["circuit_closed"])
        session.bench.inject("cycler", fault)

    disturbing = in_background(disturb)
    try:
        assert run_measurement(session, measurement) == 1
    finally:
        stop_service(session.data_directory)
    disturbing.join(10)
    said = " ".join(capsys.readouterr().err.split())
    assert said.endswith(words)
    assert not session.bench.cell_state()["circuit_closed"] or "may still be closed" in said
    session.bench.inject("cycler", "clear")
