"""Impedance through driver and wire against the pellet's own, and what the instrument cannot do."""

from __future__ import annotations

import numpy as np
import pytest

from devices.core.techniques import Impedance, OpenCircuit, Program, Sampling
from devices.palmsens.compiler import compile_program
from devices.palmsens.models import MODELS
from labctl.errors import ProtocolError
from labctl.records.cell import load_cell
from labctl.records.limits import Limits
from labctl.records.station import packaged_config
from plans.executor.measurement import run_protocol
from plans.protocol.protocol import Protocol
from tests.helpers import Documents

NOISE = 1e-3  # of |Z|, rms, as the emulator declares
REST = OpenCircuit(until_time_second=60, sampling=Sampling.every(10))


def spectrum(session, documents: Documents, technique: Impedance) -> tuple[np.ndarray, np.ndarray]:
    session.RE.subscribe(documents)
    protocol = Protocol(name="spectrum", items=(REST, technique))
    session.RE(run_protocol(session.cycler, protocol, cell=session.cell))
    rows = documents.stream("impedance")
    frequency = np.array(rows["frequency_hertz"])
    measured = np.array(rows["real_impedance_ohm"]) + 1j * np.array(rows["imaginary_impedance_ohm"])
    return frequency, measured


@pytest.mark.parametrize("record", ["cells/bare-ncm.yaml", "cells/lic-ncm.yaml"])
@pytest.mark.parametrize(("celsius", "mpa"), [(25.0, 50.0), (60.0, 50.0), (25.0, 10.0), (60.0, 10.0)])
def test_a_potentiostatic_spectrum_is_the_pellets_own_within_its_noise(
    open_sim, documents: Documents, record: str, celsius: float, mpa: float
) -> None:
    cell = load_cell(packaged_config(record))
    session = open_sim(cell=cell, stoichiometry=0.5, temperature_celsius=celsius, pressure_mpa=mpa)
    technique = Impedance(amplitude_rms_volt=5e-3, frequency_max_hertz=200e3, frequency_min_hertz=0.01)
    frequency, measured = spectrum(session, documents, technique)
    true = np.array(session.bench.impedance(frequency.tolist()))
    assert len(frequency) == technique.points == 74
    assert frequency[0] == pytest.approx(200e3, rel=1e-5)
    assert frequency[-1] == pytest.approx(0.01, rel=1e-5)
    deviation = np.abs(measured - true) / np.abs(true)
    assert deviation.max() < 2e-3 + 4 * NOISE
    assert np.sqrt(np.mean(deviation**2)) < 1.5e-3
    steps = documents.stream("steps")
    assert (steps["step_type"][1], steps["end_reason"][1]) == ("peis", "complete")


def test_signs_conditions_and_counts_travel_with_every_point(open_sim, documents: Documents) -> None:
    session = open_sim(stoichiometry=0.5)
    technique = Impedance(
        mode="galvanostatic", amplitude_rms_ampere=50e-6, frequency_max_hertz=1e5, frequency_min_hertz=0.1
    )
    frequency, measured = spectrum(session, documents, technique)
    rows = documents.stream("impedance")
    true = np.array(session.bench.impedance(frequency.tolist()))
    assert np.abs(measured / true - 1).max() < 6e-3
    assert measured.imag[frequency < 10].max() < 0  # capacitive is negative
    assert set(rows["amplitude_unit"]) == {"A"}
    assert set(rows["amplitude_rms"]) == {50e-6}
    assert set(rows["spectrum_count"]) == {1}
    assert rows["voltage_volt"][0] == pytest.approx(session.bench.cell_state()["voltage_volt"], abs=1e-3)
    assert max(abs(i) for i in rows["current_ampere"]) < 1e-6
    assert rows["test_time_second"] == sorted(rows["test_time_second"])
    moved = abs(session.bench.cell_state()["charge_ah"])
    assert moved < 1e-3 * session.cell.nominal_capacity_ah


def test_a_hundred_seconds_of_silence_is_no_fault(open_sim, documents: Documents) -> None:
    session = open_sim(stoichiometry=0.5, speed=60.0)  # 10 mHz is silent for seconds of wall time
    technique = Impedance(
        amplitude_rms_volt=5e-3, frequency_max_hertz=0.02, frequency_min_hertz=0.01, points_per_decade=4
    )
    frequency, _ = spectrum(session, documents, technique)
    assert len(frequency) == technique.points
    gaps = np.diff(documents.stream("impedance")["test_time_second"])
    assert gaps.max() > 50


LIMITS = Limits(voltage_min_volt=1.8, voltage_max_volt=3.8, current_max_ampere=5e-3)


@pytest.mark.parametrize(
    ("model", "technique", "words"),
    [
        (
            "es4_hr",
            Impedance(amplitude_rms_volt=5e-3, frequency_max_hertz=1e6),
            "EmStat4 HR reaches 200000 Hz",
        ),
        (
            "espico",
            Impedance(mode="galvanostatic", amplitude_rms_ampere=1e-5),
            "EmStat Pico has no galvanostat",
        ),
        ("es4_hr", Impedance(amplitude_rms_volt=0.95), "allows <= 0.9 V"),
        ("es4_hr", Impedance(amplitude_rms_volt=5e-3, dc_voltage_volt=4.5), "dc_voltage_volt = 4.5 V"),
        ("es4_hr", Impedance(mode="galvanostatic", amplitude_rms_ampere=4e-3), "peak current"),
    ],
)
def test_what_the_instrument_or_the_limits_forbid_is_refused_by_name(
    model: str, technique: Impedance, words: str
) -> None:
    with pytest.raises(ProtocolError, match="technique 1") as caught:
        compile_program(Program(techniques=(technique,)), MODELS[model], LIMITS)
    assert words in str(caught.value)


def test_the_nexus_reaches_a_megahertz() -> None:
    program = Program(techniques=(Impedance(amplitude_rms_volt=5e-3, frequency_max_hertz=1e6),))
    assert any(
        "1000000" in line or " 1000k" in line for line in compile_program(program, MODELS["nexus1"], LIMITS)
    )


def test_a_multichannel_instrument_measures_on_the_asked_channel() -> None:
    program = Program(techniques=(REST,))
    assert "set_pgstat_chan 3" in compile_program(program, MODELS["mes4hr"], LIMITS, channel=3)
