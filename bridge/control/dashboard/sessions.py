"""Sessions of browsers. A browser sends a key once; after that it has a cookie that no script can read.

Sessions are only in memory: after a restart every user signs in again. The bridge keeps the SHA-256 of a
cookie's value, and the id of its key; whether that key is still valid is checked with every request.
"""

import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass

from bridge.lru import Lru

COOKIE = "lwm2m_bridge_session"
LIFETIME = 12 * 3600.0  # seconds: a working day
MOST = 1000  # sessions at the same time; beyond that the one used longest ago ends
_BYTES = 32


@dataclass(frozen=True, slots=True)
class _Session:
    key: int
    ends_at: float  # monotonic seconds


class Sessions:
    """Maps cookies to keys."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._now = monotonic
        self._sessions: Lru[bytes, _Session] = Lru(MOST)

    def begin(self, key: int) -> str:
        """Begin a session of a key; return the value of its cookie."""
        value = secrets.token_urlsafe(_BYTES)
        self._sessions.put(_digest(value), _Session(key, self._now() + LIFETIME))
        return value

    def key(self, value: str) -> int | None:
        """Return the id of a cookie's key; None if there is no such session, or it has ended."""
        found = self._sessions.get(_digest(value))
        if found is None:
            return None
        if found.ends_at <= self._now():
            self._sessions.drop(_digest(value))
            return None
        return found.key

    def end(self, value: str) -> None:
        """End a session, if there is one."""
        self._sessions.drop(_digest(value))


def _digest(value: str) -> bytes:
    return hashlib.sha256(value.encode("utf-8", "surrogateescape")).digest()
