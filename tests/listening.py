"""Where a process listens, by the kernel's own account (Linux)."""

from __future__ import annotations

import ipaddress
import socket
import struct
from pathlib import Path

import pytest

_LISTENS = "0A"


def listening_at(pid: int) -> set[tuple[str, int]]:
    """Address and port of every TCP socket on which process `pid` listens; skips where there is no /proc."""
    if not Path("/proc/net/tcp").exists():
        pytest.skip("needs /proc/net/tcp")
    inodes = set()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        target = str(entry.readlink()) if entry.is_symlink() else ""
        if target.startswith("socket:["):
            inodes.add(target.removeprefix("socket:[").removesuffix("]"))
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == _LISTENS and fields[9] in inodes:
                address, port = fields[1].split(":")
                found.add((_address(address), int(port, 16)))
    return found


def is_loopback(address: str) -> bool:
    """Whether nobody but this machine reaches it."""
    return ipaddress.ip_address(address).is_loopback


def _address(text: str) -> str:
    """The kernel writes 32-bit words in the machine's byte order."""
    words = [int(text[at : at + 8], 16) for at in range(0, len(text), 8)]
    packed = struct.pack(f"={len(words)}I", *words)
    return socket.inet_ntop(socket.AF_INET if len(words) == 1 else socket.AF_INET6, packed)
