"""The listener for ChirpStack's HTTP integration: one URL with an unguessable path; `?event=` is the event type.

ChirpStack posts each event once and only logs the answer, so a refusal only informs people. What was answered 503
is read from the device's history (`StreamDeviceEvents`) afterwards.
"""

import hmac
from collections.abc import Awaitable, Callable
from dataclasses import replace
from math import inf

from bindings.contract import Post
from bindings.http.callbacks import CallbackListener, ListenerNames
from bindings.http.messages import Answer, Request
from bindings.http.server import Limits
from bindings.lorawan.chirpstack.committing import CommitEvent, first_in
from bindings.lorawan.settings import Http

NAMES = ListenerNames("http", "ChirpStack", "lorawan_events", "lorawan_events", "lorawan_internal_errors")

_OK = Answer(200)


class HttpEvents(CallbackListener):
    """Takes events for `commit_event`; `count` increments a counter for operators.

    `lost` is called with the kind and body of an event that is answered 503.
    """

    def __init__(
        self,
        settings: Http,
        commit_event: CommitEvent,
        count: Callable[[str], None],
        limits: Limits | None = None,
        lost: Callable[[str, bytes], None] = lambda _kind, _body: None,
    ) -> None:
        super().__init__(NAMES, settings, self._event, count, success=_OK, limits=limits)
        self.commit_event = commit_event
        self.lost_event = lost

    def replace_with(self, other: CallbackListener, secret: str, overlap: float) -> None:
        """Take over the settings of another listener that was prepared for: see CallbackListener."""
        super().replace_with(other, secret, overlap)
        if isinstance(other, HttpEvents):
            self.commit_event = other.commit_event
            self.lost_event = other.lost_event
        self.settings = replace(self.settings, handlers={"": self._event})

    def commit_kept(self, post: Post) -> Awaitable[Answer | None]:
        """Take an event that another node has received."""
        return self.commit_event(first_in(post.query, "event"), post.body, within=0.0)

    def proof(self, probe: str) -> bytes:
        """Return the answer to a self-check: only who knows the path of the URL can give it, such as another node."""
        return hmac.digest(self.url.rpartition("/")[2].encode(), probe.encode(), "sha256").hex().encode()

    def not_kept(self, request: Request) -> None:
        self.lost_event(first_in(request.query, "event"), request.body)

    def _event(self, request: Request) -> Awaitable[Answer | None]:
        query = request.query
        kind = first_in(query, "event")
        if kind == "self-check":
            return self._prove(first_in(query, "probe"))
        return self.commit_event(kind, request.body, within=inf)

    async def _prove(self, probe: str) -> Answer:
        return Answer(200, self.proof(probe))
