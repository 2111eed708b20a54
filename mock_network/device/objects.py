"""The objects of one emulated device: a tree of values, and what the operations of a server may do to it.

No I/O. Refusals are OperationError with the response code of Core TS 1.1 table 6.4-1 ff.
"""

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from mock_network.lwm2m.definitions import (
    DEFINITIONS,
    SECURITY,
    TEMPERATURE,
    ResourceDefinition,
    resource_definition,
)
from mock_network.lwm2m.links import Link
from mock_network.lwm2m.paths import (
    INSTANCE_LEVEL,
    OBJECT_LEVEL,
    RESOURCE_INSTANCE_LEVEL,
    RESOURCE_LEVEL,
    Path,
    covers,
    format_path,
)
from mock_network.lwm2m.tlv import UNNAMED_INSTANCE
from mock_network.lwm2m.values import FormatError, Record, Value, check

BAD_REQUEST, UNAUTHORIZED, NOT_FOUND, NOT_ALLOWED = "4.00", "4.01", "4.04", "4.05"

Resource = Value | dict[int, Value]
"""A single value, or the instances of a multiple resource."""
Instances = dict[int, dict[int, dict[int, Resource]]]
"""Object id → instance id → resource id → value. Executable resources have no entry."""


class OperationError(Exception):
    """An operation that is refused with a response code."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(f"{code} {reason}")
        self.code = code
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Changed:
    """Resources whose value was written, set, created or deleted."""

    paths: tuple[Path, ...]


class ObjectTree:
    """Values of one device. `on_change` hears of every change, by a server or by the device itself."""

    def __init__(self, initial: Instances) -> None:
        self.on_change: Callable[[Changed], None] = lambda _changed: None
        self._initial = copy.deepcopy(initial)
        self._objects = copy.deepcopy(initial)

    def reset(self) -> None:
        """Back to the first values (factory reset)."""
        self._objects = copy.deepcopy(self._initial)

    # What the device itself does.

    def get(self, path: Path) -> Value:
        """The value at a resource or resource instance; KeyError if there is none."""
        resource = self._objects[path[0]][path[1]][path[2]]
        if isinstance(resource, dict):
            return resource[path[3]]
        if len(path) != RESOURCE_LEVEL:
            raise KeyError(path)
        return resource

    def set(self, path: Path, value: Value) -> None:
        """Give a resource (or resource instance) a value, whatever a server may do with it.

        KeyError if the object instance does not exist or the object has no such resource; FormatError if the value
        does not fit.
        """
        definition = resource_definition(path)
        if definition is None or path[1] not in self._objects.get(path[0], {}):
            raise KeyError(format_path(path))
        self._put(path, check(value, definition.data_type), definition)
        self.on_change(Changed((path,)))

    def _put(self, path: Path, value: Value, definition: ResourceDefinition) -> None:
        resources = self._objects[path[0]][path[1]]
        if definition.multiple != (len(path) == RESOURCE_INSTANCE_LEVEL):
            shape = "has instances" if definition.multiple else "has no instances"
            raise FormatError(f"{format_path(path[:3])} {shape}")
        if not definition.multiple:
            resources[path[2]] = value
            return
        instances = resources.setdefault(path[2], {})
        if isinstance(instances, dict):
            instances[path[3]] = value

    def instance_paths(self) -> list[Path]:
        """All object instances, in order."""
        return [(number, key) for number in sorted(self._objects) for key in sorted(self._objects[number])]

    # What a server may ask for.

    def check_exists(self, path: Path) -> None:
        """OperationError unless there is something at `path` that a server may know of."""
        if path and path[0] == SECURITY:
            raise OperationError(UNAUTHORIZED, "the Security object is not for servers")
        if not path or path[0] not in self._objects:
            raise OperationError(NOT_FOUND, "no such object")
        if len(path) >= INSTANCE_LEVEL and path[1] not in self._objects[path[0]]:
            raise OperationError(NOT_FOUND, "no such object instance")
        if len(path) >= RESOURCE_LEVEL:
            definition = resource_definition(path)
            resources = self._objects[path[0]][path[1]]
            if definition is None or ("E" not in definition.operations and path[2] not in resources):
                # A resource that is writable but never was written is there, without a value.
                if definition is not None and definition.operations == "W" and len(path) == RESOURCE_LEVEL:
                    return
                raise OperationError(NOT_FOUND, "no such resource")
            instances = resources.get(path[2])
            if len(path) == RESOURCE_INSTANCE_LEVEL and (not isinstance(instances, dict) or path[3] not in instances):
                raise OperationError(NOT_FOUND, "no such resource instance")

    def read(self, path: Path) -> list[Record]:
        """The readable values at and below `path` (§6.3.1); OperationError."""
        self.check_exists(path)
        if len(path) >= RESOURCE_LEVEL:
            definition = resource_definition(path)
            if definition is None or "R" not in definition.operations:
                raise OperationError(NOT_ALLOWED, "not readable")
        return [record for record in self._records(path[0]) if covers(path, record.path)]

    def _records(self, object_id: int) -> Iterable[Record]:
        for instance_id, resources in sorted(self._objects[object_id].items()):
            for resource_id, resource in sorted(resources.items()):
                path = (object_id, instance_id, resource_id)
                definition = resource_definition(path)
                if definition is None or "R" not in definition.operations:
                    continue
                if isinstance(resource, dict):
                    yield from (Record((*path, key), value) for key, value in sorted(resource.items()))
                else:
                    yield Record(path, resource)

    def instances_at(self, path: Path) -> list[Path]:
        """The object instances at or below an object or instance path."""
        return [instance for instance in self.instance_paths() if covers(path[:INSTANCE_LEVEL], instance)]

    def write(self, path: Path, records: Sequence[Record], *, replace: bool) -> Changed:
        """Write what a payload said for `path` (§6.3.3): all of it or nothing; OperationError.

        With `replace` the writable resources of an object instance, or the instances of a multiple resource, that the
        payload does not name are removed unless mandatory; else they stay.
        """
        if not path or len(path) == OBJECT_LEVEL:
            raise OperationError(NOT_ALLOWED, "Write is for object instances and what is below")
        self._check_writable_target(path)
        definitions = []
        for record in records:
            if not covers(path, record.path):
                raise OperationError(BAD_REQUEST, f"{format_path(record.path)} is outside {format_path(path)}")
            definition = resource_definition(record.path)
            if definition is None:
                raise OperationError(NOT_FOUND, f"no resource {format_path(record.path)}")
            if "W" not in definition.operations:
                raise OperationError(NOT_ALLOWED, f"{definition.name} is not writable")
            definitions.append(definition)
        before = copy.deepcopy(self._objects[path[0]][path[1]])
        try:
            if replace:
                self._remove_writable(path)
            for record, definition in zip(records, definitions, strict=True):
                # Without a value (`None`) the check of the data type fails.
                self._put(record.path, check(record.value, definition.data_type), definition)
        except FormatError as error:
            self._objects[path[0]][path[1]] = before
            raise OperationError(BAD_REQUEST, str(error)) from None
        changed = Changed(tuple(record.path for record in records) or (path,))
        self.on_change(changed)
        return changed

    def _check_writable_target(self, path: Path) -> None:
        self.check_exists(path[:INSTANCE_LEVEL])
        if len(path) >= RESOURCE_LEVEL:
            definition = resource_definition(path)
            if definition is None:
                raise OperationError(NOT_FOUND, "no such resource")
            if "W" not in definition.operations:
                raise OperationError(NOT_ALLOWED, f"{definition.name} is not writable")

    def _remove_writable(self, path: Path) -> None:
        resources = self._objects[path[0]][path[1]]
        if len(path) == INSTANCE_LEVEL:
            for resource_id in list(resources):
                definition = resource_definition((*path, resource_id))
                if definition is not None and "W" in definition.operations and not definition.mandatory:
                    del resources[resource_id]
        elif len(path) == RESOURCE_LEVEL and isinstance(resources.get(path[2]), dict):
            resources[path[2]] = {}

    def create(self, path: Path, records: Sequence[Record]) -> Path:
        """Create an instance of the object at `path` (§6.3.8) and return its path; OperationError.

        Records under UNNAMED_INSTANCE, or none, leave the instance id to the device.
        """
        if len(path) != OBJECT_LEVEL:
            raise OperationError(BAD_REQUEST, "Create is for objects")
        if path[0] == SECURITY:
            raise OperationError(UNAUTHORIZED, "the Security object is not for servers")
        if path[0] not in self._objects:
            raise OperationError(NOT_FOUND, "no such object")
        if path[0] != TEMPERATURE:
            raise OperationError(NOT_ALLOWED, f"no instances of {DEFINITIONS[path[0]].name} can be created")
        instances = self._objects[path[0]]
        wanted = {record.path[1] for record in records}
        if len(wanted) > 1:
            raise OperationError(BAD_REQUEST, "one instance at a time")
        instance_id = wanted.pop() if wanted else UNNAMED_INSTANCE
        if instance_id in instances:
            raise OperationError(BAD_REQUEST, "this instance exists")
        if instance_id == UNNAMED_INSTANCE:
            instance_id = next(number for number in range(len(instances) + 1) if number not in instances)
        instances[instance_id] = {5700: 0.0, 5701: "Cel"}
        created = (path[0], instance_id)
        try:
            for record in records:
                definition = resource_definition(record.path)
                if definition is not None and record.value is not None:
                    self._put((*created, *record.path[INSTANCE_LEVEL:]), record.value, definition)
        except FormatError as error:
            del instances[instance_id]
            raise OperationError(BAD_REQUEST, str(error)) from None
        self.on_change(Changed((created,)))
        return created

    def delete(self, path: Path) -> None:
        """Delete an object instance (§6.3.9); OperationError."""
        self.check_exists(path)
        if len(path) != INSTANCE_LEVEL or path[0] != TEMPERATURE:
            raise OperationError(NOT_ALLOWED, "only instances of Temperature can be deleted")
        del self._objects[path[0]][path[1]]
        self.on_change(Changed((path,)))

    # Links of Register and Discover.

    def registration_links(self, formats: str) -> list[Link]:
        """Objects and instances as Register lists them (§6.2.1); Security never is."""
        links = [Link("/", {"rt": "oma.lwm2m", "ct": formats})]
        for object_id in sorted(self._objects):
            if object_id == SECURITY:
                continue
            version = DEFINITIONS[object_id].version
            attributes = {} if version == "1.0" else {"ver": version}
            instances = sorted(self._objects[object_id])
            if attributes or not instances:
                links.append(Link(f"/{object_id}", attributes))
            links += [Link(f"/{object_id}/{instance}") for instance in instances]
        return links

    def discover(self, path: Path, attributes: Callable[[Path], Mapping[str, str]]) -> list[Link]:
        """The links of Discover (§6.3.2): the path itself and what is below it; OperationError."""
        self.check_exists(path)
        if len(path) > RESOURCE_LEVEL:
            raise OperationError(BAD_REQUEST, "Discover is for objects, object instances and resources")
        found: list[Path] = [path]
        if len(path) == OBJECT_LEVEL:
            for instance in self.instances_at(path):
                found += [instance, *self._resource_paths(instance)]
        elif len(path) == INSTANCE_LEVEL:
            found += self._resource_paths(path)
        links = []
        for target in found:
            said: dict[str, str | None] = {}
            if len(target) == OBJECT_LEVEL and DEFINITIONS[target[0]].version != "1.0":
                said["ver"] = DEFINITIONS[target[0]].version
            resource = self._objects[target[0]][target[1]].get(target[2]) if len(target) == RESOURCE_LEVEL else None
            if isinstance(resource, dict):
                said["dim"] = str(len(resource))
            said.update(attributes(target))
            links.append(Link(format_path(target), said))
        return links

    def _resource_paths(self, instance: Path) -> list[Path]:
        present = set(self._objects[instance[0]][instance[1]])
        definitions = DEFINITIONS[instance[0]].resources
        executable = {number for number, definition in definitions.items() if "E" in definition.operations}
        return [(*instance, number) for number in sorted(present | executable)]
