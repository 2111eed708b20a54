"""Requests to the node that holds a shard, and their answers: what they say is sealed while it is in the database."""

from collections.abc import Collection, Mapping, Sequence

from msgspec.structs import replace

from bridge.cluster.requests import OwnerAnswer, OwnerRequest, OwnerRequests
from bridge.errors import ConfigurationError
from bridge.store.sealing.seal import Seal


class SealedOwnerRequests:
    """`bridge.cluster.requests.OwnerRequests` over those of a store.

    A direct request can write a key, and its answer can hold what the device says of one. What no key opens is
    answered with that error.
    """

    def __init__(self, requests: OwnerRequests, seal: Seal) -> None:
        self._requests = requests
        self._seal = seal

    async def ask(self, request: OwnerRequest, seconds: float) -> int:
        """Store a request, sealed."""
        body = self._seal.seal(request.body, _context(request))
        return await self._requests.ask(replace(request, body=body), seconds)

    async def waiting(self, shards: Collection[int], running: Collection[int] = ()) -> Sequence[OwnerRequest]:
        """Return requests, opened."""
        found: list[OwnerRequest] = []
        for request in await self._requests.waiting(shards, running):
            try:
                found.append(replace(request, body=self._seal.open(request.body, _context(request))))
            except ConfigurationError as error:
                await self._requests.answer(request.id, OwnerAnswer(error=type(error).__name__, text=error.text))
        return found

    async def begin(self, id_: int) -> bool:
        """Record that a request is being carried out."""
        return await self._requests.begin(id_)

    async def answer(self, id_: int, answer: OwnerAnswer) -> None:
        """Store an answer, sealed."""
        body = answer.body and self._seal.seal(answer.body, _answer_context(id_))
        await self._requests.answer(id_, replace(answer, body=body))

    async def answers(self, ids: Collection[int]) -> Mapping[int, OwnerAnswer]:
        """Return answers, opened."""
        return {id_: self._opened(id_, answer) for id_, answer in (await self._requests.answers(ids)).items()}

    async def withdraw(self, id_: int) -> bool:
        """Remove a request that nobody has begun."""
        return await self._requests.withdraw(id_)

    def _opened(self, id_: int, answer: OwnerAnswer) -> OwnerAnswer:
        try:
            return replace(answer, body=self._seal.open(answer.body, _answer_context(id_)))
        except ConfigurationError as error:
            text = f"it was carried out, and its result cannot be read here: {error.text}"
            return OwnerAnswer(error=type(error).__name__, text=text)


def _context(request: OwnerRequest) -> str:
    return f"request to a node:{request.shard}:{request.operation}"


def _answer_context(id_: int) -> str:
    return f"answer of a node:{id_}"
