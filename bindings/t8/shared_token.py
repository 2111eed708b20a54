"""An OAuth2 token that several nodes use: one of them requests it, the others read it from the network's notes."""

import asyncio
import contextlib
import logging
import random
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from bindings.contract import Memory
from bridge.errors import StoreUnavailable

KEY = "token"
_AT_ONCE = 0.5  # seconds within which nodes that all need a first token look for another one's, each at its own moment

log = logging.getLogger(__name__)


class _Note(msgspec.Struct, array_like=True):
    client: str  # whose token it is
    header: str
    renew_at: float  # wall times
    ends_at: float


class Token(NamedTuple):
    """The value of an Authorization header, and the seconds until it should be renewed and until it ends."""

    header: str
    renew_in: float
    ends_in: float


class SharedToken:
    """The token of one client at one token endpoint, over the notes that all nodes read and write.

    The node that requested it renews it. The others look for the new one later, each at a moment of its own between
    that and the end; whoever finds none requests it. The notes are no lock: two nodes may request one at the same time,
    and then the one that was written last is used when the other one is refused.
    """

    def __init__(self, memory: Memory, client: str, now: Callable[[], float]) -> None:
        """`client` differs for different credentials; `now` returns wall time."""
        self._memory = memory
        self._client = client
        self._now = now

    async def found(self, other_than: str | None) -> Token | None:
        """Return a token that goes on, of another node; None if there is none but `other_than`."""
        if other_than is None:
            await asyncio.sleep(random.uniform(0, _AT_ONCE))  # noqa: S311  # no secret
        try:
            kept = await self._memory.fresh(KEY)
            note = None if kept is None else msgspec.msgpack.decode(kept, type=_Note)
        except (StoreUnavailable, msgspec.DecodeError) as error:
            log.warning("another node's token cannot be read: %s", error, extra={"sample": "shared token"})
            return None
        now = self._now()
        if note is None or note.client != self._client or note.header == other_than or note.ends_at <= now:
            return None
        later = random.uniform(0.25, 0.75) * (note.ends_at - note.renew_at)  # noqa: S311  # no secret
        return Token(note.header, note.renew_at + later - now, note.ends_at - now)

    async def keep(self, token: Token) -> None:
        """Let the other nodes have a token. If the store fails, each of them requests one."""
        now = self._now()
        note = _Note(self._client, token.header, now + token.renew_in, now + token.ends_in)
        with contextlib.suppress(StoreUnavailable):
            await self._memory.put(KEY, msgspec.msgpack.encode(note))
