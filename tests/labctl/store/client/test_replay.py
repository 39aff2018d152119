"""A run that is still going is replayed up to now, and then followed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import Any, Literal

import pytest

from labctl.live.model.feed import Feed
from labctl.live.replay.playback import Playback
from labctl.store.client.store import Store
from tests.helpers import wait_until

WriterOf = Callable[..., Any]


class Shown:
    """What comes out of a replay."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self.rows: list[int] = []
        self.names: list[str] = []

    def take(self, name: str, doc: dict[str, Any]) -> None:
        self.names.append(name)
        if name in ("event", "event_page"):
            numbers = doc["seq_num"]
            self.rows += numbers if isinstance(numbers, list) else [numbers]

    def has(self, rows: int) -> bool:
        self._feed.drain(self.take, 0.05)
        return len(self.rows) >= rows


@pytest.mark.parametrize("speed", [None, 1e6])
@pytest.mark.parametrize("source", ["journal", "tiled"])
def test_a_replay_of_a_running_run_goes_on_with_what_comes(
    served: Store, writer: WriterOf, source: Literal["journal", "tiled"], speed: float | None
) -> None:
    run = writer()
    run.stream()
    run.page(300)
    if source == "tiled":
        wait_until(lambda: _stored(served, run.uid) == 300)
    read = partial(served.documents, run.uid, source)

    def live(halt: threading.Event) -> Any:
        return read(live=True, halt=halt)

    replay = Playback(read, speed, "test", live)
    feed = replay.feed()
    shown = Shown(feed)
    try:
        wait_until(lambda: shown.has(300))
        wait_until(lambda: replay.outline is not None and replay.outline.duration_second == 300)
        assert "stop" not in shown.names
        run.page(200)
        wait_until(lambda: shown.has(500))
        wait_until(lambda: replay.outline is not None and replay.outline.duration_second == 500)
        assert not feed.finished
        run.stop()
        wait_until(lambda: shown.has(500) and feed.finished)
    finally:
        feed.close()
        replay.close()
    assert (shown.rows, shown.names[0], shown.names[-1]) == (list(range(1, 501)), "start", "stop")


def _stored(store: Store, uid: str) -> int:
    try:
        return store.client[uid]["timeseries"].read().sizes["time"]
    except KeyError:
        return 0
