"""A source that is left on without a program: time passes, and the bench's record shows the charge."""

from __future__ import annotations

import asyncio
import time

import pytest

from devices.sim.unattended_current import GRACE_WALL_SECOND
from tests.devices.keithley.keithley_raw import HOUR, RawBench, emulated, galvanostat, timed_model
from tests.devices.sim.palmsens import sim_host


def test_a_forgotten_output_charges_the_cell_at_the_speed_of_the_bench() -> None:
    async def scenario() -> None:
        async with emulated(speed=100.0) as bench:
            bench.send(*galvanostat(1e-4), "OUTP ON")
            began = time.monotonic()
            while bench.clock.now < 20:
                await asyncio.sleep(0.02)
            bench.send("OUTP OFF")
            await bench.ask("*OPC?")
            wall = time.monotonic() - began
            opened = bench.of("circuit")[-1]
            assert not opened["closed"]
            assert 20 <= opened["virtual_second"] <= 100 * (wall - GRACE_WALL_SECOND)
            assert opened["charge_ah"] == pytest.approx(1e-4 * opened["virtual_second"] / HOUR, rel=1e-6)

    asyncio.run(scenario())


def test_at_the_fastest_speed_a_forgotten_output_does_not_race_away() -> None:
    async def scenario() -> None:
        async with emulated() as bench:
            began = time.monotonic()
            bench.send(*galvanostat(1e-4), "OUTP ON")
            await asyncio.sleep(GRACE_WALL_SECOND + 0.6)
            assert 0.1 < bench.clock.now <= time.monotonic() - began

    asyncio.run(scenario())


def test_its_limit_holds_a_forgotten_output() -> None:
    async def scenario() -> None:
        async with emulated(speed=20_000.0) as bench:
            bench.send(*galvanostat(1e-4, limit=3.2), "OUTP ON")
            while bench.clock.now < 20_000:
                await asyncio.sleep(0.05)
            assert bench.cell.reading()[0] == pytest.approx(3.2)
            assert bench.cell.reading()[1] < 0.9e-4

    asyncio.run(scenario())


async def _left_on_by_an_abort(bench: RawBench) -> None:
    """A model that is ended from outside leaves the output as it is."""
    commands = (*galvanostat(1e-4), 'TRAC:MAKE "b", 1000', *timed_model(0.1, 100_000), "INIT")
    bench.send(*commands)
    while not bench.instrument.state.settings.output:
        await asyncio.sleep(0.01)
    bench.send("ABOR")
    while bench.instrument.running:
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("speed", [50.0, None])
def test_what_an_aborted_model_leaves_on_counts_from_its_end(speed: float | None) -> None:
    async def scenario() -> None:
        async with emulated(speed=speed) as bench:
            await _left_on_by_an_abort(bench)
            ended = bench.of("program")[-1]["virtual_second"]
            while bench.clock.now < ended + 0.1:
                await asyncio.sleep(0.01)
            bench.send("OUTP OFF")
            await bench.ask("*OPC?")
            closed, opened = bench.of("circuit")[-2:]
            asked = 1e-4 * (opened["virtual_second"] - closed["virtual_second"]) / HOUR
            assert opened["charge_ah"] - closed["charge_ah"] == pytest.approx(asked, rel=1e-6)

    asyncio.run(scenario())


@pytest.mark.parametrize("speed", [1000.0, None])
def test_single_readings_move_no_time(speed: float | None) -> None:
    async def scenario() -> None:
        async with emulated(speed=speed) as bench:
            bench.send(*galvanostat(0.0))
            for _ in range(50):
                bench.send("OUTP ON")
                await bench.ask('READ? "defbuffer1", READ')
                bench.send("OUTP OFF")
                await asyncio.sleep(0.02)
            await asyncio.sleep(GRACE_WALL_SECOND)
            assert bench.clock.now == 0

    asyncio.run(scenario())


def test_what_is_off_lets_time_stand_still() -> None:
    async def scenario() -> None:
        async with emulated(speed=1000.0) as bench:
            bench.send(*galvanostat(1e-4), "OUTP ON")
            await asyncio.sleep(GRACE_WALL_SECOND + 0.2)
            bench.send("OUTP OFF")
            await bench.ask("*OPC?")
            await asyncio.sleep(0.2)
            then = bench.clock.now
            await asyncio.sleep(0.3)
            assert bench.clock.now == then

    asyncio.run(scenario())


def test_a_cell_that_a_failed_script_leaves_on_goes_on_charging() -> None:
    async def scenario() -> None:
        async with sim_host.emulated(speed=20.0) as bench:
            await bench.host.start(sim_host.charge("100u", "1", "36000"))
            while not (await bench.host.line()).startswith("P"):
                pass
            bench.instrument.inject("error", code=0x0080)
            await bench.host.rest_of_output()
            ended, charge_ah = bench.clock.now, bench.charge_ah
            await asyncio.sleep(0.5)
            assert bench.closed_circuit
            passed = bench.clock.now - ended
            assert passed > 2
            assert bench.charge_ah - charge_ah == pytest.approx(1e-4 * passed / HOUR, rel=0.3)

    asyncio.run(scenario())
