"""What a network instance makes for itself once and keeps in its memory: a secret path, a name for a broker."""

import secrets
from urllib.parse import quote

from bindings.contract import Memory

SECRET_BYTES = 24  # of randomness; as a path 32 characters
_PATH_KEY = "path"


async def generated_value(memory: Memory, key: str) -> str:
    """Return what was made under a key, or make it now. Raises StoreUnavailable."""
    kept = await memory.load(key)
    if kept is not None:
        return kept.decode()
    made = secrets.token_urlsafe(SECRET_BYTES)
    await memory.put(key, made.encode())
    return made


async def secret_path(memory: Memory, configured: str) -> str:
    """Return the path, as in a URL, that a network must know to call us: as configured, else one of our own making.

    Raises StoreUnavailable.
    """
    return quote(configured.strip("/") or await generated_value(memory, _PATH_KEY), safe="")
