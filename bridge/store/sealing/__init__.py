"""Secrets that the bridge must keep are encrypted in every kind of store, under a key that is not in it."""

from bridge.store.sealing.bodies import NO_BODIES, SEALED, Bodies
from bridge.store.sealing.notes import BODIES, SECRET_NOTES, SealedNotes, open_note
from bridge.store.sealing.outbox import SealedOutbox
from bridge.store.sealing.owner_requests import SealedOwnerRequests
from bridge.store.sealing.posts import SealedIngress, network_of, opened_post
from bridge.store.sealing.seal import KEY_BYTES, NO_SEAL, Seal, read_key

__all__ = [
    "BODIES", "KEY_BYTES", "NO_BODIES", "NO_SEAL", "SEALED", "SECRET_NOTES", "Bodies", "Seal", "SealedIngress",
    "SealedNotes", "SealedOutbox", "SealedOwnerRequests", "network_of", "open_note", "opened_post", "read_key",
]  # fmt: skip
