"""Requests to the node that holds a shard, in memory: `bridge.cluster.requests.OwnerRequests`."""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count

from msgspec.structs import replace

from bridge.cluster.requests import OwnerAnswer, OwnerRequest
from bridge.store.inbox import ANSWERS


@dataclass(slots=True)
class _Row:
    request: OwnerRequest
    until: float
    begun: bool = False
    answer: OwnerAnswer | None = None


@dataclass(slots=True)
class OwnerRequestRows:
    """What all nodes see. `now` is the ledger's clock, in seconds."""

    now: Callable[[], float]
    rows: dict[int, _Row] = field(default_factory=dict)
    ids: "count[int]" = field(default_factory=lambda: count(1))


class InMemoryOwnerRequests:
    """`readable` returns when the ledger answers this node, and `tell` tells all nodes of a shard's request."""

    def __init__(
        self,
        rows: OwnerRequestRows,
        readable: Callable[[], Awaitable[None]],
        tell: Callable[[frozenset[int]], None],
    ) -> None:
        self._all = rows
        self._readable = readable
        self._tell = tell

    async def ask(self, request: OwnerRequest, seconds: float) -> int:
        await self._readable()
        id_ = next(self._all.ids)
        self._all.rows[id_] = _Row(replace(request, id=id_), self._all.now() + seconds)
        self._tell(frozenset((request.shard,)))
        return id_

    async def waiting(self, shards: Collection[int], running: Collection[int] = ()) -> Sequence[OwnerRequest]:
        await self._readable()
        now = self._all.now()
        return [
            replace(row.request, is_begun=row.begun)
            for id_, row in self._all.rows.items()
            if row.request.shard in shards and id_ not in running and row.answer is None and row.until > now
        ][:100]

    async def begin(self, id_: int) -> bool:
        await self._readable()
        row = self._all.rows.get(id_)
        if row is not None:
            row.begun = True
        return row is not None

    async def answer(self, id_: int, answer: OwnerAnswer) -> None:
        await self._readable()
        if id_ in self._all.rows:
            self._all.rows[id_].answer = answer
            self._tell(frozenset((ANSWERS,)))

    async def answers(self, ids: Collection[int]) -> Mapping[int, OwnerAnswer]:
        await self._readable()
        found = {id_: row.answer for id_, row in self._all.rows.items() if id_ in ids and row.answer is not None}
        for id_ in found:
            del self._all.rows[id_]
        return found

    async def withdraw(self, id_: int) -> bool:
        await self._readable()
        row = self._all.rows.get(id_)
        if row is None or row.begun:
            return False
        del self._all.rows[id_]
        return True
