"""The heated pressure cell: three real drivers on three emulated wires, one press behind them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from math import isnan, nan
from typing import Any

import pytest
from bluesky import RunEngine
from bluesky import plan_stubs as bps
from bluesky import plans as bp

from devices.alicat.driver import AlicatPressureController
from devices.eurotherm.driver import Eurotherm3200
from devices.mark10.driver import Mark10LoadCell
from devices.press.heated_cell import HeatedPressureCell
from labctl.errors import DeviceError, ProtocolError
from labctl.records.limits import Limits
from tests.devices.alicat.test_driver import QUICKEST
from tests.devices.press.press_bench import Alarms, PressBench, press_bench
from tests.helpers import Documents, wait_until

MPA = 1e6
AREA = 7.853981633974483e-05
PISTON = 0.01
LIMITS = Limits(pressure_max_pa=400 * MPA, temperature_max_celsius=100)


def parts(
    bench: PressBench | None = None, alarms: Alarms | None = None, answer_timeout_second: float = 0.25
) -> dict[str, Any]:
    """The three drivers, not connected; without a bench they never can be."""
    at = dict.fromkeys(("line", "gauge", "heater"), "socket://127.0.0.1:9")
    common: dict[str, Any] = {"limits": LIMITS, "period_second": 0.1}
    if bench is not None:
        at = {which: bench.pty(which) if QUICKEST == "pty" else bench.address(which) for which in at}
        common |= {"clock": bench.clock, "on_alarm": alarms or Alarms()}
    quick = {"answer_timeout_second": answer_timeout_second}
    return {
        "temperature": Eurotherm3200(
            at["heater"], name="temperature", dwell_second=30.0, gap_second=0.001, **common
        ),
        "actuator": AlicatPressureController(at["line"], name="gas_line", **common, **quick),
        "load_cell": Mark10LoadCell(at["gauge"], name="load_cell", **common, **quick),
    }


@contextmanager
def cell_on(
    bench: PressBench, answer_timeout_second: float = 0.25, **options: Any
) -> Iterator[HeatedPressureCell]:
    """A connected cell; `piston_area_m2` is the true one unless it is given."""
    alarms = Alarms()
    made = parts(bench, alarms, answer_timeout_second)
    settings: dict[str, Any] = {"pellet_area_m2": AREA, "limits": LIMITS, **options}
    if "intensifier_ratio" not in settings:
        settings.setdefault("piston_area_m2", PISTON)
    cell = HeatedPressureCell(name="cell", clock=bench.clock, on_alarm=alarms, **made, **settings)
    with ExitStack() as stack:
        stack.callback(cell.disconnect)
        cell.connect()
        yield cell


def alarms(cell: HeatedPressureCell, kind: str) -> list[dict[str, Any]]:
    assert isinstance(cell.on_alarm, Alarms)
    return cell.on_alarm.of(kind)


@pytest.mark.parametrize("share", [0.95, 1.0, 1.05])
def test_the_load_cell_reads_fifty_megapascal_though_the_piston_area_is_off(share: float) -> None:
    with press_bench() as bench, cell_on(bench, piston_area_m2=share * PISTON) as cell:
        cell.pressure.set(50 * MPA).wait(30)
        assert bench.stack_pa() == pytest.approx(50 * MPA, rel=0.01)
        row = cell.environment()
        assert row["surface_pressure_pa"] == pytest.approx(50 * MPA, rel=0.01)
        assert row["applied_pressure_pa"] == pytest.approx(share * 50 * MPA, rel=0.01)
        assert row["pressure_setpoint_pa"] == 50 * MPA
        assert not cell.on_alarm.all  # type: ignore[attr-defined]


def test_pressure_is_approached_from_below_and_never_passes_its_target() -> None:
    with press_bench(speed=200.0) as bench, cell_on(bench, piston_area_m2=0.95 * PISTON) as cell:
        status, highest = cell.pressure.set(50 * MPA), 0.0
        while not status.done:
            highest = max(highest, bench.stack_pa())
        assert status.success
        assert highest < 51 * MPA


def test_a_ramp_has_its_stated_rate_and_may_go_down() -> None:
    with press_bench(stack_pressure_pa=50 * MPA) as bench, cell_on(bench) as cell:
        before = bench.clock.now()
        cell.pressure.set(20 * MPA, ramp_pa_per_second=0.1 * MPA, dwell_second=5).wait(30)
        assert bench.stack_pa() == pytest.approx(20 * MPA, abs=0.3 * MPA)
        assert 300 <= bench.clock.now() - before < 400
        cell.pressure.set(0.0).wait(30)
        assert bench.stack_pa() < 0.3 * MPA


def test_the_dwell_is_kept_before_the_status_is_done() -> None:
    with press_bench(stack_pressure_pa=50 * MPA) as bench, cell_on(bench) as cell:
        before = bench.clock.now()
        cell.pressure.set(50 * MPA, dwell_second=120).wait(30)
        assert bench.clock.now() - before >= 120


def test_temperature_is_set_through_the_same_cell() -> None:
    with press_bench(stack_pressure_pa=50 * MPA) as bench, cell_on(bench) as cell:
        cell.temperature.set(60.0).wait(60)
        row = cell.environment()
        assert row["temperature_t1_celsius"] == pytest.approx(60.0, abs=0.6)
        assert row["temperature_setpoint_celsius"] == 60.0


def test_above_the_limit_of_die_or_station_nothing_is_sent() -> None:
    with press_bench() as bench, cell_on(bench) as cell:
        for value in (400.1 * MPA, -1.0, nan, float("inf")):
            with pytest.raises(ProtocolError, match="stack pressure"):
                cell.pressure.set(value)
        assert not bench.events("setpoint")
        assert not bench.events("ramp")


def test_too_hot_for_the_cell_is_refused_though_station_and_controller_would_allow_it() -> None:
    own = LIMITS.model_copy(update={"temperature_max_celsius": 70.0})
    with press_bench() as bench, cell_on(bench, limits=own) as cell:
        with pytest.raises(ProtocolError, match=r"cell: temperature = 80 degC: must not exceed .* 70 degC"):
            cell.check_temperature(80.0)
        cell.check_temperature(69.9)
        with pytest.raises(ProtocolError, match=r"temperature: .*80.* 70"):
            cell.temperature.set(80.0)
        assert cell.temperature.eeprom_writes.get() == 0


def test_too_hot_for_the_cell_is_refused_before_anything_is_connected() -> None:
    own = LIMITS.model_copy(update={"temperature_max_celsius": 70.0})
    cell = HeatedPressureCell(name="cell", limits=own, pellet_area_m2=AREA, piston_area_m2=PISTON, **parts())
    for celsius in (80.0, nan):
        with pytest.raises(ProtocolError, match="cell: temperature = "):
            cell.check_temperature(celsius)
    cell.check_temperature(70.0)


def test_a_limit_is_named_with_its_value_and_the_one_asked_for() -> None:
    with press_bench() as bench, cell_on(bench, die_pressure_max_pa=120 * MPA) as cell:
        with pytest.raises(ProtocolError, match=r"cell_pressure: .*150 MPa: must not exceed .* 120 MPa"):
            cell.pressure.set(150 * MPA)


def test_the_gas_line_itself_refuses_what_the_die_cannot_bear() -> None:
    with press_bench() as bench, cell_on(bench, die_pressure_max_pa=100 * MPA) as cell:
        with pytest.raises(ProtocolError, match="line pressure"):
            cell.actuator.set(10e5)
        assert not bench.events("setpoint")


def test_what_can_never_be_reached_is_refused_by_name() -> None:
    impossible: list[dict[str, float]] = [
        {"ramp_pa_per_second": 0.0},
        {"tolerance_pa": -1.0},
        {"dwell_second": -1.0},
        {"timeout_second": 1.0, "dwell_second": 60.0},
    ]
    with press_bench() as bench, cell_on(bench) as cell:
        for options in impossible:
            with pytest.raises(ProtocolError, match=next(iter(options)).removesuffix("_pa")):
                cell.pressure.set(10 * MPA, **options)
        assert not bench.events("setpoint")


def test_stop_in_mid_ramp_holds_here_and_fails_the_status() -> None:
    with press_bench(speed=20.0) as bench, cell_on(bench) as cell:
        status = cell.pressure.set(100 * MPA)
        wait_until(lambda: bench.stack_pa() > 3 * MPA)
        cell.stop()
        here = bench.stack_pa()
        bench.clock.sleep(10)
        assert bench.stack_pa() == pytest.approx(here, rel=0.01)
        assert 3 * MPA < here < 50 * MPA
        assert "stopped" in str(status.exception(5))
        assert cell.environment()["pressure_setpoint_pa"] == pytest.approx(here, abs=15 * MPA)


def test_stop_after_the_pressure_was_reached_leaves_it_regulated() -> None:
    with press_bench() as bench, cell_on(bench) as cell:
        cell.pressure.set(20 * MPA).wait(30)
        cell.stop()
        assert not cell.actuator.refresh().held


def test_after_a_stop_pressure_can_be_set_again() -> None:
    with press_bench(speed=200.0) as bench, cell_on(bench) as cell:
        cell.pressure.set(50 * MPA)
        wait_until(lambda: bench.stack_pa() > 10 * MPA)
        cell.stop()
        cell.pressure.set(30 * MPA).wait(30)
        assert bench.stack_pa() == pytest.approx(30 * MPA, rel=0.02)


def test_hold_shuts_the_valves_whatever_is_going_on() -> None:
    with press_bench() as bench, cell_on(bench) as cell:
        cell.pressure.set(20 * MPA).wait(30)
        cell.hold()
        assert cell.actuator.refresh().held
        assert cell.pressure.goal is None


def test_disconnecting_in_mid_ramp_holds_and_otherwise_changes_nothing() -> None:
    with press_bench(speed=50.0) as bench:
        with cell_on(bench) as cell:
            cell.pressure.set(300 * MPA)
            wait_until(lambda: bench.stack_pa() > 3 * MPA)
        here = bench.stack_pa()
        bench.clock.sleep(20)
        assert bench.stack_pa() == pytest.approx(here, rel=0.01)
        with cell_on(bench):
            pass
        assert len(bench.events("hold")) == 1


def test_plans_move_it_and_record_the_environment() -> None:
    engine, documents = RunEngine({}), Documents()
    engine.subscribe(documents)
    with press_bench() as bench, cell_on(bench) as cell:
        engine(bps.mv(cell.pressure, 30 * MPA))
        engine(bp.count([cell]))
        row = documents.stream("primary")
        assert row["cell_surface_pressure_pa"][0] == pytest.approx(30 * MPA, rel=0.02)
        assert row["cell_pressure_setpoint_pa"] == [30 * MPA]
        assert row["cell_temperature_t1_celsius"][0] == pytest.approx(25, abs=1)
        keys = documents.of("descriptor")[0]["data_keys"]
        assert keys["cell_applied_pressure_pa"]["units"] == "Pa"
        assert keys["cell_applied_pressure_pa"]["dtype_numpy"] == "<f8"
        assert cell.pressure.read()["cell_pressure"]["value"] == row["cell_surface_pressure_pa"][0]


def test_it_says_what_it_is_made_of_and_what_it_may() -> None:
    with press_bench(stack_pressure_pa=50 * MPA) as bench, cell_on(bench) as cell:
        about = cell.metadata()
        assert about["actuator"]["model"] == "PCD-600PSIG-D"
        assert about["load_cell"]["maker"] == "Mark-10"
        assert about["temperature"]["maker"] == "Eurotherm"
        assert about["pressure_max_pa"] == 400 * MPA
        assert cell.identity is not None
        assert cell.identity.model == "heated pressure cell"
        assert "MPa at the load cell" in cell.check_reading()
        assert cell.check_limits() == "stack up to 400 MPa"


def test_before_anything_is_set_the_setpoint_is_the_actuators() -> None:
    with press_bench(stack_pressure_pa=50 * MPA) as bench, cell_on(bench) as cell:
        assert cell.environment()["pressure_setpoint_pa"] == pytest.approx(50 * MPA, rel=0.01)
        assert cell.environment()["applied_pressure_pa"] == pytest.approx(50 * MPA, rel=0.01)


def test_before_connecting_every_column_is_not_a_number() -> None:
    cell = HeatedPressureCell(name="cell", pellet_area_m2=AREA, piston_area_m2=PISTON, **parts())
    assert all(isnan(value) for value in cell.environment().values())
    with pytest.raises(DeviceError, match="not connected"):
        cell.pressure.set(10 * MPA)


def test_an_instrument_that_does_not_answer_is_named_and_the_others_are_let_go() -> None:
    with press_bench() as bench:
        bench.inject("gauge", "disconnect")
        made = parts(bench, Alarms())
        cell = HeatedPressureCell(
            name="cell", pellet_area_m2=AREA, piston_area_m2=PISTON, clock=bench.clock, **made
        )
        with pytest.raises(DeviceError, match="load_cell: "):
            cell.connect()
        assert made["actuator"].identity is None
