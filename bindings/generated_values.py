"""Values that a network instance generates once and stores in its memory: a secret path, a name for a broker."""

import secrets
from urllib.parse import quote

from bindings.contract import Memory, ReadNote

SECRET_BYTES = 24  # of randomness; as a path 32 characters
_PATH_KEY = "path"


async def generated_value(memory: Memory, key: str) -> str:
    """Return the stored value of a key, or generate it. Raises StoreUnavailable."""
    kept = await memory.load(key)
    if kept is not None:
        return kept.decode()
    made = secrets.token_urlsafe(SECRET_BYTES)
    await memory.put(key, made.encode())
    return made


async def secret_path(memory: Memory, configured: str) -> str:
    """Return the URL path that a network must know to call the bridge: the configured one, else a generated one.

    Raises StoreUnavailable.
    """
    return quote(configured.strip("/") or await generated_value(memory, _PATH_KEY), safe="")


async def known_path(note: ReadNote, configured: str) -> str | None:
    """Return what `secret_path` does; None if it has not been generated yet. Raises StoreUnavailable."""
    if not configured.strip("/"):
        kept = await note(_PATH_KEY)
        if kept is None:
            return None
        configured = kept.decode()
    return quote(configured.strip("/"), safe="")
