"""What stock Tiled clients and `Store` read of finished and running runs."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from typing import Any

import event_model
import numpy as np
import pytest
from bluesky_tiled_plugins.writing.validator import validate
from tiled.client import from_uri

from labctl.store.client.store import Store
from labctl.store.server.service import ensure_service
from tests.helpers import in_background

WriterOf = Callable[..., Any]


def stock(served: Store) -> Any:
    service = ensure_service(served.data_directory)
    return from_uri(service.uri, api_key=service.api_key)


def wait_for(condition: Callable[[], Any], timeout_second: float = 10) -> Any:
    for _ in range(int(timeout_second / 0.05)):
        if result := condition():
            return result
        threading.Event().wait(0.05)
    raise AssertionError("it did not happen in time")


def rows_of(documents: list[tuple[str, Any]], key: str) -> list[Any]:
    pages = [doc for name, doc in documents if name == "event_page"]
    return [value for page in pages for value in (page["data"] if key != "seq_num" else page)[key]]


def expected(rows: int) -> dict[str, np.ndarray]:
    numbers = np.arange(1, rows + 1)
    return {
        "test_time_second": numbers.astype(float),
        "voltage_volt": np.where(numbers % 7 == 0, math.nan, numbers / 10),
        "step_count": 2**53 + numbers,
        "overload": numbers % 2 == 0,
        "step_type": np.array([f"größe {n % 3}" for n in numbers]),
    }


def test_a_stock_client_reads_a_finished_run_value_for_value(served: Store, writer: WriterOf) -> None:
    run = writer(cell={"id": "lic-1"})
    run.stream()
    run.page(1000)
    run.events(25)
    run.page(3)
    stop = run.stop()
    assert served.wait_until_shipped(run.uid, 20)
    client = stock(served)
    read = client[run.uid]
    data = read["timeseries"].read()
    for key, values in expected(1028).items():
        assert data[key].dtype.kind == values.dtype.kind
        np.testing.assert_array_equal(data[key].values, values)
    assert read.start["cell"] == {"id": "lic-1"}
    assert read.stop == stop
    assert read.metadata["labctl"] == {"rows": {"timeseries": 1028}, "verified": True, "refused": 0}
    assert validate(read, raise_on_error=True)
    client.context.close()


def test_stock_documents_are_valid_and_hold_nan_integers_and_labels(served: Store, writer: WriterOf) -> None:
    run = writer()
    run.stream()
    run.page(2500)
    run.stop()
    assert served.wait_until_shipped(run.uid, 20)
    documents = [(name, doc.to_dict() if hasattr(doc, "to_dict") else dict(doc)) for name, doc in
                 served.client[run.uid].documents()]  # fmt: skip
    assert [name for name, _ in documents] == ["start", "descriptor", *["event_page"] * 3, "stop"]
    for name, doc in documents:
        event_model.schema_validators[event_model.DocumentNames[name]].validate(doc)
    for key, values in expected(2500).items():
        np.testing.assert_array_equal(np.array(rows_of(documents, key)), values)
    assert rows_of(documents, "seq_num") == list(range(1, 2501))


def test_a_running_run_is_read_while_it_grows_and_has_no_stop_document(
    served: Store, writer: WriterOf
) -> None:
    run = writer()
    run.stream()
    run.page(10)
    client = wait_for(lambda: run.uid in served.client and served.client[run.uid])
    wait_for(lambda: "timeseries" in client and len(client["timeseries"].read()["time"]) == 10, 5)
    assert "stop" not in client.metadata
    documents = list(client.documents())
    assert [name for name, _ in documents] == ["start", "descriptor", "event_page"]
    assert [n for n, _ in served.documents(run.uid, "tiled")] == ["start", "descriptor", "event_page"]
    run.page(5)
    wait_for(lambda: len(client["timeseries"].read()["time"]) == 15, 5)
    run.stop()
    assert served.wait_until_shipped(run.uid, 20)
    assert [name for name, _ in served.client[run.uid].documents()][-1] == "stop"


def test_a_run_is_in_tiled_within_five_seconds_of_its_start(served: Store, writer: WriterOf) -> None:
    run = writer()
    run.stream()
    run.page(1)
    read = wait_for(lambda: run.uid in served.client and served.client[run.uid], 5)
    wait_for(lambda: "timeseries" in read and len(read["timeseries"].read()["time"]) == 1, 5)


def test_a_column_that_begins_with_thousands_of_nan_can_be_read(served: Store, writer: WriterOf) -> None:
    run = writer()
    run.stream()
    values = np.where(np.arange(3000) < 2900, math.nan, 3.7)
    run.page(3000, voltage_volt=values)
    run.stop()
    assert served.wait_until_shipped(run.uid, 20)
    read = served.client[run.uid]["timeseries"]
    np.testing.assert_array_equal(read.read()["voltage_volt"].values, values)
    np.testing.assert_array_equal(read["voltage_volt"].read(), values)


def test_journal_and_tiled_give_equal_values(served: Store, writer: WriterOf) -> None:
    run = writer()
    run.stream()
    run.stream("environment")
    for _ in range(5):
        run.page(300)
        run.events(2, "environment")
    run.stop()
    assert served.wait_until_shipped(run.uid, 20)
    for stream in ("timeseries", "environment"):
        one, other = (served.read(run.uid, stream, source) for source in ("journal", "tiled"))
        assert one.keys() == other.keys()
        for key, values in one.items():
            np.testing.assert_array_equal(values, other[key], err_msg=key)
            assert values.dtype.kind == other[key].dtype.kind
    journal, tiled = (list(served.documents(run.uid, source)) for source in ("journal", "tiled"))
    assert journal[0] == tiled[0]
    assert journal[-1] == tiled[-1]
    of_tiled = {doc["name"]: doc for name, doc in tiled if name == "descriptor"}
    for doc in (doc for name, doc in journal if name == "descriptor"):
        assert {key: of_tiled[doc["name"]][key] for key in doc} == doc


def test_pages_from_tiled_come_in_the_order_of_test_time_each_after_its_descriptor(
    served: Store, writer: WriterOf
) -> None:
    run = writer()
    run.stream("environment")
    run.stream()
    for part in range(4):
        begin = np.arange(1500) + part * 1500.0
        wall = 1.7e9 - part * 3600  # the wall clock goes back an hour, again and again
        run.page(1500, wall=wall, test_time_second=begin)
        run.page(15, "environment", wall=wall, test_time_second=begin[::100])
    run.stop()
    assert served.wait_until_shipped(run.uid, 20)
    documents = list(served.documents(run.uid, "tiled"))
    assert [name for name, _ in documents[:3]] == ["start", "descriptor", "descriptor"]
    names = {doc["uid"]: doc["name"] for name, doc in documents if name == "descriptor"}
    pages = [doc for name, doc in documents if name == "event_page"]
    begins = [page["data"]["test_time_second"][0] for page in pages]
    assert begins == sorted(begins)
    assert max(len(page["seq_num"]) for page in pages) <= 1000
    for stream, rows in (("timeseries", 6000), ("environment", 60)):
        times = [t for p in pages if names[p["descriptor"]] == stream for t in p["data"]["test_time_second"]]
        assert times == sorted(times)
        assert len(times) == rows
    lag = [b - p["data"]["test_time_second"][-1] for p, b in zip(pages, begins[1:], strict=False)]
    assert min(lag) > -1001, "no stream runs ahead of another by more than a page"


def test_rows_belong_to_the_descriptor_that_was_valid_when_they_came(served: Store, writer: WriterOf) -> None:
    def configured(amplitude: float, time: float) -> dict[str, Any]:
        key = {"source": "t", "dtype": "number", "shape": []}
        return {
            "data": {"amplitude": amplitude},
            "timestamps": {"amplitude": time},
            "data_keys": {"amplitude": key},
        }

    run = writer()
    first = run.stream(time=1.7e9, **configured(0.01, 1.7e9))
    run.page(10)
    second = run.stream(time=1.7e9 + 10.5, **configured(0.05, 1.7e9 + 10.5))
    run.page(5)
    run.stop()
    assert served.wait_until_shipped(run.uid, 20)
    documents = list(served.documents(run.uid, "tiled"))
    descriptors = [doc for name, doc in documents if name == "descriptor"]
    assert [d["uid"] for d in descriptors] == [first, second]
    amplitudes = [d["configuration"]["cycler_dc"]["data"]["amplitude"] for d in descriptors]
    assert amplitudes == [0.01, 0.05]
    pages = [doc for name, doc in documents if name == "event_page"]
    assert [(p["descriptor"], len(p["seq_num"])) for p in pages] == [(first, 10), (second, 5)]


@pytest.mark.parametrize("source", ["journal", "tiled"])
def test_a_running_run_is_replayed_up_to_now_and_then_followed_to_its_end(
    served: Store, writer: WriterOf, source: Any
) -> None:
    run = writer()
    run.stream()
    run.page(1500)
    wait_for(lambda: run.uid in served.client and "timeseries" in served.client[run.uid])
    seen: list[tuple[str, Any]] = []
    reader = in_background(lambda: seen.extend(served.documents(run.uid, source, live=True)))
    wait_for(lambda: len(rows_of(seen, "seq_num")) == 1500 or not reader.is_alive())
    run.stream("environment")
    run.page(7, "environment")
    run.page(3)
    wait_for(lambda: len(rows_of(seen, "seq_num")) == 1510)
    assert reader.is_alive(), "it waits for the end"
    run.page(2)
    stop = run.stop()
    reader.join(20)
    assert not reader.is_alive()
    assert [name for name, _ in seen if name != "event_page"] == ["start", "descriptor", "descriptor", "stop"]
    assert seen[-1] == ("stop", stop)
    names = {doc["uid"]: doc["name"] for name, doc in seen if name == "descriptor"}
    rows: dict[str, list[int]] = {"timeseries": [], "environment": []}
    for name, doc in seen:
        if name == "event_page":
            rows[names[doc["descriptor"]]] += [int(number) for number in doc["seq_num"]]
    assert rows == {"timeseries": list(range(1, 1506)), "environment": list(range(1, 8))}


@pytest.mark.parametrize("source", ["journal", "tiled"])
def test_a_follower_ends_when_it_is_told_to(served: Store, writer: WriterOf, source: Any) -> None:
    run = writer()
    run.stream()
    run.page(5)
    wait_for(lambda: run.uid in served.client and "timeseries" in served.client[run.uid])
    halt, seen = threading.Event(), []
    documents = served.documents(run.uid, source, live=True, halt=halt)
    reader = in_background(lambda: seen.extend(documents))
    wait_for(lambda: len(seen) >= 3)
    halt.set()
    reader.join(10)
    assert not reader.is_alive()
