"""One emulated Modbus unit: pymodbus's server on a TCP port and on a pseudo-terminal, in front of registers.

The TCP port speaks Modbus TCP or RTU, whichever the host begins with, as instrument and serial server do in
one. As the instrument, it answers neither other units nor functions that it does not have.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from pymodbus.constants import ExcCodes
from pymodbus.framer import FramerRTU, FramerSocket, FramerType
from pymodbus.logging import Log
from pymodbus.server import ModbusTcpServer
from pymodbus.server.requesthandler import ServerRequestHandler
from pymodbus.simulator import DataType, SimData, SimDevice

from devices.sim.wire.wire import Wire

_SHORTEST_BYTE = 8  # of a question that tells RTU from TCP
_WRITES = frozenset({6, 16})
_READS = frozenset({3, 4})
_ANSWERED = _READS | _WRITES | {7, 8}  # status and loopback are pymodbus's own


class Registers(Protocol):
    """What stands behind the server. Refusals are ExcCodes."""

    def addresses(self) -> Sequence[int]:
        """Every register there is."""
        ...

    def read(self, address: int, count: int) -> list[int] | ExcCodes:
        """Values, 0 to 65535."""
        ...

    def write(self, function: int, address: int, values: Sequence[int]) -> ExcCodes | None:
        """Take values, or refuse all of them."""
        ...


class ModbusUnit:
    """The endpoints of one instrument with the number `unit`."""

    def __init__(self, registers: Registers, unit: int) -> None:
        Log.setLevel("CRITICAL")
        self._registers, self._unit = registers, unit
        self._server: _Server | None = None
        self._pty: Wire | None = None
        self.silent = False  # a fault: nothing is answered

    async def open(self) -> int:
        """Listen on a free loopback port; its number."""
        server = self._require_server()
        await server.serve_forever(background=True)
        listener: Any = server.transport
        return int(listener.sockets[0].getsockname()[1])

    def open_pty(self) -> str:
        """Path of a pseudo-terminal that answers RTU."""
        if self._pty is None:
            handler = self._require_server().callback_new_connection()
            handler.speak(FramerRTU)
            self._pty = Wire(handler.data_received)
            handler.connection_made(_PtyTransport(self._pty))
        return self._pty.open_pty()

    @property
    def connected(self) -> bool:
        """Whether a host is connected by TCP."""
        return self._server is not None and bool(self._server.active_connections)

    def drop(self) -> None:
        """Cut all TCP connections."""
        if self._server is not None:
            for handler in list(self._server.active_connections.values()):
                handler.close()

    async def close(self) -> None:
        """Close all endpoints."""
        if self._server is not None:
            await self._server.shutdown()
        if self._pty is not None:
            await self._pty.close()

    def _require_server(self) -> _Server:
        if self._server is None:
            self._server = _Server(self._device(), self._answers)
        return self._server

    def _device(self) -> SimDevice:
        data = [SimData(address, datatype=DataType.REGISTERS) for address in self._registers.addresses()]
        return SimDevice(self._unit, data, action=self._act)

    async def _act(
        self,
        function: int,
        start: int,
        address: int,
        count: int,
        current: list[int],
        new: list[int] | list[bool] | None,
    ) -> ExcCodes | None:
        """What pymodbus calls: `current` are all registers from `start` on, `new` what is written."""
        if function not in _READS | _WRITES:
            return ExcCodes.ILLEGAL_FUNCTION
        if new is not None:
            return self._registers.write(function, address, [int(value) for value in new])
        if function in _WRITES:  # pymodbus reads back what it has written, to answer with it
            return None
        values = self._registers.read(address, count)
        if isinstance(values, ExcCodes):
            return values
        current[address - start : address - start + count] = values
        return None

    def _answers(self, unit: int, function: int) -> bool:
        """Whether an answer is sent."""
        return not self.silent and unit == self._unit and function in _ANSWERED


class _Server(ModbusTcpServer):
    def __init__(self, device: SimDevice, answers: Callable[[int, int], bool]) -> None:
        super().__init__(device, framer=FramerType.SOCKET, address=("127.0.0.1", 0))
        self.answers = answers

    def callback_new_connection(self) -> _Handler:
        return _Handler(self)


class _Handler(ServerRequestHandler):
    """One connection; its first bytes decide how it is framed."""

    def __init__(self, server: _Server) -> None:
        super().__init__(server, self._filter, None, None)
        self._answers = server.answers
        self._early: bytes | None = b""

    def speak(self, framer: type[FramerRTU] | type[FramerSocket]) -> None:
        """Settle the framing."""
        self.framer = framer(self.server.decoder)
        self._early = None

    def data_received(self, data: bytes) -> None:
        if self._early is not None:
            self._early += data
            if len(self._early) < _SHORTEST_BYTE:
                return
            data = self._early
            numbered = data[2:4] == b"\0\0" and not _ends_with_checksum(data)
            self.speak(FramerSocket if numbered else FramerRTU)
        super().data_received(data)

    def _filter(self, sending: bool, packet: bytes) -> bytes:
        if not sending:
            return packet
        body = packet if isinstance(self.framer, FramerRTU) else packet[6:]
        return packet if self._answers(body[0], body[1] & 0x7F) else b""


class _PtyTransport(asyncio.Transport):
    """Lets a connection handler write to a pseudo-terminal."""

    def __init__(self, wire: Wire) -> None:
        super().__init__()
        self._wire = wire

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        self._wire.write(bytes(data))

    def close(self) -> None:
        """The wire is closed by its owner."""


def _ends_with_checksum(data: bytes) -> bool:
    return FramerRTU.check_CRC(data[:-2], int.from_bytes(data[-2:], "big"))
