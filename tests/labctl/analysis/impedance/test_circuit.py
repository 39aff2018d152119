"""Circuit fits: what was put in comes out, with honest errors, whatever it was."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labctl.analysis.impedance.circuit import fit_circuit
from labctl.analysis.impedance.complex_fit import ConstantPhase, Inductor, Resistor, Zarc, evaluate
from labctl.errors import ConfigurationError
from tests.labctl.analysis.impedance.synthetic_spectra import arc, frequencies, jw, noisy

BAND = frequencies(1e6, 1e-2, 9)


def two_arcs_and_a_blocking_end(scale: float = 1.0):
    open_end = scale / (0.3 * jw(BAND) ** 0.6)
    return 30 * scale + arc(BAND, 40 * scale, 1e-5, 0.9) + arc(BAND, 60 * scale, 4e-3, 0.8) + open_end


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e5])
def test_nine_numbers_are_found_again_at_every_size_of_the_impedance(scale: float) -> None:
    fit = fit_circuit(BAND, noisy(two_arcs_and_a_blocking_end(scale), 1), arcs=2, blocking=True)
    assert fit.series_ohm / scale == pytest.approx(30, rel=0.005)
    assert [one.resistance_ohm / scale for one in fit.arcs] == pytest.approx([40, 60], rel=0.01)
    assert [one.time_second for one in fit.arcs] == pytest.approx([1e-5, 4e-3], rel=0.02)
    assert [one.exponent for one in fit.arcs] == pytest.approx([0.9, 0.8], abs=0.01)
    assert fit.blocking is not None
    assert fit.blocking.exponent == pytest.approx(0.6, abs=0.01)
    assert fit.rms_residual < 1e-3
    assert fit.flags == ()
    assert json.loads(json.dumps(fit.to_dict()))["arcs"][1]["capacitance_farad"] > 0


@settings(max_examples=25, deadline=None)
@given(
    ohms=st.tuples(*[st.floats(15, 150)] * 2),
    first=st.floats(-5.5, -3.0),
    apart=st.floats(1.3, 3.0),
    exponents=st.tuples(*[st.floats(0.7, 1.0)] * 2),
    seed=st.integers(0, 1000),
)
def test_two_arcs_more_than_a_decade_apart_are_always_told_apart(ohms, first, apart, exponents, seed) -> None:
    seconds = (10**first, 10 ** (first + apart))
    truth = 50 + sum(arc(BAND, *one) for one in zip(ohms, seconds, exponents, strict=True))
    fit = fit_circuit(BAND, noisy(truth, seed), arcs=2)
    assert fit.rms_residual < 1.2e-3
    for one, ohm in zip(fit.arcs, ohms, strict=True):
        assert abs(one.resistance_ohm - ohm) < max(0.03 * ohm, 5 * one.resistance_std_ohm)


def test_standard_errors_are_those_by_which_repeated_fits_scatter() -> None:
    truth = two_arcs_and_a_blocking_end()
    fits = [fit_circuit(BAND, noisy(truth, seed), arcs=2, blocking=True) for seed in range(40)]
    for k, ohm in enumerate((40, 60)):
        values = np.array([fit.arcs[k].resistance_ohm for fit in fits])
        stated = np.mean([fit.arcs[k].resistance_std_ohm for fit in fits])
        assert values.std() == pytest.approx(stated, rel=0.4)
        assert abs(values.mean() - ohm) < 0.5 * stated
    sums = np.array([fit.series_with(1)[0] for fit in fits])
    assert sums.std() == pytest.approx(np.mean([fit.series_with(1)[1] for fit in fits]), rel=0.4)


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_as_many_arcs_are_taken_as_the_spectrum_is_worth(count: int) -> None:
    arcs = [(40, 1e-5, 0.9), (60, 4e-3, 0.85), (80, 1.0, 0.9)][:count]
    fit = fit_circuit(BAND, noisy(30 + 0j * BAND + sum(arc(BAND, *one) for one in arcs), 3))
    assert len(fit.arcs) == count


def test_an_arc_beside_a_blocking_end_a_million_times_larger_is_found() -> None:
    leaking_block = arc(BAND, 1e7, 80.0, 1.0)
    fit = fit_circuit(
        BAND, noisy(35 + arc(BAND, 16, 3e-7, 0.9) + arc(BAND, 10, 1e-5, 0.9) + leaking_block, 5), arcs=3
    )
    assert fit.series_with(2)[0] == pytest.approx(61, rel=0.005)
    assert fit.arcs[1].resistance_ohm == pytest.approx(10, rel=0.1)
    assert fit.rms_residual < 1e-3


def test_an_inductance_is_fitted_where_it_is_asked_for() -> None:
    truth = 20 + 1e-6 * jw(BAND) + arc(BAND, 50, 1e-3, 0.9)
    fit = fit_circuit(BAND, noisy(truth, 2), arcs=1, inductance=True)
    assert fit.inductance_henry == pytest.approx(1e-6, rel=0.02)
    assert fit_circuit(BAND, noisy(truth, 2), arcs=1).flags[0] == "poor_fit"


def test_what_the_spectrum_does_not_fix_is_flagged() -> None:
    half_seen = frequencies(100, 1)
    fit = fit_circuit(half_seen, noisy(10 + arc(half_seen, 50, 1e-6, 0.9), 4), arcs=1)
    assert {"beyond_band", "undetermined"} & set(fit.flags)


def test_points_may_come_in_any_order_and_with_gaps() -> None:
    truth = noisy(two_arcs_and_a_blocking_end(), 1)
    whole = fit_circuit(BAND, truth, arcs=2, blocking=True)
    broken = truth.copy()
    broken[[3, 40]] = np.nan
    order = np.random.default_rng(0).permutation(len(BAND))
    fit = fit_circuit(BAND[order], broken[order], arcs=2, blocking=True)
    assert fit.points == whole.points - 2
    assert (np.diff(fit.frequency_hertz) < 0).all()
    assert fit.arcs[1].resistance_ohm == pytest.approx(whole.arcs[1].resistance_ohm, rel=0.01)


def test_what_is_no_spectrum_is_refused_by_name() -> None:
    truth = two_arcs_and_a_blocking_end()
    with pytest.raises(ConfigurationError, match="arcs"):
        fit_circuit(BAND, truth, arcs=6)
    with pytest.raises(ConfigurationError, match="points"):
        fit_circuit(BAND[:5], truth[:5], arcs=3)
    with pytest.raises(ConfigurationError, match="shapes"):
        fit_circuit(BAND, truth[:-1])
    with pytest.raises(ConfigurationError, match="frequency_hertz"):
        fit_circuit(-BAND, truth)


@pytest.mark.parametrize(
    ("element", "values"),
    [
        (Resistor(), [40.0]),
        (Inductor(), [1e-6]),
        (Zarc(), [40.0, 1e-3, 0.8]),
        (ConstantPhase(), [1e-4, 0.9]),
    ],
)
def test_derivatives_of_elements_are_those_of_their_formulae(element, values) -> None:
    log_jw = np.log(jw(BAND))
    slopes = element.response(log_jw, np.array(values))[1]
    for k, parameter in enumerate(element.parameters):
        step = np.zeros(len(values))
        step[k] = 1e-6 * (1.0 if parameter.kind == "exponent" else values[k])
        up, down = (evaluate([element], BAND, np.array(values) + s * step) for s in (1, -1))
        assert np.abs((up - down) / 2e-6 - slopes[k]).max() < 1e-5 * np.abs(slopes[k]).max()
