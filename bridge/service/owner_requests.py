"""Requests that reached a node which does not serve the endpoint: passed to the node that does, and its answer back."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterator
from functools import partial

from bridge import errors
from bridge.background import kept_up
from bridge.cluster.contract import Shards
from bridge.cluster.requests import OwnerAnswer, OwnerRequest, OwnerRequests
from bridge.errors import BridgeError, NotServedHere, RequestError, ServiceFailed, StoreUnavailable
from bridge.service.actor import CountFunction

TAKEN_OVER = 7.0  # seconds after the end of a lease in which another node begins with the requests of a dead one
ANSWERED_WITHIN = 30.0  # seconds after that, in addition to the time that the request itself wants to wait
ASKED_EVERY = 1.0  # seconds after which this node asks whether there are answers although nobody told of one
POLL = 1.0  # seconds after which the holder of shards looks for requests although nobody told of one

_BEGUN_BEFORE = (
    "the node that had begun with the request ended, and may have carried it out: look before you ask again. The node "
    "that serves the endpoint now says"
)

_BUG = {"sample": "owner request"}

CarryOut = Callable[[str, bytes, str], Awaitable[bytes]]
"""Carries out an operation by its name, with its request as JSON, for a caller; returns the result as JSON."""

log = logging.getLogger(__name__)


class AskOwners:
    """The side of the node that was asked."""

    def __init__(self, requests: OwnerRequests, lease: float, count: CountFunction) -> None:
        """`lease`: seconds after which a dead node's shards are taken by others."""
        self._requests = requests
        self._begun_within = lease + TAKEN_OVER
        self._count = count
        self._open: dict[int, asyncio.Future[OwnerAnswer]] = {}
        self._asking: asyncio.Task[None] | None = None
        self._told = asyncio.Event()
        self._abandoned: set[asyncio.Task[None]] = set()

    def tell(self) -> None:
        """Ask for answers now: there may be some."""
        self._told.set()

    async def carry_out(self, shard: int, operation: str, body: bytes, who: str, wait: float) -> bytes:
        """Have the node that holds a shard carry out an operation; return the result as JSON.

        `body`: the request as JSON, which may be carried out twice if that node dies; `wait`: seconds that it may
        wait by itself. Raises the error of the operation; NotServedHere if no node has begun in time, and none will;
        StoreUnavailable if it is not known what became of it. If the caller cancels this, the request is withdrawn,
        unless a node has begun with it.
        """
        request = OwnerRequest(shard, operation, body, who)
        asking = asyncio.ensure_future(self._requests.ask(request, self._begun_within))
        result = "unanswered"
        try:
            id_ = await asyncio.shield(asking)
            with self._answer_of(id_) as answered:
                answer = await self._answer(id_, shard, answered, wait)
            result = "refused" if answer.error else "done"
        except NotServedHere:
            result = "withdrawn"
            raise
        except asyncio.CancelledError:
            result = "abandoned"
            abandoning = asyncio.create_task(self._abandon(asking))
            self._abandoned.add(abandoning)
            abandoning.add_done_callback(self._abandoned.discard)
            raise
        finally:
            self._count("owner_requests", operation=operation, result=result)
        if answer.error:
            raise _error(answer)
        return answer.body

    async def _answer(self, id_: int, shard: int, answered: "asyncio.Future[OwnerAnswer]", wait: float) -> OwnerAnswer:
        done, _ = await asyncio.wait([answered], timeout=self._begun_within)
        if not done and await self._requests.withdraw(id_):
            raise NotServedHere(f"no node serves shard {shard}, the endpoint's: nothing was done; ask again", shard)
        done, _ = await asyncio.wait([answered], timeout=ANSWERED_WITHIN + wait)
        if not done:
            raise StoreUnavailable(
                f"the node that serves shard {shard}, the endpoint's, has begun with the request and does not answer: "
                "look at the endpoint before you ask again"
            )
        return answered.result()

    @contextlib.contextmanager
    def _answer_of(self, id_: int) -> "Iterator[asyncio.Future[OwnerAnswer]]":
        """Ask for the answer to a request inside the context; yield its future."""
        answered = self._open[id_] = asyncio.get_running_loop().create_future()
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(kept_up("asking for answers of other nodes", self._ask))
        try:
            yield answered
        finally:
            del self._open[id_]

    async def _abandon(self, asking: "asyncio.Future[int]") -> None:
        """Withdraw a request for which nobody waits any more; of one that a node has begun, remove the answer."""
        with contextlib.suppress(StoreUnavailable):  # then the ledger forgets it after its time
            id_ = await asking
            if not await self._requests.withdraw(id_):
                with self._answer_of(id_) as answered:
                    await asyncio.wait([answered], timeout=ANSWERED_WITHIN)

    async def _ask(self) -> None:
        """Look for answers as long as any is awaited."""
        while self._open:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._told.wait(), ASKED_EVERY)
            self._told.clear()
            try:
                answers = await self._requests.answers([*self._open])
            except StoreUnavailable as error:
                log.warning("answers of other nodes cannot be read: %s", error, extra={"sample": "owner answers"})
                continue
            for id_, answer in answers.items():
                if id_ in self._open and not self._open[id_].done():
                    self._open[id_].set_result(answer)


class OwnerWork:
    """The side of the node that holds shards: `run` carries out what was asked of the others.

    A request whose former holder died is carried out again: each can be repeated.
    """

    def __init__(self, requests: OwnerRequests, shards: Shards, carry_out: CarryOut, count: CountFunction) -> None:
        self._count = count
        self._requests = requests
        self._shards = shards
        self._carry_out = carry_out
        self._told = asyncio.Event()
        self._running: dict[int, asyncio.Task[None]] = {}

    def tell(self) -> None:
        """Read the requests now: there may be some."""
        self._told.set()

    async def run(self) -> None:
        """Carry out requests until cancelled."""
        try:
            while True:
                self._told.clear()
                try:
                    await self.turn()
                except StoreUnavailable as error:
                    log.warning("requests of other nodes cannot be read: %s", error, extra={"sample": "owner requests"})
                except Exception:  # else this node would carry out none any more, and go on holding its shards
                    self._count("failed_tasks")
                    log.exception("a look for requests failed because of a bug; the next one follows", extra=_BUG)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._told.wait(), POLL)
        finally:
            for task in self._running.values():
                task.cancel()

    async def turn(self) -> None:
        """Begin with the requests that wait. Raises StoreUnavailable."""
        shards = [shard for shard in self._shards.held if self._shards.serves(shard)]
        if not shards:
            return
        for request in await self._requests.waiting(shards, [*self._running]):
            if request.id not in self._running:
                self._running[request.id] = task = asyncio.create_task(self._do(request))
                task.add_done_callback(partial(self._ended, request.id))

    def _ended(self, request: int, _task: "asyncio.Task[None]") -> None:
        del self._running[request]

    async def _do(self, request: OwnerRequest) -> None:
        try:
            if await self._requests.begin(request.id):
                answer = await self._answer(request)
                if answer is not None:
                    await self._requests.answer(request.id, answer)
        except StoreUnavailable as error:  # it is found again
            log.warning("a request of another node is not answered: %s", error, extra={"sample": "owner requests"})

    async def _answer(self, request: OwnerRequest) -> OwnerAnswer | None:
        """Carry a request out; return None if that is another node's part by now.

        What goes wrong with a request that another process has begun is no answer to it: it may have been carried out,
        and be impossible now for that very reason.
        """
        try:
            return OwnerAnswer(await self._carry_out(request.operation, request.body, request.who))
        except NotServedHere:
            return None
        except BridgeError as error:
            if request.is_begun and not isinstance(error, RequestError):
                return OwnerAnswer(error=StoreUnavailable.__name__, text=f"{_BEGUN_BEFORE}: {error.text}")
            return OwnerAnswer(error=type(error).__name__, text=error.text)
        except Exception:
            log.exception("a request of another node failed because of a bug", extra=_BUG)
            text = f"{request.operation} failed because of a bug: see the log of the node that serves the endpoint"
            return OwnerAnswer(error=ServiceFailed.__name__, text=text)


def _error(answer: OwnerAnswer) -> BridgeError:
    """Return the error that another node had. One that a release does not know, or that needs more, is plain."""
    kind = getattr(errors, answer.error, None)
    if isinstance(kind, type) and issubclass(kind, errors.LocalError):
        return kind(answer.text)
    return StoreUnavailable(answer.text)
