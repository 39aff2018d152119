"""Documents to tables."""

import numpy as np
import pytest

from labctl.documents import tables
from labctl.errors import JournalError

NUMBER = {"dtype": "number", "dtype_numpy": "<f8", "shape": [], "source": "t"}
KEYS = {"v": NUMBER, "n": {**NUMBER, "dtype": "integer"}, "s": {**NUMBER, "dtype": "string"}}
HEAD = [("start", {"uid": "r"}), ("descriptor", {"uid": "d", "name": "timeseries", "data_keys": KEYS})]


def page(v, n, s):
    return ("event_page", {"descriptor": "d", "data": {"v": v, "n": n, "s": s}})


def event(v, n, s):
    return ("event", {"descriptor": "d", "data": {"v": v, "n": n, "s": s}})


def test_pages_and_single_events_become_columns_in_their_order():
    run = tables([*HEAD, event(1.0, 1, "a"), page([2, 3.5], [2, 3], ["b", "c"]), event(4.0, 4, "dd")])
    stream = run.stream("timeseries")
    assert stream["v"].tolist() == [1.0, 2.0, 3.5, 4.0]
    assert stream["n"].tolist() == [1, 2, 3, 4]
    assert stream["s"].tolist() == ["a", "b", "c", "dd"]
    assert (stream["v"].dtype, stream["n"].dtype) == (np.float64, np.int64)
    assert run.stop is None


def test_labels_can_be_compared_at_once():
    stream = tables([*HEAD, page([1, 2], [1, 2], ["rest", "cc_charge"])]).stream("timeseries")
    assert (stream["s"] == "rest").tolist() == [True, False]


def test_null_in_a_number_is_nan_and_nan_stays_nan():
    stream = tables([*HEAD, page([1.0, None], [1, 2], ["", ""]), event(float("nan"), 3, "")]).stream(
        "timeseries"
    )
    assert np.isnan(stream["v"]).tolist() == [False, True, True]


def test_many_single_events_keep_every_row():
    stream = tables([*HEAD, *(event(float(i), i, "x") for i in range(10_000))]).stream("timeseries")
    assert (stream["n"] == np.arange(10_000)).all()


def test_start_and_stop_are_kept_and_an_empty_stream_has_its_columns():
    run = tables([*HEAD, ("stop", {"exit_status": "success"})])
    assert run.start == {"uid": "r"}
    assert run.stop == {"exit_status": "success"}
    assert {key: len(column) for key, column in run.stream("timeseries").items()} == {"v": 0, "n": 0, "s": 0}
    assert run.stream("impedance") == {}


@pytest.mark.parametrize(
    ("documents", "message"),
    [
        ([], "no start document"),
        ([*HEAD, HEAD[0]], "second start document"),
        ([HEAD[0], event(1.0, 1, "a")], "rows before their descriptor"),
        ([*HEAD, ("event", {"descriptor": "d", "data": {"v": 1.0}})], "descriptor: n, s"),
        ([*HEAD, page([1.0], [None], ["a"])], "column n is not int64"),
        ([*HEAD, page([1.0], ["x"], ["a"])], "column n is not int64"),
        ([*HEAD, page([1.0, 2.0], [1], ["a"])], "lengths"),
        ([*HEAD, ("descriptor", {**HEAD[1][1], "uid": "e", "data_keys": {"v": NUMBER}})], "columns change"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_documents_that_are_no_run_are_refused(documents, message):
    with pytest.raises(JournalError, match=message):
        tables(documents)


def test_a_run_is_shown_in_a_few_lines_with_the_rows_and_columns_of_its_streams():
    start = ("start", {"uid": "r7", "plan_name": "gitt", "cell": {"id": "bare-1"}, "protocol": "x" * 5000})
    run = tables([start, HEAD[1], page([1, 2], [1, 2], ["a", "b"]), ("stop", {"exit_status": "success"})])
    assert repr(run) == "<run r7: gitt, cell bare-1, success\n  .streams['timeseries']: 2 rows of v, n, s>"
    assert repr(tables(HEAD[:1])) == "<run r: ?, cell ?, no stop document>"
