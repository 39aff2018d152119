"""`labctl runs` and `labctl show` on a terminal of 80 columns: what names a run is never cut."""

from __future__ import annotations

from pathlib import Path

import event_model
import pytest

from labctl.commands.runs import show_run, show_runs
from labctl.journal.writer import Journal

NUMBER = {"source": "t", "dtype": "number", "dtype_numpy": "<f8", "shape": []}
TEXT = {"source": "t", "dtype": "string", "shape": []}
STEP = {
    "step_count": 12.0,
    "protocol_step": "2[0].0.resume",
    "step_type": "cc_discharge",
    "cycle_count": 1.0,
    "end_test_time_second": 4.1e5,
    "step_charging_capacity_ah": 0.0,
    "step_discharging_capacity_ah": 1.513167e-3,
    "end_voltage_volt": 2.3798,
    "end_reason": "interrupted",
}


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data directory, deep down, with one interrupted run of long names."""
    monkeypatch.setenv("COLUMNS", "80")
    data = tmp_path / ("deep" * 10) / "labctl-data"
    metadata = {
        "plan_name": "impedance_spectrum",
        "cell": {"id": "coated-ncm811-b07", "coating": {"material": "Li3InCl6"}},
        "station": {"name": "bench-by-the-window"},
    }
    run = event_model.compose_run(time=1.7e9, metadata=metadata)
    keys = {name: TEXT if isinstance(value, str) else NUMBER for name, value in STEP.items()}
    journal = Journal(data)
    journal("start", dict(run.start_doc))
    descriptor = run.compose_descriptor(name="steps", data_keys=keys)
    journal("descriptor", dict(descriptor.descriptor_doc))
    event = descriptor.compose_event(data=STEP, timestamps=dict.fromkeys(STEP, 0.0))
    journal("event", dict(event))
    journal.close()
    return data


def shown(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return [line.rstrip() for line in capsys.readouterr().out.splitlines()]


def test_plan_cell_and_state_are_whole_in_a_list_for_80_columns(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    show_runs(data, limit=5, as_json=False)
    _, heading, run, left_out, *_ = shown(capsys)
    assert heading.split() == ["uid", "started", "(UTC)", "plan", "cell", "state"]
    assert left_out == "(no room for: coating, station, points)"
    assert run.split()[1:] == [
        "2023-11-14",
        "22:13",
        "impedance_spectrum",
        "coated-ncm811-b07",
        "interrupted",
    ]
    assert len(run) <= 80


def test_a_wide_terminal_has_all_columns(
    data: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "140")
    show_runs(data, limit=5, as_json=False)
    _, heading, run, *_ = shown(capsys)
    assert heading.split() == [*"uid started (UTC) plan cell coating station state points".split()]
    assert "22:13" in run
    assert "bench-by-the-window" in run


def test_a_step_is_one_line_and_the_path_of_the_journal_is_whole(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    show_run("last", data, as_json=False)
    lines = shown(capsys)
    (journal,) = [line for line in lines if line.startswith("journal")]
    assert Path(journal.split()[1]).is_dir()
    step, left_out = lines[-2:]
    assert step.endswith("interrupted")
    assert "2[0].0.resume" in step
    assert len(step) <= 80
    assert left_out == "(no room for: cycle)"


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_every_number_is_whole_or_the_table_says_that_its_column_is_not_there(
    data: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    show_runs(data, limit=5, as_json=False)
    show_run("last", data, as_json=False)
    text = "\n".join(shown(capsys))
    assert "…" not in text
    for number in ("113.889", "1513.167", "2.3798"):
        assert number in text.split()
