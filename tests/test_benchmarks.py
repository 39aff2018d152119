"""The page of `make bench`: figures, alternatives, goals, and what could not be measured."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import pytest

from benchmarks.__main__ import parse
from benchmarks.measurements import MEASUREMENTS, Measurement
from benchmarks.others.points import COLUMNS, point
from benchmarks.others_environment import INSTALLED, OtherToolError, run_other
from benchmarks.page import page, summary
from benchmarks.table import Beside, Goal, Row, beside, number
from labctl.schema import TIMESERIES

PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"
RATE = Row(
    "points to the journal",
    200_000.0,
    "points/s",
    "How many samples are safe.",
    (Beside("another", 20_000.0), Beside("a third", None, "not installed")),
    Goal(least=150_000),
)


def fails() -> list[Row]:
    raise OSError("no space left on device")


@pytest.mark.parametrize(
    ("goal", "value", "met"),
    [
        (Goal(least=10), 10.0, True),
        (Goal(least=10), 9.9, False),
        (Goal(most=2), 2.0, True),
        (Goal(most=2), 2.1, False),
        (Goal(65, 75), 70.0, True),
        (Goal(65, 75), 76.0, False),
        (Goal(most=2), math.nan, False),
        (Goal(), 5.0, None),
    ],
)
def test_a_goal_is_met_inside_its_bounds_only(goal: Goal, value: float, met: bool | None) -> None:
    assert goal.met(value) is met


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (228_411.6, "228 412"),
        (12.345, "12.3"),
        (0.0123, "0.0123"),
        (100.0, "100"),
        (5.59e-5, "5.59e-05"),
        (0.0, "0"),
    ],
)
def test_numbers_show_three_figures(value: float, text: str) -> None:
    assert number(value) == text


def test_a_row_has_a_line_for_each_alternative() -> None:
    first, second = RATE.lines()
    assert first == (
        "| points to the journal | 200 000 points/s | another | 20 000 points/s | 10 | >= 150 000 | yes |"
    )
    assert second == "|  |  | a third | not measured: not installed | - |  |  |"


def test_an_alternative_that_fails_says_why() -> None:
    found = beside("another", lambda: len(fails()))
    assert found == Beside("another", None, "OSError: no space left on device")


def test_a_measurement_that_fails_becomes_a_row_that_says_why() -> None:
    section = Measurement(fails, "Failing", 1).section()
    assert section.rows[0].failed
    assert "not measured" in section.text()
    assert "no space left on device" in section.text()


def test_the_summary_names_the_goals_that_are_not_met() -> None:
    slow = Row("a frame", 20.0, "ms", "", (), Goal(most=16))
    assert summary([RATE, slow]) == "Goals met: 1 of 2. Not met: a frame."


def test_the_page_tells_machine_rows_meanings_and_how_to_repeat_them() -> None:
    text = page({"memory": "24 GiB"}, [Measurement(lambda: [RATE], "Journal", 1).section()], 1)
    for part in ("24 GiB", "## Journal", RATE.lines()[0], RATE.meaning, "python -m benchmarks"):
        assert part in text


def test_the_committed_page_has_a_table_for_every_measurement() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert [name for name in (each.name for each in MEASUREMENTS) if f"benchmarks {name}`" not in text] == []


def test_an_unknown_measurement_is_refused_with_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(["journal"])
    told = capsys.readouterr().err
    assert ended.value.code == 2
    assert "journal" in told
    assert "acquisition" in told


def test_other_tools_store_the_columns_of_the_timeseries_stream() -> None:
    assert COLUMNS == tuple(spec.name for spec in TIMESERIES)
    assert [spec.cast(value) for spec, value in zip(TIMESERIES, point(3), strict=True)] == list(point(3))


def test_without_their_environment_other_tools_are_told_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(OtherToolError, match="make bench"):
        run_other("qcodes_to_sqlite.py", {}, tmp_path)


def test_a_tool_that_cannot_be_imported_is_told_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").symlink_to(sys.executable)
    (tmp_path / INSTALLED).touch()
    with pytest.raises(OtherToolError, match="No module named"):
        run_other("pybamm_step.py", {}, tmp_path)
