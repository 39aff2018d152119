from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labctl.live.model.run_model import RunModel
from labctl.live.model.status import describe
from labctl.runs.listing import find_run
from labctl.runs.summary import status_of_stop


def model_of(documents: Any) -> RunModel:
    model = RunModel()
    for name, doc in documents:
        model.feed(name, doc)
    return model


def status_of(model: RunModel, age: float = 0.0, **options: Any) -> Any:
    now = (model.last_data_unix_second or 0.0) + age
    return describe(model, now_unix_second=now, **options)


def alarm(uid: str) -> list[tuple[str, dict[str, Any]]]:
    row = {"kind": "over_voltage", "source": "cycler", "action": "circuit opened", "value": 4.4, "limit": 4.3}
    return [
        ("descriptor", {"uid": f"{uid}-alarms", "name": "alarms"}),
        ("event", {"descriptor": f"{uid}-alarms", "seq_num": 1, "time": 1.0, "data": row}),
    ]


def test_curves_are_the_data_that_were_fed(gitt: Any) -> None:
    model = model_of(gitt.documents())
    np.testing.assert_array_equal(model.timeseries.time, gitt.time)
    np.testing.assert_array_equal(model.timeseries.values("voltage_volt"), gitt.voltage)
    np.testing.assert_array_equal(model.timeseries.values("current_ampere"), gitt.current)


def test_single_events_give_the_same_curves_as_pages(make_gitt: Any) -> None:
    run = make_gitt(1)
    documents = []
    for name, doc in run.documents():
        if name != "event_page":
            documents.append((name, doc))
            continue
        for number, seq_num in enumerate(doc["seq_num"]):
            data = {key: column[number] for key, column in doc["data"].items()}
            event = {
                "descriptor": doc["descriptor"],
                "seq_num": seq_num,
                "time": doc["time"][number],
                "data": data,
            }
            documents.append(("event", event))
    model = model_of(documents)
    np.testing.assert_array_equal(model.timeseries.values("voltage_volt"), run.voltage)
    assert model.progress.step_count == 2


def test_the_number_of_steps_is_kept(gitt: Any) -> None:
    assert model_of(gitt.documents()).progress.steps_done == 40


def test_identity_names_plan_cell_and_coating(gitt: Any, make_rate_test: Any) -> None:
    coated = model_of([("start", gitt.start)])
    bare = model_of([("start", make_rate_test(cell={"id": "bare-1", "coating": None}).start)])
    assert (coated.plan_name, coated.cell_id, coated.coating) == ("gitt", "lic-ncm-1", "Li3InCl6 3 wt%")
    assert status_of(coated).title == "gitt · lic-ncm-1, Li3InCl6 3 wt%"
    assert status_of(bare).title == "rate_test · bare-1, uncoated"


@pytest.mark.parametrize(
    "start", [{"uid": "abcd"}, {"uid": "abcd", "cell": None}, {"uid": "abcd", "cell": "pellet 3"}]
)
def test_a_start_document_without_a_cell_record_is_shown_all_the_same(start: dict[str, Any]) -> None:
    status = status_of(model_of([("start", start)]))
    assert status.state == "running"
    assert status.title in ("", "pellet 3")


def test_a_running_run_tells_step_progress_values_and_age(gitt: Any) -> None:
    status = status_of(model_of(gitt.unfinished(25)), age=3.0)
    assert status.state == "running"
    assert status.detail == "step 25 of 40 · CC charge · cycle 0"
    assert status.progress.startswith("60 % · 26 h 10 min of 43 h 20 min · 17 h 10 min of cell time left")
    assert [(value.label, value.unit) for value in status.values] == [
        ("Voltage", "V"),
        ("Current (charge > 0)", "µA"),
    ]
    assert status.age == "data 3.0 s old"


def test_data_older_than_the_run_has_been_used_to_are_stale(gitt: Any, make_gitt: Any) -> None:
    quick = model_of(gitt.unfinished(25))
    slow = model_of(make_gitt(4, pace=1.0).unfinished(4))  # a page every few minutes
    assert status_of(quick, age=20).state == "running"
    assert status_of(quick, age=40).state == "stale"
    assert status_of(slow, age=600).state == "running"
    assert status_of(slow, age=40_000).state == "stale"


def test_a_run_whose_writer_is_gone_is_interrupted_not_stale(gitt: Any) -> None:
    model = model_of(gitt.unfinished(5))
    assert status_of(model, age=1e6, writer_alive=False).state == "interrupted"


def test_a_pause_is_shown_until_it_is_over(gitt: Any) -> None:
    model = model_of(gitt.unfinished(5))
    model.feed("descriptor", {"uid": "i", "name": "interruptions"})
    for word, state in (("pause", "paused"), ("resume", "running")):
        event = {"descriptor": "i", "seq_num": 1, "time": 1.0, "data": {"interruption": word}}
        model.feed("event", event)
        assert status_of(model).state == state


@pytest.mark.parametrize(
    ("exit_status", "state"),
    [("success", "finished"), ("abort", "aborted"), ("fail", "failed"), ("", "failed")],
)
def test_the_stop_document_says_how_a_run_ended_as_the_list_of_runs_does(
    tmp_path: Path, make_gitt: Any, write_run: Any, exit_status: Any, state: str
) -> None:
    assert status_of_stop({"exit_status": exit_status}) == state
    directory = write_run(tmp_path, make_gitt(1, exit_status=exit_status or "fail").documents())
    assert find_run(tmp_path, directory.name).status == state


def test_a_failed_run_tells_why(make_gitt: Any) -> None:
    run = make_gitt(1, exit_status="fail", reason="no reply from /dev/ttyACM0 within 2 s")
    status = status_of(model_of(run.documents()), age=7200)
    assert (status.state, status.warning) == ("failed", "no reply from /dev/ttyACM0 within 2 s")
    assert status.detail == "2 steps · 446 points"
    assert status.age.startswith("ended 2 h")


def test_a_replay_tells_no_age_and_its_own_pace(gitt: Any) -> None:
    model = model_of(gitt.unfinished(25))
    status = status_of(model, age=1e7, replay_title="Replay of 3f2a8c1d", replay_speed=1000.0)
    assert (status.state, status.age) == ("replay", "")
    assert status.progress.endswith("done in 1 min 2 s")
    assert status.title.endswith("Replay of 3f2a8c1d")


def test_a_trip_outranks_running_and_failed_until_somebody_acknowledges_it(gitt: Any) -> None:
    model = model_of(gitt.unfinished(3))
    rows = [("descriptor", {"uid": "a", "name": "alarms"})]
    for number, kind in enumerate(("trip", "acknowledged"), start=1):
        event = {"descriptor": "a", "seq_num": number, "time": 1.0, "data": {"kind": kind, "source": "guard"}}
        rows.append(("event", event))
    for name, doc in rows[:2]:
        model.feed(name, doc)
    assert status_of(model).state == "tripped"
    model.feed(*rows[2])
    assert status_of(model).state == "running"
    model.feed(*rows[1])
    model.feed("stop", {"exit_status": "fail", "reason": "over_voltage"})
    assert status_of(model).state == "tripped"


def test_spectra_are_counted_in_the_status_of_an_ended_run(gitt: Any) -> None:
    model = model_of(gitt.documents())
    model.feed("descriptor", {"uid": "z", "name": "impedance"})
    row = {"test_time_second": 1.0, "frequency_hertz": 1.0, "real_impedance_ohm": 1.0, "spectrum_count": 1}
    model.feed("event", {"descriptor": "z", "seq_num": 1, "time": 1.0, "data": row})
    model.settle()
    assert status_of(model).detail.endswith("points · 1 spectrum")


def test_alarms_and_damage_are_told(gitt: Any) -> None:
    model = model_of([*gitt.unfinished(3), *alarm(gitt.uid)])
    warning = status_of(model, damaged=2).warning
    assert (
        warning == "alarm: over_voltage cycler: circuit opened · 2 damaged stretches of the journal skipped"
    )


def test_temperature_and_pressure_join_the_values_when_there_are_any(gitt: Any) -> None:
    model = model_of(gitt.unfinished(3))
    row = {"test_time_second": 1.0, "temperature_t1_celsius": 59.96, "surface_pressure_pa": 50.04e6}
    model.feed("descriptor", {"uid": "e", "name": "environment"})
    model.feed("event", {"descriptor": "e", "seq_num": 1, "time": 1.0, "data": row})
    texts = [f"{value.number} {value.unit}" for value in status_of(model).values[2:]]
    assert texts == ["60.0 °C", "50.0 MPa"]


def test_empty_pages_and_unknown_streams_change_nothing(gitt: Any) -> None:
    model = model_of(gitt.unfinished(1))
    rows = len(model.timeseries)
    model.feed("event_page", {"descriptor": f"{gitt.uid}-timeseries", "seq_num": [], "time": [], "data": {}})
    model.feed("event", {"descriptor": "nobody", "seq_num": 1, "time": 1.0, "data": {"x": 1}})
    assert len(model.timeseries) == rows
