"""The linear Kramers-Kronig test on circuits, on the simulated pellet, and on cells that drift."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.sim.cell.pellet.parameters import PelletParameters
from devices.sim.cell.pellet.pellet import Pellet
from labctl.analysis.impedance.kramers_kronig import FLAGS, linear_kk
from labctl.errors import ConfigurationError

FREQUENCY = np.geomspace(1e6, 1e-2, 65)
PELLETS = {"bare": PelletParameters.bare(), "coated": PelletParameters.coated()}


def pellet_spectrum(parameters: PelletParameters, x: float = 0.5) -> np.ndarray:
    return Pellet(parameters, stoichiometry=x).impedance(FREQUENCY)


def measured_over(change: Callable[[Pellet, float], None]) -> np.ndarray:
    """A spectrum of a pellet that changes as its periods pass; `change` gets 0 to 1 as the sweep goes on."""
    passed = np.cumsum(1 / FREQUENCY)
    points = []
    for frequency, share in zip(FREQUENCY, passed / passed[-1], strict=True):
        pellet = Pellet(PELLETS["bare"], stoichiometry=0.5)
        change(pellet, float(share))
        points.append(pellet.impedance(np.array([frequency]))[0])
    return np.array(points)


def noise(share: float, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return 1 + share * (rng.normal(size=len(FREQUENCY)) + 1j * rng.normal(size=len(FREQUENCY)))


@pytest.mark.parametrize("name", PELLETS)
@pytest.mark.parametrize("x", [0.3, 0.5, 0.9])
def test_spectra_of_the_simulated_pellet_pass_below_a_thousandth(name: str, x: float) -> None:
    result = linear_kk(FREQUENCY, pellet_spectrum(PELLETS[name], x))
    assert result.largest_residual < 1e-3
    assert result.passes
    assert result.mu <= 0.85


@pytest.mark.parametrize("name", PELLETS)
def test_noise_is_left_as_it_is_and_not_fitted_away(name: str) -> None:
    spectrum = pellet_spectrum(PELLETS[name]) * noise(1e-3)
    result = linear_kk(FREQUENCY, spectrum)
    assert 0.6e-3 < result.rms_residual < 1.3e-3
    assert result.passes


def test_a_cell_that_warms_by_three_kelvin_during_the_sweep_is_flagged() -> None:
    warming = measured_over(lambda pellet, share: pellet.set_temperature(298.15 + 3 * share))
    result = linear_kk(FREQUENCY, warming * noise(1e-3))
    assert "large" in result.flags
    assert result.largest_residual > 0.01
    worst = FREQUENCY[np.argmax(np.abs(result.residual_imaginary))]
    assert worst < 100  # where the sweep spends its time


def test_a_cell_whose_contact_jumps_by_two_percent_is_flagged_where_it_jumped() -> None:
    spectrum = pellet_spectrum(PELLETS["bare"]) * np.where(FREQUENCY < 1.0, 1.02, 1.0)
    result = linear_kk(FREQUENCY, spectrum)
    assert result.flags == ("large", "pattern")
    assert 0.1 < FREQUENCY[np.argmax(np.abs(result.residual_real))] < 10


def test_a_small_drift_shows_as_a_pattern_before_it_is_large() -> None:
    drifting = pellet_spectrum(PELLETS["bare"]) * (1 + 0.03 * np.linspace(0, 1, len(FREQUENCY)) ** 6)
    result = linear_kk(FREQUENCY, drifting)
    assert result.largest_residual < 0.01
    assert result.flags == ("pattern",)


@given(
    ohm=st.lists(st.floats(1, 1000), min_size=1, max_size=3),
    decade=st.lists(st.floats(-4, 1), min_size=3, max_size=3),
    henry=st.floats(0, 1e-6),
    seed=st.integers(0, 99),
)
@settings(deadline=None, max_examples=25)
def test_any_passive_circuit_passes_with_its_noise(
    ohm: list[float], decade: list[float], henry: float, seed: int
) -> None:
    jw = 2j * np.pi * FREQUENCY
    spectrum = (
        20 + jw * henry + sum(r / (1 + (jw * 10**d) ** 0.85) for r, d in zip(ohm, decade, strict=False))
    )
    result = linear_kk(FREQUENCY, spectrum * noise(5e-4, seed))
    assert result.largest_residual < 4e-3
    assert "large" not in result.flags


def test_a_blocking_cell_needs_its_capacitance() -> None:
    jw = 2j * np.pi * FREQUENCY
    result = linear_kk(FREQUENCY, 50 + 1 / (jw * 1e-5) + 30 / (1 + jw * 1e-3))
    assert result.largest_residual < 1e-3


def test_series_resistance_and_inductance_are_told() -> None:
    jw = 2j * np.pi * FREQUENCY
    result = linear_kk(FREQUENCY, 52.0 + 2e-6 * jw + 100 / (1 + jw * 1e-2))
    assert result.series_ohm == pytest.approx(52.0, rel=1e-3)
    assert result.inductance_henry == pytest.approx(2e-6, rel=1e-2)


@pytest.mark.parametrize("count", [6, 10, 20, 40])
def test_a_spectrum_in_progress_is_tested_as_far_as_it_goes(count: int) -> None:
    spectrum = pellet_spectrum(PELLETS["bare"])
    result = linear_kk(FREQUENCY[:count], spectrum[:count])
    assert len(result.residual_real) == count
    assert result.largest_residual < 1e-3


def test_missing_readings_are_left_out_and_order_does_not_matter() -> None:
    spectrum = pellet_spectrum(PELLETS["coated"])
    holed = spectrum.copy()
    holed[[3, 40]] = np.nan
    result = linear_kk(FREQUENCY[::-1], holed[::-1])
    assert len(result.frequency_hertz) == len(FREQUENCY) - 2
    assert result.largest_residual < 1e-3


def test_what_was_fitted_and_what_was_left_make_the_spectrum() -> None:
    spectrum = pellet_spectrum(PELLETS["bare"]) * noise(1e-3)
    result = linear_kk(FREQUENCY, spectrum)
    left = result.residual_real + 1j * result.residual_imaginary
    np.testing.assert_allclose(result.fitted_ohm + np.abs(spectrum) * left, spectrum, rtol=1e-12)
    chi_square = (result.residual_real**2 + result.residual_imaginary**2).sum()
    assert result.pseudo_chi_square == pytest.approx(chi_square)
    assert result.to_dict()["rms_residual"] == pytest.approx(1e-3, rel=0.3)


@pytest.mark.parametrize(
    ("frequency", "impedance", "field"),
    [
        (FREQUENCY[:5], np.ones(5), "points"),
        (FREQUENCY, np.full(65, np.nan), "points"),
        (FREQUENCY, np.ones(64), "shapes"),
        (-FREQUENCY, np.ones(65), "frequency_hertz"),
    ],
)
def test_what_cannot_be_tested_is_refused_by_name(frequency: Any, impedance: Any, field: str) -> None:
    with pytest.raises(ConfigurationError, match=field):
        linear_kk(frequency, impedance)


def test_every_flag_is_explained() -> None:
    assert set(FLAGS) == {"large", "pattern"}
