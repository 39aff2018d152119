"""How long the RunEngine's loop is held up: a run with a slow sensor, one with a quick one, and no run."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from statistics import quantiles
from time import perf_counter

from bluesky import RunEngine

from benchmarks.table import Beside, Goal, Row
from labctl.records.cell import load_cell
from labctl.records.station import Station, load_station, packaged_config
from labctl.session import Session, open_session
from plans.gitt import gitt

SPEED, TICK_SECOND, IDLE_SECOND, SLOW_SECOND = 100.0, 1e-3, 5.0, 0.3


def loop_stall() -> list[Row]:
    """p99 and largest delay of a tick of 1 ms (ms) while a GITT runs and the environment is recorded."""
    quick, slow, idle = _delays(slow=False), _delays(slow=True), _idle_delays()
    return [
        *_rows("load cell takes 300 ms to answer", slow, "quick load cell", quick),
        *_rows("quick load cell", quick, "the same loop without a run", idle),
    ]


def _rows(what: str, delays: list[float], name: str, other: list[float]) -> list[Row]:
    usual = "How late the plan of a GITT with temperature and pressure acts, at most, 99 times of 100."
    worst = "How late it acted once."
    return [
        Row(f"loop stall p99, {what}", _p99(delays), "ms", usual, (Beside(name, _p99(other)),), Goal(most=2)),
        Row(f"longest loop stall, {what}", max(delays), "ms", worst, (Beside(name, max(other)),)),
    ]


def _p99(values: list[float]) -> float:
    return quantiles(values, n=100)[98]


def _delays(*, slow: bool) -> list[float]:
    """Delays (ms) of the ticks during a run."""

    def measure(session: Session) -> None:
        if slow:
            session.bench.inject("load_cell", "slow", delay_second=SLOW_SECOND)
        session.RE(
            gitt(
                session.cycler, cell=session.cell, pulses=3, pulse_second=120, rest_second=120,
                first_rest_second=60, direction="charge", environment=session.environment,
            )
        )  # fmt: skip

    return _ticks_during(measure)


def _idle_delays() -> list[float]:
    """Delays (ms) of the ticks while instruments are polled and nothing is measured."""
    return _ticks_during(lambda session: session.bench.clock.sleep(IDLE_SECOND * SPEED))


def _ticks_during(action: Callable[[Session], None]) -> list[float]:
    with tempfile.TemporaryDirectory() as folder:
        cell = load_cell(packaged_config("cells/lic-ncm.yaml"))
        with open_session(_station(), cell, Path(folder), fresh_bench=True) as session:
            ticks = _Ticks(session.RE)
            action(session)
            return ticks.stop()


def _station() -> Station:
    station = load_station(packaged_config("sim-press.yaml"))
    assert station.simulate is not None
    return station.model_copy(update={"simulate": station.simulate.model_copy(update={"speed": SPEED})})


class _Ticks:
    """Calls itself every millisecond on a RunEngine's loop and notes how late it was called (ms)."""

    def __init__(self, engine: RunEngine) -> None:
        self._loop, self._stopped = engine.loop, threading.Event()
        self._late: list[float] = []
        self._loop.call_soon_threadsafe(self._again)

    def _again(self) -> None:
        self._due = perf_counter() + TICK_SECOND
        self._loop.call_later(TICK_SECOND, self._tick)

    def _tick(self) -> None:
        self._late.append((perf_counter() - self._due) * 1e3)
        if not self._stopped.is_set():
            self._again()

    def stop(self) -> list[float]:
        self._stopped.set()
        return self._late
