"""LwM2M operations by what their CoAP requests look like (OMA Core TS 1.1, table 6.4.7-1 and its neighbours).

The bridge names them for people and for R9: an operation that does the same thing twice may be repeated.
"""

from bridge.coap.message import Message
from bridge.coap.numbers import Code, OptionNumber

LINK_FORMAT = 40  # CoAP Content-Format of a Discover's answer
REPEATABLE = frozenset({"Read", "Discover", "Observe", "Cancel Observation", "Write", "Write-Attributes"})
"""What may be submitted once more with the same bytes after an ambiguity (R9)."""

REGISTRATION = frozenset({"Register", "Update", "De-register", "Bootstrap-Request"})
"""What lives only as long as the device's own exchange (R15)."""


def of_server(message: Message) -> str:
    """Name a server's request."""
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
    """Tell the four uses of POST apart by the depth of the path."""
    path = [segment for segment in message.strings(OptionNumber.URI_PATH) if segment]
    if path == ["bs"]:
        return "Bootstrap-Finish"
    depth = len([segment for segment in path if segment.isascii() and segment.isdigit()])
    if depth >= 3:  # noqa: PLR2004  # object / instance / resource
        return "Execute"
    if depth == 2:  # noqa: PLR2004  # object / instance
        return "Write"
    return "Create"


def of_device(message: Message) -> str:
    """Name a device's request."""
    if message.option(OptionNumber.OSCORE) is not None:
        return "OSCORE"
    path = message.strings(OptionNumber.URI_PATH)
    head = path[0] if path else ""
    if head == "rd" and message.code == Code.POST:
        return "Register" if len(path) == 1 else "Update"
    if head == "rd" and message.code == Code.DELETE:
        return "De-register"
    if head == "dp" and message.code == Code.POST:
        return "Send"
    if head in ("bs", "bspack"):
        return "Bootstrap-Request"
    return "Request"
