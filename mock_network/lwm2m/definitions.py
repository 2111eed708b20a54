"""Object definitions: resources, their types, and the operations that a server may do.

The definitions themselves are data: `objects/*.toml` beside this module, read by `object_files`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from mock_network.lwm2m.paths import RESOURCE_LEVEL, Path
from mock_network.lwm2m.values import DataType

SECURITY, SERVER, ACCESS_CONTROL, DEVICE, CONNECTIVITY, FIRMWARE, LOCATION = range(7)
CELLULAR, APN_PROFILE, APP_DATA, OSCORE = 10, 11, 19, 21
TEMPERATURE, TEST = 3303, 3442
REPORT_CONTROL, FIRMWARE_BANK, SECURE_COMPONENT = 26250, 26251, 26252
"""Objects of this project; see their files."""


@dataclass(frozen=True, slots=True)
class ResourceDefinition:
    """One resource of an object. `operations` holds the letters R, W, E; empty for what no server may touch.

    `units` is as the registry writes it, empty where it names none.
    """

    name: str
    operations: str
    data_type: DataType
    multiple: bool = False
    mandatory: bool = False
    units: str = ""


@dataclass(frozen=True, slots=True)
class ObjectDefinition:
    """One object; Register names its `version` only where it is not 1.0 (Core TS 1.1 §7.2.2)."""

    id: int
    name: str
    version: str
    multiple: bool
    mandatory: bool
    resources: Mapping[int, ResourceDefinition]


@dataclass(frozen=True, slots=True)
class Model:
    """The objects known to client or server, by id."""

    objects: Mapping[int, ObjectDefinition] = field(default_factory=dict)

    def resource(self, path: Path) -> ResourceDefinition | None:
        """Return the definition of the resource at, or above, this path; None if there is none."""
        if len(path) < RESOURCE_LEVEL or path[0] not in self.objects:
            return None
        return self.objects[path[0]].resources.get(path[2])

    def type_of(self, path: Path) -> DataType | None:
        """Return the data type of the resource at a path, None if the resource is unknown (a `values.TypeOf`)."""
        definition = self.resource(path)
        return None if definition is None else definition.data_type

    def operations(self, path: Path) -> str:
        """Return the letters of what a server may do with the resource at a path, empty if it is unknown."""
        definition = self.resource(path)
        return "" if definition is None else definition.operations

    def with_objects(self, more: Iterable[ObjectDefinition]) -> "Model":
        """Return a model that has these objects too; they replace those with the same ids."""
        return Model({**self.objects, **{definition.id: definition for definition in more}})
