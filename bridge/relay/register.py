"""Fits a Register or Update to its server (R21)."""

from bridge.coap.message import Message, Option, encode_body
from bridge.coap.numbers import Code, OptionNumber
from bridge.relay.identity import MessageRefusal
from bridge.relay.model import Endpoint, QueueMode, ServerProfile

DEFAULT_LIFETIME = 86400  # seconds, where a Register names none (OMA Core TS §6.2.1)
NEARLY = 0.9  # part of a lifetime after which a registration that was not renewed is late: it is about to lapse
LONGEST_LIFETIME = 13  # characters of `lt=` and ten digits: 32 bits (OMA Core TS, /1/x/1)


def fit_register(
    message: Message, endpoint: Endpoint, profile: ServerProfile, default_lifetime: int | None
) -> bytes | MessageRefusal:
    """Return the Register's body with the parameters that the server insists on (R21).

    If the object list is missing and the directory has none, the device is answered 4.09, so that it sends the list
    (OMA Transport 6.8.4).
    """
    if not profile.fit_register:
        return message.body
    payload = message.payload
    options = list(message.options)
    if not payload:
        if not endpoint.object_list:
            return MessageRefusal(Code.CONFLICT, "object list needed")
        payload = endpoint.object_list.encode()
        options = [o for o in options if o[0] != OptionNumber.CONTENT_FORMAT]
        options.append((OptionNumber.CONTENT_FORMAT, b"\x28"))  # 40, link format
    queries = [value for number, value in options if number == OptionNumber.URI_QUERY]
    fitted = _fit_binding(queries, profile)
    names = {value.partition(b"=")[0] for value in fitted}
    if b"ep" not in names:
        fitted.append(b"ep=" + endpoint.name.encode())
    lifetime = profile.default_lifetime if default_lifetime is None else default_lifetime
    if b"lt" not in names and lifetime is not None:
        fitted.append(f"lt={lifetime}".encode())
    if b"lwm2m" not in names:
        fitted.append(b"lwm2m=" + profile.lwm2m_version.encode())
    if fitted == queries and payload == message.payload:
        return message.body
    return _with_queries(options, fitted, payload)


def fit_update(message: Message, profile: ServerProfile) -> bytes:
    """Return an Update's body with the binding parameters that the server wants."""
    if not profile.fit_register:
        return message.body
    queries = [value for number, value in message.options if number == OptionNumber.URI_QUERY]
    fitted = [query for query in _fit_binding(queries, profile, adding=False) if query]
    if fitted == queries:
        return message.body
    return _with_queries(list(message.options), fitted, message.payload)


def _fit_binding(queries: list[bytes], profile: ServerProfile, *, adding: bool = True) -> list[bytes]:
    """Rewrite `b` and strip or add `Q`; in LwM2M 1.0 the Q is part of `b` (UQ)."""
    fitted: list[bytes] = []
    for query in queries:
        if query.startswith(b"sms=") and not profile.keep_sms:
            continue
        if query == b"Q":
            if profile.queue_mode is not QueueMode.STRIP:
                fitted.append(query)
        elif query.startswith(b"b="):
            value = query[2:].decode("ascii", "replace")
            queued = "Q" in value
            letters = profile.binding if profile.binding is not None else value.replace("Q", "")
            if queued and profile.queue_mode is not QueueMode.STRIP:
                letters += "Q"
            fitted.append(b"b=" + letters.encode())
        else:
            fitted.append(query)
    has_queue = any(q == b"Q" or (q.startswith(b"b=") and b"Q" in q) for q in fitted)
    if adding and profile.queue_mode is QueueMode.ADD and not has_queue:
        fitted.append(b"Q")
    return fitted


def _with_queries(options: list[Option], queries: list[bytes], payload: bytes) -> bytes:
    others = [option for option in options if option[0] != OptionNumber.URI_QUERY]
    return encode_body(others + [(OptionNumber.URI_QUERY, query) for query in queries], payload)


def asks_for_queue_mode(message: Message) -> bool | None:
    """Return whether a Register or Update says that its device sleeps (queue mode); None: it does not say."""
    queries = message.strings(OptionNumber.URI_QUERY)
    if "Q" in queries:
        return True
    return next(("Q" in query[2:] for query in queries if query.startswith("b=")), None)


def lifetime_of(message: Message) -> int | None:
    """Return the lifetime that a Register or Update names, in seconds; None if it names none."""
    for query in message.strings(OptionNumber.URI_QUERY):
        if query.startswith("lt=") and query[3:].isdecimal() and len(query) <= LONGEST_LIFETIME:
            return int(query[3:])
    return None
