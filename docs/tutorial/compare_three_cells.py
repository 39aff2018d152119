"""A campaign on three pellets: bare, coated, and coated at 60 degC, on the simulated bench.

Each is pressed and heated, formed, measured (impedance, GITT, rates) and cycled; every run goes through the
instrument's wire, the journal and the document store. Run it with

    python docs/tutorial/compare_three_cells.py [DATA_DIRECTORY]

On a real station: take out `fresh_bench` and give your own station and cell files.
"""

from __future__ import annotations

import sys
import time
import uuid
from pathlib import Path

from labctl.documents import RunTables
from labctl.documents import tables
from labctl.records.cell import Cell
from labctl.records.cell import load_cell
from labctl.records.station import load_station
from labctl.records.station import packaged_config
from labctl.journal.reader import follow
from labctl.session import Session
from labctl.session import open_session
from labctl.store.client.store import Store
from plans.conditioning import condition
from plans.cycling import cycle_life
from plans.executor.measurement import Measurement
from plans.formation import formation
from plans.gitt import gitt
from plans.impedance import impedance_spectrum
from plans.rate import rate_test

PELLETS = (("bare-ncm", 25.0), ("lic-ncm", 25.0), ("lic-ncm", 60.0))
CYCLES = 50
RATES = ("0.1C", "0.5C", "1C", "2C", "0.1C")


def measurements(session: Session, temperature_celsius: float) -> dict[str, Measurement]:
    """What is done with each pellet, in this order."""
    cycler, cell, environment = session.cycler, session.cell, session.environment
    common = {"cell": cell, "environment": environment}
    return {
        "condition": condition(
            cycler, **common, pressure_mpa=50, temperature_celsius=temperature_celsius, rest_second=3600
        ),
        "formation": formation(cycler, **common, rate="0.1C", cycles=2),
        "impedance": impedance_spectrum(cycler, **common, soc_percent=(50,), rate="C/5", rest_second=3600),
        "gitt": gitt(cycler, **common, rate="C/10", pulse_second=600, rest_second=3600, direction="charge"),
        "rates": rate_test(cycler, **common, rates=RATES, cycles=2),
        "cycles": cycle_life(cycler, **common, cycles=CYCLES, check_up_every=25, stop_retention=0.5),
    }


def run_campaign(data: Path) -> list[tuple[Cell, float, dict[str, str]]]:
    """Measure all pellets; for each its record, its temperature (degC) and the uids by measurement."""
    campaign, done = str(uuid.uuid4()), []
    for name, celsius in PELLETS:
        station = load_station(packaged_config("sim-press.yaml"))
        cell = load_cell(packaged_config(f"cells/{name}.yaml"))
        with open_session(station, cell, data, fresh_bench=True) as session:
            uids = {}
            for title, measurement in measurements(session, celsius).items():
                began = time.monotonic()
                (uids[title],) = session.RE(measurement, campaign_uid=campaign, tags=[title])
                took = time.monotonic() - began
                hours = measurement.estimate.duration_second / 3600
                print(f"{cell.id:<12} {celsius:.0f} degC  {title:<10} about {hours:6.1f} h of cell time in {took:5.1f} s")
        done.append((cell, celsius, uids))
    return done


def read(data: Path, uid: str) -> RunTables:
    """A run's tables, from its journal."""
    (directory,) = (data / "runs").glob(f"*/{uid}")
    return tables(follow(directory, live=False))


def discharge_capacities(run: RunTables, cell: Cell) -> dict[int, float]:
    """Discharge capacity (mAh per g of active material) by cycle."""
    steps = run.stream("steps")
    capacities: dict[int, float] = {}
    for cycle, ah in zip(steps["cycle_count"], steps["step_discharging_capacity_ah"], strict=True):
        capacities[int(cycle)] = capacities.get(int(cycle), 0.0) + float(ah) / cell.active_mass_kg
    return {cycle: capacity for cycle, capacity in capacities.items() if cycle > 0}


def main() -> None:
    """Run the campaign and print what it shows."""
    data = Path(sys.argv[1] if len(sys.argv) > 1 else "labctl-data").resolve()
    began = time.monotonic()
    with Store(data) as store:
        store.client  # noqa: B018  the document store comes up while the first pellet is pressed
        done = run_campaign(data)
        print(f"\n{'':24}" + "".join(f"{rate:>8}" for rate in RATES) + f"{'after 50':>10} cycles (mAh/g)")
        for cell, celsius, uids in done:
            rates = list(discharge_capacities(read(data, uids["rates"]), cell).values())[::2]
            cycles = discharge_capacities(read(data, uids["cycles"]), cell)
            last = list(cycles.values())[-2]  # the last but the closing check-up
            shown = "".join(f"{capacity:8.0f}" for capacity in rates) + f"{last:10.0f}"
            print(f"{cell.id:<12} {celsius:3.0f} degC   {shown}")
        shipped = all(store.wait_until_shipped(uid, 60) for *_, uids in done for uid in uids.values())
        print(f"\n{'all' if shipped else 'not all'} runs are in the store; {time.monotonic() - began:.0f} s in all")


if __name__ == "__main__":
    main()
