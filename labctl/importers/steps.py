"""Steps of a file that does not keep them: where they begin, of what kind they are, what charge they moved.

Charges are trapezoids between the valid samples of one step, never across its borders or a time without rows
(`labctl.importers.silences`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from labctl.charge import COULOMB_PER_AH, moved_coulomb
from labctl.importers.rows import FileRows, Floats, Integers, lines_text
from labctl.schema import (
    CURRENT,
    CYCLE_COUNT,
    END_CURRENT,
    END_REASON,
    END_TEST_TIME,
    END_VOLTAGE,
    PROTOCOL_STEP,
    START_TEST_TIME,
    STEP_CHARGING_CAPACITY,
    STEP_COUNT,
    STEP_DISCHARGING_CAPACITY,
    STEP_TYPE,
    VOLTAGE,
)

REST_SHARE = 1e-3  # |current| below this share of the largest one is none
CONSTANT_CURRENT_SPREAD = 0.02  # of the median: the middle 90 % of a constant current
CONSTANT_VOLTAGE_SPREAD_VOLT = 2e-3
SAME_LENGTH_SHARE = 0.01
FAR = 10.0  # times the cadence: how far rows may lie apart for a charge to be counted between them
FEW_ROWS = 6


def number_steps(rows: FileRows, stretch: Integers) -> Integers:
    """The step of each row: the file's own numbers where they are usable, else counted from 1.

    A step begins where the file says so, at a new stretch of time, at each spectrum, and, where the file says
    nothing about steps, where the current begins, ends or turns.
    """
    own = rows.step_count
    counted = counted_steps(rows, stretch)
    if own is None:
        return counted
    if (np.diff(own) < 0).any() or (own < 0).any() or _differs(own, counted):
        rows.notices.append("step numbers of the file are not one per step; steps are counted anew")
        return counted
    return own


def counted_steps(rows: FileRows, stretch: Integers) -> Integers:
    """The step of each row, counted from 1, wherever the file numbers them from."""
    keys = [stretch]
    if rows.is_impedance is not None and rows.spectrum_key is not None:
        keys += [rows.is_impedance.astype(np.int64), np.where(rows.is_impedance, rows.spectrum_key, 0)]
    if rows.step_count is not None:
        keys.append(rows.step_count)
    elif rows.step_key is not None:
        keys.append(rows.step_key)
    else:
        keys.append(current_class(rows.columns[CURRENT]))
    begins = np.zeros(len(rows), dtype=bool)
    if rows.is_impedance is not None:  # within a spectrum only its own key counts
        keys[-1] = np.where(rows.is_impedance, 0, keys[-1])
    for key in keys:
        begins[1:] |= np.diff(key) != 0
    return 1 + np.cumsum(begins).astype(np.int64)


def _differs(own: Integers, counted: Integers) -> bool:
    """Whether a number of the file names more than one step."""
    return len(np.unique(own)) != len(np.unique(counted))


def current_class(current: Floats) -> Integers:
    """-1, 0 or 1 for discharge, rest and charge; a row without a valid current is as the one before it."""
    valid = np.isfinite(current)
    if not valid.any():
        return np.zeros(len(current), dtype=np.int64)
    none = REST_SHARE * float(np.abs(current[valid]).max())
    found = np.where(np.abs(current) <= none, 0, np.sign(np.where(valid, current, 0))).astype(np.int64)
    before = np.maximum.accumulate(np.where(valid, np.arange(len(current)), -1))
    first = int(np.argmax(valid))
    return found[np.where(before < 0, first, before)]


def type_steps(rows: FileRows, step_count: Integers) -> NDArray[Any]:
    """The step type of each row: what the file says, else what current and voltage look like."""
    types = np.array([""] * len(rows), dtype=object) if rows.step_type is None else rows.step_type.copy()
    if rows.is_impedance is not None:
        types[rows.is_impedance] = rows.impedance_kind
    classes, inferred = current_class(rows.columns[CURRENT]), 0
    for begin, end in _spans(step_count):
        if (types[begin:end] == "").any():
            types[begin:end] = _looks_like(rows, classes, begin, end)
            inferred += 1
    if inferred:
        rows.notices.append(f"the type of {inferred} step(s) was inferred from current and voltage")
    return types


def _looks_like(rows: FileRows, classes: Integers, begin: int, end: int) -> str:
    sign = int(np.sign(classes[begin:end].sum()))
    if sign == 0:
        return "rest"
    direction = "charge" if sign > 0 else "discharge"
    current = _middle(rows.columns[CURRENT][begin:end])
    volt = _middle(rows.columns[VOLTAGE][begin:end])
    steady = not current.size or np.ptp(current) <= CONSTANT_CURRENT_SPREAD * abs(float(np.median(current)))
    held = volt.size > 1 and np.ptp(volt) <= CONSTANT_VOLTAGE_SPREAD_VOLT
    return f"{'cv' if held and not steady else 'cc'}_{direction}"


def _middle(values: Floats) -> Floats:
    """The middle 90 % of the valid values."""
    valid = np.sort(values[np.isfinite(values)])
    cut = len(valid) // 20
    return valid[cut : len(valid) - cut]


def step_rows(
    rows: FileRows,
    step_count: Integers,
    types: NDArray[Any],
    stretch: Integers,
    unknown: NDArray[np.bool_] | None = None,
) -> dict[str, NDArray[Any]]:
    """The `steps` stream.

    A step begins where the one before it ended if that is no further than its own samples are apart. How a
    step ended is told from its length: "time" if another step of its type is as long, or if it is a rest that
    another step follows; "unknown" else. No charge is counted between a row that is `unknown` and the one
    before it.
    """
    spans = _spans(step_count)
    starts = _starts(rows, spans, stretch)
    unknown = np.zeros(len(rows), dtype=bool) if unknown is None else unknown
    unknown[[begin for begin, _ in spans]] |= _begin_unknown(rows, spans, starts)
    ends = np.array([rows.test_time_second[end - 1] for _, end in spans])
    charges = [
        _charge_coulomb(rows, b, e, start, unknown[b:e]) for (b, e), start in zip(spans, starts, strict=True)
    ]
    kinds = [str(types[begin]) for begin, _ in spans]
    follows = [end < len(rows) and stretch[end] == stretch[end - 1] for _, end in spans]
    cycles = _or_zero(rows.cycle_count, len(rows))
    return {
        STEP_COUNT: np.array([step_count[begin] for begin, _ in spans], dtype=np.int64),
        PROTOCOL_STEP: np.array([str(n) for n in range(len(spans))], dtype=object),
        STEP_TYPE: np.array(kinds, dtype=object),
        CYCLE_COUNT: np.array([cycles[begin] for begin, _ in spans], dtype=np.int64),
        START_TEST_TIME: starts,
        END_TEST_TIME: ends,
        END_REASON: np.array(_end_reasons(kinds, ends - starts, follows), dtype=object),
        STEP_CHARGING_CAPACITY: np.array([charge for charge, _ in charges]) / COULOMB_PER_AH,
        STEP_DISCHARGING_CAPACITY: np.array([charge for _, charge in charges]) / COULOMB_PER_AH,
        END_VOLTAGE: np.array([_last(rows.columns[VOLTAGE][b:e]) for b, e in spans]),
        END_CURRENT: np.array([_last(rows.columns[CURRENT][b:e]) for b, e in spans]),
    }


def _spans(step_count: Integers) -> list[tuple[int, int]]:
    borders = np.concatenate(([0], np.flatnonzero(np.diff(step_count)) + 1, [len(step_count)]))
    return list(zip(borders[:-1].tolist(), borders[1:].tolist(), strict=True)) if len(step_count) else []


def _starts(rows: FileRows, spans: list[tuple[int, int]], stretch: Integers) -> Floats:
    time, within = rows.test_time_second, rows.step_time_second
    starts = []
    for begin, end in spans:
        first = float(time[begin])
        if within is not None and np.isfinite(within[begin]):
            earliest = float(time[begin - 1]) if begin else -np.inf  # a step does not begin within another
            starts.append(max(first - float(within[begin]), earliest))
            continue
        near = begin > 0 and stretch[begin] == stretch[begin - 1]
        apart = float(np.median(np.diff(time[begin : min(end, begin + 10)]))) if end - begin > 1 else 0.0
        before = float(time[begin - 1]) if near else first
        starts.append(before if first - before <= 2 * apart else first)
    return np.array(starts)


def _begin_unknown(rows: FileRows, spans: list[tuple[int, int]], starts: Floats) -> NDArray[np.bool_]:
    """Whether the file's own step time says that a step had begun long before its first row."""
    unknown = np.zeros(len(spans), dtype=bool)
    for number, ((begin, end), start) in enumerate(zip(spans, starts, strict=True)):
        apart = np.diff(rows.test_time_second[begin : min(end, begin + FEW_ROWS)])
        before = float(rows.test_time_second[begin]) - start
        unknown[number] = len(apart) > 1 and before > FAR * float(apart.max()) > 0
    if unknown.any():
        lines = lines_text(rows.line_number[[spans[n][0] for n in np.flatnonzero(unknown)]], rows.line_word)
        rows.notices.append(
            f"{int(unknown.sum())} step(s) began long before their first row, by their step time: the charge "
            f"until then is not counted: {lines}"
        )
    return unknown


def step_times(rows: FileRows, step_count: Integers, starts: Floats) -> Floats:
    """Time since the step of each row began (s); the file's own where it gives it."""
    own = rows.step_time_second
    spans = _spans(step_count)
    lengths = [end - begin for begin, end in spans]
    computed = rows.test_time_second - np.repeat(starts, lengths)
    return computed if own is None else np.where(np.isfinite(own), own, computed)


def _charge_coulomb(
    rows: FileRows, begin: int, end: int, start: float, unknown: NDArray[np.bool_]
) -> tuple[float, float]:
    """Charge in and out of one step; NaN where no current was measured."""
    time, current = rows.test_time_second[begin:end], rows.columns[CURRENT][begin:end]
    valid = np.isfinite(current)
    time, current, known = time[valid], current[valid], ~unknown[valid]
    if not time.size:
        return np.nan, np.nan
    time, current = np.concatenate(([start], time)), np.concatenate((current[:1], current))
    parts = moved_coulomb(np.diff(time), current) * known
    return float(parts[parts > 0].sum()), abs(float(parts[parts < 0].sum()))


def _end_reasons(kinds: list[str], lengths: Floats, follows: list[bool]) -> list[str]:
    names, reasons = np.array(kinds), []
    sorted_lengths = {kind: np.sort(lengths[names == kind]) for kind in set(kinds)}
    for kind, length, followed in zip(kinds, lengths, follows, strict=True):
        near = length * np.array([1 - SAME_LENGTH_SHARE, 1 + SAME_LENGTH_SHARE])
        first, last = np.searchsorted(sorted_lengths[kind], near)
        if kind in ("peis", "geis"):
            reasons.append("complete")
        else:
            reasons.append("time" if last - first > 1 or (kind == "rest" and followed) else "unknown")
    return reasons


def _last(values: Floats) -> float:
    valid = values[np.isfinite(values)]
    return float(valid[-1]) if valid.size else np.nan


def _or_zero(values: Integers | None, length: int) -> Integers:
    return np.zeros(length, dtype=np.int64) if values is None else values
