"""Feeds the window: documents in small portions, at most 20 repaints a second, and which run is shown."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from PySide6 import QtCore

from labctl.live.model.feed import Document, Feed, JournalSource, StoreSource
from labctl.live.model.latency import FRAME_SECOND, Health
from labctl.live.model.run_model import RunModel
from labctl.live.model.status import Status, describe
from labctl.live.model.watch import Listing, RunWatcher, channel_rows, newest, successor
from labctl.live.window.live_window import LiveWindow
from labctl.runs.summary import RunSummary

_FRAME_MILLISECOND = round(FRAME_SECOND * 1000)
_BACKLOG_MILLISECOND = 2  # pause between portions while history is being read, for the window's own events
_FEED_BUDGET_SECOND = 0.010
_BACKLOG_DOCUMENTS = 16  # that many in one portion are history, not news
_BACKLOG_FRAME_SECOND = 0.5  # history is drawn less often than news: reading it is what one waits for


class LiveController(QtCore.QObject):
    """What both sources of documents share: one model, one window, and the clockwork between them."""

    def __init__(self, window: LiveWindow) -> None:
        super().__init__(window)
        self.window = window
        self.model = RunModel()
        self.feed: Feed | None = None
        self._shown: tuple[object, ...] = ()
        self._backlog = False
        self._drawn_at_second = 0.0
        self.health = Health()
        self._feeding = QtCore.QTimer(self, singleShot=True)
        self._feeding.timeout.connect(self._feed)
        self._frames = QtCore.QTimer(self, interval=_FRAME_MILLISECOND)
        self._frames.timeout.connect(self.repaint)
        window.closed.connect(self.close)

    def begin(self) -> None:
        """Start the clockwork."""
        self._feeding.start(0)
        self._frames.start()

    def show_documents(self, feed: Feed | None) -> None:
        """Show another run, from its beginning."""
        if self.feed is not None:
            self.feed.close()
        self.feed, self.model = feed, RunModel()
        self.health.open()
        self.window.show_model(self.model)

    def feed_all(self, documents: Iterable[Document]) -> None:
        """Take documents at once, without a thread."""
        for name, doc in documents:
            self.model.feed(name, doc)

    def _feed(self) -> None:
        count = self.feed.drain(self.model.feed, _FEED_BUDGET_SECOND) if self.feed is not None else 0
        self._backlog = count >= _BACKLOG_DOCUMENTS
        self._feeding.start(_BACKLOG_MILLISECOND if self._backlog else _FRAME_MILLISECOND)

    def repaint(self) -> None:
        """Show what has changed; nothing is drawn that nobody sees."""
        now = time.monotonic()
        seen = self.window.isVisible() and not self.window.isMinimized()
        self.health.tick(now, busy=self._backlog or not seen)
        if not seen:
            return
        if not self._backlog or now - self._drawn_at_second >= _BACKLOG_FRAME_SECOND:
            self._drawn_at_second = now
            self.show_now()

    def show_now(self) -> None:
        """Bring the window up to date."""
        now = time.time()
        self.model.settle()
        self.model.pursue(self.window.worker)
        self.window.worker.deliver()
        self.health.take(self.model, now, history=self._backlog)
        if self.model.start is not None or self.window.docks.kind is None:
            self.window.arrange(self.model.contents.kind)
        state = (self.model, self.model.version, self._source_state(), int(now), self.health.dropped_frames)
        if state != self._shown:
            self._shown = state
            status = replace(self.status(now), health=self.health.text(self.model, history=self._backlog))
            self.window.show_status(status, self.message(), self.title(), ended=self.ended)
        self.window.refresh()

    @property
    def ended(self) -> bool:
        """Whether nothing more will come."""
        return self.model.stop is not None

    def _source_state(self) -> object:
        return self.feed is not None and self.feed.finished

    def status(self, now_unix_second: float) -> Status:
        """The status line's texts."""
        raise NotImplementedError

    def message(self) -> str:
        """Why there is no run to show, "" if there is one; panels say themselves what they lack."""
        if self.feed is not None and self.feed.error is not None and not len(self.model.timeseries):
            return f"The documents cannot be read: {self.feed.error}"
        return ""

    def title(self) -> str:
        """The window's title."""
        return " · ".join(part for part in (self.model.plan_name, self.model.cell_id, "labctl") if part)

    def close(self) -> None:
        """Stop the clockwork and the reading; a run is never touched by it."""
        self._frames.stop()
        self._feeding.stop()
        if self.feed is not None:
            self.feed.close()


class ReplayController(LiveController):
    """Shows a sequence of documents."""

    def __init__(self, window: LiveWindow, title: str, feed: Feed | None, speed: float | None = None) -> None:
        super().__init__(window)
        self._title, self._speed = title, speed
        self.show_documents(feed)

    def status(self, now_unix_second: float) -> Status:
        """The status line's texts."""
        return describe(
            self.model,
            now_unix_second=now_unix_second,
            replay_title=self._title,
            replay_speed=self._speed,
        )

    def _take_lag(self, now: float) -> None:
        """A replay is never late."""

    @property
    def ended(self) -> bool:
        """Whether nothing more will come."""
        return super().ended or self.feed is None or self.feed.finished

    def title(self) -> str:
        """The window's title."""
        return " · ".join(part for part in (self._title, super().title()) if part)


class FollowController(LiveController):
    """Follows the journals of a data directory.

    Args:
        window: Where to show them.
        data_directory: Its runs are listed.
        run_directory: The run to show; None for the newest, now or when it begins.
        threads: False to read once, in this thread, what is there now (for pictures).
    """

    def __init__(
        self, window: LiveWindow, data_directory: Path, run_directory: Path | None, *, threads: bool = True
    ) -> None:
        super().__init__(window)
        self.data_directory = data_directory
        self._threads = threads
        self._listing = Listing()
        self._source: JournalSource | StoreSource | None = None
        self._uid = ""
        self._read_unix_second: float | None = None  # when all was read at once
        self._asked_for = self._chosen = run_directory is not None
        self.following = run_directory is None
        self.watcher = RunWatcher(data_directory) if threads else None
        window.run_chosen.connect(self._choose)
        window.follow_changed.connect(self._follow)
        self.show_documents(None)
        if run_directory is not None:
            self.show_run(run_directory)

    def show_run(self, run_directory: Path) -> None:
        """Show a run of the data directory, or any other."""
        self._uid = run_directory.name
        self._source = JournalSource(run_directory)
        if self.watcher is not None:
            self.watcher.focus(run_directory)
            self.show_documents(Feed(self._source))
        else:
            self.show_documents(None)
            self.feed_all(self._source.now())
            self._read_unix_second = time.time()

    def _choose(self, uid: str) -> None:
        chosen = next((run for run in self._listing.runs if run.uid == uid), None)
        if chosen is not None:
            self.show_stored(chosen)

    def show_stored(self, chosen: RunSummary) -> None:
        """Show a chosen run, also one that only the document store has."""
        self._chosen = True
        if chosen.source == "tiled":
            self._show_from_store(chosen)
        else:
            self.show_run(chosen.directory)
        self.following = self._is_current(chosen)  # who looks at an old run is not to be taken away from it

    def _show_from_store(self, run: RunSummary) -> None:
        self._uid, self._source = run.uid, StoreSource(self.data_directory, run)
        if self.watcher is not None:
            self.watcher.focus(None)
        self.show_documents(Feed(self._source))

    def _candidates(self) -> list[RunSummary]:
        """The runs to go over to: who asked for one run wants to see no other station's."""
        runs = list(self._listing.runs)
        shown = next((run for run in runs if run.uid == self._uid), None)
        if not self._chosen or shown is None:
            return runs
        return [run for run in runs if run.station == shown.station]

    def _is_current(self, chosen: RunSummary) -> bool:
        return all(
            run.start_unix_second <= chosen.start_unix_second
            for run in self._listing.runs
            if run.station == chosen.station
        )

    def _follow(self, following: bool) -> None:
        self.following = following

    def take(self, listing: Listing) -> None:
        """Take a new look at the data directory."""
        self._listing = listing
        if self._asked_for and not listing.error:
            self._asked_for = False
            self.following = any(run.uid == self._uid and self._is_current(run) for run in listing.runs)
        if self.following or not self._uid:
            run = successor(self._uid, self._candidates()) if self._uid else newest(listing.runs)
            if run is not None:
                self.show_run(run.directory)
        self.window.show_channels(channel_rows(listing), self._uid)

    def show_now(self) -> None:
        """Bring the window up to date."""
        latest = self.watcher.latest if self.watcher is not None else None
        if latest is not None and latest is not self._listing:
            self.take(latest)
        super().show_now()

    def _source_state(self) -> object:
        return (super()._source_state(), self._listing)

    def status(self, now_unix_second: float) -> Status:
        """The status line's texts."""
        if self._source is None:
            return Status(state="waiting", title="No run", detail=str(self.data_directory))
        all_read = self.feed is None or self.feed.finished
        return describe(
            self.model,
            # How long a picture takes to draw does not make its data old.
            now_unix_second=self._read_unix_second or now_unix_second,
            writer_alive=(self._listing.writer_alive and not isinstance(self._source, StoreSource))
            or not all_read,
            damaged=self._source.damaged,
        )

    def message(self) -> str:
        """Why there is no run to show, "" if there is one."""
        if self._source is not None:
            return super().message()
        return self._listing.error or f"No run in {self.data_directory} yet"

    def close(self) -> None:
        """Stop everything."""
        super().close()
        if self.watcher is not None:
            self.watcher.close()
