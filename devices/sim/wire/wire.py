"""The wires of emulated line-based instruments: a TCP server on loopback and a pseudo-terminal.

One host at a time is heard; a new connection takes the place of the old one, as a re-opened port does. Little
may wait in a socket: the send buffer is small, nothing is kept in user space, and where the system tells it
the host's own unread bytes are counted, so that a host that does not read is noticed after about 200 lines.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
from collections.abc import Callable
from typing import Protocol

from devices.sim.wire.receive_queue import UnreadMeter
from labctl.errors import DeviceError

_SEND_BUFFER_BYTE = 2048
_LARGEST_UNREAD_BYTE, _COUNT_EVERY_BYTE = 4096, 1024
_LOOK_AGAIN_WALL_SECOND = 0.002
_CHUNK_BYTE = 65536
OnData = Callable[[bytes], None]


class Link(Protocol):
    """One open connection to a host."""

    @property
    def is_full(self) -> bool:
        """Whether the host is behind with reading."""
        ...

    def write(self, data: bytes) -> None:
        """Send now what can be sent, the rest as soon as the host reads."""
        ...

    async def drained(self) -> None:
        """Wait until everything is sent or the host is gone."""
        ...

    def drop(self) -> None:
        """Cut the connection; unsent bytes are lost."""
        ...


class Wire:
    """Endpoints of one instrument; `on_data` gets what hosts send."""

    def __init__(self, on_data: OnData) -> None:
        self._on_data = on_data
        self._server: asyncio.Server | None = None
        self._tcp: _TcpLink | None = None
        self._pty: _PtyLink | None = None
        self._active: Link | None = None

    async def open(self) -> int:
        """Listen on a free loopback port; its number."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _TcpLink(self), "127.0.0.1", 0)
        return int(self._server.sockets[0].getsockname()[1])

    def open_pty(self) -> str:
        """Path of a pseudo-terminal, made when first asked for. Output that nobody reads stops the clock."""
        if sys.platform == "win32":
            raise DeviceError("pseudo-terminals exist on POSIX only; use the socket address")
        if self._pty is None:
            self._pty = _PtyLink(self.received)
        return self._pty.path

    @property
    def connected(self) -> bool:
        """Whether a host is connected by TCP."""
        return self._tcp is not None

    def write(self, data: bytes) -> None:
        """Send to the present host; lost without one."""
        if self._active is not None:
            self._active.write(data)

    @property
    def is_full(self) -> bool:
        """Whether the present host is behind with reading."""
        return self._active is not None and self._active.is_full

    async def drained(self) -> None:
        """Wait until the present host has room again, or is gone."""
        while (link := self._active) is not None and link.is_full:
            await link.drained()

    def drop(self) -> None:
        """Cut the connection to the present host."""
        if self._active is not None:
            self._active.drop()

    async def close(self) -> None:
        """Close all endpoints."""
        if self._server is not None:
            self._server.close()
        for link in (self._tcp, self._pty):
            if link is not None:
                link.drop()

    def connected_by(self, link: _TcpLink) -> None:
        """A host has connected."""
        before, self._tcp, self._active = self._tcp, link, link
        if before is not None:
            before.drop()

    def lost_by(self, link: _TcpLink) -> None:
        """A host has gone."""
        if self._tcp is link:
            self._tcp = None
        if self._active is link:
            self._active = self._pty

    def received(self, link: Link, data: bytes) -> None:
        """A host has sent something; it is the present one from now on."""
        self._active = link
        self._on_data(data)


class _TcpLink(asyncio.Protocol):
    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._transport: asyncio.Transport | None = None
        self._meter: UnreadMeter | None = None
        self._room = asyncio.Event()
        self._room.set()
        self._paused = False  # by the transport: its socket takes no more
        self._uncounted_byte = 0

    @property
    def is_full(self) -> bool:
        return not self._room.is_set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if not isinstance(transport, asyncio.Transport):
            raise TypeError("a stream transport is needed")
        self._transport = transport
        transport.set_write_buffer_limits(high=0)
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTE)
        self._meter = UnreadMeter(transport.get_extra_info("peername"), transport.get_extra_info("sockname"))
        self._wire.connected_by(self)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._meter is not None:
            self._meter.close()
        self._room.set()
        self._wire.lost_by(self)

    def data_received(self, data: bytes) -> None:
        self._wire.received(self, data)

    def pause_writing(self) -> None:
        self._paused = True
        self._room.clear()

    def resume_writing(self) -> None:
        self._paused = False
        self._count_unread()

    def write(self, data: bytes) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        self._transport.write(data)
        self._uncounted_byte += len(data)
        if self._uncounted_byte >= _COUNT_EVERY_BYTE and self._room.is_set():
            self._count_unread()

    async def drained(self) -> None:
        await self._room.wait()

    def drop(self) -> None:
        if self._transport is not None:
            self._transport.abort()
        self._room.set()

    def _count_unread(self) -> None:
        """Close the valve while the host has much to read, and look again soon."""
        self._uncounted_byte = 0
        unread = self._meter.unread_byte() if self._meter is not None else 0
        if unread > (_LARGEST_UNREAD_BYTE if self._room.is_set() else _LARGEST_UNREAD_BYTE // 2):
            self._room.clear()
            asyncio.get_running_loop().call_later(_LOOK_AGAIN_WALL_SECOND, self._count_unread)
        elif not self._paused:
            self._room.set()


class _PtyLink:
    """Our side of a pseudo-terminal; its other side stays open here, or the host's closing would break it."""

    def __init__(self, received: Callable[[Link, bytes], None]) -> None:
        import pty
        import tty

        self._received = received
        self._ours, self._theirs = pty.openpty()
        tty.setraw(self._theirs)
        os.set_blocking(self._ours, False)
        self.path = os.ttyname(self._theirs)
        self._unsent = bytearray()
        self._room = asyncio.Event()
        self._room.set()
        asyncio.get_running_loop().add_reader(self._ours, self._readable)

    @property
    def is_full(self) -> bool:
        return not self._room.is_set()

    def write(self, data: bytes) -> None:
        self._unsent += data
        self._send()
        if self._unsent and self._room.is_set():
            self._room.clear()
            asyncio.get_running_loop().add_writer(self._ours, self._send)

    async def drained(self) -> None:
        await self._room.wait()

    def drop(self) -> None:
        if self._ours < 0:
            return
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._ours)
        loop.remove_writer(self._ours)
        os.close(self._ours)
        os.close(self._theirs)
        self._ours = -1
        self._unsent.clear()
        self._room.set()

    def _readable(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._received(self, os.read(self._ours, _CHUNK_BYTE))

    def _send(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while self._unsent:
                del self._unsent[: os.write(self._ours, self._unsent)]
        if not self._unsent and not self._room.is_set():
            asyncio.get_running_loop().remove_writer(self._ours)
            self._room.set()
