"""The listener for ChirpStack's HTTP integration: one URL with an unguessable path; `?event=` is the event type.

ChirpStack posts each event once and only logs the answer, so a refusal only informs people; lost
events are recovered by `StreamDeviceEvents`.
"""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from urllib.parse import unquote

from bindings.commits import NOTHING_TO_COMMIT
from bindings.http.callbacks import CallbackListener, Names
from bindings.http.messages import Answer, Request
from bindings.http.server import Limits
from bindings.lorawan.settings import Http

NAMES = Names("http", "ChirpStack", "lorawan_events", "lorawan_events", "lorawan_internal_errors")

_OK = Answer(200)

Take = Callable[[str, bytes], Awaitable[None]]
"""Commits one event: its kind and body. Raises NotificationError or StoreUnavailable."""


class HttpEvents(CallbackListener):
    """Takes events for `take`; `count` increments a counter for operators."""

    def __init__(self, settings: Http, take: Take, count: Callable[[str], None], limits: Limits | None = None) -> None:
        super().__init__(NAMES, settings, self._event, count, success=_OK, limits=limits)
        self.take_event = take
        self.probes: set[str] = set()  # self-checks that have not arrived yet

    def become(self, other: CallbackListener, secret: str, overlap: float) -> None:
        """Be as another one that was prepared for: see CallbackListener."""
        super().become(other, secret, overlap)
        if isinstance(other, HttpEvents):
            self.take_event = other.take_event
        self.terms = replace(self.terms, doors={"": self._event})  # the probes are kept here

    def _event(self, request: Request) -> Awaitable[None]:
        query = request.query
        kind = _first(query, "event")
        if kind == "self-check":
            self.probes.discard(_first(query, "probe"))
            return NOTHING_TO_COMMIT
        return self.take_event(kind, request.body)


def _first(query: str, name: str) -> str:
    for part in query.split("&"):
        key, _, value = part.partition("=")
        if key == name:
            return unquote(value)
    return ""
