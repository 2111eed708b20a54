"""The secrets in the ledger: encrypted under the key that the configuration names, whatever they were before."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace

from bridge.config import Config
from bridge.config.store_keys import store_seal
from bridge.service.progress import Progress
from bridge.store.contract import Store
from bridge.store.inbox import Ingress
from bridge.store.outbox import Outbox
from bridge.store.sealing import BODIES, SEALED, SealedNotes, SealedOutbox, open_note

log = logging.getLogger(__name__)

PAUSE = 0.05  # seconds in which other work gets its turn, after each part of the ledger

_CLEAR = b"clear"  # some that could be taken for sealed may have no mark: an earlier version stored them
_FROM_CLEAR, _FROM_SEALED = b"being sealed, from clear", b"being sealed, from another key"
_DONE = b"sealed"
_OPENED = b"opened"  # all are in the clear, and those that could be taken for sealed are marked


async def sealed(store: Store, config: Config) -> Outbox:
    """Seal all secrets of a ledger under the present key, and return its outbox with secrets in the clear.

    From then on the notes of `store.memories` are sealed, too. Raises ConfigurationError if one was sealed under
    another key, and StoreUnavailable.
    """
    seal = store_seal(config)
    outbox = SealedOutbox(store.outbox, seal)
    notes = SealedNotes(store.memories.table, seal)
    store.memories.table = notes
    changed = await outbox.reseal()
    for network in config.networks:
        changed += await notes.reseal(network)
    bodies = await _seal_bodies(store, notes)
    if changed or bodies:
        how = "encrypted under store_key" if config.service.store_key else "in the clear: there is no store_key"
        log.info("in the ledger are now %s: %d secrets, %d bodies of messages", how, changed, bodies)
    return outbox


async def _seal_bodies(store: Store, notes: SealedNotes) -> int:
    """Have bodies of messages sealed as the other secrets are; return how many of those that are there were changed.

    A note says whether all are under one key, and is itself sealed under it: who has another key learns it here.
    Raises ConfigurationError and StoreUnavailable.
    """
    seal = notes.seal
    store.use_seal(seal)
    stored = await notes.stored(*BODIES)
    state = _CLEAR if stored is None else open_note(seal, *BODIES, stored)
    if state == _DONE and stored is not None and seal.is_current(stored) and not seal.rotates:
        return 0
    if state in {_CLEAR, _OPENED} and not seal.opens:
        return 0  # marks stay: other bridges may have keys, and to take them off twice would change a body
    if seal.seals:  # before the first is sealed: whoever goes on after a crash needs this key
        await notes.keep(*BODIES, _FROM_CLEAR if state in {_CLEAR, _FROM_CLEAR} else _FROM_SEALED)
    elif state == _DONE:  # before the first is opened: after a crash some are sealed, and some are not
        await replace(notes, seal=seal.under_former()).keep(*BODIES, _FROM_SEALED)
    changed = await store.reseal_bodies(from_clear=state in {_CLEAR, _FROM_CLEAR})
    await notes.keep(*BODIES, _DONE if seal.seals else _OPENED)
    return changed


async def seal_the_rest(store: Store, progress: Progress) -> None:
    """Seal bodies that other bridges on this ledger wrote in the clear, after the first one had a store_key.

    Do it beside the traffic, in each bridge at its start: then none is in the clear when the last one has the key.
    Begin it again from its beginning whenever it broke off: what is sealed is read, and not written. Raises
    StoreUnavailable.
    """
    changed = 0
    with progress.work("bodies of messages that are in the clear are encrypted") as work:
        for table in SEALED:
            after: int | None = 0
            while after is not None:
                after, count = await store.seal_clear_bodies(table, after)
                changed += count
                work.step(count)
                await asyncio.sleep(PAUSE)
    if changed:
        log.info("%d bodies that another bridge had written in the clear are encrypted under store_key now", changed)


def opened_notes(inbox: Ingress, config: Config) -> Callable[[str, str], Awaitable[bytes | None]]:
    """Return what reads a note of a network instance beside the bridge that serves the ledger, opened if it is sealed.

    The returned function raises ConfigurationError (sealed under another key) and StoreUnavailable. The call itself
    raises ConfigurationError.
    """
    seal = store_seal(config)

    async def read(network: str, key: str) -> bytes | None:
        value = await inbox.note(network, key)
        return None if value is None else open_note(seal, network, key, value)

    return read
