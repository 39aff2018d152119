from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labctl.analysis.cycling.differential_capacity import differential_capacity
from labctl.errors import ConfigurationError


def two_plateaus(count: int = 4000) -> tuple[np.ndarray, np.ndarray]:
    """Capacity over a voltage that lingers at 3.0 and 3.4 V: dQ/dV has its maxima there."""
    volt = np.linspace(2.5, 3.8, count)
    density = (
        1e-4 + 2e-3 * np.exp(-(((volt - 3.0) / 0.03) ** 2)) + 1e-3 * np.exp(-(((volt - 3.4) / 0.05) ** 2))
    )
    capacity = np.concatenate([[0.0], np.cumsum((density[1:] + density[:-1]) / 2 * np.diff(volt))])
    return capacity, volt


def test_the_curve_is_the_derivative() -> None:
    capacity, volt = two_plateaus()
    result = differential_capacity(capacity, volt)
    near = [result.capacity_ah_per_volt[np.abs(result.voltage_volt - v).argmin()] for v in (3.0, 3.4, 2.6)]
    assert near == pytest.approx([2.1e-3, 1.1e-3, 1e-4], rel=0.02)


@given(
    seed=st.integers(0, 999), noise=st.floats(0, 5e-3), step=st.floats(1e-3, 0.1), count=st.integers(2, 400)
)
@settings(deadline=None, max_examples=60)
def test_no_charge_is_lost_or_made(seed: int, noise: float, step: float, count: int) -> None:
    capacity, volt = two_plateaus(count)
    noisy = volt + np.random.default_rng(seed).normal(0, noise, count)
    result = differential_capacity(capacity, noisy, step_volt=step)
    assert result.capacity_ah_per_volt.sum() * step == pytest.approx(capacity[-1], rel=1e-9)
    assert (result.capacity_ah_per_volt >= -1e-15).all()


def test_noise_does_not_hide_the_plateaus() -> None:
    capacity, volt = two_plateaus()
    noisy = volt + np.random.default_rng(0).normal(0, 1e-3, len(volt))
    result = differential_capacity(capacity, noisy)
    assert result.voltage_volt[result.capacity_ah_per_volt.argmax()] == pytest.approx(3.0, abs=11e-3)


def test_a_discharge_gives_the_same_as_the_charge_it_mirrors() -> None:
    capacity, volt = two_plateaus()
    up = differential_capacity(capacity, volt)
    down = differential_capacity(capacity[-1] - capacity[::-1], volt[::-1])
    np.testing.assert_allclose(up.capacity_ah_per_volt, down.capacity_ah_per_volt, rtol=1e-9)


def test_missing_readings_are_bridged_and_a_flat_voltage_is_one_interval() -> None:
    capacity, volt = two_plateaus()
    volt[100:120] = np.nan
    result = differential_capacity(capacity, volt)
    assert result.capacity_ah_per_volt.sum() * result.step_volt == pytest.approx(capacity[-1])
    flat = differential_capacity([0.0, 1e-3, 2e-3], [3.0, 3.0, 3.0])
    assert flat.capacity_ah_per_volt.sum() * flat.step_volt == pytest.approx(2e-3)
    assert len(differential_capacity([1.0], [3.0]).voltage_volt) == 0


@pytest.mark.parametrize(
    ("capacity", "voltage", "step", "field"),
    [
        ([0, 1], [3, 3.1, 3.2], 5e-3, "shapes"),
        ([0, 1], [3, 3.1], 0.0, "step_volt"),
        ([0, 1], [0, 4], 1e-9, "step_volt"),
    ],
)
def test_what_makes_no_sense_is_refused(capacity: list, voltage: list, step: float, field: str) -> None:
    with pytest.raises(ConfigurationError, match=field):
        differential_capacity(capacity, voltage, step_volt=step)
