"""The service process: a Tiled server on loopback, and the shipper that fills it.

Run by `labctl.store.server.service.ensure_service` as `python -m labctl.store.server.process DATA_DIRECTORY`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import re
import secrets
import signal
import socket
import sqlite3
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import httpx
import numpy as np
import orjson
import pyarrow as pa
from tiled.structures.core import Spec

from labctl.errors import ConfigurationError, StoreError
from labctl.platform import FileLock, write_private
from labctl.store.connection import (
    CATALOGUE_NAME,
    INFO_NAME,
    KEY_NAME,
    LOCK_NAME,
    STATUS_NAME,
    connect,
    plain_container,
    store_directory,
)
from labctl.store.lab_store import LabStore, lab_store_of
from labctl.store.server.databases import let_writers_wait, prepare_database
from labctl.store.ship.nodes import UnavailableError, asking
from labctl.store.ship.shipper import Shipper, write_status

if TYPE_CHECKING:
    import uvicorn


_WATCH_SECOND = 1.0
_LONGEST_BACK_OFF_SECOND = 30.0
_log = logging.getLogger("labctl.store")


class LabService:
    """Ships until told to end, or until its directory is gone; waits for a server that does not answer."""

    def __init__(self, data_directory: Path, lock: FileLock, lab: LabStore) -> None:
        self._data, self._store, self._lock, self._lab = (
            data_directory,
            store_directory(data_directory),
            lock,
            lab,
        )
        self._stop = threading.Event()

    def run(self) -> int:
        """The process's exit code."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._stop.set())
        key = self._lab.api_key()
        threading.Thread(target=self._watch, daemon=True).start()
        write_status(self._store, error="connecting")
        told = {"pid": os.getpid(), "uri": self._lab.uri, "api_key": key}
        write_private(self._store / INFO_NAME, orjson.dumps(told))
        _log.info("shipping %s to %s", self._data, self._lab.uri)
        failures = 0
        while not self._stop.is_set():
            try:
                with asking(self._lab.uri):
                    client = connect(self._lab.uri, key)
                Shipper(self._data, client).run(self._stop)
            except (UnavailableError, ConfigurationError, httpx.HTTPError, OSError) as error:
                wait_second = min(_LONGEST_BACK_OFF_SECOND, 0.5 * 2**failures)
                failures += 1
                _log.warning("next try in %.2g s: %s", wait_second, error)
                write_status(self._store, error=str(error))
                self._stop.wait(wait_second)
        return 0

    def _watch(self) -> None:
        while not self._stop.wait(_WATCH_SECOND):
            if not self._lock.path.exists():
                _log.warning("%s was removed", self._store)
                self._stop.set()


_KEY = "labctl-self-test"
_SCHEMA = pa.schema([("seq_num", pa.int64()), ("value", pa.float64()), ("word", pa.string())])
_ROWS = 1_500  # more than the first batch, from which a careless reader would guess the types


def self_test(client: Any) -> None:
    """Write a table that begins with NaN, read it back, remove it.

    Raises:
        StoreError: What came back is not what was written.
    """
    root = plain_container(client)
    with contextlib.suppress(KeyError):
        root[_KEY]
        _remove(root)  # left by a predecessor that was killed
    node = root.create_container(key=_KEY, metadata={}, specs=[Spec("labctl-self-test", version="1.0")])
    try:
        table = plain_container(node).create_appendable_table(schema=_SCHEMA, key="table", metadata={})
        values = np.where(np.arange(_ROWS) < _ROWS - 1, np.nan, 3.7)
        columns = [np.arange(1, _ROWS + 1), values, ["word"] * _ROWS]
        table.append_partition(0, pa.table(columns, schema=_SCHEMA))
        read = table.read()
        if not (np.array_equal(read["value"], values, equal_nan=True) and set(read["word"]) == {"word"}):
            raise StoreError("self-test: a table reads back otherwise than it was written")
    finally:
        _remove(root)


def _remove(root: Any) -> None:
    root.delete_contents(_KEY, recursive=True, external_only=False)


_TABLES = "tables.db"
_LEAVE_SECOND = 10.0
# Payloads wait in memory for subscribers only this long; who comes late reads the tables.
_STREAMED_SECOND, _COUNTED_SECOND = 2, 10 * 365 * 86400


def configuration(key: str) -> dict[str, Any]:
    """The Tiled server's configuration: catalogue and tables in SQLite files of the working directory.

    The paths are relative because Tiled writes them into the catalogue: so a data directory can be moved.
    (It also reads no percent encoding, so an absolute path with a `?` or `#` could not be given.)
    """
    arguments = {
        "uri": f"sqlite:///{CATALOGUE_NAME}",
        "writable_storage": [f"sqlite:///{_TABLES}"],
        "specs": [{"name": "CatalogOfBlueskyRuns", "version": "3.0"}],
        "adapters_by_mimetype": {"application/x-tiled-sql-table": "labctl.store.tiled:DatabaseTable"},
    }
    return {
        "trees": [{"path": "/", "tree": "catalog", "args": arguments}],
        "media_types": {
            "BlueskyRun": {"application/json-seq": "labctl.store.tiled:json_seq"},
            "table": {
                "application/vnd.apache.arrow.file": "labctl.store.tiled:arrow_file",
                "text/csv": "labctl.store.tiled:csv",
            },
        },
        "authentication": {"single_user_api_key": key, "allow_anonymous_access": False},
        "streaming_cache": {"uri": "memory", "data_ttl": _STREAMED_SECOND, "seq_ttl": _COUNTED_SECOND},
        "expose_raw_assets": False,
    }


def initialise_catalogue(path: Path) -> None:
    """Set the catalogue up unless that was done (Tiled would start a process of its own for it)."""
    if _is_initialised(path):
        return
    from sqlalchemy.ext.asyncio import create_async_engine
    from tiled.alembic_utils import stamp_head
    from tiled.catalog.alembic_constants import ALEMBIC_DIR, ALEMBIC_INI_TEMPLATE_PATH
    from tiled.catalog.core import initialize_database

    uri = f"sqlite+aiosqlite:///{path}"

    async def create() -> None:
        engine = create_async_engine(uri)
        await initialize_database(engine)
        await engine.dispose()

    asyncio.run(create())
    stamp_head(Path(ALEMBIC_INI_TEMPLATE_PATH), Path(ALEMBIC_DIR), uri)


def _is_initialised(path: Path) -> bool:
    if not path.exists():
        return False
    with contextlib.closing(sqlite3.connect(path)) as database:
        try:
            return database.execute("SELECT version_num FROM alembic_version").fetchone() is not None
        except sqlite3.OperationalError:
            return False


def api_key(store: Path) -> str:
    """The service's key: made once, kept in a file that only its owner can read."""
    path = store / KEY_NAME
    with contextlib.suppress(FileNotFoundError):
        found = path.read_text(encoding="ascii").strip()
        if re.fullmatch(r"[0-9a-f]{64}", found):
            return found
    key = secrets.token_hex(32)
    write_private(path, key.encode())
    return key


def loopback_socket(port: int) -> socket.socket:
    """A socket on 127.0.0.1, on `port` if it is free (open clients then survive a restart)."""
    for wanted in (port, 0):
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        if sys.platform != "win32":  # there it would let two processes share the port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", wanted))
        except OSError:
            listener.close()
        else:
            return listener
    raise OSError("no free port on 127.0.0.1")


def _last_port(store: Path) -> int:
    try:
        return int(orjson.loads((store / INFO_NAME).read_bytes())["port"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0


class Service:
    """Serves and ships until told to end, or until its directory is gone."""

    def __init__(self, data_directory: Path, lock: FileLock) -> None:
        self._data, self._store, self._lock = data_directory, store_directory(data_directory), lock
        self._key = api_key(self._store)
        self._stop = threading.Event()
        self._failed = False

    def run(self) -> int:
        """The process's exit code."""
        os.chdir(self._store)
        listener = loopback_socket(_last_port(self._store))
        for name in (INFO_NAME, STATUS_NAME):  # what a predecessor said
            (self._store / name).unlink(missing_ok=True)
        prepare_database(Path(_TABLES))
        initialise_catalogue(Path(CATALOGUE_NAME))
        prepare_database(Path(CATALOGUE_NAME))
        server = self._server()
        signal.signal(signal.SIGTERM, lambda *_: None)  # uvicorn raises it once more when it has ended
        shipping = threading.Thread(target=self._ship, args=(server, listener.getsockname()[1]), daemon=True)
        shipping.start()
        server.run(sockets=[listener])
        self._stop.set()
        shipping.join(_LEAVE_SECOND)
        return 1 if self._failed else 0

    def _server(self) -> uvicorn.Server:
        import uvicorn
        from tiled.server.app import build_app_from_config

        let_writers_wait()
        stop = self._stop

        class Server(uvicorn.Server):
            def handle_exit(self, sig: int, frame: FrameType | None) -> None:
                stop.set()  # the shipper goes first, it is a client of this server
                super().handle_exit(sig, frame)

        app = build_app_from_config(configuration(self._key))
        return Server(uvicorn.Config(app, log_config=None, access_log=False, timeout_graceful_shutdown=5))

    def _ship(self, server: uvicorn.Server, port: int) -> None:
        try:
            self._ship_until_told(server, port)
        except Exception:  # noqa: BLE001  whatever it is: without shipper the service must not look healthy
            _log.exception("the shipper ends")
            self._failed = True
        finally:
            server.should_exit = True

    def _ship_until_told(self, server: uvicorn.Server, port: int) -> None:
        from labctl.store.connection import connect
        from labctl.store.ship.shipper import Shipper

        while not server.started:
            if self._stop.wait(0.02):
                return
        client = connect(f"http://127.0.0.1:{port}/api/v1", self._key)
        self_test(client)
        told = {"pid": os.getpid(), "port": port, "api_key": self._key}
        write_private(self._store / INFO_NAME, orjson.dumps(told))
        _log.info("serving %s on port %d", self._data, port)
        threading.Thread(target=self._watch, daemon=True).start()
        Shipper(self._data, client).run(self._stop)

    def _watch(self) -> None:
        while not self._stop.wait(_WATCH_SECOND):
            if not self._lock.path.exists():
                _log.warning("%s was removed", self._store)
                self._stop.set()


def main(arguments: list[str]) -> int:
    """Serve the data directory named by the one argument, unless another process does already."""
    [data_directory] = arguments
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    for name in ("labctl", "uvicorn.error"):
        logging.getLogger(name).setLevel(logging.INFO)
    lock = FileLock(store_directory(Path(data_directory)) / LOCK_NAME)
    if not lock.acquire():
        return 0
    try:
        if (lab := lab_store_of(Path(data_directory))) is not None:
            return LabService(Path(data_directory).resolve(), lock, lab).run()
        return Service(Path(data_directory).resolve(), lock).run()
    finally:
        lock.release()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
