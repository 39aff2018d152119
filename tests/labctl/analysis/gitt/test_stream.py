"""GITT while it goes on gives what the analysis of the finished run gives."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest

from labctl.analysis.gitt.analysis import analyze_run
from labctl.analysis.gitt.results import GittPulse
from labctl.analysis.gitt.stream import SAMPLES, FittedPulse, GittStream, PulseWindow
from labctl.documents import RunTables, tables

CURVED = {"ocv": lambda n: 3.1 + 5e-3 * n + 2e-4 * n**2}


def windows(run: RunTables, part: int = 10_000) -> list[PulseWindow]:
    """Feed a run in parts of some rows; each `steps` row comes after all samples of its step."""
    stream, found = GittStream(run.start), []
    series, steps = run.stream("timeseries"), run.stream("steps")
    row, count = 0, len(series["step_count"])
    for number, step in enumerate(steps["step_count"]):
        end = int(np.searchsorted(series["step_count"], step, "right"))
        while row < end:
            stop = min(row + part, end + 3, count)  # the next step's first samples may come before the row
            stream.take_samples({name: series[name][row:stop] for name in SAMPLES})
            row = stop
        window = stream.take_step({name: column[number] for name, column in steps.items()})
        found += [window] if window is not None else []
    return found


def fitted(run: RunTables, **options: Any) -> dict[int, FittedPulse]:
    """What stands in the end: later fits of a pulse replace earlier ones."""
    return {f.pulse.step_count: f for window in windows(run, **options) for f in window.fit()}


def same(one: GittPulse, other: GittPulse) -> bool:
    """Equal in all fields, NaN to NaN."""
    return repr(replace(one, index=0)) == repr(replace(other, index=0)) and len(fields(one)) > 20


@pytest.mark.parametrize("part", [37, 10_000])
def test_pulse_by_pulse_gives_what_the_whole_run_gives(titration: Any, part: int) -> None:
    run = tables(titration(pulses=5, noise=20e-6, **CURVED).documents())
    whole, streamed = analyze_run(run).pulses, fitted(run, part=part)
    assert [f.pulse.step_count for f in streamed.values()] == [p.step_count for p in whole]
    for pulse in whole:
        assert same(streamed[pulse.step_count].pulse, pulse)


def test_a_window_that_is_late_leaves_the_newest_pulse_to_the_next(titration: Any) -> None:
    run = tables(titration(pulses=3).documents())
    late = windows(run)[1].fit(with_newest=False)
    assert [f.pulse.step_count for f in late] == [2]
    assert not late[0].last


def test_the_fitted_curve_lies_on_the_measured_one(titration: Any) -> None:
    noise = 20e-6
    run = tables(titration(pulses=3, noise=noise).documents())
    for found in fitted(run).values():
        curves = found.transients
        inside = np.isfinite(curves.fitted_volt)
        left = curves.voltage_volt[inside] - curves.fitted_volt[inside]
        assert np.sqrt((left**2).mean()) == pytest.approx(noise, rel=0.2)
        assert curves.time_second[inside].min() < 6
        assert (~inside).sum() > 10  # the first seconds are not fitted
        assert curves.time_second.max() == pytest.approx(found.pulse.pulse_second + found.pulse.rest_second)


def test_net_charge_counts_from_the_start_of_the_run(titration: Any) -> None:
    run = tables(titration(pulses=6).documents())
    charges = [f.pulse.net_charge_ah for f in fitted(run).values()]
    assert charges == pytest.approx([84e-6 * 600 / 3600 * (n + 0.5) for n in range(6)])


def test_what_is_kept_does_not_grow_with_the_run(titration: Any) -> None:
    run = tables(titration(pulses=12).documents())
    sizes = [len(window.tables.stream("timeseries")["step_count"]) for window in windows(run)]
    assert sizes[-1] == sizes[4]
    assert len(windows(run)[-1].tables.stream("steps")["step_count"]) == 7


def test_a_drift_of_temperature_is_flagged_as_in_the_whole(titration: Any) -> None:
    run = tables(titration(pulses=2).documents())
    stream = GittStream(run.start)
    for second in range(0, 60_000, 600):
        stream.take_temperature(float(second), 25 + second / 20_000)
    series, steps = run.stream("timeseries"), run.stream("steps")
    stream.take_samples({name: series[name] for name in SAMPLES})
    found = [
        stream.take_step({name: column[n] for name, column in steps.items()})
        for n in range(len(steps["step_count"]))
    ]
    assert found[2] is not None
    assert "temperature_drift" in found[2].fit()[0].pulse.flags


def test_a_rate_test_has_no_pulses(titration: Any) -> None:
    run = tables(titration(pulses=2).documents())
    steps = run.stream("steps")
    steps["end_reason"][:] = "voltage_above"
    assert all(window.fit() == () for window in windows(run))
