"""The service process: a Tiled server on loopback, and the shipper that fills it.

Run by `labctl.store.service.ensure_service` as `python -m labctl.store.server DATA_DIRECTORY`.
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

import orjson

from labctl.platform import FileLock, write_private
from labctl.store.databases import let_writers_wait, prepare_database
from labctl.store.service import (
    CATALOGUE_NAME,
    INFO_NAME,
    KEY_NAME,
    LOCK_NAME,
    STATUS_NAME,
    store_directory,
)
from labctl.store.target import lab_store_of

if TYPE_CHECKING:
    import uvicorn

_TABLES = "tables.db"
_WATCH_SECOND = 1.0
_LEAVE_SECOND = 10.0
# Payloads wait in memory for subscribers only this long; who comes late reads the tables.
_STREAMED_SECOND, _COUNTED_SECOND = 2, 10 * 365 * 86400
_log = logging.getLogger("labctl.store")


def configuration(key: str) -> dict[str, Any]:
    """The Tiled server's configuration: catalogue and tables in SQLite files of the working directory.

    The paths are relative because Tiled writes them into the catalogue: so a data directory can be moved.
    (It also reads no percent encoding, so an absolute path with a `?` or `#` could not be given.)
    """
    arguments = {
        "uri": f"sqlite:///{CATALOGUE_NAME}",
        "writable_storage": [f"sqlite:///{_TABLES}"],
        "specs": [{"name": "CatalogOfBlueskyRuns", "version": "3.0"}],
        "adapters_by_mimetype": {"application/x-tiled-sql-table": "labctl.store.tables:DatabaseTable"},
    }
    return {
        "trees": [{"path": "/", "tree": "catalog", "args": arguments}],
        "media_types": {
            "BlueskyRun": {"application/json-seq": "labctl.store.exporter:json_seq"},
            "table": {
                "application/vnd.apache.arrow.file": "labctl.store.lazy_table:arrow_file",
                "text/csv": "labctl.store.lazy_table:csv",
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
        from labctl.store.self_test import self_test
        from labctl.store.shipper import Shipper

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
                _log.warning("%s is gone", self._store)
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
            from labctl.store.lab_service import LabService

            return LabService(Path(data_directory).resolve(), lock, lab).run()
        return Service(Path(data_directory).resolve(), lock).run()
    finally:
        lock.release()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
