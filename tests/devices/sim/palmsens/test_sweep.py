"""Impedance loops of the emulated instrument: their course, interruptions and errors."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from devices.sim.palmsens.sweep import point_second
from tests.devices.sim.palmsens.sim_host import FINISH, emulated
from tests.devices.sim.palmsens.sim_spectra import (
    DRIVEN,
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


def test_optional_arguments_may_come_in_any_order_and_number_of_points_without_its_i() -> None:
    orders = (OPTIONS, "eis_acdc(a b c d) time(t)")
    first, second = (output(potentiostatic("1k 10 5", FULL_POINT, options=o)) for o in orders)
    assert first == second
    assert len(points(first)) == 5


def test_ten_millihertz_are_more_than_100_seconds_of_silence() -> None:
    async def scenario() -> None:
        async with emulated() as bench:
            lines = await bench.host.run(potentiostatic("10m 10m 1i"))
            assert len(lines) == 3
            start, end = (entry["virtual_second"] for entry in bench.of("program"))
            assert end - start == pytest.approx(0.1 + point_second(0.01))
            assert 100 < point_second(0.01) < 150
            assert point_second(200e3) == 0.1

    asyncio.run(scenario())


def test_an_abort_in_the_middle_of_a_slow_point_opens_the_circuit_at_once() -> None:
    async def scenario() -> None:
        async with emulated(speed=50.0) as bench:
            await bench.host.start(potentiostatic("10m 10m 3i"))
            assert await bench.host.line() == "M000D"
            await asyncio.sleep(0.2)
            assert bench.closed_circuit
            asked = bench.clock.now
            assert await bench.host.ask("Z") == "Z"
            assert await bench.host.rest_of_output() == ["*"]
            opened = bench.of("circuit")[-1]
            assert not opened["closed"]
            assert opened["virtual_second"] - asked < 5.0  # 0.1 s of wall time
            assert bench.of("program")[-1]["reason"] == "aborted by the host"

    asyncio.run(scenario())


def test_a_sweep_is_ended_within_a_slow_point_and_the_script_goes_on() -> None:
    script = (*potentiostatic("10m 10m 3i")[: -len(FINISH)], 'send_string "after"', *FINISH)

    async def scenario() -> None:
        async with emulated(speed=50.0) as bench:
            await bench.host.start(script)
            assert await bench.host.line() == "M000D"
            assert await bench.host.ask("Y") == "Y"
            assert await bench.host.rest_of_output() == ["*", "Tafter"]
            assert not bench.closed_circuit

    asyncio.run(scenario())


def test_a_halted_sweep_goes_on_with_the_rest_of_its_point() -> None:
    async def scenario() -> None:
        async with emulated(speed=500.0) as bench:
            await bench.host.start(potentiostatic("20m 20m 2i", FULL_POINT, options=OPTIONS))
            assert await bench.host.line() == "M000D"
            assert await bench.host.ask("h") == "h"
            stood = bench.clock.now
            await asyncio.sleep(0.1)
            assert bench.clock.now == stood
            bench.host.send("H\n")
            lines = await bench.host.rest_of_output()
            assert column(lines[1:], "eb") == pytest.approx([55.0, 110.0], abs=1e-6)

    asyncio.run(scenario())


def test_the_body_of_a_sweep_can_end_it() -> None:
    lines = output(potentiostatic("10k 1 9i", (*POINT, "if f < 1k", "breakloop", "endif")))
    assert column(lines, "dc") == pytest.approx([10e3, 10**3.5, 1e3, 10**2.5])
    assert lines[-1] == "*"


def test_one_seed_gives_the_same_bytes_at_any_speed_and_another_seed_others() -> None:
    script = potentiostatic("200k 1 54i", FULL_POINT, options=OPTIONS)
    reference = output(script)
    assert len(reference) == 56
    assert output(script) == reference
    assert output(script, speed=300.0) == reference
    assert output(script, seed=2) != reference


def test_a_critical_overload_does_not_wait_for_the_end_of_a_slow_point() -> None:
    script = [line.replace("db 1m", "db 100m") for line in galvanostatic("10m 10m 1i", "1m", "80m")]

    async def scenario() -> None:
        async with emulated() as bench:
            number = next(n for n, line in enumerate(script, 1) if "geis" in line)
            assert await bench.host.run(tuple(script)) == ["M000E", f"!0032: Line {number}"]
            start, end = (entry["virtual_second"] for entry in bench.of("program"))
            assert end - start <= 1.0 + 1e-6

    asyncio.run(scenario())


STORE = "store_var o {} ja"


@pytest.mark.parametrize(
    ("lines", "error"),
    [
        (("set_pgstat_mode 6", "cell_on", "meas_loop_eis f r j 10m 1k 1 4i 0"), "!0023: Line 12"),
        (("set_pgstat_mode 3", "cell_on", "meas_loop_geis f r j 10u 1k 1 4i 0"), "!0023: Line 12"),
        (("set_pgstat_mode 3", "meas_loop_eis f r j 10m 1k 1 4i 0"), "!4027: Line 11"),
        (("set_pgstat_mode 6", "meas_loop_geis f r j 10u 1k 1 4i 0"), "!4027: Line 11"),
        ((STORE.format("1M"), "meas_loop_eis f r j 10m o 1 4i 0"), "!0011: Line 11"),
        ((STORE.format("1u"), "meas_loop_eis f r j 10m 1k o 4i 0"), "!0011: Line 11"),
        ((STORE.format("1"), "meas_loop_eis f r j o 1k 1 4i 0"), "!0012: Line 11"),
        ((STORE.format("-1m"), "meas_loop_geis f r j o 1k 1 4i 0"), "!0012: Line 11"),
        (
            (*DRIVEN, "meas_loop_geis f r j 800u 1k 1 4i 0"),
            "!0012: Line 14",
        ),  # peak 1.13 mA
        ((STORE.format("0i"), "meas_loop_eis f r j 10m 1k 1 o 0"), "!4029: Line 11"),
        ((STORE.format("7"), "meas_loop_eis f r j 10m 1k 1 4i o"), "!4206: Line 11"),
    ],
)
def test_run_time_errors_name_their_line(lines: tuple[str, ...], error: str) -> None:
    assert output((*LOOP_VARIABLES, *lines, *POINT, "endloop"))[-1] == error


def test_the_sequence_of_the_vendors_galvanostatic_example_runs() -> None:
    values = {"a": "5m", "b": "100k", "c": "100", "d": "11i", "o": "10m"}
    script = (*LOOP_VARIABLES, *(f"store_var {name} {value} ja" for name, value in values.items()),
              "set_pgstat_chan 0", "set_pgstat_mode 6", "set_max_bandwidth 1M", "set_range ab 2",
              "set_autoranging ab 100m 2", "set_range db 20m", "set_autoranging db 20m 20m", "cell_on",
              "meas_loop_geis f r j a b c d o", *POINT, "endloop", *FINISH)  # fmt: skip
    found = points(output(script))
    assert len(found) == 11
    assert {p["cc"].status for p in found} == {0}
    assert {p["cc"].range_index for p in found} == {27}


def test_a_fault_takes_the_values_of_a_point_away() -> None:
    async def scenario() -> list[str]:
        async with emulated() as bench:
            bench.instrument.inject("nan", after_lines=1)
            return await bench.host.run(potentiostatic("1k 1 3i"))

    found = impedance(asyncio.run(scenario()))
    assert np.isnan(found).tolist() == [False, True, False]
