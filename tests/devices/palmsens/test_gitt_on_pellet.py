"""GITT on the simulated pellet itself: the fit finds the diffusivity that the model was given."""

import numpy as np
import pytest

from devices.sim.cell.pellet.parameters import PelletParameters
from devices.sim.cell.pellet.pellet import Pellet
from labctl.analysis.gitt.analysis import analyze_run
from labctl.documents import tables
from labctl.schema import STEPS, TIMESERIES

C_OVER_20_AMPERE = 84e-6
PULSE_SECOND, REST_SECOND = 600.0, 7200.0
NOISE_VOLT = 30e-6
INSTANTS = np.concatenate((np.arange(1, 50) * 0.2, np.arange(10, REST_SECOND + 1, 5.0)))


def samples(pellet, length):
    """Voltages (V) on the sampling grid of one step, which passes."""
    begin, volts = pellet.time_second, []
    instants = begin + INSTANTS[INSTANTS <= length]
    while instants.size:
        horizon = pellet.horizon()
        due = instants <= horizon
        if due.any():
            volts.append(pellet.terminal(instants[due])[0])
        instants = instants[~due]
        pellet.move_to(min(horizon, begin + length))
    return np.concatenate(volts)


def step(pellet, count, current, length, rng):
    """One step as documents of the two streams."""
    pellet.set_current(current) if current else pellet.open_circuit()
    begin, charge = pellet.time_second, pellet.charge_ah
    volts = samples(pellet, length)
    volts += NOISE_VOLT * rng.standard_normal(len(volts))
    moved = pellet.charge_ah - charge
    kind = "rest" if current == 0 else "cc_charge" if current > 0 else "cc_discharge"
    n, times = len(volts), INSTANTS[INSTANTS <= length]
    series = (begin + times, times, volts, [current] * n, [count] * n, [0] * n, [kind] * n, [0] * n)
    row = (
        count,
        "",
        kind,
        0,
        begin,
        begin + length,
        "time",
        max(moved, 0),
        max(-moved, 0),
        volts[-1],
        current,
    )
    yield (
        "event_page",
        {"descriptor": "ts", "data": dict(zip([c.name for c in TIMESERIES], series, strict=True))},
    )
    yield "event", {"descriptor": "st", "data": dict(zip([c.name for c in STEPS], row, strict=True))}


def titrate(pellet, pulses, current):
    rng = np.random.default_rng(1)
    yield "start", {"uid": "run", "simulation_truth": pellet.truth()}
    for uid, name, columns in (("ts", "timeseries", TIMESERIES), ("st", "steps", STEPS)):
        keys = {column.name: column.data_key("pellet") for column in columns}
        yield "descriptor", {"uid": uid, "name": name, "data_keys": keys}
    yield from step(pellet, 1, 0.0, 600.0, rng)
    for i in range(pulses):
        yield from step(pellet, 2 * i + 2, current, PULSE_SECOND, rng)
        yield from step(pellet, 2 * i + 3, 0.0, REST_SECOND, rng)


@pytest.mark.parametrize("name", ["coated", "bare"])
def test_gitt_finds_the_diffusivity_of_the_pellet(name):
    pellet = Pellet(PelletParameters.for_cell(coated=name == "coated", ages=True), stoichiometry=0.70)
    analysis = analyze_run(tables(titrate(pellet, 6, C_OVER_20_AMPERE)))
    assert len(analysis.pulses) == 6
    assert analysis.median_ratio_to_truth is not None
    assert 0.95 < analysis.median_ratio_to_truth < 1.05
    assert analysis.median("weppner_huggins_ratio_to_truth") < 0.75
    assert analysis.pulses[-1].stoichiometry == pytest.approx(pellet.stoichiometry + 0.003, abs=5e-4)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["coated", "bare"])
@pytest.mark.parametrize(
    ("start", "current"),
    [(0.85, C_OVER_20_AMPERE), (0.70, C_OVER_20_AMPERE), (0.50, C_OVER_20_AMPERE), (0.70, -C_OVER_20_AMPERE)],
)
def test_gitt_finds_the_diffusivity_of_the_pellet_at_every_charge(name, start, current):
    pellet = Pellet(PelletParameters.for_cell(coated=name == "coated", ages=True), stoichiometry=start)
    analysis = analyze_run(tables(titrate(pellet, 20, current)))
    assert analysis.median_ratio_to_truth == pytest.approx(1, abs=0.05)
    assert all(abs(p.ratio_to_truth - 1) < 0.08 for p in analysis.pulses)
