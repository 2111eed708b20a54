"""Bindings' notes, of which those with secrets are sealed."""

import asyncio
from asyncio import Future
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from bridge.errors import BridgeError
from bridge.store.notes import FoundNote, NoteTable
from bridge.store.sealing.seal import Seal

BODIES = "", "bodies"
"""Network and key of the bridge's own note about the bodies of messages: sealed, so that it names their key."""

SECRET_NOTES = frozenset({"path", "token", BODIES[1]})
"""Keys of notes with secrets.

`path`: what a network must know to call the bridge (`bindings.generated_values`); `token`: an OAuth2 token that nodes
share (`bindings.t8.shared_token`).
"""


@dataclass(frozen=True, slots=True)
class SealedNotes:
    """`bridge.store.notes.NoteTable` over that of a store."""

    table: NoteTable
    seal: Seal

    def find(self, network: str, key: str, done: FoundNote) -> None:
        """Call `done` with a note, opened if it is a secret."""
        if key not in SECRET_NOTES:
            self.table.find(network, key, done)
            return

        def found(value: bytes | None, error: BridgeError | None) -> None:
            if value is not None:
                try:
                    value = open_note(self.seal, network, key, value)
                except BridgeError as unopened:
                    value, error = None, unopened
            done(value, error)

        self.table.find(network, key, found)

    async def page(self, network: str, prefix: str, after: str | None, limit: int) -> list[tuple[str, bytes]]:
        """Return a page of notes, with secrets opened."""
        page = await self.table.page(network, prefix, after, limit)
        return [(key, open_note(self.seal, network, key, value)) for key, value in page]

    async def reseal(self, network: str) -> int:
        """Seal the secrets of a network instance under the present key; return how many were changed.

        Raises ConfigurationError and StoreUnavailable.
        """
        changed = 0
        for key in SECRET_NOTES:
            stored = await self.stored(network, key)
            if stored is None or self.seal.is_current(stored):
                continue
            await self.keep(network, key, self.seal.open(stored, _context(network, key)))
            changed += 1
        return changed

    async def stored(self, network: str, key: str) -> bytes | None:
        """Return a note as it is stored, None if there is none. Raises StoreUnavailable."""
        there: Future[bytes | None] = asyncio.get_running_loop().create_future()
        self.table.find(network, key, partial(_settle, there))
        return await there

    async def keep(self, network: str, key: str, secret: bytes) -> None:
        """Write a note, and wait until it is durable. Raises StoreUnavailable."""
        committed: Future[bytes | None] = asyncio.get_running_loop().create_future()
        self.put(network, key, secret, "", partial(_settle, committed, None))
        await committed

    def put(self, network: str, key: str, value: bytes | None, device: str, done: Callable[..., None]) -> None:
        """Write a note, sealed if it is a secret."""
        if value is not None and key in SECRET_NOTES:
            value = self.seal.seal(value, _context(network, key))
        self.table.put(network, key, value, device, done)


def open_note(seal: Seal, network: str, key: str, value: bytes) -> bytes:
    """Return a note that was read from the store, opened if it is a secret. Raises ConfigurationError."""
    return seal.open(value, _context(network, key)) if key in SECRET_NOTES else value


def _settle(future: "Future[bytes | None]", value: bytes | None, error: BaseException | None = None) -> None:
    if not future.done():
        future.set_result(value) if error is None else future.set_exception(error)


def _context(network: str, key: str) -> str:
    return f"note of a network:{network}:{key}"
