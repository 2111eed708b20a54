"""A node of a cluster takes the posts that other nodes have received for devices of its shards."""

import asyncio
import logging
from collections.abc import Callable, Iterable

from bridge.errors import StoreUnavailable
from bridge.service.inbox import HELD, POLL, InboxWork
from bridge.service.inbox_order import InboxOrder
from bridge.service.together import Group, GroupedWork
from bridge.store.inbox import ANSWERS, NO_SHARD, Inbox

FOR_ALL = 0  # the shard whose node takes posts of no shard: of a time without [cluster]

log = logging.getLogger(__name__)


class NodeInbox:
    """`bridge.cluster.contract.ShardFollower`: it comes before whatever makes events of a shard's endpoints.

    When a shard is taken, what waits for it is taken first. After that, events that come directly wait from the moment
    at which this node is told of posts until these are handed to their endpoints.
    """

    def __init__(
        self,
        inbox: Inbox,
        work: InboxWork,
        order: InboxOrder,
        told: Callable[[], None] = lambda: None,
        answered: Callable[[], None] = lambda: None,
    ) -> None:
        """`told` is called whenever this node is told of something for its shards.

        `answered` is called whenever a node has answered a request of another one.
        """
        self._tell = told
        self._answered = answered
        self._inbox = inbox
        self._work = work
        self._order = order
        self._shards: set[int] = set()  # whose posts are taken by `run`
        self._told: set[int] = set()  # shards whose posts were told of and not read since
        self._looking = GroupedWork[bool](self._look)
        inbox.when_told = self._when_told

    async def taken(self, shard: int, _epoch: int) -> None:
        """Take what waits for a shard: all that can be taken within `HELD` seconds. Raises StoreUnavailable."""
        shards = _with_posts_of_none([shard])
        self._order.close(shards)
        try:
            async with asyncio.timeout(HELD):
                if await self._looking.ask(shard):
                    await self._work.take_what_waits(shards)
        except TimeoutError:
            log.warning("shard %d: posts still wait in the inbox, and later ones may go before them", shard)
        finally:
            self._order.open(shards)
        self._shards |= shards

    async def _look(self, group: Group[bool]) -> None:
        """Read at once what waits for shards that are taken together, begin to take it, and tell which have some."""
        found = await self._work.begin_posts(_with_posts_of_none(group.left))
        for shard in group.left:
            group.end(shard, bool(_with_posts_of_none([shard]) & found))

    async def released(self, shard: int) -> None:
        """Stop taking posts of a shard, and return when none is being taken."""
        shards = _with_posts_of_none([shard])
        self._shards -= shards
        await self._work.leave(shards)

    async def run(self) -> None:
        """Take posts as they come, until cancelled."""
        try:
            while True:
                await self._inbox.told(self._work.patience(POLL))
                await self._turn()
        finally:
            self._work.stop()

    async def _turn(self) -> None:
        told, self._told = self._told, set()
        try:
            await self._work.take_all(frozenset(self._shards))
            if told:
                await self._work.handed_over(HELD)
        except StoreUnavailable as error:
            log.warning("the inbox cannot be read: %s", error, extra={"sample": "inbox"})
        except Exception as bug:  # noqa: BLE001  # else this node would take no post of its shards any more, and go on holding them
            self._work.note_bug(bug)
        finally:
            self._order.open(told)

    def _when_told(self, shards: frozenset[int]) -> bool:
        if ANSWERS in shards:
            self._answered()
        mine = shards & self._shards
        new = mine - self._told
        self._order.close(new)
        self._told |= new
        if mine:
            self._tell()
        return bool(mine)


def _with_posts_of_none(shards: Iterable[int]) -> frozenset[int]:
    found = frozenset(shards)
    return found | {NO_SHARD} if FOR_ALL in found else found
