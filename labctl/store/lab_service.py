"""The service of a data directory with a lab-wide store: the shipper alone, patient with its server."""

from __future__ import annotations

import logging
import os
import signal
import threading
from pathlib import Path

import httpx
import orjson

from labctl.errors import ConfigurationError
from labctl.files import write_private
from labctl.platform import FileLock
from labctl.store.connection import connect
from labctl.store.nodes import UnavailableError, asking
from labctl.store.service import INFO_NAME, store_directory
from labctl.store.shipper import Shipper, write_status
from labctl.store.target import LabStore

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
                _log.warning("%s is gone", self._store)
                self._stop.set()
