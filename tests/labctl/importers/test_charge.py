"""What charge is counted of a file whose clock or rows are damaged: never more than is known of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labctl.analysis.cycling.cycles import analyze_cycles
from labctl.documents import RunTables
from labctl.importers.rows import FileRows
from labctl.importers.run import import_file
from labctl.importers.streams import ImportedStreams, streams_of
from labctl.importers.timeline import LATE_ROWS
from labctl.journal.reader import follow
from labctl.live.model.charge import ChargeCounter
from tests.labctl.importers.test_timeline import rows_of

CURRENT = 1e-3
Array = np.ndarray[Any, Any]


def schedule(*parts: tuple[float, float]) -> Array:
    """Times of rows: (cadence, until) one after another."""
    times = [np.zeros(1)]
    for cadence, until in parts:
        times.append(np.arange(times[-1][-1] + cadence, until + 1e-6, cadence))
    return np.concatenate(times)


def joined(steps: list[Array], currents: list[float], gap_second: float = 1e-3) -> dict[str, Array]:
    """Steps one after another on one clock; voltages follow a smooth curve of time."""
    begins = np.cumsum([0.0, *(times[-1] + gap_second for times in steps[:-1])])
    time = np.concatenate([begin + times for begin, times in zip(begins, steps, strict=True)])
    lengths = [len(times) for times in steps]
    return {
        "time": time,
        "current": np.repeat(currents, lengths),
        "step": np.repeat(np.arange(1, len(steps) + 1), lengths),
        "volt": 3.0 + 0.3 * np.sin(time / time[-1] * 5.0) + time * 1e-9,
    }


def by_voltage(curve: Callable[[Array], Array], length: float, volt: float) -> Array:
    """Times at which a voltage has moved by `volt` since the last row, sampled every 0.1 s; and the end."""
    time = np.arange(0.0, length + 0.05, 0.1)
    values, kept = curve(time), [0]
    for place in range(len(time)):
        if abs(values[place] - values[kept[-1]]) >= volt:
            kept.append(place)
    return time[np.unique([*kept, len(time) - 1])]


def plateau(time: Array) -> Array:
    """Steep, then flat for hours, then steep: as a two-phase electrode."""
    return 3.0 + 0.2 * np.tanh((time - 100.0) / 60.0) + 0.3 / (1 + np.exp(-(time - 12_000.0) / 90.0))


def as_rows(data: dict[str, Array], **more: Any) -> FileRows:
    return rows_of(
        data["time"].copy(), data["current"], data["volt"], step_key=data["step"].astype(np.int64), **more
    )


def charge_coulomb(imported: ImportedStreams) -> float:
    steps = imported.streams["steps"]
    both = steps["step_charging_capacity_ah"] + steps["step_discharging_capacity_ah"]
    return float(np.nansum(both)) * 3600


def plain_coulomb(data: dict[str, Array]) -> float:
    """Trapezoids within steps."""
    same = np.diff(data["step"]) == 0
    middle = np.abs(data["current"][1:] + data["current"][:-1]) / 2
    return float((middle * np.diff(data["time"]))[same].sum())


FINE = (0.2, 10.0), (5.0, 600.0)
COARSE = (0.2, 10.0), (5.0, 300.0), (600.0, 6300.0)
CLEAN = {
    "one cadence": joined([schedule((10.0, 3600.0))] * 4, [CURRENT, 0, -CURRENT, 0]),
    "0.2 s, 5 s, 600 s": joined([schedule(*COARSE)] * 4, [CURRENT, 0, -CURRENT, 0]),
    "600 s only once at an end": joined([schedule(*COARSE), schedule(*FINE, (600.0, 1200.0))], [0, CURRENT]),
    "5 s only once at an end": joined([schedule((0.2, 10.0), (5.0, 15.0)), schedule(*FINE)], [CURRENT, 0]),
    "pulses and rests": joined([schedule(*FINE), schedule(*COARSE)] * 5, [CURRENT, 0] * 5),
    "two rows a step": joined([np.array([0.0, 3600.0])] * 3, [CURRENT, 0, -CURRENT]),
    "three rows a step": joined([np.array([0.0, 0.1, 3600.0])] * 3, [CURRENT, 0, -CURRENT]),
    "twice at each time": joined([np.repeat(schedule((60.0, 3600.0)), 2)] * 2, [CURRENT, -CURRENT]),
    "pairs of rows": joined(
        [np.sort([*schedule((60.0, 3600.0)), *schedule((60.0, 3600.0)) + 0.01])], [CURRENT]
    ),
    "a constant voltage": joined([np.geomspace(1.0, 4e4, 60) - 1.0], [CURRENT]),
}
HABIT = np.cumsum(np.where(np.arange(3000) % 50 == 49, 30.0, 1.0))
CLEAN["a logger that stops for 30 s every 50 rows"] = joined([HABIT - 1.0], [CURRENT])
SILENT = by_voltage(plateau, 13_000.0, 5e-3)
CLEAN["by voltage, silent for hours"] = joined([SILENT], [CURRENT]) | {"volt": plateau(SILENT)}


@pytest.mark.parametrize("name", CLEAN)
def test_a_clean_file_keeps_its_charge(name: str) -> None:
    data = CLEAN[name]
    rows = as_rows(data)
    imported = streams_of(rows)
    begins = abs(data["current"][1:][np.diff(data["step"]) > 0]).sum() * 1e-3  # up to the first row of a step
    assert charge_coulomb(imported) == pytest.approx(plain_coulomb(data) + begins, rel=1e-9)
    assert imported.gaps == []
    assert not [notice for notice in rows.notices if "not counted" in notice]


def test_the_schedule_of_voltages_is_silent_where_it_matters() -> None:
    distances = np.diff(SILENT)
    assert distances.max() > 100 * np.median(distances)


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from([0.1, 1.0, 5.0]), st.integers(8, 60), st.sampled_from([1, 2, 20, 100])),
        min_size=1,
        max_size=6,
    ),
    st.booleans(),
)
def test_any_schedule_that_grows_coarser_keeps_its_charge(
    steps: list[tuple[float, int, int]], with_keys: bool
) -> None:
    times = [
        np.concatenate([np.arange(n) * fine, n * fine + np.arange(n) * fine * times])
        for fine, n, times in steps
    ]
    currents = [CURRENT * (-1) ** number for number in range(len(times))]
    data = joined(times, currents)
    rows = rows_of(data["time"], data["current"], data["volt"])
    if with_keys:
        rows.step_key = data["step"].astype(np.int64)
    begins = 1e-3 * CURRENT * (len(times) - 1)
    assert charge_coulomb(streams_of(rows)) == pytest.approx(plain_coulomb(data) + begins, rel=1e-6)


def test_a_clock_that_says_0_in_the_first_row_of_each_step_is_not_integrated() -> None:
    data = joined([schedule((100.0, 10_000.0))] * 20, [0.1, -0.1] * 10, gap_second=100.0)
    right = charge_coulomb(streams_of(as_rows(data)))
    first = np.flatnonzero(np.diff(data["step"])) + 1
    data["time"] = data["time"].copy()
    data["time"][first] = 0.0
    rows = as_rows(data)
    imported = streams_of(rows)
    assert charge_coulomb(imported) == pytest.approx(right, rel=0.01)
    assert imported.gaps == []
    assert len(imported.streams["timeseries"]["voltage_volt"]) == len(data["time"])  # no row is lost
    (told,) = [notice for notice in rows.notices if "whose time cannot be" in notice]
    assert told.startswith("19 row(s)")


def test_a_real_restart_at_every_step_is_joined() -> None:
    steps = [schedule(*FINE), schedule(*COARSE)] * 4
    data = joined(steps, [CURRENT, 0] * 4)
    right = charge_coulomb(streams_of(as_rows(data)))
    data["time"] = np.concatenate(steps)
    imported = streams_of(as_rows(data))
    assert len(imported.gaps) == 7
    assert charge_coulomb(imported) == pytest.approx(right, rel=1e-3)


@pytest.mark.parametrize("row", [30, 59, 60, 61, 90, 118])
@pytest.mark.parametrize("time", [0.0, 3.0, 77.7, 599.0, 1e4, 1e9])
def test_one_wrong_time_costs_no_more_than_its_own_row(row: int, time: float) -> None:
    check_one_wrong_time(
        joined([schedule((10.0, 590.0))] * 2, [CURRENT, -CURRENT], gap_second=10.0), row, time
    )


@settings(deadline=None, max_examples=300)
@given(st.data())
def test_no_wrong_time_costs_more_than_its_own_row_and_few_beside_it(draw: st.DataObject) -> None:
    """Where the cadence changes beside it, a time that is little ahead may take the next rows with it."""
    cadences = draw.draw(st.lists(st.sampled_from([0.2, 1.0, 5.0, 60.0]), min_size=1, max_size=3))
    steps = [schedule((cadence, 80 * cadence)) for cadence in cadences]
    data = joined(steps, [CURRENT * (-1) ** n for n in range(len(steps))], gap_second=cadences[0])
    row = draw.draw(st.integers(1, len(data["time"]) - 2))
    near = data["time"][row] + draw.draw(st.floats(-20, 20)) * cadences[0]
    time = draw.draw(
        st.one_of(st.floats(0, 1e7), st.just(max(near, 0.0)), st.sampled_from(data["time"].tolist()))
    )
    check_one_wrong_time(data, row, float(time), rows=1 + LATE_ROWS)


def check_one_wrong_time(data: dict[str, Array], row: int, time: float, rows: int = 1) -> None:
    right = charge_coulomb(streams_of(as_rows(data)))
    after = min(row + rows, len(data["time"]) - 1)
    share = CURRENT * float(data["time"][after] - data["time"][row - 1])
    wrong = {**data, "time": data["time"].copy()}
    wrong["time"][row] = time
    imported = streams_of(as_rows(wrong))
    assert abs(charge_coulomb(imported) - right) <= 2 * share * (1 + 1e-9)
    assert len(imported.streams["timeseries"]["voltage_volt"]) == len(data["time"])


def paused(current: float = CURRENT, pause: float = 8 * 3600.0) -> dict[str, Array]:
    """Rows every 10 s for an hour, but for one pause of the logging amid them."""
    data = joined([schedule((10.0, 3600.0))] * 2, [current, -CURRENT])
    data["time"][180:] += pause
    return data


def test_a_pause_of_the_logging_while_current_flowed_is_told_and_never_integrated() -> None:
    data = paused()
    rows = as_rows(data)
    imported = streams_of(rows)
    known = plain_coulomb(data) - CURRENT * (8 * 3600.0 + 10.0)
    assert charge_coulomb(imported) == pytest.approx(known, rel=1e-4)
    (told,) = [notice for notice in rows.notices if "not counted" in notice]
    assert "28810 s before line 182 (test time 1790.000 s to 30600.000 s)" in told
    assert "at most 10 s apart" in told
    assert "8.003 mAh if the current flowed on" in told
    (gap,) = imported.gaps
    assert (gap.line, gap.jump_second, gap.test_time_second) == (182, 28810.0, 30600.0)
    assert list(imported.streams["steps"]["step_type"]) == ["cc_charge", "cc_charge", "cc_discharge"]


def test_nobody_who_integrates_the_imported_run_counts_the_pause() -> None:
    data = paused()
    imported = streams_of(as_rows(data, cycle_count=np.ones(len(data["time"]), dtype=np.int64)))
    known = plain_coulomb(data) - CURRENT * (8 * 3600.0 + 10.0)
    series, steps = imported.streams["timeseries"], imported.streams["steps"]
    types = dict(zip(steps["step_count"].tolist(), steps["step_type"].tolist(), strict=True))
    counter = ChargeCounter()
    net = counter.take(series["test_time_second"], series["current_ampere"], series["step_count"], types)
    moved = float(np.abs(np.diff(net)).sum()) * 3600
    assert moved == pytest.approx(known, rel=1e-4)
    samples_alone = RunTables({"uid": "r"}, {"exit_status": "success"}, {"timeseries": series})
    (cycle,) = analyze_cycles(samples_alone).cycles
    both = cycle.charge_capacity_ah + cycle.discharge_capacity_ah
    assert both * 3600 == pytest.approx(known, rel=1e-4)


def test_a_pause_of_the_logging_in_a_rest_neither_counts_nor_parts_the_rest() -> None:
    data = paused(current=2e-7)  # the instrument's offset
    rows = as_rows(data)
    imported = streams_of(rows)
    assert imported.gaps == []
    assert list(imported.streams["steps"]["step_type"]) == ["rest", "cc_discharge"]
    known = plain_coulomb(data) - 2e-7 * (8 * 3600.0 + 10.0)
    assert charge_coulomb(imported) == pytest.approx(known, rel=1e-4)


def test_a_clock_that_goes_on_from_a_wrong_time_leaves_a_gap() -> None:
    data = joined([schedule((10.0, 3600.0))], [CURRENT])
    data["time"][100:110] += 1e6  # ten rows ahead; then the clock is back
    rows = as_rows(data)
    imported = streams_of(rows)
    assert charge_coulomb(imported) == pytest.approx(plain_coulomb(CLEAN["one cadence"]) / 2, rel=0.02)
    assert any("not counted" in notice for notice in rows.notices)
    assert any("the clock steps back" in notice for notice in rows.notices)


def test_readings_without_a_current_for_hours_are_a_pause_too() -> None:
    data = joined([schedule((10.0, 3600.0))], [CURRENT])
    data["current"] = data["current"].copy()
    data["current"][100:300] = np.nan
    imported = streams_of(as_rows(data))
    assert charge_coulomb(imported) == pytest.approx(CURRENT * (3600.0 - 2010.0), rel=1e-6)


def test_a_step_time_that_begins_before_the_step_moves_no_charge() -> None:
    data = joined([schedule((10.0, 3600.0))] * 2, [CURRENT, -CURRENT])
    within = np.concatenate([schedule((10.0, 3600.0))] * 2)
    within[0], within[361] = 1e7, 1e7
    rows = as_rows(data, step_time_second=within)
    assert charge_coulomb(streams_of(rows)) == pytest.approx(plain_coulomb(data), rel=1e-3)
    assert any("began long before their first row" in notice for notice in rows.notices)


def test_the_import_writes_what_it_tells_into_the_run(tmp_path: Path) -> None:
    data = paused()
    lines = [
        f"{t!r},{v!r},{i!r}"
        for t, v, i in zip(*(data[k].tolist() for k in ("time", "volt", "current")), strict=True)
    ]
    path = tmp_path / "paused.csv"
    path.write_text("\n".join(["Test Time / s,Voltage / V,Current / A", *lines, ""]))
    done = import_file(path, tmp_path / "data")
    assert any("the charge of that time is not known" in notice for notice in done.notices)
    documents = list(follow(next((tmp_path / "data" / "runs").glob("*/*")), live=False))
    (start,) = [doc for name, doc in documents if name == "start"]
    assert list(done.notices) == start["imported"]["notices"]
    alarms = [doc for name, doc in documents if name == "event" and doc["data"].get("kind") == "gap"]
    assert alarms[0]["data"]["value"] == pytest.approx(28810.0)
    assert alarms[0]["data"]["action"] == "paused.csv has no rows before line 182"
