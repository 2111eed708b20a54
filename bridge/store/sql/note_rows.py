"""The rows of bindings' notes."""

from collections.abc import Collection, Iterable
from typing import Any

import msgspec

from bridge.store.sql.connection import Connection

_WITH_KEY = (
    "SELECT n.network, n.key, n.device, n.value FROM json_each(?) j CROSS JOIN note n"
    " ON n.network = j.value ->> 0 AND n.key = j.value ->> 1"
)
_OF_DEVICE = (
    "SELECT n.network, n.device, n.key, n.value FROM json_each(?) j CROSS JOIN note n INDEXED BY note_device"
    " ON n.network = j.value ->> 0 AND n.device = j.value ->> 1 AND n.device <> ''"
)

Notes = dict[str, bytes]

NotesByKey = dict[tuple[str, str], tuple[str, bytes]]
"""(network, key) → device and value"""


def notes_with(connection: Connection, keys: Iterable[tuple[str, str]]) -> NotesByKey:
    """Return the notes under these (network, key)."""
    rows: list[tuple[Any, ...]] = connection.execute(_WITH_KEY, (_json(keys),)).fetchall()
    return {(network, key): (device, value) for network, key, device, value in rows}


def notes_of(connection: Connection, devices: Collection[tuple[str, str]]) -> dict[tuple[str, str], Notes]:
    """Return all notes of these (network, device); without any, an empty dictionary."""
    found: dict[tuple[str, str], Notes] = {device: {} for device in devices}
    rows: list[tuple[Any, ...]] = connection.execute(_OF_DEVICE, (_json(devices),)).fetchall()
    for network, device, key, value in rows:
        found[network, device][key] = value
    return found


def _json(pairs: Iterable[tuple[str, str]]) -> str:
    return msgspec.json.encode(list(pairs)).decode()
