"""The objects that come with the emulators."""

import functools

from mock_network.lwm2m.definitions import Model
from mock_network.lwm2m.object_files import packaged_objects
from mock_network.lwm2m.paths import Path
from mock_network.lwm2m.values import DataType


@functools.cache
def standard_model() -> Model:
    """Return the objects that come with the emulators, read once."""
    return Model().with_objects(packaged_objects())


def type_of(path: Path) -> DataType | None:
    """Return what `standard_model().type_of` returns."""
    return standard_model().type_of(path)
