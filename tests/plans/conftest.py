"""What the tests of several plans share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from labctl.records.cell import Cell, load_cell
from labctl.records.station import packaged_config
from labctl.session import Session, open_session
from tests.conftest import simulated_station


@pytest.fixture(scope="session")
def bare_cell() -> Cell:
    return load_cell(packaged_config("cells/bare-ncm.yaml"))


@pytest.fixture(scope="module")
def idle(coated_cell: Cell, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    """A session without a bench, as a dry run has: for what is refused before any command leaves."""
    directory: Path = tmp_path_factory.mktemp("idle")
    with open_session(simulated_station(), coated_cell, directory, connect=False) as session:
        yield session
