"""Answers in the content formats of LwM2M, as values."""

from typing import Any, NamedTuple

from bridge.lwm2m import senml, tlv
from bridge.lwm2m.objects import Type, resource_at
from bridge.lwm2m.paths import RESOURCE, Path
from bridge.lwm2m.values import LARGEST_UNSIGNED, SMALLEST, from_bytes, from_text

TEXT, LINKS, OCTETS, SENML_JSON, SENML_CBOR, TLV, OLD_JSON = 0, 40, 42, 110, 112, 11542, 11543
"""CoAP Content-Formats."""


class Value(NamedTuple):
    """The value of a resource, or of an instance of one; `type` is None where the resource is not known."""

    path: Path
    value: Any
    type: Type | None


def decoded(content_format: int | None, payload: bytes, path: Path) -> list[Value] | None:
    """Return the values in a device's answer about `path`; None where the bridge cannot read that.

    Each value is a bool, an integer of 64 bits (-2**63 to 2**64 - 1), a float, a str or bytes. Where a resource is not
    known, TLV yields its bytes. Whatever a device sent, this raises nothing.
    """
    try:
        return [Value(at, _bounded(value), _type(at)) for at, value in _decoded(content_format, payload, path)]
    except (ValueError, KeyError, OverflowError):  # struct.error and UnicodeDecodeError are below ValueError or here
        return None


def _decoded(content_format: int | None, payload: bytes, path: Path) -> list[tuple[Path, Any]]:
    if content_format == TLV:
        return [(at, _of_bytes(data, at)) for at, data in tlv.decode(payload, path)]
    if content_format == SENML_JSON:
        return senml.decode(payload)
    if content_format == SENML_CBOR:
        return senml.decode_cbor(payload)
    if content_format == OLD_JSON:
        return senml.decode_old(payload, path)
    if len(path) < RESOURCE:
        raise ValueError("a single value answers for a single resource")
    if content_format in (None, TEXT):
        return [(path, from_text(payload, _type(path)))]
    if content_format == OCTETS:
        return [(path, payload)]
    raise ValueError(f"content format {content_format}")


def _bounded(value: Any) -> Any:
    """Return a value that JSON and text can carry. Raises ValueError for an integer of more than 64 bits.

    SenML CBOR and JSON carry integers of any size; Python writes no integer of more than 4300 digits.
    """
    if isinstance(value, int) and not SMALLEST <= value <= LARGEST_UNSIGNED:
        raise ValueError("an integer has more than 64 bits")
    return value


def _of_bytes(data: bytes, path: Path) -> Any:
    return from_bytes(data, _type(path))


def _type(path: Path) -> Type | None:
    found = resource_at(path)
    return None if found is None else found.type
