"""EmStat data lines from a socket into pages, beside pyserial's readline that parses nothing."""

from __future__ import annotations

import subprocess
import sys
import time

import serial

from benchmarks.table import Goal, Row, beside
from devices.core.program import ProgramRecord, RowBuffer
from devices.core.techniques import ConstantCurrent, Program, Sampling
from devices.palmsens.link import MethodScriptLink
from devices.palmsens.run import ScriptRun
from devices.transport.serial_line import SerialLine
from labctl.clock import MonotonicClock, TimeKeeper
from labctl.schema import IMPEDANCE, TIMESERIES

LINES, BARE_LINES = 100_000, 20_000


def emstat_lines() -> list[Row]:
    """Lines per second, driver and bare readline."""
    server = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.emstat_server", str(LINES)], stdout=subprocess.PIPE, text=True
    )
    assert server.stdout is not None
    address = f"socket://127.0.0.1:{int(server.stdout.readline())}"
    try:
        driver = LINES / _driver_second(address)
        bare = beside("pyserial readline, nothing parsed", lambda: BARE_LINES / _readline_second(address))
    finally:
        server.terminate()
        server.wait()
    meaning = "How many samples a second the driver of an EmStat can read from its line and put into pages."
    goal = Goal(least=25_000)
    return [Row("EmStat data lines parsed into pages", driver, "lines/s", meaning, (bare,), goal)]


def _driver_second(address: str) -> float:
    technique = ConstantCurrent(
        current_ampere=84e-6, until_time_second=LINES / 100, sampling=Sampling.every(0.01)
    )
    rows, clock = RowBuffer(TIMESERIES), MonotonicClock()
    record = ProgramRecord(
        Program(techniques=(technique,)), keeper=TimeKeeper(clock), rows=rows, spectra=RowBuffer(IMPEDANCE)
    )
    line = SerialLine(address)
    line.open()
    run = ScriptRun(
        MethodScriptLink(line), record, clock, on_reading=lambda v, i: None, on_alarm=lambda **alarm: None
    )
    began = time.perf_counter()
    run.follow()
    points = sum(len(page["data"]["voltage_volt"]) for page in rows.pages())
    took = time.perf_counter() - began
    line.close()
    assert points == LINES, points
    return took


def _readline_second(address: str) -> float:
    with serial.serial_for_url(address, timeout=5) as port:
        port.write(b"r\n")
        began = time.perf_counter()
        for _ in range(BARE_LINES):
            port.readline()
        return time.perf_counter() - began
