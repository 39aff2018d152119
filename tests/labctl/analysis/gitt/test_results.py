"""The GITT table for the terminal."""

import io

import pytest
from rich.console import Console

from labctl.analysis.gitt.analysis import analyze_run
from labctl.analysis.gitt.results import result_table
from labctl.documents import tables
from labctl.records.cell import load_cell
from labctl.records.station import packaged_config


@pytest.fixture
def printed():
    def show(analysis, width=80):
        console = Console(file=io.StringIO(), width=width)
        console.print(result_table(analysis))
        return console.file.getvalue()

    return show


def test_the_table_has_units_and_fits_eighty_columns(titration, printed):
    truth = {
        "equivalent_radius_metre": 5e-6,
        "stoichiometry": 0.5,
        "capacity_full_ah": 2e-3,
        "stoichiometry_grid": [0.0, 1.0],
        "diffusivity_m2_per_s_grid": [4e-15, 4e-15],
    }
    run = tables(titration(noise=50e-6, start={"simulation_truth": truth}).documents())
    text = printed(analyze_run(run, load_cell(packaged_config("cells/lic-ncm.yaml"))))
    assert "…" not in text
    for word in (
        "mAh",
        "mV",
        "m²/s",
        "R²/D",
        "D/true",
        "lic-ncm-1",
        "S = 3 V / R",
        "Median of fitted over true D: ",
    ):
        assert word in text
    assert (
        len([line for line in text.splitlines() if line.lstrip().startswith(("1+", "2+", "3+", "4+"))]) == 4
    )


def test_flags_are_explained_and_skipped_steps_are_named(titration, printed):
    documents = titration(diffusion_time=1563.0).documents()
    cut = next(i for i, (n, d) in enumerate(documents) if n == "event" and d["data"]["step_count"] == 8)
    text = printed(analyze_run(tables(documents[:cut])), width=200)
    assert "D tau/R^2 > 0.05" in text
    assert "Step 8 was left out: the step was not finished." in text
    assert "active_material.particle_radius_um" in text


def test_a_run_without_pulses_says_so(printed):
    assert "No pulse could be analysed." in printed(analyze_run(tables([("start", {"uid": "r"})])))
