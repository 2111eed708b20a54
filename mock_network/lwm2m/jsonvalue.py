"""Resource values as JSON, for the control APIs: Opaque as {"base64": …}, Objlnk as "object:instance"."""

import base64
import binascii
from typing import Any

from mock_network.lwm2m.formats import ContentFormat, UnsupportedFormat
from mock_network.lwm2m.values import DataType, FormatError, ObjectLink, Value, check, parse_object_link


def to_json(value: Value | None) -> Any:
    """Return the JSON form of a value."""
    if isinstance(value, bytes):
        return {"base64": base64.b64encode(value).decode()}
    return str(value) if isinstance(value, ObjectLink) else value


def from_json(data: Any, data_type: DataType) -> Value:
    """Return the value of this type that the JSON form means. Raises FormatError."""
    if data_type is DataType.OPAQUE:
        try:
            return base64.b64decode(data["base64"], validate=True)
        except (TypeError, KeyError, ValueError, binascii.Error):
            raise FormatError('an Opaque value is {"base64": …}') from None
    if data_type is DataType.OBJLNK and isinstance(data, str):
        return parse_object_link(data)
    return check(data, data_type)


def format_from_json(data: Any, default: ContentFormat) -> ContentFormat:
    """Return a content format by number or by name (`senml_cbor`), `default` for None. Raises UnsupportedFormat."""
    if data is None:
        return default
    try:
        return ContentFormat[data.upper()] if isinstance(data, str) else ContentFormat(data)
    except (KeyError, ValueError):
        raise UnsupportedFormat(f"content format {data!r}") from None
