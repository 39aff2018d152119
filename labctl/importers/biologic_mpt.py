"""BioLogic's text export (`.mpt` of EC-Lab and BT-Lab).

The file begins with its kind and the number of its heading lines; the last of these names the columns,
separated by tabs; numbers have the decimal sign of the computer that exported them. Current is in mA and
positive where the working electrode is oxidised, which charges a cell whose working electrode is the cathode;
-Im(Z) is given, and turned here. `mode` is 1 while the current is controlled, 2 while the voltage is, 3 at
rest; rows with a frequency above 0 are points of a spectrum, all others are samples.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labctl.importers.biologic_heading import Heading, read_heading
from labctl.importers.generic_csv import sweeps
from labctl.importers.rows import FileRows, Floats, Integers
from labctl.importers.table import Kind, read_columns
from labctl.importers.text import TextFile, line_error

_ENCODING = "cp1252"


@dataclass(frozen=True)
class _Quantity:
    """Where a quantity may stand, by preference, and what its numbers are divided by."""

    headings: tuple[str, ...]
    over: float = 1.0
    kind: Kind = "number"


_DEGREES = (
    "Temperature/\N{DEGREE SIGN}C",
    "Temperature/C",
    "Temperature/\N{LATIN SMALL LETTER O WITH STROKE}C",
)
_QUANTITIES = {
    "test_time_second": _Quantity(("time/s",), kind="required_number"),
    "voltage_volt": _Quantity(("Ecell/V", "Ewe-Ece/V", "<Ewe>/V", "Ewe/V")),
    "current_ampere": _Quantity(("<I>/mA", "I/mA"), over=1e3),
    "frequency_hertz": _Quantity(("freq/Hz",)),
    "real_impedance_ohm": _Quantity(("Re(Z)/Ohm",)),
    "imaginary_impedance_ohm": _Quantity(("-Im(Z)/Ohm",), over=-1.0),
    "temperature_t1_celsius": _Quantity(_DEGREES),
    "mode": _Quantity(("mode",), kind="integer"),
    "sequence": _Quantity(("Ns",), kind="integer"),
    "half_cycle": _Quantity(("half cycle",), kind="integer"),
    "cycle_count": _Quantity(("cycle number",), kind="integer"),
    "spectrum_cycle": _Quantity(("z cycle",), kind="integer"),
    "status": _Quantity(("error",), kind="integer"),
}
_FLOATS = (
    "voltage_volt",
    "current_ampere",
    "frequency_hertz",
    "real_impedance_ohm",
    "imaginary_impedance_ohm",
    "temperature_t1_celsius",
)
_CURRENT_CONTROLLED, _VOLTAGE_CONTROLLED, _RESTING = 1, 2, 3


def read_mpt(path: Path) -> FileRows:
    """The rows of an `.mpt` file.

    Raises:
        ConfigurationError: names file, line, field and what is allowed.
    """
    file = TextFile(path, _ENCODING)
    heading, rows = read_heading(file, file.lines())
    places = _places(heading.columns)
    _require(path, heading, places)
    wanted: dict[int, Kind] = {place: _QUANTITIES[name].kind for name, place in places.items()}
    columns, numbers = read_columns(
        file, rows, heading.columns, wanted, separator="\t", decimal=heading.decimal, quoted=False
    )
    found = {name: _in_our_units(name, columns[place]) for name, place in places.items()}
    values = {name: found[name] for name in _FLOATS if name in found}
    spectral = values["frequency_hertz"] > 0 if "frequency_hertz" in values else np.zeros(len(numbers), bool)
    if "current_ampere" not in values:  # open circuit: the file has no column for what is 0
        values["current_ampere"] = np.zeros(len(numbers))
    unit, amplitudes = heading.amplitude(found.get("sequence"), len(numbers))
    values["amplitude_rms"] = np.where(spectral, amplitudes, np.nan)
    voltage = heading.columns[places["voltage_volt"]]
    return FileRows(
        path=path,
        sha256=file.sha256,
        format="mpt",
        technique=heading.technique,
        line_number=numbers,
        test_time_second=found["test_time_second"],
        columns=values,
        is_impedance=spectral if spectral.any() else None,
        spectrum_key=_spectrum_key(found, values, spectral) if spectral.any() else None,
        impedance_kind="geis" if unit == "A" else "peis",
        amplitude_unit=unit,
        step_key=_step_key(found),
        step_type=_step_types(found, values["current_ampere"]),
        cycle_count=found.get("cycle_count"),
        status=found.get("status"),
        start_unix_second=heading.start_unix_second,
        devices={"cycler": heading.device},
        about={"heading": list(heading.lines), "voltage_column": voltage},
        notices=list(heading.notices),
    )


def _places(headings: Sequence[str]) -> dict[str, int]:
    """Where each quantity stands: the first of its headings that the file has."""
    places = {}
    for name, quantity in _QUANTITIES.items():
        found = [headings.index(heading) for heading in quantity.headings if heading in headings]
        if found:
            places[name] = found[0]
    return places


def _require(path: Path, heading: Heading, places: Mapping[str, int]) -> None:
    needed = ["test_time_second", "voltage_volt"]
    if heading.technique != "ocv":
        needed.append("current_ampere")
    impedance = ("frequency_hertz", "real_impedance_ohm", "imaginary_impedance_ohm")
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


def _in_our_units(name: str, values: NDArray[Any]) -> NDArray[Any]:
    over = _QUANTITIES[name].over
    return values if over == 1.0 else values / over


def _step_key(found: Mapping[str, NDArray[Any]]) -> Integers | None:
    """A number that changes with sequence, control and half cycle; None if the file says none of it."""
    parts = [found[name] for name in ("sequence", "mode", "half_cycle") if name in found]
    if not parts or "mode" not in found:
        return None
    return np.unique(np.stack(parts), axis=1, return_inverse=True)[1].ravel().astype(np.int64)


def _spectrum_key(
    found: Mapping[str, NDArray[Any]], values: Mapping[str, Floats], spectral: NDArray[np.bool_]
) -> Integers:
    parts = [sweeps(values["frequency_hertz"], spectral)]
    parts += [found[name] for name in ("sequence", "cycle_count", "spectrum_cycle") if name in found]
    return np.unique(np.stack(parts), axis=1, return_inverse=True)[1].ravel().astype(np.int64)


def _step_types(found: Mapping[str, NDArray[Any]], current: Floats) -> NDArray[Any] | None:
    """What `mode` and the sign of the current say; "" where there is no current to tell the direction."""
    mode = found.get("mode")
    if mode is None:
        return None
    types = np.array([""] * len(mode), dtype=object)
    types[mode == _RESTING] = "rest"
    for control, name in ((_CURRENT_CONTROLLED, "cc"), (_VOLTAGE_CONTROLLED, "cv")):
        types[(mode == control) & (current > 0)] = f"{name}_charge"
        types[(mode == control) & (current < 0)] = f"{name}_discharge"
    return types
