"""What `labctl check` found, on terminals of any width: no address, reading or limit is broken or cut."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from labctl.commands.check import Finding, Findings

FOUND = [
    Finding(
        role="environment",
        instrument="PalmSens EmStat4 HR\nES4HR00S0001\n1500 (Mar 12 2026 14:28:01), MethodSCRIPT 01.09.00",
        address="socket://127.0.0.1:35345",
        reading="49.975 MPa at the load cell, 50.003 MPa applied; 25.0 degC",
        limits="-1 to 4.5 V, 0.1234567 A",
        verdict="good",
        good=True,
    ),
    Finding("cycler", "-", "socket://127.0.0.1:4", "-", "-", "no answer", good=False),
]


@pytest.mark.parametrize("width", [50, 60, 80, 100, 120, 160])
def test_every_word_and_number_is_whole(width: int) -> None:
    console = Console(file=io.StringIO(), width=width)
    console.print(Findings(FOUND))
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    words = {
        word
        for f in FOUND
        for part in (f.instrument, f.address, f.reading, f.limits)
        for word in part.split()
    }
    assert words - {"-"} <= set(text.split())
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= width
