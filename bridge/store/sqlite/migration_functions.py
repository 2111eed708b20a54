"""SQL functions for migrations, where SQLite's own do not suffice.

Like the migrations that use them they are never changed, and so they import nothing of the bridge.
"""

from collections.abc import Callable
from typing import Any

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
    """Return an option's delta or length, and where its head goes on (RFC 7252 §3.1)."""
    if nibble == 13:  # noqa: PLR2004
        return body[at] + 13, at + 1
    if nibble == 14:  # noqa: PLR2004
        return int.from_bytes(body[at : at + 2], "big") + 269, at + 2
    return nibble, at


FUNCTIONS: dict[str, Callable[..., Any]] = {"no_response": no_response}
