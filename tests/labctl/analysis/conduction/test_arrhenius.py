"""Activation energies in both forms, and the law of stack pressure."""

from __future__ import annotations

import json

import numpy as np
import pytest

from labctl.analysis.conduction.arrhenius import GAS_CONSTANT, fit_arrhenius
from labctl.analysis.conduction.pressure_law import fit_pressure_law
from labctl.errors import ConfigurationError

KELVIN = np.array([298.15, 308.15, 318.15, 328.15, 333.15])
ENERGY = 35e3


def conductivity(form: str):
    plain = 0.2 * np.exp(ENERGY / GAS_CONSTANT * (1 / 298.15 - 1 / KELVIN))
    return plain * 298.15 / KELVIN if form == "sigma_t" else plain


@pytest.mark.parametrize("form", ["sigma_t", "plain"])
def test_the_energy_is_that_of_the_form_that_is_stated(form) -> None:
    fit = fit_arrhenius(KELVIN, conductivity(form), form=form)
    assert fit.form == form
    assert fit.activation_energy_j_per_mol == pytest.approx(ENERGY, rel=1e-9)
    assert fit.activation_energy_ev == pytest.approx(0.36275, rel=1e-4)
    assert fit.at(298.15) == pytest.approx(0.2, rel=1e-9)
    assert fit.flags == ()
    assert "T" in json.loads(json.dumps(fit.to_dict()))["form_as_formula"]


def test_the_forms_differ_by_about_rt() -> None:
    sigma = conductivity("plain")
    difference = (
        fit_arrhenius(KELVIN, sigma, form="sigma_t").activation_energy_j_per_mol
        - fit_arrhenius(KELVIN, sigma, form="plain").activation_energy_j_per_mol
    )
    assert difference == pytest.approx(GAS_CONSTANT * KELVIN.mean(), rel=0.01)


def test_the_standard_error_is_that_of_repeated_measurements() -> None:
    rng = np.random.default_rng(0)
    fits = [
        fit_arrhenius(KELVIN, conductivity("plain") * np.exp(0.01 * rng.normal(size=5)), form="plain")
        for _ in range(200)
    ]
    energies = np.array([fit.activation_energy_j_per_mol for fit in fits])
    stated = np.sqrt(np.mean([fit.activation_energy_std_j_per_mol**2 for fit in fits]))
    assert energies.std() == pytest.approx(stated, rel=0.2)
    assert energies.mean() == pytest.approx(ENERGY, rel=0.01)


def test_a_value_that_is_little_known_counts_little() -> None:
    sigma = conductivity("plain")
    sigma[-1] *= 1.5
    spread = np.array([0.01, 0.01, 0.01, 0.01, 1.0])
    assert fit_arrhenius(KELVIN, sigma, spread, form="plain").activation_energy_j_per_mol == pytest.approx(
        ENERGY, rel=1e-3
    )


def test_what_a_line_cannot_tell_is_flagged() -> None:
    few = fit_arrhenius(KELVIN[:2], conductivity("plain")[:2], form="plain")
    assert few.flags == ("few_temperatures", "narrow")
    assert few.to_dict()["activation_energy_std_j_per_mol"] is None
    bent = conductivity("plain") * np.array([1, 1, 1.4, 1, 1])
    assert fit_arrhenius(KELVIN, bent, form="plain").flags == ("bent",)


@pytest.mark.parametrize(
    ("kelvin", "sigma", "form", "field"),
    [
        ([298.0, 298.0], [1.0, 2.0], "plain", "temperatures"),
        ([298.0, 308.0], [1.0, -2.0], "plain", "conductivity"),
        ([298.0, 308.0], [1.0, 2.0], "log", "form"),
    ],
)
def test_what_is_no_ladder_of_temperatures_is_refused(kelvin, sigma, form, field) -> None:
    with pytest.raises(ConfigurationError, match=field):
        fit_arrhenius(kelvin, sigma, form=form)


PASCAL = np.array([5, 10, 25, 50, 100, 200]) * 1e6


def test_a_pressure_law_is_found_again_with_and_without_a_constant() -> None:
    contact = 8.0 * (50e6 / PASCAL) ** 0.5
    pure = fit_pressure_law(PASCAL, contact, constant=False)
    assert (pure.contact_ohm, pure.exponent, pure.constant_ohm) == pytest.approx((8.0, 0.5, 0.0))
    rng = np.random.default_rng(1)
    measured = (100 + contact) * (1 + 3e-4 * rng.normal(size=6))
    fit = fit_pressure_law(PASCAL, measured, constant=True)
    assert fit.contact_ohm == pytest.approx(8.0, abs=3 * fit.contact_std_ohm)
    assert fit.exponent == pytest.approx(0.5, abs=3 * fit.exponent_std)
    assert fit.at(50e6) == pytest.approx(108, rel=1e-3)
    assert fit.contact_at(5e6) == pytest.approx(25.3, rel=0.02)
    assert fit.flags == ()


def test_a_law_without_more_pressures_than_numbers_has_no_errors() -> None:
    fit = fit_pressure_law(PASCAL[:2], [20.0, 15.0], constant=False)
    assert fit.flags == ("few_pressures", "narrow")
    assert fit.to_dict()["exponent_std"] is None


def test_a_ladder_with_too_few_pressures_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="pressures"):
        fit_pressure_law(PASCAL[:2], [20.0, 15.0], constant=True)
