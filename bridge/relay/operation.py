"""LwM2M operations by what their CoAP requests look like (OMA Core TS 1.1, table 6.4.7-1 and its neighbours).

Names are for people and for repetition (R9): an operation that may be executed twice may be repeated.
"""

from collections.abc import Iterable

from bridge.coap.message import Message
from bridge.coap.numbers import Code, OptionNumber

LINK_FORMAT = 40  # CoAP Content-Format of a Discover's answer
REPEATABLE = frozenset({"Read", "Discover", "Observe", "Cancel Observation", "Write", "Write-Attributes"})
"""Operations that may be submitted once more after a lost result (R9)."""

REGISTRATION = frozenset({"Register", "Update", "De-register", "Bootstrap-Request"})
"""Operations that wait for a server only as long as the device's own exchange (R15)."""


def of_server(message: Message) -> str:
    """Return the operation of a server's request."""
    code = message.code
    if message.option(OptionNumber.OSCORE) is not None:
        return "OSCORE"
    observe = message.uint(OptionNumber.OBSERVE)
    if code in (Code.GET, Code.FETCH):
        if observe is not None:
            return "Observe" if observe == 0 else "Cancel Observation"
        if message.uint(OptionNumber.ACCEPT) == LINK_FORMAT:
            return "Discover"
        return "Read"
    if code == Code.PUT:
        has_attributes = message.option(OptionNumber.URI_QUERY) is not None and not message.payload
        return "Write-Attributes" if has_attributes else "Write"
    if code == Code.IPATCH:
        return "Write"
    if code == Code.DELETE:
        return "Delete"
    if code == Code.POST:
        return _post(message)
    return "Request"


def _post(message: Message) -> str:
    """Distinguish the four uses of POST by the path; what any other POST does is up to the device."""
    path = message.strings(OptionNumber.URI_PATH)
    if path and not path[-1]:
        path = path[:-1]  # a slash at the end
    if path == ["bs"]:
        return "Bootstrap-Finish"
    if all(segment.isascii() and segment.isdigit() for segment in path):
        return _BY_DEPTH.get(len(path), "Request")
    return "Request"


_BY_DEPTH = {1: "Create", 2: "Write", 3: "Execute"}  # object, instance, resource


def of_device(message: Message, own: Iterable[tuple[bytes, ...]]) -> str:
    """Return the operation of a device's request; `own` are the paths of its registrations.

    A server may have LwM2M's paths below another path (`/tenant/rd`).
    """
    if message.option(OptionNumber.OSCORE) is not None:
        return "OSCORE"
    code = message.code
    path = tuple(value for number, value in message.options if number == OptionNumber.URI_PATH)
    if path in own:
        return _OF_REGISTRATION.get(code, "Request")
    if path and not path[-1]:
        path = path[:-1]  # a slash at the end
    last = path[-1] if path else b""
    if code == Code.POST and last in _BY_LAST:
        return _BY_LAST[last]
    if code == Code.GET and last == b"bspack":
        return "Bootstrap-Request"
    if b"rd" in path[:-1]:
        return _OF_REGISTRATION.get(code, "Request")
    return "Request"


_BY_LAST = {b"rd": "Register", b"dp": "Send", b"bs": "Bootstrap-Request", b"bspack": "Bootstrap-Request"}
_OF_REGISTRATION = {Code.POST: "Update", Code.PUT: "Update", Code.DELETE: "De-register"}
