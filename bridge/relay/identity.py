"""Whose message it is (R22): the network proves which device sent it, and no server may read another name in it.

Servers read paths and queries differently: some join the segments of a path and split them again, decode
percent-encoding, resolve dots, or read one query option as several. A message that any of them could read as one of
another endpoint's registration is refused here.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from unicodedata import normalize
from urllib.parse import unquote, unquote_plus

from bridge.coap.message import Message
from bridge.coap.numbers import Code, OptionNumber
from bridge.relay.model import Endpoint
from bridge.relay.registrations import Registration, segments

_READ_DIFFERENTLY = re.compile(r"[/\\?#%;\x00-\x1f\x7f]")  # in a segment: a server may split, cut or decode it there
_BETWEEN_PARAMETERS = re.compile(r"[&;?#,\s\x00]+")
_DECODED_AT_MOST = 4  # times; a text that decodes further is suspicious
_SAFE_METHODS = (Code.GET, Code.FETCH)  # RFC 7252 §5.1, RFC 8132 §2


@dataclass(frozen=True, slots=True)
class MessageRefusal:
    """The answer that the device gets if its message is not forwarded."""

    code: int
    text: str


def refusal(message: Message, operation: str, endpoint: Endpoint, own: list[Registration]) -> MessageRefusal | None:
    """Refuse a device's message that any server could read as another endpoint's, or that only a proxy could handle.

    `operation` is the operation that the bridge reads; `own` are the endpoint's registrations with the server that gets
    it.
    """
    if message.has_option_from(OptionNumber.PROXY_URI) and asks_a_proxy(message):
        return MessageRefusal(Code.PROXYING_NOT_SUPPORTED, "no server behind the bridge is a proxy")
    path = segments(message)
    if not any(path == registration.told for registration in own):
        if not is_plain(path):
            return MessageRefusal(Code.BAD_REQUEST, "servers disagree on the meaning of this path")
        if operation == "Request" and message.code not in _SAFE_METHODS:
            return MessageRefusal(Code.FORBIDDEN, "neither an LwM2M path nor this device's registration")
    for number, value in message.options:
        if number == OptionNumber.URI_QUERY and value != b"ep=" + endpoint.name.encode():
            refused = _query_refusal(value, endpoint.name)
            if refused is not None:
                return refused
    return None


def asks_a_proxy(message: Message) -> bool:
    """Return whether a request is for a forward proxy (RFC 7252 §5.10.2)."""
    return message.option(OptionNumber.PROXY_URI) is not None or message.option(OptionNumber.PROXY_SCHEME) is not None


def is_plain(path: tuple[bytes, ...]) -> bool:
    """Return whether all servers read these segments as one path. One empty segment at the end is a final slash."""
    if path and not path[-1]:
        path = path[:-1]
    for segment in path:
        try:
            text = segment.decode()
        except UnicodeDecodeError:
            return False
        if text in ("", ".", "..") or _READ_DIFFERENTLY.search(text) or normalize("NFKC", text) != text:
            return False
    return True


def _query_refusal(query: bytes, name: str) -> MessageRefusal | None:
    text = query.decode("utf-8", "backslashreplace")
    for reading in _readings(text):
        if reading is None:
            return MessageRefusal(Code.BAD_REQUEST, "this query is percent-encoded more than once")
        for parameter in _BETWEEN_PARAMETERS.split(reading):
            key, _, value = parameter.partition("=")
            if key.strip().casefold() == "ep" and value != name:
                return MessageRefusal(Code.FORBIDDEN, "ep is not the endpoint of this device address")
    return None


def _readings(text: str) -> Iterator[str | None]:
    """Yield a query as servers may read it: unchanged, and decoded, as often as decoding changes it.

    None: it would change once more after that.
    """
    yield text
    for decode in unquote, unquote_plus:
        reading = text
        for _ in range(_DECODED_AT_MOST):
            before, reading = reading, normalize("NFKC", decode(reading))
            if reading == before:
                break
            yield reading
        else:
            yield None
