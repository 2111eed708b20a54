"""Requests that come by the API: handed to the endpoint's step, and watched until they have their outcome."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Protocol
from weakref import WeakValueDictionary

from bridge.coap.numbers import Code
from bridge.errors import BridgeError, LimitReached, NotPossible, RequestError
from bridge.relay import events as ev
from bridge.relay.effects import DirectAnswer
from bridge.store.contract import Done
from bridge.store.done import future_and_done

_ERRORS: dict[int, type[BridgeError]] = {
    Code.SERVICE_UNAVAILABLE: LimitReached,
    Code.BAD_OPTION: RequestError,
    Code.PROXYING_NOT_SUPPORTED: RequestError,
}


MOST = 1000  # requests that wait for outcomes
MOST_OF_CALLER = 100  # of these by one caller, so that none takes them all


class DirectResults:
    """Hands on what becomes of requests that came by the API, to whoever waits for it."""

    def __init__(self) -> None:
        self._answers: dict[int, DirectAnswer | None] = {}  # downlink → what its step said
        self._waiting: dict[int, set[asyncio.Event]] = {}  # endpoint → those who wait for an outcome there
        self._by_caller: Counter[str] = Counter()  # caller → how many of these are its own

    def answered(self, answer: DirectAnswer) -> None:
        """Record that a request is accepted and committed, or refused."""
        if answer.downlink in self._answers:
            self._answers[answer.downlink] = answer

    def settled(self, endpoint: int) -> None:
        """Record that a message of an endpoint has its outcome, and that this is committed."""
        for one in self._waiting.get(endpoint, ()):
            one.set()

    def expect(self, downlink: int) -> None:
        """Keep the answer to a request that is about to be handed over, until it is taken."""
        self._answers[downlink] = None

    def pop_answer(self, downlink: int) -> DirectAnswer | None:
        """Return the answer to a request; None: there was none."""
        return self._answers.pop(downlink, None)

    @asynccontextmanager
    async def of(self, endpoint: int, caller: str = "") -> AsyncIterator[asyncio.Event]:
        """Yield an event that is set whenever a message of an endpoint has its outcome.

        `caller` is whoever waits, as the audit log names it. Raises LimitReached where too many wait already.
        """
        event = asyncio.Event()
        if self._by_caller[caller] >= MOST_OF_CALLER:
            raise LimitReached(f"{caller} waits for {MOST_OF_CALLER} outcomes already; ask without `wait`")
        if self._by_caller.total() >= MOST:
            raise LimitReached(f"{MOST} requests wait for outcomes already; ask without `wait`")
        waiting = self._waiting.setdefault(endpoint, set())
        waiting.add(event)
        self._by_caller[caller] += 1
        try:
            yield event
        finally:
            self._by_caller[caller] -= 1
            if not self._by_caller[caller]:
                del self._by_caller[caller]
            waiting.discard(event)
            if not waiting:
                self._waiting.pop(endpoint, None)


class Runner(Protocol):
    """What is wanted of `bridge.service.runner.Runner`."""

    def event(self, endpoint: int, event: ev.Event, done: Done | None = None) -> None: ...


class DirectRequests:
    """Requests of one process. Those to one endpoint are taken one after the other: their keys are compared."""

    def __init__(self, runner: Runner, watch: DirectResults, next_id: Callable[[], int]) -> None:
        self._runner = runner
        self.watch = watch
        self.next_id = next_id
        self._locks: WeakValueDictionary[int, asyncio.Lock] = WeakValueDictionary()

    def lock(self, endpoint: int) -> asyncio.Lock:
        """Return the lock under which keys are looked up and a request to this endpoint is accepted."""
        return self._locks.setdefault(endpoint, asyncio.Lock())

    async def accept(self, endpoint: int, request: ev.DirectRequest) -> tuple[int, ...]:
        """Return when a request is accepted and committed: the older requests that make way for it.

        Raises RequestError, NotPossible, LimitReached (more wait than may), StoreUnavailable.
        """
        committed, done = future_and_done()

        self.watch.expect(request.id)
        try:
            self._runner.event(endpoint, request, done)
            await committed
        finally:
            answer = self.watch.pop_answer(request.id)
        if answer is None:
            raise NotPossible("the endpoint is down: it is disabled or leaving, or its network is not configured")
        if answer.code:
            raise _ERRORS.get(answer.code, NotPossible)(answer.text)
        return answer.superseded
