"""The serial line on a real socket: lines however they arrive, bounded waits, one owner."""

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from devices.transport.serial_line import LONGEST_LINE_BYTE, SerialLine
from labctl.errors import PortInUseError, TransportError


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


@pytest.fixture
def wire(server: socket.socket) -> Iterator[tuple[SerialLine, socket.socket]]:
    line = SerialLine(f"socket://127.0.0.1:{server.getsockname()[1]}")
    line.open()
    peer, _ = server.accept()
    with peer:
        yield line, peer
        line.close()


def test_split_and_merged_lines_come_out_whole_and_in_order(wire) -> None:
    line, peer = wire
    seen: list[bytes] = []
    for piece in (b"ab", b"c\nde\n\nf", b"g", b"h\n"):
        peer.sendall(piece)
        seen += line.read_lines(0.2)
    assert seen == [b"abc", b"de", b"", b"fgh"]


def test_reading_returns_within_its_timeout_when_nothing_comes(wire) -> None:
    line, _ = wire
    assert line.read_lines(0.05) == []


def test_a_closed_link_is_an_error_and_not_silence(wire) -> None:
    line, peer = wire
    peer.close()
    with pytest.raises(TransportError, match="link lost"):
        line.read_lines(1.0)


def test_garbage_without_line_ends_does_not_fill_the_memory(wire) -> None:
    line, peer = wire
    sender = threading.Thread(target=lambda: peer.sendall(b"x" * (2 * LONGEST_LINE_BYTE)), daemon=True)
    sender.start()
    with pytest.raises(TransportError, match="without a line end"):
        line.read_lines(5.0)
    peer.close()
    sender.join(5)


def test_nothing_at_the_address_says_so_and_frees_the_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    line = SerialLine(f"socket://127.0.0.1:{port}")
    for _ in range(2):
        with pytest.raises(TransportError, match="cannot be opened"):
            line.open()


def test_a_second_process_is_refused_naming_the_owner(wire, server) -> None:
    line, _ = wire
    code = (
        "import sys\nfrom devices.transport.serial_line import SerialLine\n"
        "from labctl.errors import PortInUseError\n"
        "try:\n    SerialLine(sys.argv[1]).open()\n"
        "except PortInUseError as error:\n    sys.stdout.write(str(error))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, line.address], capture_output=True, text=True, timeout=30
    )
    assert f"in use by process {os.getpid()}" in done.stdout


def test_the_same_process_cannot_open_a_port_twice(wire) -> None:
    line, _ = wire
    with pytest.raises(PortInUseError):
        SerialLine(line.address).open()
