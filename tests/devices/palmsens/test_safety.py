"""The potentiostat's own guard of the cell, and what is left when instrument, link or host are lost."""

from __future__ import annotations

import math
import sys
import threading
import time
from collections.abc import Callable

import pytest

from devices.core.techniques import ConstantVoltage, OpenCircuit, Sampling
from devices.palmsens.driver import PalmSens
from labctl.errors import DeviceError, InstrumentError, TransportError, TripError
from tests.devices.core.cycler_bench import BenchClock, SteppedCell, charge, program, rows, run, started
from tests.devices.core.killed_host import start_and_kill_host
from tests.devices.keithley.keithley_proxy import Proxy
from tests.devices.palmsens.emstat_bench import EmStatBench, emstat_bench
from tests.helpers import wait_until

SPARSE = Sampling.every(60)
posix = pytest.mark.skipif(sys.platform == "win32", reason="POSIX has SIGKILL and pseudo-terminals")


def flowing(bench: EmStatBench, cycler: PalmSens) -> None:
    """Wait until current flows and the first row has come."""
    wait_until(lambda: bench.closed and bool(rows(cycler)))


# ---- limits between sparse samples
@pytest.mark.parametrize(("jump", "limit"), [(4.2, "voltage_max"), (1.0, "voltage_min")])
def test_an_excursion_between_sparse_samples_is_stopped_within_100_ms(jump: float, limit: str) -> None:
    cell = SteppedCell(3.0)
    with emstat_bench(speed=200.0, cell=cell) as bench:
        cycler = bench.connected()
        status = started(cycler, charge(36_000, sampling=SPARSE))
        flowing(bench, cycler)
        at = bench.call(lambda: bench.clock.now) + 100.013
        bench.call(lambda: cell.jump(at, jump))
        with pytest.raises(TripError, match=f"V passed the limit {limit}; the instrument has opened"):
            status.wait(20)
        opened = bench.of("circuit")[-1]
        assert not opened["closed"]
        assert 0 < opened["virtual_second"] - at <= 0.1
        assert opened["reason"].startswith("cell_off")
        (result,) = cycler.results
        assert (result.end_reason, result.finished) == (f"trip {limit}", False)
        assert (bench.alarms[0]["kind"], bench.alarms[0]["source"]) == ("trip", limit)


@pytest.mark.parametrize(("jump", "sign"), [(2.9, 1), (3.1, -1)])
def test_too_large_a_current_at_constant_voltage_is_stopped_within_100_ms(jump: float, sign: int) -> None:
    """Into the cell and out of it: each has its own check in the program."""
    at = 500.013
    hold = ConstantVoltage(
        voltage_volt=3.0, direction="charge", until_time_second=3600, sampling=Sampling.every(60)
    )
    with emstat_bench(cell=SteppedCell(2.99, (at, jump), ohm=10.0)) as bench:
        cycler = bench.connected()
        with pytest.raises(TripError, match="A passed the limit current_max"):
            started(cycler, hold).wait(20)
        opened = bench.of("circuit")[-1]
        assert not opened["closed"]
        assert 0 < opened["virtual_second"] - at <= 0.1
        assert opened["current_ampere"] * sign == pytest.approx(0.01, rel=0.01)
        assert bench.alarms[0]["value"] * sign == pytest.approx(0.01, rel=0.01)


@posix
def test_a_trip_on_an_overloaded_reading_tells_what_the_instrument_compared_with_its_limit() -> None:
    at = 500.013
    with emstat_bench(cell=SteppedCell(3.0, (at, 4.2))) as bench:
        cycler = bench.connected()
        bench.inject("overrange", after_lines=3, lines=0)
        with pytest.raises(TripError, match=r"^4\.2\d* V passed the limit voltage_max"):
            started(cycler, charge(3_600, sampling=SPARSE)).wait(20)
        assert math.isnan(rows(cycler)[-1][2]), "beyond the range: no number in the table"
        trip = next(alarm for alarm in bench.alarms if alarm["kind"] == "trip")
        assert trip["value"] == pytest.approx(4.2, abs=0.01)


def test_with_the_host_killed_in_mid_step_an_excursion_is_stopped_within_100_ms() -> None:
    cell = SteppedCell(3.0)
    with emstat_bench(speed=200.0, cell=cell) as bench:
        start_and_kill_host(PalmSens, bench.address, lambda: wait_until(lambda: bench.closed))
        assert bench.closed
        at = bench.call(lambda: bench.clock.now) + 100.013
        bench.call(lambda: cell.jump(at, 4.2))
        wait_until(lambda: not bench.closed)
        opened = bench.of("circuit")[-1]
        assert 0 < opened["virtual_second"] - at <= 0.1
        assert opened["reason"].startswith("cell_off")
        bench.connected()  # the port is free again
        assert not bench.closed


# ---- ways out
@pytest.mark.parametrize("way_out", [PalmSens.stop, PalmSens.pause, PalmSens.unstage, PalmSens.disconnect])
def test_every_way_out_opens_the_circuit_within_two_seconds(way_out: Callable[[PalmSens], object]) -> None:
    with emstat_bench(speed=10.0) as bench:
        cycler = bench.connected()
        status = started(cycler, charge(36_000))
        flowing(bench, cycler)
        asked = time.monotonic()
        way_out(cycler)
        assert time.monotonic() - asked < 2
        assert not bench.closed
        assert bench.alarms == []
        assert cycler.results[-1].end_reason in ("stopped", "paused")
        assert status.done == (way_out is not PalmSens.pause)
        way_out(cycler)


def test_staging_ends_what_runs_without_waiting_for_it() -> None:
    with emstat_bench(speed=10.0) as bench:
        cycler = bench.connected()
        running = started(cycler, charge(36_000))
        flowing(bench, cycler)
        bench.inject("slow", delay_second=0.2, lines=3)
        asked = time.monotonic()
        staged = cycler.stage()
        assert time.monotonic() - asked < 0.1
        loaded = cycler.prepare(program(charge(1)))  # waits behind it in the reader thread
        staged.wait(5)
        assert not bench.closed
        loaded.wait(5)
        running.wait(5)
        cycler.start_program().wait(5)
        cycler.program_status().wait(20)
        assert [result.end_reason for result in cycler.results] == ["time"]


def test_what_would_disturb_a_program_is_refused_while_one_runs() -> None:
    with emstat_bench(speed=10.0) as bench:
        cycler = bench.connected()
        started(cycler, charge(36_000))
        for forbidden in (
            cycler.measure_rest_voltage,
            cycler.start_program,
            lambda: cycler.prepare(program(charge(1))),
        ):
            with pytest.raises(DeviceError, match="a program is running"):
                forbidden()
        flowing(bench, cycler)


# ---- instrument and link lost
def test_a_reboot_in_mid_program_fails_it_in_plain_words_with_the_circuit_open() -> None:
    with emstat_bench(speed=50.0) as bench:
        cycler = bench.connected()
        status = started(cycler, charge(36_000))
        flowing(bench, cycler)
        bench.inject("reboot")
        with pytest.raises(TransportError, match="link lost"):
            status.wait(10)
        wait_until(lambda: not bench.closed)
        assert bench.of("circuit")[-1]["reason"] == "reboot"
        assert cycler.results[-1].end_reason.startswith("failed: ")
        cycler.stage().wait(10)  # over a new connection, to the same instrument
        assert [alarm["kind"] for alarm in bench.alarms] == ["link"]
        told = bench.alarms[0]["action"]
        assert "may still flow" in told  # it does not: nobody can know that of a link that is lost
        assert "goes on by itself" not in told
        assert "run-time error" in told
        assert run(cycler, charge(1))[0].end_reason == "time"


def test_another_instrument_in_its_place_is_refused_and_runs_nothing() -> None:
    with emstat_bench(speed=50.0) as ours, emstat_bench(seed=2) as other, Proxy(ours.port) as proxy:
        cycler = ours.connected(address=f"socket://127.0.0.1:{proxy.port}")
        status = started(cycler, charge(36_000))
        flowing(ours, cycler)
        proxy.target = other.port
        proxy.cut()
        with pytest.raises(TransportError, match="link lost"):
            status.wait(10)
        wait_until(lambda: len(ours.alarms) > 1)
        assert "ES4HR00S0002 answers in place of EmStat4 HR ES4HR00S0001" in ours.alarms[-1]["action"]
        with pytest.raises(InstrumentError, match="answers in place of"):
            cycler.stage().wait(10)
        cycler.unstage()
        with pytest.raises(TransportError, match="not open"):
            cycler.prepare(program(charge(1))).wait(10)
        assert other.of("program") == []
        proxy.target = ours.port
        cycler.stage().wait(10)
        assert not ours.closed
        assert run(cycler, charge(1))[0].end_reason == "time"


@pytest.mark.parametrize("interval_second", [0.2, pytest.param(20.0, marks=pytest.mark.slow)])
def test_a_mute_link_fails_the_program_in_time_however_long_the_way_back_takes(
    interval_second: float,
) -> None:
    speed = 20.0
    with emstat_bench(speed=speed) as bench, Proxy(bench.port) as proxy:
        cycler = bench.connected(address=f"socket://127.0.0.1:{proxy.port}")
        status = started(cycler, charge(36_000, sampling=Sampling.every(interval_second)))
        flowing(bench, cycler)
        proxy.mute = True
        began = time.monotonic()
        with pytest.raises(TransportError, match="silent for"):
            status.wait(20)
        in_time = max(2.0, 3 * interval_second / speed)
        assert in_time * 0.5 < time.monotonic() - began < in_time + 1.0
        assert bench.closed  # and nobody could tell the instrument
        proxy.mute = False
        wait_until(lambda: not bench.closed, 10)


def test_a_stop_over_a_mute_link_is_an_alarm_after_two_seconds_and_then_takes_another_way() -> None:
    with emstat_bench(speed=1.0) as bench, Proxy(bench.port) as proxy:
        cycler = bench.connected(address=f"socket://127.0.0.1:{proxy.port}")
        started(cycler, charge(36_000, sampling=SPARSE))
        flowing(bench, cycler)
        proxy.mute = True
        asked = time.monotonic()
        cycler.stop()
        cycler.unstage()  # the same attempt: not another two seconds
        assert time.monotonic() - asked < 2.5
        told = {alarm["action"] for alarm in bench.alarms if alarm["kind"] == "circuit"}
        assert told == {
            "output not verified off: the instrument does not answer; "
            "the circuit may still be closed: open it with `labctl off STATION`"
        }
        proxy.mute = False
        wait_until(lambda: not bench.closed, 10)
        wait_until(lambda: bench.alarms[-1]["action"] == "output verified off, later than required")


@pytest.mark.slow
def test_a_driver_that_left_a_mute_link_can_come_back_and_uses_it_alone() -> None:
    with emstat_bench(speed=20.0) as bench, Proxy(bench.port) as proxy:
        cycler = bench.connected(address=f"socket://127.0.0.1:{proxy.port}")
        started(cycler, charge(36_000))
        flowing(bench, cycler)
        proxy.mute = True
        cycler.disconnect()
        proxy.mute = False
        cycler.connect()
        assert [t.name for t in threading.enumerate()].count("cycler-reader") == 1
        assert not bench.closed
        assert run(cycler, charge(1))[0].end_reason == "time"


# ---- a serial line
@posix
def test_techniques_and_an_abort_work_over_a_pseudo_terminal() -> None:
    with emstat_bench(speed=20.0) as bench:
        cycler = bench.connected(address=bench.pty)
        pulse, rest = run(
            cycler,
            charge(10, sampling=Sampling.every(1)),
            OpenCircuit(until_time_second=5, sampling=Sampling.every(1)),
        )
        assert (pulse.end_reason, rest.end_reason) == ("time", "time")
        assert pulse.charging_capacity_ah == pytest.approx(1e-4 * 10 / 3600, rel=0.01)
        assert len(rows(cycler)) == 16  # each second, and the pulse's first tick after 0.1 s
        status = started(cycler, charge(36_000))
        flowing(bench, cycler)
        cycler.stop()
        assert not bench.closed
        assert status.done
        assert cycler.results[-1].end_reason == "stopped"
        assert run(cycler, charge(1))[0].end_reason == "time"


# ---- a run-time error: the script stops, `on_finished` is not run (MethodSCRIPT manual, 10.1)
def test_a_run_time_error_is_noticed_and_the_circuit_it_leaves_closed_is_opened() -> None:
    with emstat_bench(speed=50.0) as bench:
        cycler = bench.connected()
        status = started(cycler, charge(36_000))
        flowing(bench, cycler)
        failed = time.monotonic()
        bench.inject("error", code=0x0080)
        with pytest.raises(InstrumentError, match=r"script stopped at Line \d+") as caught:
            status.wait(10)
        wait_until(lambda: not bench.closed, 2)
        assert time.monotonic() - failed < 2
        assert caught.value.code == 0x0080
        ended = bench.of("program")[-1]
        opened = bench.of("circuit")[-1]
        assert ended["reason"].startswith("error 0080")
        assert opened["reason"] == "cell_off, line 1"  # by the driver's own script, not by the failed one
        assert opened["virtual_second"] >= ended["virtual_second"]
        assert cycler.results[-1].end_reason.startswith("failed: ")
        assert run(cycler, charge(1))[0].end_reason == "time"


@posix
def test_with_the_host_killed_a_run_time_error_leaves_the_cell_on_until_the_next_host_opens_it() -> None:
    """As ADR 5 says: the instrument itself does not open it."""
    cell = SteppedCell(3.0)
    with emstat_bench(speed=200.0, cell=cell) as bench:
        start_and_kill_host(PalmSens, bench.address, lambda: wait_until(lambda: bench.closed))
        bench.inject("error", code=0x0080)
        wait_until(lambda: bench.of("program")[-1]["state"] == "end")
        bench.call(lambda: cell.jump(bench.clock.now + 10.0, 4.2))  # outside the limits, which nobody checks
        charge_before_ah = cell.charge_ah
        BenchClock(bench).sleep(200.0)
        assert bench.closed
        bench.connected()
        assert not bench.closed
        assert cell.charge_ah - charge_before_ah > 1e-4 * 190 / 3600
