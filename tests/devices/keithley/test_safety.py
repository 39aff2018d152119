"""The Keithley driver on the emulated unit: limits, ways out, and no charge that nobody asked for."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from devices.core.techniques import ConstantVoltage, Sampling
from devices.keithley.driver import Keithley2450
from devices.sim.cell.leads import OpenLeads
from labctl.errors import InstrumentError, TripError
from labctl.records.limits import Limits
from tests.devices.core.cycler_bench import SteppedCell, charge, rows, run, started
from tests.devices.keithley.keithley_bench import keithley_bench
from tests.helpers import wait_until


# ---- limits
@pytest.mark.parametrize(("jump", "limit"), [(4.2, "voltage_max"), (1.0, "voltage_min")])
def test_an_excursion_between_sparse_samples_is_stopped_within_100_ms(jump: float, limit: str) -> None:
    at = 1.0 + 0.05 + 100.013
    with keithley_bench(cell=SteppedCell(3.0, (at, jump))) as bench:
        cycler = bench.connected()
        status = started(cycler, charge(3600, sampling=Sampling.every(60)))
        with pytest.raises(
            TripError, match=f"V passed the limit {limit}; the instrument has opened the circuit"
        ):
            status.wait(20)
        opened = bench.of("circuit")[-1]
        assert not opened["closed"]
        assert 0 < opened["virtual_second"] - at <= 0.1
        assert opened["reason"].startswith("trigger model")
        (result,) = cycler.results
        assert (result.end_reason, result.finished) == (f"trip {limit}", False)
        trips = [alarm["source"] for alarm in bench.alarms if alarm["kind"] == "trip"]
        assert trips == [limit]
        assert len(rows(cycler)) == 3  # the first reading, 60 s, and the one that passed the limit


def test_too_large_a_current_at_constant_voltage_is_a_trip() -> None:
    at = 500.013
    hold = ConstantVoltage(
        voltage_volt=3.0, direction="charge", until_time_second=3600, sampling=Sampling.every(60)
    )
    with keithley_bench(cell=SteppedCell(2.99, (at, 2.9), ohm=10.0)) as bench:
        cycler = bench.connected()
        with pytest.raises(TripError, match="A passed the limit current_max"):
            started(cycler, hold).wait(20)
        assert abs(cycler.results[-1].end_current_ampere) <= 5.3e-3  # the source's own limit held it
        assert 0 < bench.of("circuit")[-1]["virtual_second"] - at <= 0.1


def test_a_cell_beyond_the_window_is_not_connected_to_the_current_source() -> None:
    with keithley_bench(cell=SteppedCell(4.1)) as bench:
        cycler = bench.connected()
        with pytest.raises(TripError, match="V passed the limit voltage_max"):
            started(cycler, charge()).wait(20)
        assert bench.charge_ah == 0
        assert {entry["current_ampere"] for entry in bench.of("setpoint")} <= {0.0}


def test_disconnected_leads_end_the_program_open() -> None:
    with keithley_bench(cell=OpenLeads()) as bench:
        cycler = bench.connected(limits=Limits(voltage_max_volt=3.7))
        with pytest.raises(TripError, match="voltage_max"):
            started(cycler, charge(600, current_ampere=4e-3)).wait(20)
        assert not bench.closed


# ---- ways out
@pytest.mark.parametrize(
    "way_out", [Keithley2450.stop, Keithley2450.pause, Keithley2450.unstage, Keithley2450.disconnect]
)
def test_every_way_out_opens_the_circuit_within_two_seconds(
    way_out: Callable[[Keithley2450], object],
) -> None:
    with keithley_bench(speed=10.0) as bench:
        cycler = bench.connected()
        status = started(cycler, charge(36_000))
        wait_until(lambda: bool(bench.of("setpoint")) and bool(rows(cycler)))
        asked = time.monotonic()
        way_out(cycler)
        assert time.monotonic() - asked < 2
        assert not bench.closed
        assert bench.alarms == []
        assert cycler.results[-1].end_reason in ("stopped", "paused")
        assert status.done == (way_out is not Keithley2450.pause)
        way_out(cycler)


def test_a_paused_step_goes_on_with_the_time_it_has_left() -> None:
    with keithley_bench(speed=20.0) as bench:
        cycler = bench.connected()
        status = started(cycler, charge(16))
        wait_until(lambda: len(rows(cycler)) > 0 and bench.call(lambda: bench.clock.now) > 4)
        cycler.pause()
        assert not bench.closed
        before = len(cycler.results)
        cycler.resume()
        status.wait(20)
        first, second = cycler.results
        assert (before, first.end_reason, second.end_reason) == (1, "paused", "time")
        assert second.step_count == first.step_count + 1
        moved = first.charging_capacity_ah + second.charging_capacity_ah
        assert moved == pytest.approx(16 * 1e-4 / 3600, rel=0.02)


def test_a_stop_before_the_start_lets_nothing_flow() -> None:
    with keithley_bench(speed=1.0) as bench:
        cycler = bench.connected()
        started(cycler, charge(3600))
        cycler.stop()
        assert bench.of("setpoint") == []
        assert bench.charge_ah == 0


def test_no_charge_flows_unasked_from_connection_to_disconnection() -> None:
    with keithley_bench(speed=200.0) as bench:
        currents: list[float] = []
        watching = threading.Event()

        def sample() -> float:
            unit = bench.instrument.state.unit
            unit.advance_to(bench.clock.now)
            return unit.leads.reading()[1] if bench.instrument.run is None else 0.0

        def watch() -> None:
            while not watching.wait(0.01):
                currents.append(bench.call(sample))

        cycler = bench.connected()
        thread = threading.Thread(target=watch)
        thread.start()
        bench.wait(lambda: bench.clock.sleep_until(bench.clock.now + 100))
        cycler.measure_rest_voltage()
        asked = run(cycler, charge(60))[0].charging_capacity_ah
        status = started(cycler, charge(36_000))
        wait_until(lambda: len(rows(cycler)) > 100)
        cycler.stop()
        asked += cycler.results[-1].charging_capacity_ah
        assert status.done
        bench.wait(lambda: bench.clock.sleep_until(bench.clock.now + 100))
        cycler.disconnect()
        bench.wait(lambda: bench.clock.sleep_until(bench.clock.now + 100))
        watching.set()
        thread.join()
        assert len(currents) > 50
        assert set(currents) == {0.0}
        assert bench.charge_ah == pytest.approx(asked, rel=0.02)
        assert not bench.closed


def test_an_instrument_error_fails_the_program_with_its_own_words_and_opens_the_circuit() -> None:
    with keithley_bench(speed=20.0) as bench:
        cycler = bench.connected()
        status = started(cycler, charge(3600))
        wait_until(lambda: bool(rows(cycler)))
        bench.inject("error", code=5074, text="Overtemperature, output turned off")
        with pytest.raises(InstrumentError, match="5074, Overtemperature"):
            status.wait(10)
        wait_until(lambda: not bench.closed, 5)
        assert cycler.results[-1].end_reason.startswith("failed: ")
        assert cycler.measure_rest_voltage() == pytest.approx(3.11, abs=0.02)
        assert run(cycler, charge(1))[0].end_reason == "time"


def test_limits_that_the_unit_does_not_take_are_found_by_reading_back() -> None:
    with keithley_bench() as bench:
        unit = bench.instrument.state
        original = unit.settings.set_limit
        bench.call(
            lambda: setattr(unit.settings, "set_limit", lambda f, v: original(f, 5.0 if f == "CURR" else v))
        )
        with pytest.raises(InstrumentError, match=r"SOUR:CURR:VLIM\? gives 5, but 3.935 was set"):
            bench.driver().connect()
        assert not bench.closed
