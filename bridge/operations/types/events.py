"""Events, and the webhooks to which they are posted."""

from typing import Annotated, Any, ClassVar

from msgspec import Meta

from bridge.operations.types.request import PAGE, Access, Cursor, Id, Limit, Name, Request, Result

Types = Annotated[
    tuple[str, ...],
    Meta(
        description="only these types, of: message.outcome, registration.begun, registration.confirmed, "
        "registration.ended, endpoint.provisioning; none: all"
    ),
]
Prefix = Annotated[str, Meta(description="only endpoints whose names begin like this")]


class EventView(Result, frozen=True, kw_only=True):
    """An event. Ids rise in the order in which events were committed."""

    id: int
    type: str
    at: float
    data: dict[str, Any]


class EventPage(Result, frozen=True, kw_only=True):
    """Events, oldest first."""

    items: tuple[EventView, ...]
    next: int  # `after` of the next page; it stays the same while there are no newer events
    lost: bool  # events after `after` are no longer stored: the caller missed some


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


class EndpointEvents(Result, frozen=True, kw_only=True):
    """Registrations and changes of provisioning of one endpoint, newest first."""

    items: tuple[EventView, ...]
    next: str | None  # cursor of the page after this one; null: this is the last


class ListEndpointEvents(Request[EndpointEvents], frozen=True, kw_only=True):
    """List registrations and changes of provisioning of one endpoint, newest first, a page at a time.

    Its messages, and what became of them, have lists of their own.
    """

    NAME: ClassVar[str] = "endpoint.events"
    ACCESS: ClassVar[Access] = Access.READ

    name: Name
    types: Types = ()
    after: Cursor = ""
    limit: Limit = PAGE


class WebhookView(Result, frozen=True, kw_only=True):
    """A URL to which events are posted, without its secret."""

    id: int
    url: str
    types: tuple[str, ...]
    prefix: str
    created_at: float
    told: int  # id of the last event that it accepted
    failures: int  # failed attempts of the next event
    retry_at: float | None
    trouble: str  # why the latest attempt failed
    disabled: bool  # it answered 410 Gone: nothing more is posted


class NewWebhook(WebhookView, frozen=True, kw_only=True):
    """A new webhook."""

    secret: Annotated[str, Meta(description="the secret that signs posted events; it is shown once")]


class CreateWebhook(Request[NewWebhook], frozen=True, kw_only=True):
    """Post every event to a URL from now on: at least once, in order, signed by Standard Webhooks."""

    NAME: ClassVar[str] = "webhook.create"
    ACCESS: ClassVar[Access] = Access.ADMIN

    url: Annotated[str, Meta(pattern="^https?://[^ ]+$", max_length=2000)]
    types: Types = ()
    prefix: Prefix = ""


class WebhookList(Result, frozen=True, kw_only=True):
    """All webhooks, with the last event that each accepted."""

    items: tuple[WebhookView, ...]


class ListWebhooks(Request[WebhookList], frozen=True):
    """List webhooks."""

    NAME: ClassVar[str] = "webhook.list"
    ACCESS: ClassVar[Access] = Access.ADMIN


class RemoveWebhook(Request[WebhookList], frozen=True):
    """Remove a webhook; the answer has the remaining ones."""

    NAME: ClassVar[str] = "webhook.remove"
    ACCESS: ClassVar[Access] = Access.ADMIN

    id: Id


class DeadLetterView(Result, frozen=True, kw_only=True):
    """An event that a webhook did not accept."""

    webhook: int
    event: int
    at: float
    trouble: str


class DeadLetters(Result, frozen=True, kw_only=True):
    """Dead letters, newest first."""

    items: tuple[DeadLetterView, ...]


class ListDeadLetters(Request[DeadLetters], frozen=True, kw_only=True):
    """List events that webhooks did not accept for days."""

    NAME: ClassVar[str] = "webhook.dead"
    ACCESS: ClassVar[Access] = Access.ADMIN

    webhook: Id | None = None
    limit: Limit = PAGE
