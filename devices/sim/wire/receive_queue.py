"""How much a host on the same machine has not read yet: what waits at its end of a loopback connection.

Loopback buffers swallow thousands of lines, and a sender cannot see from its own side what the other end has
not read. Linux tells it through sock_diag(7), for connections of this machine; elsewhere it stays unknown.
"""

from __future__ import annotations

import socket
import struct
import sys

_NETLINK_SOCK_DIAG, _SOCK_DIAG_BY_FAMILY, _NLM_F_REQUEST = 4, 20, 1
_ANY_COOKIE = 0xFFFFFFFF
_HEADER = struct.Struct("=IHHII")  # length, type, flags, sequence, port
_REQUEST = struct.Struct("=BBBBI")  # family, protocol, extensions, pad, states
_RECEIVE_QUEUE_AT = _HEADER.size + 4 + 48 + 4  # after family..retrans, the addresses, expires
_QUEUE = struct.Struct("=I")
Address = tuple[str, int]


class UnreadMeter:
    """Asks for the receive queue of the socket at `host`, which is connected to `instrument` (both IPv4)."""

    def __init__(self, host: Address, instrument: Address) -> None:
        self._netlink: socket.socket | None = None
        if sys.platform != "linux":
            return
        addresses = struct.pack("!HH", host[1], instrument[1])
        for host_name, _ in (host, instrument):
            addresses += socket.inet_aton(host_name).ljust(16, b"\0")
        addresses += struct.pack("=III", 0, _ANY_COOKIE, _ANY_COOKIE)
        body = _REQUEST.pack(socket.AF_INET, socket.IPPROTO_TCP, 0, 0, 0xFFFFFFFF) + addresses
        header = _HEADER.pack(_HEADER.size + len(body), _SOCK_DIAG_BY_FAMILY, _NLM_F_REQUEST, 0, 0)
        self._question = header + body
        try:
            self._netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_SOCK_DIAG)
            self._netlink.connect((0, 0))
        except OSError:  # not allowed here
            self.close()

    def unread_byte(self) -> int:
        """Bytes the host has not read; 0 when unknown."""
        if self._netlink is None:
            return 0
        try:
            self._netlink.send(self._question)
            answer = self._netlink.recv(4096)
        except OSError:
            return 0
        if _HEADER.unpack_from(answer)[1] != _SOCK_DIAG_BY_FAMILY:
            return 0  # the host's end is closed
        return int(_QUEUE.unpack_from(answer, _RECEIVE_QUEUE_AT)[0])

    def close(self) -> None:
        """Ask no more."""
        if self._netlink is not None:
            self._netlink.close()
            self._netlink = None
