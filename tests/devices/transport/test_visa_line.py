"""The VISA line over a real socket: whole lines or none, in time, and a hang-up is noticed at once."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from devices.transport.visa_line import VisaLine
from labctl.errors import ConfigurationError, PortInUseError, TransportError
from tests.helpers import in_background


class Instrument:
    """The other end of a line: one connection, in the hands of the test."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        port = self._listener.getsockname()[1]
        self.line = VisaLine(f"TCPIP::127.0.0.1::{port}::SOCKET")
        self.line.open()
        self.connection, _ = self._listener.accept()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def close(self) -> None:
        self.line.close()
        self.connection.close()
        self._listener.close()


@pytest.fixture
def instrument() -> Iterator[Instrument]:
    with closing(Instrument()) as made:
        yield made


def test_lines_that_arrive_together_are_read_one_by_one(instrument: Instrument) -> None:
    instrument.connection.sendall(b"1;2\r\n3\n\n4")
    line = instrument.line
    assert [line.read_line(1.0) for _ in range(3)] == ["1;2", "3", ""]
    assert line.read_line(0.01) is None
    instrument.connection.sendall(b"5\n")
    assert line.read_line(1.0) == "45"


def test_lines_are_sent_in_order_each_with_its_end(instrument: Instrument) -> None:
    instrument.line.write_lines("OUTP OFF", "*IDN?")
    assert instrument.connection.recv(100) == b"OUTP OFF\n*IDN?\n"


def test_a_line_that_dribbles_in_does_not_hold_up_the_reader_beyond_its_timeout(
    instrument: Instrument,
) -> None:
    stop = threading.Event()

    def dribble() -> None:
        while not stop.wait(0.01):
            instrument.connection.sendall(b"1")

    thread = in_background(dribble)
    began = time.monotonic()
    assert instrument.line.read_line(0.3) is None
    assert 0.25 < time.monotonic() - began < 0.6
    stop.set()
    thread.join()
    instrument.connection.sendall(b"\n")
    assert set(instrument.line.read_line(1.0) or "") == {"1"}


def test_a_hang_up_is_noticed_at_once_after_the_last_line(instrument: Instrument) -> None:
    instrument.connection.sendall(b"last\n")
    instrument.connection.close()
    assert instrument.line.read_line(5.0) == "last"
    began = time.monotonic()
    with pytest.raises(TransportError, match="link lost: the instrument has closed the connection"):
        instrument.line.read_line(5.0)
    assert time.monotonic() - began < 0.5


def test_other_bytes_than_ascii_never_become_digits(instrument: Instrument) -> None:
    instrument.connection.sendall(b"\xb2\xb31\xff\n")
    assert instrument.line.read_line(1.0) == "\ufffd\ufffd1\ufffd"


def test_what_has_arrived_can_be_forgotten_even_if_it_does_not_stop(instrument: Instrument) -> None:
    instrument.connection.sendall(b"old\nolder")
    instrument.line.discard_input()
    instrument.connection.sendall(b"new\n")
    assert instrument.line.read_line(1.0) == "new"
    stop = threading.Event()

    def flood() -> None:
        while not stop.is_set():
            instrument.connection.sendall(b"x" * 1000)

    thread = in_background(flood)
    began = time.monotonic()
    instrument.line.discard_input()
    assert time.monotonic() - began < 2
    stop.set()
    while thread.is_alive():
        instrument.line.discard_input()


def test_a_port_is_used_by_one_and_free_again_afterwards(instrument: Instrument) -> None:
    second = VisaLine(instrument.line.address)
    with pytest.raises(PortInUseError, match="in use by process"):
        second.open()
    instrument.line.close()
    instrument.line.close()
    second.open()
    second.close()


def test_a_line_that_is_not_open_says_so() -> None:
    line = VisaLine("TCPIP::127.0.0.1::1::SOCKET")
    for use in (lambda: line.read_line(0.1), lambda: line.write_lines("*IDN?"), line.discard_input):
        with pytest.raises(TransportError, match="not open"):
            use()


def test_only_visa_resources_are_addresses() -> None:
    with pytest.raises(ConfigurationError, match="VISA resource such as"):
        VisaLine("127.0.0.1:5025")
