"""The way to an instrument: a line-based serial port or TCP socket, with exclusive use and bounded waits."""

from __future__ import annotations

import errno
import select
from typing import Protocol

import serial

from labctl.errors import PortInUseError, TransportError
from labctl.host_time import HOST
from labctl.platform import FileLock, port_lock

LONGEST_LINE_BYTE = 65536  # garbage without a line end must not fill the memory
_CHUNK_BYTE = 65536
_WHY = {
    errno.ENOENT: "there is no such port; is the instrument plugged in and switched on? "
    "(Linux: `ls /dev/serial/by-id`; Windows: the Device Manager)",
    errno.EACCES: "you may not use this port; on Linux join the group that owns it (`ls -l`), often dialout",
    errno.EBUSY: "another program has it open",
    errno.ECONNREFUSED: "connection refused; are address and port right, is the instrument's server on?",
    errno.EHOSTUNREACH: "this host cannot be reached; is it switched on, and on this network?",
    errno.ENETUNREACH: "this network cannot be reached; is the computer connected to it?",
    errno.ETIMEDOUT: "no reply; is the address right, and is the instrument switched on and on this network?",
}
_POLL_SECOND = 0.02  # only where the port cannot be waited on (Windows COM ports)


class Line(Protocol):
    """A line-based link. Every call returns within its timeout; a lost link raises TransportError.

    Of a timeout only the time counts during which this process ran (labctl.host_time): what has arrived while
    it did not is there when it goes on.
    """

    address: str

    def open(self) -> None:
        """Take the port for this process alone and open it."""
        ...

    def close(self) -> None:
        """Close the port and let go of it; may be called twice."""
        ...

    def write(self, data: bytes) -> None:
        """Send all of `data`."""
        ...

    def read_lines(self, timeout_second: float) -> list[bytes]:
        """All complete lines that are there, without their ends; [] when none came within the timeout."""
        ...

    def discard_input(self) -> None:
        """Forget everything that has arrived so far."""
        ...


class SerialLine:
    """A pyserial port: a device path (`/dev/ttyACM0`, `COM3`) or a URL (`socket://host:port`).

    A per-machine lock keyed by the resolved address keeps a second process out: pyserial's own exclusive
    mode does not exist for sockets. Lines end with `terminator`.
    """

    def __init__(
        self,
        address: str,
        *,
        baudrate: int = 921600,
        write_timeout_second: float = 2.0,
        terminator: bytes = b"\n",
    ) -> None:
        self.address = address
        self._baudrate = baudrate
        self._terminator = terminator
        self._write_timeout_second = write_timeout_second
        self._port: serial.SerialBase | None = None
        self._lock: FileLock | None = None
        self._pending = bytearray()

    def open(self) -> None:
        """Take the port for this process alone and open it.

        Raises:
            PortInUseError: another process holds it (named by its pid).
            TransportError: nothing is there, or the address is not a pyserial one.
        """
        if self._port is not None:
            return
        lock = port_lock(self.address)
        if not lock.acquire():
            raise PortInUseError(f"{self.address}: in use by process {lock.owner_pid() or 'unknown'}")
        try:
            self._port = self._open_port()
        except (serial.SerialException, OSError, ValueError) as error:
            lock.release()
            raise TransportError(f"{self.address}: cannot be opened: {why_not_opened(error)}") from error
        self._lock = lock
        self._pending.clear()

    def _open_port(self) -> serial.SerialBase:
        port = serial.serial_for_url(
            self.address, do_not_open=True, timeout=0, write_timeout=self._write_timeout_second
        )
        port.baudrate = self._baudrate
        if "://" not in self.address:
            port.exclusive = True
        port.open()
        return port

    def close(self) -> None:
        """Close the port and let go of it; may be called twice."""
        port, self._port = self._port, None
        lock, self._lock = self._lock, None
        if port is not None:
            dead_socket = getattr(port, "_socket", None)  # pyserial leaves one open that was reset
            port.close()
            if dead_socket is not None:
                dead_socket.close()
        if lock is not None:
            lock.release()

    def write(self, data: bytes) -> None:
        """Send all of `data`; TransportError when the link is gone or does not take it in time."""
        port = self._opened()
        try:
            port.write(data)
        except (serial.SerialException, OSError) as error:
            raise TransportError(f"{self.address}: cannot be written to: {plain_text(error)}") from error

    def read_lines(self, timeout_second: float) -> list[bytes]:
        """All complete lines that are there, without their ends; [] when none came within the timeout."""
        deadline = HOST.awake_second() + timeout_second
        while True:
            self._pending += self._read_available(max(deadline - HOST.awake_second(), 0.0))
            if self._terminator in self._pending:
                *lines, rest = self._pending.split(self._terminator)
                self._pending = bytearray(rest)
                return [bytes(line) for line in lines]
            if len(self._pending) > LONGEST_LINE_BYTE:
                self._pending.clear()
                raise TransportError(f"{self.address}: {LONGEST_LINE_BYTE} bytes without a line end")
            if HOST.awake_second() >= deadline:
                return []

    def _read_available(self, timeout_second: float) -> bytes:
        port = self._opened()
        try:
            if hasattr(port, "fileno"):
                if not select.select([port.fileno()], [], [], timeout_second)[0]:
                    return b""
            elif not getattr(port, "in_waiting", 0):
                select.select([], [], [], min(timeout_second, _POLL_SECOND))
            data = port.read(_CHUNK_BYTE)
        except (serial.SerialException, OSError, TypeError, ValueError) as error:
            raise TransportError(f"{self.address}: link lost: {plain_text(error)}") from error
        return bytes(data)

    def discard_input(self) -> None:
        """Forget everything that has arrived so far."""
        while self._read_available(0.0):
            pass
        self._pending.clear()

    def _opened(self) -> serial.SerialBase:
        if self._port is None:
            raise TransportError(f"{self.address}: not open")
        return self._port


def why_not_opened(error: BaseException) -> str:
    """Why a port could not be opened, in words that say what to do; the system's own where there are none."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, TimeoutError):
            return _WHY[errno.ETIMEDOUT]
        number = cause.errno if isinstance(cause, OSError) else None
        if number in _WHY:
            return _WHY[number]
        cause = cause.__cause__ or cause.__context__
    return plain_text(error)


def plain_text(error: BaseException) -> str:
    """An exception's words on one line."""
    return str(error).strip().replace("\n", " ") or type(error).__name__
