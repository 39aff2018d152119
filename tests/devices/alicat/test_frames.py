"""What Alicat instruments were seen to send (captures published with alicatlib), and its pressure variant."""

from __future__ import annotations

from math import isnan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.alicat.frames import Layout, find_unit, parse_firmware, parse_layout, parse_manufacturing
from devices.alicat.link import Answers
from labctl.errors import InstrumentError

# Captured from an MC-500SCCM-D, firmware 10v20.0-R24, on 2026-04-17.
FLOW_CONTROLLER = """\
A D00 ID_ NAME______________________ TYPE_______ WIDTH NOTES___________________
A D01 700 Unit ID                    string          1
A D02 002 Abs Press                  s decimal     7/2 010 02 PSIA
A D03 003 Flow Temp                  s decimal     7/2 002 02 `C
A D04 004 Volu Flow                  s decimal     7/2 012 02 CCM
A D05 005 Mass Flow                  s decimal     7/2 012 02 SCCM
A D06 037 Mass Flow Setpt            s decimal     7/2 012 02 SCCM
A D07 703 Gas                        string          6
A D08 701 *Error                     string          3 ADC
A D09 702 *Status                    string          3 OPL"""
# The same with the columns of a pressure controller, which nobody has published: derived from it.
ABSOLUTE = """\
A D00 ID_ NAME______________________ TYPE_______ WIDTH NOTES___________________
A D01 700 Unit ID                    string          1
A D02 002 Abs Press                  s decimal     7/2 010 02 PSIA
A D03 034 Abs Press Setpt            decimal       6/2 010 02 PSIA
A D04 703 Gas                        string          6
A D05 701 *Error                     string          3 ADC
A D06 702 *Status                    string          3 HLD"""
OLDEST = """\
A  D00 NAME______ TYPE______ MinVal__ MaxVal__ UNITS___
A  D01 Pressure    signed     -100.00  0160.00  PSIG"""


def absolute() -> Layout:
    return parse_layout(ABSOLUTE.splitlines(), "A")


def test_columns_are_taken_from_the_instruments_own_layout() -> None:
    layout = absolute()
    frame = layout.frame("A +014.70 030.00     N2 HLD")
    assert frame is not None
    assert (frame.pressure, frame.setpoint, frame.flags) == (14.70, 30.0, {"HLD"})
    assert layout.variable == 34
    assert layout.setpoint.unit is not None
    assert layout.setpoint.unit.pascal == pytest.approx(6894.757, rel=1e-6)


@pytest.mark.parametrize(
    "damaged",
    [
        "B +014.70 030.00     N2",
        "A +014.70 030.00",
        "A +014.70 30.00     N2",
        "A +14.70 030.00     N2",
        "A +0014.70 030.00     N2",
        "A +014.7 030.00     N2",
        "A 014.70 030.00     N2",
        "A +014.70 030.00     N2 HL",
        "A +014.70 030.00     N2 +030.00",
        "A +014.70\ufffd 030.00     N2",
        "",
    ],
)
def test_a_frame_of_any_other_shape_is_no_frame(damaged: str) -> None:
    assert absolute().frame(damaged) is None


def test_dashes_are_no_reading() -> None:
    frame = absolute().frame("A ------- 030.00     N2 ADC")
    assert frame is not None
    assert isnan(frame.pressure)


def test_a_flow_controller_is_not_taken_for_a_pressure_controller() -> None:
    with pytest.raises(InstrumentError, match="not a pressure controller"):
        parse_layout(FLOW_CONTROLLER.splitlines(), "A")


@pytest.mark.parametrize("missing", [1, 3, 5])
def test_a_layout_with_a_lost_line_is_refused(missing: int) -> None:
    lines = ABSOLUTE.splitlines()
    del lines[missing]
    with pytest.raises(InstrumentError, match="incomplete"):
        parse_layout(lines, "A")


def test_the_layout_of_firmware_before_6v00_is_refused_in_words() -> None:
    with pytest.raises(InstrumentError, match="before 6v00"):
        parse_layout(OLDEST.splitlines(), "A")


@pytest.mark.parametrize(
    ("code", "label", "pascal"),
    [(10, "PSIG", 6894.757293168), (7, "bar", 1e5), (4, "kPaA", 1e3), (5, "MPa", 1e6), (2, "Pa", 1.0)],
)
def test_units_are_known_by_code_and_label(code: int, label: str, pascal: float) -> None:
    unit = find_unit(code, label)
    assert unit is not None
    assert unit.pascal == pascal


@pytest.mark.parametrize(("code", "label"), [(10, "bar"), (12, "SCCM"), (7, "PSI"), (99, "bar")])
def test_a_unit_whose_label_says_something_else_is_none(code: int, label: str) -> None:
    assert find_unit(code, label) is None


def test_firmware_and_manufacturing_lines_are_read() -> None:
    assert parse_firmware("A   10v20.0-R24 Jan  9 2025,15:04:07") == (10, 20)
    assert parse_firmware("B   8v17.0-R23 Nov 27 2019,15:28:45") == (8, 17)
    rows = parse_manufacturing(["A  M04 Model Number MC-500SCCM-D", "A  M05 Serial Number 521641", "?"], "A")
    assert rows == {4: "Model Number MC-500SCCM-D", 5: "Serial Number 521641"}


@given(st.text(alphabet=st.characters(max_codepoint=255), max_size=60))
def test_no_line_whatever_breaks_the_parsers(line: str) -> None:
    answers = Answers("A")
    takers = (answers.version, answers.source, answers.statistic, answers.unit, answers.amount, answers.ramp)
    if line.split() not in (["?"], ["A", "?"]):
        for take in takers:
            assert take(line) is None or line.split()[0] == "A"
    assert absolute().frame(line) is None or line.split()[0] == "A"


@given(st.floats(-99.99, 999.99).map(lambda v: round(v, 2)), st.floats(0, 999.99).map(lambda v: round(v, 2)))
def test_every_whole_frame_gives_its_numbers_back(pressure: float, setpoint: float) -> None:
    frame = absolute().frame(f"A {pressure:+07.2f} {setpoint:06.2f}     N2")
    assert frame is not None
    assert (frame.pressure, frame.setpoint) == (pressure, setpoint)
