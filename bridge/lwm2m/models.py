"""Object definitions in the XML of the OMA registry, as an operator has them of their own objects."""

import xml.etree.ElementTree as ET
from collections.abc import Mapping
from typing import NoReturn

from bridge.errors import ConfigurationError
from bridge.lwm2m.objects import Resource, Type

Models = Mapping[tuple[int, int], Resource]
"""Resources by the numbers of object and resource."""

_TYPES = {
    "string": Type.STRING,
    "integer": Type.INTEGER,
    "unsigned integer": Type.UNSIGNED,
    "float": Type.FLOAT,
    "boolean": Type.BOOLEAN,
    "opaque": Type.OPAQUE,
    "time": Type.TIME,
    "objlnk": Type.OBJLNK,
    "corelnk": Type.CORELNK,
    "none": Type.NONE,
    "": Type.NONE,  # it can only be executed
}
_LARGEST = 65534  # number of an object or resource


def read_model(document: bytes, name: str) -> Models:
    """Return the resources of the objects in a document. Raises ConfigurationError with `name` and the reason."""
    if b"\0" in document:
        _refuse(name, "it is not in UTF-8")
    if b"<!DOCTYPE" in document or b"<!ENTITY" in document:
        _refuse(name, "it has a document type; object definitions have none")
    try:
        objects = [*ET.fromstring(document).iter("Object")]  # noqa: S314  # document types are refused
    except (ET.ParseError, LookupError, ValueError) as error:
        _refuse(name, f"it is no XML: {error}")
    found = {
        (_number(one, "ObjectID", name), int(item.get("ID", ""))): _resource(item, name)
        for one in objects
        for item in one.iterfind("Resources/Item")
        if _is_number(item.get("ID", "")) or _refuse(name, f"a resource has the ID {item.get('ID', '')[:40]!r}")
    }
    if not found:
        _refuse(name, "it defines no resource; the OMA's files begin with <LWM2M><Object>")
    return found


def _resource(item: ET.Element, name: str) -> Resource:
    text = _text(item, "Type")
    kind = _TYPES.get(text.lower())
    if kind is None:
        _refuse(
            name,
            f"resource {item.get('ID')} is of the type {text[:40]!r}; there are: {', '.join(filter(None, _TYPES))}",
        )
    return Resource(kind, _text(item, "Name"), _text(item, "Units"))


def _number(element: ET.Element, tag: str, name: str) -> int:
    text = _text(element, tag)
    if not _is_number(text):
        _refuse(name, f"{tag} is {text[:40]!r}, and must be a number up to {_LARGEST}")
    return int(text)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 5 and int(text) <= _LARGEST  # noqa: PLR2004  # digits


def _text(element: ET.Element, tag: str) -> str:
    return (element.findtext(tag) or "").strip()


def _refuse(name: str, why: str) -> NoReturn:
    raise ConfigurationError(f"{name}: {why}")
