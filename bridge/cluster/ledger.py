"""What a node asks of a ledger that it shares with others (`bridge.store.opening.open_as_node`)."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, runtime_checkable

from bridge.cluster.agreement import Agreement
from bridge.cluster.requests import OwnerRequests
from bridge.cluster.view import ClusterView
from bridge.quota.allotment import Claim, Grant
from bridge.quota.pairs import Pair


@runtime_checkable
class ClusterLedger(Protocol):
    """All methods raise StoreUnavailable if the ledger does not answer, or if this node has lost its place."""

    @property
    def owner_requests(self) -> OwnerRequests:
        """Return the operations that were asked of one node and that another node carries out."""

    async def view(self) -> ClusterView:
        """Return all nodes and shards."""

    async def clock(self) -> float:
        """Return the ledger's wall time."""

    async def take(self, shards: Sequence[int]) -> Mapping[int, int]:
        """Take shards that no living node holds; return the epochs of those that are this node's now.

        Ids that the store gives from then on are larger than any in these shards. Commits for a shard are possible
        when this returns.
        """

    async def release(self, shard: int, epoch: int) -> None:
        """Let other nodes take a shard that this node has with an epoch. No commit of it may be under way.

        From the call on, no commit of the shard is possible. If this raises, the shard may still be this node's in the
        ledger, where nobody else can take it: call it again.
        """

    async def accounted(self) -> tuple[Mapping[str, tuple[int, Pair]], float]:
        """Return what all nodes said to have used of shared quotas, and the ledger's wall time.

        By key (`bridge.quota.allotment.key_of`), each with the start of the period that it is of.
        """

    async def allot(self, asked: Sequence[Claim]) -> Sequence[Grant]:
        """Return what this node may use of shared quotas from now on: an answer to each request, in their order.

        If this raises, the requests may have been answered nevertheless: then the node has at least what it kept.
        """

    async def agree(
        self, agreement: Agreement, check: Callable[[Mapping[str, Agreement]], None] = lambda _said: None
    ) -> None:
        """Let the other nodes know what the configuration of this node says from now on.

        `check` is called before, perhaps in another thread, with what `agreements` would return; no other node joins
        or agrees meanwhile. If it raises, nothing is changed, and this raises the same.
        """

    async def agreements(self) -> Mapping[str, Agreement]:
        """Return what each living node says of its configuration, this one too, by the names of the nodes.

        A node of a release that says nothing is not in it.
        """

    async def drain(self, node: str, *, on: bool) -> None:
        """Ask a node to hand its shards over to the others, or to take some again. Raises NotFound."""

    async def unfit(self, *, on: bool) -> None:
        """Let the others know that they should take what this node should have, or that it can take shards again."""

    async def failing(self, shards: int, why: str) -> None:
        """Let the others know how many shards this node could not serve lately, and why the last of them failed."""

    async def leaving(self) -> None:
        """Let the others know that this node is stopping: it takes no shard any more, and has none to wait for."""
