"""`labctl analyze`: results with their conditions, from a stored run."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labctl.commands.chosen import chosen_data, show, write_json
from labctl.errors import ConfigurationError
from labctl.schema import CYCLE_COUNT, IMPEDANCE, STEP_COUNT, STEPS

if TYPE_CHECKING:
    from rich.console import RenderableType

    from labctl.documents import RunTables
    from labctl.records.cell import Cell

Analysis = tuple[dict[str, Any], "Callable[[], RenderableType]"]  # as JSON, and what makes the table


def analyze_stored(reference: str, data: Path | None, *, as_json: bool) -> int:
    """Analyse a run by what was measured in it and print the table, or JSON.

    Raises:
        ConfigurationError: there is no analysis of what the run measured.
    """
    from labctl.analysis.conditions import conditions_of
    from labctl.analysis.result_text import without_nan
    from labctl.documents import tables
    from labctl.store.client.store import Store

    store = Store(chosen_data(data))
    uid = store.resolve(reference)
    run = tables(store.documents(uid))
    plan = str(run.start.get("plan_name", "unknown"))
    analyze = _BY_PLAN.get(plan, _other(run))
    if analyze is None:
        known = f"{', '.join(sorted(_BY_PLAN))}, or any run with impedance spectra or cycles"
        raise ConfigurationError("labctl analyze", "plan of the run", plan, known)
    try:
        with _quiet_arithmetic():
            plain, table = analyze(run)
    except KeyError as error:
        needed = f"{error} was not recorded, which the analysis of {plan} needs"
        raise ConfigurationError("labctl analyze", "run", uid, needed) from error
    conditions = conditions_of(run)
    if as_json:
        write_json({"uid": uid, "conditions": without_nan(asdict(conditions)), **plain})
        return 0
    show(table(), conditions.describe())
    return 0


@contextmanager
def _quiet_arithmetic() -> Iterator[None]:
    """What overflows in a bad spectrum or pulse is told with the results, not by warnings in between."""
    import numpy as np

    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", np.exceptions.RankWarning)
        yield


def _other(run: RunTables) -> Callable[[RunTables], Analysis] | None:
    """The analysis of a run by a plan that has none of its own, by what is in it."""
    has_spectra = bool(len(run.stream(IMPEDANCE.name).get(STEP_COUNT, ())))
    if "imported" in run.start:
        pulsed = len(run.stream(STEPS.name).get(STEP_COUNT, ())) > 1
        return _impedance if has_spectra and not pulsed else _gitt
    if has_spectra:
        return _impedance
    cycles = run.stream(STEPS.name).get(CYCLE_COUNT, ())
    return _cycling if len(cycles) and int(max(cycles)) > 0 else None


def _recorded_cell(run: RunTables) -> Cell:
    """The cell record in the start document.

    Raises:
        ConfigurationError: there is none, or it is not whole.
    """
    from labctl.records.cell import Cell
    from labctl.records.loader import validate_record

    return validate_record(run.start.get("cell") or {}, Cell, where="start document, cell")


def _gitt(run: RunTables) -> Analysis:
    from labctl.analysis.gitt.analysis import analyze_run
    from labctl.analysis.gitt.results import result_table

    found = analyze_run(run)
    return found.to_dict(), lambda: result_table(found)


def _impedance(run: RunTables) -> Analysis:
    from labctl.analysis.impedance.analysis import analyze_impedance, impedance_table

    found = analyze_impedance(run, _recorded_cell(run))
    return found.to_dict(), lambda: impedance_table(found)


def _conductivity(run: RunTables) -> Analysis:
    from labctl.analysis.conduction.conductivity import analyze_conductivity, conductivity_table

    found = analyze_conductivity(run, _recorded_cell(run))
    return found.to_dict(), lambda: conductivity_table(found)


def _tortuosity(run: RunTables) -> Analysis:
    from labctl.analysis.conduction.tortuosity import analyze_tortuosity, tortuosity_table

    found = analyze_tortuosity(run, _recorded_cell(run))
    return found.to_dict(), lambda: tortuosity_table(found)


def _polarization(run: RunTables) -> Analysis:
    from labctl.analysis.conduction.polarization import analyze_polarization, polarization_table

    found = analyze_polarization(run, _recorded_cell(run))
    return found.to_dict(), lambda: polarization_table(found)


def _ici(run: RunTables) -> Analysis:
    from labctl.analysis.ici import analyze_ici, ici_table

    found = analyze_ici(run)
    return found.to_dict(), lambda: ici_table(found)


def _dcir(run: RunTables) -> Analysis:
    from labctl.analysis.dcir import analyze_dcir, dcir_table

    found = analyze_dcir(run)
    return found.to_dict(), lambda: dcir_table(found)


def _cycling(run: RunTables) -> Analysis:
    from labctl.analysis.cycling.cycles import analyze_cycles, cycling_table

    found = analyze_cycles(run)
    return found.to_dict(), lambda: cycling_table(found)


_BY_PLAN: dict[str, Callable[[RunTables], Analysis]] = {
    "gitt": _gitt,
    "ici": _ici,
    "dcir": _dcir,
    "formation": _cycling,
    "rate_test": _cycling,
    "cycle_life": _cycling,
    "impedance_spectrum": _impedance,
    "conductivity_sweep": _conductivity,
    "tortuosity": _tortuosity,
    "dc_polarization": _polarization,
}
