"""A client's connection to a bench's control port; any thread may use it."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from itertools import count
from typing import Any

from labctl.errors import DeviceError
from labctl.host_time import HOST

_ANSWER_WALL_SECOND = 10.0
_GONE = "the simulated bench has ended"


class Connection:
    """Questions from any thread, answers by their id; a thread of its own reads them."""

    def __init__(self, port: int, token: str) -> None:
        self._lock = threading.Lock()
        self._numbers = count(1)
        self._waiting: dict[int, Future[Any]] = {}
        self._closed = False
        try:
            self._socket = socket.create_connection(("127.0.0.1", port), _ANSWER_WALL_SECOND)
        except OSError as error:
            raise DeviceError(f"{_GONE}: nobody answers at port {port}") from error
        self._file = self._socket.makefile("rb")
        try:
            self._present(token)
            self._socket.settimeout(None)
        except (OSError, ValueError, DeviceError) as error:
            self._file.close()
            self._socket.close()
            raise error if isinstance(error, DeviceError) else DeviceError(_GONE) from error
        self._reader = threading.Thread(target=self._read, name="bench-connection", daemon=True)
        self._reader.start()

    def call(self, verb: str, *, timeout_second: float | None = _ANSWER_WALL_SECOND, **arguments: Any) -> Any:
        """The bench's answer to a verb.

        Raises:
            DeviceError: the bench refuses, does not answer within the (wall) timeout, or is gone.
        """
        future: Future[Any] = Future()
        with self._lock:
            if self._closed:
                raise DeviceError(_GONE)
            number = next(self._numbers)
            self._waiting[number] = future
            try:
                self._send({"id": number, "verb": verb, **arguments})
            except OSError as error:
                raise DeviceError(_GONE) from error
        try:
            return future.result() if timeout_second is None else HOST.result_within(future, timeout_second)
        except FutureTimeoutError:
            raise DeviceError(
                f"the simulated bench does not answer {verb!r} in {timeout_second:g} s"
            ) from None
        finally:
            with self._lock:
                self._waiting.pop(number, None)

    def close(self) -> None:
        """Hang up; threads that wait for an answer get a DeviceError."""
        with self._lock:
            self._closed = True
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        if self._reader is not threading.current_thread():
            self._reader.join()
        self._socket.close()

    def _present(self, token: str) -> None:
        self._send({"token": token})
        answer = json.loads(self._file.readline() or b"{}")
        if not answer.get("ok"):
            raise DeviceError(f"the simulated bench refuses: {answer.get('error', 'it hung up')}")

    def _send(self, message: dict[str, Any]) -> None:
        self._socket.sendall(json.dumps(message).encode() + b"\n")

    def _read(self) -> None:
        with contextlib.suppress(OSError, ValueError), self._file:
            for line in self._file:
                self._settle(json.loads(line))
        with self._lock:
            self._closed = True
            left, self._waiting = self._waiting, {}
        for future in left.values():
            future.set_exception(DeviceError(_GONE))

    def _settle(self, answer: dict[str, Any]) -> None:
        with self._lock:
            future = self._waiting.pop(answer.get("id", 0), None)
        if future is None:
            return
        if answer["ok"]:
            future.set_result(answer["result"])
        else:
            future.set_exception(DeviceError(f"simulated bench: {answer['error']}"))
