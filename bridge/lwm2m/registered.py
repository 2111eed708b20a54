"""What a device says of itself when it registers (Core TS 1.1, 6.2.1 and 7.4), as far as requests depend on it."""

import re
from collections.abc import Iterator

_PIECE = re.compile(r'<[^<>]*>|"[^"]*"|[;,=]|[^<";,=]+')
_ROOT = "oma.lwm2m"  # resource type of the link that speaks for the client as a whole


def content_formats(links: bytes) -> frozenset[int] | None:
    """Return the content formats that a Register names in its links; None: it names none, so nothing is known."""
    for parameters in _links(links.decode("utf-8", "replace")):
        if _ROOT in parameters.get("rt", "").split() and "ct" in parameters:
            return frozenset(int(one) for one in parameters["ct"].split() if re.fullmatch("[0-9]{1,5}", one))
    return None


def _links(text: str) -> Iterator[dict[str, str]]:
    """Yield the parameters of each link (RFC 6690), whatever the text is."""
    parameters: dict[str, str] = {}
    name, is_value = "", False
    for piece in filter(str.strip, _PIECE.findall(text)):
        if piece == ",":
            yield parameters
            parameters, name, is_value = {}, "", False
        elif piece == ";":
            name, is_value = "", False
        elif piece == "=":
            is_value = True
        elif is_value:
            parameters[name] = piece.strip(' "')
            is_value = False
        elif piece[0] != "<":
            name = piece.strip().lower()
    yield parameters
