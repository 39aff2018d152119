"""Runs of a format that only a newer labctl can read, in the document store and on the way to it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from labctl.commands.verify import verify_stored
from labctl.errors import NewerFormatError
from labctl.journal.reader import first_document
from labctl.runs.query import RunQuery
from labctl.store.client.store import Store
from labctl.store.connection import plain_container
from labctl.store.server.service import shipper_status, stop_service
from labctl.store.ship.nodes import RunNode
from tests.helpers import wait_until
from tests.labctl.test_formats import NEWER, set_number
from tests.old_version import RUNS, run_named, unpacked

KEPT = "0" * 36  # a run of a newer format that only the store has


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    data = unpacked(tmp_path)
    set_number(run_named(data, "gitt").directory, NEWER)
    with Store(data) as made:
        yield made
    stop_service(data)


def test_a_newer_run_waits_for_a_newer_labctl_and_the_others_are_shipped(store: Store) -> None:
    data, uid = store.data_directory, RUNS["gitt"]
    assert store.wait_until_shipped(RUNS["spectrum"], 60.0)
    wait_until(lambda: uid in shipper_status(data)["runs"], 20)
    wait_until(lambda: "format = 3" in shipper_status(data)["runs"][uid]["error"], 20)
    assert shipper_status(data)["runs"][uid]["refused"] == 0  # nothing went to the dead letters
    assert uid not in store.client
    with pytest.raises(NewerFormatError, match="format = 3: this labctl reads up to 2"):
        list(store.documents(uid))

    start = {**first_document(run_named(data, "gitt").directory), "uid": KEPT, "time": 1.9e9}
    RunNode(plain_container(store.client), start)
    with pytest.raises(NewerFormatError, match=f"run {KEPT} in Tiled: format = 3: this labctl reads up to 2"):
        list(store.documents(KEPT, source="tiled"))
    (newest, *_) = store.runs()
    assert (newest.uid, newest.status, newest.source) == (KEPT, "unreadable", "tiled")
    assert "format = 3" in newest.reason
    found = {run.uid for run in store.runs(RunQuery(status="unreadable"))}
    assert found == {KEPT, uid}
    with pytest.raises(NewerFormatError, match="format = 3"):
        verify_stored(uid, data, as_json=False)
