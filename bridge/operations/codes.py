"""Codes that sign a browser in: each is good once, and for a few minutes, so that a link with one is soon worthless."""

import hashlib
import secrets
from collections.abc import Callable

from bridge.lru import Lru

LIFETIME = 600.0  # seconds
MOST = 100  # codes that wait, at once
_BYTES = 32


class Codes:
    """Which code stands for which key. Only the SHA-256 of a code is kept, and only in memory."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._now = monotonic
        self._waiting: Lru[bytes, tuple[int, float]] = Lru(MOST)

    def make(self, key: int) -> str:
        """Return a new code for a key."""
        code = secrets.token_urlsafe(_BYTES)
        self._waiting.put(_digest(code), (key, self._now() + LIFETIME))
        return code

    def redeem(self, code: str) -> int | None:
        """Return the key that a code stands for, and forget the code; None where it is good no longer."""
        found = self._waiting.get(_digest(code))
        self._waiting.drop(_digest(code))
        return found[0] if found is not None and self._now() < found[1] else None


def _digest(code: str) -> bytes:
    return hashlib.sha256(code.encode("utf-8", "surrogateescape")).digest()
