"""Posts of networks that wait until the bridge that serves the ledger takes them. Part of `bridge.store.contract`.

Any bridge may receive a post: it authenticates the post, keeps it here as it came, and answers the network when that is
committed. The bridge that serves the ledger interprets it, and removes it with the changes that it led to.
"""

from asyncio import Future
from typing import ClassVar, Protocol

from bindings.contract import Post
from bridge.delivery.rows import Row

MOST = 100_000  # posts that wait; beyond that, networks have to send again later


class InboxRow(Row):
    """One post. The store gives the id: posts of one bridge have rising ids."""

    TABLE: ClassVar[str] = "inbox"

    id: int
    network: str
    at: float  # wall time at which it was received
    door: str
    query: str
    body: bytes

    @property
    def post(self) -> Post:
        """The post as it came."""
        return Post(self.door, self.query, self.body)


class Ingress(Protocol):
    """The inbox for a bridge that receives posts, whether it serves the ledger or not."""

    def keep(self, network: str, post: Post, at: float) -> Future[None]:
        """Commit a post that was received at wall time `at`.

        The returned future completes when the post is durable; only then answer the network. It raises StoreUnavailable
        if the post is not known to be kept, or if `MOST` posts wait already.
        """

    async def note(self, network: str, key: str) -> bytes | None:
        """Return a binding's note, as it is committed. Raises StoreUnavailable."""

    async def close(self) -> None:
        """Finish all commits, report their results, and close. Later calls fail with StoreUnavailable."""


class Inbox(Protocol):
    """The inbox for the bridge that serves the ledger. `Ledger.commit` removes rows, with other changes."""

    async def rows(self, limit: int, after: int = 0) -> list[InboxRow]:
        """Return rows with larger ids than `after`, by rising id. Raises StoreUnavailable."""

    async def told(self, timeout: float) -> None:  # noqa: ASYNC109  # part of what it does
        """Return when rows may have been added since the last call, at the latest after `timeout` seconds."""
