"""A dry run in words: short numbers, what the figures rest on, and what to think about before a run."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from labctl.commands.run import remarks
from labctl.plugins import load_plan
from labctl.records.cell import Cell
from labctl.session import Session
from plans.executor.estimate import DryRun, describe, quantity

DAY = DryRun(duration_second=86_400, points=1000, steps=3, net_charge_ah=0.0, moved_charge_ah=0.0)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.00599, "5.99 mAh"),
        (0.000132, "132 µAh"),
        (-2.96e-5, "-29.6 µAh"),
        (3.15, "3.15 Ah"),
        (1234.5, "1234 Ah"),
        (0.9999, "1 Ah"),
        (0.00099999, "1 mAh"),
        (0.0, "0 Ah"),
    ],
)
def test_a_quantity_has_the_prefix_that_makes_it_short(value: float, text: str) -> None:
    assert quantity(value, "Ah") == text


@pytest.mark.parametrize(
    ("direction", "state"),
    [("charge", "an empty cell (0 % of nominal)"), ("discharge", "a full cell (100 %")],
)
def test_an_estimate_says_which_state_of_charge_it_assumes(
    idle: Session, coated_cell: Cell, direction: str, state: str
) -> None:
    told = load_plan("gitt")(idle.cycler, cell=coated_cell, pulses=2, direction=direction).describe()
    assert f"from {state}" in told
    assert "sooner or later" in told


def test_spectra_at_rest_assume_no_state_of_charge(idle: Session, coated_cell: Cell) -> None:
    told = load_plan("impedance_spectrum")(idle.cycler, cell=coated_cell).describe()
    assert "of nominal" not in told


def test_a_run_of_more_than_a_year_is_remarked(tmp_path: Path) -> None:
    assert remarks(replace(DAY, duration_second=4.4 * 365.25 * 86_400), tmp_path) == [
        "longer than a year: 4.4 years of cell time"
    ]
    assert remarks(DAY, tmp_path) == []


def test_a_run_that_the_disk_cannot_hold_is_remarked_before_its_directory_is_made(tmp_path: Path) -> None:
    large = replace(DAY, disk_byte=shutil.disk_usage(tmp_path).total + 1)
    (said,) = remarks(large, tmp_path / "not" / "there")
    assert f"{large.disk_byte / 1e6:.0f} MB" in said
    assert not (tmp_path / "not").exists()


def test_the_lines_of_an_estimate_fit_a_terminal() -> None:
    path = tuple((float(second), 25.0 + second) for second in range(40))
    told = describe(replace(DAY, temperature_path=path, assumed_start_percent=100.0))
    assert max(map(len, told.splitlines())) <= 80
