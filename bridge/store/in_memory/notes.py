"""The table of bindings' notes for `bridge.store.notes`."""

from bridge.errors import StoreUnavailable
from bridge.store.contract import Done
from bridge.store.in_memory.engine import Engine
from bridge.store.notes import FoundNote


class InMemoryNotes:
    """`bridge.store.notes.NoteTable`."""

    def __init__(self, store: Engine) -> None:
        self._store = store

    def find(self, network: str, key: str, done: FoundNote) -> None:
        def answer(error: StoreUnavailable | None) -> None:
            there = None if error else self._store.disk.notes.get((network, key))
            done(None if there is None else there[1], error)

        self._store.ask(answer)

    async def page(self, network: str, prefix: str, after: str | None, limit: int) -> list[tuple[str, bytes]]:
        await self._store.readable()
        found = sorted(
            (key, value)
            for (owner, key), (_, value) in self._store.disk.notes.items()
            if owner == network and key.startswith(prefix) and (after is None or key > after)
        )
        return found[:limit]

    def put(self, network: str, key: str, value: bytes | None, device: str, done: Done) -> None:
        notes = self._store.disk.notes

        def work() -> None:
            if value is None:
                notes.pop((network, key), None)
            else:
                notes[network, key] = device, value

        self._store.write(work, done)
