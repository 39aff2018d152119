"""Searching the document store: the same conditions as for journals, as queries of Tiled."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import httpx
from tiled.queries import Comparison, Contains, FullText, Key, KeyPresent, Like
from tiled.query_registration import default_query_registry

from labctl.errors import StoreError
from labctl.formats import FORMAT_NUMBER, START_FIELD
from labctl.runs.query import BARE, RunQuery
from labctl.runs.summary import RunSummary, start_unix_second, summarise
from labctl.schema import TIMESERIES
from labctl.store.connection import ServiceInfo, is_loopback

_EXIT_STATUS = {"finished": "success", "failed": "fail", "aborted": "abort", "stopped": "abort"}
_PAGE = 100
_ANSWER_SECOND = 30.0
_WORD = re.compile(r"[\w.-]*\w")


def search_runs(client: Any, query: RunQuery) -> Any:
    """The runs that meet the query, as a stock Tiled client; words are found whole, not in parts.

    Of runs without a stop document Tiled cannot tell running, paused and interrupted ones: all are found by
    each.
    Interrupted runs that were closed since have one, and are found by its `recovered`.
    """
    for condition in _queries(query):
        client = client.search(condition)
    return client


def _queries(query: RunQuery, *, closed_since: bool = False) -> Iterator[Any]:
    """The conditions of a search; with `closed_since` for interrupted runs that have a stop document now."""
    yield from _of_names(query)
    yield from _of_time(query)
    if closed_since:
        yield KeyPresent("stop.recovered")
    elif query.status in _EXIT_STATUS:
        yield Key("stop.exit_status") == _EXIT_STATUS[query.status]
        yield KeyPresent("stop.recovered", exists=False)
        yield KeyPresent("stop.stopped", exists=query.status == "stopped")
    elif query.status == "unreadable":
        yield Comparison("gt", f"start.{START_FIELD}", FORMAT_NUMBER["journal"])
    elif query.status is not None:
        yield KeyPresent("stop.exit_status", exists=False)
    if query.tag is not None:
        yield Contains("start.tags", f'"{query.tag}"')  # the JSON text of the list
    if query.uid is not None:
        yield Like("start.uid", f"{query.uid}%")
    for word in _WORD.findall(query.text or ""):
        yield FullText(f'"{word}"')  # quoted: SQLite would take a hyphen for an operator


def _of_names(query: RunQuery) -> Iterator[Any]:
    named = {"plan_name": query.plan_name, "cell.id": query.cell, "station.name": query.station}
    for key, value in named.items():
        if value is not None:
            yield Key(f"start.{key}") == value
    if query.coating == BARE:
        yield KeyPresent("start.cell.id")
        yield KeyPresent("start.cell.coating.material", exists=False)
    elif query.coating is not None:
        yield Key("start.cell.coating.material") == query.coating


def _of_time(query: RunQuery) -> Iterator[Any]:
    for operator, moment in (("ge", query.since), ("lt", query.until)):
        if moment is not None:
            yield Comparison(operator, "start.time", moment.timestamp())


def newest(store: ServiceInfo, query: RunQuery, limit: int | None, data_directory: Path) -> list[RunSummary]:
    """Summaries of the newest runs in Tiled that meet the query.

    Asked for without Tiled's client, whose import would take longer than the answer.

    Args:
        store: Where Tiled is.
        query: The conditions.
        limit: At most so many; None for all.
        data_directory: The summaries say where below it the journal was.

    Raises:
        StoreError: Tiled does not answer, or refuses.
    """
    found = _newest(store, _parameters(query), limit, data_directory)
    if query.status == "interrupted":
        found += _newest(store, _parameters(query, closed_since=True), limit, data_directory)
        found.sort(key=lambda run: -run.start_unix_second)
    return found[:limit]


def _newest(
    store: ServiceInfo, conditions: dict[str, list[Any]], limit: int | None, data_directory: Path
) -> list[RunSummary]:
    found: list[RunSummary] = []
    headers = {"Authorization": f"Apikey {store.api_key}", "Accept": "application/json"}
    page: dict[str, Any] = {
        "sort": "-start.time",
        "fields": "metadata",
        "page[limit]": min(limit or _PAGE, _PAGE),
    }
    address: str | None = _search_address(store.uri)
    parameters: dict[str, Any] | None = page | conditions
    with httpx.Client(
        headers=headers, trust_env=not is_loopback(store.uri), timeout=_ANSWER_SECOND
    ) as client:
        while address is not None and (limit is None or len(found) < limit):
            try:
                told = client.get(address, params=parameters).raise_for_status().json()
            except (httpx.HTTPError, ValueError) as error:
                raise StoreError(f"the document store at {store.uri} cannot be searched: {error}") from error
            runs = [item for item in told["data"] if "start" in item["attributes"]["metadata"]]
            found += [summary_in_tiled(item, data_directory) for item in runs]
            address, parameters = told["links"].get("next"), None  # the next address has them
    return found[:limit]


def _parameters(query: RunQuery, *, closed_since: bool = False) -> dict[str, list[Any]]:
    parameters: dict[str, list[Any]] = {}
    for condition in _queries(query, closed_since=closed_since):
        name = default_query_registry.query_type_to_name[type(condition)]
        for field, value in condition.encode().items():
            if value is not None:
                parameters.setdefault(f"filter[{name}][condition][{field}]", []).append(value)
    return parameters


def _search_address(uri: str) -> str:
    root, api, path = uri.partition("/api/v1")
    return (
        f"{root.rstrip('/')}{api or '/api/v1'}/search/{path.strip('/').removeprefix('metadata').strip('/')}"
    )


def summary_in_tiled(item: dict[str, Any], data_directory: Path) -> RunSummary:
    """A run at a glance, from what Tiled says of its node."""
    metadata, uid = item["attributes"]["metadata"], item["id"]
    start, stop = metadata["start"], metadata.get("stop")
    day = datetime.fromtimestamp(start_unix_second(start), UTC).strftime("%Y-%m-%d")
    rows = metadata.get("labctl", {}).get("rows", {}).get(TIMESERIES.name, 0)
    status: Literal["interrupted"] = "interrupted"
    directory = data_directory / "runs" / day / uid
    return summarise(directory, start, stop, status=status, points=rows, source="tiled")
