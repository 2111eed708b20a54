"""Webhooks, whose secrets are sealed."""

from dataclasses import replace

from bridge.store.outbox import DeadLetter, EventRow, Outbox, Webhook
from bridge.store.sealing.seal import Seal


class SealedOutbox:
    """`bridge.store.outbox.Outbox` over that of a store. A secret is bound to its webhook's URL."""

    def __init__(self, outbox: Outbox, seal: Seal) -> None:
        self._outbox = outbox
        self._seal = seal

    async def reseal(self) -> int:
        """Seal all secrets under the present key; return how many were changed. Raises ConfigurationError."""
        changed = 0
        for one in await self._outbox.webhooks():
            if not self._seal.is_current(one.secret):
                await self._outbox.set_secret(one.id, self._sealed(self._opened(one)).secret)
                changed += 1
        return changed

    async def events(self, *, after: int, limit: int, types: tuple[str, ...] = (), prefix: str = "") -> list[EventRow]:
        """Return events with larger ids."""
        return await self._outbox.events(after=after, limit=limit, types=types, prefix=prefix)

    async def events_of(
        self, endpoint: int, *, before: int | None = None, limit: int, types: tuple[str, ...] = ()
    ) -> list[EventRow]:
        """Return events of one endpoint."""
        return await self._outbox.events_of(endpoint, before=before, limit=limit, types=types)

    async def bounds(self) -> tuple[int, int]:
        """Return the ids of the oldest stored event and of the newest ever."""
        return await self._outbox.bounds()

    async def forget_events(self, before: float) -> int:
        """Remove events and dead letters from before wall time `before`."""
        return await self._outbox.forget_events(before)

    async def add_webhook(self, webhook: Webhook) -> Webhook:
        """Store a webhook; return it with its id, and its secret in the clear."""
        return replace(await self._outbox.add_webhook(self._sealed(webhook)), secret=webhook.secret)

    async def webhooks(self) -> list[Webhook]:
        """Return all webhooks, with their secrets in the clear."""
        return [self._opened(one) for one in await self._outbox.webhooks()]

    async def keep_webhook(self, webhook: Webhook, dead: DeadLetter | None = None) -> None:
        """Store the state of a webhook, which does not include its secret."""
        await self._outbox.keep_webhook(webhook, dead)

    async def set_secret(self, id_: int, secret: bytes) -> None:
        """Store another secret, in the clear as it is given."""
        await self._outbox.set_secret(id_, secret)

    async def remove_webhook(self, id_: int) -> bool:
        """Remove a webhook and its dead letters."""
        return await self._outbox.remove_webhook(id_)

    async def dead_letters(self, *, webhook: int | None, limit: int) -> list[DeadLetter]:
        """Return events that webhooks did not accept."""
        return await self._outbox.dead_letters(webhook=webhook, limit=limit)

    def _sealed(self, webhook: Webhook) -> Webhook:
        return replace(webhook, secret=self._seal.seal(webhook.secret, _context(webhook)))

    def _opened(self, webhook: Webhook) -> Webhook:
        return replace(webhook, secret=self._seal.open(webhook.secret, _context(webhook)))


def _context(webhook: Webhook) -> str:
    return f"webhook:{webhook.url}"
