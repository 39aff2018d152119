"""Sweeps of stack pressure and temperature, through wire, driver and journal, against the bench's truth."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from labctl.analysis.conduction.conductivity import ConductivityAnalysis, analyze_conductivity
from labctl.commands.analyze import analyze_stored
from labctl.errors import ConfigurationError, ProtocolError
from labctl.session import Session
from plans.conductivity import conductivity_sweep
from tests.plans.press_sessions import press_session, stored_run

PRESSURES_MPA = (5, 10, 25, 100, 200)
TEMPERATURES_CELSIUS = (25, 40, 50, 60)
ENERGY_J_PER_MOL = 35e3  # of the simulated electrolyte, in the plain form
ANODE_ENERGY_J_PER_MOL = 45e3
RT_J_PER_MOL = 8.314 * 315
QUICK: dict[str, Any] = {
    "pressures_mpa": PRESSURES_MPA,
    "temperatures_celsius": TEMPERATURES_CELSIUS,
    "soak_second": 300,
    "pressure_soak_second": 60,
    "repeat_first": False,
}


def swept(session: Session, **parameters: Any) -> ConductivityAnalysis:
    plan = conductivity_sweep(
        session.cycler, cell=session.cell, environment=session.environment, **{**QUICK, **parameters}
    )
    return analyze_conductivity(stored_run(session, plan), session.cell)


@pytest.fixture(scope="module")
def ion_path(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    with press_session("ion-path-bare", tmp_path_factory.mktemp("ion-path")) as session:
        yield session


@pytest.fixture(scope="module")
def truth(ion_path: Session) -> dict[str, Any]:
    """At 25 degrees Celsius and 50 MPa, as the bench begins."""
    return ion_path.bench.truth()


@pytest.fixture(scope="module")
def ion_path_sweep(ion_path: Session, truth: dict[str, Any]) -> ConductivityAnalysis:
    return swept(ion_path)


def on_ladder(sweep: ConductivityAnalysis) -> list[Any]:
    return [point for point in sweep.points if abs(point.temperature_celsius - 25) < 1]


def test_the_interface_resistance_follows_p_to_the_minus_one_half(
    ion_path_sweep: ConductivityAnalysis, truth: dict[str, Any]
) -> None:
    points = on_ladder(ion_path_sweep)
    pressure = np.array([point.pressure_pa for point in points])
    assert pressure[:5] / 1e6 == pytest.approx(PRESSURES_MPA, rel=0.01)
    interface = np.array([point.interface_ohm for point in points])
    by_law = interface[-1] * np.sqrt(pressure[-1] / pressure)
    assert interface == pytest.approx(by_law, rel=0.05)
    assert ion_path_sweep.pressure_laws["interface"].exponent == pytest.approx(0.5, rel=0.05)
    contacts = ion_path_sweep.pressure_laws["electrolyte"]
    assert contacts.exponent == pytest.approx(0.5, rel=0.05)
    assert pressure[-1] == pytest.approx(truth["pressure_pa"], rel=0.01)
    whole = interface[-1] + contacts.contact_at(pressure[-1])
    assert whole == pytest.approx(truth["interface_resistance_ohm"], rel=0.05)


def test_activation_energies_are_those_of_the_cell_in_the_form_stated(
    ion_path_sweep: ConductivityAnalysis,
) -> None:
    for name, energy, within in (
        ("electrolyte", ENERGY_J_PER_MOL, 0.03),
        ("interface", ANODE_ENERGY_J_PER_MOL, 0.03),
        ("rail", ENERGY_J_PER_MOL, 0.05),  # low by its electronic resistance, which does not change
    ):
        plain, sigma_t = ion_path_sweep.activation_energies[name]
        assert (plain.form, sigma_t.form) == ("plain", "sigma_t")
        assert plain.activation_energy_j_per_mol == pytest.approx(energy, rel=within)
        assert sigma_t.activation_energy_j_per_mol == pytest.approx(energy + RT_J_PER_MOL, rel=within)
    assert ion_path_sweep.flags == ()


def test_the_conductivity_is_that_of_the_electrolyte_at_every_pressure(
    ion_path_sweep: ConductivityAnalysis,
) -> None:
    for point in on_ladder(ion_path_sweep):
        assert point.conductivity_s_per_m == pytest.approx(0.2, rel=0.02)


@pytest.mark.slow
def test_a_pellet_between_steel_gives_the_same_energy_and_conductivity(tmp_path) -> None:
    with press_session("electrolyte-lpscl", tmp_path) as session:
        sweep = swept(session)
    law = sweep.pressure_laws["electrolyte"]
    assert law.exponent == pytest.approx(0.5, rel=0.05)
    assert law.contact_ohm == pytest.approx(10, rel=0.05)
    assert sweep.activation_energies["electrolyte"][0].activation_energy_j_per_mol == pytest.approx(
        ENERGY_J_PER_MOL, rel=0.03
    )
    assert on_ladder(sweep)[0].conductivity_s_per_m == pytest.approx(0.2, rel=0.02)


@pytest.mark.slow
@pytest.mark.parametrize("cell", ["bare-ncm", "lic-ncm"])
def test_a_full_cell_gives_contacts_and_electrolyte_too(cell: str, tmp_path) -> None:
    with press_session(cell, tmp_path) as session:
        sweep = swept(session)
    law = sweep.pressure_laws["electrolyte"]
    assert law.contact_ohm == pytest.approx(5, rel=0.1)
    assert law.exponent == pytest.approx(0.5, rel=0.1)
    assert sweep.activation_energies["electrolyte"][0].activation_energy_j_per_mol == pytest.approx(
        ENERGY_J_PER_MOL, rel=0.05
    )


def test_without_a_ladder_of_pressures_the_contacts_are_in_and_it_says_so(ion_path: Session) -> None:
    sweep = swept(ion_path, pressures_mpa=(), temperatures_celsius=(30, 50), frequency_min_hertz=0.5)
    assert sweep.flags == ("contacts",)
    assert "few_temperatures" in sweep.activation_energies["electrolyte"][0].flags
    assert sweep.activation_energies["electrolyte"][0].activation_energy_j_per_mol < 0.95 * ENERGY_J_PER_MOL


def test_analyze_prints_laws_and_energies_with_their_form(
    ion_path: Session, ion_path_sweep: ConductivityAnalysis, capsys: pytest.CaptureFixture[str]
) -> None:
    assert analyze_stored(ion_path_sweep.run_uid, ion_path.data_directory, as_json=False) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "sigma T = A exp(-Ea/RT)" in printed
    assert "kJ/mol" in printed
    assert "(P / 50 MPa)^-n" in printed
    assert analyze_stored(ion_path_sweep.run_uid, ion_path.data_directory, as_json=True) == 0
    answer = json.loads(capsys.readouterr().out)
    assert len(answer["points"]) == len(ion_path_sweep.points)
    assert answer["activation_energies"]["electrolyte"][0]["form"] == "plain"


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"pressures_mpa": (50, 500)}, r"step 4: pressure_pa = 5e\+08: the die"),
        ({"pressures_mpa": (), "temperatures_celsius": (25, 80)}, r"step 3: temperature_celsius = 80"),
        ({"pressures_mpa": (), "temperatures_celsius": ()}, "temperatures_celsius"),
    ],
)
def test_beyond_die_and_cell_nothing_is_sent(ion_path: Session, parameters, said) -> None:
    before = ion_path.bench.surroundings()
    with pytest.raises((ConfigurationError, ProtocolError), match=said):
        swept(ion_path, **parameters)
    after = ion_path.bench.surroundings()
    assert after["stack_pressure_pa"] == pytest.approx(before["stack_pressure_pa"], rel=1e-3)


def test_a_station_without_a_press_refuses_the_sweep(idle: Session) -> None:
    with pytest.raises(ProtocolError, match=r"step 0.*heated pressure cell"):
        conductivity_sweep(idle.cycler, cell=idle.cell)
