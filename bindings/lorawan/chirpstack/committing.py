"""What both ways on which ChirpStack's events come share: how an event is committed or passed on to another node."""

from collections.abc import Awaitable
from math import inf
from typing import Protocol
from urllib.parse import quote, unquote


class CommitEvent(Protocol):
    """Commits one event: its kind and body; `within`: see `bindings.lorawan.provider.Sink.commit`.

    Raises, now or when awaited, NotificationError; StoreUnavailable; NotServedHere, if another node must take it.
    """

    def __call__(self, kind: str, body: bytes, *, within: float = inf) -> Awaitable[None]: ...


def query_of(kind: str) -> str:
    """Return the query with which ChirpStack posts an event of a kind."""
    return f"event={quote(kind, safe='')}"


def first_in(query: str, name: str) -> str:
    """Return the first value of a name in a query; "" if there is none. That of `event` is the event's kind."""
    for part in query.split("&"):
        key, _, value = part.partition("=")
        if key == name:
            return unquote(value)
    return ""
