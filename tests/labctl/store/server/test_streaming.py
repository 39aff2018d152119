"""Tiled's streaming counts the updates of a table for some time only; rows do not depend on it."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from tiled.client import from_context
from tiled.client.context import Context
from tiled.server.app import build_app_from_config

from labctl.store.connection import CATALOGUE_NAME
from labctl.store.server.databases import prepare_database
from labctl.store.server.process import configuration, initialise_catalogue
from labctl.store.ship.nodes import held
from labctl.store.ship.shipper import Shipper

KEY = "0" * 64


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Using .httpx. with .starlette.testclient.")
def test_rows_come_once_and_in_order_though_the_counter_is_forgotten_between_appends(
    tmp_path: Path, run_writer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, store = tmp_path / "data", tmp_path / "data" / "store"
    store.mkdir(parents=True)
    monkeypatch.chdir(store)  # where the service works
    prepare_database(Path("tables.db"))
    initialise_catalogue(Path(CATALOGUE_NAME))
    forgetful = {"streaming_cache": {"uri": "memory", "data_ttl": 0, "seq_ttl": 0}}
    with Context.from_app(build_app_from_config(configuration(KEY) | forgetful), api_key=KEY) as context:
        client = from_context(context)
        shipper, halt = Shipper(data, client, flush_period_second=0.0), threading.Event()
        run = run_writer(data)
        run.stream()
        for _ in range(5):
            run.page(100)
            while shipper.turn(halt):
                pass
        run.stop()
        while "stop" not in client[run.uid].metadata:
            shipper.turn(halt)
        found = held(client[run.uid].base["timeseries"].base["internal"])
        assert (found.count, found.highest) == (500, 500)
        assert client[run.uid].metadata["labctl"]["verified"] is True
