"""The values in a message of a trace, as the registry of LwM2M names them."""

from datetime import UTC, datetime
from typing import Any

from bridge.coap.message import Message
from bridge.coap.numbers import OptionNumber
from bridge.errors import RequestError
from bridge.lwm2m.formats import Value, decoded
from bridge.lwm2m.objects import Resource, Type, resource_at
from bridge.lwm2m.paths import Path, read_path, shown
from bridge.operations.types.tracing import ValueView

MOST = 64  # values of one message
_LONGEST = 200  # characters of one value
_ERROR = 0x80  # codes from 4.00 on
_LAST_TIME = 253_402_300_799  # seconds: year 9999


def values_of(message: Message, path: str) -> tuple[ValueView, ...]:
    """Return the values that a message about a path has; none where they cannot be read, as in a part of a whole.

    The payload of an error is a text for people, and no value (RFC 7252 §5.5.2).
    """
    if not message.payload or message.code >= _ERROR or _is_a_part(message):
        return ()
    found = decoded(message.uint(OptionNumber.CONTENT_FORMAT), message.payload, _base(path))
    return () if found is None else tuple(map(_view, found[:MOST]))


def _is_a_part(message: Message) -> bool:
    """Return whether there are blocks beside this one: a number above 0, or the bit that says so (RFC 7959 2.2)."""
    blocks = (message.uint(OptionNumber.BLOCK1), message.uint(OptionNumber.BLOCK2))
    return any(block is not None and block >> 3 for block in blocks)


def _base(path: str) -> Path:
    try:
        return read_path(path.partition("?")[0])
    except RequestError:
        return ()  # such as /dp of a Send, whose names are whole paths


def _view(value: Value) -> ValueView:
    known = resource_at(value.path) or Resource(Type.OPAQUE, "")
    return ValueView(path=shown(value.path), name=known.name, value=_text(value.value, known.type), unit=known.unit)


def _text(value: Any, kind: Type) -> str:
    if isinstance(value, bytes):
        text = value.hex()
    elif isinstance(value, bool):
        text = "true" if value else "false"
    else:
        text = str(value)
        if kind is Type.TIME and isinstance(value, int) and 0 <= value <= _LAST_TIME:
            text += datetime.fromtimestamp(value, UTC).strftime(" (%Y-%m-%d %H:%M:%S UTC)")
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
