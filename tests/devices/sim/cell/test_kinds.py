"""Cells of every kind on the bench: made from their records, scattered, saved and measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from devices.sim.bench.cell_store import CellStore
from devices.sim.bench.client import ensure_bench, pellet_parameters
from devices.sim.cell.kinds import KINDS, cell_parameters, new_cell, scattered
from devices.sim.cell.leads import MountedPellet
from devices.sim.cell.pellet.parameters import PelletParameters
from labctl.records.cell import Cell, load_cell
from labctl.records.station import packaged_config
from tests.conftest import simulated_station
from tests.devices.sim.palmsens.sim_spectra import column, impedance, output, potentiostatic

PACKAGED = {
    "full": "bare-ncm",
    "ion_path": "ion-path-bare",
    "electron_path": "electron-path-bare",
    "electrolyte": "electrolyte-lpscl",
}


def record(kind: str) -> Cell:
    """The packaged record of this kind."""
    return load_cell(packaged_config(f"cells/{PACKAGED[kind]}.yaml"))


def simulated(kind: str, **settings: Any) -> Any:
    """Its simulated cell, rested."""
    chosen = {"ages": True, "seed": 1, "spread": 0.0, **settings}
    parameters = cell_parameters("test", pellet_parameters(record(kind)), **chosen)
    around = {"temperature_kelvin": 298.15, "pressure_pa": 50e6, "time_second": 0.0}
    return new_cell(kind, parameters, stoichiometry=0.7, **around), parameters


def test_kinds_of_the_bench_are_those_of_the_record() -> None:
    assert {record(kind).kind for kind in PACKAGED} == set(KINDS)


def test_the_carbon_free_composite_of_the_electron_path_has_a_measurable_electronic_resistance() -> None:
    ions, electrons = (simulated(kind)[0].truth() for kind in ("ion_path", "electron_path"))
    assert ions["electronic_resistance_ohm"] < 1.0
    assert 20.0 < electrons["electronic_resistance_ohm"] < 100.0
    assert ions["ionic_resistance_ohm"] == pytest.approx(electrons["ionic_resistance_ohm"])


def test_the_tortuosity_factor_of_the_truth_is_that_of_resistance_and_record() -> None:
    truth, cell = simulated("ion_path")[0].truth(), record("ion_path")
    assert cell.composite_thickness_um is not None
    assert cell.electrolyte_volume_fraction is not None
    effective = cell.composite_thickness_um * 1e-6 / (truth["ionic_resistance_ohm"] * cell.area_m2)
    factor = cell.electrolyte_volume_fraction * truth["electrolyte_conductivity_s_per_m"] / effective
    assert factor == pytest.approx(truth["tortuosity_factor"], rel=0.01)


@pytest.mark.parametrize("kind", KINDS)
def test_a_spectrum_over_the_wire_is_the_impedance_of_the_cell(kind: str) -> None:
    cell, _ = simulated(kind)
    lines = output(potentiostatic("200k 1 40i"), MountedPellet("test", cell, 0.0))
    expected = cell.impedance(column(lines, "dc"))
    assert np.abs(impedance(lines) / expected - 1.0).max() < 6e-3


@pytest.mark.parametrize("kind", KINDS)
def test_a_saved_cell_comes_back_as_it_was(kind: str, tmp_path: Path) -> None:
    cell, parameters = simulated(kind)
    mounted = MountedPellet("test", cell, 100.0)
    mounted.set_current(1e-5)
    mounted.advance_to(105.0)
    mounted.set_surroundings(310.0, 30e6)
    store = CellStore(tmp_path)
    assert store.load("test", kind, parameters) is None
    store.save("test", kind, mounted.state())
    again = store.load("test", kind, parameters)
    assert again is not None
    cell.open_circuit()
    assert (again.truth(), again.charge_ah) == (cell.truth(), cell.charge_ah)
    assert again.voltage_volt == cell.voltage_volt != 0.0
    other = next(name for name in KINDS if name != kind)
    with pytest.raises(ValueError, match=f"is of kind {kind}, not {other}"):
        store.load("test", other, parameters)


def test_replicates_differ_by_the_spread_and_always_in_the_same_way() -> None:
    parameters = PelletParameters.for_cell(coated=True, ages=True)
    cells = [scattered(parameters, f"cell-{k}", seed=1, spread=0.03) for k in range(800)]
    assert cells[5] == scattered(parameters, "cell-5", seed=1, spread=0.03)
    assert cells[5] != scattered(parameters, "cell-5", seed=2, spread=0.03)
    columns = [
        [getattr(cell, name) / getattr(parameters, name) for cell in cells]
        for name in ("active_mass_kg", "contact_fraction", "tortuosity_factor", "anode_resistance_ohm_m2")
    ]
    columns.append([cell.ageing.isolation_per_cycle / 8e-4 for cell in cells if cell.ageing])
    logarithms = np.log(np.array(columns))
    assert logarithms.std(axis=1) == pytest.approx(0.03, rel=0.1)
    assert np.abs(logarithms.mean(axis=1)).max() < 0.004
    assert np.abs(np.corrcoef(logarithms) - np.eye(5)).max() < 0.12


def test_no_spread_makes_a_cell_impossible() -> None:
    parameters = PelletParameters.coated(contact_fraction=0.95, tortuosity_factor=1.05)
    cells = [scattered(parameters, f"cell-{k}", seed=1, spread=0.3) for k in range(200)]
    assert max(cell.contact_fraction for cell in cells) == 1.0
    assert min(cell.tortuosity_factor for cell in cells) == 1.0
    for cell in cells:
        PelletParameters.model_validate(cell.model_dump())


def test_without_spread_a_cell_is_as_its_record_says() -> None:
    given = pellet_parameters(record("full"))
    chosen = {"ages": False, "seed": 1, "spread": 0.0}
    assert cell_parameters("a", given, **chosen) == PelletParameters.for_cell(**given)
    with pytest.raises(ValueError, match=r"(?s)cell a: .*colour"):
        cell_parameters("a", {**given, "colour": 1.0}, **chosen)


def test_a_bench_scatters_replicates_and_can_mount_every_kind() -> None:
    first = record("full")
    second = first.model_copy(update={"id": "bare-ncm-2"})
    station = simulated_station(spread=0.03)
    with ensure_bench(station, Path("unused"), cell=first, fresh=True) as bench:
        mine = bench.truth()["tortuosity_factor"]
        bench.mount(second)
        assert bench.truth()["tortuosity_factor"] != mine
        bench.mount(first)
        assert bench.truth()["tortuosity_factor"] == mine != 8.0
        for kind in KINDS:
            bench.mount(record(kind))
            assert bench.truth()["kind"] == kind
            state = bench.cell_state()
            assert (state["stoichiometry"] is None) == (kind == "electrolyte")
            assert (abs(state["voltage_volt"]) < 1e-9) == record(kind).is_symmetric
            assert bench.impedance([10.0])[0].real > 1.0


@pytest.mark.parametrize("ageing", [True, False])
def test_a_station_says_whether_its_pellets_age(ageing: bool) -> None:
    station = simulated_station(ageing=ageing, stoichiometry=0.3)
    with ensure_bench(station, Path("unused"), cell=record("full"), fresh=True) as bench:
        bench.clock.sleep(36_000.0)
        assert (bench.truth()["side_charge_ah"] > 0.0) == ageing
        assert (bench.cell_state()["stoichiometry"] > 0.3 + 1e-6) == ageing
