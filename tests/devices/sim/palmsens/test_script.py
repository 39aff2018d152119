"""MethodSCRIPT at run time: the language, potentiostatic loops, readings."""

from __future__ import annotations

import asyncio
from statistics import stdev

import pytest

from tests.devices.sim.palmsens.sim_host import FINISH, VARIABLES, emulated, rest, value

POTENTIOSTAT = (
    "set_pgstat_mode 3",
    "set_range ba 10m",
    "set_autoranging ba 1u 10m",
    "set_e 3200m",
    "cell_on",
)
CURRENT_PACKAGE = ("pck_start", "pck_add p", "pck_add c", "pck_end")


def output(*script: str, stoichiometry: float | None = 0.7) -> list[str]:
    async def scenario() -> list[str]:
        async with emulated(stoichiometry=stoichiometry) as bench:
            return await bench.host.run(script)

    return asyncio.run(scenario())


def test_arithmetic_types_and_texts() -> None:
    assert output(
        "var a", "var b", "array x 3i", "store_var a 2500m ab", "store_var b 2i ja", "mul_var a 4",
        "add_var b 5i", "div_var b 2i", "copy_var a x[b]", 'send_string f"a={a} b={b}"',
    )[-1] == "!400F: Line 9"  # fmt: skip
    assert output(
        "var a", "var b", "array x 4i", "store_var a 2500m ab", "store_var b 7i ja", "mul_var a 4",
        "div_var b 2i", "copy_var a x[b]", "sub_var x[b] 1", "alter_vartype x[b] as",
        'send_string f"a={a} b={b}: {x[b]}"',
        "pck_start", "pck_add a", "pck_add b", "pck_add x[b]", "pck_end",
    ) == ["Ta=10 b=3: 9", "Pab8989680u;ja8000003i;as8895440u"]  # fmt: skip


def test_branches_and_plain_loops() -> None:
    assert output(
        "var n", "store_var n 0i ja", "loop n < 5i", "add_var n 1i", "if n == 1i", 'send_string "one"',
        "elseif n == 2i", 'send_string "two"', "elseif n > 3i", "breakloop", "else", 'send_string "else"',
        "endif", "endloop", 'send_string f"{n}"',
    ) == ["L", "Tone", "Ttwo", "Telse", "+", "T4"]  # fmt: skip


def test_a_muted_script_says_nothing() -> None:
    assert output('send_string "a"', "set_script_output 0", 'send_string "b"', "set_script_output 1",
                  'send_string "c"') == ["Ta", "Tc"]  # fmt: skip


def test_abort_goes_to_on_finished_and_nowhere_else() -> None:
    assert output("var a", "if a < 1", "abort", "endif", 'send_string "never"', "on_finished:",
                  'send_string "end"') == ["Tend"]  # fmt: skip


def test_waits_and_intervals_take_exact_virtual_time() -> None:
    lines = output(
        "var t", "timer_start", "wait 2500m", "set_int 1", "wait 300m", "await_int", "timer_get t",
        "pck_start", "pck_add t", "pck_end",
    )  # fmt: skip
    assert value(lines[0], "eb") == pytest.approx(3.5, abs=1e-12)


def test_a_single_reading_at_open_circuit_needs_no_program() -> None:
    async def scenario() -> None:
        async with emulated() as bench:
            script = ("var p", "set_pgstat_mode 3", "meas 100m p ab", "pck_start", "pck_add p", "pck_end")
            readings = [value((await bench.host.run(script))[0], "ab") for _ in range(30)]
            volt = bench.instrument.potentiostat.leads.reading()[0]
            assert sum(readings) / 30 == pytest.approx(volt, abs=30e-6)
            assert 15e-6 < stdev(readings) < 50e-6
            assert bench.clock.now == pytest.approx(3.0)
            await bench.host.run(rest("1", "2"))
            assert bench.of("program")[0]["virtual_second"] == pytest.approx(3.0)

    asyncio.run(scenario())


def test_constant_potential_reports_set_potential_and_measured_current() -> None:
    script = (
        *VARIABLES,
        *POTENTIOSTAT,
        "meas_loop_ca p c 3200m 100m 5",
        *CURRENT_PACKAGE,
        "endloop",
        *FINISH,
    )
    lines = output(*script)
    packages = [line for line in lines if line.startswith("P")]
    assert lines[0] == "M0007"
    assert len(packages) == 50
    assert all(p.startswith("Pda830D400u;ba") for p in packages)
    currents = [value(p, "ba") for p in packages]
    assert all(a > 0 for a in currents)  # the pellet stands below 3.2 V and is charged
    assert currents[-1] < currents[0]
    metadata = {p.split(",", 1)[1] for p in packages}
    assert metadata == {"10,215", "10,218"}  # status 0; first the 10 mA range, then the 1 mA range


def test_a_current_above_its_measuring_range_is_an_overload() -> None:
    ranges = ("set_range ba 1u", "set_autoranging ba 1u 1u")
    script = (
        *VARIABLES,
        *POTENTIOSTAT,
        *ranges,
        "meas_loop_ca p c 3300m 100m 1",
        *CURRENT_PACKAGE,
        "endloop",
    )
    packages = [line for line in output(*script, *FINISH) if line.startswith("P")]
    assert {p.split(",", 1)[1] for p in packages} == {"12,20C"}


def test_an_extra_measured_value_can_be_asked_for() -> None:
    script = (*VARIABLES, *POTENTIOSTAT, "meas_loop_ca p c 3200m 100m 2 add_meas(0 ab n)",
              "pck_start", "pck_add p", "pck_add n", "pck_end", "endloop", *FINISH)  # fmt: skip
    measured = [value(line, "ab") for line in output(*script) if line.startswith("P")]
    assert len(measured) == 20
    assert measured == pytest.approx([3.2] * 20, abs=200e-6)
    assert len(set(measured)) > 10


def test_a_change_of_the_control_mode_opens_the_circuit() -> None:
    async def scenario() -> None:
        async with emulated() as bench:
            await bench.host.run((*POTENTIOSTAT, "set_pgstat_mode 6"))
            assert [e["reason"] for e in bench.of("circuit")] == ["cell_on, line 5", "set_pgstat_mode 6"]
            await bench.host.run(("set_pgstat_mode 6", "cell_on", "set_pgstat_mode 6"))
            assert bench.closed_circuit
            assert bench.of("circuit")[-1]["current_ampere"] == 0.0

    asyncio.run(scenario())


def test_output_types_stay_those_of_the_loop_even_if_the_body_changes_them() -> None:
    script = (
        *VARIABLES,
        "meas_loop_ocp p 1 3",
        "pck_start",
        "pck_add p",
        "pck_end",
        "store_var p 0 ja",
        "endloop",
    )
    kinds = [line[1:3] for line in output(*script) if line.startswith("P")]
    assert kinds == ["ab"] * 3


def test_ticks_fall_on_exact_instants_however_long_the_loop() -> None:
    body = ("timer_get t", "if t >= n", "pck_start", "pck_add t", "pck_end", "add_var n 700", "endif")
    lines = output(*VARIABLES, "timer_start", "meas_loop_ocp p 100m 10000", *body, "endloop")
    times = [value(line, "eb") for line in lines if line.startswith("P")]
    assert times == pytest.approx([0.1, *range(700, 10001, 700)], rel=1e-9)
