"""Comparing journal and Tiled: what is equal is said to be equal, and every kind of difference is named."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest

from labctl.commands.verify import verify_stored
from labctl.errors import ConfigurationError, StoreError
from labctl.store.client.store import Store
from labctl.store.client.verify import Verification, verify_run
from labctl.store.connection import plain_container
from labctl.store.server.service import service_status
from tests.helpers import wait_until

WriterOf = Callable[..., Any]
ROWS = {"timeseries": 4}


def stored(served: Store, run: Any) -> None:
    assert served.wait_until_shipped(run.uid, 30)


def change_line(run: Any, number: int, old: bytes, new: bytes) -> None:
    """Change a line of the journal and give it the right CRC, as if it had been written so."""
    from labctl.journal.format import decode, encode

    path = run.directory / "journal-0000.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    record = decode(lines[number].replace(b"\n", b""))
    text = encode(record["name"], record["doc"])
    assert old in text
    record = json.loads(text.replace(old, new, 1))
    lines[number] = encode(record["name"], record["doc"])
    path.write_bytes(b"".join(lines))


def texts(found: Verification) -> str:
    return "\n".join(found.differences)


def test_a_run_of_several_streams_is_equal_in_every_row(served: Store, writer: WriterOf) -> None:
    run = writer(cell={"id": "lic-1"}, limits={"unknown": float("nan")})
    run.stream()
    run.stream("environment")
    for part in range(12):
        run.page(1000, test_time_second=[part * 1000.0 + n for n in range(1000)])
        run.events(7, "environment", test_time_second=part * 1000.0)
    run.stop()
    stored(served, run)
    found = verify_run(served, run.uid[:10])
    assert texts(found) == ""
    assert found.is_equal
    assert found.rows == {"timeseries": 12_000, "environment": 84}


def test_every_kind_of_difference_is_named_with_its_place(served: Store, writer: WriterOf) -> None:
    run = writer(operator="somebody")
    run.stream()
    run.page(10)
    run.page(10)
    run.page(10)
    run.stop()
    stored(served, run)
    change_line(run, 0, b'"operator":"somebody"', b'"operator":"nobody"')
    change_line(run, 2, b'"voltage_volt":[0.1', b'"voltage_volt":[0.11')
    change_line(run, 3, b'"seq_num":[11,12', b'"seq_num":[10,12')
    path = run.directory / "journal-0000.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:4], lines[4].replace(b'"seq_num":[21', b'"seq_num":[29'), *lines[5:]]))
    found = verify_run(served, run.uid)
    assert not found.is_equal
    assert set(found.differences) == {
        f"journal damaged: {path}: byte {sum(map(len, lines[:4]))}: bad CRC",
        "start document: differs in operator",
        "timeseries: row 1: voltage_volt: 0.11 in the journal, 0.1 in Tiled",
        "timeseries: row 10 is again in the journal, the first row stands",
        "timeseries: row 11 is in Tiled, not in the journal",
        "timeseries: rows 21 to 30 are in Tiled, not in the journal",
    }
    assert found.rows == {"timeseries": 18}


def test_rows_that_tiled_lacks_are_missing_once_the_run_has_ended(served: Store, writer: WriterOf) -> None:
    run = writer()
    run.stream()
    run.page(10)
    run.page(5, voltage_volt=["OVRNG"] * 5)
    run.page(5)
    wait_until(lambda: served.is_answering and run.uid in served.client)
    wait_until(lambda: "timeseries" in served.client[run.uid])
    found = verify_run(served, run.uid)
    assert "not in Tiled" not in texts(found).replace("rows 11 to 15 are in the journal, not in Tiled", "")
    run.stop()
    stored(served, run)
    found = verify_run(served, run.uid)
    [difference] = found.differences  # what no reader can rely on is damage, and not in Tiled either
    assert difference.startswith("journal damaged")
    assert difference.endswith("column voltage_volt: its values do not match its descriptor")
    assert found.rows == {"timeseries": 15}
    [letter] = served.refused(run.uid)
    assert letter.reason.startswith("column voltage_volt")


def test_a_row_that_somebody_added_in_tiled_is_found(served: Store, writer: WriterOf) -> None:
    run = writer()
    run.stream()
    run.page(4)
    run.stop()
    stored(served, run)
    table = plain_container(served.client)[run.uid].base["timeseries"].base["internal"]
    row = pa.Table.from_pandas(table.read().tail(1).assign(seq_num=9), preserve_index=False)
    table.append_partition(0, row)
    assert verify_run(served, run.uid).differences == ("timeseries: row 9 is in Tiled, not in the journal",)


def test_row_counts_that_differ_at_the_end_of_a_run_are_told_by_the_status(
    served: Store, writer: WriterOf
) -> None:
    run = writer()
    run.stream()
    run.page(4)
    wait_until(lambda: service_status(served.data_directory)["runs"].get(run.uid, {}).get("rows") == ROWS)
    table = plain_container(served.client)[run.uid].base["timeseries"].base["internal"]
    row = pa.Table.from_pandas(table.read().tail(1).assign(seq_num=9), preserve_index=False)
    table.append_partition(0, row)
    run.stop()
    stored(served, run)
    [letter] = service_status(served.data_directory)["refused"][run.uid]
    assert letter["reason"] == "Tiled holds {'timeseries': 5} rows, the journal {'timeseries': 4}"
    assert served.client[run.uid].metadata["labctl"]["verified"] is False


def test_without_journal_or_without_tiled_there_is_nothing_to_compare(
    served: Store, writer: WriterOf
) -> None:
    run = writer()
    run.stop()
    stored(served, run)
    away = served.data_directory / f"archived-{run.uid}"
    run.directory.rename(away)
    with pytest.raises(ConfigurationError, match="its journal is not there"):
        verify_run(served, run.uid)
    away.rename(run.directory)
    assert verify_run(served, run.uid).is_equal
    served.client.delete_contents(run.uid, recursive=True, external_only=False)
    with pytest.raises(StoreError, match="not in Tiled"):
        verify_run(served, run.uid)


def test_the_command_says_equal_or_lists_the_differences_and_fails(
    served: Store, writer: WriterOf, capsys: pytest.CaptureFixture[str]
) -> None:
    run = writer()
    run.stream()
    run.page(3)
    run.stop()
    stored(served, run)
    assert verify_stored(run.uid[:12], served.data_directory, as_json=False) == 0
    assert "equal in every document, row and value" in capsys.readouterr().out
    change_line(run, 2, b'"step_count":[9007199254740993', b'"step_count":[1')
    assert verify_stored(run.uid, served.data_directory, as_json=False) == 1
    difference = "timeseries: row 1: step_count: 1 in the journal, 9007199254740993 in Tiled"
    assert difference in capsys.readouterr().out
    assert verify_stored(run.uid, served.data_directory, as_json=True) == 1
    told = json.loads(capsys.readouterr().out)
    assert (told["equal"], told["rows"]) == (False, {"timeseries": 2})
    assert told["differences"] == [difference]
