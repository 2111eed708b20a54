"""Object definitions: ours are what the OMA registry says, and users bring more as TOML or as the registry's XML."""

import pytest

from mock_network.lwm2m.definitions import Model
from mock_network.lwm2m.object_files import DefinitionError, read_files, read_toml, read_xml
from mock_network.lwm2m.standard import standard_model
from mock_network.lwm2m.values import DataType

HUMIDITY = b"""<?xml version="1.0"?>
<LWM2M><Object ObjectType="MODefinition">
  <Name>Humidity</Name><ObjectID>3304</ObjectID><ObjectVersion>1.1</ObjectVersion>
  <MultipleInstances>Multiple</MultipleInstances><Mandatory>Optional</Mandatory>
  <Resources>
    <Item ID="5700"><Name>Sensor
      Value</Name><Operations>R</Operations><MultipleInstances>Single</MultipleInstances>
      <Mandatory>Mandatory</Mandatory><Type>Float</Type><RangeEnumeration/><Units>%RH</Units></Item>
    <Item ID="5605"><Name>Reset</Name><Operations>E</Operations><MultipleInstances>Single</MultipleInstances>
      <Mandatory>Optional</Mandatory><Type></Type></Item>
  </Resources>
</Object></LWM2M>"""
TOML = 'id = 30000\nname = "Driver"\n[resources]\n1 = { name = "Speed", operations = "RW", type = "integer" }\n'


def test_every_packaged_object_can_be_read():
    assert {0, 1, 2, 3, 4, 5, 6, 7, 10, 11, 21, 3303, 3442} <= set(standard_model().objects)
    for definition in standard_model().objects.values():
        for resource in definition.resources.values():
            assert (resource.data_type is DataType.NONE) == (resource.operations == "E")


def test_objects_of_the_registry_are_read_from_its_xml():
    (humidity,) = read_xml(HUMIDITY, "3304.xml")
    assert (humidity.id, humidity.name, humidity.version, humidity.multiple) == (3304, "Humidity", "1.1", True)
    value, reset = humidity.resources[5700], humidity.resources[5605]
    assert (value.name, value.operations, value.data_type) == ("Sensor Value", "R", DataType.FLOAT)
    assert (value.mandatory, value.units) == (True, "%RH")
    assert (reset.operations, reset.data_type) == ("E", DataType.NONE)


def test_files_and_folders_are_read_and_take_the_place_of_ours(tmp_path):
    (tmp_path / "3304.xml").write_bytes(HUMIDITY)
    (tmp_path / "pump.toml").write_text(TOML)
    (tmp_path / "notes.txt").write_text("no object")
    (tmp_path / "device.toml").write_text('id = 3\nname = "My Device"\n')
    model = standard_model().with_objects(read_files([tmp_path]))
    assert model.type_of((3304, 0, 5700)) is DataType.FLOAT
    assert model.type_of((30000, 0, 1)) is DataType.INTEGER
    assert model.type_of((30000, 0, 2)) is None
    assert model.objects[3].name == "My Device"
    assert Model().type_of((3, 0, 0)) is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("id =", "pump.toml: "),
        ('name = "x"', "id is missing"),
        ('id = 70000\nname = "x"', "70000 is no identifier"),
        ("id = 1\nname = 2", "2 is no text"),
        ('id = 1\nname = "x"\nresource = 3', "unknown key resource"),
        ('id = 1\nname = "x"\nresources = 3', "pump.toml: "),
        ('id = 1\nname = "x"\n[resources]\nx = { name = "y" }', "'x' is no identifier"),
        ('id = 1\nname = "x"\n[resources]\n1 = 2', "resource 1: a table is needed"),
        ('id = 1\nname = "x"\n[resources]\n1 = { name = "y", type = "word" }', "resource 1: 'word'"),
        ('id = 1\nname = "x"\n[resources]\n1 = { name = "y", operations = "X" }', "operations 'X'"),
        ('id = 1\nname = "x"\n[resources]\n1 = { operations = "R" }', "resource 1: name is missing"),
        ('id = 1\nname = "x"\nmultiple = 1', "is not true or false"),
    ],
)
def test_a_toml_file_that_defines_no_object_is_refused_with_the_reason(text, reason):
    with pytest.raises(DefinitionError) as error:
        read_toml(text, "pump.toml")
    assert reason in str(error.value)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"<LWM2M", "is not XML"),
        (b"<html/>", "holds no <Object>"),
        (b"<LWM2M><Object><ObjectID>x</ObjectID></Object></LWM2M>", "'x' is no identifier"),
        (HUMIDITY.replace(b"<Type>Float</Type>", b"<Type>Colour</Type>"), "unknown type 'colour'"),
        (HUMIDITY.replace(b"<Operations>R<", b"<Operations>Q<"), "operations 'Q'"),
    ],
)
def test_an_xml_file_that_defines_no_object_is_refused_with_the_reason(data, reason):
    with pytest.raises(DefinitionError) as error:
        read_xml(data, "3304.xml")
    assert reason in str(error.value)


def test_a_file_that_is_too_large_or_no_text_is_refused(tmp_path):
    large, binary = tmp_path / "large.xml", tmp_path / "binary.toml"
    large.write_bytes(b" " * ((1 << 20) + 1))
    binary.write_bytes(b"\xff\xfe")
    for path in (large, binary):
        with pytest.raises(DefinitionError):
            list(read_files([path]))
