"""The emulated instrument on its wire: commands, and programs on a pellet in virtual time."""

from __future__ import annotations

import asyncio
import time

import pytest
import serial

from tests.devices.sim.palmsens.sim_host import (
    FINISH,
    PACKAGE,
    VARIABLES,
    Emulated,
    charge,
    emulated,
    rest,
    value,
)

DEAF = 0.12
MODE_6 = ("set_pgstat_mode 6",)


def test_it_says_who_it_is_and_what_it_can() -> None:
    async def scenario() -> None:
        async with emulated() as bench:
            host = bench.host
            assert await host.ask("t") == "tes4_hr1500#Mar 12 2026 14:28:01"
            assert await host.line() == "R*"
            assert (await host.ask("i")).startswith("iES4HR")
            assert await host.ask("v") == "v01.09.00"
            answer = await host.ask("CM")
            commands = int(answer[1:], 16)
            assert len(answer) == 65
            assert [bit for bit in (31, 67, 68, 70) if commands >> bit & 1] == [31, 67, 68, 70]
            assert int((await host.ask("CC"))[1:], 16) >> 98 & 1
            assert await host.ask("S01000000FF") == "S"
            assert await host.ask("G01") == "G000000FF"
            assert (await host.ask("G06")).startswith("GES4HR")

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        ("x", "x!0003"),
        ("G77", "G!0004"),
        ("S0600", "S!0005"),
        ("S01FF", "S!0053"),
        ("Z", "Z!0006"),
        ("Y", "Y!0006"),
        ("H", "H!0006"),
        ("r", "r!000C"),
        ("Lmscr", "L!000C"),
        ("q" * 300, "q!0008"),
        ("", ""),
    ],
)
def test_commands_out_of_place_are_refused(command: str, answer: str) -> None:
    async def scenario() -> str:
        async with emulated() as bench:
            return await bench.host.ask(command)

    assert asyncio.run(scenario()) == answer


def test_after_an_error_it_is_deaf_for_a_while() -> None:
    async def scenario() -> None:
        async with emulated() as bench:
            assert await bench.host.ask("x\ni\nv") == "x!0003"
            bench.host.send("i\n")
            with pytest.raises(TimeoutError):
                await bench.host.line(DEAF)
            assert (await bench.host.ask("i")).startswith("iES4HR")

    asyncio.run(scenario())


def test_a_bad_script_is_refused_at_once_and_the_rest_of_its_upload_ignored() -> None:
    async def scenario() -> None:
        async with emulated() as bench:
            assert await bench.host.start(("var p", "# ok", "cell_onn", "cell_on")) == "e!4001: Line 3, Col 9"
            await asyncio.sleep(DEAF)
            assert await bench.host.ask("i") == "iES4HR00S0001"
            assert not bench.closed_circuit

    asyncio.run(scenario())


def test_scripts_are_loaded_run_stored_and_run_again() -> None:
    async def scenario() -> None:
        async with emulated() as bench:
            host = bench.host
            assert await host.ask('l\nsend_string "one"\n') == "l"
            for _ in range(2):
                assert [await host.ask("r"), *await host.rest_of_output()] == ["r", "Tone"]
            assert await host.ask("Fmscr") == "F"
            assert await host.ask('l\nsend_string "two"\n') == "l"
            assert await host.ask("Lmscr") == "L"
            assert [await host.ask("r"), *await host.rest_of_output()] == ["r", "Tone"]

    asyncio.run(scenario())


def test_packages_carry_time_measured_voltage_and_set_current() -> None:
    async def scenario() -> None:
        async with emulated() as bench:
            lines = await bench.host.run(charge("100u", "100m", "1"))
            assert lines[0] == "M000A"
            assert lines[-1] == "*"
            packages = lines[1:-1]
            assert [value(p, "eb") for p in packages] == pytest.approx(
                [k / 10 for k in range(1, 11)], abs=1e-12
            )
            assert [value(p, "db") for p in packages] == pytest.approx([1e-4] * 10, rel=1e-12)
            assert all(
                ",10,206;db" in p for p in packages
            )  # status 0 and the 1 V range on the measured value
            volts = [value(p, "ab") for p in packages]
            assert 2.9 < min(volts) <= max(volts) < 3.6
            assert len(set(volts)) == 10

    asyncio.run(scenario())


def test_a_program_starts_exactly_one_second_after_the_last_one_ended() -> None:
    async def scenario() -> None:
        async with emulated() as bench:
            for _ in range(2):
                await bench.host.run(rest("1", "10"))
                await bench.host.run(("cell_off",))  # a quick command takes no virtual time
                await asyncio.sleep(0.03)
            starts = [e["virtual_second"] for e in bench.of("program") if e["state"] == "start"]
            ends = [e["virtual_second"] for e in bench.of("program") if e["state"] == "end"]
            assert starts == [1.0, 12.0]
            assert ends == [11.0, 22.0]

    asyncio.run(scenario())


def test_a_break_at_a_voltage_limit_conserves_charge_to_the_tick() -> None:
    ends = ("if p >= 3400m", *PACKAGE, "breakloop", "endif")
    body = (*ends, "if t < 0", *PACKAGE, "endif")

    async def scenario() -> None:
        async with emulated() as bench:
            lines = await bench.host.run(charge("2m", "100m", "36000", *body))
            assert len(lines) == 3
            seconds, volts = value(lines[1], "eb"), value(lines[1], "ab")
            assert 3.4 <= volts < 3.401
            assert 0 < seconds < 36000
            closed, opened = bench.of("circuit")
            assert (closed["closed"], opened["closed"]) == (True, False)
            assert opened["virtual_second"] - closed["virtual_second"] == pytest.approx(seconds, abs=1e-6)
            assert opened["current_ampere"] == pytest.approx(1e-3)
            assert bench.charge_ah == pytest.approx(1e-3 * seconds / 3600, rel=1e-9)  # the range holds 1 mA

    asyncio.run(scenario())


async def _bytes_of_programs(bench: Emulated) -> bytes:
    output = b""
    for script in (charge("500u", "100m", "20"), rest("200m", "10")):
        await bench.host.start(script)
        while not output.endswith(b"\n\n"):
            output += await bench.host.reader.readline()
        output += b"|"
    return output


def test_one_seed_gives_the_same_bytes_at_any_speed_and_another_seed_others() -> None:
    async def scenario(speed: float | None, seed: int) -> bytes:
        async with emulated(speed, seed=seed) as bench:
            return await _bytes_of_programs(bench)

    reference = asyncio.run(scenario(None, 1))
    assert reference.count(b"\nP") == 250
    assert asyncio.run(scenario(None, 1)) == reference
    assert asyncio.run(scenario(37.0, 1)) == reference
    assert asyncio.run(scenario(400.0, 1)) == reference
    assert asyncio.run(scenario(None, 2)) != reference


def test_sparse_packages_are_the_same_readings_as_dense_ones() -> None:
    sparse = ("if t >= n", *PACKAGE, "add_var n 1700m", "endif")

    async def scenario() -> None:
        async with emulated() as dense, emulated() as rare:
            all_lines = await dense.host.run(charge("500u", "100m", "300"))
            some_lines = await rare.host.run(charge("500u", "100m", "300", *sparse))
            assert len(some_lines) < 200
            assert set(some_lines) < set(all_lines)

    asyncio.run(scenario())


def test_a_host_that_does_not_read_stops_the_clock() -> None:
    async def scenario() -> None:
        async with emulated() as bench:
            bench.host.reader._transport.pause_reading()  # type: ignore[attr-defined]
            bench.host.send("\n".join(("e", *charge("100u", "100m", "36000"))) + "\n\n")
            stood = -1.0
            for _ in range(30):  # until it stands
                if bench.clock.now == stood > 0:
                    break
                stood = bench.clock.now
                await asyncio.sleep(0.3)
            await asyncio.sleep(0.5)
            assert bench.clock.now == stood
            assert 1.0 < stood < 1.0 + 0.1 * 250  # about 200 lines of 100 ms
            bench.host.reader._transport.resume_reading()  # type: ignore[attr-defined]
            lines = [await bench.host.line() for _ in range(5000)]
            assert value(lines[-1], "eb") > stood

    asyncio.run(scenario())


def test_an_abort_opens_the_circuit_within_a_tenth_of_a_second() -> None:
    async def scenario() -> None:
        async with emulated(speed=1.0) as bench:
            await bench.host.start(charge("100u", "10", "36000"))
            while not bench.closed_circuit:
                await asyncio.sleep(0.05)
            asked = time.time()
            answers = [await bench.host.ask("Z")]
            while answers[-1]:
                answers.append(await bench.host.line())
            assert answers == ["M000A", "Z", "*", ""]
            opened = bench.of("circuit")[-1]
            assert not opened["closed"]
            assert opened["unix_second"] - asked < 0.1
            assert bench.of("program")[-1]["reason"] == "aborted by the host"
            seconds = opened["virtual_second"] - bench.of("circuit")[0]["virtual_second"]
            assert bench.charge_ah == pytest.approx(1e-4 * seconds / 3600, rel=1e-6)

    asyncio.run(scenario())


def test_an_abort_before_the_program_began_lets_nothing_flow() -> None:
    async def scenario() -> None:
        async with emulated(speed=0.1) as bench:
            await bench.host.start(charge("100u", "1", "36000"))
            assert await bench.host.ask("Z") == "Z"
            assert await bench.host.line() == ""
            assert bench.of("circuit") == []

    asyncio.run(scenario())


def test_an_abort_reaches_a_program_whose_host_does_not_read() -> None:
    async def scenario() -> None:
        async with emulated() as bench:
            bench.host.reader._transport.pause_reading()  # type: ignore[attr-defined]
            bench.host.send("\n".join(("e", *charge("100u", "100m", "36000"))) + "\n\n")
            await asyncio.sleep(0.3)
            assert bench.closed_circuit
            bench.host.send("Z\n")
            await asyncio.sleep(0.2)
            assert not bench.closed_circuit

    asyncio.run(scenario())


def test_a_loop_is_ended_and_the_script_goes_on() -> None:
    script = (*charge("100u", "1", "36000")[: -len(FINISH)], 'send_string "after"', *FINISH)

    async def scenario() -> None:
        async with emulated(speed=1.0) as bench:
            await bench.host.start(script)
            while await bench.host.line() != "M000A":
                pass
            assert await bench.host.ask("Y") == "Y"
            assert await bench.host.rest_of_output() == ["*", "Tafter"]
            assert not bench.closed_circuit

    asyncio.run(scenario())


def test_a_halted_program_stands_still_with_its_current_on() -> None:
    async def scenario() -> None:
        async with emulated(speed=50.0) as bench:
            await bench.host.start(charge("100u", "1", "20"))
            assert await bench.host.line() == "M000A"
            assert "h" in (await bench.host.ask("h"), await bench.host.line())
            await asyncio.sleep(0.1)
            stood = bench.clock.now
            await asyncio.sleep(0.2)
            assert bench.clock.now == stood
            assert bench.closed_circuit
            bench.host.send("H\n")
            lines = await bench.host.rest_of_output()
            assert len([line for line in lines if line.startswith("P")]) in (18, 19, 20)

    asyncio.run(scenario())


def test_other_commands_are_refused_while_a_script_runs() -> None:
    async def scenario() -> None:
        async with emulated(speed=1.0) as bench:
            await bench.host.start(charge("100u", "10", "36000"))
            assert await bench.host.ask("i") == "i!0006"

    asyncio.run(scenario())


def test_a_critical_overload_stops_the_script_and_leaves_the_cell_on() -> None:
    async def scenario() -> None:
        async with emulated(stoichiometry=None) as bench:  # nothing on the leads: no current can flow
            lines = await bench.host.run(charge("100u", "100m", "60"))
            assert lines == ["M000A", "!0032: Line 14"]
            assert bench.closed_circuit
            assert bench.of("program")[-1]["reason"] == "error 0032: Line 14"
            await asyncio.sleep(DEAF)
            assert await bench.host.run(("cell_off",)) == []
            assert not bench.closed_circuit

    asyncio.run(scenario())


def test_a_current_beyond_its_range_is_an_overload_and_is_not_driven() -> None:
    async def scenario() -> None:
        async with emulated() as bench:
            lines = await bench.host.run(charge("5m", "100m", "1"))
            assert all(",12,206;" in line for line in lines if line.startswith("P"))
            assert bench.charge_ah == pytest.approx(1e-3 / 3600, rel=1e-9)

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("lines", "error"),
    [
        (("var a", "div_var a 0"), "!0028: Line 2"),
        (("var a", "store_var a 1E ab", *["mul_var a a"] * 5), "!0010: Line 7"),
        (("array a 3i", "var p", "store_var p 3i ja", "copy_var a[p] p"), "!400F: Line 4"),
        (("set_pgstat_mode 3", "set_i 1m"), "!0023: Line 2"),
        (("set_pgstat_mode 6", "set_e 1"), "!0023: Line 2"),
        (("var e", "store_var e 7 ab", "set_pgstat_mode 3", "set_e e"), "!4206: Line 4"),
        (("cell_on",), "!0023: Line 1"),
        ((*VARIABLES, *MODE_6, "cell_on", "meas_loop_ocp p 1 9", *PACKAGE, "endloop"), "!0014: Line 7"),
        ((*VARIABLES, *MODE_6, "meas_loop_cp p c 1m 1 9", *PACKAGE, "endloop"), "!4027: Line 6"),
        ((*VARIABLES, *MODE_6, "cell_on", "meas_loop_ca p c 1 1 9", *PACKAGE, "endloop"), "!0023: Line 7"),
        ((*VARIABLES, "meas_loop_ocp p 2 1", *PACKAGE, "endloop"), "!4029: Line 5"),
    ],
)  # fmt: skip
def test_run_time_errors_name_their_line_and_skip_on_finished(lines: tuple[str, ...], error: str) -> None:
    async def scenario() -> None:
        async with emulated() as bench:
            output = await bench.host.run((*lines, "on_finished:", 'send_string "never"'))
            assert output[-1] == error

    asyncio.run(scenario())


def test_a_pseudo_terminal_gives_what_the_socket_gives() -> None:
    def over_pty(path: str) -> bytes:
        output = b""
        with serial.Serial(path, 921600, timeout=10) as port:
            for script in (charge("500u", "100m", "20"), rest("200m", "10")):
                port.write(("\n".join(("e", *script)) + "\n\n").encode())
                assert port.readline() == b"e\n"
                while not output.endswith(b"\n\n"):
                    output += port.readline()
                output += b"|"
        return output

    async def scenario() -> tuple[bytes, bytes]:
        async with emulated() as bench:
            path = bench.instrument.wire.open_pty()
            by_pty = await asyncio.to_thread(over_pty, path)
        async with emulated() as bench:
            return by_pty, await _bytes_of_programs(bench)

    by_pty, by_socket = asyncio.run(scenario())
    assert by_pty == by_socket
