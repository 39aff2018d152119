"""Shipping under adversity: lost answers, killed processes, refused documents. Rows equal, none twice."""

from __future__ import annotations

import os
import signal
import threading
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from tiled.client import from_uri

from labctl.runs.listing import find_run
from labctl.runs.recovery import recover
from labctl.store.client.store import Store
from labctl.store.connection import ServiceInfo, plain_container
from labctl.store.server.service import (
    ensure_service,
    find_service,
    service_status,
    shipper_status,
    stop_service,
)
from labctl.store.ship.nodes import UnavailableError
from labctl.store.ship.run_shipper import RunShipper
from tests.helpers import wait_until
from tests.labctl.store.fault_proxy import FaultProxy

WriterOf = Callable[..., Any]


def stored(store: Store, uid: str, stream: str = "timeseries") -> list[int]:
    table = plain_container(store.client)[uid].base[stream].base["internal"]
    return table.read(["seq_num"])["seq_num"].to_list()


def port_of(service: ServiceInfo) -> int:
    return int(service.uri.split(":")[2].split("/")[0])


def letters(store: Store, uid: str) -> list[dict[str, Any]]:
    path = store.data_directory / "store" / "refused" / f"{uid}.jsonl"
    return [orjson.loads(line) for line in path.read_bytes().splitlines()] if path.exists() else []


@pytest.fixture
def lossy(served: Store) -> Iterator[tuple[FaultProxy, Any]]:
    """A proxy before the service that loses three answers, and a client that goes through it."""
    service = ensure_service(served.data_directory)
    proxy = FaultProxy(port_of(service))
    proxy.mode, proxy.losses = "lose", 3
    client = from_uri(proxy.uri, api_key=service.api_key)
    yield proxy, client
    client.context.close()
    proxy.close()


def test_appends_whose_answer_is_lost_are_neither_repeated_nor_forgotten(
    served: Store, lossy: tuple[FaultProxy, Any], tmp_path: Path, run_writer: Any
) -> None:
    proxy, client = lossy
    run = run_writer(tmp_path)  # in a directory that the service does not look at
    run.stream()
    for _ in range(3):
        run.page(1000)
        run.events(10)
    run.stop()
    shipper = RunShipper(plain_container(client), run.directory, tmp_path / "refused")
    lost = 0
    for _ in range(50):
        if shipper.state == "complete":
            break
        try:
            shipper.advance(2, flush_period_second=0)
        except UnavailableError:
            lost += 1
    assert proxy.lost == lost == 3
    assert stored(served, run.uid) == list(range(1, 3031))
    assert served.client[run.uid].metadata["labctl"]["verified"] is True


def test_the_database_refuses_a_row_that_is_already_there(served: Store, writer: WriterOf) -> None:
    run = writer()
    run.stream()
    run.page(5)
    run.stop()
    assert served.wait_until_shipped(run.uid, 20)
    table = plain_container(served.client)[run.uid].base["timeseries"].base["internal"]
    rows = table.read()
    with pytest.raises(Exception, match=r"409|500"):
        table.append_partition(0, rows)
    assert stored(served, run.uid) == [1, 2, 3, 4, 5]


def test_a_document_that_cannot_be_stored_is_kept_with_the_reason_and_the_others_go_on(
    served: Store, writer: WriterOf
) -> None:
    run = writer()
    array = {"source": "t", "dtype": "array", "dtype_numpy": "<f8", "shape": [3]}
    run.stream(keys={"spectrum": array, "V(cell)": {"source": "t", "dtype": "number", "shape": []}})
    more = {"spectrum": [[1.0, 2.0, 3.0]] * 10, "V(cell)": [1.0] * 10}
    run.page(10, **more)
    run.page(10, **more, voltage_volt=["OVRNG"] * 10)
    run.page(10, **more)
    one = {"spectrum": [1.0, 2.0, 3.0], "V(cell)": 1.0}
    run.events(3, **one)
    run.events(1, **one, step_count=2.5)
    run.events(1, **one)
    run.write("event", {"descriptor": "unknown", "uid": "x", "seq_num": 1, "data": {}, "timestamps": {}})
    run.write("resource", {"uid": "r", "spec": "TIFF"})
    run.stop()
    assert served.wait_until_shipped(run.uid, 20)
    assert stored(served, run.uid) == [*range(1, 11), *range(21, 34), 35]
    report = served.client[run.uid].metadata["labctl"]
    assert report == {"rows": {"timeseries": 24}, "verified": True, "refused": 6}
    reasons = {letter["key"].split(":")[0]: letter["reason"] for letter in letters(served, run.uid)}
    assert "scalars" in next(e["reason"] for e in letters(served, run.uid) if "spectrum" in e["key"])
    assert "letters, digits" in next(e["reason"] for e in letters(served, run.uid) if "V(cell)" in e["key"])
    assert reasons["event_page"].startswith("column voltage_volt")
    assert reasons["resource"] == "external data are not shipped"
    refused = [e for e in letters(served, run.uid) if e["name"].startswith("event")]
    assert [e["doc"]["seq_num"] for e in refused] == [list(range(11, 21)), 34, 1]
    assert served.client[run.uid]["timeseries"].read()["voltage_volt"].shape == (24,)


def test_rows_that_repeat_a_seq_num_go_to_the_dead_letters(served: Store, writer: WriterOf) -> None:
    run = writer()
    run.stream()
    run.page(10)
    run.repeat(4)
    run.page(6)
    run.stop()
    assert served.wait_until_shipped(run.uid, 20)
    assert stored(served, run.uid) == list(range(1, 13))
    [letter] = letters(served, run.uid)
    assert letter["doc"]["seq_num"] == [7, 8, 9, 10]
    assert "repeated" in letter["reason"]


def test_damaged_lines_are_skipped_and_the_rest_arrives(
    served: Store, tmp_path: Path, run_writer: Any
) -> None:
    run = run_writer(tmp_path)
    run.stream()
    for _ in range(4):
        run.page(10)
    run.stop()
    path = run.directory / "journal-0000.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    lines[3] = lines[3].replace(b'"seq_num":[11', b'"seq_num":[12')
    path.write_bytes(b"".join(lines))
    run.directory.rename(next((served.data_directory / "runs").glob("*-*-*")) / run.uid)
    assert served.wait_until_shipped(run.uid, 20)
    assert stored(served, run.uid) == [*range(1, 11), *range(21, 41)]


def test_an_interrupted_run_is_shipped_and_its_stop_follows_when_it_is_recovered(
    served: Store, writer: WriterOf
) -> None:
    run = writer()
    run.stream()
    run.page(20)
    run.events(5)
    run.die()
    assert served.wait_until_shipped(run.uid, 20)
    assert stored(served, run.uid) == list(range(1, 26))
    assert "stop" not in served.client[run.uid].metadata
    assert find_run(served.data_directory, run.uid).status == "interrupted"
    assert run.uid in [r.uid for r in recover(served.data_directory)]
    for _ in range(100):
        if "stop" in (metadata := served.client[run.uid].metadata):
            break
        threading.Event().wait(0.1)
    assert metadata["stop"]["exit_status"] == "abort"
    assert metadata["stop"]["num_events"] == {"timeseries": 25}
    assert stored(served, run.uid) == list(range(1, 26))


def test_a_start_document_of_a_megabyte_is_stored(served: Store, writer: WriterOf) -> None:
    protocol = "x" * 1_000_000
    run = writer(protocol=protocol, limits={"voltage_max_volt": np.float64(4.3), "unknown": float("nan")})
    run.stop()
    assert served.wait_until_shipped(run.uid, 20)
    start = served.client[run.uid].start
    assert start["protocol"] == protocol
    assert start["limits"] == {"voltage_max_volt": 4.3, "unknown": None}


def killed_once_it_ships(data: Path) -> ServiceInfo:
    """Start the service, kill -9 it when the first rows are in Tiled."""
    service = ensure_service(data)

    def ships() -> bool:
        told = shipper_status(data)
        return told["complete"] > 0 or any(sum(run["rows"].values()) for run in told["runs"].values())

    wait_until(ships, 30)
    os.kill(service.pid, signal.SIGKILL)
    while find_service(data) is not None:
        threading.Event().wait(0.01)
    return service


@pytest.mark.slow
def test_kill_9_of_the_service_and_moving_its_directory_lose_and_repeat_nothing(
    tmp_path: Path, run_writer: Any
) -> None:
    data, moved = tmp_path / "here", tmp_path / "there"
    backlog, live = run_writer(data), run_writer(data)
    for run in (backlog, live):
        run.stream()
    for _ in range(150):
        backlog.page(400)
    backlog.stop()
    live.page(100)
    before = killed_once_it_ships(data)
    live.page(100)
    assert service_status(data)["running"] is False
    data.rename(moved)
    after = ensure_service(moved)
    assert after.pid != before.pid
    assert (after.uri, after.api_key) == (before.uri, before.api_key)
    live.page(100)
    live.stop()
    with Store(moved) as store:
        for run, count in ((backlog, 60_000), (live, 300)):
            assert store.wait_until_shipped(run.uid, 60)
            assert stored(store, run.uid) == list(range(1, count + 1))
            assert store.client[run.uid].metadata["labctl"]["verified"] is True
    stop_service(moved)
    assert find_service(moved) is None


def test_journals_that_somebody_forged_do_not_keep_the_others_from_tiled(
    served: Store, writer: WriterOf
) -> None:
    def checked(body: bytes) -> bytes:
        return b'%s,"crc":"%08x"}\n' % (body[:-1], zlib.crc32(body))

    deep = b'{"name":"start","doc":{"uid":"%s","time":1e9,"a":' + b"[" * 600 + b"]" * 600 + b"}}"
    forged = {
        "forged-deep": checked(deep.replace(b"%s", b"forged-deep"))
        + checked(b'{"name":"resource","doc":{}}'),
        "forged-uid": checked(b'{"name":"start","doc":{"uid":"another","time":1e9}}'),
        "forged-types": checked(b'{"name":"start","doc":{"uid":"forged-types","time":"now"}}')
        + checked(b'{"name":"descriptor","doc":{"uid":"d","name":"s","data_keys":{"x":7}}}')
        + checked(b'{"name":"event","doc":{"descriptor":"d","data":{"x":1}}}')
        + checked(b'{"name":"stop","doc":{"num_events":[]}}'),
    }
    day = served.data_directory / "runs" / "2026-01-01"
    for uid, content in forged.items():
        (day / uid).mkdir(parents=True)
        (day / uid / "journal-0000.jsonl").write_bytes(content)
    run = writer()
    run.stream()
    run.page(10)
    run.stop()
    assert served.wait_until_shipped(run.uid, 20)
    for uid in forged:  # the service looks at a day as old as this once a minute
        shipper = RunShipper(plain_container(served.client), day / uid, served.data_directory / "refused 2")
        for _ in range(5):
            shipper.advance(100, 0.0)
        shipper.close()
        assert shipper.state == "complete" or (shipper.state == "interrupted" and shipper.refused > 0)
