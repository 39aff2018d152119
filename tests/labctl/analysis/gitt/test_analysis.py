"""GITT against titrations whose R^2/D is known."""

import json
from dataclasses import replace

import numpy as np
import pytest

from labctl.analysis.gitt.analysis import analyze_run
from labctl.analysis.gitt.pulses import pulses_from_tables, rest_end
from labctl.analysis.gitt.results import FLAGS
from labctl.analysis.step_samples import Segment
from labctl.documents import tables
from labctl.errors import ConfigurationError
from labctl.records.cell import load_cell
from labctl.records.station import packaged_config


def analysed(titration, cell=None):
    return analyze_run(tables(titration.documents()), cell)


@pytest.mark.parametrize("current", [84e-6, -84e-6], ids=["charge", "discharge"])
@pytest.mark.parametrize("diffusion_time", [1563.0, 6250.0, 25_000.0])
def test_the_sphere_fit_recovers_the_diffusion_time_from_noisy_pulses(titration, diffusion_time, current):
    rest = 4 * diffusion_time
    run = titration(diffusion_time=diffusion_time, current=current, noise=50e-6, pulses=8, rest=rest)
    analysis = analysed(run)
    assert len(analysis.pulses) == 8
    assert analysis.median("diffusion_time_second") == pytest.approx(diffusion_time, rel=0.02)
    assert analysis.median("relaxation_diffusion_time_second") == pytest.approx(diffusion_time, rel=0.03)
    assert analysis.median("pulse_diffusion_time_second") == pytest.approx(diffusion_time, rel=0.03)
    assert {p.direction for p in analysis.pulses} == {"charge" if current > 0 else "discharge"}
    assert all(np.sign(p.equilibrium_step_volt) == np.sign(current) for p in analysis.pulses)
    assert all(np.sign(p.charge_ah) == np.sign(current) for p in analysis.pulses)


def test_the_stated_uncertainty_is_the_scatter_between_pulses(titration):
    pulses = analysed(titration(noise=50e-6, pulses=30)).pulses
    scatter = np.std([p.diffusion_time_second for p in pulses])
    stated = np.median([p.diffusion_time_std_second for p in pulses])
    assert 0.6 < scatter / stated < 1.6


@pytest.mark.parametrize(
    ("diffusion_time", "classical", "slope"),
    [(1563.0, 0.28, 0.68), (6250.0, 0.58, 0.82), (25_000.0, 0.81, 0.90)],
)
def test_weppner_huggins_has_its_known_bias(titration, diffusion_time, classical, slope):
    pulse = analysed(titration(diffusion_time=diffusion_time, rest=4 * diffusion_time, pulses=2)).pulses[1]
    assert diffusion_time / pulse.weppner_huggins_diffusion_time_second == pytest.approx(classical, abs=0.07)
    assert diffusion_time / pulse.sqrt_slope_diffusion_time_second == pytest.approx(slope, abs=0.07)


def test_a_curved_equilibrium_and_a_drifting_polarisation_are_taken_out(titration):
    run = titration(
        noise=20e-6, pulses=6, ocv=lambda n: 3.1 + 5e-3 * n + 0.3e-3 * n**2, ohm=lambda n: 120 - 4 * n
    )
    analysis = analysed(run)
    assert analysis.median("diffusion_time_second") == pytest.approx(6250, rel=0.02)
    assert abs(analysis.median("pulse_diffusion_time_second") / 6250 - 1) > 0.1
    change = 84e-6 * -4 * np.sqrt(6250 / 600) * 0.52
    assert analysis.median("polarization_change_volt") == pytest.approx(change, rel=0.25)


def test_resistance_does_not_matter(titration):
    small, large = (analysed(titration(ohm=lambda n, r=r: np.full_like(n, r))) for r in (0.0, 1e4))
    assert small.pulses[1].diffusion_time_second == pytest.approx(
        large.pulses[1].diffusion_time_second, rel=1e-6
    )


def test_the_diffusivity_is_that_of_the_radius_and_says_so(titration):
    cell = load_cell(packaged_config("cells/bare-ncm.yaml"))
    analysis = analysed(titration(), cell)
    assert analysis.median("diffusivity_m2_per_s") == pytest.approx((2.5e-6) ** 2 / 6250, rel=0.02)
    assert analysis.particle_radius_metre == pytest.approx(2.5e-6)
    assert "S = 3 V / R" in analysis.area_convention
    assert "theta^2 D" in analysis.area_convention


def test_the_cell_record_of_the_run_is_used_if_none_is_given(titration):
    cell = load_cell(packaged_config("cells/bare-ncm.yaml"))
    analysis = analysed(titration(start={"cell": cell.model_dump(mode="json")}))
    assert analysis.cell_id == "bare-ncm-1"
    assert analysis.particle_radius_metre == pytest.approx(2.5e-6)


def test_without_a_radius_there_is_still_a_diffusion_time(titration):
    result = analysed(titration(start={"cell": {"id": "from elsewhere"}})).to_dict()
    assert result["median_diffusion_time_second"] == pytest.approx(6250, rel=0.02)
    assert result["median_diffusivity_m2_per_s"] is None
    assert result["median_ratio_to_truth"] is None
    assert result["pulses"][0]["diffusivity_m2_per_s"] is None
    json.dumps(result, allow_nan=False)


@pytest.mark.parametrize("sign", [1, -1], ids=["charge", "discharge"])
def test_the_truth_is_compared_through_the_equivalent_radius_at_the_composition_of_the_pulse(titration, sign):
    # D doubles from x = 0.4 to 0.6 in a steep step; the run starts at 0.5 and moves by 0.02 a pulse.
    charge = 84e-6 / 6
    truth = {
        "equivalent_radius_metre": 5e-6,
        "stoichiometry": 0.5,
        "capacity_full_ah": charge / 0.02,
        "stoichiometry_grid": [0.4, 0.499, 0.501, 0.6],
        "diffusivity_m2_per_s_grid": [25e-12 / 6250, 25e-12 / 6250, 50e-12 / 6250, 50e-12 / 6250],
    }
    analysis = analysed(titration(current=sign * 84e-6, start={"simulation_truth": truth}))
    expected = 1.0 if sign > 0 else 0.5
    assert analysis.median_ratio_to_truth == pytest.approx(expected, rel=0.02)
    assert analysis.to_dict()["median_ratio_to_truth"] == analysis.median_ratio_to_truth
    assert analysis.pulses[0].stoichiometry == pytest.approx(0.5 - sign * 0.01)
    assert analysis.pulses[0].weppner_huggins_ratio_to_truth < 0.7 * expected


def test_a_truth_that_is_not_whole_is_refused_by_the_name_of_what_it_lacks(titration):
    with pytest.raises(ConfigurationError, match=r"simulation_truth: capacity_full_ah: is missing"):
        analysed(titration(pulses=1, start={"simulation_truth": {"equivalent_radius_metre": 5e-6}}))


FLAGGED = {
    "finite_size": {"diffusion_time": 1563.0},
    "sqrt_not_linear": {"noise": 200e-6},
    "not_relaxed": {"drift_volt_per_hour": 3e-3},
    "step_small": {"step": 0.5e-3, "noise": 100e-6},
    "step_large": {"step": 20e-3},
    "curved_ocv": {"ocv": lambda n: 3.1 + 4e-3 * n + 0.8e-3 * n**2},
    "no_neighbour": {"pulses": 1},
    "poor_fit": {"ohm": lambda n: 120 + 10 * np.sin(20 * n), "noise": 20e-6},
    "polarization_drift": {"ohm": lambda n: 120 - 10 * n},
    "composition_step_large": {"current": 400e-6},
    "at_bound": {"diffusion_time": 1.0},
}


@pytest.mark.parametrize("flag", FLAGGED)
def test_a_flag_is_raised_for_its_fault_and_not_without_it(titration, flag):
    cell = load_cell(packaged_config("cells/bare-ncm.yaml"))
    good = titration(diffusion_time=25_000.0, rest=100_000.0, noise=5e-6)
    assert all(set(p.flags) <= {"sqrt_not_linear"} for p in analysed(good, cell).pulses)
    if flag == "sqrt_not_linear":
        good = replace(good, noise=0.0)
        assert all(flag not in p.flags for p in analysed(good, cell).pulses)
    bad = analysed(replace(good, **FLAGGED[flag]), cell)
    assert any(flag in p.flags for p in bad.pulses)


def test_every_flag_is_tested():
    assert set(FLAGGED) | {"temperature_drift"} == set(FLAGS)


def test_a_temperature_that_moves_during_a_pulse_is_flagged(titration):
    key = {"dtype": "number", "dtype_numpy": "<f8", "shape": [], "source": "t"}
    keys = {"test_time_second": key, "temperature_t1_celsius": key}
    times = list(range(0, 60_000, 100))
    celsius = [25.0 + (0.8 if t > 45_000 else 0.0) for t in times]
    data = {"test_time_second": times, "temperature_t1_celsius": celsius}
    documents = titration(pulses=3).documents()
    documents.insert(1, ("descriptor", {"uid": "env", "name": "environment", "data_keys": keys}))
    documents.insert(2, ("event_page", {"descriptor": "env", "data": data}))
    flags = [p.flags for p in analyze_run(tables(documents)).pulses]
    assert ["temperature_drift" in f for f in flags] == [False, False, True]


def changed_steps(documents, count, **values):
    for name, document in documents:
        if name == "event" and document["data"]["step_count"] == count:
            document["data"].update(values)
    return documents


@pytest.mark.parametrize(
    ("count", "values", "skipped"),
    [
        (4, {"end_reason": "voltage_above"}, {4: "the pulse ended by voltage_above"}),
        (4, {"end_reason": "aborted"}, {4: "the pulse ended by aborted"}),
        (3, {"end_reason": "aborted"}, {2: "the rest after it ended by", 4: "the rest before it ended by"}),
        (1, {"step_type": "cv_charge"}, {2: "no rest directly before it"}),
    ],
)
def test_a_pulse_that_is_not_whole_is_left_out_with_the_reason(titration, count, values, skipped):
    analysis = analyze_run(tables(changed_steps(titration().documents(), count, **values)))
    assert {s.step_count for s in analysis.skipped} == skipped.keys()
    assert all(s.reason.startswith(skipped[s.step_count]) for s in analysis.skipped)
    assert {p.step_count for p in analysis.pulses} == {2, 4, 6, 8} - skipped.keys()


def test_a_pulse_cut_off_by_a_crash_is_left_out(titration):
    documents = titration().documents()
    cut = next(i for i, (n, d) in enumerate(documents) if n == "event" and d["data"]["step_count"] == 8)
    analysis = analyze_run(tables(documents[:cut]))
    assert [p.step_count for p in analysis.pulses] == [2, 4, 6]
    assert [(s.step_count, s.reason) for s in analysis.skipped] == [(8, "the step was not finished")]


def test_a_pulse_with_too_few_samples_is_left_out(titration):
    analysis = analysed(titration(tau=6.0))
    assert analysis.pulses == ()
    assert all("fewer than 8 samples in the fit window" in s.reason for s in analysis.skipped)


def test_a_run_without_pulses_gives_an_empty_analysis():
    analysis = analyze_run(tables([("start", {"uid": "r"})]))
    assert analysis.to_dict()["pulse_count"] == 0
    assert analysis.median_ratio_to_truth is None


def test_invalid_and_overloaded_samples_are_not_fitted(titration):
    documents = titration(pulses=2).documents()
    for name, document in documents:
        if name == "event_page":
            data = document["data"]
            data["voltage_volt"][70:75] = [None] * 5
            data["voltage_volt"][80:83], data["status"][80:83] = [9.0] * 3, [2] * 3
    pulses = analyze_run(tables(documents)).pulses
    assert [p.diffusion_time_second for p in pulses] == pytest.approx([6250, 6250], rel=0.01)


def test_a_status_bit_that_all_samples_carry_does_not_lose_the_pulse(titration):
    documents = titration(pulses=2).documents()
    for name, document in documents:
        if name == "event_page":
            document["data"]["status"] = [1] * len(document["data"]["status"])
    assert len(analyze_run(tables(documents)).pulses) == 2


def test_charge_and_discharge_in_one_run_are_told_apart(titration):
    up, down = titration(pulses=3), titration(pulses=3, current=-84e-6)
    documents = up.documents()[:-1]
    for name, document in down.documents()[3:-1]:
        rows = document["data"]
        if name == "event_page":
            rows["step_count"] = [c + 7 for c in rows["step_count"]]
        else:
            rows["step_count"] += 7
        documents.append((name, document))
    analysis = analyze_run(tables(documents))
    assert analysis.direction_count == {"charge": 3, "discharge": 3}
    assert analysis.median("diffusion_time_second") == pytest.approx(6250, rel=0.01)
    assert analysis.pulses[-1].net_charge_ah == pytest.approx(84e-6 / 6 * 0.5)


def test_the_end_of_a_rest_is_known_far_better_than_one_sample():
    rng = np.random.default_rng(0)
    time = np.arange(60, 7201, 60.0)
    ends = [
        rest_end(Segment(time, 3.1 + 30e-6 * rng.standard_normal(len(time)), np.zeros_like(time)))
        for _ in range(50)
    ]
    scatter = np.std([e.voltage_volt for e in ends])
    assert scatter < 10e-6
    assert np.median([e.std_error_volt for e in ends]) == pytest.approx(scatter, rel=0.4)
    assert np.median([e.noise_volt for e in ends]) == pytest.approx(30e-6, rel=0.2)


def test_the_end_of_a_rest_that_still_relaxes_is_taken_from_its_straight_tail():
    rng = np.random.default_rng(0)
    time = np.arange(5, 3601, 5.0)
    volt = 3.1 + 20e-3 * np.exp(-time / 500) + 30e-6 * rng.standard_normal(len(time))
    end = rest_end(Segment(time, volt, np.zeros_like(time)))
    assert end.voltage_volt == pytest.approx(3.1 + 20e-3 * np.exp(-7.2), abs=20e-6)
    assert end.drift_volt_per_hour == pytest.approx(-20e-3 * np.exp(-7.2) / 500 * 3600, abs=0.15e-3)


def test_pulses_carry_their_samples_and_neighbours(titration):
    pulses, skipped = pulses_from_tables(tables(titration().documents()))
    assert skipped == []
    assert [p.step_count for p in pulses] == [2, 4, 6, 8]
    first = pulses[0]
    assert (first.duration_second, first.rest_second) == (600, 14_400)
    assert first.during.time_second[-1] == 600
    assert first.before.current_ampere.max() == 0
    assert first.charge_ah == pytest.approx(84e-6 / 6)
