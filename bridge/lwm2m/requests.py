"""Operations of LwM2M as CoAP requests (Core TS 1.1, table 6.4.7-1 and its neighbours; Transport TS 1.1, 6.4)."""

from collections.abc import Collection, Mapping, Sequence
from enum import StrEnum
from typing import Any, NamedTuple

from bridge.coap.message import Option, uint_value
from bridge.coap.numbers import Code, OptionNumber
from bridge.errors import RequestError
from bridge.lwm2m import senml, tlv
from bridge.lwm2m.formats import LINKS, OCTETS, SENML_CBOR, SENML_JSON, TEXT, TLV
from bridge.lwm2m.objects import Type, resource_at
from bridge.lwm2m.paths import INSTANCE, OBJECT, RESOURCE, RESOURCE_INSTANCE, Path, read_path, shown
from bridge.lwm2m.values import Json, checked, guessed, to_bytes, to_text


class Operation(StrEnum):
    """What can be asked of a device. Observe is not offered: an observation belongs to a server."""

    READ = "read"
    WRITE = "write"  # a resource, or some resources of an instance
    REPLACE = "replace"  # all resources of an instance
    EXECUTE = "execute"
    CREATE = "create"
    DELETE = "delete"
    DISCOVER = "discover"
    WRITE_ATTRIBUTES = "write-attributes"
    READ_COMPOSITE = "read-composite"
    WRITE_COMPOSITE = "write-composite"


class Format(StrEnum):
    """How values are written."""

    TEXT = "text"
    OPAQUE = "opaque"
    TLV = "tlv"
    SENML_JSON = "senml-json"
    SENML_CBOR = "senml-cbor"


FORMATS = {
    Format.TEXT: TEXT,
    Format.OPAQUE: OCTETS,
    Format.TLV: TLV,
    Format.SENML_JSON: SENML_JSON,
    Format.SENML_CBOR: SENML_CBOR,
}


class Request(NamedTuple):
    """A CoAP request, without what its message layer adds."""

    code: int
    options: list[Option]
    payload: bytes


class Content(NamedTuple):
    """What a caller wants to be written: values by their path below the one that is asked for, or bytes as they are."""

    value: Json | None = None
    values: Mapping[str, Json] | None = None
    format: Format | None = None
    payload: bytes | None = None
    content_format: int | None = None


_DEPTHS = {  # how many numbers a path has
    Operation.READ: range(OBJECT, RESOURCE_INSTANCE + 1),
    Operation.WRITE: range(INSTANCE, RESOURCE_INSTANCE + 1),
    Operation.REPLACE: range(INSTANCE, INSTANCE + 1),
    Operation.EXECUTE: range(RESOURCE, RESOURCE + 1),
    Operation.CREATE: range(OBJECT, OBJECT + 1),
    Operation.DELETE: range(INSTANCE, RESOURCE_INSTANCE + 1),
    Operation.DISCOVER: range(OBJECT, RESOURCE + 1),
    Operation.WRITE_ATTRIBUTES: range(OBJECT, RESOURCE_INSTANCE + 1),
}
_NAMES = {1: "an object", 2: "an instance", 3: "a resource", 4: "an instance of a resource"}


def request_of(
    operation: Operation,
    path: str = "",
    *,
    paths: Sequence[str] = (),
    content: Content | None = None,
    instance: int | None = None,
    arguments: str = "",
    attributes: Mapping[str, Json | None] | None = None,
    accept: Format | None = None,
    formats: Collection[int] = (),
) -> Request:
    """Return the CoAP request of an operation. Raises RequestError, which says what is wrong and what would be right.

    `paths` are those of a Read-Composite, `instance` the one that a Create makes, `arguments` those of an Execute,
    `formats` the content formats that the device is known to read.
    """
    content = content or Content()
    _refuse_what_is_not_used(operation, paths, content, instance, arguments, attributes)
    at = () if operation in _COMPOSITE else _at(operation, path)
    if operation in _COMPOSITE and path:
        raise RequestError(f"{operation} has no path: name the paths in `paths`, or as keys of `values`")
    if operation is Operation.READ_COMPOSITE and accept is None:
        accept = Format.SENML_JSON  # devices may answer with SenML CBOR otherwise, which is not read here
    options: list[Option] = [(OptionNumber.URI_PATH, str(number).encode()) for number in at]
    if accept is not None:
        options.append((OptionNumber.ACCEPT, uint_value(FORMATS[accept])))
    if operation is Operation.READ:
        return Request(Code.GET, options, b"")
    if operation is Operation.DISCOVER:
        return Request(Code.GET, [*options, (OptionNumber.ACCEPT, uint_value(LINKS))], b"")
    if operation is Operation.DELETE:
        return Request(Code.DELETE, options, b"")
    if operation is Operation.EXECUTE:
        return Request(Code.POST, options, arguments.encode())
    if operation is Operation.WRITE_ATTRIBUTES:
        return Request(Code.PUT, [*options, *_queries(attributes or {})], b"")
    if operation is Operation.READ_COMPOSITE:
        payload = senml.encode_names(map(read_path, paths))
        return Request(Code.FETCH, [*options, _format(SENML_JSON)], payload)
    format_, payload = _written(operation, at, content, instance, formats)
    return Request(_writing(operation, at), [*options, *([] if format_ is None else [_format(format_)])], payload)


_COMPOSITE = (Operation.READ_COMPOSITE, Operation.WRITE_COMPOSITE)
_WITH_CONTENT = (Operation.WRITE, Operation.REPLACE, Operation.CREATE, Operation.WRITE_COMPOSITE)


def _refuse_what_is_not_used(
    operation: Operation,
    paths: Sequence[str],
    content: Content,
    instance: int | None,
    arguments: str,
    attributes: Mapping[str, Json | None] | None,
) -> None:
    """Refuse what an operation has no use for: it would be dropped in silence."""
    useless = {
        "paths": bool(paths) and operation is not Operation.READ_COMPOSITE,
        "value, values and payload": content != Content() and operation not in _WITH_CONTENT,
        "instance": instance is not None and operation is not Operation.CREATE,
        "arguments": bool(arguments) and operation is not Operation.EXECUTE,
        "attributes": attributes is not None and operation is not Operation.WRITE_ATTRIBUTES,
    }
    for what, is_useless in useless.items():
        if is_useless:
            raise RequestError(f"{operation} takes no {what}")
    if operation is Operation.READ_COMPOSITE and not paths:
        raise RequestError("read-composite: name the paths in `paths`")
    if operation is Operation.WRITE_ATTRIBUTES and not attributes:
        raise RequestError('write-attributes: name them in `attributes`, such as {"pmin": 60}')


def _at(operation: Operation, text: str) -> Path:
    path = read_path(text)
    depths = _DEPTHS[operation]
    if len(path) not in depths:
        wanted = " or ".join(_NAMES[depth] for depth in depths)
        raise RequestError(f"{operation} is of {wanted}, and {shown(path)} is the path of {_NAMES[len(path)]}")
    return path


def _writing(operation: Operation, at: Path) -> int:
    if operation is Operation.WRITE_COMPOSITE:
        return Code.IPATCH
    if operation is Operation.CREATE or (operation is Operation.WRITE and len(at) == INSTANCE):
        return Code.POST
    return Code.PUT


def _format(number: int) -> Option:
    return OptionNumber.CONTENT_FORMAT, uint_value(number)


def _queries(attributes: Mapping[str, Json | None]) -> list[Option]:
    texts = [name if value is None else f"{name}={_attribute(value)}" for name, value in attributes.items()]
    return [(OptionNumber.URI_QUERY, text.encode()) for text in texts]


def _attribute(value: Json) -> str:
    return str(int(value)) if isinstance(value, bool) else str(value)


# -- values --------------------------------------------------------------------------------------------------------


def _written(
    operation: Operation, at: Path, content: Content, instance: int | None, formats: Collection[int]
) -> tuple[int | None, bytes]:
    """Return content format and payload of what is to be written. Raises RequestError."""
    given = [content.value is not None, content.values is not None, content.payload is not None]
    if sum(given) != 1:
        raise RequestError(f"{operation} wants just one of `value`, `values` and `payload`")
    if content.payload is not None:
        if content.format is not None and content.content_format is not None:
            raise RequestError("name the format of the payload once, as `format` or as `content_format`")
        format_ = content.content_format if content.format is None else FORMATS[content.format]
        return format_, content.payload
    if content.content_format is not None:
        raise RequestError("`content_format` is that of a `payload`; values have a `format`")
    typed = _typed(operation, at, content, instance)
    wanted = content.format
    if wanted is None and operation is Operation.WRITE_COMPOSITE and SENML_CBOR in formats:
        wanted = Format.SENML_CBOR  # the shorter one
    return _encoded(operation, at, typed, wanted, is_named=instance is not None)


def _typed(operation: Operation, at: Path, content: Content, instance: int | None) -> list[tuple[Path, Any, Type]]:
    """Return each value with its path and type. A Create without an instance has instance 0 in these paths."""
    given: list[tuple[Path, Json]]
    if content.value is not None:
        if len(at) < RESOURCE:
            raise RequestError("one `value` is that of a resource; write `values`, by resource")
        given = [(at, content.value)]
    else:
        base = (*at, instance or 0) if operation is Operation.CREATE else at
        given = [((*base, *read_path(below)), value) for below, value in (content.values or {}).items()]
        if not given:
            raise RequestError(f"{operation}: there are no values")
    found = []
    for path, value in given:
        if not RESOURCE <= len(path) <= RESOURCE_INSTANCE:
            raise RequestError(f"{shown(path)} is no path of a resource or of an instance of one")
        known = resource_at(path)
        kind = guessed(value) if known is None else known.type
        found.append((path, checked(value, kind, shown(path)), kind))
    return found


def _encoded(
    operation: Operation, at: Path, values: list[tuple[Path, Any, Type]], wanted: Format | None, *, is_named: bool
) -> tuple[int, bytes]:
    """Return values in the format that is wanted, or in the shortest that every device of their LwM2M version reads."""
    is_single = len(values) == 1 and values[0][0] == at
    if wanted is None:
        if operation is Operation.WRITE_COMPOSITE:
            wanted = Format.SENML_JSON
        elif is_single and values[0][2] is not Type.OPAQUE:
            wanted = Format.TEXT
        else:
            wanted = Format.TLV
    if operation is Operation.WRITE_COMPOSITE and wanted not in (Format.SENML_JSON, Format.SENML_CBOR):
        raise RequestError("write-composite is written as senml-json or senml-cbor")
    if operation is Operation.CREATE and not is_named and wanted is not Format.TLV:
        raise RequestError("a create without an instance is written as tlv; name the `instance`, or write tlv")
    if wanted in (Format.TEXT, Format.OPAQUE) and not is_single:
        raise RequestError(f"{wanted} is of a single value; write tlv, senml-json or senml-cbor")
    if wanted is Format.TEXT:
        return TEXT, to_text(values[0][1], values[0][2])
    if wanted is Format.OPAQUE:
        if values[0][2] is not Type.OPAQUE:
            raise RequestError(f"{shown(at)} is of type {values[0][2]}, not opaque")
        return OCTETS, values[0][1]
    if wanted in (Format.SENML_JSON, Format.SENML_CBOR):
        encode = senml.encode if wanted is Format.SENML_JSON else senml.encode_cbor
        return FORMATS[wanted], encode([(path, value, kind is Type.OBJLNK) for path, value, kind in values])
    base = values[0][0][:INSTANCE] if operation is Operation.CREATE and not is_named else at
    return TLV, tlv.encode([(path, to_bytes(value, kind)) for path, value, kind in values], base)
