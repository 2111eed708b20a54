"""What the parts of a node need to know of its shards (`bridge.directory.record.Record.shard`).

Each of the 256 shards belongs to one node at most. The database gives a shard with an *epoch*, which rises each time
another node takes the shard: a commit of a former holder is refused, since its epoch is old.

The life of a shard on one node:

    take:     the ledger's row is this node's → `epoch` is known, `accepts` → followers' `taken`, in order → `serves`
    release:  `serves` and `accepts` end → followers' `released`, in reverse order → `epoch` ends → another may take it

A node that loses its lease ends its process at once; followers are not called then. Whoever takes a shard treats each
message in SUBMITTING as in doubt (R9), as a start does.
"""

from collections.abc import Mapping
from typing import Protocol, runtime_checkable


class ShardFollower(Protocol):
    """A part of the node that has work to do when a shard comes or goes.

    A follower is called for several shards at the same time, for each one call after the other. Each call has a time
    limit of 10 s (but `HasTimeLimit`).
    """

    async def taken(self, shard: int, epoch: int) -> None:
        """Prepare to serve a shard: its rows may be changed, and events of its endpoints are processed from now on.

        Raises BridgeError if that is not possible: the shard is released again, and taken anew later.
        """

    async def released(self, shard: int) -> None:
        """Stop serving a shard: afterwards nothing of it is sent or changed. Commits are still possible.

        An error is logged, and the shard is released all the same.
        """


@runtime_checkable
class HasTimeLimit(Protocol):
    """A follower whose calls may take `time_limit` seconds."""

    time_limit: float


class Shards(Protocol):
    """The shards of this node. Methods are called in the event loop, and none blocks it."""

    @property
    def node(self) -> str:
        """Return the name of this node."""

    @property
    def held(self) -> Mapping[int, int]:
        """Return the epochs of all shards whose rows this node may change, by shard; do not change it."""

    def epoch(self, shard: int) -> int | None:
        """Return the epoch with which this node may change rows of a shard, or None if it may not."""

    def accepts(self, shard: int) -> bool:
        """Return whether events of a shard's endpoints are processed here: also while followers prepare to serve it."""

    def serves(self, shard: int) -> bool:
        """Return whether all followers are prepared, and the release has not begun."""

    def follow(self, follower: ShardFollower) -> None:
        """Add a follower.

        A follower is not called for shards that are held already: add all of them before the first one.
        """
