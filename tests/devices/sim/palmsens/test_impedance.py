"""Impedance loops of the emulated instrument: what comes over the wire is the pellet's own impedance."""

from __future__ import annotations

from itertools import pairwise
from math import isnan, sqrt

import numpy as np
import pytest

from devices.palmsens.methodscript import parse_package
from devices.sim.cell.leads import MountedPellet, OpenLeads
from devices.sim.cell.pellet.parameters import PelletParameters
from devices.sim.cell.pellet.pellet import Pellet
from devices.sim.palmsens.memory import Memory
from devices.sim.palmsens.parser import ScriptParser
from devices.sim.palmsens.sweep import IMPEDANCE_NOISE_RELATIVE, Response, point_second, store_response
from devices.sim.palmsens.syntax import Measurement, Variable
from tests.devices.sim.palmsens.sim_spectra import (
    FULL_POINT,
    LOOP_VARIABLES,
    OPTIONS,
    POINT,
    column,
    galvanostatic,
    impedance,
    output,
    points,
    potentiostatic,
)

PELLETS = {"bare": PelletParameters.bare(), "coated": PelletParameters.coated()}
RESOLUTION = 4e-6  # of values on the wire, at worst


def rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.abs(values) ** 2)))


@pytest.mark.parametrize(("kelvin", "pa"), [(298.15, 50e6), (333.15, 20e6)])
@pytest.mark.parametrize("pellet_name", PELLETS)
def test_a_spectrum_is_the_pellets_own_impedance_with_its_true_sign(
    pellet_name: str, kelvin: float, pa: float
) -> None:
    pellet = Pellet(PELLETS[pellet_name], stoichiometry=0.5, temperature_kelvin=kelvin, pressure_pa=pa)
    frequency = np.geomspace(200e3, 10e-3, 74)
    truth = pellet.impedance(frequency)
    lines = output(potentiostatic("200k 10m 74i"), MountedPellet("test", pellet, 0.0))
    assert (lines[0], lines[-1], len(lines)) == ("M000D", "*", 76)
    assert column(lines, "dc") == pytest.approx(frequency, rel=RESOLUTION)
    deviation = impedance(lines) / truth - 1.0
    assert rms(deviation) < 1.3 * IMPEDANCE_NOISE_RELATIVE
    assert abs(deviation.mean()) < 4e-4  # what is not noise
    capacitive = truth.imag < -0.01 * abs(truth)
    assert capacitive.sum() > 40
    assert (column(lines, "cd")[capacitive] < 0).all()


def test_noise_is_a_thousandth_of_the_magnitude_in_any_direction() -> None:
    truth = Pellet(PELLETS["coated"], stoichiometry=0.7).impedance(np.array([1e3]))[0]
    deviation = impedance(output(potentiostatic("1k 1k 1000i"))) / truth - 1.0
    assert rms(deviation) == pytest.approx(IMPEDANCE_NOISE_RELATIVE, rel=0.07)
    assert rms(deviation.real) == pytest.approx(rms(deviation.imag), rel=0.15)
    assert abs(deviation.mean()) < 1e-4


def test_potentiostatic_amplitude_and_dc_values_are_told_at_each_point() -> None:
    lines = output(potentiostatic("10k 100m 21i", FULL_POINT, options=OPTIONS))
    assert [v.kind for v in parse_package(lines[1])] == ["dc", "cc", "cd", "ch", "ci", "cj", "ck", "eb"]
    rest_volt = Pellet(PELLETS["coated"], stoichiometry=0.7).voltage_volt
    assert (column(lines, "ch") == 0.01).all()
    assert column(lines, "cj") * abs(impedance(lines)) == pytest.approx(np.full(21, 0.01), rel=2 * RESOLUTION)
    assert column(lines, "ci") == pytest.approx(np.full(21, rest_volt), abs=250e-6)
    assert abs(column(lines, "ck")).max() < 2e-6  # held where it rests, but for the noise of that reading
    assert len(set(column(lines, "ci"))) > 15
    due = np.cumsum([point_second(f) for f in np.geomspace(10e3, 0.1, 21)])
    assert column(lines, "eb") == pytest.approx(due, rel=RESOLUTION)


def test_galvanostatic_amplitude_and_dc_values_are_told_at_each_point() -> None:
    lines = output(galvanostatic("10k 10 7i", "200u", "-300u", FULL_POINT, options=OPTIONS))
    assert lines[0] == "M000E"
    assert column(lines, "cj") == pytest.approx(np.full(7, 200e-6), rel=1e-9)
    assert column(lines, "ch") / abs(impedance(lines)) == pytest.approx(
        np.full(7, 200e-6), rel=2 * RESOLUTION
    )
    assert column(lines, "ck") == pytest.approx(np.full(7, -300e-6), rel=1e-3)
    assert (column(lines, "ci") < Pellet(PELLETS["coated"], stoichiometry=0.7).voltage_volt - 0.01).all()


def test_the_dc_current_flows_and_each_point_is_about_the_state_at_its_time() -> None:
    pellet = Pellet(PELLETS["coated"], stoichiometry=0.9)
    before = pellet.impedance(np.array([0.01]))[0]
    lines = output(galvanostatic("10m 10m 5i", "100u", "800u"), MountedPellet("test", pellet, 0.0))
    seconds = 5 * point_second(0.01)
    assert pellet.charge_ah == pytest.approx(800e-6 * seconds / 3600, rel=1e-9)
    after = pellet.impedance(np.array([0.01]))[0]
    measured = impedance(lines)
    assert abs(after / before - 1) > 0.05
    assert abs(measured[-1] / after - 1) < 4e-3
    changes = abs(measured - after)
    assert all(later < earlier for earlier, later in pairwise(changes))


@pytest.mark.parametrize(
    ("amplitude", "ranges", "index"),
    [
        ("10m", ("set_autoranging ba 100n 100m",), 21),  # 0.24 mA peak: 1 mA
        ("1m", ("set_autoranging ba 100n 100m",), 18),
        ("900m", ("set_autoranging ba 100n 100m",), 27),
        ("1m", ("set_range ba 10m",), 24),
    ],
)
def test_the_current_range_holds_the_peak_of_the_response(
    amplitude: str, ranges: tuple[str, ...], index: int
) -> None:
    point = points(output(potentiostatic("1k 1k 1i", ranges=ranges, amplitude=amplitude)))[0]
    assert (point["cc"].status, point["cc"].range_index) == (0, index)
    assert (point["cd"].status, point["cd"].range_index) == (0, 6)


def test_a_current_beyond_its_ranges_is_an_overload_without_a_value() -> None:
    ranges = ("set_range ba 1u", "set_autoranging ba 1u 100u")
    lines = output(potentiostatic("1k 1k 1i", FULL_POINT, ranges=ranges, options=OPTIONS))
    assert ";cc     nan,12,212;cd     nan,12,206;" in lines[1]
    point = points(lines)[0]
    assert isnan(point["cj"].value)
    assert (point["ch"].value, point["cj"].status) == (0.01, 0)
    assert point["ci"].value == pytest.approx(3.1, abs=0.2)


@pytest.mark.parametrize(("current", "status"), [("0", 0), ("500u", 2)])
def test_a_galvanostat_whose_range_cannot_hold_dc_and_peak_is_overloaded(current: str, status: int) -> None:
    point = points(output(galvanostatic("1k 1k 1i", "500u", current)))[0]
    assert (point["cc"].status, point["cc"].range_index) == (status, 21)
    assert isnan(point["cc"].value) == bool(status)


@pytest.mark.parametrize(
    ("script", "status"),
    [(potentiostatic("1k 1 3i"), 4), (galvanostatic("1k 1 3i", "100u", "0"), 2)],
)
def test_without_a_cell_there_is_no_impedance(script: tuple[str, ...], status: int) -> None:
    found = points(output(script, OpenLeads()))
    assert len(found) == 3
    assert all(isnan(p["cc"].value) and isnan(p["cd"].value) for p in found)
    assert {p["cc"].status for p in found} == {status}


def test_the_published_sample_is_reproduced_byte_for_byte() -> None:
    parser = ScriptParser()
    for line in (*LOOP_VARIABLES[:3], "meas_loop_eis f r j 10m 100k 100 11i 0", *POINT, "endloop"):
        parser.feed(line)
    script = parser.finish()
    memory, loop = Memory(script), script.body[0]
    assert isinstance(loop, Measurement)
    response = Response(9885.956 + 2.9946j, 0.01, 0.0, 1e-6, 0.0, 0, current_range=0x87, potential_range=0x87)
    store_response(memory, loop, 99.999732, response)
    for index in range(3):
        memory.add_to_package(Variable(index))
    memory.send_package()
    assert memory.lines == ["PdcDF5DFF4u;cc896D904m,10,287;cd82DB1A8u,10,287"]


def test_amplitudes_are_rms_values() -> None:
    magnitude = abs(Pellet(PELLETS["coated"], stoichiometry=0.7).impedance(np.array([1e3]))[0])
    largest_rms = 100e-6 * magnitude / sqrt(2)  # the peak of its current just fills the 100 uA range
    for share, status in ((0.99, 0), (1.01, 2)):
        amplitude = f"{round(share * largest_rms * 1e6)}u"
        fixed = ("set_range ba 100u", "set_autoranging ba 100u 100u")
        point = points(output(potentiostatic("1k 1k 1i", ranges=fixed, amplitude=amplitude)))[0]
        assert (point["cc"].status, point["cc"].range_index) == (status, 18)
