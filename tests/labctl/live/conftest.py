"""Runs as a cycler would write them: the documents of a GITT and of a rate test."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PySide6 import QtCore, QtWidgets

from labctl.journal.writer import Journal

Document = tuple[str, dict[str, Any]]
BEGAN = 1_800_000_000.0
CELL = {
    "id": "lic-ncm-1",
    "replicate_group": "lic-ncm",
    "coating": {"material": "Li3InCl6", "mass_percent": 3.0, "method": "mechanofusion"},
}
COLUMNS = {
    "timeseries": [
        ("test_time_second", "<f8"),
        ("step_time_second", "<f8"),
        ("voltage_volt", "<f8"),
        ("current_ampere", "<f8"),
        ("step_count", "<i8"),
        ("cycle_count", "<i8"),
        ("step_type", "<U64"),
        ("status", "<i8"),
    ],
    "steps": [
        ("step_count", "<i8"),
        ("protocol_step", "<U64"),
        ("step_type", "<U64"),
        ("cycle_count", "<i8"),
        ("start_test_time_second", "<f8"),
        ("end_test_time_second", "<f8"),
        ("end_reason", "<U64"),
        ("step_charging_capacity_ah", "<f8"),
        ("step_discharging_capacity_ah", "<f8"),
        ("end_voltage_volt", "<f8"),
        ("end_current_ampere", "<f8"),
    ],
}


@dataclass
class Step:
    """One step: its times from 0, its voltages and its current."""

    step_type: str
    time: np.ndarray
    voltage: np.ndarray
    current: np.ndarray
    cycle: int = 0

    @property
    def charge_ah(self) -> float:
        """Net charge, > 0 taken up; none at open circuit."""
        if self.step_type == "rest":
            return 0.0
        return float(np.trapezoid(self.current, self.time) / 3600)


@dataclass
class Run:
    """A run made of steps; `documents()` are what a RunEngine emits, `time` and so on what is in them."""

    plan_name: str
    steps: list[Step]
    station: str = "sim"
    cell: dict[str, Any] = field(default_factory=lambda: CELL)
    estimate: dict[str, Any] | None = None
    pace: float = 1 / 2000  # wall time per cell time
    began: float = BEGAN
    page_rows: int = 400
    exit_status: str = "success"
    reason: str = ""
    uid: str = field(default_factory=lambda: str(uuid.uuid4()))

    @property
    def start(self) -> dict[str, Any]:
        start = {"uid": self.uid, "time": self.began, "plan_name": self.plan_name, "station": self.station}
        start |= {"cell": self.cell, "protocol": {}, "devices": {}, "limits": {}}
        return start | ({"estimate": self.estimate} if self.estimate else {})

    @property
    def offsets(self) -> np.ndarray:
        return np.concatenate([[0.0], np.cumsum([step.time[-1] for step in self.steps])])

    @property
    def time(self) -> np.ndarray:
        return np.concatenate([o + s.time for o, s in zip(self.offsets[:-1], self.steps, strict=True)])

    @property
    def voltage(self) -> np.ndarray:
        return np.concatenate([step.voltage for step in self.steps])

    @property
    def current(self) -> np.ndarray:
        return np.concatenate([step.current for step in self.steps])

    def documents(self) -> Iterator[Document]:
        yield "start", self.start
        for name in COLUMNS:
            yield "descriptor", self.descriptor(name)
        rows = 0
        for number, (offset, step) in enumerate(zip(self.offsets[:-1], self.steps, strict=True), start=1):
            for first in range(0, len(step.time), self.page_rows):
                part = slice(first, first + self.page_rows)
                page = self.page(step, part, offset, number, rows)
                rows += len(page["seq_num"])
                yield "event_page", page
            yield "event", self.step_event(step, offset, number)
        yield "stop", self.stop(rows)

    def descriptor(self, name: str) -> dict[str, Any]:
        keys = {
            column: {
                "source": "test",
                "dtype": {"f": "number", "i": "integer", "U": "string"}[kind.lstrip("<")[0]],
                "dtype_numpy": kind,
                "shape": [],
            }
            for column, kind in COLUMNS[name]
        }
        when = {"run_start": self.uid, "time": self.began}
        return {"uid": f"{self.uid}-{name}", **when, "name": name, "data_keys": keys}

    def page(self, step: Step, part: slice, offset: float, number: int, before: int) -> dict[str, Any]:
        within = step.time[part]
        count = len(within)
        data = {
            "test_time_second": (offset + within).tolist(),
            "step_time_second": within.tolist(),
            "voltage_volt": step.voltage[part].tolist(),
            "current_ampere": step.current[part].tolist(),
            "step_count": [number] * count,
            "cycle_count": [step.cycle] * count,
            "step_type": [step.step_type] * count,
            "status": [0] * count,
        }
        now = self.began + self.pace * data["test_time_second"][-1]
        return {
            "uid": [str(uuid.uuid4()) for _ in range(count)],
            "descriptor": f"{self.uid}-timeseries",
            "time": [now] * count,
            "seq_num": list(range(before + 1, before + count + 1)),
            "data": data,
            "timestamps": {key: [now] * count for key in data},
            "filled": {},
        }

    def step_event(self, step: Step, offset: float, number: int) -> dict[str, Any]:
        end = offset + float(step.time[-1])
        data = {
            "step_count": number,
            "protocol_step": f"steps[{number - 1}]",
            "step_type": step.step_type,
            "cycle_count": step.cycle,
            "start_test_time_second": offset,
            "end_test_time_second": end,
            "end_reason": "time",
            "step_charging_capacity_ah": max(step.charge_ah, 0.0),
            "step_discharging_capacity_ah": max(-step.charge_ah, 0.0),
            "end_voltage_volt": float(step.voltage[-1]),
            "end_current_ampere": float(step.current[-1]),
        }
        now = self.began + self.pace * end
        return {
            "uid": str(uuid.uuid4()),
            "descriptor": f"{self.uid}-steps",
            "time": now,
            "seq_num": number,
            "data": data,
            "timestamps": dict.fromkeys(data, now),
            "filled": {},
        }

    def stop(self, rows: int) -> dict[str, Any]:
        return {
            "uid": str(uuid.uuid4()),
            "run_start": self.uid,
            "time": self.began + self.pace * float(self.offsets[-1]),
            "exit_status": self.exit_status,
            "reason": self.reason,
            "num_events": {"timeseries": rows, "steps": len(self.steps)},
        }

    def unfinished(self, pages: int | None = None) -> list[Document]:
        """The documents up to the n-th page, without a stop."""
        documents, seen = [], 0
        for name, doc in self.documents():
            seen += name == "event_page"
            if name == "stop" or (pages is not None and seen > pages):
                break
            documents.append((name, doc))
        return documents


def open_circuit(x: np.ndarray | float) -> np.ndarray:
    """NMC811 against In/InLi (V) at a lithium content x, after Chen et al. (2020)."""
    against_lithium = (
        -0.8090 * x
        + 4.4875
        - 0.0428 * np.tanh(18.5138 * (x - 0.5542))
        - 17.7326 * np.tanh(15.7890 * (x - 0.3117))
        + 17.5842 * np.tanh(15.9308 * (x - 0.3120))
        - 0.02 * np.exp((np.minimum(x, 0.99) - 0.90) / 0.012)
    )
    return np.asarray(against_lithium - 0.62)


def gitt_run(pulses: int = 20, *, noise_volt: float = 30e-6, **changes: Any) -> Run:
    """A GITT: 600 s at 84 uA, 2 h rest, dense at the beginning of each."""
    rng = np.random.default_rng(1)
    dense = np.concatenate([np.arange(0.2, 10, 0.2), np.arange(10, 600.1, 5.0)])
    sparse = np.concatenate([dense, np.arange(660, 7200.1, 60.0)])
    steps, x = [], 0.70
    for _ in range(pulses):
        for time, on in ((dense, True), (sparse, False)):
            moved = 0.0083 * time / 600 if on else np.zeros_like(time)
            shape = np.sqrt(time / 600) if on else np.exp(-np.sqrt(time / 500))
            volt = open_circuit(x - moved) + 0.012 * shape + (0.007 if on else 0.0)
            volt = volt + rng.normal(0, noise_volt, len(time))
            current = np.full(len(time), 84e-6 if on else 0.0) + rng.normal(
                0, 2e-8 if on else 1e-10, len(time)
            )
            steps.append(Step("cc_charge" if on else "rest", time, volt, current))
            x -= float(moved[-1])
    estimate = {"duration_second": pulses * 7800.0, "points": pulses * 450, "steps": 2 * pulses}
    options: dict[str, Any] = {"estimate": estimate, **changes}
    return Run("gitt", steps, **options)


def rate_run(**changes: Any) -> Run:
    """A rate test: charge at C/5, discharge at 0.1 to 2 C, three cycles each."""
    steps, cycle = [], 0
    for rate in (0.1, 0.2, 0.5, 1.0, 2.0, 0.1):
        for _ in range(3):
            cycle += 1
            for kind, c_rate, sign in (("cc_charge", 0.2, 1), ("cc_discharge", rate, -1)):
                share = 0.62 - 0.12 * c_rate
                time = np.arange(1.0, 3600 * share / c_rate, 10.0)
                moved = share * time / time[-1]
                x = 0.93 - moved if sign > 0 else 0.93 - share + moved
                volt = open_circuit(x) + sign * 0.09 * np.sqrt(c_rate)
                steps.append(Step(kind, time, volt, np.full(len(time), sign * c_rate * 1.68e-3), cycle))
                pause = np.arange(1.0, 600, 10.0)
                relaxed = open_circuit(x[-1]) + sign * 0.02 * np.exp(-pause / 200)
                steps.append(Step("rest", pause, relaxed, np.zeros(len(pause)), cycle))
    return Run("rate_test", steps, **changes)


def write(data_directory: Path, documents: list[Document] | Iterator[Document]) -> Path:
    """Write documents as a journal; without a stop, the run is left as by the death of its writer."""
    journal = Journal(data_directory)
    try:
        for name, doc in documents:
            journal(name, doc)
        assert journal.run_directory is not None
        return journal.run_directory
    finally:
        journal.close()


@pytest.fixture(scope="session", autouse=True)
def settings_elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Windows, also those in processes of their own, remember nothing in the home of who runs the tests."""

    place = str(tmp_path_factory.mktemp("settings"))
    formats, scopes = QtCore.QSettings.Format, QtCore.QSettings.Scope
    QtCore.QSettings.setPath(formats.IniFormat, scopes.UserScope, place)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", place)
        yield


@pytest.fixture(scope="session")
def gitt() -> Run:
    return gitt_run()


@pytest.fixture(scope="session")
def make_gitt() -> Callable[..., Run]:
    return gitt_run


@pytest.fixture(scope="session")
def make_rate_test() -> Callable[..., Run]:
    return rate_run


@pytest.fixture(scope="session")
def shared_window(qapp: Any) -> Iterator[Any]:
    """A window that does all work at once, and its controller; made once, for that takes half a second."""
    from labctl.live.theme import DARK
    from labctl.live.window.controller import ReplayController
    from labctl.live.window.live_window import LiveWindow

    class Growing(ReplayController):
        """More may come until the stop document has."""

        @property
        def ended(self) -> bool:
            return self.model.stop is not None

    window = LiveWindow(DARK, with_channels=False, threaded=False)
    yield Growing(window, "", None)
    window.close()


@pytest.fixture
def panel_of(shared_window: Any) -> Iterator[Callable[..., Any]]:
    """Shows documents in a window with one panel; gives the panel, and a function that feeds it more."""
    from PySide6 import QtWidgets

    from labctl.live.widgets import PickBox

    controller, window = shared_window, shared_window.window
    window.resize(1280, 720)
    window.show()
    first_choices = [(box, box.currentIndex()) for box in window.findChildren(PickBox)]

    def feed(documents: Iterable[Document]) -> None:
        controller.feed_all(documents)
        for _ in range(3):
            controller.show_now()
            QtWidgets.QApplication.processEvents()

    def opened(name: str, documents: Iterable[Document]) -> Any:
        window.docks.show_only([name])
        controller.show_documents(None)
        feed(documents)
        panel = window.panels[name]
        panel.feed, panel.controller = feed, controller
        return panel

    yield opened
    for box, choice in first_choices:
        box.setCurrentIndex(choice)
    window.hide()  # the pointer of other tests is not to be over it


@pytest.fixture
def write_run() -> Callable[[Path, Any], Path]:
    return write


_MOST_WINDOWS = 100


@pytest.fixture(autouse=True)
def no_window_stays_open() -> Iterator[None]:
    """A dialog or menu that one test leaves open would take the pointer from the next."""
    yield
    application = QtWidgets.QApplication.instance()
    if isinstance(application, QtWidgets.QApplication):
        while (popup := application.activePopupWidget()) is not None:
            popup.close()
        # What a test has given up is destroyed now, in Qt's own order: left to Python's collector it would be
        # destroyed at any moment of a later test, and in any order.
        QtCore.QCoreApplication.sendPostedEvents(None, QtCore.QEvent.Type.DeferredDelete)
        for _ in range(_MOST_WINDOWS):  # asked for anew each time: closing one may destroy others
            shown = next((w for w in application.topLevelWidgets() if w.isVisible()), None)
            if shown is None:
                break
            shown.close()
            shown.hide()
