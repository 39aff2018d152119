"""The MethodSCRIPT parser of the emulator refuses what the instrument refuses, where it refuses it."""

from __future__ import annotations

import pytest

from devices.sim.palmsens.parser import ScriptParser
from devices.sim.palmsens.syntax import Measurement, Script, ScriptError
from tests.devices.sim.palmsens.sim_host import charge, rest


def parse(*lines: str) -> Script:
    parser = ScriptParser()
    for line in lines:
        parser.feed(line)
    return parser.finish()


def refusal(*lines: str) -> str:
    with pytest.raises(ScriptError) as caught:
        parse(*lines)
    return caught.value.wire_text()


LOOP = ("var p", "meas_loop_ocp p 1 10")
PACKAGE = ("pck_start", "pck_add p", "pck_end")


@pytest.mark.parametrize(
    ("lines", "error"),
    [
        (("invalid_command",), "!4001: Line 1, Col 16"),  # the vendor's own example
        (("var p", "", "# text", "  frobnicate 1"), "!4001: Line 4, Col 13"),
        (("var p", "store_var p 4.3 ab"), "!4039: Line 2, Col 14"),
        (("var p", "store_var p 5x ab"), "!4039: Line 2, Col 15"),
        (("var p", "store_var p 5 zz"), "!0002: Line 2, Col 17"),
        (("store_var p 5 ab",), "!420B: Line 1, Col 12"),
        (("var p", "var p"), "!4026: Line 2, Col 6"),
        (("var Potential",), "!402B: Line 1, Col 14"),
        (("var p", "store_var p 5"), "!4004: Line 2, Col 14"),
        (("cell_off now",), "!420A: Line 1, Col 13"),
        (("cell_on ocp(p)",), "!4008: Line 1, Col 15"),
        (("var p", "add_var 1 p"), "!420D: Line 2, Col 10"),
        (("var p", "if p >=4300m"), "!4004: Line 2, Col 6"),
        (("var p", "if p != 4300m", "endif"), "!4004: Line 2, Col 6"),
        (("array a 10i", "var p", "copy_var a[ p"), "!4004: Line 3, Col 11"),
        (("array a 100",), "!4039: Line 1, Col 12"),
        (("var p", "if p > 1"), "!4018: Line 3"),
        (("endif",), "!400E: Line 1, Col 6"),
        (("var p", "if p > 1", "endloop"), "!400E: Line 3, Col 8"),
        (("else",), "!400E: Line 1, Col 5"),
        (("breakloop",), "!400C: Line 1, Col 10"),
        ((*LOOP, "meas_loop_ocp p 1 10"), "!400B: Line 3, Col 14"),
        ((*LOOP, "endloop"), "!401B: Line 3, Col 8"),
        ((*LOOP, "wait 1"), "!401A: Line 3, Col 5"),
        ((*LOOP, "set_e 1"), "!4032: Line 3, Col 6"),
        ((*LOOP, "set_range da 1"), "!4032: Line 3, Col 10"),
        ((*LOOP, "set_i 1m"), "!4033: Line 3, Col 6"),
        (("var p", "pck_add p"), "!401B: Line 2, Col 8"),
        (("pck_start", "pck_start"), "!401B: Line 2, Col 10"),
        (("pck_end",), "!401B: Line 1, Col 8"),
        (("pck_start",), "!401B: Line 2"),
        (("var p", "meas_loop_ocp 1 1 10"), "!420D: Line 2, Col 16"),
        (("var p", "meas_loop_ocp p 0 10"), "!4204: Line 2, Col 18"),
        (("var p", "meas_loop_ocp p 100u 10"), "!005A: Line 2, Col 21"),
        (("var p", "meas_loop_ocp p 1 10 nscans(2)"), "!4008: Line 2, Col 31"),
        (("set_e 6001m",), "!4206: Line 1, Col 12"),
        (("set_i 201m",), "!4206: Line 1, Col 11"),
        (("set_range db 300m",), "!4206: Line 1, Col 18"),
        (("set_range eb 1",), "!0084: Line 1, Col 15"),
        (("set_pgstat_mode 4",), "!0021: Line 1, Col 18"),
        (("set_pgstat_chan 1",), "!002F: Line 1, Col 18"),
        (("wait -1",), "!4200: Line 1, Col 8"),
        (("var f", "meas_loop_cv f f 0 1 0 10m 100m"), "!4034: Line 2, Col 13"),
        (("meas_loop_acv",), "!4034: Line 1, Col 14"),
        ((*LOOP, "meas_loop_eis p p p 10m 1k 1 4i 0"), "!400B: Line 3, Col 14"),
        (("var p", "meas_loop_eis p p 1 10m 1k 1 4i 0"), "!420D: Line 2, Col 20"),
        (("var p", "meas_loop_eis p p p 10m 1k 1 4i"), "!4004: Line 2, Col 32"),
        (("var p", "meas_loop_eis p p p 10m 201k 1 4i 0"), "!0011: Line 2, Col 29"),
        (("var p", "meas_loop_eis p p p 10m 1k 9u 4i 0"), "!0011: Line 2, Col 30"),
        (("var p", "meas_loop_eis p p p 901m 1k 1 4i 0"), "!0012: Line 2, Col 25"),
        (("var p", "meas_loop_eis p p p 0 1k 1 4i 0"), "!0012: Line 2, Col 22"),
        (("var p", "meas_loop_geis p p p 142m 1k 1 4i 0"), "!0012: Line 2, Col 26"),
        (("var p", "meas_loop_eis p p p 10m 1k 1 0i 0"), "!4029: Line 2, Col 32"),
        (("var p", "meas_loop_eis p p p 10m 1k 1 2500m 0"), "!4205: Line 2, Col 35"),
        (("var p", "meas_loop_eis p p p 10m 1k 1 4i 7"), "!4206: Line 2, Col 34"),
        (("var p", "meas_loop_geis p p p 1m 1k 1 4i 1"), "!4206: Line 2, Col 34"),
        (("var p", "meas_loop_eis p p p 10m 1k 1 4i 0 eis_acdc(p p p)"), "!4008: Line 2, Col 50"),
        (("var p", "meas_loop_eis p p p 10m 1k 1 4i 0 time(q)"), "!420B: Line 2, Col 42"),
        (("var p", "meas_loop_eis p p p 10m 1k 1 4i 0 add_meas(0 ab p)"), "!4008: Line 2, Col 51"),
        (("var p", "meas_loop_ocp p 1 10 time(p)"), "!4008: Line 2, Col 29"),
        (("var p", "meas_loop_eis p p p 10m 1k 1 4i 0", "set_e 1"), "!4032: Line 3, Col 6"),
        (("set_gpio 10i",), "!001B: Line 1, Col 9"),
        (('send_string "open',), "!4004: Line 1, Col 13"),
        (("var p", 'send_string f"{p"'), "!4210: Line 2, Col 18"),
        (("on_finished:", "on_finished:"), "!400E: Line 2, Col 13"),
        (("var p", "if p > 1", "on_finished:"), "!400E: Line 3, Col 13"),
    ],
)
def test_each_fault_is_named_with_its_code_line_and_column(lines: tuple[str, ...], error: str) -> None:
    assert refusal(*lines) == error


def test_a_script_beyond_the_instruments_memory_is_refused() -> None:
    assert refusal(*["# " + "x" * 200] * 700).startswith("!4005")


def test_the_programs_a_driver_sends_are_accepted() -> None:
    for script in (charge("500u", "100m", "600"), rest("1", "60")):
        assert parse(*script).measures()


def test_the_vendors_battery_idiom_is_accepted() -> None:
    script = parse(
        "var cycle", "var p", "var c", "var dv", "array capacity 10000i", "store_var cycle 1i ja",
        "set_acquisition_frac_autoadjust 50 # mains", "\tset_pgstat_mode 6", "\tset_range db 100u",
        "\tcell_on", "loop cycle <= 3i", "  meas_loop_cp p c 100u 100m 10 add_meas(0 ba dv)", "    if dv < 0",
        "      mul_var dv -1", "    elseif dv > 3600m", "      set_script_output 1", "    else",
        "      add_var capacity[cycle] dv", "    endif", "    pck_start", "      pck_add capacity[cycle]",
        "    pck_end", '    send_string f"Cycle {cycle}: {capacity[cycle]} mAh"', "  endloop",
        "  add_var cycle 1i", "endloop", "on_finished:", "  cell_off",
    )  # fmt: skip
    assert script.arrays == [("capacity", 10000)]
    assert not isinstance(script.body[0], Measurement)
    assert script.measures()
    assert len(script.finished) == 1
