"""Names of CoAP messages for people: codes, methods, options and targets, as the registry names them."""

from bridge.coap.message import Message
from bridge.coap.numbers import Code, OptionNumber, dotted

_METHODS = {
    Code.GET: "GET",
    Code.POST: "POST",
    Code.PUT: "PUT",
    Code.DELETE: "DELETE",
    Code.FETCH: "FETCH",
    Code.PATCH: "PATCH",
    Code.IPATCH: "iPATCH",
}
_OPTIONS = {
    1: "If-Match",
    OptionNumber.URI_HOST: "Uri-Host",
    4: "ETag",
    5: "If-None-Match",
    OptionNumber.OBSERVE: "Observe",
    OptionNumber.URI_PORT: "Uri-Port",
    OptionNumber.LOCATION_PATH: "Location-Path",
    OptionNumber.OSCORE: "OSCORE",
    OptionNumber.URI_PATH: "Uri-Path",
    OptionNumber.CONTENT_FORMAT: "Content-Format",
    OptionNumber.MAX_AGE: "Max-Age",
    OptionNumber.URI_QUERY: "Uri-Query",
    OptionNumber.ACCEPT: "Accept",
    20: "Location-Query",
    OptionNumber.BLOCK2: "Block2",
    OptionNumber.BLOCK1: "Block1",
    OptionNumber.SIZE2: "Size2",
    OptionNumber.PROXY_URI: "Proxy-Uri",
    OptionNumber.PROXY_SCHEME: "Proxy-Scheme",
    OptionNumber.SIZE1: "Size1",
    OptionNumber.NO_RESPONSE: "No-Response",
}
_TEXTS = frozenset({
    OptionNumber.URI_HOST, OptionNumber.LOCATION_PATH, OptionNumber.URI_PATH, OptionNumber.URI_QUERY, 20,
    OptionNumber.PROXY_URI, OptionNumber.PROXY_SCHEME,
})  # fmt: skip
_OPAQUE = frozenset({1, 4, OptionNumber.OSCORE})
_LONGEST_NUMBER = 8  # bytes of an option that is shown as a number
_BLOCKS = frozenset({OptionNumber.BLOCK1, OptionNumber.BLOCK2})


def code_name(code: int) -> str:
    """Return a method's name, or a response code in dotted notation: GET, 2.05."""
    return _METHODS.get(code, dotted(code))


def target(message: Message) -> str:
    """Return a request's path and queries, as a URI has them: /3/0/1?pmin=10."""
    path = "/" + "/".join(message.strings(OptionNumber.URI_PATH))
    queries = message.strings(OptionNumber.URI_QUERY)
    return f"{path}?{'&'.join(queries)}" if queries else path


def option_name(number: int) -> str:
    """Return an option's registered name, or its number."""
    return _OPTIONS.get(number, str(number))


def option_value(number: int, value: bytes) -> str:
    """Return an option's value for people: text, a number, NUM/M/SIZE of a block, or hexadecimal digits."""
    if number in _TEXTS:
        return value.decode("utf-8", "backslashreplace")
    if number in _OPAQUE or number not in _OPTIONS or len(value) > _LONGEST_NUMBER:
        return value.hex()
    uint = int.from_bytes(value, "big")
    if number in _BLOCKS:
        return f"{uint >> 4}/{uint >> 3 & 1}/{1 << (uint & 7) + 4}"
    return str(uint)
