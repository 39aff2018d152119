"""The MethodSCRIPT command layer: identification, registers, scripts, abort and resynchronisation.

One thread uses it (see port_worker). Command letters and replies: PalmSens communication protocol,
instruments of the EmStat4 and EmStat Pico families.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator

from devices.core.protocols import Identity
from devices.core.take_over import program_is_running
from devices.palmsens.methodscript import error_text
from devices.transport.serial_line import Line
from labctl.errors import InstrumentError, TransportError
from labctl.host_time import HOST

_ERROR_LINE = re.compile(r"^([A-Za-z]?)!([0-9A-Fa-f]{4})(?::\s*(.*))?$")
_REFUSED_WHILE_RUNNING, _SERIAL_NUMBER = "i!0006", re.compile(r"i[0-9A-Za-z]{6,}$")
_REPLY_TIMEOUT_SECOND = 2.0
_ASK_AGAIN_SECOND = 0.4
_SETTLE_AFTER_ERROR_SECOND = 0.15  # the instrument ignores its input for 50 to 100 ms after an error
_DEVICE_NAMES = {
    "es4_hr": "EmStat4 HR",
    "es4_lr": "EmStat4 LR",
    "espico": "EmStat Pico",
    "mes4lr": "MultiEmStat4 LR",
    "mes4hr": "MultiEmStat4 HR",
    "nexus1": "Nexus",
}


class MethodScriptLink:
    """Commands and answers over a line; an answer is only taken for the question it echoes."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._unread: deque[str] = deque()
        self.model_identifier = ""
        self._serial = ""  # before somebody has answered: any
        self.script_was_running = False  # found, and ended, by the last `resynchronise`

    @property
    def address(self) -> str:
        """Where the instrument is."""
        return self._line.address

    def open(self, *, take_over: bool = True) -> Identity:
        """Open the port, stop whatever runs there if `take_over`, and ask who answers.

        Raises:
            InstrumentError: something runs there and is not to be stopped.
        """
        self._line.open()
        self._serial = ""
        try:
            if not take_over and self.script_runs():
                raise program_is_running(
                    self.address,
                    "one of labctl's ends by itself at its limits, unless it stops with a run-time error, "
                    "which leaves the cell on",
                )
            self.resynchronise()
            return self._identify()
        except (TransportError, InstrumentError):
            self._line.close()
            raise

    def script_runs(self) -> bool:
        """Ask for the serial number: while a script runs the instrument refuses, and goes on.

        What the script has said before is kept.

        Raises:
            TransportError: nobody answers.
        """
        said: list[str] = []
        runs = False
        for line in self._answers(b"\ni\n", "'i'"):
            runs = line == _REFUSED_WHILE_RUNNING
            if runs or (line == f"i{self._serial}" if self._serial else _SERIAL_NUMBER.match(line)):
                break
            said.append(line)
        self.put_back(said)
        return runs

    def close(self) -> None:
        """Close the port."""
        self._line.close()

    def resynchronise(self) -> None:
        """Abort a running script and forget old output: the next answer then belongs to the next question.

        Raises:
            TransportError: nobody answers.
        """
        self._unread.clear()
        aborted = False
        for line in self._answers(b"\nZ\n", "the abort command"):
            aborted = aborted or line == "Z"
            if line.startswith("Z!") or (aborted and not line):  # nothing was running, or it has ended
                self.script_was_running = aborted
                self._settle()
                return

    def _answers(self, command: bytes, name: str) -> Iterator[str]:
        """Lines after `command`, which is repeated: after an error the instrument is deaf for a moment."""
        deadline = HOST.awake_second() + _REPLY_TIMEOUT_SECOND
        while (left := deadline - HOST.awake_second()) > 0:
            self._line.write(command)
            yield from self._lines_until(HOST.awake_second() + min(left, _ASK_AGAIN_SECOND))
        raise TransportError(
            f"{self.address}: no answer to {name} within {_REPLY_TIMEOUT_SECOND:g} s; "
            "is this a MethodSCRIPT instrument, switched on, at this address?"
        )

    def _settle(self) -> None:
        quiet_from = HOST.awake_second() + _SETTLE_AFTER_ERROR_SECOND
        while HOST.awake_second() < quiet_from:
            self._line.read_lines(quiet_from - HOST.awake_second())
        self._line.discard_input()
        self._unread.clear()

    def _identify(self) -> Identity:
        version = self._query("t", lines=2)
        self.model_identifier = version[0][:6]
        name = _DEVICE_NAMES.get(self.model_identifier, self.model_identifier)
        self._serial, script_version = self._query("i")[0], self._query("v")[0]
        number, _, date = version[0][6:].partition("#")  # the second line tells the kind of release
        return Identity("PalmSens", name, self._serial, f"{number} ({date}), MethodSCRIPT {script_version}")

    def capabilities(self) -> int:
        """Bit mask of the script commands this firmware knows (67: meas_loop_cp, 68: set_i, 31: EIS)."""
        return int(self._query("CM")[0], 16)

    def _query(self, command: str, lines: int = 1) -> list[str]:
        """Send one command; its reply without the echoed letter."""
        self._line.write(f"{command}\n".encode("ascii"))
        replies: list[str] = []
        for line in self._lines_until(HOST.awake_second() + _REPLY_TIMEOUT_SECOND):
            if not replies:
                self._raise_error_of(line, command)
                if not line.startswith(command[0]):
                    continue  # a late line of something else
            replies.append(line if replies else line[1:])
            if len(replies) == lines:
                return replies
        raise TransportError(f"{self.address}: no answer to {command!r} within {_REPLY_TIMEOUT_SECOND:g} s")

    def _raise_error_of(self, line: str, command: str) -> None:
        match = _ERROR_LINE.match(line)
        if match and match[1] == command[0]:
            self._settle()
            place = f" at {match[3]}" if match[3] else ""
            code = int(match[2], 16)
            raise InstrumentError(f"{self.address}: {command[:1]!r} refused{place}: {error_text(code)}", code)

    def load(self, script: list[str]) -> None:
        """Upload a script; the instrument checks its syntax, nothing runs."""
        self._upload("l", script)

    def start_loaded(self) -> None:
        """Run the script that was loaded."""
        self._query("r")

    def run_to_end(self, script: list[str], timeout_second: float = _REPLY_TIMEOUT_SECOND) -> list[str]:
        """Run a short script; its output lines."""
        self._upload("e", script)
        output: list[str] = []
        for line in self._lines_until(HOST.awake_second() + timeout_second):
            if not line:
                return output
            self.raise_run_error(line)
            output.append(line)
        raise TransportError(f"{self.address}: a short script did not end within {timeout_second:g} s")

    def _upload(self, command: str, script: list[str]) -> None:
        """Send a script, closed by an empty line, and wait for the instrument to take it."""
        text = "\n".join((command, *script)) + "\n\n"
        self._line.write(text.encode("ascii"))
        for line in self._lines_until(HOST.awake_second() + _REPLY_TIMEOUT_SECOND):
            self._raise_error_of(line, command)
            if line == command:
                return
        raise TransportError(f"{self.address}: upload not acknowledged within {_REPLY_TIMEOUT_SECOND:g} s")

    def raise_run_error(self, line: str) -> None:
        """Raise InstrumentError if `line` is the run-time error of a script."""
        match = _ERROR_LINE.match(line)
        if match and not match[1]:
            self._settle()
            place = f" at {match[3]}" if match[3] else ""
            code = int(match[2], 16)
            raise InstrumentError(f"{self.address}: script stopped{place}: {error_text(code)}", code)

    def stop_loop(self) -> None:
        """End the running measurement loop (its script then closes the step and aborts itself)."""
        self._line.write(b"Y\n")

    def abort(self) -> None:
        """Abort the running script; it jumps to `on_finished`."""
        self._line.write(b"Z\n")

    def read(self, timeout_second: float) -> list[str]:
        """All output lines that are there; [] when none came within the timeout."""
        if not self._unread:
            self._fill(timeout_second)
        return self.take_unread()

    def take_unread(self) -> list[str]:
        """Lines that were read from the wire already."""
        lines = list(self._unread)
        self._unread.clear()
        return lines

    def put_back(self, lines: list[str]) -> None:
        """The next lines to be read."""
        self._unread.extendleft(reversed(lines))

    def _lines_until(self, deadline: float) -> Iterator[str]:
        """Lines one by one until `deadline` (HOST.awake_second); what is not asked for stays for later."""
        while True:
            while self._unread:
                yield self._unread.popleft()
            left = deadline - HOST.awake_second()
            if left <= 0:
                return
            self._fill(left)

    def _fill(self, timeout_second: float) -> None:
        """Bytes that are not ASCII become U+FFFD and so never parse as a value."""
        for line in self._line.read_lines(timeout_second):
            self._unread.append(line.decode("ascii", errors="replace").rstrip("\r"))
