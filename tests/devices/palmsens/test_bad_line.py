"""A program's output over a line that damages it in every way: no wrong value, no hang, no other error."""

from __future__ import annotations

import select
import socket
import threading
from collections import Counter
from collections.abc import Iterator

import numpy as np

from devices.core.program import ProgramRecord, RowBuffer
from devices.core.techniques import ConstantCurrent, Program, Sampling
from devices.palmsens.link import MethodScriptLink
from devices.palmsens.run import ScriptRun
from devices.transport.serial_line import SerialLine
from labctl.clock import MonotonicClock, TimeKeeper
from labctl.schema import IMPEDANCE, TIMESERIES

LINES, TICK_SECOND = 22_000, 0.01
MOST_IN_A_ROW = 12  # the driver gives up a line that damages 20 in a row
KINDS = ("garbage", "line of garbage", "end of line", "truncated", "cut", "lost", "twice", "foreign", "split")
FOREIGN = (b"Z!0006\n", b"tes4_hr1500#Mar 12 2026\n", b"e\n", b"P\n", b"+\n", b"!zz\n", b"Tnonsense\n")


def packed(kind: str, value: int, prefix: str) -> str:
    return f"{kind}{value + (1 << 27):07X}{prefix}"


def volt(n: int) -> float:
    return (3_200_000 + n) / 1e6


def package(n: int) -> bytes:
    """Tick `n`: its time, a voltage of its own, 84 uA."""
    moment, reading = packed("eb", 10 * n, "m"), packed("ab", 3_200_000 + n, "u")
    return f"P{moment};{reading},10,206;{packed('ba', 84_000_000, 'p')},10,20C\n".encode()


class Instrument:
    """Sends the output of a script, much of it damaged, and answers whether the script has ended."""

    def __init__(self) -> None:
        self.damaged: Counter[str] = Counter()
        self._random = np.random.default_rng(3)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"socket://127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._thread.join(10)
        self._listener.close()

    def _serve(self) -> None:
        peer, _ = self._listener.accept()
        with peer:
            peer.recv(100)
            peer.sendall(b"r\nTstep 0 0\nM000A\n")
            for pieces in self._output():
                for piece in pieces:
                    peer.sendall(piece)
                if pieces and pieces[-1].endswith(b"\n") and select.select([peer], [], [], 0)[0]:
                    peer.recv(100)
                    peer.sendall(b"i!0006\n")
            peer.sendall(b"*\n" + package(LINES) + b"\n")
            while peer.recv(100):
                peer.sendall(b"iES4HR00S0001\n")

    def _output(self) -> Iterator[list[bytes]]:
        in_a_row = 0
        for n in range(1, LINES + 1):
            hit = in_a_row < MOST_IN_A_ROW and self._random.random() < 0.55
            in_a_row = in_a_row + 1 if hit else 0
            yield self._hit(package(n)) if hit else [package(n)]

    def _hit(self, line: bytes) -> list[bytes]:
        weights = np.array([1, 1, 0.02, 1, 1, 1, 1, 1, 1])
        kind = str(self._random.choice(KINDS, p=weights / weights.sum()))
        self.damaged[kind] += 1
        noise = self._random.integers(11, 256, int(self._random.integers(1, 12)), dtype=np.uint8).tobytes()
        place = int(self._random.integers(1, len(line) - 1))
        match kind:
            case "garbage":
                return [noise + line]
            case "line of garbage":
                return [noise + b"\n", line]
            case "end of line":
                return [b"\n", line]
            case "truncated":
                return [line[:place] + b"\n"]
            case "cut":
                return [line[:place]]
            case "lost":
                return []
            case "twice":
                return [line, line]
            case "foreign":
                return [FOREIGN[place % len(FOREIGN)], line]
        return [line[:place], line[place:]]


def test_ten_thousand_damaged_lines_give_no_wrong_value_no_hang_and_no_other_error() -> None:
    instrument, clock = Instrument(), MonotonicClock()
    rows, alarms = RowBuffer(TIMESERIES), []
    technique = ConstantCurrent(
        current_ampere=84e-6, until_time_second=LINES * TICK_SECOND, sampling=Sampling.every(TICK_SECOND)
    )
    program = Program(techniques=(technique,))
    record = ProgramRecord(program, keeper=TimeKeeper(clock), rows=rows, spectra=RowBuffer(IMPEDANCE))
    line = SerialLine(instrument.address)
    line.open()
    run = ScriptRun(
        MethodScriptLink(line), record, clock,
        on_reading=lambda volt, ampere: None, on_alarm=lambda **alarm: alarms.append(alarm),
    )  # fmt: skip
    run.follow()
    line.close()
    instrument.close()
    assert sum(instrument.damaged.values()) > 10_000
    assert set(instrument.damaged) == set(KINDS)
    seen = 0
    for page in rows.pages():
        columns = (page["data"][name] for name in ("step_time_second", "voltage_volt", "current_ampere"))
        for second, measured_volt, ampere in zip(*columns, strict=True):
            seen += 1
            assert (measured_volt, ampere) == (volt(round(second / TICK_SECOND)), 84e-6)
    assert seen > LINES * 0.6
    assert [result.end_reason for result in record.results] == ["time"]
    assert {alarm["kind"] for alarm in alarms} == {"damaged line"}
