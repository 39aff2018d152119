"""Plays a stored run in the window, as its controls say."""

from __future__ import annotations

from labctl.live.controller import ReplayController
from labctl.live.replay import Replay
from labctl.live.replay_controls import ReplayControls
from labctl.live.status import Status
from labctl.live.window import LiveWindow


class Player(ReplayController):
    """Shows a replay; to go back, it reads the run from its beginning again.

    Args:
        window: Where to show it; gets the controls.
        replay: The run.
    """

    def __init__(self, window: LiveWindow, replay: Replay) -> None:
        super().__init__(window, replay.title, replay.feed(), replay.clock.speed)
        self._replay = replay
        self.controls = ReplayControls(replay)
        self.controls.add_shortcuts(window)
        self.controls.sought.connect(self._seek)
        window.add_below(self.controls)

    def _seek(self, second: float) -> None:
        if not self._replay.clock.set_to(second):
            return
        # Who has zoomed in wants to see that stretch again.
        following = self.window.follow.isChecked()
        plots = [plot for panel in self.window.panels.values() for plot in getattr(panel, "plots", ())]
        automatic = [list(plot.automatic) for plot in plots]
        self.show_documents(self._replay.feed())
        self.window.follow.setChecked(following)
        for plot, before in zip(plots, automatic, strict=True):
            plot.automatic = before

    def status(self, now_unix_second: float) -> Status:
        """The status line's texts."""
        self._speed = self._replay.clock.speed
        return super().status(now_unix_second)

    def show_now(self) -> None:
        """Bring the window up to date."""
        super().show_now()
        self.controls.show_time(self.model.progress.test_time_second)

    def close(self) -> None:
        """Stop everything."""
        super().close()
        self._replay.close()
