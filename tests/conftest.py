"""A private simulated station for every test that needs one: real driver, real socket, real bench process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from labctl.records.cell import Cell, load_cell
from labctl.records.station import Station, load_station, packaged_config
from labctl.session import Session, open_session
from tests.helpers import Documents

settings.register_profile("labctl", deadline=None)  # machines are slow at times; that is no failure
settings.load_profile("labctl")


@pytest.fixture(scope="session")
def coated_cell() -> Cell:
    return load_cell(packaged_config("cells/lic-ncm.yaml"))


def simulated_station(**simulate: Any) -> Station:
    """The packaged simulated station with other settings of its bench."""
    station = load_station(packaged_config("sim.yaml"))
    assert station.simulate is not None
    changed = station.simulate.model_copy(update={"stoichiometry": 0.70, **simulate})
    return station.model_copy(update={"simulate": changed})


@pytest.fixture
def open_sim(tmp_path: Path, coated_cell: Cell) -> Iterator[Callable[..., Session]]:
    """Open sessions on fresh benches; `open_sim(speed=200.0)` paces virtual time."""
    with ExitStack() as stack:

        def opener(*, data: Path | None = None, cell: Cell | None = None, **simulate: Any) -> Session:
            station = simulated_station(**simulate)
            directory = data or tmp_path / "data"
            return stack.enter_context(
                open_session(station, cell or coated_cell, directory, fresh_bench=True)
            )

        yield opener


@pytest.fixture
def documents() -> Documents:
    return Documents()
