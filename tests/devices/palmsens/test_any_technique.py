"""Any technique within the limits compiles, runs on the emulator, and yields the samples asked for."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from devices.core.techniques import AnyTechnique, ConstantCurrent, OpenCircuit, Sampling
from labctl.records.cell import load_cell
from labctl.records.station import packaged_config
from labctl.session import Session, open_session
from plans.executor.measurement import run_protocol
from plans.protocol.protocol import Protocol
from tests.conftest import simulated_station
from tests.helpers import Documents

intervals = st.sampled_from([0.05, 0.1, 0.2, 0.25, 0.5, 1.0, 5.0, 30.0])
currents = st.floats(1e-6, 2e-4) | st.floats(-2e-4, -1e-6)
counts = st.integers(2, 60)


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    cell = load_cell(packaged_config("cells/lic-ncm.yaml"))
    station = simulated_station(stoichiometry=0.6)
    with open_session(station, cell, tmp_path_factory.mktemp("data"), fresh_bench=True) as opened:
        yield opened


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(interval=intervals, count=counts, current=st.none() | currents)
def test_a_technique_yields_a_sample_at_each_instant_of_its_schedule(
    session: Session, interval: float, count: int, current: float | None
) -> None:
    documents = Documents()
    token = session.RE.subscribe(documents)
    seconds, sampling = count * interval, Sampling.every(interval)
    technique: AnyTechnique = (
        OpenCircuit(until_time_second=seconds, sampling=sampling)
        if current is None
        else ConstantCurrent(current_ampere=current, until_time_second=seconds, sampling=sampling)
    )
    session.RE(run_protocol(session.cycler, Protocol(name="any", items=(technique,)), cell=session.cell))
    session.RE.unsubscribe(token)
    times = documents.stream("timeseries")["step_time_second"]
    scheduled = [interval * n for n in range(1, count + 1)]
    seen = [t for t in times if any(abs(t - s) < 1e-6 for s in scheduled)]
    assert seen == pytest.approx(scheduled)
    assert len(times) <= count + 1  # the first tick is recorded too
    assert documents.stream("steps")["end_reason"] == ["time"]
    net = (current or 0.0) * seconds / 3600
    steps = documents.stream("steps")
    moved = steps["step_charging_capacity_ah"][0] - steps["step_discharging_capacity_ah"][0]
    assert moved == pytest.approx(net, rel=2e-3, abs=1e-12)
