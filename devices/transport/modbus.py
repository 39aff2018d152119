"""The way to a Modbus instrument: RTU on a serial port or socket, or Modbus TCP on a socket.

pymodbus makes and reads the frames; the port, the time limits and the order of question and answer are kept
here. One question at a time: an answer counts only if unit, function, size and checksum are those of the
question, and nothing else came with it. Modbus TCP numbers its questions, so a late answer is passed over.
RTU does not: after any failure the next question is preceded by a loopback (function 8) with a number of its
own. Devices answer in order, so once that number has come back nothing older can come. Where functions 3 and
4 read the same registers they take turns, so that an answer that came twice does not fit the next question.

Nothing is asked twice here; whoever knows that a question bears repeating repeats it.

An answer is taken only if unit, function, size and checksum are those of its question.
"""

from __future__ import annotations

import logging
import secrets
import threading
from typing import Protocol

import serial
from pymodbus.exceptions import ModbusException
from pymodbus.framer import FramerBase, FramerRTU, FramerSocket
from pymodbus.logging import Log
from pymodbus.pdu import DecodePDU, ExceptionResponse, ModbusPDU, ReadHoldingRegistersRequest
from pymodbus.pdu.diag_message import ReturnQueryDataRequest
from pymodbus.pdu.register_message import ReadInputRegistersRequest, WriteSingleRegisterRequest

from devices.transport.line_query import NoAnswerError
from devices.transport.serial_line import SerialLine
from labctl.errors import ConfigurationError, InstrumentError, TransportError
from labctl.host_time import HOST
from labctl.records.station import NO_ADDRESS

_HEADER, _LONGEST_LENGTH = 6, 254  # of a TCP frame; the length counts unit and what follows


class Frames(Protocol):
    """How questions and answers are wrapped."""

    def encode(self, request: ModbusPDU) -> bytes:
        """The bytes of a question."""
        ...

    def take(self, buffer: bytearray, request: ModbusPDU) -> ModbusPDU | None:
        """The answer to `request`, None while it is not complete; TransportError for anything else."""
        ...


def _decoded(framer: FramerBase, frame: bytes, request: ModbusPDU) -> ModbusPDU:
    try:
        _, answer = framer.handleFrame(frame, request.dev_id, request.transaction_id)
    except ModbusException as error:
        raise NoAnswerError(f"an answer that cannot be read: {error}") from error
    if answer is None:
        raise NoAnswerError("an answer with a wrong checksum, or of another unit")
    return answer


class RtuFrames:
    """Unit, function, data, checksum; no numbers. How long an answer is follows from its question."""

    def __init__(self) -> None:
        self._framer = FramerRTU(DecodePDU(is_server=False))

    def encode(self, request: ModbusPDU) -> bytes:
        """The bytes of a question."""
        return self._framer.buildFrame(request)

    def take(self, buffer: bytearray, request: ModbusPDU) -> ModbusPDU | None:
        """The answer to `request`, None while it is not complete; NoAnswerError for anything else."""
        if len(buffer) < 3:
            return None
        size = self._size(buffer, request)
        if buffer[0] != request.dev_id or not 0 < size or len(buffer) > size:
            raise NoAnswerError("bytes that are not the answer")
        return _decoded(self._framer, bytes(buffer), request) if len(buffer) == size else None

    @staticmethod
    def _size(buffer: bytearray, request: ModbusPDU) -> int:
        """Bytes of the whole frame; 0 if it cannot answer `request`."""
        if buffer[1] == request.function_code | 0x80:
            return ExceptionResponse.rtu_frame_size
        if buffer[1] != request.function_code:
            return 0
        if isinstance(request, ReadHoldingRegistersRequest):
            return 5 + buffer[2] if buffer[2] == 2 * request.count else 0
        return WriteSingleRegisterRequest.rtu_frame_size


class TcpFrames:
    """Number, protocol 0, length, unit, function, data."""

    def __init__(self) -> None:
        self._framer = FramerSocket(DecodePDU(is_server=False))

    def encode(self, request: ModbusPDU) -> bytes:
        """The bytes of a question."""
        return self._framer.buildFrame(request)

    def take(self, buffer: bytearray, request: ModbusPDU) -> ModbusPDU | None:
        """The answer to `request`, None while it is not complete; other numbers are passed over.

        Raises:
            TransportError: what comes are not frames; the connection is of no use any more.
        """
        while len(buffer) >= FramerSocket.MIN_SIZE:
            number, protocol, length = (int.from_bytes(buffer[i : i + 2], "big") for i in (0, 2, 4))
            if protocol != 0 or not 3 <= length <= _LONGEST_LENGTH:
                raise TransportError("bytes that are no Modbus TCP frame")
            if len(buffer) < _HEADER + length:
                return None
            frame = bytes(buffer[: _HEADER + length])
            del buffer[: _HEADER + length]
            if number == request.transaction_id:
                if frame[7] & 0x7F != request.function_code:
                    raise NoAnswerError(f"an answer to function {frame[7] & 0x7F}")
                return _decoded(self._framer, frame, request)
        return None


PROTOCOLS = ("rtu", "tcp")
PARITIES = {"none": serial.PARITY_NONE, "even": serial.PARITY_EVEN, "odd": serial.PARITY_ODD}
_LONGEST_FRAME = 260
_DRAIN_ROUNDS = 16  # a port that still delivers after so many reads is not an instrument's
_REFUSALS = {
    1: "illegal function: it cannot do that",
    2: "illegal data address: it has no such register",
    3: "illegal data value: it does not take that value",
    4: "device failure",
    5: "acknowledged, but not done yet",
    6: "busy",
}  # Modbus Application Protocol 1.1b3, section 7


class RegisterPort(SerialLine):
    """A port that carries frames instead of lines."""

    def __init__(self, address: str, *, baudrate: int, parity: str) -> None:
        super().__init__(address, baudrate=baudrate)
        self._parity = parity

    def _open_port(self) -> serial.SerialBase:
        port = super()._open_port()
        port.parity = self._parity
        return port

    def read_bytes(self, timeout_second: float) -> bytes:
        """What is there; b"" when nothing came within the timeout."""
        return self._read_available(timeout_second)


class ModbusLink:
    """One unit at an address; used by its reader thread only. Registers are plain numbers 0 to 65535.

    Args:
        address: `socket://host:port`, or for RTU also a device path (`/dev/ttyUSB0`, `COM3`).
        protocol: `rtu` or `tcp`; RTU on a socket is what a serial server with a raw port speaks.
        unit: address of the instrument on the bus, 1 to 254.
        baudrate: bits per second, for a device path; 8 data bits, 1 stop bit.
        parity: `none`, `even` or `odd`.
        timeout_second: how long an answer may take (wall time).
        gap_second: rest between an answer and the next question (RTU; wall time).
        four_reads_too: whether function 4 reads the same registers as 3.
    """

    def __init__(
        self,
        address: str,
        *,
        protocol: str = "rtu",
        unit: int = 1,
        baudrate: int = 9600,
        parity: str = "none",
        timeout_second: float = 0.5,
        gap_second: float = 0.02,
        four_reads_too: bool = False,
    ) -> None:
        _check(address, "protocol", protocol, protocol in PROTOCOLS, "must be rtu or tcp")
        reachable = protocol == "rtu" or address == NO_ADDRESS or address.startswith("socket://")
        _check(address, "protocol", protocol, reachable, "Modbus TCP needs socket://host:port")
        _check(address, "unit", unit, type(unit) is int and 1 <= unit <= 254, "must be 1 to 254")
        _check(address, "baudrate", baudrate, 1200 <= baudrate <= 115200, "must be 1200 to 115200")
        _check(address, "parity", parity, parity in PARITIES, "must be none, even or odd")
        _check(address, "timeout_second", timeout_second, 0 < timeout_second <= 10, "must be > 0, <= 10 s")
        _check(address, "gap_second", gap_second, 0 <= gap_second <= 1, "must be 0 to 1 s")
        self.address, self.unit = address, unit
        self._port = RegisterPort(address, baudrate=baudrate, parity=PARITIES[parity])
        self._numbered = protocol == "tcp"
        self._frames: Frames = TcpFrames() if self._numbered else RtuFrames()
        self._timeout_second = timeout_second
        self._gap_second = 0.0 if self._numbered else gap_second
        self._number = secrets.randbelow(0xFFFF)
        self._readers = [ReadHoldingRegistersRequest, ReadInputRegistersRequest][: 1 + four_reads_too]
        self._in_step = False
        self._last_answer_second = 0.0

    def open(self) -> None:
        """Take the port for this process alone.

        Raises:
            PortInUseError: another process holds it.
            TransportError: nothing is there.
        """
        Log.setLevel(logging.CRITICAL)  # what goes wrong here is told by our own errors and alarms
        self._in_step = False
        self._port.open()

    def close(self) -> None:
        """Let go of the port; may be called twice."""
        self._port.close()

    def read(self, register: int, count: int = 1) -> tuple[int, ...]:
        """Registers `register` and following (function 3, or 4 in turn).

        Raises:
            InstrumentError: the instrument refuses, with its exception code.
            NoAnswerError: no answer, or not a whole one, within the timeout.
            TransportError: the link is gone.
        """
        self._readers.reverse()
        request = self._readers[0](dev_id=self.unit, address=register, count=count)
        about = f"reading register {register}" + (f" to {register + count - 1}" if count > 1 else "")
        answer = self._ask(request, about)
        if len(answer.registers) != count:
            self._in_step = False
            raise NoAnswerError(f"{self.address}: {about}: {len(answer.registers)} values for {count}")
        return tuple(answer.registers)

    def write(self, register: int, value: int) -> None:
        """Write one register (function 6); errors as `read()`. Without an answer it may have been done."""
        request = WriteSingleRegisterRequest(dev_id=self.unit, address=register, registers=[value])
        about = f"writing {value} to register {register}"
        answer = self._ask(request, about)
        if (answer.address, list(answer.registers)) != (register, [value]):
            self._in_step = False
            raise NoAnswerError(f"{self.address}: {about}: the answer names something else")

    def _ask(self, request: ModbusPDU, about: str) -> ModbusPDU:
        self._get_in_step()
        self._in_step = False
        request.transaction_id = self._next_number() if self._numbered else 0
        try:
            answer = self._exchange(request)
        except NoAnswerError as error:
            raise NoAnswerError(f"{self.address}: {about}: {error}") from error
        except TransportError as error:
            raise TransportError(f"{self.address}: {about}: {error}") from error
        self._in_step = True
        if isinstance(answer, ExceptionResponse):
            code = answer.exception_code
            words = _REFUSALS.get(code, "an unknown exception code")
            raise InstrumentError(f"{self.address}: {about}: refused, {words} (exception {code})", code)
        return answer

    def _exchange(self, request: ModbusPDU) -> ModbusPDU:
        buffer = bytearray()
        self._send(self._frames.encode(request))
        deadline = HOST.awake_second() + self._timeout_second
        while (answer := self._frames.take(buffer, request)) is None:
            if not self._receive(buffer, deadline):
                part = f", only {len(buffer)} bytes" if buffer else ""
                raise NoAnswerError(f"no answer within {self._timeout_second:g} s{part}")
        self._last_answer_second = HOST.awake_second()
        return answer

    def _get_in_step(self) -> None:
        """Make sure that what comes next belongs to the next question."""
        if self._numbered or (self._in_step and not self._drain()):
            return
        number = self._next_number().to_bytes(2, "big")
        frame = self._frames.encode(ReturnQueryDataRequest(number, dev_id=self.unit))
        buffer = bytearray()
        self._send(frame)
        deadline = HOST.awake_second() + self._timeout_second
        while not buffer.endswith(frame):
            if not self._receive(buffer, deadline):
                strange = f", but {len(buffer)} other bytes" if buffer else ""
                raise NoAnswerError(
                    f"{self.address}: unit {self.unit} does not answer a loopback within "
                    f"{self._timeout_second:g} s{strange}; check unit, baud rate, parity and protocol"
                )
            del buffer[:-_LONGEST_FRAME]  # a line that babbles must not fill the memory
        self._last_answer_second = HOST.awake_second()
        self._in_step = True

    def _send(self, frame: bytes) -> None:
        self._drain()
        rest = self._last_answer_second + self._gap_second - HOST.awake_second()
        if rest > 0:
            threading.Event().wait(rest)
        self._port.write(frame)

    def _receive(self, buffer: bytearray, deadline: float) -> bool:
        """Append what comes; False when nothing came until the deadline."""
        while (left := deadline - HOST.awake_second()) > 0:
            if data := self._port.read_bytes(left):
                buffer += data
                return True
        return False

    def _drain(self) -> bool:
        """Forget what came unasked; whether there was anything."""
        for rounds in range(_DRAIN_ROUNDS):
            if not self._port.read_bytes(0.0):
                return rounds > 0
        raise NoAnswerError(f"{self.address}: bytes keep coming unasked")

    def _next_number(self) -> int:
        self._number = self._number % 0xFFFF + 1
        return self._number


def _check(address: str, field: str, value: object, allowed: bool, rule: str) -> None:
    if not allowed:
        raise ConfigurationError(f"Modbus at {address}", field, value, rule)
