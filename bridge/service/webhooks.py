"""Posts events to webhooks: in order, at least once, signed by Standard Webhooks (standardwebhooks.com, 1.0.0).

If a webhook does not answer 2xx, the event is posted again after a pause that doubles, for about three days. Then the
event becomes a dead letter, and the next one follows. A webhook that answers 410 gets nothing more.
"""

import asyncio
import base64
import contextlib
import hashlib
import hmac
import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from http import HTTPStatus

import aiohttp
import msgspec

from bridge.delivery.future import APART
from bridge.errors import BridgeError, StoreUnavailable
from bridge.service.announcer import Announcer
from bridge.store.outbox import DeadLetter, EventRow, Outbox, Webhook

log = logging.getLogger(__name__)

PATIENCE = 15.0  # seconds that a webhook may take to answer
FIRST_PAUSE = 5.0  # seconds; doubles with each failure
LONGEST_PAUSE = 3600.0  # seconds
TRIES = 80  # attempts of one event: about three days
PAGE = 100  # events that are read together
AGAIN = 5.0  # seconds, after the store failed
LOOKED = 60.0  # seconds after which webhooks are checked in any case


class Webhooks:
    """Posts to all webhooks from `run` until it is cancelled, each at its own pace."""

    def __init__(
        self, outbox: Outbox, announcer: Announcer, wall: Callable[[], float], count: Callable[..., None]
    ) -> None:
        self._outbox = outbox
        self._announcer = announcer
        self._wall = wall
        self._count = count
        self._changed = asyncio.Event()
        self._telling: dict[int, asyncio.Task[None]] = {}

    def changed(self) -> None:
        """Record that a webhook was added or removed."""
        self._changed.set()

    async def run(self) -> None:
        """Post events to webhooks."""
        try:
            async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
                while True:
                    self._changed.clear()
                    await self._begin_and_end(session)
                    await _either(self._changed, LOOKED)
        finally:
            for task in self._telling.values():
                task.cancel()
            await asyncio.gather(*self._telling.values(), return_exceptions=True)
            self._telling.clear()

    async def _begin_and_end(self, session: aiohttp.ClientSession) -> None:
        try:
            wanted = {one.id: one for one in await self._outbox.webhooks() if not one.disabled}
        except BridgeError as error:  # also one whose secret is sealed under another node's key: see the text
            log.warning("webhooks cannot be read: %s", error, extra={"sample": "webhooks"})
            return
        for id_ in [*self._telling]:
            if id_ not in wanted or self._telling[id_].done():
                self._telling.pop(id_).cancel()
        for id_, webhook in wanted.items():
            if id_ not in self._telling:
                self._telling[id_] = asyncio.create_task(self._tell(session, webhook))

    async def _tell(self, session: aiohttp.ClientSession, webhook: Webhook) -> None:
        """Post to one webhook all events that it asked for, until it is removed or disabled."""
        while not webhook.disabled:
            newer = self._announcer.newer
            try:
                webhook = await self._post_pending(session, webhook)
            except StoreUnavailable as error:
                log.warning("webhook %d waits: %s", webhook.id, error, extra={"sample": "webhooks"})
                await asyncio.sleep(AGAIN)
                continue
            if webhook.retry_at is not None:
                await asyncio.sleep(max(webhook.retry_at - self._wall(), 0.0))
            elif not webhook.disabled:
                await _either(newer, LOOKED)

    async def _post_pending(self, session: aiohttp.ClientSession, webhook: Webhook) -> Webhook:
        """Post events to one webhook until none is left or one fails; return its stored state."""
        now = self._wall()
        if webhook.retry_at is not None and webhook.retry_at > now:
            latest = now + _pause(webhook.failures)
            if webhook.retry_at - latest < APART:
                return webhook
            extra = {"webhook": webhook.id, "sample": f"webhook {webhook.id}"}
            log.warning(
                "a webhook waits for a time too far ahead, since the clock was set back: moved back", extra=extra
            )
            webhook = replace(webhook, retry_at=latest)
            await self._outbox.keep_webhook(webhook)
            return webhook
        while events := await self._outbox.events(
            after=webhook.told, limit=PAGE, types=webhook.types, prefix=webhook.prefix
        ):
            for event in events:
                webhook = await self._one(session, webhook, event)
                if webhook.disabled or webhook.retry_at is not None:
                    return webhook
        return webhook

    async def _one(self, session: aiohttp.ClientSession, webhook: Webhook, event: EventRow) -> Webhook:
        trouble, gone = await self._posted(session, webhook, event)
        self._count("webhook_deliveries", result="failed" if trouble else "done")
        id_ = event.id or 0
        dead = None
        if not trouble:
            after = replace(webhook, told=id_, failures=0, retry_at=None, trouble="")
        elif gone:
            after = replace(webhook, disabled=True, retry_at=None, trouble=trouble)
        elif webhook.failures + 1 >= TRIES:
            self._count("webhook_dead_letters")
            dead = DeadLetter(webhook.id, id_, self._wall(), trouble)
            after = replace(webhook, told=id_, failures=0, retry_at=None, trouble=trouble)
        else:
            failures = webhook.failures + 1
            after = replace(webhook, failures=failures, retry_at=self._wall() + _pause(failures), trouble=trouble)
        if trouble:
            extra = {"webhook": webhook.id, "event": id_, "why": trouble, "sample": f"webhook {webhook.id}"}
            log.warning("a webhook did not accept an event", extra=extra)
        await self._outbox.keep_webhook(after, dead)
        return after

    async def _posted(self, session: aiohttp.ClientSession, webhook: Webhook, event: EventRow) -> tuple[str, bool]:
        """Post an event; return why it was not accepted, "" if it was, and whether the webhook wants no more."""
        body = payload(event)
        headers = signed(webhook.secret, f"evt_{event.id}", int(self._wall()), body)
        try:
            patience = aiohttp.ClientTimeout(total=PATIENCE)
            async with session.post(
                webhook.url, data=body, headers=headers, allow_redirects=False, timeout=patience
            ) as answer:
                if HTTPStatus.OK <= answer.status < HTTPStatus.MULTIPLE_CHOICES:
                    return "", False
                return f"answered {answer.status}", answer.status == HTTPStatus.GONE
        except TimeoutError:
            return f"no answer within {PATIENCE:.0f} s", False
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return f"{type(error).__name__}: {error}"[:200], False


def _pause(failures: int) -> float:
    """Return the seconds from an event's latest failed attempt to the next one, after so many failed attempts."""
    return float(min(FIRST_PAUSE * 2 ** max(failures - 1, 0), LONGEST_PAUSE))


def payload(event: EventRow) -> bytes:
    """Return the body that webhooks get for an event."""
    shown = {
        "type": event.type,
        "timestamp": datetime.fromtimestamp(event.at, UTC).isoformat(timespec="milliseconds"),
        "id": event.id,
        "data": msgspec.Raw(event.data.encode()),
    }
    return msgspec.json.encode(shown)


def signed(secret: bytes, id_: str, at: int, body: bytes) -> dict[str, str]:
    """Return the headers of a message: its id, the time in seconds, and the signature over both and the body."""
    digest = hmac.new(secret, f"{id_}.{at}.".encode() + body, hashlib.sha256).digest()
    return {
        "Content-Type": "application/json",
        "webhook-id": id_,
        "webhook-timestamp": str(at),
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
    }


async def _either(event: asyncio.Event, seconds: float) -> None:
    """Return when an event is set, or after `seconds`."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), seconds)
