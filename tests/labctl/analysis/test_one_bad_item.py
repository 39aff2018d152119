"""One spectrum, pulse, pause or hold that cannot be evaluated is left out and told; the others stay."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from labctl.analysis.conduction.conductivity import analyze_conductivity, conductivity_table
from labctl.analysis.conduction.polarization import analyze_polarization, polarization_table
from labctl.analysis.conduction.tortuosity import analyze_tortuosity, tortuosity_table
from labctl.analysis.dcir import analyze_dcir
from labctl.analysis.gitt.analysis import analyze_run
from labctl.analysis.ici import analyze_ici
from labctl.analysis.impedance.analysis import analyze_impedance, impedance_table, stays_open
from labctl.analysis.impedance.circuit import fit_circuit
from labctl.analysis.impedance.starting_values import distribution
from labctl.commands.analyze import analyze_stored
from labctl.documents import RunTables, tables
from labctl.importers.run_writer import write_run
from labctl.importers.streams import ImportedStreams
from labctl.records.cell import Cell, load_cell
from labctl.records.station import packaged_config
from tests.labctl.analysis.impedance.synthetic_spectra import Complexes, Floats, arc, frequencies, noisy
from tests.labctl.analysis.test_result_widths import printed

FREQUENCY = frequencies(1e6, 1e-1)
SOUND = noisy(40.0 + arc(FREQUENCY, 60.0, 1e-4, 0.9) + arc(FREQUENCY, 30.0, 0.05, 0.8), 1)
SPECTRUM_STEP = {"cycle_count": 0, "step_type": "peis", "end_reason": "complete", "protocol_step": "0"}
TOO_MANY_ITERATIONS = (6, 7, 18, 19, 21)
Array = np.ndarray[Any, Any]


def ordinary(seed: int) -> tuple[Floats, Complexes]:
    """A spectrum of little noise over many decades, of which one in five once took too many iterations."""
    rng = np.random.default_rng(seed)
    frequency = np.geomspace(10 ** rng.uniform(2, 7), 10 ** rng.uniform(-6, 1), int(rng.integers(10, 120)))
    ohm = np.full(len(frequency), 10 ** rng.uniform(-3, 6), dtype=complex)
    for _ in range(int(rng.integers(0, 4))):
        ohm += arc(frequency, 10 ** rng.uniform(-3, 9), 10 ** rng.uniform(-7, 4), rng.uniform(0.4, 1))
    return frequency, noisy(ohm, seed, 10 ** rng.uniform(-6, -3))


def run_of_spectra(spectra: list[tuple[Floats, Complexes]]) -> RunTables:
    """A run of finished spectra at temperatures and stack pressures of their own."""
    lengths = [len(frequency) for frequency, _ in spectra]
    numbers = np.repeat(np.arange(1, len(spectra) + 1), lengths)
    ohm = np.concatenate([ohm for _, ohm in spectra])
    count = len(spectra)
    impedance = {
        "frequency_hertz": np.concatenate([frequency for frequency, _ in spectra]),
        "real_impedance_ohm": ohm.real,
        "imaginary_impedance_ohm": ohm.imag,
        "voltage_volt": np.full(len(ohm), 3.0),
        "status": np.zeros(len(ohm), dtype=np.int64),
        "step_count": numbers,
        "spectrum_count": numbers,
    }
    steps = {name: np.array([value] * count) for name, value in SPECTRUM_STEP.items()} | {
        "step_count": np.arange(1, count + 1),
        "start_test_time_second": 100.0 * np.arange(count),
        "end_test_time_second": 100.0 * np.arange(count) + 90.0,
        "step_charging_capacity_ah": np.zeros(count),
        "step_discharging_capacity_ah": np.zeros(count),
    }
    around = {
        "test_time_second": 100.0 * np.arange(count) + 50.0,
        "temperature_t1_celsius": 25.0 + 10.0 * np.arange(count),
        "surface_pressure_pa": np.full(count, 50e6),
    }
    return RunTables({"uid": "run-1"}, None, {"impedance": impedance, "steps": steps, "environment": around})


BAD_SPECTRA: dict[str, tuple[Floats, Complexes]] = {
    "too few points": (FREQUENCY[:5], SOUND[:5]),
    "nothing valid": (FREQUENCY, SOUND * np.nan),
    "one frequency": (np.full_like(FREQUENCY, 10.0), SOUND),
    "a frequency of 0": (np.where(FREQUENCY < 0.2, 0.0, FREQUENCY), SOUND),
    "no impedance at all": (FREQUENCY, SOUND * 1e-320),
    "beyond the largest number": (FREQUENCY, SOUND * 1e306),
    "of 600 decades": (FREQUENCY, SOUND * 10 ** np.linspace(-300, 300, len(SOUND))),
    "negative resistance": (FREQUENCY, -SOUND),
    "inductive": (FREQUENCY, SOUND.conj()),
    "repeated frequencies": (np.repeat(FREQUENCY[::3], 3)[: len(SOUND)], SOUND),
}


def sweep(run: RunTables, cell: str) -> tuple[Any, str]:
    found = analyze_conductivity(run, load_cell(packaged_config(f"cells/{cell}.yaml")))
    return found, printed(conductivity_table(found), 1000)


def rails(run: RunTables, cell: str) -> tuple[Any, str]:
    found = analyze_tortuosity(run, load_cell(packaged_config(f"cells/{cell}.yaml")))
    return found, printed(tortuosity_table(found), 1000)


def circuits(run: RunTables, cell: str) -> tuple[Any, str]:
    found = analyze_impedance(run, load_cell(packaged_config(f"cells/{cell}.yaml")))
    return found, printed(impedance_table(found), 1000)


@pytest.mark.filterwarnings("ignore:.*encountered in:RuntimeWarning")
@pytest.mark.parametrize("bad", BAD_SPECTRA)
@pytest.mark.parametrize(
    ("analysis", "cell"),
    [
        (circuits, "lic-ncm"),
        (sweep, "lic-ncm"),
        (sweep, "electrolyte-lpscl"),
        (sweep, "ion-path-bare"),
        (sweep, "electron-path-bare"),
        (rails, "ion-path-bare"),
        (rails, "electron-path-bare"),
    ],
)
def test_a_bad_spectrum_leaves_the_others_and_is_told_unless_it_gives_numbers(
    analysis: Callable[[RunTables, str], tuple[Any, str]], cell: str, bad: str
) -> None:
    whole, _ = analysis(run_of_spectra([(FREQUENCY, SOUND)] * 2), cell)
    found, text = analysis(run_of_spectra([(FREQUENCY, SOUND), BAD_SPECTRA[bad], (FREQUENCY, SOUND)]), cell)
    rows, sound = (one.to_dict().get("points") or one.to_dict()["spectra"] for one in (found, whole))
    by_number = {row["spectrum_count"]: row for row in rows}
    assert {1, 3} <= by_number.keys()
    for mine, other in ((1, 0), (3, 1)):
        for name in ("electrolyte_ohm", "ionic_ohm", "electronic_ohm", "rail_ohm", "circuit"):
            assert by_number[mine].get(name) == sound[other].get(name)
    told = [why for why in found.skipped if why.startswith("spectrum 2: ")]
    assert len(told) == (2 not in by_number)
    for why in told:
        assert f"Left out: {why}." in text
    json.dumps(found.to_dict(), allow_nan=False)


def test_the_command_tells_of_a_bad_spectrum_and_prints_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = run_of_spectra(
        [(FREQUENCY, SOUND), BAD_SPECTRA["of 600 decades"], ordinary(TOO_MANY_ITERATIONS[0])]
    )
    cell = load_cell(packaged_config("cells/lic-ncm.yaml")).model_dump(mode="json")
    about = {"file": "made.csv", "format": "csv"}
    start = {"time": 1.7e9, "plan_name": "impedance_spectrum", "cell": cell, "imported": about}
    streams = {name: {key: _writable(column) for key, column in s.items()} for name, s in run.streams.items()}
    streams["impedance"]["test_time_second"] = np.arange(len(streams["impedance"]["status"]), dtype=float)
    write_run(tmp_path, start, ImportedStreams(streams, []))
    assert analyze_stored("last", tmp_path, as_json=False) == 0
    out, err = capsys.readouterr()
    assert "Left out: spectrum 2: it cannot be evaluated (" in out
    rows = {line.split()[0] for line in out.splitlines() if line.startswith(" ") and line.strip()}
    assert rows >= {"1", "3"}
    assert "2" not in rows
    assert err == ""


def _writable(column: Array) -> Array:
    return column.astype(object) if column.dtype.kind == "U" else column


def test_a_spectrum_that_took_too_many_iterations_is_fitted() -> None:
    """Spectra of `ordinary` that scipy.optimize.nnls gave up with its default number of iterations."""
    for seed in TOO_MANY_ITERATIONS:
        frequency, ohm = ordinary(seed)
        circuit = fit_circuit(frequency, ohm, blocking=stays_open(frequency, ohm))
        assert circuit.rms_residual < 0.05
        found = analyze_impedance(run_of_spectra([(frequency, ohm)]))
        assert (len(found.results), found.skipped) == (1, ())


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 10**6), st.booleans(), st.booleans())
def test_the_distribution_of_any_circuit_is_found(seed: int, inductance: bool, blocking: bool) -> None:
    frequency, ohm = ordinary(seed)
    found = distribution(frequency, ohm, inductance=inductance, blocking=blocking)
    assert (found.resistance_ohm >= 0).all()
    sizes = [found.size_at(1 / (2 * np.pi * float(f))) for f in frequency]
    assert np.isfinite(sizes).all()
    assert np.abs(np.log(sizes / np.abs(ohm))).max() < 0.7  # coarse: within a factor of two everywhere


def huge(time: Array, volt: Array, ampere: Array) -> None:
    volt[:] = 1e300 * (-1.0) ** np.arange(len(volt))


def stuck(time: Array, volt: Array, ampere: Array) -> None:
    volt[:] = 3.0


def at_once(time: Array, volt: Array, ampere: Array) -> None:
    time[:] = 2.0


def no_current(time: Array, volt: Array, ampere: Array) -> None:
    ampere[:] = 0.0


def unread_current(time: Array, volt: Array, ampere: Array) -> None:
    ampere[:] = np.nan


def tiny_current(time: Array, volt: Array, ampere: Array) -> None:
    ampere[:] = 5e-324


DAMAGES = (huge, stuck, at_once, no_current, unread_current, tiny_current)
Damage = Callable[[Array, Array, Array], None]


def damaged(run: RunTables, step: int, damage: Damage) -> RunTables:
    """The same run with the samples of one step damaged."""
    series = {name: column.copy() for name, column in run.stream("timeseries").items()}
    here = series["step_count"] == step
    names = ("step_time_second", "voltage_volt", "current_ampere")
    parts = [series[name][here] for name in names]
    damage(*parts)
    for name, part in zip(names, parts, strict=True):
        series[name][here] = part
    return RunTables(run.start, run.stop, {**run.streams, "timeseries": series})


@pytest.mark.filterwarnings("ignore:.*encountered in:RuntimeWarning")
@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("step", [4, 5])
def test_a_bad_pulse_or_rest_leaves_the_other_pulses(titration: Any, damage: Damage, step: int) -> None:
    run = tables(titration(noise=50e-6, pulses=5).documents())
    found = analyze_run(damaged(run, step, damage))
    evaluated, left_out = {p.step_count for p in found.pulses}, {s.step_count for s in found.skipped}
    assert {2, 8, 10} <= evaluated
    assert evaluated | left_out == {2, 4, 6, 8, 10}
    assert all(s.reason for s in found.skipped)
    json.dumps(found.to_dict(), allow_nan=False)


def interruptions(titration: Any) -> RunTables:
    return tables(titration(noise=10e-6, pulses=6, rest=300.0, tau=300.0).documents())


@pytest.mark.filterwarnings("ignore:.*encountered in:RuntimeWarning")
@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("step", [6, 7])
def test_a_bad_pause_or_current_leaves_the_other_interruptions(
    titration: Any, damage: Damage, step: int
) -> None:
    found = analyze_ici(damaged(interruptions(titration), step, damage))
    evaluated, left_out = {i.step_count for i in found.interruptions}, {count for count, _ in found.skipped}
    assert {3, 11, 13} <= evaluated
    assert evaluated | left_out == {3, 5, 7, 9, 11, 13}
    json.dumps(found.to_dict(), allow_nan=False)


@pytest.mark.filterwarnings("ignore:.*encountered in:RuntimeWarning")
@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("step", [5, 6])
def test_a_bad_pulse_or_rest_leaves_the_other_resistances(titration: Any, damage: Damage, step: int) -> None:
    run = interruptions(titration)
    paths = np.array([f"0.{count}" for count in run.stream("steps")["step_count"]])
    run.stream("steps")["protocol_step"] = paths
    found = analyze_dcir(damaged(run, step, damage))
    evaluated, left_out = {p.step_count for p in found.pulses}, {count for count, _ in found.skipped}
    assert {2, 4, 8, 10, 12} <= evaluated
    assert evaluated | left_out == {2, 4, 6, 8, 10, 12}
    json.dumps(found.to_dict(), allow_nan=False)


def holds() -> RunTables:
    """Holds at 10, 20, 30 and 40 mV over 100 ohm."""
    count = np.repeat(np.arange(1, 5), 200)
    time = np.tile(np.arange(200) * 10.0, 4)
    series = {"step_count": count, "step_time_second": time, "voltage_volt": count * 10e-3}
    series["current_ampere"] = series["voltage_volt"] / 100 + 1e-9 * np.sin(np.arange(len(count)))
    steps = {
        "step_count": np.arange(1, 5),
        "step_type": np.array(["cv_charge"] * 4),
        "end_reason": np.array(["time"] * 4),
    }
    return RunTables({"uid": "run-1"}, None, {"timeseries": series, "steps": steps})


@pytest.mark.filterwarnings("ignore:.*encountered in:RuntimeWarning", "ignore:The fit may be poorly")
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_bad_hold_leaves_the_others(damage: Damage) -> None:
    cell: Cell = load_cell(packaged_config("cells/ion-path-bare.yaml"))
    found = analyze_polarization(damaged(holds(), 3, damage), cell)
    evaluated = {hold.step_count for hold in found.holds}
    assert {1, 2, 4} <= evaluated
    assert (3 in evaluated) != any(why.startswith("step 3: ") for why in found.skipped)
    text = printed(polarization_table(found), 1000)
    assert all(why in text for why in found.skipped)
    json.dumps(found.to_dict(), allow_nan=False)
