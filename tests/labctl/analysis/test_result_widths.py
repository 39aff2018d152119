"""Tables of results on narrow terminals, in pipes and in files: no digit is cut."""

from __future__ import annotations

import io
import re
import types
import typing
from collections import Counter
from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from rich.console import Console, RenderableType

from labctl.analysis.conduction.arrhenius import ArrheniusFit
from labctl.analysis.conduction.conductivity import (
    ConductivityAnalysis,
    ConductivityPoint,
    conductivity_table,
)
from labctl.analysis.conduction.polarization import PolarizationAnalysis, SteadyHold, polarization_table
from labctl.analysis.conduction.pressure_law import PressureLaw
from labctl.analysis.conduction.tortuosity import TortuosityAnalysis, TortuosityPoint, tortuosity_table
from labctl.analysis.cycling.cycles import CycleResult, CyclingAnalysis, cycling_table
from labctl.analysis.dcir import DcirAnalysis, DcPulse, dcir_table
from labctl.analysis.gitt.results import GittAnalysis, GittPulse, result_table
from labctl.analysis.ici import IciAnalysis, Interruption, ici_table
from labctl.analysis.impedance.analysis import ImpedanceAnalysis, SpectrumResult, impedance_table
from labctl.analysis.impedance.circuit import fit_circuit
from labctl.analysis.impedance.kramers_kronig import linear_kk
from labctl.analysis.impedance.spectra import Spectrum
from labctl.commands.chosen import show
from labctl.number_table import NumberTable
from tests.labctl.analysis.impedance.synthetic_spectra import arc, frequencies, noisy

WIDTHS = (60, 80, 120)
WIDE = 1000
NUMBER = re.compile(r"[-+]?\d[\d.]*(?:e[-+]\d+)?")


def filled(kind: type[Any], rng: np.random.Generator, **given: Any) -> Any:
    """A record with numbers of many digits everywhere that nothing else is given."""
    hints = typing.get_type_hints(kind)
    drawn = {field.name: _drawn(hints[field.name], rng) for field in fields(kind) if field.name not in given}
    return kind(**drawn, **given)


def _drawn(hint: Any, rng: np.random.Generator) -> Any:
    if is_dataclass(hint):
        return filled(typing.cast("type[Any]", hint), rng)
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        return _drawn(inner[0], rng)
    if origin is typing.Literal:
        return inner[0]
    if origin is tuple:
        return () if inner[0] is str else tuple(_drawn(inner[0], rng) for _ in range(4))
    simple = {float: -123456.789 * 10 ** rng.uniform(-2, 1), int: int(rng.integers(1000, 9999)), bool: True}
    return simple.get(hint, "lithium-indium-pellet")


def rows(kind: type[Any], **given: Any) -> tuple[Any, ...]:
    rng = np.random.default_rng(1)
    return tuple(filled(kind, rng, **given) for _ in range(5))


def gitt() -> RenderableType:
    return result_table(filled(GittAnalysis, np.random.default_rng(2), pulses=rows(GittPulse), skipped=()))


def ici() -> RenderableType:
    found = rows(Interruption, flags=("not_steady", "curved_ocv"))
    return ici_table(filled(IciAnalysis, np.random.default_rng(2), interruptions=found, skipped=()))


def dcir() -> RenderableType:
    found, times = rows(DcPulse, flags=("drift",)), (0.1, 1.0, 10.0, 30.0)
    rng = np.random.default_rng(2)
    return dcir_table(filled(DcirAnalysis, rng, pulses=found, skipped=(), times_second=times))


def cycling() -> RenderableType:
    found = (*rows(CycleResult, complete=True), *rows(CycleResult, complete=False))
    return cycling_table(filled(CyclingAnalysis, np.random.default_rng(2), cycles=found))


def conductivity() -> RenderableType:
    rng = np.random.default_rng(2)
    analysis = filled(
        ConductivityAnalysis,
        rng,
        points=rows(ConductivityPoint, flags=("poor_fit",)),
        pressure_laws={"electrolyte": filled(PressureLaw, rng)},
        activation_energies={"electrolyte": (filled(ArrheniusFit, rng, form="sigma_t"),)},
    )
    return conductivity_table(analysis)


def tortuosity() -> RenderableType:
    found = rows(TortuosityPoint, flags=("temperature",))
    return tortuosity_table(filled(TortuosityAnalysis, np.random.default_rng(2), points=found))


def polarization() -> RenderableType:
    return polarization_table(filled(PolarizationAnalysis, np.random.default_rng(2), holds=rows(SteadyHold)))


def impedance() -> RenderableType:
    frequency = frequencies(1e6, 1e-2)
    ohm = noisy(54321.0 + arc(frequency, 98765.0, 1e-3, 0.9) + arc(frequency, 4321.0, 1.0, 0.8), 1, 1e-5)
    circuit, test = fit_circuit(frequency, ohm, arcs=3), linear_kk(frequency, ohm)
    rng = np.random.default_rng(2)
    spectra = rows(Spectrum, frequency_hertz=frequency, impedance_ohm=ohm)
    results = tuple(
        SpectrumResult(s, replace(circuit, series_std_ohm=0.0), test, ("poor_fit", "beyond_band", "large"))
        for s in spectra
    )
    return impedance_table(filled(ImpedanceAnalysis, rng, results=results, skipped=()))


TABLES: tuple[Callable[[], RenderableType], ...] = (
    gitt,
    ici,
    dcir,
    cycling,
    conductivity,
    tortuosity,
    polarization,
    impedance,
)


def printed(part: RenderableType, width: int) -> str:
    console = Console(file=io.StringIO(), width=width)
    console.print(part)
    return typing.cast("io.StringIO", console.file).getvalue()


@cache
def wide_numbers(table: Callable[[], RenderableType]) -> Counter[str]:
    return numbers(printed(table(), WIDE))


def numbers(text: str) -> Counter[str]:
    return Counter(NUMBER.findall(text))


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("table", TABLES)
def test_every_number_stands_whole_in_a_narrow_table(table: Callable[[], RenderableType], width: int) -> None:
    text, wide = printed(table(), width), wide_numbers(table)
    narrow = numbers(text)
    assert sum(wide.values()) > 20
    assert narrow.keys() == wide.keys()
    assert all(narrow[number] >= count for number, count in wide.items())  # the first column comes again
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= width


@pytest.mark.parametrize("width", [20, 60, 80, 200, None])
def test_what_is_printed_has_all_digits_even_where_one_column_is_wider_than_the_terminal(
    width: int | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    if width is not None:
        monkeypatch.setenv("COLUMNS", str(width))
    long = [f"{n}23456789.{n}23456789e-12 ±0.000123456789" for n in range(1, 4)]
    show(NumberTable({"#": ["1", "2", "3"], "R\nohm": long, "name": ["a b", "c", "d"]}, words=("name",)))
    text = capsys.readouterr().out
    for number in long:
        assert number in text
    if width is None:  # a pipe: all side by side
        assert len(text.splitlines()) == 8


def test_markup_in_a_name_is_text(capsys: pytest.CaptureFixture[str]) -> None:
    show(NumberTable({"cell": ["[bold]x[/bold]"], "points": ["12"]}, words=("cell",), ruled=False))
    assert "[bold]x[/bold]" in capsys.readouterr().out
