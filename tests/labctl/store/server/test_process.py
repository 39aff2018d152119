"""The Tiled server of the service: several writers, long tables, other formats; and what the status says."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from labctl.commands.store import show_status
from labctl.errors import ConfigurationError
from labctl.store.client.store import Store
from labctl.store.connection import connect, plain_container
from labctl.store.server.service import ensure_service
from tests.helpers import wait_until

WriterOf = Callable[..., Any]
APPENDS, ROWS = 6, 20_000


def append_many(served: Store, key: str, errors: list[Exception]) -> None:
    schema = pa.schema([("seq_num", pa.int64()), ("value", pa.float64())])
    service = ensure_service(served.data_directory)
    client = connect(service.uri, service.api_key)
    try:
        node = plain_container(client).create_container(key=key, metadata={}, specs=[])
        table = plain_container(node).create_appendable_table(schema=schema, key="t", metadata={})
        for number in range(APPENDS):
            rows = np.arange(number * ROWS, (number + 1) * ROWS)
            table.append_partition(0, pa.table([rows, rows * 0.5], schema=schema))
    except Exception as error:  # noqa: BLE001  told by the test
        errors.append(error)
    finally:
        client.context.close()


def test_several_clients_write_at_once_and_none_is_turned_away(served: Store) -> None:
    errors: list[Exception] = []
    keys = [f"writer-{number}" for number in range(4)]
    threads = [threading.Thread(target=append_many, args=(served, key, errors)) for key in keys]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(100)
    assert errors == []
    root = plain_container(served.client)
    for key in keys:
        assert len(root[key]["t"].read(["seq_num"])) == APPENDS * ROWS
        root.delete_contents(key, recursive=True, external_only=False)


def resident_byte(pid: int) -> int:
    status = Path(f"/proc/{pid}/status")
    if not status.exists():
        pytest.skip("needs /proc")
    return int(status.read_text().split("VmHWM:")[1].split()[0]) * 1024


def test_reading_a_long_table_costs_the_service_no_memory(served: Store, writer: WriterOf) -> None:
    pid = ensure_service(served.data_directory).pid
    run = writer()
    run.stream()
    for _ in range(200):
        run.page(1000)
    run.stop()
    assert served.wait_until_shipped(run.uid, 60)
    before = resident_byte(pid)
    table = plain_container(served.client)[run.uid].base["timeseries"].base["internal"]
    assert len(table.read()) == 200_000
    assert sum(
        len(doc["seq_num"]) for name, doc in served.documents(run.uid, "tiled") if name == "event_page"
    ) == (200_000)
    csv = {"format": "text/csv"}
    service = ensure_service(served.data_directory)
    key = {"Authorization": f"Apikey {service.api_key}"}
    with httpx.stream("GET", table.item["links"]["full"], params=csv, headers=key, timeout=60) as answer:
        assert answer.raise_for_status()
        assert sum(chunk.count(b"\n") for chunk in answer.iter_bytes()) == 200_001
    one_copy = 200_000 * len(table.columns) * 8
    assert resident_byte(pid) - before < one_copy, "not even one copy of the table was held"


def test_a_table_can_be_had_in_other_formats_and_column_by_column(served: Store, writer: WriterOf) -> None:
    run = writer()
    run.stream()
    run.page(50)
    run.stop()
    assert served.wait_until_shipped(run.uid, 20)
    service = ensure_service(served.data_directory)
    full = f"{service.uri}/table/full/{run.uid}/timeseries/internal"
    headers = {"Authorization": f"Apikey {service.api_key}"}
    text = httpx.get(
        full, params={"format": "text/csv", "column": ["seq_num", "voltage_volt"]}, headers=headers
    )
    frame = pd.read_csv(io.StringIO(text.raise_for_status().text))
    assert frame["seq_num"].to_list() == list(range(1, 51))
    assert np.isnan(frame["voltage_volt"][6])
    assert frame["voltage_volt"][0] == 0.1
    told = httpx.get(full, params={"format": "application/json"}, headers=headers).raise_for_status().json()
    assert told["step_type"][:2] == ["größe 1", "größe 2"]
    read = served.client[run.uid]["timeseries"]
    np.testing.assert_array_equal(read["step_count"].read(), 2**53 + np.arange(1, 51))


def test_an_answer_is_not_taken_from_a_cache_once_rows_have_come(served: Store, writer: WriterOf) -> None:
    run = writer()
    run.stream()
    run.page(5)
    service = ensure_service(served.data_directory)
    headers = {"Authorization": f"Apikey {service.api_key}"}
    uri = f"{service.uri}/table/full/{run.uid}/timeseries/internal"

    def ask(**more: str) -> httpx.Response:
        return httpx.get(uri, params={"format": "text/csv"}, headers={**headers, **more})

    wait_until(lambda: ask().text.count("\n") == 6)
    tag = ask().headers["ETag"]
    assert ask(**{"If-None-Match": tag}).status_code == httpx.codes.NOT_MODIFIED
    run.page(5)
    wait_until(lambda: ask(**{"If-None-Match": tag}).text.count("\n") == 11)


def test_the_status_tells_a_person_what_was_refused_and_why(
    served: Store, writer: WriterOf, capsys: pytest.CaptureFixture[str]
) -> None:
    run = writer()
    run.stream()
    run.page(10)
    run.page(10, voltage_volt=["OVRNG"] * 10)
    run.write("resource", {"uid": "r"})
    run.stop()
    assert served.wait_until_shipped(run.uid, 20)
    show_status(served.data_directory, as_json=False)
    text = " ".join(capsys.readouterr().out.split())
    assert "running yes, process" in text
    assert "column voltage_volt" in text.replace("│", "")
    show_status(served.data_directory, as_json=True)
    told = json.loads(capsys.readouterr().out)
    reasons = [letter["reason"] for letter in told["refused"][run.uid]]
    assert any(reason.startswith("column voltage_volt") for reason in reasons)
    assert "external data are not shipped" in reasons
    assert (told["running"], told["lab_wide"], told["error"]) == (True, False, "")


def test_the_status_of_a_directory_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="does not exist; name one with --data or LABCTL_DATA"):
        show_status(tmp_path / "nothing", as_json=False)
