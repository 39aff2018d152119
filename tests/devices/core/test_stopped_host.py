"""A host that did not run for a while blames no instrument for it, and loses nothing that came meanwhile."""

from __future__ import annotations

import sys
from math import nan

import pytest
from ophyd.status import Status

from devices.eurotherm.link import ControllerReading
from devices.eurotherm.move import SettlingOptions, TemperatureMove
from devices.eurotherm.registers import Status as Bits
from tests.devices.core.stopped_host import run_stopped
from tests.devices.palmsens.emstat_bench import emstat_bench
from tests.devices.press.press_bench import press_bench

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="a process is stopped by a POSIX signal")

_CYCLER = """
from devices.palmsens.driver import PalmSens
from devices.core.techniques import ConstantCurrent, Program, Sampling
from labctl.host_time import HOST
alarms, gaps = [], []
clock = StoppingClock()
cycler = PalmSens(sys.argv[1], name="cycler", clock=clock, on_alarm=lambda **alarm: alarms.append(alarm))
cycler.connect()
step = ConstantCurrent(current_ampere=1e-4, until_time_second=20, sampling=Sampling.every(0.1))
cycler.prepare(Program(techniques=(step,))).wait(10)
with HOST.report_gaps(lambda gap: gaps.append(gap.length_second)):
    cycler.start_program().wait(10)
    time.sleep(0.3)
    StoppingClock.armed = True  # the reader looks at it when it has read
    status = cycler.program_status()
    try:
        status.wait(30)
    except Exception as error:
        failure = repr(error)
    else:
        failure = None
rows = [row for page in cycler.dc.collect_pages() for row in page["data"]["step_time_second"]]
cycler.disconnect()
reasons = [result.end_reason for result in cycler.results]
tell({"failure": failure, "alarms": alarms, "gaps": gaps, "rows": rows, "reasons": reasons})
"""


def test_a_host_stopped_between_reading_and_judging_does_not_call_the_instrument_silent() -> None:
    with emstat_bench(speed=5.0) as bench:
        found = run_stopped(_CYCLER, bench.address, second=2.5)
        assert found["failure"] is None
        assert found["alarms"] == []
        assert found["reasons"] == ["time"]
        assert found["rows"] == pytest.approx([0.1 * number for number in range(1, 201)])
        assert [length >= 2.5 for length in found["gaps"]] == [True]
        assert not bench.closed


_CONTROLLER = """
from devices.eurotherm.driver import Eurotherm3200
alarms = []
heater = Eurotherm3200(
    sys.argv[1], name="heater", period_second=0.2, protocol="tcp",
    on_alarm=lambda **alarm: alarms.append(alarm["kind"]),
)
heater.connect()
status = heater.set(30.0, dwell_second=0.5)
time.sleep(0.5)
stop_here()
time.sleep(1.5)
known, done = heater.latest() is not None, status.done
failure = repr(status.exception()) if status.done else None
heater.disconnect()
tell({"known": known, "done": done, "failure": failure})
"""


def test_a_link_lost_while_the_host_was_stopped_is_opened_again_and_the_ramp_goes_on() -> None:
    with press_bench(1.0) as bench:
        found = run_stopped(
            _CONTROLLER,
            bench.address("heater"),
            second=4.0,
            meanwhile=lambda: bench.inject("heater", "drop_link"),
        )
    assert found == {"known": True, "done": False, "failure": None}


_APPROACH = """
from ophyd.status import Status
from devices.core.settling import Approach, Target
looks, waked = [], []

def observe():
    looks.append(time.monotonic())
    if len(looks) == 3:
        stop_here()
        waked.append(time.monotonic())
    return 10.0 if len(looks) >= int(sys.argv[1]) else 0.0

status = Status()
target = Target(value=10.0, tolerance=0.5, dwell_second=1.0, timeout_second=2.0, unit="Pa")
Approach(
    "press", status, MonotonicClock(), target, period_second=0.1,
    begin=lambda: None, observe=observe, on_failure=lambda error: None,
).start()
try:
    status.wait(10)
except Exception as error:
    tell({"failure": repr(error)})
else:
    tell({"failure": None, "dwell": looks[-1] - waked[0]})
"""


@pytest.mark.parametrize("inside_from_look", [1, 5])
def test_a_gap_is_neither_part_of_the_dwell_nor_of_the_timeout_of_a_pressure(inside_from_look: int) -> None:
    found = run_stopped(_APPROACH, str(inside_from_look), second=3.0)
    assert found["failure"] is None
    assert 0.95 < found["dwell"] < 2.0


def move() -> tuple[TemperatureMove, Status]:
    status = Status()
    options = SettlingOptions(tolerance_kelvin=0.5, dwell_second=60.0, timeout_second=100.0)
    target = options.target(60.0, ramp_second=0.0)
    begun = TemperatureMove("heater", status, target, silence_awake_second=3.0)  # type: ignore[arg-type]
    begun.begin_at(0.0, 0.0, 0)
    return begun, status


def at(celsius: float) -> ControllerReading:
    return ControllerReading(celsius, 60.0, 60.0, nan, Bits(0))


def test_a_gap_is_neither_part_of_the_dwell_nor_of_the_timeout_of_a_temperature() -> None:
    ramp, status = move()
    ramp.judge_reading(at(60.0), 10.0, 10.0, 0)
    ramp.judge_reading(at(60.0), 510.0, 10.3, 1)  # 500 s later, after a gap
    assert not ramp.over
    ramp.judge_reading(at(60.0), 569.0, 69.0, 1)
    assert not ramp.over
    ramp.judge_reading(at(60.0), 571.0, 71.0, 1)
    assert ramp.succeeded
    status.wait(1)


def test_a_reading_that_fails_right_after_a_gap_is_no_silence_of_the_controller() -> None:
    ramp, _ = move()
    ramp.judge_reading(at(25.0), 10.0, 10.0, 0)
    ramp.judge_reading(None, 18.0, 10.3, 1)
    assert not ramp.over
    ramp.judge_reading(None, 21.0, 13.4, 1)
    assert ramp.over
    assert not ramp.succeeded
