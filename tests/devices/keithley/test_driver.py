"""The Keithley driver on the emulated unit over a real socket: connection, techniques, ways out."""

from __future__ import annotations

import time
from typing import Any

import pytest
from bluesky import RunEngine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from devices.core.protocols import Cycler
from devices.core.techniques import (
    AnyTechnique,
    ConstantCurrent,
    ConstantVoltage,
    Impedance,
    OpenCircuit,
    Sampling,
    StepResult,
)
from devices.keithley.driver import Keithley2450
from labctl.errors import ConfigurationError, DeviceError, InstrumentError, PortInUseError
from labctl.records.cell import Cell
from plans.gitt import gitt
from tests.devices.core.cycler_bench import DENSE, Row, SteppedCell, charge, program, rows, run
from tests.devices.keithley.keithley_bench import keithley_bench
from tests.helpers import Documents


# ---- connection
def test_it_connects_in_high_impedance_with_limits_read_back_and_no_charge_flowing() -> None:
    with keithley_bench() as bench:
        cycler = bench.connected()
        identity = cycler.identity
        assert identity is not None
        assert (identity.maker, identity.model, identity.serial) == ("Keithley", "2450", "09000001")
        metadata = cycler.metadata()
        assert metadata["limits_read_back"] == pytest.approx(
            {"voltage_volt": 3.935, "current_ampere": 5.25e-3}
        )
        assert metadata["limits"]["voltage_max_volt"] == 3.7
        assert isinstance(cycler, Cycler)
        assert not bench.closed
        modes = bench.call(lambda: {s.off_mode for s in bench.instrument.state.settings.source.values()})
        assert modes == {"HIMP"}
        assert bench.charge_ah == 0


def test_its_first_setting_is_the_output_off_mode() -> None:
    with keithley_bench() as bench:
        heard: list[str] = []
        feed = bench.instrument.feed

        def overhear(data: bytes) -> None:
            heard.append(data.decode())
            feed(data)

        bench.instrument.wire._on_data = overhear
        bench.connected()
        lines = "".join(heard).splitlines()
        sets = [line for line in lines if "?" not in line]
        assert sets[0] == "ABOR;:OUTP:CURR:SMOD HIMP;:OUTP:VOLT:SMOD HIMP;:OUTP OFF"
        assert sets[1:5] == ["OUTP OFF", "*CLS", "OUTP:CURR:SMOD HIMP", "OUTP:VOLT:SMOD HIMP"]
        assert not any("*RST" in line for line in lines)


def test_another_command_set_is_refused_in_plain_words() -> None:
    with keithley_bench(language="TSP") as bench:
        with pytest.raises(InstrumentError, match="its command set is TSP, but SCPI is needed"):
            bench.driver().connect()


def test_an_unexpected_model_is_refused() -> None:
    with keithley_bench(model="2461") as bench:
        with pytest.raises(InstrumentError, match="expects Keithley 2450, but Keithley 2461 answers"):
            bench.driver(model="2450").connect()
        assert bench.connected(model="2461").identity is not None


def test_wrong_options_and_addresses_are_refused_by_name() -> None:
    with pytest.raises(ConfigurationError, match="allowed are 2450, 2460, 2461"):
        Keithley2450("TCPIP::h::5025::SOCKET", name="c", model="2400")
    with pytest.raises(ConfigurationError, match='allowed are "front" and "rear"'):
        Keithley2450("TCPIP::h::5025::SOCKET", name="c", terminals="top")
    with pytest.raises(ConfigurationError, match="VISA resource such as TCPIP"):
        Keithley2450("/dev/ttyACM0", name="c")
    for address in ("USB0::0x05E6::0x2450::04096331::INSTR", "GPIB0::18::INSTR"):
        with pytest.raises(DeviceError, match="cannot be opened: Please install"):
            Keithley2450(address, name="c").connect()


def test_a_port_in_use_is_refused_at_once_and_the_first_user_is_undisturbed() -> None:
    with keithley_bench() as bench:
        first = bench.connected()
        began = time.monotonic()
        with pytest.raises(PortInUseError, match="in use by process"):
            bench.driver().connect()
        assert time.monotonic() - began < 1
        assert first.measure_rest_voltage() == pytest.approx(3.11, abs=0.01)


def test_nobody_at_the_address_is_a_plain_error_within_seconds() -> None:
    with keithley_bench() as bench:
        address = bench.address
    began = time.monotonic()
    with pytest.raises(DeviceError, match=r"link lost|no answer|nothing came|cannot be opened"):
        Keithley2450(address, name="c").connect()
    assert time.monotonic() - began < 3


def test_the_rest_voltage_is_measured_without_moving_charge() -> None:
    with keithley_bench() as bench:
        cycler = bench.connected()
        assert cycler.check_reading().startswith("3.11")
        assert cycler.check_limits() == "1.88 to 3.7 V, 5 mA"
        assert not bench.closed
        assert all(entry["current_ampere"] == 0 for entry in bench.of("circuit")[2:])


# ---- techniques
def test_a_constant_current_moves_exactly_its_charge() -> None:
    with keithley_bench() as bench:
        cycler = bench.connected()
        (result,) = run(cycler, charge(60))
        assert (result.end_reason, result.step_type) == ("time", "cc_charge")
        assert result.charging_capacity_ah == pytest.approx(1e-4 / 60, rel=1e-5)
        assert bench.charge_ah == pytest.approx(1e-4 / 60, rel=1e-9)
        found = rows(cycler)
        assert [row[1] for row in found] == pytest.approx([0.05, *(0.2 * n for n in range(1, 301))])
        assert {row[7] for row in found} == {0}
        assert not bench.closed


def test_a_constant_current_ends_at_its_voltage_also_when_that_is_the_limit() -> None:
    with keithley_bench() as bench:
        cycler = bench.connected()
        for target in (3.4, 3.7):
            technique = charge(90_000, current_ampere=2e-3, until_voltage_above_volt=target)
            (result,) = run(cycler, technique)
            assert result.end_reason == "voltage_above"
            assert target < result.end_voltage_volt < target + 0.005
        (result,) = run(cycler, charge(90_000, current_ampere=-2e-3, until_voltage_below_volt=3.0))
        assert (result.end_reason, result.step_type) == ("voltage_below", "cc_discharge")
        assert bench.alarms == []


def test_a_constant_voltage_ends_at_its_current_and_follows_a_current_without_a_gap() -> None:
    hold = ConstantVoltage(
        voltage_volt=3.5, direction="charge", until_current_below_ampere=2e-4, sampling=Sampling.every(1)
    )
    with keithley_bench() as bench:
        cycler = bench.connected()
        rise, held = run(cycler, charge(90_000, current_ampere=1e-3, until_voltage_above_volt=3.5), hold)
        assert (rise.end_reason, held.end_reason) == ("voltage_above", "current_below")
        assert held.step_type == "cv_charge"
        assert 0 < held.end_current_ampere <= 2e-4
        assert held.start_test_time_second == rise.end_test_time_second
        volts = [row[2] for row in rows(cycler) if row[6] == "cv_charge"]
        assert volts == pytest.approx([3.5] * len(volts), abs=2e-4)
        moved = rise.charging_capacity_ah + held.charging_capacity_ah
        assert bench.charge_ah == pytest.approx(moved, rel=2e-3)


def test_a_charge_at_constant_voltage_is_ended_by_the_host_and_the_program_goes_on() -> None:
    hold = ConstantVoltage(
        voltage_volt=3.5, direction="charge", until_charge_ah=3e-5, sampling=Sampling.every(1)
    )
    with keithley_bench() as bench:
        cycler = bench.connected()
        cycler.prepare(program(hold, OpenCircuit(until_time_second=30, sampling=DENSE))).wait(10)
        assert cycler.host_checked == ("technique 1: until_charge_ah",)
        assert "constant_voltage.until_charge_ah" in cycler.metadata()["checked_by_host"]
        cycler.start_program().wait(10)
        cycler.program_status().wait(30)
        held, rested = cycler.results
        assert (held.end_reason, rested.end_reason) == ("charge", "time")
        late_second = (held.charging_capacity_ah - 3e-5) * 3600 / 5e-3  # nearly all the time at the limit
        assert 0 < late_second < 2
        assert rested.end_test_time_second - rested.start_test_time_second == pytest.approx(30)


def test_a_pulse_and_its_rest_run_without_a_gap_and_a_rest_can_end_by_its_drift() -> None:
    rest = OpenCircuit(
        until_time_second=7200, until_drift_volt_per_hour=2e-3, drift_window_second=100,
        sampling=Sampling.staged((0.2, 10), (5, 60), (60, None)),
    )  # fmt: skip

    def once() -> tuple[list[Row], tuple[StepResult, ...]]:
        with keithley_bench() as bench:
            cycler = bench.connected()
            results = run(cycler, charge(60), rest)
            return rows(cycler), results

    found, (pulse, relaxed) = once()
    assert (pulse.end_reason, relaxed.end_reason) == ("time", "drift")
    assert relaxed.start_test_time_second == pulse.end_test_time_second == pytest.approx(60)
    lasted = relaxed.end_test_time_second - relaxed.start_test_time_second
    assert lasted % 100 < 40  # the host is some readings behind the end of a window
    times = [row[0] for row in found]
    assert times == sorted(times)
    assert once()[0] == found  # also where the host takes part, the same seed gives the same data


def test_samples_are_those_that_were_asked_for_and_the_last_reading_of_a_step() -> None:
    sampling = Sampling.staged((0.2, 1), (0.5, 3), (5, None))
    with keithley_bench() as bench:
        cycler = bench.connected()
        run(cycler, charge(12, sampling=sampling))
        assert [row[1] for row in rows(cycler)] == pytest.approx(
            [0.05, 0.2, 0.4, 0.6, 0.8, 1, 1.5, 2, 2.5, 3, 8, 12]
        )


currents = st.sampled_from([-1e-3, -2e-6, 5e-9, 1e-4, 4e-3])
samplings = st.lists(st.sampled_from([0.01, 0.05, 0.13, 0.25, 1.0, 7.0, 60.0]), min_size=1, max_size=3).map(
    lambda intervals: Sampling.staged(
        *((interval, 3.0 * n) for n, interval in enumerate(intervals[:-1], start=1)), (intervals[-1], None)
    )
)
durations = st.sampled_from([0.5, 3.0, 10.0, 61.0])
techniques = st.one_of(
    st.builds(ConstantCurrent, current_ampere=currents, until_time_second=durations, sampling=samplings),
    st.builds(OpenCircuit, until_time_second=durations, sampling=samplings),
    st.builds(
        ConstantVoltage, voltage_volt=st.just(3.1), direction=st.just("charge"), until_time_second=durations,
        sampling=samplings,
    ),
)  # fmt: skip


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(techniques, min_size=1, max_size=3))
def test_any_program_within_the_limits_runs_and_gives_its_samples(parts: list[AnyTechnique]) -> None:
    with keithley_bench(cell=SteppedCell(3.1, ohm=5.0)) as bench:
        cycler = bench.connected()
        results = run(cycler, *parts)
        found = rows(cycler)
        assert [result.end_reason for result in results] == ["time"] * len(parts)
        for number, (part, result) in enumerate(zip(parts, results, strict=True), start=1):
            lasted = result.end_test_time_second - result.start_test_time_second
            assert lasted == pytest.approx(
                part.longest_second, abs=1.0 if part.kind == "open_circuit" else 0.05
            )
            steps = [row[1] for row in found if row[4] == number]
            assert steps == sorted(steps)
            assert steps[-1] == pytest.approx(lasted, abs=1e-6)
        assert not bench.closed


def test_a_spectrum_is_refused_by_name_before_anything_is_sent() -> None:
    with keithley_bench() as bench:
        cycler = bench.connected()
        before = len(bench.call(bench.record.entries))
        with pytest.raises(Exception, match=r"technique 2 \(impedance\): Keithley 2450 cannot do this"):
            cycler.prepare(program(charge(), Impedance(amplitude_rms_volt=0.01)))
        assert len(bench.call(bench.record.entries)) == before


def test_gitt_runs_on_it_unchanged(coated_cell: Cell, documents: Documents) -> None:
    with keithley_bench() as bench:
        cycler: Any = bench.connected(limits=coated_cell.limits)
        engine = RunEngine({})
        engine.subscribe(documents)
        engine(gitt(cycler, cell=coated_cell, pulses=1, rest_second=600, direction="both"))
        steps = documents.stream("steps")
        assert steps["step_type"] == ["rest", "cc_charge", "rest", "cc_discharge", "rest"]
        assert set(steps["end_reason"]) == {"time"}
        assert documents.stop["exit_status"] == "success"
        assert sum(steps["step_charging_capacity_ah"]) == pytest.approx(
            coated_cell.current("C/20") * 600 / 3600, rel=1e-4
        )
        assert bench.charge_ah == pytest.approx(0, abs=1e-12)
        assert not bench.closed


def test_the_same_seed_gives_the_same_data() -> None:
    def once(seed: int) -> list[Row]:
        with keithley_bench(seed=seed) as bench:
            cycler = bench.connected()
            run(cycler, charge(60), OpenCircuit(until_time_second=120, sampling=DENSE))
            return rows(cycler)

    reference = once(1)
    assert once(1) == reference
    assert once(2) != reference
