"""The shards of one node in memory, and the order in which its parts follow when one is taken or released."""

import asyncio
import logging
from collections.abc import Mapping
from types import MappingProxyType

from bridge.cluster.contract import HasTimeLimit, ShardFollower
from bridge.errors import BridgeError, NotPossible

TIME_LIMIT = 10.0  # seconds that one follower may take, unless it says otherwise

log = logging.getLogger(__name__)


class NodeShards:
    """`bridge.cluster.contract.Shards`. The caller has the row in the ledger before `take`, and until after `release`.

    Several shards may be taken and released at the same time; call `take` and `release` of one shard one after the
    other.
    """

    def __init__(self, node: str) -> None:
        self.node = node
        self._epochs: dict[int, int] = {}
        self._accepted: set[int] = set()
        self._served: set[int] = set()
        self._followers: list[ShardFollower] = []
        self.held: Mapping[int, int] = MappingProxyType(self._epochs)

    def epoch(self, shard: int) -> int | None:
        return self._epochs.get(shard)

    def accepts(self, shard: int) -> bool:
        return shard in self._accepted

    def serves(self, shard: int) -> bool:
        return shard in self._served

    def follow(self, follower: ShardFollower) -> None:
        self._followers.append(follower)

    async def take(self, shard: int, epoch: int) -> None:
        """Let the followers prepare for a shard, then serve it.

        Raises NotPossible if one of them cannot, also because of a bug: those before it have released the shard, which
        is not held then. If this is cancelled, the shard is held, but not served: call `release`.
        """
        self._epochs[shard] = epoch
        self._accepted.add(shard)
        for number, follower in enumerate(self._followers):
            try:
                async with asyncio.timeout(_limit(follower)):
                    await follower.taken(shard, epoch)
            except Exception as error:
                if not isinstance(error, BridgeError | TimeoutError):
                    log.exception("shard %d: a part failed because of a bug", shard, extra={"sample": "taken"})
                await self._stop_serving(shard, self._followers[: number + 1])
                why = str(error) or f"{type(follower).__name__} took longer than {_limit(follower):g} s"
                raise NotPossible(f"shard {shard} cannot be served here: {why}") from error
        self._served.add(shard)

    async def release(self, shard: int) -> None:
        """Serve a shard no more, and return when the followers have released it."""
        await self._stop_serving(shard, self._followers)

    async def _stop_serving(self, shard: int, followers: list[ShardFollower]) -> None:
        self._served.discard(shard)
        self._accepted.discard(shard)
        for follower in reversed(followers):
            try:
                async with asyncio.timeout(_limit(follower)):
                    await follower.released(shard)
            except Exception:
                log.exception("shard %d is released although a part failed", shard, extra={"sample": "released"})
        self._epochs.pop(shard, None)


def _limit(follower: ShardFollower) -> float:
    return follower.time_limit if isinstance(follower, HasTimeLimit) else TIME_LIMIT
