"""Content formats of LwM2M 1.1 (Core TS 1.1 §7.4): which there are, and payloads to and from records."""

import base64
import binascii
import datetime as dt
import enum
import math
from collections.abc import Iterable, Sequence

import cbor2

from mock_network.lwm2m import lwm2m_json, senml, tlv
from mock_network.lwm2m.paths import RESOURCE_INSTANCE_LEVEL, RESOURCE_LEVEL, Path
from mock_network.lwm2m.values import (
    INTEGERS,
    TEXTS,
    DataType,
    FormatError,
    ObjectLink,
    Record,
    TypeOf,
    Value,
    check,
    parse_object_link,
)


class ContentFormat(enum.IntEnum):
    """CoAP content format numbers (Core TS 1.1 table 7.4-1)."""

    TEXT = 0
    LINK = 40
    OPAQUE = 42
    CBOR = 60
    SENML_JSON = 110
    SENML_CBOR = 112
    TLV = 11542
    JSON = 11543
    """LwM2M 1.0."""


class UnsupportedFormat(Exception):
    """The content format is unknown, or cannot express what is to be read or written."""


SINGLE_VALUE = frozenset({ContentFormat.TEXT, ContentFormat.OPAQUE, ContentFormat.CBOR})
SENML = frozenset({ContentFormat.SENML_JSON, ContentFormat.SENML_CBOR})


def parse_format(number: int) -> ContentFormat:
    """Return the content format with this number. Raises UnsupportedFormat if there is none."""
    try:
        return ContentFormat(number)
    except ValueError:
        raise UnsupportedFormat(f"content format {number}") from None


def encode(
    content_format: ContentFormat,
    base: Path,
    records: Sequence[Record],
    type_of: TypeOf,
    *,
    instances: Iterable[Path] = (),
    root: str = "",
) -> bytes:
    """Return the payload that says `records` to a peer that asked for, or addresses, `base`.

    `root` is the alternate path of the device, as `/lwm2m`: names in SenML begin with it (§7.4.4).
    `instances` names object instances that TLV shows even where they hold no value.
    UnsupportedFormat when the format cannot say it: the single-value formats carry one value, opaque only Opaque.
    """
    match content_format:
        case ContentFormat.TLV:
            return tlv.encode(base, records, type_of, instances=instances)
        case ContentFormat.SENML_JSON:
            return senml.encode_json(base, records, type_of, root)
        case ContentFormat.SENML_CBOR:
            return senml.encode_cbor(base, records, type_of, root)
        case ContentFormat.JSON:
            return lwm2m_json.encode(base, records, type_of)  # Leshan takes no alternate path here
        case ContentFormat.LINK:
            raise UnsupportedFormat("CoRE link is for Register and Discover")
    if len(base) < RESOURCE_LEVEL or len(records) != 1 or records[0].path != base:
        raise UnsupportedFormat(f"{content_format.name} carries one value")
    data_type, value = type_of(base), records[0].value
    if data_type is None or value is None:
        raise UnsupportedFormat("nothing to write")
    if content_format is ContentFormat.OPAQUE:
        if not isinstance(value, bytes):
            raise UnsupportedFormat("opaque carries values of type Opaque")
        return value
    if content_format is ContentFormat.CBOR:
        return cbor2.dumps(str(value) if isinstance(value, ObjectLink) else check(value, data_type))
    return encode_text(value, data_type)


def decode(
    content_format: ContentFormat, base: Path, payload: bytes, type_of: TypeOf, *, root: str = ""
) -> list[Record]:
    """Return the records in a payload that addresses `base`; FormatError or UnsupportedFormat.

    Names in SenML and JSON may begin with `root`, the alternate path of the device.
    """
    match content_format:
        case ContentFormat.TLV:
            return tlv.decode(base, payload, type_of)
        case ContentFormat.SENML_JSON:
            return senml.decode_json(payload, type_of, root)
        case ContentFormat.SENML_CBOR:
            return senml.decode_cbor(payload, type_of, root)
        case ContentFormat.JSON:
            return lwm2m_json.decode(payload, type_of, root)
        case ContentFormat.LINK:
            raise UnsupportedFormat("CoRE link is for Register and Discover")
    if len(base) not in {RESOURCE_LEVEL, RESOURCE_INSTANCE_LEVEL}:
        raise UnsupportedFormat(f"{content_format.name} carries one value")
    data_type = type_of(base)
    if data_type is None:
        return []
    if content_format is ContentFormat.OPAQUE:
        return [Record(base, check(payload, data_type))]
    if content_format is ContentFormat.CBOR:
        item = senml.load_cbor(payload)
        if data_type is DataType.OBJLNK and isinstance(item, str):
            return [Record(base, parse_object_link(item))]
        if data_type is DataType.TIME and isinstance(item, dt.datetime):
            item = int(item.timestamp())  # the writer used tag 1, epoch time (RFC 8949 §3.4.2)
        return [Record(base, check(item, data_type))]
    return [Record(base, decode_text(payload, data_type))]


def encode_text(value: Value, data_type: DataType) -> bytes:
    """Return a value as Appendix C has it as text: Boolean as 0 or 1, Opaque in base64, Objlnk as `object:instance`."""
    value = check(value, data_type)
    if isinstance(value, bool):
        return b"1" if value else b"0"
    if isinstance(value, bytes):
        return base64.b64encode(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise FormatError("no text for a number that is not finite")
        return (str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)).encode()  # noqa: PLR2004 plain digits while they are exact
    return str(value).encode()


def decode_text(payload: bytes, data_type: DataType) -> Value:  # one branch for each data type
    """Return the value that the text says. Raises FormatError if it says none of this type."""
    try:
        text = payload.decode()
        if data_type in TEXTS:
            return text
        if data_type in INTEGERS:
            return check(int(text), data_type)
        if data_type is DataType.FLOAT:
            return check(float(text), data_type)
        if data_type is DataType.BOOLEAN and text in {"0", "1"}:
            return text == "1"
        if data_type is DataType.OPAQUE:
            return base64.b64decode(text, validate=True)
        if data_type is DataType.OBJLNK:
            return ObjectLink.parse(text)
    except (ValueError, binascii.Error) as error:
        raise FormatError(f"not a text of type {data_type.value}: {error}") from None
    raise FormatError(f"not a text of type {data_type.value}")
