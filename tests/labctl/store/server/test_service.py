"""The service process: found, started once, ended, replaced; and what it says when it cannot start."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from labctl.errors import StoreError
from labctl.platform import is_locked
from labctl.store.client.store import Store
from labctl.store.server.service import ensure_service, find_service, service_status, stop_service

ENSURE = """
import sys
from pathlib import Path
from labctl.store.server.service import ensure_service
print(ensure_service(Path(sys.argv[1])).pid)
"""


@pytest.mark.slow
def test_many_who_need_it_at_once_get_one_service_which_goes_with_its_directory(tmp_path: Path) -> None:
    data = tmp_path / "data"
    children = [
        subprocess.Popen([sys.executable, "-c", ENSURE, str(data)], stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    pids = {int(child.communicate(timeout=100)[0]) for child in children}
    service = ensure_service(data)
    assert pids == {service.pid}
    assert service.pid not in (os.getpid(), *(child.pid for child in children))
    assert service_status(data)["pid"] == service.pid
    assert service.api_key not in str(service_status(data))
    data.rename(tmp_path / "away")
    for _ in range(200):
        if not is_locked(tmp_path / "away" / "store" / "service.lock"):
            break
        threading.Event().wait(0.1)
    assert find_service(tmp_path / "away") is None
    assert not is_locked(tmp_path / "away" / "store" / "service.lock")


def test_a_service_that_cannot_start_says_why(tmp_path: Path) -> None:
    (tmp_path / "store" / "tables.db").mkdir(parents=True)
    with pytest.raises(
        StoreError, match=r"does not start: sqlite3.OperationalError: unable to open .*service\.log"
    ):
        ensure_service(tmp_path)


@pytest.mark.parametrize(
    "content", [b"", b"{", b'{"pid": 1}', b'{"pid": "x", "port": "y", "api_key": 1}', b"[]"]
)
def test_a_damaged_or_stale_note_of_the_service_counts_as_none(tmp_path: Path, content: bytes) -> None:
    store = tmp_path / "store"
    store.mkdir()
    (store / "service.json").write_bytes(content)
    assert find_service(tmp_path) is None
    assert service_status(tmp_path)["running"] is False
    stop_service(tmp_path)


def test_the_key_of_a_dead_service_is_not_sent_to_whoever_has_its_port_now(tmp_path: Path) -> None:
    store = tmp_path / "store"
    store.mkdir()
    (store / "service.json").write_bytes(b'{"pid": %d, "port": 9, "api_key": "k"}' % os.getpid())
    (store / "service.lock").write_text(str(os.getpid()))
    assert find_service(tmp_path) is None


def test_a_frozen_service_is_not_taken_for_an_answering_one(served: Store) -> None:
    service = ensure_service(served.data_directory)
    os.kill(service.pid, signal.SIGSTOP)
    try:
        assert find_service(served.data_directory) is None
    finally:
        os.kill(service.pid, signal.SIGCONT)
    assert ensure_service(served.data_directory).pid == service.pid
