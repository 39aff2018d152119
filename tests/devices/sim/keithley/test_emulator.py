"""The emulated source-measure unit on its wire: SCPI, output-off modes, limits, errors, buffers."""

from __future__ import annotations

import asyncio

import pytest

from tests.devices.keithley.keithley_raw import HOUR, emulated, galvanostat


def test_it_says_who_it_is_and_what_it_speaks() -> None:
    async def scenario() -> None:
        async with emulated() as bench:
            assert await bench.ask("*IDN?") == "KEITHLEY INSTRUMENTS,MODEL 2450,09000001,1.7.12b"
            assert await bench.ask("*LANG?;:SYST:VERS?;:SYST:LFR?") == "SCPI;1999.0;50"
            assert await bench.ask("*TST?;*STB?;*ESR?") == "0;0;128"

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "message", ["sour:volt:ilim?", ":SOURce1:VOLTage:ILIMit:LEVel?", "SOUR:VOLT:RANG?;ILIM?"]
)
def test_headers_are_taken_in_short_and_long_form_and_relative_to_the_last(message: str) -> None:
    async def scenario() -> None:
        async with emulated() as bench:
            bench.send("SOUR:VOLT:ILIM 2e-3")
            assert (await bench.ask(message)).endswith("2.000000E-03")

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("SOUR:VOLTS 1", -113),
        ("TRIG:TIM9:DEL 1", -222),
        ("SOUR:VOLT", -109),
        ("SOUR:VOLT x", -104),
        ("SOUR:VOLT nan", -104),
        ("SOUR:VOLT 211", -222),
        ("SOUR:CURR:VLIM 1e-3", -222),
        ("SENS:VOLT:NPLC 11", -222),
        ("OUTP:SMOD OFFISH", -224),
        ("SOUR:CURR:RANG 1e-6;:SOUR:CURR 1e-3", -222),
        ("SOUR:CURR 1e-3;:SOUR:CURR:RANG 1e-6", -221),
        ('TRAC:DATA? 1, 5, "defbuffer1"', -222),
        ('TRAC:MAKE "mine", 5', -222),
        ('TRAC:MAKE "defbuffer1", 50', 1115),
        ('SOUR:CONF:LIST:STOR "none"', 2790),
        ("INIT", 2731),
        ("TRIG:BLOC:NOP 64", -222),
        ('TRIG:BLOC:MEAS 1, "nowhere";:INIT', -224),
    ],
)
def test_what_is_wrong_is_refused_with_its_code_and_no_answer(command: str, code: int) -> None:
    async def scenario() -> None:
        async with emulated() as bench:
            bench.send(command)
            assert (await bench.ask("SYST:ERR?")).startswith(f"{code},")
            assert await bench.ask("SYST:ERR?") == '0,"No error;0;0 0"'

    asyncio.run(scenario())


def test_what_comes_before_an_error_in_a_message_is_done_and_answered_what_follows_is_not() -> None:
    async def scenario() -> None:
        async with emulated() as bench:
            assert await bench.ask("*ESE 5;*ESE?;:NONSENSE;*ESE 7;*ESE?") == "5"
            assert await bench.ask("*ESE?;:SYST:ERR:COUN?;*ESR?") == "5;1;160"

    asyncio.run(scenario())


def test_the_normal_output_off_mode_discharges_a_cell_and_high_impedance_does_not() -> None:
    async def scenario() -> None:
        async with emulated() as bench:
            await bench.sleep(HOUR)
            assert bench.charge_ah == pytest.approx(-10e-6, rel=1e-6)  # a tenth of the 100 uA range
            bench.send("OUTP:SMOD HIMP")
            assert await bench.ask("OUTP:CURR:SMOD?;:OUTP:VOLT:SMOD?;:OUTP?") == "HIMP;HIMP;0"
            before = bench.charge_ah
            await bench.sleep(HOUR)
            assert bench.charge_ah == before
            assert not bench.instrument.circuit_closed
            bench.send("*RST")
            assert await bench.ask("OUTP:SMOD?") == "NORM"
            await bench.sleep(HOUR)
            assert bench.charge_ah == pytest.approx(before - 10e-6, rel=1e-6)

    asyncio.run(scenario())


def test_the_output_off_mode_belongs_to_the_source_function() -> None:
    async def scenario() -> None:
        async with emulated() as bench:
            bench.send("SOUR:FUNC CURR", "OUTP:CURR:SMOD HIMP")
            assert await bench.ask("OUTP:SMOD?") == "HIMP"
            assert not bench.instrument.circuit_closed
            bench.send("SOUR:FUNC VOLT")
            assert await bench.ask("OUTP:SMOD?") == "NORM"
            assert bench.instrument.circuit_closed

    asyncio.run(scenario())


def test_the_guard_output_off_mode_discharges_a_cell_above_its_voltage_limit() -> None:
    async def scenario() -> None:
        async with emulated(volt=3.0, ohm=1000.0) as bench:
            bench.send("SOUR:FUNC CURR", "SOUR:VOLT:RANG 20", "OUTP:CURR:SMOD GUAR")
            await bench.ask("*OPC?")
            before = bench.charge_ah
            await bench.sleep(36)
            assert bench.charge_ah - before == pytest.approx(-1e-3 * 36 / 3600)  # (3 - 2) V / 1 kohm

    asyncio.run(scenario())


def test_a_current_source_becomes_a_voltage_source_at_its_limit_and_a_current_source_again() -> None:
    async def scenario() -> None:
        async with emulated(volt=3.0, jumps=((100.0, 3.4), (200.0, 3.0)), ohm=100.0) as bench:
            bench.send(*galvanostat(1e-3, limit=3.3), "OUTP ON")
            reading = 'READ? "defbuffer1",READ,SOUR,SOURSTAT'
            volt, ampere, status = (float(x) for x in (await bench.ask(reading)).split(","))
            assert (volt, ampere, status) == (
                pytest.approx(3.1, abs=1e-4),
                pytest.approx(1e-3, abs=1e-7),
                200,
            )
            await bench.sleep(150)
            volt, ampere, status = (float(x) for x in (await bench.ask(reading)).split(","))
            assert (volt, ampere) == (pytest.approx(3.3, abs=1e-4), pytest.approx(-1e-3, abs=1e-7))
            assert status == 200 + 32
            assert await bench.ask("SOUR:CURR:VLIM:TRIP?") == "1"
            await bench.sleep(100)
            assert await bench.ask("SOUR:CURR:VLIM:TRIP?") == "0"
            assert bench.charge_ah == pytest.approx((100 - 100 + 50) * 1e-3 / 3600, rel=1e-6)

    asyncio.run(scenario())


def test_a_voltage_limit_below_the_cell_discharges_it_even_at_zero_current() -> None:
    async def scenario() -> None:
        async with emulated(volt=3.0, ohm=100.0) as bench:
            bench.send(*galvanostat(0.0, limit=2.0), "OUTP ON")
            await bench.ask("*OPC?")
            await bench.sleep(36)
            assert bench.charge_ah == pytest.approx(-10e-3 * 36 / 3600)

    asyncio.run(scenario())


def test_a_voltage_source_is_limited_in_current() -> None:
    async def scenario() -> None:
        async with emulated(volt=3.0, ohm=100.0) as bench:
            bench.send(
                "OUTP:SMOD HIMP", "SOUR:VOLT:ILIM 2e-3", 'SENS:FUNC "CURR"', "SOUR:VOLT 3.5", "OUTP ON"
            )
            value = float(await bench.ask("READ?"))
            assert value == pytest.approx(2e-3, abs=1e-6)
            assert await bench.ask("SOUR:VOLT:ILIM:TRIP?") == "1"
            bench.send("SOUR:VOLT 3.1")
            assert float(await bench.ask("READ?")) == pytest.approx(1e-3, abs=1e-6)
            assert await bench.ask("SOUR:VOLT:ILIM:TRIP?") == "0"

    asyncio.run(scenario())


def test_a_reading_beyond_its_range_is_an_overflow_and_two_wires_see_their_leads() -> None:
    async def scenario() -> None:
        async with emulated(volt=3.0, ohm=1.0) as bench:
            bench.send(*galvanostat(1e-3), "OUTP ON", "SENS:VOLT:RANG 2")
            assert float(await bench.ask("READ?")) == 9.9e37
            bench.send("SENS:VOLT:RANG 20", "SOUR:CURR:RANG 1", "SOUR:CURR 0.1", "SENS:VOLT:RSEN OFF")
            two_wires = float(await bench.ask("READ?"))
            bench.send("SENS:VOLT:RSEN ON")
            assert two_wires - float(await bench.ask("READ?")) == pytest.approx(0.02, abs=1e-3)

    asyncio.run(scenario())


def test_noise_falls_with_the_square_root_of_the_integration_time() -> None:
    async def scenario() -> None:
        async with emulated(volt=3.0) as bench:
            spread = []
            for cycles in (0.01, 1.0):
                bench.send(*galvanostat(0.0), f"SENS:VOLT:NPLC {cycles}", "OUTP ON")
                values = [float(await bench.ask("READ?")) for _ in range(300)]
                mean = sum(values) / len(values)
                spread.append((sum((v - mean) ** 2 for v in values) / len(values)) ** 0.5)
            assert spread[1] == pytest.approx(20e-6, rel=0.2)
            assert spread[0] / spread[1] == pytest.approx(10, rel=0.2)

    asyncio.run(scenario())


def test_buffers_fill_once_or_for_ever() -> None:
    async def scenario() -> None:
        async with emulated(volt=3.0) as bench:
            bench.send(*galvanostat(0.0), "OUTP ON", 'TRAC:MAKE "once", 10', 'TRAC:MAKE "ring", 10')
            bench.send('TRAC:FILL:MODE CONT, "ring"')
            for _ in range(12):
                await bench.ask('READ? "once"')
                await bench.ask('READ? "ring"')
            assert await bench.ask('TRAC:ACT? "once";:TRAC:ACT:STAR? "once";END? "once"') == "10;1;10"
            assert await bench.ask('TRAC:ACT? "ring";:TRAC:ACT:STAR? "ring";END? "ring"') == "10;3;12"
            bench.send('TRAC:CLE "once"')
            assert await bench.ask('TRAC:ACT? "once"') == "0"

    asyncio.run(scenario())


def test_settings_are_stored_in_lists_and_recalled() -> None:
    async def scenario() -> None:
        async with emulated(volt=3.0) as bench:
            bench.send(*galvanostat(1e-3, limit=4.0), 'SOUR:CONF:LIST:CRE "a"', 'SOUR:CONF:LIST:STOR "a"')
            bench.send("SOUR:CURR 2e-4", "SOUR:CURR:VLIM 3.5", 'SOUR:CONF:LIST:STOR "a"', "SOUR:FUNC VOLT")
            bench.send('SOUR:CONF:LIST:REC "a", 1')
            assert await bench.ask("SOUR:FUNC?;:SOUR:CURR?;CURR:VLIM?") == "CURR;1.000000E-03;4.000000E+00"
            assert await bench.ask('SOUR:CONF:LIST:SIZE? "a"') == "2"

    asyncio.run(scenario())


def test_in_the_other_command_set_only_the_common_commands_are_understood() -> None:
    async def scenario() -> None:
        async with emulated(language="TSP") as bench:
            assert await bench.ask("*LANG?") == "TSP"
            bench.send("OUTP:SMOD HIMP")
            assert (await bench.ask("*IDN?")).startswith("KEITHLEY")
            assert bench.instrument.circuit_closed

    asyncio.run(scenario())


def test_a_reboot_forgets_the_output_off_mode() -> None:
    async def scenario() -> None:
        async with emulated() as bench:
            bench.send("OUTP:SMOD HIMP")
            await bench.ask("*OPC?")
            assert not bench.instrument.circuit_closed
            bench.instrument.inject("reboot")
            with pytest.raises(ConnectionError):
                await bench.ask("OUTP:SMOD?")
            await bench.reconnect()
            assert await bench.ask("OUTP:SMOD?") == "NORM"
            assert bench.instrument.circuit_closed

    asyncio.run(scenario())
