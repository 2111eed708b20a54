"""Payloads that nobody is shown: those with keys, such as a bootstrap server writes them."""

from bridge.coap.message import Message
from bridge.coap.numbers import OptionNumber
from bridge.lwm2m.formats import SENML_CBOR, SENML_JSON, decoded

SECRET_OBJECTS = frozenset({0, 21, 23, 24})
"""Objects whose values are keys, or stand beside them: Security, OSCORE, COSE, MQTT Server."""
WITHHELD = "payload withheld: it may hold keys"

_LINK_FORMAT = 40  # content format of a Discover's answer (RFC 6690), which has no values
_PACK = "bspack"  # path of a Bootstrap-Pack-Request (LwM2M 1.2 Core §6.1.2)
_REGISTRATION = "rd"  # what follows it is a Location, which may be a number
_WRITES = frozenset({3, 7})  # PUT and iPATCH: they may name several objects at the root
_FETCH = 5  # it names paths, and has no values
_WITH_NAMES = frozenset({SENML_JSON, SENML_CBOR})  # formats in which each value has its whole path, whatever was asked
_ERROR = 0x80  # codes from 4.00 on have diagnostic text, if anything (RFC 7252 §5.5.2)


def is_withheld(message: Message, path: str) -> bool:
    """Return whether the payload of a message about a path may hold keys; `path` may begin with an alternate path."""
    if not message.payload or message.code >= _ERROR or message.uint(OptionNumber.CONTENT_FORMAT) == _LINK_FORMAT:
        return False
    segments = [one for one in path.partition("?")[0].split("/") if one]
    if segments and segments[-1] == _PACK:
        return not message.is_request
    if segments and segments[0] == _REGISTRATION:
        return False
    numbers = [int(one) for one in segments if one.isascii() and one.isdigit() and len(one) <= len("65535")]
    if numbers:
        return numbers[0] in SECRET_OBJECTS
    if message.code in _WRITES and not segments:
        return _names_a_secret(message)
    has_names = message.uint(OptionNumber.CONTENT_FORMAT) in _WITH_NAMES  # a composite answer, or a Send
    return has_names and message.code != _FETCH and _names_a_secret(message)


def _names_a_secret(message: Message) -> bool:
    """Return whether a payload names such an object; what cannot be read, as a part of a whole, counts."""
    values = decoded(message.uint(OptionNumber.CONTENT_FORMAT), message.payload, ())
    return values is None or any(not value.path or value.path[0] in SECRET_OBJECTS for value in values)


def blanked(data: bytes, message: Message) -> bytes:
    """Return a datagram with zeros in place of the payload of the message in it."""
    return data[: len(data) - len(message.payload)] + bytes(len(message.payload))
