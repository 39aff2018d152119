"""Sessions on the whole simulated bench, with die and press, for any of the packaged cells."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from labctl.documents import RunTables, tables
from labctl.records.cell import load_cell
from labctl.records.station import load_station, packaged_config
from labctl.session import Session, open_session
from labctl.store.client.store import Store
from plans.executor.measurement import Measurement


@contextmanager
def press_session(cell: str, directory: Path) -> Iterator[Session]:
    """A fresh bench with the cell of that file name."""
    station = load_station(packaged_config("sim-press.yaml"))
    record = load_cell(packaged_config(f"cells/{cell}.yaml"))
    with open_session(station, record, directory, fresh_bench=True) as session:
        yield session


def stored_run(session: Session, measurement: Measurement) -> RunTables:
    """Run it, and read back what the journal holds."""
    (uid,) = session.RE(measurement)
    return tables(Store(session.data_directory).documents(uid))
