"""Posts of networks that wait until the bridge that serves their device takes them. Part of `bridge.store.contract`.

Any bridge may receive a post: it authenticates the post, keeps it here as it came, and answers the network when that is
committed. The bridge that serves the device (in a cluster the node that holds its shard, else the bridge that serves
the ledger) interprets it, and removes it with the changes that it led to.
"""

from asyncio import Future
from collections.abc import Callable, Collection
from typing import ClassVar, Protocol

from bindings.contract import Post
from bridge.delivery.rows import Row

MOST = 100_000  # posts that wait; beyond that, networks have to send again later
NO_SHARD = -1  # of a post that was received by a bridge without [cluster]

ANSWERS = -2  # in place of a shard where nodes are told of answers to requests (`bridge.cluster.requests`)

WhenTold = Callable[[frozenset[int]], bool]
"""Called with the shards of new posts; returns whether `Inbox.told` should return now."""


class InboxRow(Row):
    """One post. The store gives the id: posts of one bridge have rising ids."""

    TABLE: ClassVar[str] = "inbox"
    REMOVED_ONCE: ClassVar[bool] = True  # so what a post changes is committed once, whoever has read the row

    id: int
    network: str
    at: float  # wall time of the ledger at which it was received
    door: str  # `Post.sub_path`
    query: str
    body: bytes
    shard: int = NO_SHARD  # of the device's endpoint, as whoever received it knew

    @property
    def post(self) -> Post:
        """Return the post as it came."""
        return Post(self.door, self.query, self.body)


class Ingress(Protocol):
    """The inbox for a bridge that receives posts, whether it serves the ledger or not."""

    def keep(self, network: str, post: Post, shard: int = NO_SHARD) -> Future[None]:
        """Commit a post that was received now, for the node that holds the shard.

        The returned future completes when the post is durable; only then answer the network. The future raises
        StoreUnavailable if the post is not known to be kept, or if `MOST` posts wait already.
        """

    async def note(self, network: str, key: str) -> bytes | None:
        """Return a binding's note, as it is committed. Raises StoreUnavailable."""

    async def close(self) -> None:
        """Finish all commits, report their results, and close. Later calls fail with StoreUnavailable."""


class Inbox(Protocol):
    """The inbox for a bridge that serves devices. `Ledger.commit` removes rows, with other changes."""

    when_told: WhenTold
    """Called in the event loop, as soon as this bridge is told of new rows; before it is set, `told` always returns."""

    async def rows(self, limit: int, after: int = 0, shards: Collection[int] | None = None) -> list[InboxRow]:
        """Return rows with larger ids than `after`, by rising id; only those of `shards`, or of all if that is None.

        Raises StoreUnavailable.
        """

    def age(self, row: InboxRow) -> float:
        """Return for how many seconds a row that `rows` returned has been there: by the ledger's clock, at least 0.

        The age is never less than that by more than the clock of the ledger was set back meanwhile.
        """

    async def told(self, timeout: float) -> None:  # noqa: ASYNC109  # part of what it does
        """Return when rows may have been added since the last call, at the latest after `timeout` seconds."""
