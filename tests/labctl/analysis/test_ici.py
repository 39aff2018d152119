"""Current interruptions against spheres whose R^2/D is known."""

import json
from dataclasses import replace

import numpy as np
import pytest

from labctl.analysis.ici import FLAGS, analyze_ici
from labctl.documents import tables
from labctl.records.cell import load_cell
from labctl.records.station import packaged_config

INTERRUPTED = {"tau": 300.0, "rest": 10.0, "pulses": 16}


def analysed(titration, **options):
    return analyze_ici(tables(titration(**{**INTERRUPTED, **options}).documents()))


@pytest.mark.parametrize("current", [168e-6, -168e-6], ids=["charge", "discharge"])
@pytest.mark.parametrize("diffusion_time", [1563.0, 6250.0])
def test_the_sphere_has_the_diffusion_time_where_planar_theory_falls_short(
    titration, diffusion_time, current
):
    analysis = analysed(titration, diffusion_time=diffusion_time, current=current, noise=5e-6)
    assert len(analysis.interruptions) == INTERRUPTED["pulses"]
    sound = [one for one in analysis.interruptions if one.sound]
    steady_from = 0.15 * diffusion_time / INTERRUPTED["tau"]
    assert len(sound) >= INTERRUPTED["pulses"] - steady_from * 1.3 - 1
    assert analysis.median("sphere_diffusion_time_second") == pytest.approx(diffusion_time, rel=0.03)
    assert 0.68 < analysis.median("diffusion_time_second") / diffusion_time < 0.92
    assert {one.direction for one in sound} == {"charge" if current > 0 else "discharge"}
    assert all(one.diffusion_resistance_ohm_per_sqrt_second > 0 for one in sound)


def test_the_resistance_is_what_answers_before_the_pause_is_regressed(titration):
    analysis = analysed(titration, ohm=lambda n: np.full_like(n, 75.0))
    # 75 ohm at once; what diffusion adds within a pause is in k, not in R
    assert analysis.median("resistance_ohm") == pytest.approx(75.0, rel=0.02)


def test_the_stated_uncertainty_is_the_scatter_of_the_pauses(titration):
    sound = [one for one in analysed(titration, noise=30e-6, pulses=40).interruptions if one.sound]
    scatter = np.std([one.diffusion_time_second for one in sound])
    assert 0.6 < np.median([one.diffusion_time_std_second for one in sound]) / scatter < 1.6
    assert 0.6 < np.median([o.resistance_std_ohm for o in sound]) / np.std([o.resistance_ohm for o in sound])


def test_a_profile_that_still_builds_up_is_flagged_and_not_in_the_medians(titration):
    analysis = analysed(titration, diffusion_time=25_000.0)
    young = [one for one in analysis.interruptions if "not_steady" in one.flags]
    assert [one.index for one in young] == list(range(len(young)))
    assert len(young) > 8
    assert not any(one.sound for one in young)


def test_what_speaks_against_a_pause_is_flagged(titration):
    alone = analysed(titration, pulses=1).interruptions
    assert [one.flags for one in alone] == [("no_neighbour",)]
    assert np.isnan(alone[0].diffusion_time_second)
    noisy = analysed(titration, noise=5e-3).interruptions
    assert any("slope_small" in one.flags for one in noisy)
    bent = analysed(titration, ocv=lambda n: 3.1 + 1e-3 * 1.6**n)
    assert any("curved_ocv" in one.flags for one in bent.interruptions)
    wrong = analysed(titration, ocv=lambda n: 3.1 - 5e-3 * n)
    assert all("wrong_sign" in one.flags for one in wrong.interruptions)


def test_a_long_rest_begins_a_stretch_of_its_own(titration):
    one = tables(titration(**INTERRUPTED).documents())
    steps, samples = one.stream("steps"), one.stream("timeseries")
    long = steps["step_count"] == 17  # a pause becomes a rest of an hour
    steps["end_test_time_second"][long] = steps["start_test_time_second"][long] + 3600
    analysis = analyze_ici(one)
    assert 17 not in {i.step_count for i in analysis.interruptions}
    after = next(i for i in analysis.interruptions if i.step_count > 17)
    alone = analyze_ici(_only(one, samples["step_count"] > 17, steps["step_count"] > 17))
    assert alone.interruptions[0].diffusion_time_second == pytest.approx(after.diffusion_time_second)


def _only(run, samples, steps):
    streams = {
        "timeseries": {name: column[samples] for name, column in run.stream("timeseries").items()},
        "steps": {name: column[steps] for name, column in run.stream("steps").items()},
    }
    return replace(run, streams=streams)


def test_pauses_that_were_not_sampled_are_left_out_with_the_reason(titration):
    run = tables(titration(**INTERRUPTED).documents())
    series = run.stream("timeseries")
    kept = (series["step_count"] != 5) | (series["step_time_second"] > 4.0)
    analysis = analyze_ici(_only(run, kept, slice(None)))
    assert analysis.skipped == ((5, "5 samples between 1 and 5 s of the pause, at least 8 are needed"),)


def test_a_diffusivity_needs_a_radius_and_the_result_is_plain_json(titration):
    cell = load_cell(packaged_config("cells/lic-ncm.yaml"))
    start = {"cell": cell.model_dump(mode="json")}
    analysis = analysed(titration, start=start)
    radius = cell.particle_radius_metre
    assert radius is not None
    one = analysis.interruptions[-1]
    assert one.diffusivity_m2_per_s == pytest.approx(radius**2 / one.diffusion_time_second)
    assert np.isnan(analysed(titration).interruptions[-1].diffusivity_m2_per_s)
    plain = json.loads(json.dumps(analysed(titration).to_dict(), allow_nan=False))
    assert plain["interruptions"][0]["diffusivity_m2_per_s"] is None
    assert {flag for i in plain["interruptions"] for flag in i["flags"]} <= {*FLAGS}
