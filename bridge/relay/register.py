"""What a Register or Update must look like for its server (R21), and who may send it (R22)."""

from dataclasses import dataclass

from bridge.coap.message import Message, Option, encode_body
from bridge.coap.numbers import Code, OptionNumber
from bridge.relay.model import Endpoint, QueueMode, ServerProfile


@dataclass(frozen=True, slots=True)
class Refusal:
    """What the device is answered instead of being forwarded."""

    code: int
    text: str


def identity_refusal(message: Message, endpoint: Endpoint) -> Refusal | None:
    """Refuse a message that claims another endpoint's name (R22): the network vouches for identity, not the payload."""
    for query in message.strings(OptionNumber.URI_QUERY):
        if query.startswith("ep=") and query[3:] != endpoint.name:
            return Refusal(Code.FORBIDDEN, "ep is not the endpoint of this device address")
    return None


def fit_register(
    message: Message, endpoint: Endpoint, profile: ServerProfile, default_lifetime: int | None
) -> bytes | Refusal:
    """Return the Register's body as the server wants it: parameters that it insists on are added (R21).

    An object list that is missing and not known out of band is answered 4.09, so that the device sends it
    (OMA Transport 6.8.4).
    """
    if not profile.fit_register:
        return message.body
    payload = message.payload
    options = list(message.options)
    if not payload:
        if not endpoint.object_list:
            return Refusal(Code.CONFLICT, "object list needed")
        payload = endpoint.object_list.encode()
        options = [o for o in options if o[0] != OptionNumber.CONTENT_FORMAT]
        options.append((OptionNumber.CONTENT_FORMAT, b"\x28"))  # 40, link format
    queries = [value for number, value in options if number == OptionNumber.URI_QUERY]
    fitted = _fit_binding(queries, profile)
    names = {value.partition(b"=")[0] for value in fitted}
    if b"ep" not in names:
        fitted.append(b"ep=" + endpoint.name.encode())
    if b"lt" not in names and default_lifetime is not None:
        fitted.append(f"lt={default_lifetime}".encode())
    if b"lwm2m" not in names:
        fitted.append(b"lwm2m=" + profile.lwm2m_version.encode())
    if fitted == queries and payload == message.payload:
        return message.body
    return _with_queries(options, fitted, payload)


def fit_update(message: Message, profile: ServerProfile) -> bytes:
    """Return an Update's body with its binding parameters as the server wants them."""
    if not profile.fit_register:
        return message.body
    queries = [value for number, value in message.options if number == OptionNumber.URI_QUERY]
    fitted = [query for query in _fit_binding(queries, profile, adding=False) if query]
    if fitted == queries:
        return message.body
    return _with_queries(list(message.options), fitted, message.payload)


def _fit_binding(queries: list[bytes], profile: ServerProfile, *, adding: bool = True) -> list[bytes]:
    """Rewrite `b` and strip or add `Q`; in LwM2M 1.0 the Q stands inside `b` (UQ)."""
    fitted: list[bytes] = []
    for query in queries:
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


def path_of(message: Message) -> str:
    """Return the path of a request, in the form of `location_of`."""
    return "/" + "/".join(message.strings(OptionNumber.URI_PATH))


def location_of(message: Message) -> str:
    """Return the Location of a 2.01 as a path."""
    return "/" + "/".join(message.strings(OptionNumber.LOCATION_PATH))
