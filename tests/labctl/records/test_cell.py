"""The cell record: what it derives, and what it refuses."""

import json
from math import pi

import orjson
import pytest
import yaml
from pydantic import ValidationError

from labctl.errors import ConfigurationError
from labctl.formats import require_known
from labctl.records.cell import Cell, load_cell
from labctl.records.station import packaged_config


@pytest.fixture
def document():
    content = yaml.safe_load(packaged_config("cells/bare-ncm.yaml").read_text())
    return require_known("cell", content, "bare-ncm.yaml")


@pytest.fixture
def cell():
    return load_cell(packaged_config("cells/bare-ncm.yaml"))


@pytest.fixture
def refused(document, tmp_path):
    """Change one place of a good record, load it, return the message."""

    def change(place, value):
        group = document
        *groups, field = place.split(".")
        for name in groups:
            group = group[name]
        group[field] = value
        path = tmp_path / "cell.yaml"
        path.write_text(yaml.safe_dump(document))
        with pytest.raises(ConfigurationError) as caught:
            load_cell(path)
        message = str(caught.value)
        assert message.startswith(f"{path}: ")
        assert "\n" not in message
        return message.removeprefix(f"{path}: ")

    return change


def test_the_packaged_pellet_is_the_reference_pellet(cell):
    assert cell.active_mass_kg == pytest.approx(8.4e-6)
    assert cell.area_m2 == pytest.approx(pi * 0.005**2)
    assert cell.nominal_capacity_ah == pytest.approx(1.68e-3)
    assert cell.areal_capacity_ah_per_m2 == pytest.approx(21.39, rel=1e-3)
    assert cell.active_volume_fraction == pytest.approx(0.43, abs=0.003)
    assert cell.particle_radius_metre == pytest.approx(2.5e-6)
    assert cell.molar_volume_m3_per_mol == pytest.approx(97.28e-3 / 4700, rel=1e-9)
    assert (cell.separator_thickness_mm, cell.anode_potential_volt, cell.diameter_mm) == (0.8, 0.62, 10)


def test_only_the_coated_pellet_has_a_coating(cell):
    assert cell.coating is None
    coated = load_cell(packaged_config("cells/lic-ncm.yaml"))
    assert coated.coating is not None
    assert coated.coating.material == "Li3InCl6"


@pytest.mark.parametrize(
    ("rate", "ampere"),
    [("C/20", 84e-6), ("1C", 1.68e-3), ("C", 1.68e-3), ("0.5C", 0.84e-3), ("2 C", 3.36e-3), ("c/3", 0.56e-3),
     ("2C/3", 1.12e-3), (0.05, 84e-6), (1, 1.68e-3)],
)  # fmt: skip
def test_a_c_rate_is_a_current(cell, rate, ampere):
    assert cell.current(rate) == pytest.approx(ampere)


@pytest.mark.parametrize(
    "rate", ["", "fast", "C/0", "-1C", "C/-2", "0.5 mA", "1e400C", 0, -0.1, float("nan"), True]
)
def test_what_is_no_c_rate_is_refused_with_the_forms_that_are(cell, rate):
    with pytest.raises(ConfigurationError, match=r"'C/20', '0.5C', '1C', or a plain number") as caught:
        cell.current(rate)
    assert caught.value.field == "rate"


def test_voltages_convert_between_cell_and_lithium_and_back(cell):
    assert cell.to_working_potential(3.68) == pytest.approx(4.30)
    assert cell.to_cell_voltage(cell.to_working_potential(3.1)) == pytest.approx(3.1)


def test_limits_are_those_of_window_die_and_temperature(cell):
    limits = cell.limits
    assert (limits.voltage_min_volt, limits.voltage_max_volt) == (2.38, 3.68)
    assert limits.temperature_max_celsius == 60
    assert limits.pressure_max_pa == pytest.approx(400e6)
    assert limits.current_max_ampere == pytest.approx(0.01)


def test_sources_of_numbers_are_kept(cell):
    assert cell.sources["active_material.particle_radius_um"] == "supplier"
    assert cell.sources["diameter_mm"] == "measured"
    assert "die_pressure_max_mpa" not in cell.sources


def test_the_record_survives_json_with_identifier_keys(cell):
    dumped = cell.model_dump(mode="json")
    assert Cell.model_validate(json.loads(orjson.dumps(dumped))) == cell
    assert all(key.isidentifier() for key in _keys(dumped))


def test_the_record_is_frozen(cell):
    with pytest.raises(ValidationError, match="frozen"):
        cell.diameter_mm = 12.0


def test_a_missing_number_disables_by_name_the_result_that_needs_it(document):
    del document["active_material"]["particle_radius_um"], document["active_material"]["density_g_per_cm3"]
    cell = Cell.model_validate(document)
    assert cell.particle_radius_metre is None
    assert cell.molar_volume_m3_per_mol is None
    with pytest.raises(
        ConfigurationError, match=r"active_material\.particle_radius_um: .*diffusivity needs it"
    ):
        cell.require("particle_radius_um", for_result="diffusivity")
    with pytest.raises(ConfigurationError, match=r"coating\.mass_percent: .*coating thickness needs it"):
        cell.require("coating.mass_percent", for_result="coating thickness")
    with pytest.raises(ConfigurationError, match="no number of a cell record"):
        cell.require("particle_colour", for_result="diffusivity")


def test_a_given_number_is_returned_whether_asked_for_in_full_or_in_short(cell):
    assert cell.require("particle_radius_um", for_result="diffusivity") == 2.5
    assert cell.require("active_material.particle_radius_um", for_result="diffusivity") == 2.5
    assert cell.require("diameter_mm", for_result="area") == 10


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        ("diameter_mm", "10 mm", "diameter_mm = '10 mm': must be a plain number in mm"),
        ("diameter_mm", {"value": "1 cm", "source": "measured"}, "diameter_mm = '1 cm': must be a plain"),
        ("diameter_cm", 1.0, "diameter_cm = 1.0: is not a known field; did you mean 'diameter_mm'?"),
        ("diameter_mm", 0, "diameter_mm = 0: must be greater than 0 (in mm)"),
        ("diameter_mm", -10, "diameter_mm = -10: must be greater than 0"),
        ("diameter_mm", float("nan"), "diameter_mm = nan: must be a finite number"),
        ("diameter_mm", float("inf"), "diameter_mm = inf: must be"),
        ("diameter_mm", True, "diameter_mm = True: must be a number, not true or false"),
        ("diameter_mm", [10], "diameter_mm: must be a plain number in mm"),
        ("diameter_mm", None, "diameter_mm: must be a plain number in mm"),
        ("diameter_mm", {"value": 10, "source": "guessed"}, "sources.diameter_mm = 'guessed': must be"),
        ("diameter_mm", {"value": 10, "unit": "mm"}, "diameter_mm: must be a plain number in mm"),
        ("active_material.mass_fraction", 70, "active_material.mass_fraction = 70: must be less"),
        ("active_material.particle_radius", 2.5, "active_material.particle_radius = 2.5: is not"),
        ("active_material.molar_volume_cm3_per_mol", 20.7, "active_material: give density_g_per_cm3"),
        ("active_material", "NCM811", "active_material = 'NCM811': must be a group of 'field: value' lines"),
        ("composite.carbon_mass_fraction", 0.4, "composite.carbon_mass_fraction: 0.4 and active_mat"),
        ("composite.thickness_um", 40, "composite.thickness_um: 40 is too thin: with composite.mass_mg, 12,"),
        ("composite.mass_mg", 0.012, "composite.thickness_um: 53 is too thick: with composite.mass_mg, 0.01"),
        ("diameter_mm", 100, "composite.thickness_um: 53 is too thick: with composite.mass_mg, 12, and diam"),
        ("diameter_mm", 1.0, "composite.thickness_um: 53 is too thin: with composite.mass_mg, 12, and"),
        ("composite.mass_mg", None, "composite.mass_mg: must be a plain number in mg"),
        ("stack_pressure_mpa", 500, "stack_pressure_mpa: 500 must not exceed die_pressure_max_mpa, 400"),
        ("fabrication_pressure_mpa", 401, "fabrication_pressure_mpa: 401 must not exceed die"),
        ("voltage_min_volt", 4.0, "voltage_min_volt: 4 must lie below voltage_max_volt, 3.68"),
        ("working_electrode", "anode", "working_electrode = 'anode': must be 'composite'"),
        ("id", 7, "id = 7: must be text (put it in quotes)"),
        ("id", "../../etc", "id = '../../etc': must begin with a letter and contain only letters, digits"),
        ("coating", "Li3InCl6", "coating = 'Li3InCl6': must be a group of 'field: value' lines"),
        ("sources", {"colour": "measured"}, "sources: 'colour' is no number that this record gives"),
    ],
)  # fmt: skip
def test_an_impossible_record_is_refused_in_one_line(refused, place, value, message):
    assert refused(place, value).startswith(message)


def test_a_window_that_looks_like_one_against_lithium_is_allowed_with_a_remark(document):
    assert Cell.model_validate(document).remarks == ()
    (remark,) = Cell.model_validate({**document, "voltage_max_volt": 4.3}).remarks
    assert "voltage_max_volt, 4.3 V, is 4.92 V vs Li+/Li with an anode at 0.62 V" in remark


@pytest.mark.parametrize("field", ["diameter_mm", "stack_pressure_mpa", "voltage_max_volt", "id"])
def test_a_missing_field_is_named(document, field):
    del document[field]
    with pytest.raises(ValidationError, match=f"{field}\n  Field required"):
        Cell.model_validate(document)


def _keys(value):
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from _keys(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _keys(inner)
