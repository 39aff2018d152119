"""Ion and electron paths of simulated composites against their true rails."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from labctl.analysis.conduction.tortuosity import TortuosityPoint, analyze_tortuosity
from labctl.commands.analyze import analyze_stored
from labctl.errors import ConfigurationError, ProtocolError
from labctl.session import Session
from plans.tortuosity import tortuosity
from tests.plans.press_sessions import press_session, stored_run

CARBON_MS_PER_CM = 10.0  # electronic conductivity of the simulated composites with carbon


def measured(session: Session, **parameters: Any) -> TortuosityPoint:
    plan = tortuosity(
        session.cycler, cell=session.cell, environment=session.environment, rest_second=60, **parameters
    )
    (point,) = analyze_tortuosity(stored_run(session, plan), session.cell).points
    return point


@pytest.mark.parametrize(("cell", "factor"), [("ion-path-bare", 8.0), ("ion-path-lic", 4.0)])
def test_the_ionic_resistance_and_the_tortuosity_factor_are_the_true_ones(
    cell: str, factor: float, tmp_path, capsys: pytest.CaptureFixture[str]
) -> None:
    with press_session(cell, tmp_path) as session:
        truth = session.bench.truth()
        point = measured(session, electronic_conductivity_ms_per_cm=CARBON_MS_PER_CM)
        assert truth["tortuosity_factor"] == factor
        assert point.ionic_ohm == pytest.approx(truth["ionic_resistance_ohm"], rel=0.03)
        assert point.tortuosity_factor == pytest.approx(factor, rel=0.03)
        assert point.flags == ()
        assert analyze_stored("last", session.data_directory, as_json=False) == 0
        assert "τ²" in capsys.readouterr().out
        assert analyze_stored("last", session.data_directory, as_json=True) == 0
        answer = json.loads(capsys.readouterr().out)
        assert answer["points"][0]["ionic_ohm"] == pytest.approx(point.ionic_ohm)
        unknown = measured(session)
        assert unknown.flags == ("electronic_unknown",)
        assert unknown.ionic_ohm == pytest.approx(
            truth["ionic_resistance_ohm"] - truth["electronic_resistance_ohm"], rel=0.03
        )


@pytest.fixture(scope="module")
def electron_path(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    with press_session("electron-path-bare", tmp_path_factory.mktemp("electrons")) as session:
        yield session


def test_an_electron_path_cell_gives_both_rails(electron_path: Session) -> None:
    truth, point = electron_path.bench.truth(), measured(electron_path)
    assert truth["temperature_kelvin"] == pytest.approx(298.15)
    assert point.electronic_ohm == pytest.approx(truth["electronic_resistance_ohm"], rel=0.01)
    assert point.ionic_ohm == pytest.approx(truth["ionic_resistance_ohm"], rel=0.03)
    assert point.tortuosity_factor == pytest.approx(8.0, rel=0.03)
    assert point.flags == ("contacts",)
    assert abs(electron_path.bench.cell_state()["charge_ah"]) < 1e-9


def test_away_from_the_temperature_of_the_record_no_tortuosity_is_given(electron_path: Session) -> None:
    point = measured(electron_path, temperatures_celsius=(40,), soak_second=60)
    assert point.temperature_celsius == pytest.approx(40, abs=1)
    assert "temperature" in point.flags
    assert np.isnan(point.tortuosity_factor)
    with pytest.raises(ProtocolError, match="temperature_celsius = 70"):
        measured(electron_path, temperatures_celsius=(70,))


def test_a_full_cell_is_refused(idle: Session) -> None:
    with pytest.raises(ConfigurationError, match=r"kind.*full.*ion_path or electron_path"):
        tortuosity(idle.cycler, cell=idle.cell)
