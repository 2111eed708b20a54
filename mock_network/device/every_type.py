"""Object 3442, the LwM2M v1.1 test object: a resource of each data type, single and multiple."""

import random
import re
import string
from collections.abc import Callable, Mapping

from mock_network.device.operations import Executable
from mock_network.device.refusal import BAD_REQUEST, OperationError
from mock_network.device.tree import ZERO, ObjectTree, Resource
from mock_network.lwm2m.definitions import TEST, Model
from mock_network.lwm2m.paths import Path, PathError, parse_path
from mock_network.lwm2m.values import DataType, ObjectLink, Value

RESET, RANDOMIZE, CLEAR, EXECUTE_WITH_ARGUMENTS, ARGUMENTS, SEND, TO_SEND = range(7)
_FIRST_VALUE = 110  # resources from here on hold values, below stand what can be executed
_MAX_LENGTH, _MAX_INSTANCES = 20, 10
_MAX_TIME = 0xFFFFFFFF
INITIAL: Mapping[DataType, Value] = {
    DataType.STRING: "initial value",
    DataType.INTEGER: 1024,
    DataType.UNSIGNED: 1 << 63,
    DataType.FLOAT: 3.14159,
    DataType.BOOLEAN: True,
    DataType.OPAQUE: bytes.fromhex("0123456789ABCDEF"),
    DataType.TIME: 946684800,
    DataType.OBJLNK: ObjectLink(3, 0),
    DataType.CORELNK: "</3442>",
}
# Core TS 1.1 §6.3.6: arguments are digits, each with an optional value in single quotes, separated by commas.
_ARGUMENT = re.compile(r"([0-9])(?:='([\x21\x23-\x26\x28-\x5b\x5d-\x7e]*)')?")


def initial_values(model: Model) -> dict[int, Resource]:
    """Return the values that an instance starts with."""
    values: dict[int, Resource] = {ARGUMENTS: {}, TO_SEND: {}}
    for number, definition in model.objects[TEST].resources.items():
        if number >= _FIRST_VALUE:
            value = INITIAL[definition.data_type]
            values[number] = {0: value} if definition.multiple else value
    return values


class EveryType:
    """All instances of object 3442 in a tree. `send` makes the device send the values at some paths."""

    def __init__(self, tree: ObjectTree, rng: random.Random, send: Callable[[list[str]], None]) -> None:
        self._tree, self._rng, self._send = tree, rng, send

    def executable(self, path: Path) -> Executable | None:
        """Return what Execute does at a path of this object."""
        if path[0] != TEST:
            return None
        instance = path[:2]
        actions: dict[int, Executable] = {
            RESET: lambda _arguments: self._tree.add_instance(instance, initial_values(self._tree.model)),
            RANDOMIZE: lambda _arguments: self._fill(instance, random_values=True),
            CLEAR: lambda _arguments: self._fill(instance, random_values=False),
            EXECUTE_WITH_ARGUMENTS: lambda arguments: self._take(instance, arguments),
            SEND: lambda _arguments: self._send_resources(instance),
        }
        return actions.get(path[2])

    def _send_resources(self, instance: Path) -> None:
        paths = [str(path) for path in self._tree.get_all((*instance, TO_SEND)).values()]
        try:
            for path in paths:
                self._tree.read(parse_path(path))
        except PathError as error:
            raise OperationError(BAD_REQUEST, str(error)) from None
        self._send(paths)

    def _fill(self, instance: Path, *, random_values: bool) -> None:
        for number, definition in self._tree.model.objects[TEST].resources.items():
            path = (*instance, number)
            if number < _FIRST_VALUE:
                continue
            if definition.multiple:
                count = self._rng.randint(0, _MAX_INSTANCES) if random_values else 0
                self._tree.set_all(path, {key: self._random(definition.data_type) for key in range(count)})
            else:
                self._tree.set(
                    path, self._random(definition.data_type) if random_values else ZERO[definition.data_type]
                )

    def _random(self, data_type: DataType) -> Value:
        rng = self._rng
        match data_type:
            case DataType.STRING:
                return "".join(rng.choices(string.ascii_letters, k=rng.randint(0, _MAX_LENGTH)))
            case DataType.INTEGER:
                return rng.randint(-(1 << 63), (1 << 63) - 1)
            case DataType.UNSIGNED:
                return rng.randint(0, (1 << 64) - 1)
            case DataType.FLOAT:
                return rng.uniform(-1e6, 1e6)
            case DataType.BOOLEAN:
                return rng.random() < 0.5  # noqa: PLR2004  # a coin
            case DataType.OPAQUE:
                return rng.randbytes(rng.randint(0, _MAX_LENGTH))
            case DataType.TIME:
                return rng.randint(0, _MAX_TIME)
            case DataType.OBJLNK:
                return ObjectLink(*rng.choice(self._tree.instances()))
            case _:
                return "</" + "/".join(str(identifier) for identifier in rng.choice(self._tree.instances())) + ">"

    def _take(self, instance: Path, arguments: bytes) -> None:
        self._tree.set_all((*instance, ARGUMENTS), dict(parse_arguments(arguments)))


def parse_arguments(arguments: bytes) -> Mapping[int, str]:
    """Return the arguments of an Execute by their digits, written as `3='text',4`; OperationError."""
    found: dict[int, str] = {}
    try:
        items = arguments.decode("ascii").split(",") if arguments else []
    except UnicodeDecodeError:
        raise OperationError(BAD_REQUEST, "arguments are ASCII") from None
    for item in items:
        match = _ARGUMENT.fullmatch(item)
        if match is None or int(match[1]) in found:
            raise OperationError(BAD_REQUEST, f"not arguments of Execute: {item[:20]!r}")
        found[int(match[1])] = match[2] or ""
    return found
