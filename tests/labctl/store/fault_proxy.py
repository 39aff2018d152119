"""A TCP proxy before a Tiled server that can be slow, gone, answer 500, or lose answers."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections import Counter
from typing import Literal

_APPEND = b"PATCH /api/v1/table/partition"
_ERROR = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
Mode = Literal["pass", "gone", "slow", "error", "lose"]


class FaultProxy:
    """Passes everything on to a server on loopback, but for what `mode` says.

    pass: nothing is wrong. gone: connections are closed at once. slow: every answer comes `delay_second`
    later. error: each request is answered with 500 and not passed on. lose: the answers to the next `losses`
    appends never come, though the server has carried them out.

    Args:
        target: The server's port.
        port: Where to listen; 0 for any.
    """

    def __init__(self, target: int, port: int = 0) -> None:
        self._target = target
        self.mode: Mode = "pass"
        self.delay_second = 0.0
        self.losses = self.lost = 0
        self.met: Counter[Mode] = Counter()  # how often somebody met the fault
        self._halt = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", port))
        self.port = self._listener.getsockname()[1]
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def uri(self) -> str:
        """Of the Tiled server, by way of the proxy."""
        return f"http://127.0.0.1:{self.port}/api/v1"

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                ours, _ = self._listener.accept()
                if self.mode == "gone":
                    self.met["gone"] += 1
                    ours.close()
                    continue
                theirs = socket.create_connection(("127.0.0.1", self._target))
                self._open += [ours, theirs]
                appends = threading.Event()
                for source, sink, ask in ((ours, theirs, True), (theirs, ours, False)):
                    threading.Thread(
                        target=self._pump, args=(source, sink, appends, ask), daemon=True
                    ).start()

    def _pump(self, source: socket.socket, sink: socket.socket, append: threading.Event, ask: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                if not (self._request(source, data, append) if ask else self._answer(append)):
                    break
                sink.sendall(data)
        for side in (source, sink):
            with contextlib.suppress(OSError):
                side.shutdown(socket.SHUT_RDWR)

    def _request(self, client: socket.socket, data: bytes, append: threading.Event) -> bool:
        """Whether what the client sent goes on to the server."""
        self.met[self.mode] += 1
        if self.mode == "gone":
            return False
        if self.mode == "error":
            client.sendall(_ERROR)
            return False
        if self.mode == "lose" and data.startswith(_APPEND) and self.lost < self.losses:
            append.set()
        return True

    def _answer(self, append: threading.Event) -> bool:
        """Whether what the server sent goes on to the client."""
        if self.mode == "gone":
            return False
        if self.mode == "slow" and self._halt.wait(self.delay_second):
            return False
        if append.is_set():  # carried out, but nobody will ever know
            append.clear()
            self.lost += 1
            return False
        return True

    def close(self) -> None:
        """End all connections."""
        self._halt.set()
        for side in (self._listener, *self._open):
            with contextlib.suppress(OSError):
                side.shutdown(socket.SHUT_RDWR)
            side.close()
