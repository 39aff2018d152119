"""Direct-current polarisation of a simulated composite against its true electronic rail."""

from __future__ import annotations

import json

import pytest

from labctl.analysis.conduction.polarization import analyze_polarization
from labctl.commands.analyze import analyze_stored
from labctl.errors import ConfigurationError, ProtocolError
from labctl.session import Session
from plans.polarization import dc_polarization
from tests.plans.press_sessions import press_session, stored_run


def test_polarisation_of_an_electron_path_is_its_electronic_resistance(
    tmp_path, capsys: pytest.CaptureFixture[str]
) -> None:
    with press_session("electron-path-bare", tmp_path) as session:
        plan = dc_polarization(session.cycler, cell=session.cell, hold_second=1800)
        found = analyze_polarization(stored_run(session, plan), session.cell)
        truth = session.bench.truth()
        assert analyze_stored("last", session.data_directory, as_json=False) == 0
        assert "mV" in capsys.readouterr().out
        assert analyze_stored("last", session.data_directory, as_json=True) == 0
        assert json.loads(capsys.readouterr().out)["resistance_ohm"] == pytest.approx(found.resistance_ohm)
        assert not session.bench.cell_state()["circuit_closed"]
    assert len(found.holds) == 5
    assert [hold.voltage_volt for hold in found.holds] == pytest.approx([0.01, 0.02, 0.03, 0.04, 0.05])
    assert found.resistance_ohm == pytest.approx(truth["electronic_resistance_ohm"], rel=0.01)
    assert abs(found.offset_volt) < 1e-5
    assert found.flags == ()


def test_a_hold_too_short_for_the_electrodes_is_flagged(tmp_path) -> None:
    with press_session("ion-path-bare", tmp_path) as session:
        plan = dc_polarization(session.cycler, cell=session.cell, voltages_volt=(-0.01, 0.01), hold_second=60)
        found = analyze_polarization(stored_run(session, plan), session.cell)
        truth = session.bench.truth()
    in_series = sum(
        truth[name]
        for name in ("ionic_resistance_ohm", "separator_resistance_ohm", "interface_resistance_ohm")
    )
    assert "short" in found.flags
    assert found.resistance_ohm == pytest.approx(in_series, rel=0.02)


@pytest.mark.parametrize(
    ("voltages", "said"),
    [((0.01, 0.0), "differ from 0"), ((0.01, 0.6), "voltages_volt"), ((), "voltages_volt")],
)
def test_voltages_that_are_no_steps_are_refused(idle: Session, voltages, said) -> None:
    with pytest.raises((ConfigurationError, ValueError), match=said):
        dc_polarization(idle.cycler, cell=idle.cell, voltages_volt=voltages)


def test_a_cell_with_a_voltage_of_its_own_is_refused(idle: Session) -> None:
    with pytest.raises(ProtocolError, match=r"step 1: voltage_volt = 0.01 V"):
        dc_polarization(idle.cycler, cell=idle.cell)
