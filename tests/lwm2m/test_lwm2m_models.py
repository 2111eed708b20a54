"""Object definitions of an operator: what they say, and that whatever else is in a file is refused with the reason."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge.config import load
from bridge.config.checking import checked
from bridge.config.object_models import object_models
from bridge.errors import ConfigurationError, RequestError
from bridge.lwm2m import objects
from bridge.lwm2m.formats import decoded
from bridge.lwm2m.models import read_model
from bridge.lwm2m.objects import Resource, Type, resource_at
from bridge.lwm2m.requests import Content, Operation, request_of

MODEL = """\ufeff<?xml version="1.0" encoding="utf-8"?>
<LWM2M xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
  <Object ObjectType="MODefinition">
    <Name>Valve</Name>
    <ObjectID>33000</ObjectID>
    <Resources>
      <Item ID="1"><Name>Opening</Name><Operations>RW</Operations><Type>Integer</Type><Units>%</Units></Item>
      <Item ID="2"><Name>Close</Name><Operations>E</Operations><Type></Type><Units></Units></Item>
      <Item ID="3"><Name>Serial</Name><Operations>R</Operations><Type>Unsigned Integer</Type></Item>
    </Resources>
  </Object>
</LWM2M>
""".encode()
OPENING = Resource(Type.INTEGER, "Opening", "%")


@pytest.fixture
def known() -> Iterator[None]:
    objects.define(read_model(MODEL, "valve.xml"))
    yield
    objects.define({})


def test_a_file_of_the_registry_is_read() -> None:
    assert read_model(MODEL, "valve.xml") == {
        (33000, 1): OPENING,
        (33000, 2): Resource(Type.NONE, "Close"),
        (33000, 3): Resource(Type.UNSIGNED, "Serial"),
    }


@pytest.mark.usefixtures("known")
def test_values_are_written_and_read_by_it() -> None:
    assert resource_at((33000, 0, 1)) == OPENING
    with pytest.raises(RequestError, match="/33000/0/1 is of type integer"):
        request_of(Operation.WRITE, "/33000/0/1", content=Content(value="half"))
    assert request_of(Operation.WRITE, "/33000/0/1", content=Content(value="050")).payload == b"50"
    found = decoded(11542, bytes.fromhex("c10132"), (33000, 0))
    assert found is not None
    assert [tuple(one) for one in found] == [((33000, 0, 1), 50, Type.INTEGER)]


def test_without_it_nothing_is_known() -> None:
    assert resource_at((33000, 0, 1)) is None


@pytest.mark.parametrize(
    ("document", "why"),
    [
        (b"", "it is no XML"),
        (b"<LWM2M><Object>", "it is no XML"),
        (b"<LWM2M/>", "it defines no resource"),
        (b"\xff\xfe<\0", "it is not in UTF-8"),
        (b"<a>" * 300_000, "it is no XML"),
        (b"<a>" * 100_000 + b"</a>" * 100_000, "it defines no resource"),
        (b'<?xml version="1.0" encoding="klingon"?><a/>', "it is no XML"),
        (b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', "it has a document type"),
        (MODEL.replace(b"33000", b"x"), "ObjectID is 'x'"),
        (MODEL.replace(b"33000", b"99999"), "ObjectID is '99999'"),
        (MODEL.replace(b'ID="1"', b'ID="-1"'), "a resource has the ID '-1'"),
        (MODEL.replace(b'ID="1"', b'ID="\xd9\xa3"'), "a resource has the ID"),
        (MODEL.replace(b"Unsigned Integer", b"Number"), "resource 3 is of the type 'Number'"),
    ],
)
def test_what_is_no_definition_is_refused_with_the_reason(document: bytes, why: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^valve\.xml: ") as refused:
        read_model(document, "valve.xml")
    assert why in str(refused.value)


def configured(folder: Path, named: str) -> Path:
    file = folder / "bridge.toml"
    file.write_text(f'[service]\nobject_models = "{named}"\n')
    return file


def test_the_configuration_names_a_folder_beside_it(tmp_path: Path) -> None:
    models = tmp_path / "models"
    models.mkdir()
    (models / "valve.xml").write_bytes(MODEL)
    (models / "README").write_text("not one of them")
    assert object_models(load(configured(tmp_path, "models")))[33000, 1] == OPENING
    (models / "other.XML").write_bytes(b"<LWM2M/>")
    with pytest.raises(ConfigurationError, match=r"object_models: .*other.XML: it defines no resource"):
        checked(load(configured(tmp_path, "models")))
    (models / "other.XML").write_bytes(b" " * (1 << 20) + b" ")
    with pytest.raises(ConfigurationError, match=r"other.XML has more than"):
        checked(load(configured(tmp_path, "models")))
    with pytest.raises(ConfigurationError, match=r"object_models: cannot read the folder .*nowhere: No such file"):
        checked(load(configured(tmp_path, "nowhere")))
