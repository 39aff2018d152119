"""A progress bar for a run in this process; like every other viewer it only reads the journal."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.progress import BarColumn, Progress, TaskID, TextColumn

from labctl.commands.chosen import screen
from labctl.journal.reader import follow
from labctl.printable import printable
from labctl.runs.progress import Progress as RunProgress
from labctl.session import Session

_POLL_SECOND = 0.2
_LAST_LINES_SECOND = 3.0


@contextmanager
def progress_bar(
    session: Session, *, transient: bool = False, remarks: bool = False
) -> Iterator[Callable[[str], None]]:
    """Show progress and time left on standard error; gives a function that ends the bar with a message.

    Args:
        session: its next run is followed, or the one that is open and goes on after a pause.
        transient: the bar goes away at the end; for the console.
        remarks: what a person should know of a run is shown as it begins.
    """
    journal = session.journal
    before = None if journal.is_open else journal.run_directory
    console = screen(error=True)
    bar = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        console=console,
        transient=transient,
        # At the console what a plan prints stands above the bar. Elsewhere the terminal must have no way to
        # hold up the RunEngine, which prints: somebody may have stopped it with Ctrl-S.
        redirect_stdout=transient,
    )
    task = bar.add_task("starting", total=1.0)
    stop = threading.Event()
    begins = remarks and not journal.is_open  # not again when it goes on after a pause
    reader = threading.Thread(
        target=_follow, args=(session, before, bar, task, stop, begins), name="progress", daemon=True
    )
    last_words: list[str] = []
    with bar:
        reader.start()
        try:
            yield last_words.append
        finally:
            if journal.run_directory != before and not journal.is_open:
                reader.join(_LAST_LINES_SECOND)  # it ends by itself at the stop document
            stop.set()
            reader.join(_LAST_LINES_SECOND)
    for words in last_words:
        console.print(words)


def _follow(
    session: Session,
    before: Path | None,
    bar: Progress,
    task: TaskID,
    stop: threading.Event,
    remarks: bool,
) -> None:
    """Wait for the run to open its journal, then follow it to its stop document."""
    while (directory := session.journal.run_directory) is None or directory == before:
        if stop.wait(_POLL_SECOND):
            return
    progress = RunProgress()
    for name, doc in follow(directory, poll_second=_POLL_SECOND, stop=stop):
        progress.feed(name, doc)
        if name == "start" and remarks:
            for remark in doc.get("remarks", ()):
                bar.console.print(f"note: {printable(remark)}", markup=False, highlight=False)
        finished = name == "stop" and doc.get("exit_status") == "success"
        done = 1.0 if finished else progress.fraction or 0.0
        bar.update(task, completed=done, description=printable(progress.line))
