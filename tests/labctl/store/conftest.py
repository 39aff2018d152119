"""One served data directory for all tests of the store, and a writer of runs."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import event_model
import numpy as np
import pytest

from labctl.journal.writer import Journal
from labctl.store.client.store import Store
from labctl.store.server.service import stop_service

FLOATS = ("test_time_second", "voltage_volt")


def data_keys() -> dict[str, Any]:
    common = {"source": "t", "shape": [], "object_name": "cycler_dc"}
    return {
        "test_time_second": {**common, "dtype": "number", "dtype_numpy": "<f8", "units": "s"},
        "voltage_volt": {**common, "dtype": "number", "dtype_numpy": "<f8", "units": "V"},
        "step_count": {**common, "dtype": "integer", "dtype_numpy": "<i8", "units": "1"},
        "overload": {**common, "dtype": "boolean", "dtype_numpy": "|b1"},
        "step_type": {**common, "dtype": "string", "dtype_numpy": "<U64"},
    }


class RunWriter:
    """Writes a run's documents into a journal, as a RunEngine with flyers would."""

    def __init__(self, data: Path, **metadata: Any) -> None:
        self._run = event_model.compose_run(metadata={"plan_name": "test", **metadata})
        self.uid = self._run.start_doc["uid"]
        self._journal = Journal(data, any_names=True)
        self._journal("start", self._run.start_doc)
        self._next: dict[str, int] = {}
        self._descriptors: dict[str, dict[str, Any]] = {}
        assert self._journal.run_directory is not None
        self.directory = self._journal.run_directory

    def write(self, name: str, doc: dict[str, Any]) -> None:
        self._journal(name, doc)

    def stream(self, name: str = "timeseries", time: float | None = None, **changes: Any) -> str:
        keys = {**data_keys(), **changes.pop("keys", {})}
        bundle = self._run.compose_descriptor(
            name=name,
            data_keys=keys,
            time=time,
            object_keys={"cycler_dc": list(keys)},
            configuration={"cycler_dc": changes or {"data": {}, "timestamps": {}, "data_keys": {}}},
            hints={},
        )
        self._descriptors[name] = bundle.descriptor_doc
        self._next.setdefault(name, 1)
        self._journal("descriptor", bundle.descriptor_doc)
        return bundle.descriptor_doc["uid"]

    def page(self, rows: int, stream: str = "timeseries", *, wall: float = 1.7e9, **columns: Any) -> None:
        """`rows` rows: test time = seq_num, voltage = seq_num / 10 with every seventh NaN, and so on."""
        first = self._next[stream]
        self._next[stream] = first + rows
        numbers = np.arange(first, first + rows)
        data = {
            "test_time_second": numbers.astype(float),
            "voltage_volt": np.where(numbers % 7 == 0, math.nan, numbers / 10),
            "step_count": 2**53 + numbers,
            "overload": numbers % 2 == 0,
            "step_type": [f"größe {n % 3}" for n in numbers],
        } | columns
        page = {
            "descriptor": self._descriptors[stream]["uid"],
            "seq_num": numbers,
            "time": wall + numbers,
            "uid": [f"{self.uid}-{n}" for n in numbers],
            "data": data,
            "timestamps": dict.fromkeys(data, wall + numbers),
            "filled": {},
        }
        self._journal("event_page", page)

    def events(self, rows: int, stream: str = "timeseries", **columns: Any) -> None:
        """The same rows as single events."""
        for _ in range(rows):
            number = self._next[stream]
            self._next[stream] += 1
            data = {
                "test_time_second": float(number),
                "voltage_volt": math.nan if number % 7 == 0 else number / 10,
                "step_count": 2**53 + number,
                "overload": number % 2 == 0,
                "step_type": f"größe {number % 3}",
            } | columns
            event = {
                "descriptor": self._descriptors[stream]["uid"],
                "seq_num": number,
                "time": 1.7e9 + number,
                "uid": f"{self.uid}-{number}",
                "data": data,
                "timestamps": dict.fromkeys(data, 1700000000.0 + number),
                "filled": {},
            }
            self._journal("event", event)

    def repeat(self, rows: int, stream: str = "timeseries") -> None:
        """Go back, so that the next rows repeat seq_nums, as a rewound plan does."""
        self._next[stream] -= rows

    def stop(self, exit_status: str = "success", reason: str = "") -> dict[str, Any]:
        composed = self._run.compose_stop(exit_status=exit_status, reason=reason)  # type: ignore[arg-type]
        stop = {**composed, "num_events": {k: n - 1 for k, n in self._next.items()}}
        self._journal("stop", stop)
        self._journal.close()
        return stop

    def die(self) -> None:
        """End as a killed process does: the lock falls, no stop document."""
        self._journal.close()


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A store whose service runs, in a directory with a difficult name."""
    data = tmp_path_factory.mktemp("store") / "daten #1 ü 100%"
    store = Store(data)
    store.client  # noqa: B018  starts the service
    yield store
    store.close()
    stop_service(data)


@pytest.fixture
def writer(served: Store) -> Iterator[Callable[..., RunWriter]]:
    """Makes runs in the served data directory."""
    made: list[RunWriter] = []

    def make(**metadata: Any) -> RunWriter:
        made.append(RunWriter(served.data_directory, **metadata))
        return made[-1]

    yield make
    for run in made:
        run.die()


@pytest.fixture
def run_writer() -> type[RunWriter]:
    """The writer itself, for other data directories."""
    return RunWriter
