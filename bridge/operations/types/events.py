"""Events for others, and the webhooks that are told of them."""

from typing import Annotated, Any, ClassVar

from msgspec import Meta

from bridge.operations.types.request import PAGE, Access, Id, Limit, Request, Result

Types = Annotated[
    tuple[str, ...],
    Meta(
        description="only these types, of: message.outcome, registration.begun, registration.confirmed, "
        "registration.ended, endpoint.provisioning; none: all"
    ),
]
Prefix = Annotated[str, Meta(description="only endpoints whose names begin like this")]


class EventView(Result, frozen=True, kw_only=True):
    """Something that happened. Ids rise in the order in which events were committed."""

    id: int
    type: str
    at: float
    data: dict[str, Any]


class EventPage(Result, frozen=True, kw_only=True):
    """Events, oldest first."""

    items: tuple[EventView, ...]
    next: int  # `after` of the next page; it stays the same while there are no newer events
    lost: bool  # events behind `after` are not kept any more: the caller missed some


class ListEvents(Request[EventPage], frozen=True, kw_only=True):
    """List outcomes, registrations and changes of provisioning, oldest first. Also as server-sent events."""

    NAME: ClassVar[str] = "event.list"
    ACCESS: ClassVar[Access] = Access.READ

    after: Annotated[
        Annotated[int, Meta(ge=0, le=2**63 - 1)] | None,
        Meta(description="only events with larger ids; null: from the oldest event, and for a stream only new events"),
    ] = None
    types: Types = ()
    prefix: Prefix = ""
    limit: Limit = PAGE


class WebhookView(Result, frozen=True, kw_only=True):
    """An URL that is told of events, without its secret."""

    id: int
    url: str
    types: tuple[str, ...]
    prefix: str
    created_at: float
    told: int  # the event up to which it was told
    failures: int  # tries of the next event that failed
    retry_at: float | None
    trouble: str  # why the latest try failed
    disabled: bool  # it answered 410 Gone: it is told nothing more


class NewWebhook(WebhookView, frozen=True, kw_only=True):
    """A webhook that was made just now."""

    secret: Annotated[str, Meta(description="the secret that signs posted events; it is shown once")]


class CreateWebhook(Request[NewWebhook], frozen=True, kw_only=True):
    """Have an URL told of every event from now on: at least once, in order, signed as Standard Webhooks has it."""

    NAME: ClassVar[str] = "webhook.create"
    ACCESS: ClassVar[Access] = Access.ADMIN

    url: Annotated[str, Meta(pattern="^https?://[^ ]+$", max_length=2000)]
    types: Types = ()
    prefix: Prefix = ""


class WebhookList(Result, frozen=True, kw_only=True):
    """All webhooks, and how far each is."""

    items: tuple[WebhookView, ...]


class ListWebhooks(Request[WebhookList], frozen=True):
    """List webhooks."""

    NAME: ClassVar[str] = "webhook.list"
    ACCESS: ClassVar[Access] = Access.ADMIN


class RemoveWebhook(Request[WebhookList], frozen=True):
    """Tell a webhook nothing more; the answer has those that are left."""

    NAME: ClassVar[str] = "webhook.remove"
    ACCESS: ClassVar[Access] = Access.ADMIN

    id: Id


class DeadLetterView(Result, frozen=True, kw_only=True):
    """An event that a webhook would not take."""

    webhook: int
    event: int
    at: float
    trouble: str


class DeadLetters(Result, frozen=True, kw_only=True):
    """Dead letters, newest first."""

    items: tuple[DeadLetterView, ...]


class ListDeadLetters(Request[DeadLetters], frozen=True, kw_only=True):
    """List events that webhooks would not take for days."""

    NAME: ClassVar[str] = "webhook.dead"
    ACCESS: ClassVar[Access] = Access.ADMIN

    webhook: Id | None = None
    limit: Limit = PAGE
