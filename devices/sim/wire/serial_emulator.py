"""What emulated instruments on a plain serial line share: endpoints, lines in, lines out, faults of both."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from devices.sim.bench_log import BenchRecord
from devices.sim.clock import VirtualClock
from devices.sim.wire.emulator import OnWire, WithoutLeads
from devices.sim.wire.faults import LINE_FAULTS, FaultyOutlet, check_arguments, line_fault
from devices.sim.wire.wire import Wire

_LONGEST_QUESTION = 256
_OF_PACKAGES = frozenset({"nan", "overrange"})  # these are the potentiostat's; others have their own


class _TerminatedWire(Wire):
    """Lines of the outlet end with LF; on this wire they end with `end`."""

    def __init__(self, on_data: Callable[[bytes], None], end: bytes) -> None:
        super().__init__(on_data)
        self._end = end

    def write(self, data: bytes) -> None:
        super().write(data.replace(b"\n", self._end))


class SerialEmulator(OnWire, WithoutLeads):
    """An instrument that answers lines; a kind of instrument adds `_answer` and its own faults.

    Args:
        clock: the bench's.
        record: where the instrument's doings are noted.
        seed: of its faults and its serial number.
        end: what ends its lines. Questions end with CR; a LF is ignored.
    """

    KIND = "serial"

    def __init__(self, clock: VirtualClock, record: BenchRecord, *, seed: int, end: bytes) -> None:
        self._clock, self._record = clock, record
        self.wire: Wire = _TerminatedWire(self._feed, end)
        self._outlet = FaultyOutlet(self.wire, seed)
        self._pending = bytearray()
        self._unplugged = False
        self._faults: dict[str, Callable[..., None]] = {"clear": self._clear, "disconnect": self._unplug}

    def _answer(self, question: str) -> list[str]:
        """The lines that answer a question."""
        raise NotImplementedError

    def _repair(self) -> None:
        """End the instrument's own faults."""

    async def close(self) -> None:
        """Switch off."""
        self._outlet.stop()
        await self.wire.close()

    # ---- lines
    def _feed(self, data: bytes) -> None:
        self._pending += data.replace(b"\n", b"")
        while b"\r" in self._pending:
            line, _, rest = self._pending.partition(b"\r")
            self._pending = rest
            for text in [] if self._unplugged else self._answer(line.decode("latin-1").strip()):
                self._outlet.write_line(text)
        del self._pending[:-_LONGEST_QUESTION]

    # ---- faults
    def inject(self, fault: str, /, **arguments: Any) -> None:
        """Arm a fault of the line (see faults.LINE_FAULTS) or of the instrument; `clear` ends them all.

        Raises:
            ValueError: no such fault, or an impossible argument.
        """
        own = self._faults.get(fault)
        if own is None and (fault not in LINE_FAULTS or fault in _OF_PACKAGES):
            known = ", ".join(sorted({*self._faults, *LINE_FAULTS} - (_OF_PACKAGES - self._faults.keys())))
            raise ValueError(f"fault = {fault!r}: must be one of {known}")
        if own is None:
            self._outlet.arm(line_fault(fault, arguments))
        else:
            check_arguments(fault, own, arguments)
            own(**arguments)
        self._record.add("fault", instrument=self.KIND, fault=fault, **arguments)

    def _clear(self) -> None:
        self._outlet.clear()
        self._unplugged = False
        self._repair()

    def _unplug(self) -> None:
        """The cable is out: the link is cut, and nobody answers until `clear`."""
        self._unplugged = True
        self._drop_link()

    def _drop_link(self) -> None:
        """Cut a TCP connection; a pseudo-terminal could not be opened again and only falls silent."""
        if self.wire.connected:
            self.wire.drop()

    def _note(self, event: str, **fields: Any) -> None:
        self._record.add("instrument", instrument=self.KIND, event=event, **fields)
