"""A GITT of 40 pulses, from the wire to rows in the document store, beside the journal alone."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from benchmarks.table import Beside, Goal, Row
from labctl.records.cell import load_cell
from labctl.records.station import load_station, packaged_config
from labctl.session import open_session
from labctl.store.client.store import Store
from labctl.store.server.service import ensure_service, stop_service
from plans.gitt import gitt

PULSES = 40


def gitt_to_store() -> list[Row]:
    """Wall seconds until every row is in the store; the service runs before, as it does in a lab."""
    station, cell = (
        load_station(packaged_config("sim.yaml")),
        load_cell(packaged_config("cells/lic-ncm.yaml")),
    )
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder)
        ensure_service(data)
        try:
            with open_session(station, cell, data, fresh_bench=True) as session:
                began = time.perf_counter()
                session.RE(gitt(session.cycler, cell=cell, pulses=PULSES, direction="charge"))
                measured = time.perf_counter() - began
                uid = session.journal.run_uid
            assert uid is not None
            with Store(data) as store:
                assert store.wait_until_shipped(uid, 60)
            stored = time.perf_counter() - began
        finally:
            stop_service(data)
    meaning = (
        "What a simulated GITT of 40 pulses (90 h of cell time) takes, over the wire and into the "
        "document store; hence how soon a procedure is tried out."
    )
    alternative = Beside("the same until all is in the journal", measured)
    return [Row("40-pulse GITT, wire to store", stored, "s", meaning, (alternative,), Goal(most=60))]
