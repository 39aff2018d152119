"""The transmission line against a network solved node by node, and fits of symmetric cells."""

from __future__ import annotations

import numpy as np
import pytest

from labctl.analysis.impedance.symmetric_cell import fit_electron_path, fit_ion_path
from labctl.analysis.impedance.transmission_line import TransmissionLine, ionic_from_amplitude, rails
from labctl.errors import ConfigurationError
from tests.labctl.analysis.impedance.synthetic_spectra import arc, frequencies, jw, ladder, noisy

BAND = frequencies(200e3, 1e-2)
COARSE = frequencies(1e3, 1e-2, 2)
FARAD = 2e-4


def blocking(band=BAND):
    return 1 / (jw(band) * FARAD)


@pytest.mark.parametrize("contacts", ["ion_ion", "electron_electron", "ion_electron"])
@pytest.mark.parametrize("ohms", [(57.0, 0.7), (57.0, 40.0), (3.0, 200.0)])
def test_the_line_is_the_limit_of_a_network_of_many_nodes(contacts, ohms) -> None:
    line = rails(contacts, *ohms, blocking(COARSE))
    assert np.abs(ladder(contacts, *ohms, blocking(COARSE)) / line - 1).max() < 3e-3


def test_its_limits_are_the_rails() -> None:
    slow, fast = np.array([1e9 + 0j]), np.array([1e-9 + 0j])
    assert rails("ion_ion", 50, 20, slow)[0] == pytest.approx(50)
    assert rails("electron_electron", 50, 20, slow)[0] == pytest.approx(20)
    assert rails("electron_electron", 50, 20, fast)[0].real == pytest.approx(50 * 20 / 70, rel=1e-3)
    reflective = rails("ion_electron", 50, 0, 1 / (1j * np.array([1e-4])))[0]
    assert reflective.real == pytest.approx(50 / 3, rel=1e-3)


@pytest.mark.parametrize("contacts", ["ion_ion", "electron_electron", "ion_electron"])
@pytest.mark.parametrize("faradaic", [False, True])
def test_derivatives_of_the_line_are_those_of_its_formula(contacts, faradaic) -> None:
    line = TransmissionLine(contacts, faradaic=faradaic)
    values = np.array([57.0, 8.0, 1.5e-4, 0.93] + [300.0] * faradaic)
    log_jw = np.log(jw(frequencies(1e5, 1, 4)))
    slopes = line.response(log_jw, values)[1]
    assert len(slopes) == len(line.parameters) == len(values)
    for k, parameter in enumerate(line.parameters):
        step = np.zeros(len(values))
        step[k] = 1e-6 * (1.0 if parameter.kind == "exponent" else values[k])
        up, down = (line.response(log_jw, values + s * step)[0] for s in (1, -1))
        assert np.abs((up - down) / 2e-6 - slopes[k]).max() < 1e-5 * np.abs(slopes[k]).max()


def test_ionic_resistance_follows_from_the_amplitude() -> None:
    assert ionic_from_amplitude(57**2 / (57 + 8), 8) == pytest.approx(57)
    assert ionic_from_amplitude(57, 0) == 57


def ion_path(ionic: float, electronic: float, transfer: float, seed: int):
    """Two layers of electrolyte with grain boundaries, two alloy electrodes, and the line."""
    interface = 1 / (jw(BAND) * FARAD + 1 / transfer)
    layers = 72 + arc(BAND, 30, 3e-7, 0.85) + arc(BAND, 16, 0.1, 0.85)
    return noisy(layers + rails("ion_ion", ionic, electronic, interface), seed)


@pytest.mark.parametrize("ionic", [28.0, 57.0, 200.0])
def test_the_ionic_rail_of_an_ion_path_cell_is_found_within_two_percent(ionic) -> None:
    fit = fit_ion_path(BAND, ion_path(ionic, 0.7, 1e5, 3), electronic_ohm=0.7)
    assert fit.ionic_ohm == pytest.approx(ionic, rel=0.02)
    assert fit.ionic_std_ohm < 0.02 * ionic
    assert fit.electrolyte_ohm == pytest.approx(102, rel=0.01)
    assert fit.electrode_ohm == pytest.approx(16, rel=0.02)
    assert fit.capacitance_farad == pytest.approx(FARAD, rel=0.1)
    assert fit.rms_residual < 1.1e-3
    assert fit.flags == ()


def test_an_electronic_resistance_that_is_not_known_makes_the_ionic_one_low_by_it() -> None:
    spectrum = ion_path(57, 5, 1e5, 3)
    known, unknown = fit_ion_path(BAND, spectrum, electronic_ohm=5), fit_ion_path(BAND, spectrum)
    assert known.ionic_ohm == pytest.approx(57, rel=0.02)
    assert unknown.ionic_ohm == pytest.approx(52, rel=0.03)
    assert unknown.flags == ("electronic_unknown",)


def test_charge_transfer_through_a_charged_composite_is_seen_and_flagged() -> None:
    fit = fit_ion_path(BAND, ion_path(57, 0.7, 30, 2), electronic_ohm=0.7)
    assert fit.flags == ("faradaic",)
    assert fit.charge_transfer_ohm == pytest.approx(30, rel=0.3)
    assert fit.ionic_ohm == pytest.approx(57, abs=max(0.05 * 57, 3 * fit.ionic_std_ohm))


@pytest.mark.parametrize("ohms", [(57.0, 30.0), (57.0, 57.0), (20.0, 200.0)])
def test_both_rails_of_an_electron_path_cell_are_found(ohms) -> None:
    fit = fit_electron_path(BAND, noisy(rails("electron_electron", *ohms, blocking()), 1))
    assert (fit.ionic_ohm, fit.electronic_ohm) == pytest.approx(ohms, rel=0.01)
    assert fit.flags == ("contacts",)


def test_a_spectrum_that_does_not_bend_says_nothing_of_the_ions() -> None:
    fit = fit_electron_path(BAND, noisy(rails("electron_electron", 57, 0.5, blocking()), 1))
    assert fit.electronic_ohm == pytest.approx(0.5, rel=0.01)
    assert np.isnan(fit.ionic_ohm)
    assert set(fit.flags) == {"flat", "contacts"}


def test_a_handful_of_points_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="points"):
        fit_ion_path(BAND[:8], ion_path(57, 0.7, 1e5, 3)[:8])
