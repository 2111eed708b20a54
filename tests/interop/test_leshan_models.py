"""The object definitions of the emulators are those inside Leshan's jar, which come from the OMA registry."""

import zipfile

import pytest

from mock_network.lwm2m.object_files import read_xml
from mock_network.lwm2m.standard import standard_model
from tests.components import LESHAN
from tests.conftest import need_component


@pytest.fixture(scope="module")
def registry():
    """Definitions by object id and version."""
    need_component(LESHAN)
    found = {}
    for jar in (LESHAN.folder / "lib").glob("leshan-lwm2m-core-*.jar"):  # one of them holds the test objects
        with zipfile.ZipFile(jar) as archive:
            for name in archive.namelist():
                if name.startswith("models/") and name.endswith(".xml") and "injection" not in name:
                    for definition in read_xml(archive.read(name), name):
                        found[definition.id, definition.version] = definition
    return found


@pytest.mark.parametrize("object_id", [0, 1, 2, 3, 4, 5, 6, 7, 21, 3442])
def test_an_object_is_defined_as_in_the_registry(registry, object_id):
    ours = standard_model().objects[object_id]
    assert ours == registry[object_id, ours.version]
