"""Impedance spectra on the simulated bench: where they are taken, what they find, that they move nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from labctl.analysis.impedance.analysis import analyze_impedance
from labctl.analysis.impedance.spectra import spectra
from labctl.commands.analyze import analyze_stored
from labctl.documents import tables
from labctl.errors import ConfigurationError, ProtocolError
from labctl.records.cell import Cell
from labctl.session import Session, open_session
from plans.building_blocks import rest, spectrum, to_voltage, window_of
from plans.executor.measurement import run_protocol
from plans.impedance import impedance_spectrum
from plans.protocol.protocol import Loop, Mark, Protocol
from tests.conftest import simulated_station
from tests.helpers import Documents

MOST_CHARGE = 1e-3  # of the nominal capacity


@pytest.fixture(scope="module")
def resting(coated_cell: Cell, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    """A session whose cell no test moves."""
    directory = tmp_path_factory.mktemp("resting")
    with open_session(simulated_station(), coated_cell, directory, fresh_bench=True) as session:
        yield session


def test_a_spectrum_of_the_cell_as_it_is_finds_its_true_impedance(
    resting: Session, documents: Documents
) -> None:
    session = resting
    session.RE(impedance_spectrum(session.cycler, cell=session.cell, rest_second=600), documents)
    assert documents.stream("steps")["step_type"] == ["rest", "peis"]
    (found,) = spectra(tables(documents.all))
    assert len(found.frequency_hertz) == 74
    true = np.array(session.bench.impedance(found.frequency_hertz.tolist()))
    assert np.abs(found.impedance_ohm / true - 1).max() < 0.01
    assert found.tag == "as it is"
    assert found.voltage_volt == pytest.approx(session.bench.cell_state()["voltage_volt"], abs=1e-3)
    (result,) = analyze_impedance(tables(documents.all), session.cell).results
    assert result.circuit.rms_residual < 3e-3
    assert result.kramers_kronig.passes
    assert "charge_moved" not in result.flags
    assert documents.of("start")[0]["plan_parameters"]["rest_second"] == 600


def test_states_of_charge_are_reached_and_rested_before_each_spectrum(open_sim, documents: Documents) -> None:
    session: Session = open_sim(stoichiometry=0.45)
    session.RE.subscribe(documents)
    plan = impedance_spectrum(
        session.cycler,
        cell=session.cell,
        soc_percent=(100, 80, 50),
        rate="1C",
        rest_second=7200,
        frequency_min_hertz=0.1,
    )
    session.RE(plan)
    steps, found = documents.stream("steps"), spectra(tables(documents.all))
    expected = ["cc_charge", "rest", "peis", "cc_discharge", "rest", "peis", "cc_discharge", "rest", "peis"]
    assert steps["step_type"] == expected
    assert [one.tag for one in found] == ["100 %", "80 %", "50 %"]
    assert set(steps["end_reason"]) <= {"voltage_above", "charge", "drift", "time", "complete"}
    nominal = session.cell.nominal_capacity_ah
    shares = -np.diff([one.net_charge_ah for one in found]) / nominal
    assert shares == pytest.approx([0.2, 0.3], rel=0.002)
    assert found[0].voltage_volt > found[1].voltage_volt > found[2].voltage_volt
    assert all(abs(one.moved_charge_ah) < MOST_CHARGE * nominal for one in found)


def test_voltages_are_approached_from_one_side_and_held(open_sim, documents: Documents) -> None:
    session: Session = open_sim(stoichiometry=0.45)
    session.RE.subscribe(documents)
    plan = impedance_spectrum(
        session.cycler,
        cell=session.cell,
        voltages_volt=(3.5, 3.2),
        rate="1C",
        hold_until_rate="C/20",
        rest_second=600,
        mode="galvanostatic",
        amplitude_rms_ampere=5e-5,
        frequency_min_hertz=1,
    )
    session.RE(plan)
    steps, found = documents.stream("steps"), spectra(tables(documents.all))
    way = ["cc_discharge", "cv_discharge", "rest", "geis"]
    assert steps["step_type"] == ["cc_charge", *way, *way]
    assert [one.voltage_volt for one in found] == pytest.approx([3.5, 3.2], abs=0.02)
    assert set(documents.stream("impedance")["amplitude_unit"]) == {"A"}
    true = np.array(session.bench.impedance(found[-1].frequency_hertz.tolist()))
    assert np.abs(found[-1].impedance_ohm / true - 1).max() < 0.02


def test_spectra_inside_cycling_leave_the_state_of_charge_alone(open_sim, documents: Documents) -> None:
    """After a rest much too short, and by the bench's own count of charge."""
    session: Session = open_sim(stoichiometry=0.6)
    session.RE.subscribe(documents)
    window, nominal = window_of(session.cell), session.cell.nominal_capacity_ah
    body = (
        Mark(),
        to_voltage(session.cell, "charge", "2C", window.high_volt),
        rest(600),
        spectrum(tag="charged"),
        to_voltage(session.cell, "discharge", "2C", window.low_volt),
        rest(600),
        spectrum(tag="discharged"),
    )
    before = session.bench.cell_state()["charge_ah"]
    session.RE(
        run_protocol(
            session.cycler,
            Protocol(name="cycling with spectra", items=(Loop(repeat=1, body=body),)),
            cell=session.cell,
        )
    )
    steps = {name: np.array(values) for name, values in documents.stream("steps").items()}
    moved = steps["step_charging_capacity_ah"] - steps["step_discharging_capacity_ah"]
    sweeps = steps["step_type"] == "peis"
    assert sweeps.sum() == 2
    assert np.abs(moved[sweeps]).max() < MOST_CHARGE * nominal
    truly = session.bench.cell_state()["charge_ah"] - before
    of_currents = moved[np.char.startswith(steps["step_type"], "cc_")].sum()
    assert abs(truly - of_currents) < 2 * MOST_CHARGE * nominal
    assert [one.cycle_count for one in spectra(tables(documents.all))] == [1, 1]


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"soc_percent": (50, 80)}, "soc_percent"),
        ({"voltages_volt": (3.0, 3.5, 3.2)}, "voltages_volt"),
        ({"voltages_volt": (3.0, 3.9)}, "voltages_volt.* 2.38 V to 3.68 V"),
        ({"soc_percent": (50,), "voltages_volt": (3.0,)}, "not together"),
        ({"frequency_min_hertz": 1e4, "frequency_max_hertz": 1e3}, "frequency_min_hertz"),
        ({"voltage_max_volt": 4.0, "soc_percent": (50,)}, r"step 0.*until_voltage_above_volt = 4 V"),
    ],
)
def test_what_cannot_be_measured_is_refused_before_any_command(idle: Session, parameters, said) -> None:
    with pytest.raises((ConfigurationError, ProtocolError), match=said):
        impedance_spectrum(idle.cycler, cell=idle.cell, **parameters)


def test_a_frequency_beyond_the_instrument_is_refused_by_name(resting: Session) -> None:
    with pytest.raises(ProtocolError, match=r"step 1.*frequency_max_hertz = 1e\+06 Hz.*200000"):
        impedance_spectrum(resting.cycler, cell=resting.cell, frequency_max_hertz=1e6)


def test_analyze_prints_a_table_and_json(resting: Session, capsys: pytest.CaptureFixture[str]) -> None:
    quick: dict[str, Any] = {"rest_second": 60, "frequency_min_hertz": 1}
    resting.RE(impedance_spectrum(resting.cycler, cell=resting.cell, **quick))
    assert analyze_stored("last", resting.data_directory, as_json=False) == 0
    printed = capsys.readouterr().out
    assert "Impedance of run" in printed
    assert "ohm" in printed
    assert analyze_stored("last", resting.data_directory, as_json=True) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["cell_id"] == "lic-ncm-1"
    assert answer["spectra"][0]["circuit"]["series_ohm"] > 0
