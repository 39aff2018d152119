"""Finding runs: in journals and in Tiled alike, those whose journals are gone included."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from labctl.commands.runs import run_query, show_run, show_runs
from labctl.errors import ConfigurationError
from labctl.runs.listing import list_runs
from labctl.runs.query import RunQuery
from labctl.store.client.store import Store

WriterOf = Callable[..., Any]
COATED = {"id": "finding-lic", "coating": {"material": "Li3InCl6"}}


@pytest.fixture(scope="module")
def lab(served: Store) -> dict[str, str]:
    """Finished runs of several kinds, by name: the first two have lost their journals."""
    from tests.labctl.store.conftest import RunWriter

    kinds: dict[str, dict[str, Any]] = {
        "gone-coated": {"plan_name": "finding", "cell": COATED, "tags": ["paper", "first light"]},
        "gone-bare": {"plan_name": "finding", "cell": {"id": "finding-bare", "coating": None}},
        "coated": {"plan_name": "finding", "cell": COATED, "note": "Pressed at 375 MPa"},
        "other": {"plan_name": "found", "cell": COATED, "station": {"name": "press-9"}, "tags": ["paper"]},
    }
    uids = {}
    for name, metadata in kinds.items():
        run = RunWriter(served.data_directory, **metadata)
        run.stream()
        run.page(3)
        run.stop()
        uids[name] = run.uid
        assert served.wait_until_shipped(run.uid, 30)
        if name.startswith("gone"):
            run.directory.rename(served.data_directory / f"archived-{run.uid}")
    return uids


@pytest.mark.parametrize(
    ("query", "found"),
    [
        (RunQuery(plan_name="finding"), "coated gone-bare gone-coated"),
        (RunQuery(cell="finding-lic"), "other coated gone-coated"),
        (RunQuery(plan_name="finding", coating="Li3InCl6"), "coated gone-coated"),
        (RunQuery(plan_name="finding", coating="bare"), "gone-bare"),
        (RunQuery(station="press-9"), "other"),
        (RunQuery(tag="paper", cell="finding-lic"), "other gone-coated"),
        (RunQuery(tag="light", cell="finding-lic"), ""),
        (RunQuery(text="pressed 375"), "coated"),
        (RunQuery(text="finding-bare"), "gone-bare"),
        (RunQuery(plan_name="finding", status="finished"), "coated gone-bare gone-coated"),
        (RunQuery(plan_name="finding", status="failed"), ""),
        (RunQuery(plan_name="finding", since=datetime.now(UTC) + timedelta(hours=1)), ""),
        (RunQuery(plan_name="finding", until=datetime.now(UTC) - timedelta(days=1)), ""),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_runs_are_found_wherever_they_are(
    served: Store, lab: dict[str, str], query: RunQuery, found: str
) -> None:
    names = {uid: name for name, uid in lab.items()}
    assert [names[run.uid] for run in served.runs(query)] == found.split()
    conditions = {key: value for key, value in vars(query).items() if value is not None}
    assert {names[uid] for uid in served.search(**conditions)} == set(found.split())


def test_summaries_from_tiled_say_what_those_from_journals_say(served: Store, lab: dict[str, str]) -> None:
    by_uid = {run.uid: run for run in served.runs(limit=None)}
    gone, here = by_uid[lab["gone-coated"]], by_uid[lab["coated"]]
    assert (gone.source, here.source) == ("tiled", "journal")
    for run in (gone, here):
        assert (run.plan_name, run.cell_id, run.coating) == ("finding", "finding-lic", "Li3InCl6")
        assert (run.status, run.points) == ("finished", 3)
        assert abs(run.start_unix_second - time.time()) < 600
    assert gone.tags == ("paper", "first light")
    assert not gone.directory.exists()
    assert gone.directory.parent == here.directory.parent


def test_pages_go_through_both(served: Store, lab: dict[str, str]) -> None:
    whole = [run.uid for run in served.runs(limit=None)]
    assert whole == [run.uid for run in sorted(served.runs(limit=None), key=lambda r: -r.start_unix_second)]
    assert len(whole) == len(set(whole)) >= 4
    pages = [run.uid for skip in range(0, len(whole) + 2, 2) for run in served.runs(limit=2, skip=skip)]
    assert pages == whole
    with_journal = {run.uid for run in list_runs(served.data_directory)}
    assert with_journal < set(whole)
    assert {lab["gone-bare"], lab["gone-coated"]} <= set(whole) - with_journal


def test_the_command_lists_finds_and_shows_runs_whose_journals_are_gone(
    served: Store, lab: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    query = run_query([], None, "bare", "finding", None, None, None, "7d", None)
    show_runs(served.data_directory, limit=5, as_json=False, query=query)
    text = capsys.readouterr().out
    assert lab["gone-bare"][:8] in text
    assert "in the store only" in text
    show_runs(served.data_directory, limit=2, page=2, as_json=True, query=RunQuery(plan_name="finding"))
    assert [run["uid"] for run in json.loads(capsys.readouterr().out)] == [lab["gone-coated"]]
    show_run(lab["gone-bare"][:11], served.data_directory, as_json=True)
    told = json.loads(capsys.readouterr().out)
    assert (told["summary"]["source"], told["start"]["plan_name"]) == ("tiled", "finding")
    show_runs(served.data_directory, limit=5, as_json=False, query=RunQuery(cell="nobody's"))
    assert "no such run" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [{"limit": 0}, {"limit": 5, "page": 0}, {"limit": -1}])
def test_a_page_that_cannot_be_is_refused(served: Store, arguments: dict[str, int]) -> None:
    with pytest.raises(ConfigurationError, match="a whole number from 1"):
        show_runs(served.data_directory, as_json=False, **arguments)


def test_a_directory_that_does_not_exist_is_an_error(served: Store) -> None:
    nowhere = served.data_directory / "nowhere"
    with pytest.raises(ConfigurationError, match="does not exist; name one with --data or LABCTL_DATA"):
        show_runs(nowhere, limit=5, as_json=False)
    assert not nowhere.exists()


def test_without_the_store_it_is_said_what_may_be_missing(
    tmp_path: Any, run_writer: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    run = run_writer(tmp_path)
    run.stop()
    show_runs(tmp_path, limit=5, as_json=False)
    assert "not running" not in capsys.readouterr().out
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "catalogue.db").write_bytes(b"")
    show_runs(tmp_path, limit=5, as_json=False)
    assert "runs whose journals were removed are not listed" in capsys.readouterr().out


def test_stopped_and_aborted_runs_are_told_apart_in_tiled_too(served: Store) -> None:
    """The runs of this test have lost their journals: only Tiled has them."""
    from tests.labctl.store.conftest import RunWriter

    uids = {}
    for state, reason in (("stopped", "stopped at step 33 of 453"), ("aborted", "aborted by SIGTERM")):
        run = RunWriter(served.data_directory, plan_name="ending", protocol={"name": "p", "items": []})
        run.stream()
        run.page(3)
        run.stop("abort", reason)
        assert served.wait_until_shipped(run.uid, 30)
        run.directory.rename(served.data_directory / f"archived-{run.uid}")
        uids[state] = run.uid
    for state, uid in uids.items():
        query = RunQuery(plan_name="ending", status=state)  # type: ignore[arg-type]
        assert [(run.uid, run.status, run.source) for run in served.runs(query)] == [(uid, state, "tiled")]
        assert list(served.search(plan_name="ending", status=state)) == [uid]
