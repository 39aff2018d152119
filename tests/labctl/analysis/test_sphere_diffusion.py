"""The sphere's response against its series and against a numerical solution."""

import numpy as np
import pytest

from labctl.analysis.sphere_diffusion import (
    Equilibrium,
    pulse_response,
    rest_response,
    sphere_response,
    sphere_roots,
)


def test_the_roots_solve_tan_l_is_l():
    roots = sphere_roots(200)
    assert roots[:3] == pytest.approx([4.493409, 7.725252, 10.904122], abs=1e-6)
    assert np.abs(np.sin(roots) - roots * np.cos(roots)).max() < 1e-9


def test_the_response_is_the_series_of_the_sphere(plain_series):
    T = np.geomspace(1e-3, 10, 200)
    assert np.abs(sphere_response(T) - plain_series(T)).max() < 1e-7


def test_the_response_is_planar_at_first_and_linear_at_last():
    assert sphere_response(np.array([0.0]))[0] == 0
    assert sphere_response(np.array([1e-8]))[0] == pytest.approx(2 * np.sqrt(1e-8 / np.pi), rel=1e-3)
    assert sphere_response(np.array([5.0]))[0] == pytest.approx(15.2, abs=1e-12)


def test_the_response_is_that_of_shells_that_exchange_lithium():
    shells, steps, end = 400, 400, 0.3
    edges = np.linspace(0, 1, shells + 1)
    volume = np.diff(edges**3) / 3
    between = edges[1:-1] ** 2 / (1 / shells)
    exchange = np.diag(np.r_[between, 0] + np.r_[0, between]) - np.diag(between, 1) - np.diag(between, -1)
    matrix = np.linalg.inv(np.diag(volume) + exchange * end / steps)
    content, inflow = np.zeros(shells), np.zeros(shells)
    inflow[-1] = end / steps  # unit flux through the unit sphere's surface
    for _ in range(steps):
        content = matrix @ (volume * content + inflow)
    at_surface = content[-1] + 0.5 / shells  # the gradient at the surface is 1
    assert at_surface == pytest.approx(sphere_response(np.array([end]))[0], rel=2e-3)


def test_a_rest_begins_where_the_pulse_ended_and_comes_to_one():
    ended = pulse_response(np.array([600.0]), 6250.0, 600.0)[0]
    assert rest_response(np.array([0.0]), 6250.0, 600.0)[0] == pytest.approx(ended)
    assert ended > 1.5
    assert rest_response(np.array([50_000.0]), 6250.0, 600.0)[0] == pytest.approx(1, abs=1e-9)


def test_an_equilibrium_curve_passes_through_its_ends_and_does_not_turn_back_far_away():
    curve = Equilibrium(5e-3, curvature_volt=1e-3)
    assert curve.voltage(np.array([0.0, 1.0, 2.0])) == pytest.approx([0, 5e-3, 11e-3])
    far = Equilibrium(5e-3, curvature_volt=-1e-3).voltage(np.linspace(0, 100, 1000))
    assert (np.diff(far) > 0).all()
