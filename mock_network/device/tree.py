"""The objects of one emulated device: a tree of values that the device itself and servers read and change. No I/O."""

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from mock_network.device.refusal import BAD_REQUEST, NOT_ALLOWED, NOT_FOUND, OperationError
from mock_network.lwm2m.definitions import Model, ObjectDefinition, ResourceDefinition
from mock_network.lwm2m.paths import (
    INSTANCE_LEVEL,
    RESOURCE_INSTANCE_LEVEL,
    RESOURCE_LEVEL,
    Path,
    covers,
    format_path,
)
from mock_network.lwm2m.values import DataType, FormatError, ObjectLink, Record, Value, check

Resource = Value | dict[int, Value]
"""A single value, or the instances of a multiple resource."""
Instances = dict[int, dict[int, dict[int, Resource]]]
"""Object id → instance id → resource id → value. Executable resources have no entry."""

NULL_LINK = ObjectLink(65535, 65535)  # Core TS 1.1, Appendix C
ZERO: Mapping[DataType, Value] = {
    DataType.STRING: "",
    DataType.CORELNK: "",
    DataType.INTEGER: 0,
    DataType.UNSIGNED: 0,
    DataType.TIME: 0,
    DataType.FLOAT: 0.0,
    DataType.BOOLEAN: False,
    DataType.OPAQUE: b"",
    DataType.OBJLNK: NULL_LINK,
}
"""The value of a resource that was never set."""


@dataclass(frozen=True, slots=True)
class Changed:
    """Resources whose value was written, set, created or deleted; object instances that came or went."""

    paths: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class Computed:
    """A resource whose value is worked out at each reading, as a clock's is. `read` returns None for no value."""

    read: Callable[[], Value | None]
    write: Callable[[Value], None]


class ObjectTree:
    """Values of one device. `on_change` hears of every change, by a server or by the device itself.

    Resources in `computed` keep their values elsewhere; they are single resources.
    """

    def __init__(self, model: Model, initial: Instances) -> None:
        self.model = model
        self.on_change: Callable[[Changed], None] = lambda _changed: None
        self.computed: dict[Path, Computed] = {}
        self.version = 0
        """Rises with every change, so that results computed from the values can be cached until then."""
        self._initial = copy.deepcopy(initial)
        self._objects = copy.deepcopy(initial)

    # The whole tree.

    def reset(self, objects: Iterable[int] | None = None) -> None:
        """Return to the first values, of some objects or of all (factory reset); `on_change` is not called."""
        self.version += 1
        for number in list(self._objects) if objects is None else objects:
            self._objects[number] = copy.deepcopy(self._initial.get(number, {}))

    def snapshot(self, objects: Iterable[int] | None = None) -> Instances:
        """Return a copy of all values, or of those of some objects, for `restore`."""
        wanted = self._objects if objects is None else {number: self._objects.get(number, {}) for number in objects}
        return copy.deepcopy(dict(wanted))

    def restore(self, kept: Instances) -> None:
        """Bring back the objects of a snapshot, whole; other objects stay. `on_change` hears of every instance."""
        self.version += 1
        before = self.instances()
        self._objects.update(copy.deepcopy(kept))
        touched = sorted({path for path in (*before, *self.instances()) if path[0] in kept})
        self.on_change(Changed(tuple(touched)))

    # What there is.

    def objects(self) -> list[int]:
        """Return the ids of all objects, those without instances too, in order."""
        return sorted(self._objects)

    def instances(self, path: Path = ()) -> list[Path]:
        """Return the object instances at or below an object or instance path, in order."""
        numbers = self.objects() if not path else [path[0]] if path[0] in self._objects else []
        found = [(number, key) for number in numbers for key in sorted(self._objects[number])]
        return [instance for instance in found if covers(path[:INSTANCE_LEVEL], instance)]

    def resources(self, instance: Path) -> list[int]:
        """Return the ids of the resources that have a value in an object instance, in order."""
        return sorted(self._objects[instance[0]][instance[1]])

    def dimension(self, path: Path) -> int | None:
        """Return how many instances a multiple resource has, None for any other."""
        resource = self._objects[path[0]][path[1]].get(path[2])
        return len(resource) if isinstance(resource, dict) else None

    def definition(self, object_id: int) -> ObjectDefinition:
        """Return the definition of an object of this device."""
        return self.model.objects[object_id]

    def check_exists(self, path: Path) -> None:
        """Raise OperationError unless there is something at `path`: an executable resource too, with or without value.

        A write-only resource is there although it may never have been written.
        """
        if path and path[0] not in self._objects:
            raise OperationError(NOT_FOUND, "no such object")
        if len(path) >= INSTANCE_LEVEL and path[1] not in self._objects[path[0]]:
            raise OperationError(NOT_FOUND, "no such object instance")
        if len(path) >= RESOURCE_LEVEL:
            resources = self._objects[path[0]][path[1]]
            operations = self.model.operations(path)
            present = path[2] in resources or path[:RESOURCE_LEVEL] in self.computed
            if not present and operations not in {"E", "W"}:
                raise OperationError(NOT_FOUND, "no such resource")
            instances = resources.get(path[2])
            if len(path) == RESOURCE_INSTANCE_LEVEL and (not isinstance(instances, dict) or path[3] not in instances):
                raise OperationError(NOT_FOUND, "no such resource instance")

    # Reading.

    def get(self, path: Path) -> Value:
        """Return the value at a resource or resource instance; KeyError if there is none."""
        if path in self.computed:
            value = self.computed[path].read()
            if value is None:
                raise KeyError(path)
            return value
        resource = self._objects[path[0]][path[1]][path[2]]
        if isinstance(resource, dict):
            return resource[path[3]]
        if len(path) != RESOURCE_LEVEL:
            raise KeyError(path)
        return resource

    def get_or(self, path: Path, default: Value) -> Value:
        """Return the value at a resource or resource instance, or `default` if there is none."""
        try:
            return self.get(path)
        except KeyError:
            return default

    def get_all(self, path: Path) -> dict[int, Value]:
        """Return the instances of a multiple resource; none if it has no value."""
        resource = self._objects.get(path[0], {}).get(path[1], {}).get(path[2], {})
        return dict(resource) if isinstance(resource, dict) else {}

    def records(self, path: Path = ()) -> Iterator[Record]:
        """Yield every value at and below `path`, whatever a server may read, in order of path."""
        for instance in self.instances(path):
            numbers = set(self.resources(instance)) | {key[2] for key in self.computed if key[:2] == instance}
            for number in sorted(numbers):
                yield from (record for record in self._values((*instance, number)) if covers(path, record.path))

    def _values(self, path: Path) -> Iterator[Record]:
        if path in self.computed:
            value = self.computed[path].read()
            if value is not None:
                yield Record(path, value)
            return
        resource = self._objects[path[0]][path[1]][path[2]]
        if isinstance(resource, dict):
            yield from (Record((*path, key), resource[key]) for key in sorted(resource))
        else:
            yield Record(path, resource)

    def read(self, path: Path) -> list[Record]:
        """Return the values at and below `path` that servers may read (§6.3.1); OperationError."""
        self.check_exists(path)
        if len(path) >= RESOURCE_LEVEL and "R" not in self.model.operations(path):
            raise OperationError(NOT_ALLOWED, "not readable")
        return [record for record in self.records(path) if "R" in self.model.operations(record.path)]

    # Changing.

    def set(self, path: Path, value: Value) -> None:
        """Set the value of a resource (or resource instance), whatever a server may do with it.

        KeyError if the object instance does not exist or the object has no such resource; FormatError if the value
        does not fit.
        """
        definition = self.model.resource(path)
        if definition is None or path[1] not in self._objects.get(path[0], {}):
            raise KeyError(format_path(path))
        self._put(path, value, definition)
        self.on_change(Changed((path,)))

    def set_all(self, path: Path, values: Mapping[int, Value], *, quiet: bool = False) -> None:
        """Set a multiple resource to exactly these instances; KeyError, FormatError as `set`.

        With `quiet`, `on_change` is not called.
        """
        definition = self.model.resource(path)
        if definition is None or path[1] not in self._objects.get(path[0], {}):
            raise KeyError(format_path(path))
        self.version += 1
        self._objects[path[0]][path[1]][path[2]] = {
            key: check(value, definition.data_type) for key, value in values.items()
        }
        if not quiet:
            self.on_change(Changed((path[:RESOURCE_LEVEL],)))

    def remove(self, path: Path) -> None:
        """Remove an object instance, a resource or a resource instance; KeyError if there is none."""
        self.version += 1
        parent: dict[int, object] = self._objects  # type: ignore[assignment]  # a level deeper with each step
        for identifier in path[:-1]:
            parent = parent[identifier]  # type: ignore[assignment]  # as above
        del parent[path[-1]]
        self.on_change(Changed((path,)))

    def add_object(self, object_id: int) -> None:
        """Let the device have an object, without instances for now."""
        self.version += 1
        self._objects.setdefault(object_id, {})

    def add_instance(self, path: Path, values: Mapping[int, Resource]) -> None:
        """Make, or replace, an object instance with these values; KeyError, FormatError as `set`."""
        self.add_object(path[0])
        self._objects[path[0]][path[1]] = {}
        for number, resource in values.items():
            items = resource.items() if isinstance(resource, dict) else [(None, resource)]
            for key, value in items:
                target = (*path, number) if key is None else (*path, number, key)
                definition = self.model.resource(target)
                if definition is None:
                    raise KeyError(format_path(target))
                self._put(target, value, definition)
        self.on_change(Changed((path,)))

    def _put(self, path: Path, value: object, definition: ResourceDefinition) -> None:
        self.version += 1
        resources = self._objects[path[0]][path[1]]
        if definition.multiple != (len(path) == RESOURCE_INSTANCE_LEVEL):
            shape = "has instances" if definition.multiple else "has no instances"
            raise FormatError(f"{format_path(path[:3])} {shape}")
        fitting = check(value, definition.data_type)
        if path in self.computed:
            self.computed[path].write(fitting)
            return
        if not definition.multiple:
            resources[path[2]] = fitting
            return
        instances = resources.setdefault(path[2], {})
        if isinstance(instances, dict):
            instances[path[3]] = fitting

    # What an operation of a server changes.

    def write(self, path: Path, records: Sequence[Record], *, replace: bool, any_resource: bool = False) -> None:
        """Write the values of a payload for `path` (§6.3.3): all of it or nothing; OperationError.

        With `replace` the writable resources of an object instance, or the instances of a multiple resource, that the
        payload does not name are removed unless mandatory; else they stay. `any_resource` writes also what no server
        may, as Bootstrap-Write does (§6.1.5).
        """
        if len(path) < INSTANCE_LEVEL:
            raise OperationError(NOT_ALLOWED, "Write is for object instances and what is below")
        self.check_exists(path[:INSTANCE_LEVEL])
        if len(path) >= RESOURCE_LEVEL:
            self._writable(path, any_resource=any_resource)
        for record in records:
            if not covers(path, record.path):
                raise OperationError(BAD_REQUEST, f"{format_path(record.path)} is outside {format_path(path)}")
            self._writable(record.path, any_resource=any_resource)
        before = copy.deepcopy(self._objects[path[0]][path[1]])
        try:
            if replace:
                self._remove_writable(path, any_resource=any_resource)
            for record in records:
                # Without a value (`None`) the check of the data type fails.
                self._put(record.path, record.value, self._writable(record.path, any_resource=any_resource))
        except FormatError as error:
            self._objects[path[0]][path[1]] = before
            self.version += 1
            raise OperationError(BAD_REQUEST, str(error)) from None
        self.on_change(Changed(tuple(record.path for record in records) or (path,)))

    def _writable(self, path: Path, *, any_resource: bool) -> ResourceDefinition:
        definition = self.model.resource(path)
        if definition is None:
            raise OperationError(NOT_FOUND, f"no resource {format_path(path)}")
        if definition.data_type is DataType.NONE or not (any_resource or "W" in definition.operations):
            raise OperationError(NOT_ALLOWED, f"{definition.name} is not writable")
        return definition

    def _remove_writable(self, path: Path, *, any_resource: bool) -> None:
        self.version += 1
        resources = self._objects[path[0]][path[1]]
        if len(path) == INSTANCE_LEVEL:
            for number in list(resources):
                definition = self.model.resource((*path, number))
                writable = definition is not None and (any_resource or "W" in definition.operations)
                if definition is not None and writable and not definition.mandatory:
                    del resources[number]
        elif len(path) == RESOURCE_LEVEL and isinstance(resources.get(path[2]), dict):
            resources[path[2]] = {}

    def create(self, object_id: int, instance_id: int | None, records: Sequence[Record]) -> Path:
        """Create an instance of an object from records of one instance, and return its path; OperationError.

        Without `instance_id` the device chooses it. Mandatory resources that the records do not name get a zero value.
        """
        instances = self._objects[object_id]
        if instance_id is None:
            instance_id = self.free_instance(object_id)
        if instance_id in instances:
            raise OperationError(BAD_REQUEST, "this instance exists")
        created = (object_id, instance_id)
        self.version += 1
        instances[instance_id] = dict(self._mandatory(object_id))
        try:
            for record in records:
                definition = self.model.resource(record.path)
                if definition is not None and record.value is not None:
                    self._put((*created, *record.path[INSTANCE_LEVEL:]), record.value, definition)
        except FormatError as error:
            del instances[instance_id]
            raise OperationError(BAD_REQUEST, str(error)) from None
        self.on_change(Changed((created,)))
        return created

    def free_instance(self, object_id: int) -> int:
        """Return the lowest instance id that an object of this device does not use."""
        instances = self._objects.get(object_id, {})
        return next(number for number in range(len(instances) + 1) if number not in instances)

    def _mandatory(self, object_id: int) -> Iterator[tuple[int, Resource]]:
        for number, definition in self.model.objects[object_id].resources.items():
            if definition.mandatory and definition.data_type is not DataType.NONE:
                yield number, {} if definition.multiple else ZERO[definition.data_type]

    def delete(self, path: Path) -> None:
        """Delete an object instance or a resource instance (§6.3.9); OperationError."""
        self.check_exists(path)
        if len(path) == RESOURCE_INSTANCE_LEVEL:
            if "W" not in self.model.operations(path):
                raise OperationError(NOT_ALLOWED, "the resource is not writable")
        elif len(path) != INSTANCE_LEVEL:
            raise OperationError(NOT_ALLOWED, "Delete is for object instances and resource instances")
        self.remove(path)
