"""The load cell's driver over a real wire: socket and pseudo-terminal, against the emulator."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from devices.mark10.driver import Mark10LoadCell
from devices.sim.mark10.emulator import CAPACITY_NEWTON, NOISE_NEWTON, STEP_NEWTON
from labctl.errors import ConfigurationError, DeviceError, InstrumentError
from tests.devices.alicat.test_driver import QUICKEST, WIRES
from tests.devices.press.press_bench import Alarms, PressBench, press_bench
from tests.helpers import wait_until

NEAR = 6 * NOISE_NEWTON + STEP_NEWTON
FORCE = 50e6 * 7.853981633974483e-05  # N, of 50 MPa on 10 mm


def quickest(bench: PressBench) -> str:
    return bench.pty("gauge") if QUICKEST == "pty" else bench.address("gauge")


@contextmanager
def load_cell(bench: PressBench, wire: str = QUICKEST, **options: Any) -> Iterator[Mark10LoadCell]:
    """A connected driver."""
    address = bench.pty("gauge") if wire == "pty" else bench.address("gauge")
    quick = {"period_second": 0.05, "answer_timeout_second": 0.25}
    settings: dict[str, Any] = {**quick, "on_alarm": Alarms(), **options}
    device = Mark10LoadCell(address, name="load_cell", clock=bench.clock, **settings)
    try:
        device.connect()
        yield device
    finally:
        device.disconnect()


def alarms(device: Mark10LoadCell, kind: str) -> list[dict[str, Any]]:
    assert isinstance(device.on_alarm, Alarms)
    return device.on_alarm.of(kind)


@pytest.mark.parametrize("wire", WIRES)
def test_it_connects_identifies_reads_and_disconnects(wire: str) -> None:
    with press_bench(stack_pressure_pa=50e6) as bench, load_cell(bench, wire) as cell:
        assert cell.identity is not None
        assert (cell.identity.maker, cell.identity.model, cell.identity.serial) == (
            "Mark-10",
            "M5i",
            "S000001",
        )
        assert cell.metadata()["settings"].startswith("V1.04;N;CUR;")
        assert cell.read()["load_cell_force_newton"]["value"] == pytest.approx(FORCE, abs=NEAR)
        assert cell.describe()["load_cell_force_newton"]["units"] == "N"
        assert cell.expected_by_clock_second == cell.last_reading_clock_second + 2.0
        cell.disconnect()
        assert cell.latest() is None


@pytest.mark.parametrize("unit", ["N", "KN", "LB", "KG"])
def test_every_unit_of_force_is_read_in_newton(unit: str) -> None:
    with press_bench(stack_pressure_pa=50e6, gauge={"unit": unit}) as bench, load_cell(bench) as cell:
        assert cell.refresh() == pytest.approx(FORCE, abs=NEAR)


@pytest.mark.parametrize(("unit", "name"), [("N", "N"), ("KN", "kN"), ("LB", "lbF"), ("KG", "kgF")])
def test_numbers_without_unit_are_taken_with_the_declared_one(unit: str, name: str) -> None:
    options = {"unit": unit, "numeric_only": True}
    with press_bench(stack_pressure_pa=50e6, gauge=options) as bench, load_cell(bench, unit=name) as cell:
        assert cell.refresh() == pytest.approx(FORCE, abs=NEAR)


def test_numbers_without_unit_and_without_a_declared_one_are_refused() -> None:
    with press_bench(gauge={"numeric_only": True}) as bench:
        cell = Mark10LoadCell(
            bench.pty("gauge") if QUICKEST == "pty" else bench.address("gauge"),
            name="cell",
            clock=bench.clock,
        )
        with pytest.raises(InstrumentError, match="without a unit"):
            cell.connect()


def test_a_declared_unit_that_the_gauge_does_not_show_is_refused() -> None:
    with press_bench(gauge={"numeric_only": True, "unit": "LB"}) as bench:
        cell = Mark10LoadCell(
            bench.pty("gauge") if QUICKEST == "pty" else bench.address("gauge"),
            name="cell",
            clock=bench.clock,
            unit="N",
        )
        with pytest.raises(InstrumentError, match="shows lbF, the station file has N"):
            cell.connect()


@pytest.mark.parametrize("numeric_only", [False, True])
def test_a_unit_switched_at_the_keys_never_gives_a_wrong_force(numeric_only: bool) -> None:
    options = {"numeric_only": numeric_only}
    with press_bench(stack_pressure_pa=50e6, gauge=options) as bench:
        with load_cell(bench, unit="N" if numeric_only else None, period_second=60.0) as cell:
            bench.inject("gauge", "unit", unit="LB")
            for _ in range(30):
                try:
                    assert cell.refresh() == pytest.approx(FORCE, abs=NEAR)
                except DeviceError:
                    continue


def test_the_force_of_now_is_read_though_the_display_shows_a_peak() -> None:
    with press_bench(stack_pressure_pa=50e6) as bench, load_cell(bench) as cell:
        cell.refresh()
        bench.inject("gauge", "peak")
        bench.call(lambda: bench.line.line.jump_to(1e5))
        bench.clock.sleep(60)
        assert cell.refresh() == pytest.approx(bench.stack_pa() * 7.853981633974483e-05, abs=NEAR)


def test_an_older_gauge_that_knows_only_the_question_mark_is_read() -> None:
    with press_bench(stack_pressure_pa=50e6, gauge={"modern": False}) as bench, load_cell(bench) as cell:
        assert cell.identity is not None
        assert cell.identity.serial == "unknown"
        assert cell.refresh() == pytest.approx(FORCE, abs=NEAR)


def test_compression_shown_as_negative_is_positive_here() -> None:
    with press_bench(stack_pressure_pa=50e6) as bench, load_cell(bench, compression_sign=-1) as cell:
        assert cell.refresh() == pytest.approx(-FORCE, abs=NEAR)


@pytest.mark.parametrize(("fault", "words"), [("overload", "OVER"), ("nan", "NAN"), ("sensor_lost", "-----")])
def test_words_in_place_of_a_value_are_no_reading_and_an_alarm_in_the_gauges_own_words(
    fault: str, words: str
) -> None:
    with press_bench(stack_pressure_pa=50e6) as bench, load_cell(bench) as cell:
        bench.inject("gauge", fault)
        wait_until(lambda: cell.latest() is None)
        assert words in alarms(cell, "no_reading")[0]["action"]
        force = cell.read()["load_cell_force_newton"]["value"]
        assert force != force
        bench.inject("gauge", "clear")
        wait_until(lambda: cell.latest() is not None)


def test_it_connects_though_the_sensor_is_overloaded() -> None:
    with press_bench(stack_pressure_pa=50e6) as bench:
        bench.inject("gauge", "overload")
        with load_cell(bench) as cell:
            assert cell.identity is not None
            assert cell.latest() is None


def test_beyond_the_capacity_there_is_no_valid_reading() -> None:
    with press_bench(stack_pressure_pa=50e6) as bench, load_cell(bench, capacity_newton=3e3) as cell:
        with pytest.raises(InstrumentError, match="beyond the capacity of 3000 N"):
            cell.refresh()
        bench.call(lambda: bench.gauge._jump(1.2 * CAPACITY_NEWTON))
        with pytest.raises(InstrumentError, match="OVER"):
            cell.refresh()


def test_a_jump_of_the_sensor_is_read_as_it_stays() -> None:
    with press_bench(stack_pressure_pa=50e6) as bench, load_cell(bench) as cell:
        cell.refresh()
        bench.inject("gauge", "jump", offset_newton=5000.0)
        assert cell.refresh() == pytest.approx(FORCE + 5000, abs=NEAR)


def test_a_stuck_sensor_repeats_itself() -> None:
    with press_bench(stack_pressure_pa=50e6) as bench, load_cell(bench) as cell:
        bench.inject("gauge", "stuck")
        assert len({cell.refresh() for _ in range(20)}) == 1


def test_the_same_seed_gives_the_same_noise() -> None:
    def forces(seed: int) -> list[float]:
        with press_bench(stack_pressure_pa=50e6, gauge={"seed": seed}) as bench:
            with load_cell(bench, period_second=60.0) as cell:
                return [cell.refresh() for _ in range(30)]

    assert forces(1) == forces(1)
    assert forces(1) != forces(2)


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"unit": "stone"}, "unit"),
        ({"compression_sign": 2}, "compression_sign"),
        ({"capacity_newton": -1}, "capacity"),
    ],
)
def test_impossible_options_are_named(options: dict[str, Any], field: str) -> None:
    with pytest.raises(ConfigurationError, match=field):
        Mark10LoadCell("socket://127.0.0.1:9", name="cell", **options)


def test_an_impossible_fault_is_refused_with_what_is_allowed() -> None:
    with press_bench() as bench:
        with pytest.raises(ValueError, match="must be one of clear, disconnect, drop_link"):
            bench.inject("gauge", "mice")
        with pytest.raises(ValueError, match="must be among offset_newton"):
            bench.inject("gauge", "jump", metre=1)
        with pytest.raises(ValueError, match="jump: argument 'offset_newton' is missing: must be a number"):
            bench.inject("gauge", "jump")
        with pytest.raises(ValueError, match="unit = 'stone': must be a text, one of N, KN, LB, KG"):
            bench.inject("gauge", "unit", unit="stone")
        with pytest.raises(ValueError, match="leak: argument 'per_second' is missing: must be a number"):
            bench.inject("line", "leak")
        with pytest.raises(ValueError, match="leak: per_second = -1: must be a number from 0 to 10"):
            bench.inject("line", "leak", per_second=-1)
        with pytest.raises(ValueError, match="units: code = 3: must be a whole number, one of 4, 5, 6"):
            bench.inject("line", "units", code=3)
        with pytest.raises(ValueError, match="source: source = 'B': must be a text, one of S, U, A"):
            bench.inject("line", "source", source="B")


def test_commands_it_does_not_know_are_refused_by_the_gauge() -> None:
    with press_bench() as bench:
        assert bench.call(lambda: bench.gauge._answer("XYZ")) == ["*10"]
        assert bench.call(lambda: bench.gauge._answer("?PT")) == ["*11"]
        assert bench.call(lambda: bench.line._answer("AXYZ")) == ["?"]
        assert bench.call(lambda: bench.line._answer("BVE")) == []
