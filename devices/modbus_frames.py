"""Questions and answers of Modbus as bytes: RTU and TCP. pymodbus makes and reads the frames.

An answer is taken only if unit, function, size and checksum are those of its question.
"""

from __future__ import annotations

from typing import Protocol

from pymodbus.exceptions import ModbusException
from pymodbus.framer import FramerBase, FramerRTU, FramerSocket
from pymodbus.pdu import DecodePDU, ExceptionResponse, ModbusPDU, ReadHoldingRegistersRequest
from pymodbus.pdu.register_message import WriteSingleRegisterRequest

from devices.line_query import NoAnswerError
from labctl.errors import TransportError

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
