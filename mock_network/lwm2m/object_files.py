"""Object definitions from files: our own TOML, and the XML of the OMA registry that users bring.

A TOML file describes one object:

    id = 3
    name = "Device"
    version = "1.1"            # 1.0 where it is left out
    multiple = false           # several instances; false where it is left out
    mandatory = true           # false where it is left out

    [resources]
    13 = { name = "Current Time", operations = "RW", type = "time" }
    6 = { name = "Available Power Sources", operations = "R", type = "integer", multiple = true }

The registry's XML follows LWM2M.xsd; one file may hold several objects.
"""

import tomllib
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Iterator
from importlib import resources
from pathlib import Path
from typing import Any

from mock_network.lwm2m.definitions import ObjectDefinition, ResourceDefinition
from mock_network.lwm2m.paths import MAX_IDENTIFIER
from mock_network.lwm2m.values import DataType

MAX_FILE = 1 << 20  # bytes; the largest file of the registry has 70 kB
_XML_TYPES = {
    "": DataType.NONE,
    "none": DataType.NONE,
    "string": DataType.STRING,
    "integer": DataType.INTEGER,
    "unsigned integer": DataType.UNSIGNED,
    "float": DataType.FLOAT,
    "boolean": DataType.BOOLEAN,
    "opaque": DataType.OPAQUE,
    "time": DataType.TIME,
    "objlnk": DataType.OBJLNK,
    "corelnk": DataType.CORELNK,
}
_OBJECT_KEYS = {"id", "name", "version", "multiple", "mandatory", "resources"}
_RESOURCE_KEYS = {"name", "operations", "type", "multiple", "mandatory", "units"}


class DefinitionError(ValueError):
    """A file without a valid object; the text says where and why."""


def packaged_objects() -> Iterator[ObjectDefinition]:
    """Yield the objects that come with the emulators."""
    folder = resources.files("mock_network.lwm2m") / "objects"
    for file in sorted(folder.iterdir(), key=lambda file: file.name):
        yield read_toml(file.read_text("utf-8"), file.name)


def read_files(paths: Iterable[Path]) -> Iterator[ObjectDefinition]:
    """Yield the objects of `.toml` and `.xml` files, and of all such files in folders; DefinitionError, OSError."""
    for path in paths:
        if path.is_dir():
            yield from read_files(sorted(file for file in path.iterdir() if file.suffix in {".toml", ".xml"}))
            continue
        if path.stat().st_size > MAX_FILE:
            raise DefinitionError(f"{path} is larger than {MAX_FILE} bytes")
        if path.suffix == ".xml":
            yield from read_xml(path.read_bytes(), str(path))
        else:
            yield read_toml(_text(path), str(path))


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise DefinitionError(f"{path} is not UTF-8: {error}") from None


def read_toml(text: str, where: str) -> ObjectDefinition:
    """Return the object that a TOML file describes; DefinitionError names `where`."""
    try:
        body = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise DefinitionError(f"{where}: {error}") from None
    try:
        _known(body, _OBJECT_KEYS)
        found = {
            _identifier(number): _resource_of_toml(number, entry) for number, entry in body.get("resources", {}).items()
        }
        return ObjectDefinition(
            _identifier(body["id"]),
            _string(body["name"]),
            _string(body.get("version", "1.0")),
            _boolean(body.get("multiple", False)),
            _boolean(body.get("mandatory", False)),
            dict(sorted(found.items())),
        )
    except KeyError as error:
        raise DefinitionError(f"{where}: {error.args[0]} is missing") from None
    except (ValueError, AttributeError, TypeError) as error:
        raise DefinitionError(f"{where}: {error}") from None


def _resource_of_toml(number: str, entry: dict[str, Any]) -> ResourceDefinition:
    try:
        _known(entry, _RESOURCE_KEYS)
        data_type = DataType(entry.get("type", "none"))
        return ResourceDefinition(
            _string(entry["name"]),
            _operations(entry.get("operations", "")),
            data_type,
            _boolean(entry.get("multiple", False)),
            _boolean(entry.get("mandatory", False)),
            _string(entry.get("units", "")),
        )
    except KeyError as error:
        raise ValueError(f"resource {number}: {error.args[0]} is missing") from None
    except (ValueError, TypeError) as error:
        raise ValueError(f"resource {number}: {error}") from None


def _known(entry: dict[str, Any], keys: set[str]) -> None:
    if not isinstance(entry, dict):
        raise TypeError("a table is needed")
    if unknown := sorted(set(entry) - keys):
        raise ValueError(f"unknown key {unknown[0]}")


def _identifier(value: object) -> int:
    number = int(value) if isinstance(value, str) and value.isascii() and value.isdigit() else value
    if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number <= MAX_IDENTIFIER:
        raise ValueError(f"{value!r} is no identifier from 0 to {MAX_IDENTIFIER}")
    return number


def _string(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


def _boolean(value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"{value!r} is not true or false")
    return value


def _operations(value: object) -> str:
    letters = _string(value)
    if letters not in {"", "R", "W", "RW", "E"}:
        raise ValueError(f"operations {letters!r} are none of R, W, RW, E")
    return letters


def read_xml(data: bytes, where: str) -> list[ObjectDefinition]:
    """Return the objects that a file of the OMA registry defines; DefinitionError names `where`."""
    try:
        # expat itself bounds what entities expand to, and the file is one that its user names on the command line.
        root = ET.fromstring(data)  # noqa: S314
    except ET.ParseError as error:
        raise DefinitionError(f"{where} is not XML: {error}") from None
    found = root.findall("Object") if root.tag == "LWM2M" else []
    if not found:
        raise DefinitionError(f"{where} holds no <Object> of the LwM2M registry")
    try:
        return [_object_of_xml(element) for element in found]
    except (ValueError, TypeError) as error:
        raise DefinitionError(f"{where}: {error}") from None


def _object_of_xml(element: ET.Element) -> ObjectDefinition:
    items = element.find("Resources")
    found = {_identifier(item.get("ID")): _resource_of_xml(item) for item in ([] if items is None else items)}
    return ObjectDefinition(
        _identifier(_child(element, "ObjectID")),
        _child(element, "Name"),
        _child(element, "ObjectVersion") or "1.0",
        _child(element, "MultipleInstances") == "Multiple",
        _child(element, "Mandatory") == "Mandatory",
        dict(sorted(found.items())),
    )


def _resource_of_xml(item: ET.Element) -> ResourceDefinition:
    kind = _child(item, "Type").lower()
    if kind not in _XML_TYPES:
        raise ValueError(f"resource {item.get('ID')}: unknown type {kind[:40]!r}")
    return ResourceDefinition(
        _child(item, "Name"),
        _operations(_child(item, "Operations")),
        _XML_TYPES[kind],
        _child(item, "MultipleInstances") == "Multiple",
        _child(item, "Mandatory") == "Mandatory",
        _child(item, "Units"),
    )


def _child(element: ET.Element, tag: str) -> str:
    return " ".join((element.findtext(tag) or "").split())
