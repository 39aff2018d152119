"""EmStat data lines from a socket into pages, beside pyserial's readline that parses nothing."""

from __future__ import annotations

import subprocess
import sys
import time

import serial

from benchmarks.table import Row
from devices.columns import IMPEDANCE, TIMESERIES
from devices.methodscript_link import MethodScriptLink
from devices.methodscript_run import ScriptRun
from devices.program_record import ProgramRecord, RowBuffer
from devices.techniques import ConstantCurrent, Program, Sampling
from devices.transport import SerialLine
from labctl.clock import MonotonicClock, TimeKeeper

LINES = 100_000


def emstat_lines() -> list[Row]:
    """Lines per second, driver and bare readline."""
    server = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.emstat_server", str(LINES)], stdout=subprocess.PIPE, text=True
    )
    assert server.stdout is not None
    address = f"socket://127.0.0.1:{int(server.stdout.readline())}"
    driver, bare = LINES / _driver_second(address), LINES / _readline_second(address)
    server.wait(10)
    return [
        Row(
            "EmStat lines parsed into pages",
            driver,
            "lines/s",
            "pyserial readline",
            bare,
            ">= 25 000 lines/s",
        )
    ]


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
        for _ in range(LINES):
            port.readline()
        return time.perf_counter() - began
