"""`labctl run` on a Keithley station: a line that fails, a line that is bad, a host that is stopped."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from devices.keithley.link import ANSWER_WITHIN_SECOND
from tests.helpers import wait_until
from tests.labctl.commands.run_process import RunProcess, run_process

pytestmark = [pytest.mark.timeout(300), pytest.mark.slow]
STATION = "sim-keithley.yaml"
STOPPED = pytest.mark.skipif(sys.platform == "win32", reason="a process is stopped by a POSIX signal")


def titration(pulse_second: float) -> tuple[str, ...]:
    """One pulse of 84 uA between two rests of 10 s."""
    return (
        "pulses=1", "direction=charge", "rate=C/20", "first_rest_second=10", "rest_second=10",
        f"pulse_second={pulse_second:g}",
    )  # fmt: skip


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Callable[[float], list[dict[str, Any]]]:
    """Rows of a run that nothing disturbs, by the length of its pulse."""
    known: dict[float, list[dict[str, Any]]] = {}

    def rows(pulse_second: float) -> list[dict[str, Any]]:
        if pulse_second not in known:
            with run_process(tmp_path_factory.mktemp("undisturbed"), STATION, speed="max") as running:
                running.start(*titration(pulse_second))
                code, text = running.ended()
                assert code == 0, text
                known[pulse_second] = running.rows("timeseries")
        return known[pulse_second]

    return rows


def alarms(running: RunProcess) -> list[str]:
    return [alarm["kind"] for alarm in running.rows("alarms")]


# ---- an instrument that is not heard any more
def assert_open_after_silence(running: RunProcess, within_second: float) -> None:
    """By the bench's own record: opened in time, and not a charge since."""
    began = running.of("fault")[-1]["unix_second"]
    wait_until(lambda: not running.bench.cell_state()["circuit_closed"], 20)
    opened = running.of("circuit")[-1]
    assert not opened["closed"]
    assert opened["unix_second"] - began < within_second
    code, text = running.ended()
    assert code == 1, text
    time_before = running.bench.cell_state()["virtual_second"]
    running.bench.clock.sleep(20.0)
    after = running.bench.cell_state()
    assert after["virtual_second"] >= time_before + 20.0
    assert after["charge_ah"] == pytest.approx(opened["charge_ah"], abs=1e-15)
    assert not after["circuit_closed"]


@pytest.mark.parametrize("speed", [1.0, 10.0])
def test_the_circuit_is_open_two_seconds_after_a_lost_answer_could_be_noticed(
    tmp_path: Path, speed: float
) -> None:
    with run_process(tmp_path, STATION, speed=speed) as running:
        running.start_pulse(*titration(36_000))
        running.bench.inject("cycler", "silent")
        assert_open_after_silence(running, ANSWER_WITHIN_SECOND + 2.0)
        assert set(alarms(running)) == {"link", "circuit"}


def test_a_run_that_is_ended_while_the_line_is_silent_opens_the_circuit_within_two_seconds(
    tmp_path: Path,
) -> None:
    with run_process(tmp_path, STATION, speed=10.0) as running:
        running.start_pulse(*titration(36_000))
        running.bench.inject("cycler", "silent")
        running.process.send_signal(signal.SIGTERM)
        assert_open_after_silence(running, 2.0)


# ---- a line that is bad for a while
BAD_LINES: list[tuple[str, dict[str, Any], set[str]]] = [
    ("garbage", {"lines": 19}, {"damaged line"}),
    ("split", {"lines": 40, "size": 1}, set()),
    ("slow_wire", {"lines": 40, "bytes_per_second": 500}, set()),
]


@pytest.mark.parametrize(("fault", "arguments", "told"), BAD_LINES, ids=[name for name, _, _ in BAD_LINES])
def test_a_run_goes_on_through_a_bad_line_and_loses_no_row(
    tmp_path: Path,
    undisturbed: Callable[[float], list[dict[str, Any]]],
    fault: str,
    arguments: dict[str, Any],
    told: set[str],
) -> None:
    with run_process(tmp_path, STATION, speed=10.0) as running:
        running.start_pulse(*titration(60))
        running.bench.inject("cycler", fault, **arguments)
        code, text = running.ended()
        assert code == 0, text
        assert set(alarms(running)) == told
        assert running.rows("timeseries") == undisturbed(60)


# ---- a host that does not look for a while
@STOPPED
@pytest.mark.parametrize("stop_second", [2.0, 5.0, 8.0])
@pytest.mark.parametrize("speed", [10.0, 60.0])
def test_a_run_that_is_stopped_for_seconds_goes_on_and_loses_no_row(
    tmp_path: Path, undisturbed: Callable[[float], list[dict[str, Any]]], speed: float, stop_second: float
) -> None:
    pulse_second = 12 * speed
    with run_process(tmp_path, STATION, speed=speed) as running:
        running.start_pulse(*titration(pulse_second))
        running.process.send_signal(signal.SIGSTOP)
        began = time.monotonic()
        wait_until(lambda: time.monotonic() - began >= stop_second)
        running.process.send_signal(signal.SIGCONT)
        code, text = running.ended()
        assert code == 0, text
        gaps = running.rows("alarms")
        assert {alarm["kind"] for alarm in gaps} == {"gap"}
        assert max(alarm["value"] for alarm in gaps) >= stop_second
        assert running.rows("timeseries") == undisturbed(pulse_second)
