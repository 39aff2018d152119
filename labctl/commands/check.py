"""`labctl check`: connect to everything at a station and say in plain words what is wrong."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from labctl.commands.common import DEFAULT_CELL, chosen_data, chosen_station, unrecorded_notes
from labctl.config import load_cell, packaged_config
from labctl.errors import DeviceError, LabctlError
from labctl.session import connect_device, open_session


@dataclass(frozen=True)
class Finding:
    """What one device answered."""

    role: str
    instrument: str
    address: str
    reading: str
    limits: str
    verdict: str
    good: bool


def check_station(path: Path, data: Path | None) -> int:
    """Connect to every device of the station; 0 when all is well, 1 when something is not."""
    station = chosen_station(path)
    with open_session(
        station,
        load_cell(packaged_config(DEFAULT_CELL)),
        chosen_data(data, station),
        connect=False,
        start_bench=True,
    ) as session:
        if session.bench is not None:
            _give_it_a_cell(session)
        for device in session.devices.values():
            if hasattr(device, "limits"):
                device.limits = station.limits  # those of a cell come with the run
            device.take_over = False
        findings: list[Finding] = []
        for role, device in sorted(session.devices.items(), key=lambda item: bool(_parts(station, item[0]))):
            bad = [f.role for f in findings if not f.good and f.role in _parts(station, role)]
            findings.append(_in_want_of(role, bad) if bad else _examine(station, role, device))
    console = Console()
    console.print(_table(station.name, findings, station.unrecorded))
    for finding in findings:
        if not finding.good:
            console.print(f"{finding.role}: {finding.verdict}", markup=False, highlight=False, soft_wrap=True)
    for note in unrecorded_notes(station):
        console.print(note, markup=False, highlight=False, soft_wrap=True)
    return 0 if all(finding.good for finding in findings) else 1


def _give_it_a_cell(session: Any) -> None:
    """A fresh simulated bench has nothing on its leads; a cell that is there stays there."""
    try:
        session.bench.cell_state()
    except DeviceError:
        session.bench.mount(session.cell)


def _parts(station: Any, role: str) -> list[str]:
    """The roles that this one is made of."""
    return list(station.devices[role].uses.values())


def _in_want_of(role: str, bad: list[str]) -> Finding:
    return Finding(role, "-", "-", "-", "-", f"needs {' and '.join(bad)}: see there", good=False)


def _examine(station: Any, role: str, device: Any) -> Finding:
    try:
        connect_device(station, role, device)
        who = getattr(device, "identity", None)
        reading = device.check_reading()
    except LabctlError as error:
        return Finding(role, "-", device.prefix, "-", "-", str(error), good=False)
    made_of = f"made of {', '.join(_parts(station, role))}"
    instrument = f"{who.maker} {who.model}\n{who.serial}\n{who.firmware}" if who else made_of
    return Finding(role, instrument, device.prefix or "-", reading, device.check_limits(), "good", good=True)


def _table(name: str, findings: list[Finding], unrecorded: Collection[str]) -> Table:
    table = Table(
        title=f"Station {name}", title_justify="left", box=None, pad_edge=False, padding=(0, 2, 1, 0)
    )
    for heading in ("role", "maker, model\nserial\nfirmware", "address", "reading", "limits", "verdict"):
        table.add_column(heading, overflow="fold", min_width=len(heading.split("\n")[0]))
    for f in findings:
        good = f"{f.verdict}, not recorded" if f.role in unrecorded else f.verdict
        verdict = good if f.good else "see below"
        table.add_row(f.role, f.instrument, f.address, f.reading, f.limits, verdict)
    return table
