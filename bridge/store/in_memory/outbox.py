"""`bridge.store.contract.Outbox` over lists in memory."""

from collections.abc import Callable
from dataclasses import replace

from bridge.store.in_memory.engine import Engine
from bridge.store.outbox import OUTCOME, DeadLetter, EventRow, Webhook

_STATE = ("told", "failures", "retry_at", "trouble", "disabled")  # what `keep_webhook` changes


class InMemoryOutbox:
    def __init__(self, store: Engine) -> None:
        self._store = store
        self._disk = store.disk

    async def events(self, *, after: int, limit: int, types: tuple[str, ...] = (), prefix: str = "") -> list[EventRow]:
        await self._store.readable()
        return [
            event
            for event in self._all()
            if (event.id or 0) > after and (not types or event.type in types) and event.name.startswith(prefix)
        ][:limit]

    async def events_of(
        self, endpoint: int, *, before: int | None = None, limit: int, types: tuple[str, ...] = ()
    ) -> list[EventRow]:
        await self._store.readable()
        return [
            event
            for event in reversed(self._all())
            if event.endpoint == endpoint
            and event.type != OUTCOME
            and (before is None or (event.id or 0) < before)
            and (not types or event.type in types)
        ][:limit]

    async def bounds(self) -> tuple[int, int]:
        await self._store.readable()
        newest = self._disk.tables.events
        return min((event.id or 0 for event in self._all()), default=newest + 1), newest

    async def forget_events(self, before: float) -> int:
        def work() -> int:
            gone = [event for event in self._all() if event.at < before]
            for event in gone:
                self._disk.tables.drop(event)
            self._keep_letters(lambda one: one.at >= before)
            return len(gone)

        number: int = await self._store.run(work)
        return number

    async def add_webhook(self, webhook: Webhook) -> Webhook:
        def work() -> Webhook:
            self._disk.hooked += 1
            added = replace(webhook, id=self._disk.hooked, told=self._disk.tables.events)
            self._disk.webhooks[added.id] = added
            return added

        added: Webhook = await self._store.run(work)
        return added

    async def webhooks(self) -> list[Webhook]:
        await self._store.readable()
        return [*self._disk.webhooks.values()]

    async def keep_webhook(self, webhook: Webhook, dead: DeadLetter | None = None) -> None:
        def work() -> None:
            there = self._disk.webhooks.get(webhook.id)
            if there is not None:
                state = {name: getattr(webhook, name) for name in _STATE}
                self._disk.webhooks[webhook.id] = replace(there, **state)
                if dead is not None:
                    self._disk.dead[dead.webhook, dead.event] = dead

        await self._store.run(work)

    async def set_secret(self, id_: int, secret: bytes) -> None:
        def work() -> None:
            there = self._disk.webhooks.get(id_)
            if there is not None:
                self._disk.webhooks[id_] = replace(there, secret=secret)

        await self._store.run(work)

    async def remove_webhook(self, id_: int) -> bool:
        def work() -> bool:
            self._keep_letters(lambda one: one.webhook != id_)
            return self._disk.webhooks.pop(id_, None) is not None

        removed: bool = await self._store.run(work)
        return removed

    async def dead_letters(self, *, webhook: int | None, limit: int) -> list[DeadLetter]:
        await self._store.readable()
        found = [one for one in self._disk.dead.values() if webhook is None or one.webhook == webhook]
        return sorted(found, key=lambda one: (-one.event, one.webhook))[:limit]

    def _keep_letters(self, stays: Callable[[DeadLetter], bool]) -> None:
        self._disk.dead = {key: one for key, one in self._disk.dead.items() if stays(one)}

    def _all(self) -> list[EventRow]:
        return sorted(self._disk.tables.of(EventRow), key=lambda event: event.id or 0)
