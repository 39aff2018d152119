"""From techniques to a MethodSCRIPT program that keeps time, ends itself and guards the cell without a host.

Each technique becomes one measurement loop with a fast tick. Every tick checks limits and end conditions;
a package leaves the instrument only when the sampling schedule is due. The script tells the host where it
is by text lines:

    step I K         technique I, part K begins (its timer starts at 0)
    end REASON       the technique's own condition REASON held (none: its time was over)
    trip LIMIT       a safety limit was passed; the script aborts and opens the circuit

and closes each part with one package (time, potential, current) that tells exactly when it ended. A part
that the host ends early (command Y) aborts the script there, so that nothing after it runs.

Text lines and the closing package are those of methodscript_compiler. Limits are checked after each point,
so at 10 mHz only every few minutes: the potentiostat itself holds the voltage meanwhile, or the galvanostat
a current whose amplitude was checked before.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from math import gcd

from devices.core.end_reasons import (
    CHARGE,
    CURRENT_BELOW,
    CURRENT_MAX,
    DRIFT,
    STOPPED,
    VOLTAGE_ABOVE,
    VOLTAGE_BELOW,
    VOLTAGE_MAX,
    VOLTAGE_MIN,
)
from devices.core.step_time import step_limit_second
from devices.core.techniques import (
    ConstantCurrent,
    ConstantVoltage,
    Impedance,
    OpenCircuit,
    Program,
    Sampling,
    Technique,
)
from devices.palmsens.methodscript import literal
from devices.palmsens.models import InstrumentModel, check_program, range_for
from labctl.records.limits import Limits

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
    yield from _impedance_limit_checks(limits)
    yield "endloop"
    yield "timer_get t"
    yield from _package("t")
    # the loop ended before its last frequency: the host has stopped it (command Y)
    yield f"if f > {literal(technique.frequency_min_hertz * 1.001)}"
    yield f'send_string "end {STOPPED}"'
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


def _impedance_limit_checks(limits: Limits) -> Iterator[str]:
    most = limits.current_max_ampere
    checks = (
        (VOLTAGE_MAX, "e >", limits.voltage_max_volt),
        (VOLTAGE_MIN, "e <", limits.voltage_min_volt),
        (CURRENT_MAX, "k >", most),
        (CURRENT_MAX, "k <", None if most is None else -most),
    )
    for name, comparison, limit in checks:
        if limit is not None:
            yield f"if {comparison} {literal(limit)}"
            yield f'send_string "trip {name}"'
            yield "abort"
            yield "endif"


LONGEST_TICK_SECOND = 0.1  # with current flowing: limits are checked at least this often
LONGEST_REST_TICK_SECOND = 1.0  # at open circuit the safe state is the present one
PART_SECOND = 100_000.0  # packages carry times above 134 217 s with a resolution of 1 s only
_BANDWIDTH_HERTZ_SECOND = 5.85  # vendor's rule for battery cycling: bandwidth = 5.85 Hz s / interval
_MODE_POTENTIOSTAT, _MODE_GALVANOSTAT = 3, 6


def tick_second(technique: Technique) -> float:
    """The loop's tick: divides all sampling intervals and is short enough to guard the cell."""
    longest = LONGEST_REST_TICK_SECOND if isinstance(technique, OpenCircuit) else LONGEST_TICK_SECOND
    common_ms = gcd(*(round(stage.interval_second * 1000) for stage in technique.sampling.stages))
    parts = -(-common_ms // round(longest * 1000))
    while common_ms % parts:
        parts += 1
    return common_ms / parts / 1000.0


Script = list[str]


def compile_program(program: Program, model: InstrumentModel, limits: Limits, channel: int = 0) -> Script:
    """The script's lines (without `e` and the closing empty line).

    Raises:
        ProtocolError: the instrument or the limits do not allow it; names what and why.
    """
    check_program(program, model, limits)
    return list(_script(program, model, limits, channel))


def _script(program: Program, model: InstrumentModel, limits: Limits, channel: int) -> Iterator[str]:
    yield from (f"var {name}" for name in "pctnlrdeqswbvfzjaik")
    yield f"set_pgstat_chan {channel}"
    yield "set_acquisition_frac_autoadjust 50"
    previous: Technique | None = None
    for index, technique in enumerate(program.techniques):
        if isinstance(technique, Impedance):
            yield from impedance_step(index, technique, model, limits)
            previous = None
            continue
        yield from _connect(technique, previous, model, limits)
        yield from _step(index, technique, limits)
        previous = technique
    yield "on_finished:"
    yield "cell_off"


def _connect(
    technique: Technique, previous: Technique | None, model: InstrumentModel, limits: Limits
) -> Iterator[str]:
    """Mode, ranges and cell switch before a step; current flows only from the measurement loop on."""
    bandwidth = literal(_BANDWIDTH_HERTZ_SECOND / tick_second(technique))
    volts = (limits.voltage_min_volt, limits.voltage_max_volt)
    window = " ".join(
        literal(v)
        for v in (
            model.potential_min_volt if volts[0] is None else volts[0],
            model.potential_max_volt if volts[1] is None else volts[1],
        )
    )
    keeps_current = isinstance(technique, ConstantCurrent) and isinstance(previous, ConstantCurrent)
    if not keeps_current:
        yield "cell_off"
        galvanostat = isinstance(technique, ConstantCurrent)
        yield f"set_pgstat_mode {_MODE_GALVANOSTAT if galvanostat else _MODE_POTENTIOSTAT}"
    yield f"set_max_bandwidth {bandwidth}"
    if isinstance(technique, ConstantCurrent):
        yield f"set_range_minmax ab {window}"
        yield f"set_autoranging ab {window}"
        yield f"set_range db {literal(range_for(abs(technique.current_ampere), model))}"
        if not keeps_current:
            yield "set_i 0"
            yield "cell_on"
    elif isinstance(technique, ConstantVoltage):
        largest = limits.current_max_ampere or model.current_max_ampere
        top = literal(range_for(technique.current_range_ampere or largest, model))
        yield f"set_range da {literal(technique.voltage_volt)}"
        yield f"set_range ba {top}"
        yield f"set_autoranging ba {literal(model.current_ranges_ampere[0])} {top}"
        yield f"set_e {literal(technique.voltage_volt)}"
        yield "cell_on"
    else:
        yield f"set_range_minmax ab {window}"
        yield f"set_autoranging ab {window}"


def _step(index: int, technique: Technique, limits: Limits) -> Iterator[str]:
    """All parts of one step; a part runs only if none before it met a condition (r counts them)."""
    left, part = step_limit_second(technique), 0
    yield "store_var r 0 ja"
    yield "store_var q 0 ja"
    while left > 0:
        length = left if left <= 1.3 * PART_SECOND else PART_SECOND
        if part:
            yield "if r < 1"
        yield from _part(index, part, technique, limits, length)
        if part:
            yield "endif"
        left, part = left - length, part + 1


def _part(index: int, part: int, technique: Technique, limits: Limits, length_second: float) -> Iterator[str]:
    tick = tick_second(technique)
    ticks = max(round(length_second / tick), 1)
    variables = ("t", "p") if isinstance(technique, OpenCircuit) else ("t", "p", "c")
    package = ("pck_start", *(f"pck_add {name}" for name in variables), "pck_end")
    yield f'send_string "step {index} {part}"'
    yield f"store_var n {literal(-tick / 2)} eb"
    yield from _drift_setup(technique, tick)
    yield "timer_start"
    yield _loop_command(technique, tick, ticks * tick)
    yield "timer_get t"
    yield from _emission(technique.sampling, tick, package, later_part=part > 0)
    yield from _end_checks(technique, tick)  # first: a step may end at the very limit
    yield from _limit_checks(technique, limits, package)
    yield "endloop"
    yield from package
    # ended neither by its time nor by a condition: the host has stopped this loop (command Y)
    yield "if r < 1"
    yield f"if t < {literal((ticks - 0.5) * tick)}"
    yield f'send_string "end {STOPPED}"'
    yield "abort"
    yield "endif"
    yield "endif"


def _loop_command(technique: Technique, tick: float, length_second: float) -> str:
    timing = f"{literal(tick)} {literal(length_second)}"
    if isinstance(technique, ConstantCurrent):
        return f"meas_loop_cp p c {literal(technique.current_ampere)} {timing}"
    if isinstance(technique, ConstantVoltage):
        return f"meas_loop_ca p c {literal(technique.voltage_volt)} {timing}"
    return f"meas_loop_ocp p {timing}"


def _emission(
    sampling: Sampling, tick: float, package: tuple[str, ...], *, later_part: bool
) -> Iterator[str]:
    """A package when the schedule is due, or when the voltage has moved by `change_volt`."""
    if sampling.change_volt is not None:
        yield from ("copy_var p d", "sub_var d l")
        yield f"if d >= {literal(sampling.change_volt)}"
        yield "copy_var t n"
        yield f"elseif d <= {literal(-sampling.change_volt)}"
        yield "copy_var t n"
        yield "endif"
    yield "if t >= n"
    yield from package
    if sampling.change_volt is not None:
        yield from ("copy_var p l", "copy_var t n", f"sub_var n {literal(tick / 2)}")
    last = sampling.stages[len(sampling.stages) - 1]
    earlier = () if later_part else sampling.stages[:-1]
    for position, stage in enumerate(earlier):
        word = "elseif" if position else "if"
        yield f"{word} t < {literal((stage.until_second or 0.0) - tick / 2)}"
        yield f"add_var n {literal(stage.interval_second)}"
    if earlier:
        yield "else"
    yield f"add_var n {literal(last.interval_second)}"
    if earlier:
        yield "endif"
    yield "endif"


def _limit_checks(technique: Technique, limits: Limits, package: tuple[str, ...]) -> Iterator[str]:
    """Safety limits: the passing sample is sent, the script aborts and `on_finished` opens the circuit."""
    if isinstance(technique, OpenCircuit):
        return
    most = limits.current_max_ampere
    checks = (
        (VOLTAGE_MAX, "p >", limits.voltage_max_volt),
        (VOLTAGE_MIN, "p <", limits.voltage_min_volt),
        (CURRENT_MAX, "c >", most),
        (CURRENT_MAX, "c <", None if most is None else -most),
    )
    for name, comparison, limit in checks:
        if limit is None or (name == "current_max" and isinstance(technique, ConstantCurrent)):
            continue
        yield f"if {comparison} {literal(limit)}"
        yield from package
        yield f'send_string "trip {name}"'
        yield "abort"
        yield "endif"


def _end_checks(technique: Technique, tick: float) -> Iterator[str]:
    if isinstance(technique, ConstantCurrent):
        yield from _end_if(VOLTAGE_ABOVE, "p >=", technique.until_voltage_above_volt)
        yield from _end_if(VOLTAGE_BELOW, "p <=", technique.until_voltage_below_volt)
    elif isinstance(technique, ConstantVoltage):
        yield from _constant_voltage_ends(technique, tick)
    elif isinstance(technique, OpenCircuit) and technique.until_drift_volt_per_hour is not None:
        yield from _drift_check(technique, tick)


def _end_if(reason: str, comparison: str, value: float | None) -> Iterator[str]:
    if value is not None:
        yield f"if {comparison} {literal(value)}"
        yield from _end(reason)
        yield "endif"


def _end(reason: str) -> tuple[str, ...]:
    return (f'send_string "end {reason}"', "store_var r 1 ja", "breakloop")


def _constant_voltage_ends(technique: ConstantVoltage, tick: float) -> Iterator[str]:
    if technique.until_current_below_ampere is not None:
        yield f"if c <= {literal(technique.until_current_below_ampere)}"
        yield from _end_if(CURRENT_BELOW, "c >=", -technique.until_current_below_ampere)
        yield "endif"
    if technique.until_charge_ah is not None:
        coulomb = technique.until_charge_ah * 3600.0
        yield from ("copy_var c d", f"mul_var d {literal(tick)}", "add_var q d")
        yield from _end_if(CHARGE, "q >=", coulomb)
        yield from _end_if(CHARGE, "q <=", -coulomb)


def _drift_ticks(technique: OpenCircuit, tick: float) -> int:
    return max(round(technique.drift_window_second / tick), 2)


def _drift_setup(technique: Technique, tick: float) -> Iterator[str]:
    """Block regression: s sums (time - block centre b) x (voltage - reference v); w is the block's end."""
    if isinstance(technique, OpenCircuit) and technique.until_drift_volt_per_hour is not None:
        ticks = _drift_ticks(technique, tick)
        yield "store_var s 0 ja"
        yield "store_var v 0 ja"
        yield f"store_var b {literal((ticks + 1) * tick / 2)} ja"
        yield f"store_var w {literal((ticks - 0.5) * tick)} ja"


def _drift_check(technique: OpenCircuit, tick: float) -> Iterator[str]:
    """Ends when |slope| of a whole block is small: slope = s / sum((t - b)^2), the sum being known."""
    ticks = _drift_ticks(technique, tick)
    squares = tick**2 * ticks * (ticks**2 - 1) / 12
    limit = (technique.until_drift_volt_per_hour or 0.0) / 3600.0 * squares
    yield from ("copy_var t d", "sub_var d b", "copy_var p e", "sub_var e v", "mul_var d e", "add_var s d")
    yield "if t >= w"
    yield f"if s <= {literal(limit)}"
    yield from _end_if(DRIFT, "s >=", -limit)
    yield "endif"
    yield from ("store_var s 0 ja", "copy_var p v")
    yield f"add_var b {literal(ticks * tick)}"
    yield f"add_var w {literal(ticks * tick)}"
    yield "endif"
