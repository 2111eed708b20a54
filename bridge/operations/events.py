"""Operations on events and webhooks."""

import base64
import secrets

import msgspec
from msgspec.structs import asdict

from bridge.errors import NotFound, NotPossible
from bridge.operations.bridge import Bridge
from bridge.operations.cursors import id_before
from bridge.operations.endpoints import existing
from bridge.operations.operation import Operation
from bridge.operations.types.events import (
    CreateWebhook,
    DeadLetters,
    DeadLetterView,
    EndpointEvents,
    EventPage,
    EventView,
    ListDeadLetters,
    ListEndpointEvents,
    ListEvents,
    ListWebhooks,
    NewWebhook,
    RemoveWebhook,
    WebhookList,
    WebhookView,
)
from bridge.store.outbox import EventRow, Webhook

SECRET_BYTES = 32


async def list_events(bridge: Bridge, asked: ListEvents) -> EventPage:
    _need_events(bridge)
    oldest, newest = await bridge.outbox.bounds()
    after = oldest - 1 if asked.after is None else asked.after
    found = await bridge.outbox.events(after=after, limit=asked.limit, types=asked.types, prefix=asked.prefix)
    items = tuple(map(event_view, found))
    last = items[-1].id if items else 0
    following = last if len(items) == asked.limit else max(newest, after, last)
    return EventPage(items=items, next=following, lost=after < oldest - 1)


async def list_endpoint_events(bridge: Bridge, asked: ListEndpointEvents) -> EndpointEvents:
    _need_events(bridge)
    endpoint, before = await existing(bridge, asked.name), id_before(asked.after)
    rows = await bridge.outbox.events_of(endpoint.id, before=before, limit=asked.limit + 1, types=asked.types)
    items = tuple(map(event_view, rows[: asked.limit]))
    return EndpointEvents(items=items, next=str(items[-1].id) if len(rows) > asked.limit else None)


async def create_webhook(bridge: Bridge, asked: CreateWebhook) -> NewWebhook:
    _need_events(bridge)
    secret = secrets.token_bytes(SECRET_BYTES)
    made = Webhook(0, asked.url, secret, asked.types, asked.prefix, bridge.now(), 0)
    stored = await bridge.outbox.add_webhook(made)
    bridge.webhooks_changed()
    return NewWebhook(**asdict(_view(stored)), secret=f"whsec_{base64.b64encode(secret).decode()}")


async def list_webhooks(bridge: Bridge, _asked: ListWebhooks) -> WebhookList:
    return WebhookList(items=tuple(map(_view, await bridge.outbox.webhooks())))


async def remove_webhook(bridge: Bridge, asked: RemoveWebhook) -> WebhookList:
    if not await bridge.outbox.remove_webhook(asked.id):
        raise NotFound(f"no webhook {asked.id}")
    bridge.webhooks_changed()
    return await list_webhooks(bridge, ListWebhooks())


async def list_dead_letters(bridge: Bridge, asked: ListDeadLetters) -> DeadLetters:
    found = await bridge.outbox.dead_letters(webhook=asked.webhook, limit=asked.limit)
    return DeadLetters(
        items=tuple(
            DeadLetterView(webhook=one.webhook, event=one.event, at=one.at, trouble=one.trouble) for one in found
        )
    )


def event_view(event: EventRow) -> EventView:
    """Return the view of an event."""
    return EventView(id=event.id or 0, type=event.type, at=event.at, data=msgspec.json.decode(event.data))


def _need_events(bridge: Bridge) -> None:
    if not bridge.has_events:
        raise NotPossible("this bridge stores no events; set keep in [events], like keep = 259200 for three days")


def _view(webhook: Webhook) -> WebhookView:
    return WebhookView(
        id=webhook.id,
        url=webhook.url,
        types=webhook.types,
        prefix=webhook.prefix,
        created_at=webhook.created_at,
        told=webhook.told,
        failures=webhook.failures,
        retry_at=webhook.retry_at,
        trouble=webhook.trouble,
        disabled=webhook.disabled,
    )


OPERATIONS = (
    Operation(ListEvents, list_events),
    Operation(ListEndpointEvents, list_endpoint_events),
    Operation(CreateWebhook, create_webhook),
    Operation(ListWebhooks, list_webhooks),
    Operation(RemoveWebhook, remove_webhook),
    Operation(ListDeadLetters, list_dead_letters),
)
