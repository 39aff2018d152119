"""`labctl check`: connect to everything at a station and say in plain words what is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from labctl.commands.chosen import DEFAULT_CELL, chosen_data, chosen_station, show, unrecorded_notes, write
from labctl.equipment import Bench, Device, Identity, Limited, TakesOver
from labctl.errors import DeviceError, LabctlError
from labctl.printable import printable
from labctl.records.cell import Cell, load_cell
from labctl.records.station import Station, packaged_config
from labctl.session import connect_device, open_session

_BETWEEN = 2  # characters


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
            _give_it_a_cell(session.bench, session.cell)
        for device in session.devices.values():
            if isinstance(device, Limited):
                device.limits = station.limits  # those of a cell come with the run
            if isinstance(device, TakesOver):
                device.take_over = False
        findings: list[Finding] = []
        for role, device in sorted(session.devices.items(), key=lambda item: bool(_parts(station, item[0]))):
            bad = [f.role for f in findings if not f.good and f.role in _parts(station, role)]
            findings.append(_in_want_of(role, bad) if bad else _examine(station, role, device))
    show(f"Station {station.name}", Findings(findings, tuple(station.unrecorded)))
    for finding in findings:
        if not finding.good:
            write(f"{finding.role}: {finding.verdict}")
    for note in unrecorded_notes(station):
        write(note)
    return 0 if all(finding.good for finding in findings) else 1


def _give_it_a_cell(bench: Bench, cell: Cell) -> None:
    """A fresh simulated bench has nothing on its leads; a cell that is there stays there."""
    try:
        bench.cell_state()
    except DeviceError:
        bench.mount(cell)


def _parts(station: Station, role: str) -> list[str]:
    """The roles that this one is made of."""
    return list(station.devices[role].uses.values())


def _in_want_of(role: str, bad: list[str]) -> Finding:
    return Finding(role, "-", "-", "-", "-", f"needs {' and '.join(bad)}: see there", good=False)


def _examine(station: Station, role: str, device: Device) -> Finding:
    try:
        connect_device(station, role, device)
        who: Identity | None = getattr(device, "identity", None)
        reading = device.check_reading()
    except LabctlError as error:
        return Finding(role, "-", device.prefix, "-", "-", str(error), good=False)
    made_of = f"made of {', '.join(_parts(station, role))}"
    instrument = f"{who.maker} {who.model}\n{who.serial}\n{who.firmware}" if who else made_of
    return Finding(role, instrument, device.prefix or "-", reading, device.check_limits(), "good", good=True)


@dataclass(frozen=True)
class Findings:
    """Side by side where no word or number has to be broken for it, else one below the other."""

    findings: list[Finding]
    unrecorded: tuple[str, ...] = ()

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        columns = self._columns()
        longest = {
            heading: max(map(len, " ".join((heading, *cells)).split())) for heading, cells in columns.items()
        }
        if sum(longest.values()) + _BETWEEN * len(longest) > options.max_width:
            for finding in self.findings:
                yield from self._stacked(finding)
            return
        table = Table(box=None, pad_edge=False, padding=(0, _BETWEEN, 1, 0))
        for heading, least in longest.items():
            table.add_column(heading, overflow="fold", min_width=least)
        for cells in zip(*columns.values(), strict=True):
            table.add_row(*(Text(printable(cell, lines=True)) for cell in cells))
        yield table

    def _columns(self) -> dict[str, list[str]]:
        return {
            "role": [f.role for f in self.findings],
            "maker, model\nserial\nfirmware": [f.instrument for f in self.findings],
            "address": [f.address for f in self.findings],
            "reading": [f.reading for f in self.findings],
            "limits": [f.limits for f in self.findings],
            "verdict": [_verdict(f, self.unrecorded) for f in self.findings],
        }

    def _stacked(self, f: Finding) -> Iterator[RenderableType]:
        table = Table(box=None, show_header=False, padding=(0, 0, 0, 2), pad_edge=True)
        table.add_column(no_wrap=True)
        table.add_column(overflow="fold")
        named = {"instrument": f.instrument, "address": f.address, "reading": f.reading, "limits": f.limits}
        for name, said in named.items():
            if said != "-":
                table.add_row(name, Text(printable(said, lines=True)))
        yield Text(printable(f"\n{f.role}: {_verdict(f, self.unrecorded)}", lines=True))
        if table.row_count:
            yield table


def _verdict(f: Finding, unrecorded: tuple[str, ...]) -> str:
    good = f"{f.verdict}, not recorded" if f.role in unrecorded else f.verdict
    return good if f.good else "see below"
