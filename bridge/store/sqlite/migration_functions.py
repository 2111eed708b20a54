"""SQL functions for migrations that SQLite does not have.

Like the migrations that use them they are never changed, so they import nothing of the bridge.
"""

from collections.abc import Callable
from typing import Any

import msgspec

_NO_RESPONSE = 258  # option number, RFC 7967
_MARKER = 0xFF  # RFC 7252 §3


def no_response(body: bytes) -> int | None:
    """Return the No-Response option of a CoAP body (migration 5)."""
    number = at = 0
    while at < len(body) and body[at] != _MARKER:
        delta, at_length = _extended(body, body[at] >> 4, at + 1)
        length, start = _extended(body, body[at] & 15, at_length)
        number += delta
        at = start + length
        if number == _NO_RESPONSE:
            return int.from_bytes(body[start:at], "big")
    return None


def _extended(body: bytes, nibble: int, at: int) -> tuple[int, int]:
    """Return an option's delta or length, and the position after it (RFC 7252 §3.1)."""
    if nibble == 13:  # noqa: PLR2004
        return body[at] + 13, at + 1
    if nibble == 14:  # noqa: PLR2004
        return int.from_bytes(body[at : at + 2], "big") + 269, at + 2
    return nibble, at


# Values of Known when migration 8 was made (bridge/delivery/knowledge.py).
_PENDING, _IN_DOUBT, _HELD, _GONE, _REFUSED, _LEFT, _NACKED, _DELIVERED = 0, 1, 2, 3, 4, 6, 7, 8
_REFUSALS = {"UNREACHABLE": "unreachable", "RATE_LIMITED": "rate limited", "FAILED": "failed", "REJECTED": "rejected",
             "TOO_LARGE": "too large", "EXPIRED": "expired"}  # fmt: skip
_Attempt = list[Any]
"""Number, what is known, since when, handle, refusal, when it was transmitted, when the network is to be asked."""


def attempts_of(
    state: str,
    over: int,
    attempt: int,
    sent: int,
    sent_at: float | None,
    failures: int,
    repeated: int,
    handle: str | None,
    setback: str | None,
    accepted_at: float,
) -> bytes | None:
    """Return the attempts of a downlink that was described by flags and counters, as MessagePack (migration 8)."""
    if not attempt:
        return None
    at = accepted_at if sent_at is None else sent_at
    earlier: list[_Attempt] = []
    if setback == "UNKNOWN":
        earlier.append([0, _IN_DOUBT if repeated else _GONE, at])
    elif setback == "NACKED":
        earlier += [[0, _NACKED, at, None, None, at] for _ in range(failures)]
    else:
        earlier += [[0, _REFUSED, at, None, _REFUSALS["FAILED"]] for _ in range(failures if not sent else 0)]
    copies = [[0, _LEFT, at, None, None, at] for _ in range(sent if setback != "NACKED" else 0)]
    latest = _latest(state, over, at, handle, setback, bool(sent))
    known = None if latest is None else latest[1]
    if copies and known in (_LEFT, _DELIVERED):
        copies.pop()
    if earlier and known in (_NACKED, _REFUSED) and earlier[-1][1] == known:
        earlier.pop()
    attempts = [*earlier, *copies, *([] if latest is None else [latest])][-_MOST:]
    for index, one in enumerate(attempts):
        one[0] = max(attempt, len(attempts)) - len(attempts) + 1 + index
    return msgspec.msgpack.encode(attempts)


_MOST = 32


def _latest(  # noqa: PLR0911  # one for each state
    state: str, over: int, at: float, handle: str | None, setback: str | None, was_sent: bool
) -> _Attempt | None:
    """Return what is known of the latest attempt; None if earlier copies or setbacks already say it."""
    match state:
        case "SUBMITTING":
            return [0, _PENDING, at]
        case "BUFFERED":
            return [0, _HELD, at, handle]
        case "SENT" | "UNANSWERED":
            return [0, _LEFT, at, handle, None, at]
        case "DELIVERED" | "RESPONDED":
            return [0, _DELIVERED, at, handle, None, at]
        case "UNKNOWN" if was_sent:
            return None
        case "UNKNOWN" if handle is not None:
            return [0, _GONE, at, handle]
        case "UNKNOWN":
            return [0, _IN_DOUBT, at, None, None, None, None if over else 0.0]
        case "NACKED":
            return [0, _NACKED, at, handle, None, at]
        case "REJECTED" if was_sent:
            return [0, _DELIVERED, at, handle, None, at]  # by the device's Reset
        case "QUEUED":
            return [0, _REFUSED, at, None, _REFUSALS.get(setback or "")] if setback in _REFUSALS else None
    return [0, _REFUSED, at, None, _REFUSALS.get(state)]


def registrations_of(location: str, server: str, since: float) -> bytes:
    """Return the one registration of an endpoint as MessagePack (migration 9)."""
    path = [segment.encode() for segment in location.removeprefix("/").split("/") if location != "/"]
    return msgspec.msgpack.encode([[server, path, path, since, since]])


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "no_response": no_response,
    "attempts_of": attempts_of,
    "registrations_of": registrations_of,
}
