"""Cell records by kind: which parts each needs and refuses, and what is not defined without them."""

import pytest
import yaml

from labctl.errors import ConfigurationError
from labctl.formats import require_known
from labctl.records.cell import Cell, load_cell
from labctl.records.station import packaged_config

PACKAGED = {
    "full": "bare-ncm",
    "ion_path": "ion-path-lic",
    "electron_path": "electron-path-bare",
    "electrolyte": "electrolyte-lpscl",
}


def document(kind):
    content = yaml.safe_load(packaged_config(f"cells/{PACKAGED[kind]}.yaml").read_text())
    return require_known("cell", content, PACKAGED[kind])


def cell(kind):
    return load_cell(packaged_config(f"cells/{PACKAGED[kind]}.yaml"))


def refused(changed, tmp_path):
    path = tmp_path / "cell.yaml"
    path.write_text(yaml.safe_dump(changed))
    with pytest.raises(ConfigurationError) as caught:
        load_cell(path)
    message = str(caught.value)
    assert "\n" not in message
    return message.removeprefix(f"{path}: ")


@pytest.mark.parametrize("kind", PACKAGED)
def test_a_record_keeps_its_kind_through_json(kind):
    found = cell(kind)
    assert found.kind == kind
    assert found.is_symmetric == (kind != "full")
    assert Cell.model_validate(found.model_dump(mode="json")) == found


def test_a_record_without_a_kind_is_a_full_cell():
    assert "kind" not in document("full")
    assert cell("full").kind == "full"


@pytest.mark.parametrize(
    ("kind", "part"),
    [
        ("full", "anode"),
        ("full", "active_material"),
        ("ion_path", "anode"),
        ("ion_path", "separator"),
        ("electron_path", "composite"),
        ("electrolyte", "separator"),
    ],
)
def test_a_part_that_the_kind_needs_is_missed_by_name(kind, part, tmp_path):
    changed = document(kind)
    del changed[part]
    assert refused(changed, tmp_path).startswith(f"{part}: is missing; a cell of kind {kind} needs it")


@pytest.mark.parametrize(
    ("kind", "part"),
    [
        ("electron_path", "anode"),
        ("electron_path", "separator"),
        ("electrolyte", "anode"),
        ("electrolyte", "active_material"),
        ("electrolyte", "coating"),
    ],
)
def test_a_part_that_the_kind_has_not_is_refused_by_name(kind, part, tmp_path):
    changed = {**document(kind), part: document("ion_path")[part]}
    assert refused(changed, tmp_path).startswith(f"{part}: a cell of kind {kind} has none; leave it out")


@pytest.mark.parametrize("kind", ["ion_path", "electron_path", "electrolyte"])
def test_the_window_of_a_cell_that_rests_at_0_volt_lies_around_it(kind, tmp_path):
    changed = {**document(kind), "voltage_min_volt": 0.1}
    assert refused(changed, tmp_path).startswith("voltage_min_volt: 0.1 must be below 0")


def test_an_unknown_kind_is_refused_with_those_that_are_known(tmp_path):
    message = refused({**document("full"), "kind": "symmetric"}, tmp_path)
    assert message.startswith(
        "kind = 'symmetric': must be 'full', 'ion_path', 'electron_path' or 'electrolyte'"
    )


@pytest.mark.parametrize("kind", ["full", "ion_path", "electron_path"])
def test_a_capacity_is_defined_where_there_is_active_material(kind):
    assert cell(kind).nominal_capacity_ah == pytest.approx(1.68e-3)
    assert cell(kind).current("C/20") == pytest.approx(84e-6)


def test_without_active_material_there_is_no_rate_no_mass_and_no_capacity():
    electrolyte = cell("electrolyte")
    with pytest.raises(
        ConfigurationError, match="no active material, hence no C-rate; give a current"
    ) as caught:
        electrolyte.current("C/20")
    assert (caught.value.field, caught.value.value) == ("rate", "C/20")
    for name in ("active_mass_kg", "nominal_capacity_ah", "areal_capacity_ah_per_m2"):
        with pytest.raises(ConfigurationError, match="active_material: a cell of kind electrolyte has none"):
            getattr(electrolyte, name)
    with pytest.raises(ConfigurationError, match=r"particle_radius_um: is not given; diffusivity needs it"):
        electrolyte.require("particle_radius_um", for_result="diffusivity")
    assert electrolyte.particle_radius_metre is None
    assert electrolyte.active_volume_fraction is None
    assert electrolyte.composite_thickness_um is None
    assert electrolyte.molar_volume_m3_per_mol is None


def test_what_is_no_rate_is_refused_as_such_also_without_active_material():
    with pytest.raises(ConfigurationError, match=r"'C/20', '0\.5C', '1C', or a plain number"):
        cell("electrolyte").current("fast")


@pytest.mark.parametrize("kind", ["electron_path", "electrolyte"])
def test_without_an_anode_there_is_no_potential_vs_lithium(kind):
    with pytest.raises(ConfigurationError, match=r"anode: .*no potential vs"):
        cell(kind).to_working_potential(0.1)
    assert cell("ion_path").to_working_potential(0.0) == pytest.approx(0.62)


@pytest.mark.parametrize("kind", PACKAGED)
def test_limits_and_area_are_there_for_every_kind(kind):
    found = cell(kind)
    assert found.limits.voltage_max_volt == found.voltage_max_volt
    assert found.area_m2 == pytest.approx(78.54e-6, rel=1e-4)
    assert found.require("electrolyte.conductivity_ms_per_cm", for_result="tortuosity") == 2.0
