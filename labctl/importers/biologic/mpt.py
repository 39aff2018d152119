"""BioLogic's text export (`.mpt` of EC-Lab and BT-Lab).

The file begins with its kind and the number of its heading lines; the last of these names the columns,
separated by tabs; numbers have the decimal sign of the computer that exported them. Current is in mA and
positive where the working electrode is oxidised, which charges a cell whose working electrode is the cathode;
-Im(Z) is given, and turned here. `mode` is 1 while the current is controlled, 2 while the voltage is, 3 at
rest; rows with a frequency above 0 are points of a spectrum, all others are samples. The programs write no
line end behind the last row.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labctl.importers.biologic.heading import Heading, elapsed_second, read_heading, started_at
from labctl.importers.generic_csv import sweeps
from labctl.importers.rows import FileRows, Floats, Integers
from labctl.importers.steps import current_class
from labctl.importers.table import Kind, read_columns
from labctl.importers.text import TextFile, line_error
from labctl.schema import (
    AMPLITUDE_RMS,
    CURRENT,
    CYCLE_COUNT,
    FREQUENCY,
    IMAGINARY_IMPEDANCE,
    REAL_IMPEDANCE,
    STATUS,
    TEMPERATURE,
    TEST_TIME,
    VOLTAGE,
)

_CURRENT_CONTROLLED, _VOLTAGE_CONTROLLED, RESTING = 1, 2, 3


def step_key(found: Mapping[str, NDArray[Any]], current: Floats) -> Integers | None:
    """A number that grows where control, sequence or half cycle change; None if the file says none of it.

    Half cycles are counted from the current's sign, one row late at times: a change right behind that of a
    sequence is the same one.
    """
    keys = [found[name] for name in ("sequence", "mode") if name in found]
    if not keys and "half_cycle" not in found:
        return None
    if "mode" not in found:
        keys.append(current_class(current))
    begins = _changes(keys, len(current))
    if "sequence_changes" in found:
        begins[1:] |= found["sequence_changes"][1:] != 0
    if "half_cycle" in found:
        turns = _changes([found["half_cycle"]], len(current))
        turns[1:] &= ~begins[:-1]
        begins |= turns
    return np.cumsum(begins).astype(np.int64)


def _changes(keys: Sequence[NDArray[Any]], rows: int) -> NDArray[np.bool_]:
    """Rows in which any of the columns differs from the row before."""
    changes = np.zeros(rows, dtype=bool)
    for key in keys:
        changes[1:] |= np.diff(key) != 0
    return changes


def spectrum_key(
    found: Mapping[str, NDArray[Any]], values: Mapping[str, Floats], spectral: NDArray[np.bool_]
) -> Integers:
    """A number that changes where a spectrum begins."""
    parts = [sweeps(values[FREQUENCY], spectral)]
    parts += [found[name] for name in ("sequence", CYCLE_COUNT, "spectrum_cycle") if name in found]
    return np.unique(np.stack(parts), axis=1, return_inverse=True)[1].ravel().astype(np.int64)


def step_types(found: Mapping[str, NDArray[Any]], current: Floats) -> NDArray[Any] | None:
    """What `mode` and the sign of the current say; "" where there is no current to tell the direction."""
    mode = found.get("mode")
    if mode is None:
        return None
    types = np.array([""] * len(mode), dtype=object)
    types[mode == RESTING] = "rest"
    for control, name in ((_CURRENT_CONTROLLED, "cc"), (_VOLTAGE_CONTROLLED, "cv")):
        types[(mode == control) & (current > 0)] = f"{name}_charge"
        types[(mode == control) & (current < 0)] = f"{name}_discharge"
    return types


_ENCODING = "cp1252"
_WHOLE_NUMBER = re.compile(r"[-+]?\d[.,]\d+E[-+]\d{3}", re.ASCII)  # exponents have three digits, always


@dataclass(frozen=True)
class _Quantity:
    """Where a quantity may stand, by preference, and what its numbers are divided by."""

    headings: tuple[str, ...]
    over: float = 1.0
    kind: Kind = "number"


_QUANTITIES = {
    TEST_TIME: _Quantity(("time/s",), kind="required_number"),
    VOLTAGE: _Quantity(("Ecell/V", "Ewe-Ece/V", "<Ewe-Ece>/V", "<Ewe>/V", "Ewe/V")),
    CURRENT: _Quantity(("<I>/mA", "I/mA"), over=1e3),
    FREQUENCY: _Quantity(("freq/Hz",)),
    REAL_IMPEDANCE: _Quantity(("Re(Z)/Ohm",)),
    IMAGINARY_IMPEDANCE: _Quantity(("-Im(Z)/Ohm",), over=-1.0),
    TEMPERATURE: _Quantity(("Temperature/\N{DEGREE SIGN}C",)),
    "mode": _Quantity(("mode",), kind="integer"),
    "sequence": _Quantity(("Ns",), kind="integer"),
    "sequence_changes": _Quantity(("Ns changes",), kind="integer"),
    "half_cycle": _Quantity(("half cycle",), kind="integer"),
    CYCLE_COUNT: _Quantity(("cycle number",), kind="integer"),
    "spectrum_cycle": _Quantity(("z cycle",), kind="integer"),
    STATUS: _Quantity(("error",), kind="integer"),
}
_FLOATS = (
    VOLTAGE,
    CURRENT,
    FREQUENCY,
    REAL_IMPEDANCE,
    IMAGINARY_IMPEDANCE,
    TEMPERATURE,
)
# Text exports that other programs have saved again have other characters for the degree sign.
_DEGREES = re.compile(r"Temperature/[^\x00-\x7f]{0,3}C")


def read_mpt(path: Path) -> FileRows:
    """The rows of an `.mpt` file.

    Raises:
        ConfigurationError: names file, line, field and what is allowed.
    """
    file = TextFile(path, _ENCODING, any_bytes=True, may_end_open=True)
    heading, lines = read_heading(file, file.lines())
    places = _places(heading.columns)
    _require(path, heading, places)
    notices = [*heading.notices, *_other_impedances(heading.columns, places)]
    wanted: dict[int, Kind] = {place: _QUANTITIES[name].kind for name, place in places.items()}
    if heading.gives_dates(places[TEST_TIME]):
        wanted[places[TEST_TIME]] = "text"
    rows = _whole_rows(file, lines, len(heading.columns), wanted, notices)
    columns, numbers = read_columns(
        file, rows, heading.columns, wanted, separator="\t", decimal=heading.decimal, quoted=False
    )
    time, start = _times(path, columns[places[TEST_TIME]], numbers, heading, notices)
    found = {name: _in_our_units(name, columns[place]) for name, place in places.items() if name != TEST_TIME}
    values = {name: found[name] for name in _FLOATS if name in found}
    spectral = values[FREQUENCY] > 0 if FREQUENCY in values else np.zeros(len(numbers), bool)
    if CURRENT not in values:
        values[CURRENT] = _no_current(path, heading, found.get("mode"), numbers)
    unit, amplitudes = heading.amplitude(found.get("sequence"), len(numbers))
    values[AMPLITUDE_RMS] = np.where(spectral, amplitudes, np.nan)
    voltage = heading.columns[places[VOLTAGE]]
    return FileRows(
        path=path,
        sha256=file.sha256,
        format="mpt",
        technique=heading.technique,
        line_number=numbers,
        test_time_second=time,
        columns=values,
        is_impedance=spectral if spectral.any() else None,
        spectrum_key=spectrum_key(found, values, spectral) if spectral.any() else None,
        impedance_kind="geis" if unit == "A" else "peis",
        amplitude_unit=unit,
        step_key=step_key(found, values[CURRENT]),
        step_type=step_types(found, values[CURRENT]),
        cycle_count=found.get(CYCLE_COUNT),
        status=found.get(STATUS),
        start_unix_second=start,
        devices={"cycler": heading.device},
        about={"heading": list(heading.lines), "voltage_column": voltage},
        notices=notices,
    )


def _whole_rows(
    file: TextFile, lines: Iterator[str], fields: int, wanted: Mapping[int, Kind], notices: list[str]
) -> Iterator[str]:
    """The rows without empty ones; the last one only if it cannot have been cut off."""
    empty = 0
    for line in lines:
        if not line.strip():
            empty += 1
        elif not file.ends_open or _is_whole(file, line.split("\t"), fields, wanted):
            yield line
        else:
            notices.append(f"line {file.line_number}, the last one, was left out: it may have been cut off")
    if empty:
        notices.append(f"{empty} empty line(s) between or behind the rows")


def _is_whole(file: TextFile, last: Sequence[str], fields: int, wanted: Mapping[int, Kind]) -> bool:
    """Whether nothing that is read can be missing from a row without line end."""
    if len(last) < fields:
        raise file.error("row", None, f"the file ends within it, after {len(last)} of {fields} fields")
    return fields - 1 not in wanted or _WHOLE_NUMBER.fullmatch(last[fields - 1]) is not None


def _times(
    path: Path, found: NDArray[Any], lines: Integers, heading: Heading, notices: list[str]
) -> tuple[Floats, float | None]:
    """Test time, and the wall time of its zero."""
    if found.dtype.kind != "O":
        return found, heading.start_unix_second
    if found.size and heading.start_unix_second is None:
        notices.extend(started_at(str(found[0]))[1])
    return elapsed_second(path, found, lines, "time/s")


def _other_impedances(columns: Sequence[str], places: Mapping[str, int]) -> list[str]:
    others = [name for name in columns if name.startswith(("Re(Zce)", "Re(Zwe-ce)"))]
    if REAL_IMPEDANCE not in places or not others:
        return []
    return [f"the impedance is that of the working electrode, Re(Z); not taken over: {', '.join(others)}"]


def _places(headings: Sequence[str]) -> dict[str, int]:
    """Where each quantity stands: the first of its headings that the file has."""
    headings = [_DEGREES.sub("Temperature/\N{DEGREE SIGN}C", heading) for heading in headings]
    places = {}
    for name, quantity in _QUANTITIES.items():
        found = [headings.index(heading) for heading in quantity.headings if heading in headings]
        if found:
            places[name] = found[0]
    return places


def _require(path: Path, heading: Heading, places: Mapping[str, int]) -> None:
    needed = [TEST_TIME, VOLTAGE]
    if heading.technique != "ocv" and "mode" not in places:
        needed.append(CURRENT)
    impedance = (FREQUENCY, REAL_IMPEDANCE, IMAGINARY_IMPEDANCE)
    if heading.technique in ("peis", "geis") or any(name in places for name in impedance):
        needed += impedance
    for name in needed:
        if name not in places:
            one_of = " or ".join(_QUANTITIES[name].headings)
            have = ", ".join(heading.columns[:30])
            allowed = f"is missing for {heading.technique}; the file has {have}"
            raise line_error(path, heading.columns_line, "heading", one_of, allowed)
    duplicates = {c for c in heading.columns if heading.columns.count(c) > 1}
    if twice := [c for c in duplicates if heading.columns.index(c) in places.values()]:
        raise line_error(path, heading.columns_line, "heading", twice[0], "is given twice")


def _no_current(path: Path, heading: Heading, mode: Integers | None, lines: Integers) -> Floats:
    """The current of a file at open circuit, which has no column for what is 0."""
    flowing = np.flatnonzero(mode != RESTING) if mode is not None and heading.technique != "ocv" else []
    if len(flowing):
        where, one_of = int(lines[flowing[0]]), " or ".join(_QUANTITIES[CURRENT].headings)
        raise line_error(path, where, "heading", one_of, "is missing, and by its mode this row is no rest")
    return np.zeros(len(lines))


def _in_our_units(name: str, values: NDArray[Any]) -> NDArray[Any]:
    over = _QUANTITIES[name].over
    return values if over == 1.0 else values / over
