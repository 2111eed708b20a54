"""Events for webhooks and streams, kept for a while, and the webhooks. Part of `bridge.store.contract`.

Events are rows of the same commit as the change that they report, so that none is lost and none is invented. Their ids
rise in the order of commits: a reader that has read up to an id has missed no earlier event.
"""

from dataclasses import dataclass
from typing import ClassVar, Protocol

from bridge.delivery.rows import Fixed, Row

OUTCOME = "message.outcome"
"""The type of events that report what became of a message. They are as many as messages."""


class EventRow(Row):
    """Something that happened. `id` is None until it is committed."""

    TABLE: ClassVar[str] = "event"

    id: int | None
    endpoint: Fixed[int]
    at: Fixed[float]
    type: Fixed[str]  # message.outcome, registration.begun…
    name: Fixed[str]  # of the endpoint at that time
    data: Fixed[str]  # JSON object


@dataclass(frozen=True, slots=True)
class Webhook:
    """A URL to which events are posted. `id` is 0 until it is stored; times are wall-clock seconds."""

    id: int
    url: str
    secret: bytes  # of the signatures (HMAC-SHA256)
    types: tuple[str, ...]  # types of events that it gets; none: all
    prefix: str  # prefix of endpoints' names; "": all
    created_at: float
    told: int  # id of the last event that it accepted
    failures: int = 0  # failed attempts of the next event
    retry_at: float | None = None
    trouble: str = ""  # why the latest attempt failed
    disabled: bool = False  # it answered 410: nothing more is posted


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An event that a webhook did not accept."""

    webhook: int
    event: int
    at: float
    trouble: str


class Outbox(Protocol):
    """All raise StoreUnavailable."""

    async def events(self, *, after: int, limit: int, types: tuple[str, ...] = (), prefix: str = "") -> list[EventRow]:
        """Return events with larger ids, oldest first: of these types, and of endpoints with this name prefix."""

    async def events_of(
        self, endpoint: int, *, before: int | None = None, limit: int, types: tuple[str, ...] = ()
    ) -> list[EventRow]:
        """Return events of one endpoint except OUTCOME, newest first; with `before` only those with a smaller id.

        No other events are read: the time that this takes does not depend on how many there are.
        """

    async def bounds(self) -> tuple[int, int]:
        """Return the ids of the oldest stored event and of the newest ever; (1, 0) if there never was one."""

    async def forget_events(self, before: float) -> int:
        """Remove events and dead letters from before wall time `before`; return how many events."""

    async def add_webhook(self, webhook: Webhook) -> Webhook:
        """Store a webhook whose `id` is 0, beginning after the newest event; return it as stored."""

    async def webhooks(self) -> list[Webhook]: ...

    async def keep_webhook(self, webhook: Webhook, dead: DeadLetter | None = None) -> None:
        """Store the state of a webhook, unless it was removed, and the event that it did not accept, if any.

        Its URL, secret, types and prefix stay as they are.
        """

    async def set_secret(self, id_: int, secret: bytes) -> None:
        """Store another secret of a webhook, as it is to stand in the store."""

    async def remove_webhook(self, id_: int) -> bool:
        """Remove a webhook and its dead letters; return whether it existed."""

    async def dead_letters(self, *, webhook: int | None, limit: int) -> list[DeadLetter]:
        """Return events that webhooks did not accept, newest first; each event once for each webhook."""
