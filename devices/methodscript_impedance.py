"""Impedance as MethodSCRIPT: one `meas_loop_eis` or `meas_loop_geis`, with the DC values of each point.

Text lines and the closing package are those of methodscript_compiler. Limits are checked after each point,
so at 10 mHz only every few minutes: the potentiostat itself holds the voltage meanwhile, or the galvanostat
a current whose amplitude was checked before.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator

from devices.methodscript import literal
from devices.methodscript_models import InstrumentModel, range_for
from devices.techniques import Impedance
from labctl.safety.limits import Limits

_OUTPUT = "eis_acdc(a e i k)"  # E ac (rms), E dc, I ac (rms), I dc
_SILENT_PERIODS = 3.0  # a point takes settling and at least one period; the instrument says nothing meanwhile


def longest_silence_second(technique: Impedance) -> float:
    """Longest time (s) a healthy instrument may say nothing within the spectrum."""
    return 1.0 + _SILENT_PERIODS / technique.frequency_min_hertz


def impedance_step(index: int, technique: Impedance, model: InstrumentModel, limits: Limits) -> Iterator[str]:
    """All lines of one spectrum, from connecting the cell to the closing package."""
    yield "cell_off"
    if technique.mode == "potentiostatic":
        dc = yield from _connect_potentiostatic(technique, model)
        loop = "meas_loop_eis"
    else:
        dc = yield from _connect_galvanostatic(technique, model)
        loop = "meas_loop_geis"
    sweep = f"{literal(technique.frequency_max_hertz)} {literal(technique.frequency_min_hertz)}"
    yield "store_var r 0 ja"
    yield f'send_string "step {index} 0"'
    yield "timer_start"
    yield f"{loop} f z j {literal(technique.amplitude_rms)} {sweep} {technique.points}i {dc} {_OUTPUT}"
    yield "timer_get t"
    yield from _package("t", "f", "z", "j", "e", "k")
    yield from _limit_checks(limits)
    yield "endloop"
    yield "timer_get t"
    yield from _package("t")
    # the loop ended before its last frequency: the host has stopped it (command Y)
    yield f"if f > {literal(technique.frequency_min_hertz * 1.001)}"
    yield 'send_string "end stopped"'
    yield "abort"
    yield "endif"


def _connect_potentiostatic(technique: Impedance, model: InstrumentModel) -> Generator[str, None, str]:
    yield "set_pgstat_mode 3"
    yield "set_max_bandwidth 1M"
    top = literal(model.current_ranges_ampere[-1])
    yield f"set_range ba {literal(range_for(technique.current_range_ampere or 1e-3, model))}"
    yield f"set_autoranging ba {literal(model.current_ranges_ampere[0])} {top}"
    yield "set_range ab 4200m"
    yield "set_autoranging ab 4200m 4200m"
    if technique.dc_voltage_volt is None:
        dc = "p"
        yield "meas 100m p ab"
    else:
        dc = literal(technique.dc_voltage_volt)
    yield f"set_e {dc}"
    yield "cell_on"
    return dc


def _connect_galvanostatic(technique: Impedance, model: InstrumentModel) -> Generator[str, None, str]:
    largest = abs(technique.dc_current_ampere) + technique.amplitude_rms * 2**0.5
    current_range = literal(range_for(technique.current_range_ampere or largest, model))
    yield "set_pgstat_mode 6"
    yield "set_max_bandwidth 1M"
    yield "set_range ab 4200m"
    yield "set_autoranging ab 4200m 4200m"
    yield f"set_range db {current_range}"
    yield f"set_autoranging db {current_range} {current_range}"
    dc = literal(technique.dc_current_ampere)
    yield f"set_i {dc}"
    yield "cell_on"
    return dc


def _package(*variables: str) -> tuple[str, ...]:
    return ("pck_start", *(f"pck_add {name}" for name in variables), "pck_end")


def _limit_checks(limits: Limits) -> Iterator[str]:
    most = limits.current_max_ampere
    checks = (
        ("voltage_max", "e >", limits.voltage_max_volt),
        ("voltage_min", "e <", limits.voltage_min_volt),
        ("current_max", "k >", most),
        ("current_max", "k <", None if most is None else -most),
    )
    for name, comparison, limit in checks:
        if limit is not None:
            yield f"if {comparison} {literal(limit)}"
            yield f'send_string "trip {name}"'
            yield "abort"
            yield "endif"
