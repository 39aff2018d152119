"""Whether a current has become steady, and the resistance of several holds."""

from __future__ import annotations

import numpy as np
import pytest

from labctl.analysis.conduction.polarization import steady_hold

TIME = np.arange(0.0, 3600.0, 5.0)


def hold(steady_ampere: float, transient_second: float, noise_ampere: float = 1e-9):
    current = steady_ampere * (1 + np.exp(-TIME / transient_second))
    noise = noise_ampere * np.random.default_rng(0).normal(size=len(TIME))
    return steady_hold(3, TIME, np.full(len(TIME), 0.01), current + noise)


def test_a_current_that_has_settled_is_steady() -> None:
    found = hold(1e-5, 200.0)
    assert found.flags == ()
    assert found.current_ampere == pytest.approx(1e-5, rel=1e-3)
    assert found.current_std_ampere < 1e-9
    assert found.change_per_window < 0.01


def test_a_current_that_still_creeps_is_flagged() -> None:
    found = hold(1e-5, 2000.0)
    assert found.flags == ("not_steady",)
    assert found.change_per_window > 0.01


def test_gaps_and_few_samples_are_survived() -> None:
    current = np.full(len(TIME), 1e-5)
    current[::3] = np.nan
    assert steady_hold(3, TIME, np.full(len(TIME), 0.01), current).current_ampere == pytest.approx(1e-5)
    few = steady_hold(3, TIME[:4], np.full(4, 0.01), np.full(4, 1e-5))
    assert np.isnan(few.current_ampere)
    assert few.flags == ("short",)
