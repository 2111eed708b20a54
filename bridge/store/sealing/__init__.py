"""Secrets that the bridge must keep are encrypted in every kind of store, under a key that is not in it."""

from bridge.store.sealing.notes import SECRET_NOTES, SealedNotes, open_note
from bridge.store.sealing.outbox import SealedOutbox
from bridge.store.sealing.seal import KEY_BYTES, NO_SEAL, Seal, read_key

__all__ = ["KEY_BYTES", "NO_SEAL", "SECRET_NOTES", "Seal", "SealedNotes", "SealedOutbox", "open_note", "read_key"]
