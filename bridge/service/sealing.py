"""The secrets in the ledger: encrypted under the key that the configuration names, whatever they were before."""

import logging
from collections.abc import Awaitable, Callable

from bridge.config import Config
from bridge.config.store_keys import store_seal
from bridge.store.contract import Store
from bridge.store.inbox import Ingress
from bridge.store.outbox import Outbox
from bridge.store.sealing import SealedNotes, SealedOutbox, open_note

log = logging.getLogger(__name__)


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
    if changed:
        how = "encrypted under store_key" if config.service.store_key else "in the clear: there is no store_key"
        log.info("secrets in the ledger that are now %s: %d", how, changed)
    return outbox


def opened_notes(inbox: Ingress, config: Config) -> Callable[[str, str], Awaitable[bytes | None]]:
    """Return what reads a note of a network instance beside the bridge that serves the ledger, opened if it is sealed.

    It raises ConfigurationError (sealed under another key) and StoreUnavailable. This raises ConfigurationError.
    """
    seal = store_seal(config)

    async def read(network: str, key: str) -> bytes | None:
        value = await inbox.note(network, key)
        return None if value is None else open_note(seal, network, key, value)

    return read
