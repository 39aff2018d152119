"""Commands that set and tell settings of an emulated Keithley unit: SOURce, SENSe, OUTPut and the like."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from devices.sim.keithley.scpi import (
    CommandTable,
    Handler,
    boolean,
    choice,
    number,
    shown,
    string,
    whole,
    within,
)
from devices.sim.keithley.settings import CURRENT, FUNCTIONS, LONG_NAMES, ConfigurationList
from devices.sim.keithley.source_measure_unit import LINE_HERTZ
from devices.sim.keithley.state import KeithleyState

Parser = Callable[[str], Any]
_SOURCE_FLAGS = {
    "RANGe:AUTO": "auto_range",
    "READ:BACK": "readback",
    "DELay:AUTO": "auto_delay",
    "HIGH:CAPacitance": "high_capacitance",
}
_SENSE_FLAGS = {
    "RANGe:AUTO": "auto_range",
    "RSENse": "remote_sense",
    "AZERo[:STATe]": "autozero",
    "AVERage[:STATe]": "averaging",
    "RELative:STATe": "relative",
}
_OFF_MODES = ("NORMal", "HIMPedance", "ZERO", "GUARd")


class SettingCommands:
    """Fills a table with the commands of one unit."""

    def __init__(self, state: KeithleyState, table: CommandTable) -> None:
        self._state, self._table = state, table
        for function in FUNCTIONS:
            self._source(function)
            self._sense(function)
        self._general()
        for kind, root in (("source", "SOURce[1]:"), ("sense", "[SENSe[1]:]")):
            self._lists(kind, f"{root}CONFiguration:LIST")

    def _pair(self, pattern: str, get: Callable[[], Any], put: Handler) -> None:
        """A command and its query; a change acts on the output at once."""

        @wraps(put)  # for the number of arguments
        def change(*arguments: str) -> None:
            put(*arguments)
            self._state.changed(pattern)

        self._table.add(pattern, change)
        self._table.add(f"{pattern}?", lambda *_: shown(get()))

    def _attribute(self, pattern: str, owner: Callable[[], object], name: str, parse: Parser) -> None:
        self._pair(
            pattern,
            lambda: getattr(owner(), name),
            lambda text: setattr(owner(), name, parse(text)),
        )

    def _source(self, function: str) -> None:
        state, root = self._state, f"SOURce[1]:{LONG_NAMES[function]}"

        def owner() -> Any:
            return state.settings.source[function]

        self._pair(
            f"{root}[:LEVel][:IMMediate][:AMPLitude]",
            lambda: owner().level,
            lambda text: state.settings.set_level(function, number(text)),
        )
        self._pair(
            f"{root}:RANGe",
            lambda: owner().range,
            lambda text: state.settings.set_source_range(function, number(text)),
        )
        limit = f"{root}:{'VLIMit' if function == CURRENT else 'ILIMit'}[:LEVel]"
        self._pair(
            limit, lambda: owner().limit, lambda text: state.settings.set_limit(function, number(text))
        )
        self._table.add(f"{limit}:TRIPped?", lambda: shown(self._tripped(function)))
        for pattern, name in _SOURCE_FLAGS.items():
            self._attribute(f"{root}:{pattern}", owner, name, boolean)
        self._pair(f"{root}:DELay", lambda: owner().delay, lambda text: self._set_delay(function, text))
        mode = f"OUTPut[1]:{LONG_NAMES[function]}:SMODe"
        self._attribute(mode, owner, "off_mode", lambda text: choice(text, *_OFF_MODES))

    def _set_delay(self, function: str, text: str) -> None:
        settings = self._state.settings.source[function]
        settings.delay, settings.auto_delay = within(number(text), 0.0, 10_000.0), False

    def _tripped(self, function: str) -> bool:
        unit, settings = self._state.unit, self._state.settings
        unit.advance_to(self._state.now())
        return settings.output and settings.source_function == function and unit.limited

    def _sense(self, function: str) -> None:
        state, root = self._state, f"[SENSe[1]:]{LONG_NAMES[function]}[:DC]"

        def owner() -> Any:
            return state.settings.sense[function]

        def set_range(text: str) -> None:
            settings = owner()
            settings.range, settings.auto_range = state.model.range_for(function, number(text)), False

        def full_scale(text: str) -> float:
            return state.model.range_for(function, number(text))

        self._pair(f"{root}:RANGe[:UPPer]", lambda: owner().range, set_range)
        self._attribute(f"{root}:RANGe:AUTO:LLIMit", owner, "lowest_auto_range", full_scale)
        self._attribute(
            f"{root}:NPLCycles", owner, "power_line_cycles", lambda text: within(number(text), 0.01, 10.0)
        )
        words = ("OHM", "WATT", "AMP" if function == CURRENT else "VOLT")
        self._attribute(f"{root}:UNIT", owner, "unit", lambda text: choice(text, *words))
        for pattern, name in _SENSE_FLAGS.items():
            self._attribute(f"{root}:{pattern}", owner, name, boolean)

    def _general(self) -> None:
        state = self._state

        def settings() -> Any:
            return state.settings

        self._attribute(
            "SOURce[1]:FUNCtion[:MODE]",
            settings,
            "source_function",
            lambda t: choice(t, "CURRent", "VOLTage"),
        )
        self._table.add("[SENSe[1]:]FUNCtion[:ON]", self._set_sense_function)
        self._table.add("[SENSe[1]:]FUNCtion[:ON]?", lambda: f'"{settings().sense_function}:DC"')
        self._table.add("[SENSe[1]:]AZERo:ONCE", lambda: None)
        self._attribute("OUTPut[1][:STATe]", settings, "output", boolean)
        self._table.add("OUTPut[1]:SMODe", self._set_off_modes)
        self._table.add("OUTPut[1]:SMODe?", lambda: settings().active_source.off_mode)
        self._attribute("ROUTe:TERMinals", settings, "terminals", lambda t: choice(t, "FRONt", "REAR"))
        self._table.add("FORMat[:DATA]", lambda t: choice(t, "ASCii") and None)
        self._table.add("FORMat[:DATA]?", lambda: "ASC")
        self._attribute(
            "FORMat:ASCii:PRECision", settings, "precision", lambda t: int(within(whole(t), 1, 16))
        )
        self._table.add("SYSTem:LFRequency?", lambda: f"{LINE_HERTZ:.0f}")

    def _set_sense_function(self, text: str) -> None:
        self._state.settings.sense_function = choice(
            string(text).upper().removesuffix(":DC"), "CURRent", "VOLTage"
        )

    def _set_off_modes(self, text: str) -> None:
        for source in self._state.settings.source.values():
            source.off_mode = choice(text, *_OFF_MODES)
        self._state.changed("OUTPut[1]:SMODe")

    def _lists(self, kind: str, root: str) -> None:
        state = self._state

        def lists() -> dict[str, ConfigurationList]:
            return state.settings.source_lists if kind == "source" else state.settings.sense_lists

        def create(name: str) -> None:
            lists()[string(name)] = ConfigurationList()

        def delete(name: str) -> None:
            state.settings.list_of(kind, string(name))
            del lists()[string(name)]

        def store(name: str, index: str | None = None) -> None:
            state.settings.store(kind, string(name), None if index is None else whole(index))

        def recall(name: str, index: str = "1") -> None:
            state.settings.recall(kind, string(name), whole(index))
            state.changed(f"{kind} list {name}")

        def size(name: str) -> str:
            return str(len(state.settings.list_of(kind, string(name)).entries))

        rows = {"CREate": create, "DELete": delete, "STORe": store, "RECall": recall, "SIZE?": size}
        for word, handler in rows.items():
            self._table.add(f"{root}:{word}", handler)
