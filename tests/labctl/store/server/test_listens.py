"""Who can reach the document store: this machine, and nobody else."""

from __future__ import annotations

from urllib.parse import urlsplit

from labctl.store.client.store import Store
from labctl.store.server.service import find_service
from tests.listening import is_loopback, listening_at


def test_the_service_listens_on_loopback_and_nowhere_else(served: Store) -> None:
    info = find_service(served.data_directory)
    assert info is not None
    there = listening_at(info.pid)
    assert urlsplit(info.uri).port in {port for _, port in there}
    assert [address for address, _ in there if not is_loopback(address)] == []
