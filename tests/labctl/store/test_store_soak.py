"""Thirty days at one sample a second, as fast as it goes: memory stays flat, journal and Tiled are equal."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from labctl.store.client import Store
from labctl.store.service import ensure_service, stop_service
from labctl.store.verify import verify_run
from tests.helpers import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
PAGES, ROWS = 2600, 1000  # 30 days are 2 592 000 s
WARM_UP_PAGES = 600
MOST_BYTE_PER_EVENT = 50.0
# A RunEngine with two flyers, as of a cycler and its surroundings, and the journal as its only subscriber.
RUN = """
import itertools, json, sys
from pathlib import Path
import bluesky.plan_stubs as bps, bluesky.preprocessors as bpp, numpy as np
from bluesky import RunEngine
from ophyd import Device
from ophyd.status import DeviceStatus
from labctl.document_validation import install_compiled_validators
from labctl.journal import Journal
data, pages, rows = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
FLOATS = ("test_time_second", "step_time_second", "voltage_volt", "current_ampere")

def resident_byte():
    return int(open("/proc/self/statm").read().split()[1]) * 4096

class Flyer(Device):
    first, rows = 1, 1
    def _done(self):
        status = DeviceStatus(self)
        status.set_finished()
        return status
    kickoff = complete = _done
    def describe_collect(self):
        common = {"source": "soak", "shape": []}
        return {
            **{k: {**common, "dtype": "number", "dtype_numpy": "<f8", "units": "V"} for k in FLOATS},
            "step_count": {**common, "dtype": "integer", "dtype_numpy": "<i8"},
            "step_type": {**common, "dtype": "string", "dtype_numpy": "<U16"},
        }
    def collect_pages(self):
        n = np.arange(self.first, self.first + self.rows)
        self.first += self.rows
        columns = {"test_time_second": n * 1.0, "step_time_second": n % 3600 * 1.0,
                   "voltage_volt": np.where(n % 997 == 0, np.nan, 3 + np.sin(n / 9000) / 2),
                   "current_ampere": np.cos(n / 9000) * 1e-4, "step_count": n // 3600}
        data = {key: column.tolist() for key, column in columns.items()}
        data["step_type"] = ["cc_charge"] * self.rows
        times = (1.7e9 + n).tolist()
        yield {"data": data, "timestamps": dict.fromkeys(data, times), "time": times}

install_compiled_validators()
engine, journal = RunEngine({}, context_managers=[]), Journal(data)
engine.subscribe(journal)
cycler, surroundings = Flyer(name="cycler_dc"), Flyer(name="surroundings")
cycler.rows = rows

@bpp.run_decorator(md={"plan_name": "soak"})
def plan():
    yield from bps.declare_stream(cycler, name="timeseries", collect=True)
    yield from bps.declare_stream(surroundings, name="environment", collect=True)
    for flyer in (cycler, surroundings):
        yield from bps.kickoff(flyer, wait=True)
    for page in range(pages):
        yield from bps.collect(cycler, name="timeseries", return_payload=False)
        for _ in range(5):
            yield from bps.collect(surroundings, name="environment", return_payload=False)
        yield from bps.checkpoint()
        if page % 100 == 0:
            print(json.dumps({"page": page, "resident_byte": resident_byte()}), flush=True)
    for flyer in (cycler, surroundings):
        yield from bps.complete(flyer, wait=True)

(uid,) = engine(plan())
journal.close()
print(json.dumps({"uid": uid, "resident_byte": resident_byte()}), flush=True)
"""


def resident_byte(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_thirty_days_leave_memory_flat_and_journal_and_tiled_equal(tmp_path: Path) -> None:
    data = tmp_path / "data"
    service = ensure_service(data)
    command = [sys.executable, "-c", RUN, str(data), str(PAGES), str(ROWS)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    of_run, of_service, uid = [], [], ""
    with Store(data) as store:
        for line in child.stdout:
            told = json.loads(line)
            uid = told.get("uid", "")
            if uid or told["page"] >= WARM_UP_PAGES:
                of_run.append(told["resident_byte"])
                of_service.append(resident_byte(service.pid))
        assert child.wait(60) == 0
        child.stdout.close()
        rows = (PAGES - WARM_UP_PAGES) * (ROWS + 5)
        assert (of_run[-1] - of_run[0]) / rows < MOST_BYTE_PER_EVENT, of_run
        assert store.wait_until_shipped(uid, 600)
        of_service.append(resident_byte(service.pid))
        assert (of_service[-1] - of_service[0]) / rows < MOST_BYTE_PER_EVENT, of_service
        assert len(list((tmp_path / "data" / "runs").glob("*/*/journal-*"))) > 5, "it was rotated"
        found = verify_run(store, uid)
        assert found.differences == ()
        assert found.rows == {"timeseries": PAGES * ROWS, "environment": PAGES * 5}
        before = resident_byte(service.pid)
        read = store.client[uid]["timeseries"].read()
        assert read.sizes["time"] == PAGES * ROWS
        wait_until(lambda: resident_byte(service.pid) - before < 100e6, 10)
        (tmp_path / "figures.json").write_text(json.dumps({"run": of_run, "service": of_service}))
    stop_service(data)
