"""The way to a VISA instrument: line-based messages over sockets, USB or GPIB, with exclusive use."""

from __future__ import annotations

import re
import select
import socket
import time
from typing import TYPE_CHECKING, Protocol

from devices.transport.serial_line import plain_text, why_not_opened
from labctl.errors import ConfigurationError, PortInUseError, TransportError
from labctl.platform import FileLock, port_lock
from labctl.records.station import NO_ADDRESS

if TYPE_CHECKING:
    from pyvisa.resources import MessageBasedResource


_RESOURCE = re.compile(r"(TCPIP\d*|USB\d*|GPIB\d*|ASRL[^:]*|VICP\d*)::.+", re.IGNORECASE)
_OPEN_TIMEOUT_SECOND = 2.0
_CHUNK_BYTE = 65536
_LONGEST_LINE_BYTE = 1 << 22
_QUIET_SECOND, _DISCARD_SECOND = 0.05, 1.0


class MessageLine(Protocol):
    """Lines of text to and from one instrument. A lost link raises TransportError."""

    address: str

    @property
    def received_byte(self) -> int:
        """How many bytes have come since it was made: whether something arrives, be it no whole line yet."""
        ...

    def open(self) -> None:
        """Take the port for this process alone and open it."""
        ...

    def close(self) -> None:
        """Close the port and let go of it; may be called twice."""
        ...

    def write_lines(self, *lines: str) -> None:
        """Send lines."""
        ...

    def read_line(self, timeout_second: float) -> str | None:
        """The next line without its end, None when none is complete within the timeout."""
        ...

    def discard_input(self) -> None:
        """Forget everything that has arrived so far."""
        ...


class VisaLine:
    """A VISA resource that speaks lines ended by LF, in both directions.

    A per-machine lock keyed by the resolved address keeps a second process out: raw sockets have no
    exclusivity of their own, and VISA locks are not honoured by every library.

    Args:
        address: a resource string: `TCPIP::host::5025::SOCKET`, `TCPIP::host::inst0::INSTR`,
            `USB0::0x05E6::0x2450::serial::INSTR`, `GPIB0::18::INSTR`.
        library: the VISA library: "@py" is pyvisa-py (USB and GPIB need their Python packages), "@ivi" one
            installed by a vendor.

    Raises:
        ConfigurationError: the address is not a VISA resource string.
    """

    def __init__(self, address: str, *, library: str = "@py") -> None:
        if address != NO_ADDRESS and not _RESOURCE.fullmatch(address):
            raise ConfigurationError(
                "VISA instrument",
                "address",
                address,
                "must be a VISA resource such as TCPIP::host::5025::SOCKET, "
                "USB0::0x05E6::0x2450::serial::INSTR or GPIB0::18::INSTR",
            )
        self.address = address
        self._library = library
        self._resource: MessageBasedResource | None = None
        self._socket: socket.socket | None = None  # read from directly
        self._pending = bytearray()
        self._received_byte = 0
        self._lock: FileLock | None = None

    @property
    def received_byte(self) -> int:
        """How many bytes have come since it was made."""
        return self._received_byte

    def open(self) -> None:
        """Take the resource for this process alone and open it.

        Raises:
            PortInUseError: another process holds it (named by its pid).
            TransportError: it cannot be opened.
        """
        if self._resource is not None:
            return
        lock = port_lock(self.address)
        if not lock.acquire():
            raise PortInUseError(f"{self.address}: in use by process {lock.owner_pid() or 'unknown'}")
        try:
            self._resource = self._open_resource()
        except BaseException:
            lock.release()
            raise
        self._lock = lock

    def _open_resource(self) -> MessageBasedResource:
        import pyvisa
        from pyvisa.resources import MessageBasedResource

        try:
            manager = pyvisa.ResourceManager(self._library)
            resource = manager.open_resource(self.address, open_timeout=round(_OPEN_TIMEOUT_SECOND * 1000))
        except Exception as error:  # pyvisa-py raises plain Exception, and ValueError for missing packages
            raise TransportError(f"{self.address}: cannot be opened: {why_not_opened(error)}") from error
        if not isinstance(resource, MessageBasedResource):
            resource.close()
            raise TransportError(
                f"{self.address}: does not carry messages (a resource ends in INSTR or SOCKET)"
            )
        resource.read_termination = resource.write_termination = "\n"
        resource.chunk_size = _CHUNK_BYTE
        sessions = getattr(resource.visalib, "sessions", {})
        interface = getattr(sessions.get(resource.session), "interface", None)
        if isinstance(interface, socket.socket):
            interface.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # a question follows its commands
            self._socket = interface
        return resource

    def close(self) -> None:
        """Close the resource and let go of it; may be called twice."""
        resource, self._resource, self._socket = self._resource, None, None
        self._pending.clear()
        lock, self._lock = self._lock, None
        if resource is not None:
            resource.close()
        if lock is not None:
            lock.release()

    def write_lines(self, *lines: str) -> None:
        """Send lines; TransportError when the link is gone."""
        from pyvisa.errors import VisaIOError

        resource = self._opened()
        try:
            if self._socket is not None:
                resource.write_raw("".join(f"{line}\n" for line in lines).encode("ascii"))
            else:  # USB and GPIB carry one message at a time
                for line in lines:
                    resource.write(line)
        except (VisaIOError, OSError) as error:
            raise TransportError(f"{self.address}: cannot be written to: {plain_text(error)}") from error

    def read_line(self, timeout_second: float) -> str | None:
        """The next line without its end, None when none is complete within the timeout.

        Bytes that are not ASCII become U+FFFD, so that they never parse as a value.
        """
        if self._socket is not None:
            data = self._receive(self._socket, timeout_second)
        else:
            data = self._read(timeout_second)
        return None if data is None else data.decode("ascii", errors="replace").rstrip("\r\n")

    def _receive(self, connection: socket.socket, timeout_second: float) -> bytes | None:
        """A line from a socket; what has come of an incomplete one is kept.

        pyvisa-py by itself would wait for as long as something dribbles in, and go on asking a connection
        that the other end has closed.
        """
        deadline = time.monotonic() + timeout_second
        while b"\n" not in self._pending:
            if not self._arrives(connection, max(deadline - time.monotonic(), 0.0)):
                return None
        line, _, rest = self._pending.partition(b"\n")
        self._pending = rest
        return bytes(line)

    def _arrives(self, connection: socket.socket, timeout_second: float) -> bool:
        """Whether something comes; raises when the other end has hung up."""
        try:
            readable, _, _ = select.select([connection], [], [], timeout_second)
            if not readable:
                return False
            data = connection.recv(_CHUNK_BYTE)
        except OSError as error:
            raise TransportError(f"{self.address}: link lost: {plain_text(error)}") from error
        if not data:
            raise TransportError(f"{self.address}: link lost: the instrument has closed the connection")
        if len(self._pending) > _LONGEST_LINE_BYTE:
            self._pending.clear()
        self._pending += data
        self._received_byte += len(data)
        return True

    def _read(self, timeout_second: float) -> bytes | None:
        """A message from USB or GPIB."""
        from pyvisa.constants import StatusCode
        from pyvisa.errors import VisaIOError

        resource = self._opened()
        resource.timeout = max(round(timeout_second * 1000), 1)
        try:
            data = resource.read_raw()
        except VisaIOError as error:
            if error.error_code == StatusCode.error_timeout:
                return None
            raise TransportError(f"{self.address}: link lost: {plain_text(error)}") from error
        except OSError as error:
            raise TransportError(f"{self.address}: link lost: {plain_text(error)}") from error
        self._received_byte += len(data)
        return data

    def discard_input(self) -> None:
        """Forget everything that has arrived so far; on USB and GPIB, clear the device's own queues."""
        from pyvisa.errors import VisaIOError

        resource = self._opened()
        if self._socket is not None:
            deadline = time.monotonic() + _DISCARD_SECOND
            while time.monotonic() < deadline and self._arrives(self._socket, _QUIET_SECOND):
                pass
            self._pending.clear()
            return
        try:
            resource.clear()
        except (VisaIOError, OSError) as error:
            raise TransportError(f"{self.address}: link lost: {plain_text(error)}") from error

    def _opened(self) -> MessageBasedResource:
        if self._resource is None:
            raise TransportError(f"{self.address}: not open")
        return self._resource
