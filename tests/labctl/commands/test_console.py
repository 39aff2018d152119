"""The console as a person uses it: at a terminal, with Ctrl-C."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from devices.core.techniques import ConstantCurrent, Sampling
from labctl.records.cell import Cell
from labctl.records.station import packaged_config
from labctl.runs.listing import find_run
from labctl.store.server.service import stop_service
from plans.protocol.files import save_protocol
from plans.protocol.made_for import MadeFor
from plans.protocol.protocol import Protocol
from tests.helpers import wait_until

pexpect = pytest.importorskip("pexpect")
if sys.platform == "win32":
    pytest.skip("needs a terminal of POSIX", allow_module_level=True)

PROMPT = r"In \[\d+\]: "
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal:
    """A console in a pseudo-terminal without colours."""

    def __init__(self, place: Path) -> None:
        environment = {**os.environ, "TERM": "dumb", "LABCTL_DATA": str(place / "data"), "NO_COLOR": "1"}
        environment |= {"IPYTHONDIR": str(place / "ipython"), "QT_QPA_PLATFORM": "offscreen"}
        command = ["-m", "labctl", "console", "--station", str(place / "paced.yaml"), "--fresh"]
        self.child = pexpect.spawn(
            sys.executable, command, cwd=str(place), env=environment, encoding="utf-8", timeout=60
        )
        self.child.setwinsize(50, 200)
        self.child.expect(PROMPT)
        self.banner = self.child.before

    def type(self, line: str, expect: str = PROMPT) -> str:
        self.child.sendline(line)
        self.child.expect(expect)
        return ESCAPES.sub("", self.child.before)

    def value(self, expression: str) -> str:
        """What the console prints for an expression."""
        text = self.type(f"print('<<' + str({expression}) + '>>')")
        return re.findall(r"<<(.*?)>>", text)[-1]


@pytest.fixture
def terminal(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Terminal]:
    station = yaml.safe_load(packaged_config("sim.yaml").read_text())
    station["simulate"] = {"seed": 3, "speed": 100, "stoichiometry": 0.7}
    station["devices"] |= getattr(request, "param", {})
    (tmp_path / "paced.yaml").write_text(yaml.safe_dump(station))
    opened = Terminal(tmp_path)
    yield opened
    opened.child.sendline("exit()")
    opened.child.expect(pexpect.EOF)
    opened.child.close()
    stop_service(tmp_path / "data")


def test_the_banner_and_the_names_tell_a_newcomer_what_there_is(terminal: Terminal, tmp_path: Path) -> None:
    assert "lic-ncm-1 (Li3InCl6)" in terminal.banner
    assert "RE(gitt(cycler, cell=cell" in terminal.banner
    text = terminal.type("gitt?")
    assert "V/h" in text
    assert "Weppner" in text
    assert terminal.value("cycler.identity.model") == "EmStat4 HR"
    assert "EmStat4 HR ES4HR00S0003, circuit open, nothing measured yet>" in terminal.type("cycler")


def test_what_cannot_be_done_is_told_in_a_line_with_what_to_type(terminal: Terminal) -> None:
    for call in ("RE.abort()", "RE.resume()", "RE.stop()"):
        assert_one_line(
            terminal.type(call), "nothing is running or paused; RE(gitt(cycler, cell=cell)) starts"
        )
    assert_one_line(terminal.type("RE(gitt(cycler, pulses=1))"), "cell is missing: cell=cell")
    assert_one_line(terminal.type("gitt(cycler, cell=cell, pulses=0)"), "pulses = 0: must be a whole number")
    assert "Traceback" in terminal.type("raise RuntimeError('of somebody else')")


def assert_one_line(shown: str, words: str) -> None:
    assert words in shown
    assert "Traceback" not in shown
    assert "bluesky" not in shown


@pytest.mark.parametrize("terminal", [{"spare_gauge": {"driver": "mark10"}}], indirect=True)
def test_it_says_what_is_not_recorded_and_whose_currents_a_run_has(
    terminal: Terminal, tmp_path: Path, coated_cell: Cell
) -> None:
    assert "note: spare_gauge: not recorded: a run keeps the readings of the cycler" in terminal.banner
    step = ConstantCurrent(current_ampere=84e-6, until_time_second=10.0, sampling=Sampling.every(1))
    made_for = MadeFor.of(coated_cell).model_copy(update={"cell_id": "half", "nominal_capacity_ah": 0.84e-3})
    save_protocol(Protocol(name="one", items=(step,), made_for=made_for), tmp_path / "one.json")
    terminal.type(
        "from plans.executor.measurement import run_protocol; from plans.protocol.files import load_protocol"
    )
    terminal.type("p = run_protocol(cycler, load_protocol('one.json'), cell=cell)")
    said = " ".join(terminal.type("RE(p)").split())
    assert said.count("note: the protocol was made for cell half (1C = 0.84 mA); this cell") == 1
    assert "its currents are 0.5 of the rates meant" in said
    wait_until(lambda: find_run(tmp_path / "data", "last").status == "finished", 30)


def test_control_c_opens_the_circuit_and_resume_finishes_the_run(terminal: Terminal, tmp_path: Path) -> None:
    plan = "gitt(cycler, cell=cell, pulses=1, first_rest_second=10, rest_second=60, direction='charge')"
    terminal.type(f"p = {plan}")
    terminal.child.sendline("RE(p)")
    data = tmp_path / "data"
    wait_until(lambda: has_current(data), 60)
    terminal.child.sendintr()
    terminal.child.sendintr()  # impatience changes nothing
    terminal.child.expect(PROMPT)
    terminal.child.expect([PROMPT, pexpect.TIMEOUT], timeout=1)
    assert terminal.value("session.bench.cell_state()['circuit_closed']") == "False"
    assert terminal.value("RE.state") == "paused"
    assert_one_line(
        terminal.type("RE(p)"), "a run is paused: RE.resume() continues it, RE.abort() or RE.stop() ends"
    )
    terminal.type("session.bench.set_speed('max')")
    terminal.type("RE.resume()")
    wait_until(lambda: find_run(data, "last").status == "finished", 30)
    assert terminal.value("[r.end_reason for r in cycler.results][-1]") in ("drift", "time")
    assert "finished" in terminal.type("show()")
    assert re.search(r"<run \S+: gitt, cell lic-ncm-1, success", terminal.type("data()"))


def has_current(data: Path) -> bool:
    from labctl.documents import tables
    from labctl.errors import ConfigurationError
    from labctl.journal.reader import follow

    try:
        run = find_run(data, "last")
    except ConfigurationError:
        return False
    rows = tables(follow(run.directory, live=False)).streams.get("timeseries", {})
    return bool(len(rows.get("current_ampere", ())) and (rows["current_ampere"] > 1e-6).any())
