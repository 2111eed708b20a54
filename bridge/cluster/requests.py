"""Requests of people and programs that reach a node which does not serve the endpoint: its owner carries them out.

Nodes know each other only by the ledger. A request is a row there: the node that holds the shard carries out the
operation and writes the result into the row, where the node that was asked reads it.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

import msgspec


class OwnerRequest(msgspec.Struct, frozen=True):
    """An operation for the node that holds a shard. `body`: its request as JSON; `who`: the caller, for the record.

    `is_begun`: a node has begun with it and did not answer: it may have carried it out.
    """

    shard: int
    operation: str
    body: bytes
    who: str
    id: int = 0  # given by the ledger
    is_begun: bool = False


class OwnerAnswer(msgspec.Struct, frozen=True):
    """The result as JSON; or the name of an error (`bridge.errors`), with its text."""

    body: bytes = b""
    error: str = ""
    text: str = ""


class OwnerRequests(Protocol):
    """All methods raise StoreUnavailable."""

    async def ask(self, request: OwnerRequest, seconds: float) -> int:
        """Store a request that may be begun within so many seconds, by the ledger's clock; return its id."""

    async def waiting(self, shards: Collection[int], running: Collection[int] = ()) -> Sequence[OwnerRequest]:
        """Return requests of these shards, oldest first, at most 100: without an answer, that may still be begun.

        `running`: those that this node is carrying out; they are left out.
        """

    async def begin(self, id_: int) -> bool:
        """Record that a request is being carried out; return False if it was withdrawn."""

    async def answer(self, id_: int, answer: OwnerAnswer) -> None:
        """Store the answer, and tell the nodes that there is one."""

    async def answers(self, ids: Collection[int]) -> Mapping[int, OwnerAnswer]:
        """Return the answers that are there, and remove these requests."""

    async def withdraw(self, id_: int) -> bool:
        """Remove a request that nobody has begun; return False if one has, or if it is answered."""
