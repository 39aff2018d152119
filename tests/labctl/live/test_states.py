"""A measurement that is paused is shown as paused, in the window and in the list, and as running after it."""

from __future__ import annotations

import threading
import time
from typing import Any

from bluesky.utils import RunEngineInterrupted

from devices.core.techniques import ConstantCurrent, Sampling
from labctl.journal.reader import follow
from labctl.live.model.newest import NewestReader
from labctl.live.model.run_model import RunModel
from labctl.live.model.status import State, describe
from labctl.live.model.watch import state_now
from labctl.runs.listing import summary_of
from labctl.session import Session
from plans.executor.measurement import run_protocol
from plans.protocol.protocol import Protocol
from tests.helpers import wait_until

SPEED = 100.0
PULSE_SECOND = 1200


def test_a_run_that_is_paused_says_so_until_it_goes_on(open_sim: Any) -> None:
    session = open_sim(speed=SPEED)
    current = ConstantCurrent(
        current_ampere=84e-6, until_time_second=PULSE_SECOND, sampling=Sampling.every(1)
    )
    protocol = Protocol(name="one pulse", items=(current,))
    interrupted = threading.Event()

    def measure() -> None:
        try:
            session.RE(run_protocol(session.cycler, protocol, cell=session.cell))
        except RunEngineInterrupted:
            interrupted.set()

    thread = threading.Thread(target=measure, daemon=True)
    thread.start()
    wait_until(lambda: len(shown(session).timeseries) > 0)
    assert states(session) == ("running", "running")
    session.RE.request_pause()
    assert interrupted.wait(20)
    thread.join(20)
    assert states(session) == ("paused", "paused")
    session.bench.set_speed("max")
    session.RE.resume()
    assert states(session) == ("finished", "finished")


def shown(session: Session) -> RunModel:
    model = RunModel()
    directory = session.journal.run_directory
    if directory is not None:
        for name, doc in follow(directory, live=False):
            model.feed(name, doc)
    return model


def states(session: Session) -> tuple[State, State]:
    """The state in the window and that in the list of channels."""
    directory, now = session.journal.run_directory, time.time()
    assert directory is not None
    listed = state_now(summary_of(directory), NewestReader(directory).read(), now)
    return describe(shown(session), now_unix_second=now).state, listed
