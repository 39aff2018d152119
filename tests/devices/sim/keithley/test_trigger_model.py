"""The emulated unit's trigger model: blocks as the manuals have them, in exact virtual time."""

from __future__ import annotations

import asyncio
import time

import pytest

from tests.devices.keithley.keithley_raw import RawBench, emulated, galvanostat, timed_model

BUFFER = 'TRAC:MAKE "b", 100000'
SETUP = (*galvanostat(1e-4), BUFFER, "FORM:ASC:PREC 16")


def model(*blocks: str) -> tuple[str, ...]:
    return (*SETUP, 'TRIG:LOAD "Empty"', *(f"TRIG:BLOC:{block}" for block in blocks))


def test_counters_loop_as_in_the_manuals_example() -> None:
    async def scenario() -> None:
        async with emulated() as bench:
            blocks = (
                'BUFF:CLE 1, "b"',
                'MEAS 2, "b"',
                "BRAN:COUN 3, 5, 2",
                "DEL:CONS 4, 1",
                "BRAN:COUN 5, 3, 2",
            )
            assert (await bench.run(*model(*blocks))).startswith("0,")
            assert len(await bench.readings()) == 15
            assert await bench.ask("TRIG:STAT?") == "IDLE;IDLE;5"

    asyncio.run(scenario())


def test_measurements_take_their_conversions_and_delays_their_time() -> None:
    async def scenario() -> None:
        async with emulated() as bench:
            blocks = (
                "SOUR:STAT 1, ON",
                'MEAS 2, "b", 3',
                "DEL:CONS 3, 1.5",
                'MEAS 4, "b"',
                "SOUR:STAT 5, OFF",
            )
            await bench.run(*model(*blocks))
            times = [row[1] for row in await bench.readings()]
            assert times == pytest.approx([0, 0.04, 0.08, 1.62], abs=1e-9)  # twice 20 ms each, with readback
            opened = bench.of("circuit")[-1]
            assert opened["virtual_second"] == pytest.approx(1.0 + 1.66, abs=1e-6)

    asyncio.run(scenario())


@pytest.mark.parametrize("speed", [None, 500.0])
def test_readings_fall_exactly_on_the_timer_however_fast_and_however_blocks_are_run(
    speed: float | None,
) -> None:
    async def scenario(spacer: str) -> list[list[float]]:
        async with emulated(speed) as bench:
            await bench.run(
                *SETUP, *timed_model(0.05, 400, "BRAN:LIM:CONS {n}, ABOV, 0, 4, {end}, 0", spacer=spacer)
            )
            assert bench.charge_ah == pytest.approx(1e-4 * (400 * 0.05 + 0.04) / 3600, rel=1e-9)
            return await bench.readings("READ,SOUR,REL,STAT,SOURSTAT")

    many, one_by_one = asyncio.run(scenario("")), asyncio.run(scenario(""))
    assert many == one_by_one
    assert [row[2] for row in many] == [round(0.05 * n, 6) for n in range(400)]
    slow = asyncio.run(scenario("NOP {n}"))  # this loop is not one that is run many readings at a time
    assert [row[2] for row in slow] == [row[2] for row in many]
    assert [row[0] for row in slow] == pytest.approx([row[0] for row in many], abs=2e-6)


def test_a_limit_branch_ends_the_loop_at_the_first_reading_beyond() -> None:
    async def scenario() -> None:
        async with emulated(volt=3.0, jumps=((11.02, 3.5),)) as bench:
            checks = ("BRAN:LIM:CONS {n}, ABOV, 0, 3.4, {end}, 5",)
            await bench.run(*SETUP, *timed_model(0.05, 10_000, *checks))
            rows = await bench.readings()
            assert [volt > 3.4 for volt, _ in rows] == [False] * (len(rows) - 1) + [True]
            opened = bench.of("circuit")[-1]["virtual_second"]
            assert 0 < opened - 11.02 <= 0.09 + 1e-9

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("condition", "count"),
    [
        ("ABOV, 0, 3.2", 4),
        ("BEL, 3.2, 0", 1),
        ("IN, 3.25, 3.35", 4),
        ("OUT, 2.9, 3.15", 3),
        ("OUT, 3.15, 2.9", 3),
    ],
)
def test_limit_branches_compare_as_documented(condition: str, count: int) -> None:
    async def scenario() -> None:
        jumps = ((3.5, 3.1), (4.5, 3.2), (5.5, 3.3))  # readings at 2, 3, ... s
        async with emulated(volt=3.0, jumps=jumps, ohm=0.001) as bench:
            await bench.run(*SETUP, *timed_model(1.0, 6, f"BRAN:LIM:CONS {{n}}, {condition}, {{end}}, 5"))
            rows = await bench.readings()
            assert len(rows) in (count, count + 1)
            assert rows[-1][0] == pytest.approx({1: 3.0, 3: 3.2, 4: 3.3}[count], abs=1e-3)

    asyncio.run(scenario())


async def _until(bench: RawBench, state: str) -> None:
    for _ in range(200):
        if (await bench.ask("TRIG:STAT?")).startswith(state):
            return
        await asyncio.sleep(0.02)
    raise AssertionError(f"not {state}")


def test_the_host_ends_a_loop_by_a_trigger_and_the_counter_tells_how_many_readings_it_had() -> None:
    async def scenario() -> None:
        async with emulated(20.0) as bench:
            bench.send(*SETUP, *timed_model(0.05, 100_000, "BRAN:EVEN {n}, COMM, {end}"), "INIT")
            while int(await bench.ask('TRAC:ACT? "b"')) < 50:
                await asyncio.sleep(0.01)
            bench.send("*TRG")
            await _until(bench, "IDLE")
            assert await bench.ask("TRIG:BLOC:BRAN:COUN:COUN? 7") == str(len(await bench.readings()) - 1)
            assert not bench.instrument.circuit_closed

    asyncio.run(scenario())


def test_an_abort_leaves_the_output_as_it_is() -> None:
    async def scenario() -> None:
        async with emulated(1.0) as bench:
            bench.send(*SETUP, *timed_model(0.05, 100_000), "INIT")
            await bench.ask("TRIG:STAT?")
            while not bench.instrument.circuit_closed:
                await asyncio.sleep(0.05)
            asked = time.time()
            bench.send("ABOR")
            await _until(bench, "ABORTED")
            assert time.time() - asked < 0.2
            assert await bench.ask("OUTP?") == "1"
            bench.send("OUTP OFF")
            assert await bench.ask("OUTP?") == "0"
            assert not bench.instrument.circuit_closed

    asyncio.run(scenario())


def test_settings_cannot_be_changed_while_it_runs_and_it_cannot_be_started_twice() -> None:
    async def scenario() -> None:
        async with emulated(10.0) as bench:
            bench.send(*SETUP, *timed_model(0.05, 100_000), "INIT", "SOUR:CURR 1e-3", "INIT", 'READ? "b"')
            codes = [(await bench.ask("SYST:ERR?")).split(",")[0] for _ in range(4)]
            assert codes == ["-221", "-213", "-213", "0"]
            assert await bench.ask("SOUR:CURR?") == "1.000000E-04"

    asyncio.run(scenario())


def test_an_endless_loop_without_waiting_can_be_aborted() -> None:
    async def scenario() -> None:
        async with emulated() as bench:
            bench.send(*model("NOP 1", "BRAN:ALW 2, 1"), "INIT")
            await _until(bench, "RUNNING")
            bench.send("ABOR")
            await _until(bench, "ABORTED")

    asyncio.run(scenario())


def test_a_comparison_without_a_reading_fails() -> None:
    async def scenario() -> None:
        async with emulated() as bench:
            await bench.run(*model("BRAN:LIM:CONS 1, ABOV, 0, 1, 2, 0", 'MEAS 2, "b"'))
            assert (await bench.ask("TRIG:STAT?")).startswith("FAILED")

    asyncio.run(scenario())


def test_a_program_starts_exactly_one_second_after_the_last_one_ended() -> None:
    async def scenario() -> None:
        async with emulated() as bench:
            for _ in range(2):
                await bench.run(
                    *model("SOUR:STAT 1, ON", "DEL:CONS 2, 10", "SOUR:STAT 3, OFF"), 'TRAC:DEL "b"'
                )
                await asyncio.sleep(0.03)
                bench.send("SYST:CLE")
            starts = [e["virtual_second"] for e in bench.of("program") if e["state"] == "start"]
            assert starts == [1.0, 12.0]

    asyncio.run(scenario())


def test_the_same_seed_gives_the_same_readings_at_any_speed_and_another_one_others() -> None:
    async def scenario(speed: float | None, seed: int) -> str:
        async with emulated(speed, seed=seed) as bench:
            await bench.run(*SETUP, *timed_model(0.05, 300))
            return await bench.ask('TRAC:DATA? 1, 300, "b", READ, SOUR, REL, SEC, FRAC, TST, UNIT')

    reference = asyncio.run(scenario(None, 1))
    assert asyncio.run(scenario(None, 1)) == reference
    assert asyncio.run(scenario(40.0, 1)) == reference
    assert asyncio.run(scenario(700.0, 1)) == reference
    assert asyncio.run(scenario(None, 2)) != reference


def test_a_host_that_does_not_fetch_stops_the_clock_until_it_does_or_hangs_up() -> None:
    async def scenario() -> None:
        async with emulated() as bench:
            bench.send(*SETUP, *timed_model(0.05, 50_000), "INIT")
            await asyncio.sleep(0.3)
            stood = bench.clock.now
            await asyncio.sleep(0.3)
            assert bench.clock.now == stood == pytest.approx(1 + 1000 * 0.05, abs=0.1)
            assert await bench.ask('TRAC:ACT? "b"') == "1000"
            await bench.ask('TRAC:DATA? 501, 1000, "b"')
            assert int(await bench.ask('TRAC:ACT? "b"')) == 2000
            bench.writer.close()
            while bench.instrument.running:
                await asyncio.sleep(0.02)
            assert bench.clock.now == pytest.approx(1 + 50_000 * 0.05 + 0.04)
            assert not bench.instrument.circuit_closed

    asyncio.run(scenario())


def test_an_instrument_error_stops_the_model_with_the_output_on() -> None:
    async def scenario() -> None:
        async with emulated(10.0) as bench:
            bench.send(*SETUP, *timed_model(0.05, 100_000), "INIT")
            await bench.ask("TRIG:STAT?")
            while not bench.instrument.circuit_closed:
                await asyncio.sleep(0.02)
            bench.instrument.inject("error", code=5074, text="Overtemperature")
            await _until(bench, "FAILED")
            assert (await bench.ask("SYST:ERR?")).startswith('5074,"Overtemperature;1;2026/01/01')
            assert await bench.ask("OUTP?") == "1"

    asyncio.run(scenario())


@pytest.mark.parametrize(("fault", "value"), [("overrange", 9.9e37), ("nan", 9.91e37)])
def test_readings_without_a_value_are_so_many_marked_and_seen_by_the_model(fault: str, value: float) -> None:
    async def scenario() -> None:
        async with emulated() as bench:
            make = 'TRAC:MAKE "b", 1000'
            bench.send(*galvanostat(1e-4), make, *timed_model(0.1, 50))
            bench.instrument.inject(fault, after_lines=5, lines=3)
            await bench.run()
            rows = await bench.readings("READ,STAT")
            assert [n for n, (read, _) in enumerate(rows) if read == value] == [5, 6, 7]
            assert [n for n, (_, status) in enumerate(rows) if int(status) & 1] == [5, 6, 7]
            bench.instrument.inject(fault, after_lines=20)
            await bench.run(*timed_model(0.1, 50, "BRAN:LIM:CONS {n}, OUT, 2, 4, {end}"))
            assert len(await bench.readings()) == 21  # beyond every limit

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("fault", "arguments", "text"),
    [
        ("gremlin", {}, "must be one of drop_link"),
        ("late", {"colour": "red"}, "must be among after_lines"),
        ("overrange", {"lines": -1}, "overrange: lines = -1: must be a whole number from 0 to"),
        ("error", {"code": "x"}, "error: code = 'x': must be a whole number from -32768 to 32767"),
        ("reboot", {"lines": 1}, "reboot: argument 'lines' is unknown: must be among none"),
    ],
)
def test_impossible_faults_are_refused_by_name(fault: str, arguments: dict[str, str], text: str) -> None:
    async def scenario() -> None:
        async with emulated() as bench:
            with pytest.raises(ValueError, match=text):
                bench.instrument.inject(fault, **arguments)

    asyncio.run(scenario())
