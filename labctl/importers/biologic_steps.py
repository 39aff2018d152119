"""Steps and spectra of BioLogic's files, told from their columns of control, sequence and half cycle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labctl.importers.generic_csv import sweeps
from labctl.importers.rows import Floats, Integers
from labctl.importers.steps import current_class

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
    parts = [sweeps(values["frequency_hertz"], spectral)]
    parts += [found[name] for name in ("sequence", "cycle_count", "spectrum_cycle") if name in found]
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
