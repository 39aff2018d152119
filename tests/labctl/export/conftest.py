"""One measured run for all tests of exchange: samples, spectra, temperature and pressure, simulated."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from devices.core.techniques import ConstantCurrent, Impedance, OpenCircuit, Sampling
from labctl.documents import RunTables, tables
from labctl.records.cell import load_cell
from labctl.records.station import load_station, packaged_config
from labctl.session import open_session
from labctl.store.client.store import Store
from plans.executor.measurement import run_protocol
from plans.protocol.protocol import Gapless, Loop, Mark, Protocol

RELAXATION = Sampling.staged((0.2, 10), (5, None))
CAMPAIGN = "campaign 7/b"


@dataclass(frozen=True)
class Measured:
    """A stored run, and what is in it."""

    store: Store
    uid: str
    tables: RunTables


def _protocol() -> Protocol:
    pulse = ConstantCurrent(current_ampere=84e-6, until_time_second=600, sampling=RELAXATION)
    rest = OpenCircuit(until_time_second=1800, sampling=RELAXATION)
    spectrum = {"frequency_max_hertz": 1e5, "frequency_min_hertz": 1, "points_per_decade": 6}
    items = (
        OpenCircuit(until_time_second=600, sampling=RELAXATION),
        Mark(),
        Loop(repeat=3, body=(Gapless(techniques=(pulse, rest)),)),
        Impedance(mode="potentiostatic", amplitude_rms_volt=0.01, **spectrum),
        Impedance(mode="galvanostatic", amplitude_rms_ampere=1e-5, **spectrum),
    )
    return Protocol(name="gitt / with EIS", items=items)


@pytest.fixture(scope="session")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Measured:
    data = tmp_path_factory.mktemp("measured")
    station = load_station(packaged_config("sim-press.yaml"))
    cell = load_cell(packaged_config("cells/lic-ncm.yaml"))
    with open_session(station, cell, data, fresh_bench=True) as session:
        session.RE(
            run_protocol(
                session.cycler,
                _protocol(),
                cell=cell,
                environment=session.environment,
                metadata={"campaign_uid": CAMPAIGN},
            )
        )
        uid = session.journal.run_uid
    store = Store(data)
    assert uid is not None
    return Measured(store, uid, tables(store.documents(uid)))
