"""The attacks: each does something to real processes; the bench's record says when the circuit opened."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labctl.journal.reader import follow
from tests.attack.stand import END_SECOND, Stand, stand, wait_for

WITHIN_SECOND = 2.0  # from the cause that can be noticed to an open circuit
KEITHLEY = "sim-keithley.yaml"
_ANSWER_LOST_SECOND = 1.6  # after which a question is given up: only then can the loss be noticed
_SCRIPT_SILENT_SECOND = (
    2.0  # an EmStat whose packages stay away for max(3 intervals, 2 s) is asked what it does
)


@dataclass(frozen=True)
class Seen:
    """What came of an attack.

    Attributes:
        opened_second: wall time from the cause that could be noticed to the open circuit; None where the run
            was meant to go on.
        wrong: everything that is not as it must be; empty is good.
        note: figures for the table.
    """

    opened_second: float | None
    wrong: tuple[str, ...]
    note: str = ""


Attack = Callable[[Path], Seen]
ATTACKS: dict[str, Attack] = {}


def attack(name: str) -> Callable[[Attack], Attack]:
    """Enter an attack under its name."""

    def enter(function: Attack) -> Attack:
        ATTACKS[name] = function
        return function

    return enter


# ---- what is asked of every end
def _ended(place: Stand, opened: float | None, code: int | None, expected: int, **more: bool) -> Seen:
    """Judge a run that was to end early: exit code, stop document, circuit, no traceback, lock let go."""
    wrong = [text.replace("_", " ") for text, good in more.items() if not good]
    if code != expected:
        wrong.append(f"exit code {code}, not {expected}")
    if opened is None or opened > WITHIN_SECOND:
        wrong.append(f"the circuit opened after {opened} s")
    if "Traceback" in place.output():
        wrong.append("a traceback was printed")
    documents = list(follow(place.run().directory, live=False))
    stops = [document for name, document in documents if name == "stop"]
    if len(stops) != 1:
        wrong.append(f"{len(stops)} stop documents")
    if place.closed():
        wrong.append("the circuit is closed")
    reason = stops[0].get("reason", "") if stops else ""
    return Seen(opened, tuple(wrong), f"{place.run().status}: {reason}"[:90])


def _went_on(place: Stand, process: subprocess.Popen[str], charge_before_ah: float, note: str = "") -> Seen:
    """Judge a run that was to go on: finished, rows without a hole, charge as the bench counted it."""
    code = process.wait(END_SECOND)
    wrong = [f"exit code {code}"] if code else []
    if "Traceback" in place.output():
        wrong.append("a traceback was printed")
    run = place.run()
    if run.status != "finished":
        wrong.append(f"the run is {run.status}: {run.reason}")
    recorded = _recorded_charge_ah(run.directory)
    counted = place.cell()["charge_ah"] - charge_before_ah
    if abs(recorded - counted) > 0.01 * abs(counted):
        wrong.append(f"recorded {recorded:.4g} Ah, the bench counted {counted:.4g} Ah")
    return Seen(
        None, tuple(wrong), f"{run.points} rows, charge within {abs(recorded / counted - 1):.1e}{note}"
    )


def _recorded_charge_ah(directory: Path) -> float:
    charge = 0.0
    names = {}
    for name, document in follow(directory, live=False):
        if name == "descriptor":
            names[document["uid"]] = document["name"]
        elif name in ("event", "event_page") and names[document["descriptor"]] == "steps":
            for key, sign in (("step_charging_capacity_ah", 1), ("step_discharging_capacity_ah", -1)):
                value = document["data"][key]
                charge += sign * sum(value if isinstance(value, list) else [value])
    return charge


# ---- the wire
@attack("1 Keithley: every answer is lost in mid-pulse")
def silent_keithley(directory: Path) -> Seen:
    with stand(directory, KEITHLEY) as place:
        process = place.start()
        place.in_pulse()
        place.bench.inject("cycler", "silent")
        noticed = time.time() + _ANSWER_LOST_SECOND
        code = process.wait(END_SECOND)
        opened = place.opened_after(noticed)
        place.bench.inject("cycler", "clear")
        return _ended(place, opened, code, 1)


@attack("1 EmStat: every answer is lost in mid-pulse")
def silent_emstat(directory: Path) -> Seen:
    with stand(directory) as place:
        process = place.start()
        place.in_pulse()
        place.bench.inject("cycler", "silent")
        noticed = time.time() + _SCRIPT_SILENT_SECOND
        code = process.wait(END_SECOND)
        opened = place.opened_after(noticed)
        place.bench.inject("cycler", "clear")
        return _ended(place, opened, code, 1)


def _bad_wire(directory: Path, config: str, fault: str, **arguments: Any) -> Seen:
    with stand(directory, config, speed=60.0) as place:
        process = place.start()
        charge = place.in_pulse()
        place.bench.inject("cycler", fault, **arguments)
        return _went_on(place, process, charge)


@attack("7 Keithley: garbage before 10 answers")
def keithley_garbage(directory: Path) -> Seen:
    return _bad_wire(directory, KEITHLEY, "garbage", lines=10)


@attack("7 Keithley: 200 answers split into pieces of 3 bytes")
def keithley_split(directory: Path) -> Seen:
    return _bad_wire(directory, KEITHLEY, "split", size=3, lines=200)


@attack("7 EmStat: garbage before 10 lines")
def emstat_garbage(directory: Path) -> Seen:
    return _bad_wire(directory, "sim.yaml", "garbage", lines=10)


# ---- a host that sleeps
def _sleep(directory: Path, config: str, second: float, speed: float) -> Seen:
    with stand(directory, config, speed=speed) as place:
        process = place.start()
        charge = place.in_pulse()
        process.send_signal(signal.SIGSTOP)
        with suppress(subprocess.TimeoutExpired):
            process.wait(second)
        process.send_signal(signal.SIGCONT)
        return _went_on(place, process, charge, f", {place.run().points} rows in mid-pulse")


for _maker, _config in (("EmStat", "sim.yaml"), ("Keithley", KEITHLEY)):
    for _second in (2.0, 5.0, 8.0):

        @attack(f"6 {_maker}: the host sleeps for {_second:g} s")
        def host_sleeps(directory: Path, config: str = _config, second: float = _second) -> Seen:
            return _sleep(directory, config, second, speed=10.0)


# ---- terminals and signals
@attack("2 the terminal is closed (SIGHUP comes)")
def closed_terminal(directory: Path) -> Seen:
    with stand(directory) as place:
        process, terminal = place.on_a_terminal(ignoring_hang_up=False)
        place.in_pulse()
        cause = time.time()
        terminal.close()
        code = process.wait(END_SECOND)
        return _ended(place, place.opened_after(cause), code, 1)


@attack("2 under nohup the terminal is closed: goes on; then SIGTERM")
def nohup(directory: Path) -> Seen:
    with stand(directory) as place:
        process, terminal = place.on_a_terminal(ignoring_hang_up=True)
        place.in_pulse()
        terminal.close()
        with suppress(subprocess.TimeoutExpired):
            process.wait(3.0)
        survived = process.poll() is None and place.closed()
        cause = time.time()
        process.terminate()
        code = process.wait(END_SECOND)
        return _ended(place, place.opened_after(cause), code, 1, it_did_not_survive=survived)


@attack("2 SIGHUP in mid-pulse")
def hang_up(directory: Path) -> Seen:
    return _signalled(directory, [signal.SIGHUP])


@attack("3 SIGTERM nine times in mid-pulse")
def nine_terms(directory: Path) -> Seen:
    return _signalled(directory, [signal.SIGTERM] * 9)


@attack("3 SIGINT twenty-five times in mid-pulse")
def many_interrupts(directory: Path) -> Seen:
    return _signalled(directory, [signal.SIGINT] * 25)


def _signalled(directory: Path, numbers: list[signal.Signals]) -> Seen:
    """Signals 50 ms apart until the process has ended, so that teardown gets its share of them."""
    with stand(directory) as place:
        process = place.start()
        place.in_pulse()
        cause = time.time()
        for number in numbers:
            process.send_signal(number)
            with suppress(subprocess.TimeoutExpired):
                process.wait(0.05)
        code = process.wait(END_SECOND)
        return _ended(place, place.opened_after(cause), code, 1)


@attack("3 signals from the stop document to the end of the process")
def signals_after_the_stop(directory: Path) -> Seen:
    with stand(directory) as place:
        process = place.start()
        place.in_pulse()
        cause = time.time()
        process.terminate()
        wait_for(lambda: place.run().status != "running", "a stop document", END_SECOND)
        sent = 0
        while process.poll() is None and sent < 200:
            process.send_signal(signal.SIGINT if sent % 2 else signal.SIGTERM)
            sent += 1
            with suppress(subprocess.TimeoutExpired):
                process.wait(0.01)
        code = process.wait(END_SECOND)
        return _ended(place, place.opened_after(cause), code, 1)


# ---- labctl off
def _off(place: Stand, cause: float, **more: bool) -> Seen:
    """`labctl off`, and what the bench saw of it."""
    done = place.labctl("off", str(place.station))
    opened = place.opened_after(cause)
    wrong = [text.replace("_", " ") for text, good in more.items() if not good]
    if done.returncode:
        wrong.append(f"exit code {done.returncode}: {done.stdout[-200:]}{done.stderr[-200:]}")
    if "Traceback" in done.stderr + place.output():
        wrong.append("a traceback was printed")
    return Seen(opened, tuple(wrong), " ".join(done.stdout.split())[:90])


@attack("5 labctl off while a run measures")
def off_with_a_run(directory: Path) -> Seen:
    with stand(directory) as place:
        process = place.start()
        place.in_pulse()
        seen = _off(place, time.time())
        return _ended(place, seen.opened_second, process.wait(END_SECOND), 1, **{seen.note: not seen.wrong})


@attack("5 labctl off while the run is stopped (SIGSTOP)")
def off_with_a_frozen_run(directory: Path) -> Seen:
    with stand(directory) as place:
        process = place.start()
        place.in_pulse()
        process.send_signal(signal.SIGSTOP)
        return _off(place, time.time())


@attack("5 labctl off after kill -9 of the run")
def off_after_a_kill(directory: Path) -> Seen:
    with stand(directory) as place:
        process = place.start()
        place.in_pulse()
        process.kill()
        process.wait(END_SECOND)
        return _off(place, time.time())


@attack("1 kill -9: the pulse goes to its end and no further")
def killed(directory: Path) -> Seen:
    with stand(directory, speed=60.0) as place:
        process = place.start()
        place.in_pulse()
        process.kill()
        process.wait(END_SECOND)
        before = place.cell()["charge_ah"]
        place.opened_after(time.time())
        moved = place.cell()["charge_ah"] - before
        wrong = () if 0 <= moved <= 84e-6 * 600 / 3600 * 1.01 else (f"{moved:.3g} Ah flowed after the kill",)
        return Seen(None, wrong, f"{moved * 1e6:.1f} uAh flowed after the kill, within the program's own end")


@attack("22 the bench is killed")
def bench_killed(directory: Path) -> Seen:
    with stand(directory) as place:
        process = place.start()
        place.in_pulse()
        pid = int(place.bench.ping()["pid"])
        began = time.time()
        os.kill(pid, signal.SIGKILL)
        code = process.wait(END_SECOND)
        wrong = () if code == 1 and place.run().status == "failed" else (f"{code}: {place.run().status}",)
        return Seen(None, wrong, f"run failed after {time.time() - began:.1f} s")
