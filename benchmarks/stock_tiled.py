"""A Tiled server as it comes, in a process of its own: what bluesky people use without labctl."""

from __future__ import annotations

import logging
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import yaml
from tiled.client import from_uri

KEY = "stock"


class StockServer:
    """Where it answers, and its process."""

    def __init__(self, uri: str, process: subprocess.Popen[bytes]) -> None:
        self.uri, self.process = uri, process

    def client(self) -> Any:
        """A stock client."""
        return from_uri(self.uri, api_key=KEY)


@contextmanager
def stock_server(folder: Path) -> Iterator[StockServer]:
    """Serve a SQLite catalogue with the exporter of bluesky-tiled-plugins, until the block ends."""
    for talkative in ("bluesky", "bluesky_tiled_plugins"):  # a TiledWriter whose server dies has much to say
        logging.getLogger(talkative).setLevel(logging.CRITICAL)
    arguments = {
        "uri": f"sqlite:///{folder}/catalogue.db",
        "writable_storage": [f"file://localhost{folder}/files", f"sqlite:///{folder}/tables.db"],
        "init_if_not_exists": True,
        "specs": [{"name": "CatalogOfBlueskyRuns", "version": "3.0"}],
    }
    exporter = "bluesky_tiled_plugins.exporters:json_seq_exporter"
    configuration = {
        "trees": [{"path": "/", "tree": "catalog", "args": arguments}],
        "media_types": {"BlueskyRun": {"application/json-seq": exporter}},
        "authentication": {"single_user_api_key": KEY},
    }
    (folder / "stock.yml").write_text(yaml.safe_dump(configuration))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    command = [str(Path(sys.executable).with_name("tiled")), "serve", "config", str(folder / "stock.yml")]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TILED_")}
    with (folder / "stock.log").open("wb") as log:
        process = subprocess.Popen(
            [*command, "--host", "127.0.0.1", "--port", str(port)], env=environment, stdout=log, stderr=log
        )
    uri = f"http://127.0.0.1:{port}"
    try:
        while not _answers(uri):
            assert process.poll() is None, (folder / "stock.log").read_text()
            time.sleep(0.1)  # noqa: TID251  a benchmark waits on the wall's clock
        yield StockServer(f"{uri}/api/v1", process)
    finally:
        process.kill()
        process.wait()


def _answers(uri: str) -> bool:
    try:
        return httpx.get(f"{uri}/healthz").status_code == httpx.codes.OK
    except httpx.TransportError:
        return False
