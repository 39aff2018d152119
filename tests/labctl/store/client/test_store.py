"""Finding runs in the store, and runs that came there in other ways."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
import numpy as np
import pytest
from bluesky import RunEngine
from bluesky.plans import count
from bluesky_tiled_plugins import TiledWriter
from ophyd import Device
from ophyd.sim import det
from ophyd.status import DeviceStatus

from labctl.errors import ConfigurationError
from labctl.journal.writer import Journal
from labctl.store.client.store import Store
from labctl.store.server.service import ensure_service

WriterOf = Callable[..., Any]


class Flyer(Device):
    """A flyer as the cyclers are: pages of samples, collected after a kickoff."""

    def kickoff(self) -> DeviceStatus:
        return self._done()

    def complete(self) -> DeviceStatus:
        return self._done()

    def _done(self) -> DeviceStatus:
        status = DeviceStatus(self)
        status.set_finished()
        return status

    def describe_collect(self) -> dict[str, Any]:
        key = {"source": "t", "dtype": "number", "dtype_numpy": "<f8", "shape": [], "units": "V"}
        return {"voltage_volt": key}

    def collect_pages(self) -> Iterator[dict[str, Any]]:
        for first in (0, 1000):
            values = list(np.arange(first, first + 1000) * 0.001)
            times = [1.7e9] * 1000
            yield {"data": {"voltage_volt": values}, "timestamps": {"voltage_volt": times}, "time": times}


def test_a_flyer_of_the_run_engine_goes_from_journal_to_tiled(served: Store) -> None:
    engine, journal = RunEngine({}, context_managers=[]), Journal(served.data_directory)
    engine.subscribe(journal)
    flyer = Flyer(name="cycler_dc")

    @bpp.run_decorator(md={"plan_name": "fly"})
    def plan() -> Any:
        yield from bps.declare_stream(flyer, name="timeseries", collect=True)
        yield from bps.kickoff(flyer, wait=True)
        yield from bps.complete(flyer, wait=True)
        yield from bps.collect(flyer, name="timeseries", return_payload=False)

    engine(plan())
    journal.close()
    assert served.wait_until_shipped("last", 20)
    read = served.client[journal.run_uid]["timeseries"].read()
    np.testing.assert_array_equal(read["voltage_volt"].values, np.arange(2000) * 0.001)


def test_runs_are_found_by_plan_cell_and_uid(served: Store, writer: WriterOf) -> None:
    uids = []
    for plan, cell in (("rate_test", "bare-3"), ("rate_test", "lic-3"), ("dcir", "lic-3")):
        run = writer(plan_name=plan, cell={"id": cell})
        run.stop()
        uids.append(run.uid)
        assert served.wait_until_shipped(run.uid, 20)
    assert set(served.search(plan_name="rate_test")) == set(uids[:2])
    assert set(served.search(cell="lic-3")) == set(uids[1:])
    assert set(served.search(plan_name="rate_test", cell="lic-3")) == {uids[1]}
    assert set(served.search(uid=uids[2][:8])) == {uids[2]}
    with pytest.raises(ConfigurationError, match="letters, digits and hyphens"):
        served.search(uid="%")


def test_a_run_whose_journal_is_gone_is_read_from_tiled(served: Store, writer: WriterOf) -> None:
    run = writer()
    run.stream()
    run.page(10)
    run.stop()
    assert served.wait_until_shipped(run.uid, 20)
    run.directory.rename(served.data_directory / f"archived-{run.uid}")
    assert served.resolve(run.uid[:12]) == run.uid
    assert [name for name, _ in served.documents(run.uid)] == ["start", "descriptor", "event_page", "stop"]
    assert len(served.read(run.uid, "timeseries")["voltage_volt"]) == 10
    with pytest.raises(ConfigurationError, match="its journal is not there"):
        served.documents(run.uid, "journal")


def test_what_is_not_there_is_said_with_what_is(served: Store, writer: WriterOf) -> None:
    run = writer()
    run.stream()
    run.page(1)
    run.stop()
    assert served.wait_until_shipped(run.uid, 20)
    for source in ("journal", "tiled"):
        with pytest.raises(ConfigurationError, match="stream = 'impedance': this run has timeseries"):
            served.read(run.uid, "impedance", source)
    with pytest.raises(ConfigurationError, match="no such run"):
        served.documents("ffffffff-0000")
    with pytest.raises(ConfigurationError, match="source = 'web': 'auto', 'journal' or 'tiled'"):
        served.documents(run.uid, "web")  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="a uid or its beginning"):
        served.documents("../../etc/passwd")


def test_the_service_demands_its_key_and_listens_on_loopback_only(served: Store) -> None:
    service = ensure_service(served.data_directory)
    assert service.uri.startswith("http://127.0.0.1:")
    assert service.api_key not in repr(service)
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(f"{service.uri}/metadata/")
    for name in ("service.json", "api-key"):
        path = served.data_directory / "store" / name
        assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_a_run_that_tiled_writer_put_there_is_read_the_same_way(served: Store) -> None:
    engine = RunEngine({}, context_managers=[])
    writer = TiledWriter(served.client, batch_size=1)
    engine.subscribe(writer)
    (uid,) = engine(count([det], 3))
    assert served.client[uid]["primary"].read()["det"].shape == (3,)
    documents = list(served.documents(uid, "tiled"))
    assert [name for name, _ in documents] == ["start", "descriptor", "event_page", "stop"]
    assert documents[2][1]["seq_num"] == [1, 2, 3]
