"""Faults of the emulated instrument and its line do what they say, and no more."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from tests.devices.sim.palmsens.sim_host import Emulated, charge, emulated, rest

SCRIPT = rest("1", "10")


async def _output(bench: Emulated, script: tuple[str, ...] = SCRIPT) -> list[str]:
    if await bench.host.start(script) != "e":
        raise AssertionError("the upload was refused")
    return await bench.host.rest_of_output()


def _with_fault(fault: str, **arguments: Any) -> tuple[list[str], list[str]]:
    """Output without and with a fault that begins at the fourth package."""

    async def scenario(inject: bool) -> list[str]:
        async with emulated() as bench:
            if inject:
                bench.instrument.inject(fault, after_lines=5, **arguments)
            return await _output(bench)

    return asyncio.run(scenario(False)), asyncio.run(scenario(True))


@pytest.mark.parametrize(
    ("fault", "arguments"),
    [("split", {"size": 3, "lines": 3}), ("merged", {"lines": 4}), ("late", {"delay_second": 0.1})],
)
def test_split_merged_and_late_lines_are_the_same_lines(fault: str, arguments: dict[str, Any]) -> None:
    clean, faulty = _with_fault(fault, **arguments)
    assert faulty == clean


def test_late_and_slow_lines_take_wall_time_but_no_virtual_time() -> None:
    async def scenario() -> tuple[float, float]:
        async with emulated() as bench:
            bench.instrument.inject("slow", delay_second=0.02)
            began = time.monotonic()
            await _output(bench)
            return time.monotonic() - began, bench.clock.now

    wall, virtual = asyncio.run(scenario())
    assert wall > 0.2
    assert virtual == 11.0


def test_a_slow_wire_carries_so_many_bytes_in_a_second_and_loses_none() -> None:
    async def scenario(inject: bool) -> tuple[list[str], float]:
        async with emulated() as bench:
            if inject:
                bench.instrument.inject("slow_wire", bytes_per_second=1000)
            began = time.monotonic()
            return await _output(bench), time.monotonic() - began

    clean, _ = asyncio.run(scenario(False))
    slow, wall = asyncio.run(scenario(True))
    assert slow == clean
    assert wall > 0.95 * sum(len(line) + 1 for line in slow) / 1000


def test_garbage_damages_one_line_only() -> None:
    clean, faulty = _with_fault("garbage", count=12)
    damaged = [n for n, (a, b) in enumerate(zip(clean, faulty, strict=True)) if a != b]
    assert damaged == [4]
    assert faulty[4].endswith(clean[4])
    assert len(faulty[4]) == len(clean[4]) + 12


def test_a_truncated_line_is_cut_and_may_lose_its_end() -> None:
    clean, faulty = _with_fault("truncated")
    assert faulty[4] == clean[4][: len(clean[4] + "\n") // 2]
    assert faulty[5:] == clean[5:]
    clean, faulty = _with_fault("truncated", newline=False)
    assert faulty[4] == clean[4][: len(clean[4] + "\n") // 2] + clean[5]
    assert faulty[5:] == clean[6:]


def test_nan_and_overrange_concern_measured_values() -> None:
    clean, faulty = _with_fault("nan", lines=2)
    changed = [b for a, b in zip(clean, faulty, strict=True) if a != b]
    assert len(changed) == 2
    assert all(";ab     nan,10,206" in line for line in changed)
    clean, faulty = _with_fault("overrange")
    changed = [b for a, b in zip(clean, faulty, strict=True) if a != b]
    assert len(changed) == 1
    assert ",12,206" in changed[0]


def test_a_silent_line_swallows_until_it_is_cleared() -> None:
    async def scenario() -> None:
        async with emulated() as bench:
            bench.instrument.inject("silent")
            bench.host.send("i\n")
            with pytest.raises(TimeoutError):
                await bench.host.line(0.1)
            bench.instrument.inject("clear")
            assert (await bench.host.ask("i")).startswith("iES4HR")

    asyncio.run(scenario())


def test_a_dropped_link_ends_nothing_but_the_link() -> None:
    async def scenario() -> None:
        async with emulated() as bench:
            bench.instrument.inject("drop_link", after_lines=5)
            with pytest.raises(ConnectionError):
                await _output(bench, charge("100u", "1", "20"))
            for _ in range(100):
                if not bench.instrument.running:
                    break
                await asyncio.sleep(0.02)
            assert bench.of("program")[-1]["reason"] == "finished"
            assert not bench.closed_circuit
            again = await bench.connect()
            assert (await again.ask("i")).startswith("iES4HR")
            await again.closed()

    asyncio.run(scenario())


def test_a_new_host_takes_the_place_of_the_old_one() -> None:
    async def scenario() -> None:
        async with emulated() as bench:
            other = await bench.connect()
            assert (await other.ask("i")).startswith("iES4HR")
            with pytest.raises(ConnectionError):
                await bench.host.ask("i")
            await other.closed()

    asyncio.run(scenario())


def test_an_instrument_error_stops_the_program_with_the_cell_on() -> None:
    async def scenario() -> None:
        async with emulated(speed=20.0) as bench:
            await bench.host.start(charge("100u", "1", "36000"))
            while not (await bench.host.line()).startswith("P"):
                pass
            bench.instrument.inject("error", code=0x0080)
            assert (await bench.host.rest_of_output())[-1] == "!0080: Line 14"
            assert bench.closed_circuit
            assert bench.of("program")[-1]["reason"] == "error 0080: Line 14"

    asyncio.run(scenario())


def test_a_reboot_opens_the_circuit_and_forgets_scripts_and_link() -> None:
    async def scenario() -> None:
        async with emulated(speed=20.0) as bench:
            await bench.host.start(charge("100u", "1", "36000"))
            while not (await bench.host.line()).startswith("P"):
                pass
            bench.instrument.inject("reboot")
            with pytest.raises(ConnectionError):
                await bench.host.rest_of_output()
            opened = bench.of("circuit")[-1]
            assert (opened["closed"], opened["reason"]) == (False, "reboot")
            assert bench.of("program")[-1]["reason"] == "power lost"
            again = await bench.connect()
            assert await again.ask("r") == "r!000C"
            await again.closed()

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("fault", "arguments", "text"),
    [
        ("gremlin", {}, "must be one of drop_link"),
        ("split", {"size": 0}, "split: size = 0: must be a whole number from 1 to"),
        ("late", {"delay_second": -1}, "late: delay_second = -1: must be a number from 0 to 3600"),
        ("late", {"colour": "red"}, "must be among after_lines"),
        ("late", {"after_lines": 1.5}, "late: after_lines = 1.5: must be a whole number from 0 to"),
        ("late", {"delay_second": float("nan")}, "late: delay_second = nan: must be a number from 0 to 3600"),
        ("truncated", {"newline": 1}, "truncated: newline = 1: must be true or false"),
        ("slow_wire", {"bytes_per_second": 0}, "slow_wire: bytes_per_second = 0: must be a number from 1 to"),
        ("clear", {"lines": 1}, "clear: argument 'lines' is unknown: must be among none"),
        ("clear", {"fault": "x"}, "clear: argument 'fault' is unknown"),
        ("error", {"code": "80"}, "error: code = '80': must be a whole number from 1 to 65535"),
        ("error", {"code": 1}, "no script runs"),
    ],
)
def test_impossible_faults_are_refused_by_name(fault: str, arguments: dict[str, Any], text: str) -> None:
    async def scenario() -> None:
        async with emulated() as bench:
            with pytest.raises(ValueError, match=text):
                bench.instrument.inject(fault, **arguments)

    asyncio.run(scenario())
