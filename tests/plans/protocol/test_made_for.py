"""A protocol names the cell whose amperes it carries, and says what they are on another one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from devices.core.techniques import ConstantCurrent, Impedance, OpenCircuit, Sampling
from labctl.records.cell import Cell, load_cell
from labctl.records.station import packaged_config
from labctl.session import Session
from plans.executor.measurement import Measurement, run_protocol
from plans.gitt import gitt
from plans.protocol.files import load_protocol, save_protocol
from plans.protocol.made_for import MadeFor
from plans.protocol.protocol import Gapless, Loop, LoopCondition, Mark, Protocol
from plans.protocol.rated_steps import RatedCurrent
from plans.rate import rate_test

EVERY = Sampling.every(10)
REST = OpenCircuit(until_time_second=10, sampling=EVERY)
CHARGE = ConstantCurrent(current_ampere=1e-4, until_time_second=60, sampling=EVERY)


def cell_of(composite_mg: float, cell_id: str = "pellet-7") -> Cell:
    """The packaged cell with another mass of composite; 12 mg have 1C = 1.68 mA."""
    record = load_cell(packaged_config("cells/lic-ncm.yaml")).model_dump(mode="json")
    record["composite"]["mass_mg"] = composite_mg
    return Cell.model_validate({**record, "id": cell_id})


def saved_and_loaded(measurement: Measurement, folder: Path) -> Protocol:
    save_protocol(measurement.protocol, folder / "saved.json")
    return load_protocol(folder / "saved.json")


@pytest.mark.parametrize("plan", [rate_test, gitt])
def test_a_saved_protocol_names_its_cell_and_another_cell_is_told_before_it_runs(
    idle: Session, tmp_path: Path, plan
) -> None:
    made, other = cell_of(10.2), cell_of(12.0, "pellet-8")
    protocol = saved_and_loaded(plan(idle.cycler, cell=made), tmp_path)
    assert protocol.made_for == MadeFor(
        cell_id="pellet-7",
        nominal_capacity_ah=made.nominal_capacity_ah,
        active_mass_kg=made.active_mass_kg,
        area_m2=made.area_m2,
    )
    assert run_protocol(idle.cycler, protocol, cell=made).remarks == ()
    elsewhere = run_protocol(idle.cycler, protocol, cell=other)
    told = (
        "the protocol was made for cell pellet-7 (1C = 1.428 mA); this cell, pellet-8, has 1C = 1.68 mA: "
        "its currents are 0.85 of the rates meant"
    )
    assert elsewhere.remarks == (told,)
    assert elsewhere.metadata["remarks"] == [told]
    assert elsewhere.protocol == protocol  # its amperes, and whose they are, stay as they were


def test_a_replicate_of_the_same_capacity_and_a_record_that_has_changed_are_told_as_such(
    idle: Session,
) -> None:
    protocol = run_protocol(idle.cycler, Protocol(name="p", items=(CHARGE,)), cell=cell_of(12.0)).protocol
    assert protocol.remark_on(cell_of(12.0, "pellet-9")).endswith(
        "(1C = 1.68 mA); this cell, pellet-9, has 1C = 1.68 mA: its currents are the rates meant"
    )
    assert protocol.remark_on(cell_of(9.0)).endswith(
        "(1C = 1.68 mA); its record has now 1C = 1.26 mA: its currents are 1.3 of the rates meant"
    )


def test_without_nominal_capacity_the_areas_are_compared(idle: Session) -> None:
    record = load_cell(packaged_config("cells/electrolyte-lpscl.yaml"))
    wide = record.model_copy(update={"id": "wide", "diameter_mm": 12.0})
    made_for = MadeFor.of(record)
    assert (made_for.nominal_capacity_ah, made_for.active_mass_kg) == (None, None)
    protocol = Protocol(name="p", items=(CHARGE,), made_for=made_for)
    assert protocol.remark_on(wide).endswith(
        "(0.7854 cm²); this cell, wide, has 1.131 cm²: its currents are 0.69 of the current densities meant"
    )


@pytest.mark.parametrize(
    ("items", "told"),
    [
        ((REST, Impedance(amplitude_rms_volt=0.01), Mark()), False),
        (
            (RatedCurrent(rate_per_hour=1, direction="charge", until_voltage_volt=3.6, sampling=EVERY),),
            False,
        ),  # a rate is one on every cell
        ((Loop(repeat=2, body=(Gapless(techniques=(CHARGE, REST)),)),), True),
        (
            (
                Loop(
                    repeat=2, body=(REST,), stop_when=(LoopCondition(quantity="charge_above_ah", value=1e-3),)
                ),
            ),
            True,
        ),
    ],
)
def test_only_amperes_and_ampere_hours_belong_to_a_cell(items: tuple, told: bool) -> None:
    protocol = Protocol(name="p", items=items, made_for=MadeFor.of(cell_of(10.2)))
    assert bool(protocol.remark_on(cell_of(12.0))) == told


def test_a_file_from_before_protocols_named_their_cell_still_runs_without_a_remark(
    idle: Session, tmp_path: Path
) -> None:
    old = rate_test(idle.cycler, cell=cell_of(10.2)).protocol.model_dump(mode="json")
    del old["made_for"]
    (tmp_path / "old.json").write_text(json.dumps(old))
    protocol = load_protocol(tmp_path / "old.json")
    assert protocol.made_for is None
    assert run_protocol(idle.cycler, protocol, cell=cell_of(12.0)).remarks == ()
