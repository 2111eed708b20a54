"""A runner over a store in memory, for one endpoint, with what its steps wanted done."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from bindings.contract import MISS, Miss
from bridge.coap.message import Type
from bridge.coap.numbers import Code
from bridge.coap.udp import frame
from bridge.delivery.downlinks import ServerRequest
from bridge.directory import EndpointRecord
from bridge.directory.keys import Key
from bridge.relay import events as ev
from bridge.relay.effects import Effect
from bridge.relay.model import Endpoint, Policy, Server
from bridge.service.clock import RealClock
from bridge.service.network_calls import NetworkCalls
from bridge.service.placed import Placed
from bridge.service.runner import MEMORY, Runner
from bridge.store.contract import Done
from bridge.store.in_memory import InMemoryStore
from tests.service.scripted_binding import PROFILE
from tests.store.asking import rows

ENDPOINT = Endpoint(1, 0, "urn:dev:1", "net", "dev@example.com", (Server("srv"),))


def read_request(mid: int) -> ev.ServerDatagram:
    return ev.ServerDatagram("srv", frame(Type.CON, Code.GET, mid, bytes((mid,)), b"\xb1\x33"))


@dataclass
class Recorder:
    """Keeps the effects instead of doing them."""

    effects: list[Effect] = field(default_factory=list)

    calls: dict[int, Any] = field(default_factory=dict)

    def act(self, placed: Placed, effect: Effect, result: Callable[[Placed, ev.Event], None]) -> None:
        self.effects.append(effect)
        self.end_call = partial(result, placed)

    def carries(self, _placed: Placed, _server: str, _message: bytes, _secure: bool) -> bool:
        return True

    def call_in_flight(self, endpoint: int) -> Any:
        return self.calls.get(endpoint)

    def of(self, kind: type[Any]) -> list[Any]:
        return [effect for effect in self.effects if isinstance(effect, kind)]


class NoRecords:
    """A directory whose memory is always empty."""

    def cached(self, _key: Key) -> Miss:
        return MISS

    def keep(self, found: EndpointRecord) -> None:
        pass


class Bench:
    """One runner that can be started again."""

    def __init__(self, store: InMemoryStore) -> None:
        self.store = store
        self.counted: list[str] = []
        self.calls = NetworkCalls("net", 8, lambda: 0.5, lambda name, **_labels: self.counted.append(name))
        self.placed: Placed | None = Placed(ENDPOINT, 1, lambda _device: PROFILE, self.calls)
        self.memory = MEMORY
        self.restart()

    def restart(self) -> None:
        """Forget all memory, as a new process would."""
        self.actor = Recorder()
        self.runner = Runner(
            self.store,
            NoRecords(),
            self.store.memories,
            RealClock(),
            Policy(),
            lambda _record: self.placed,
            self.actor,
            lambda: 0.5,
            lambda name, **_labels: self.counted.append(name),
            self.memory,
        )

    async def event(self, event: ev.Event, done: Done | None = None) -> None:
        """Deliver an event to the endpoint, and return when it has been stepped: its commit may wait."""
        self.runner.event(1, event, done)
        await self.loaded()

    async def loaded(self) -> None:
        """Return when nothing waits for the store to be read."""
        while self.runner.is_loading:
            await asyncio.sleep(0)

    async def take(self, event: ev.Event) -> None:
        told: list[BaseException | None] = []
        await self.event(event, told.append)
        await self.go()
        assert told == [None]

    async def call_ends(self, event: ev.Event) -> None:
        """Let the latest network call have come to this."""
        self.actor.calls.clear()
        self.actor.end_call(event)
        await self.loaded()
        await self.go()

    async def go(self) -> None:
        """Commit what waits, and tell it."""
        self.store.faults.go()
        while self.store.backlog:
            await self.store.committed(())

    async def fail(self) -> None:
        """Refuse what waits."""
        self.store.faults.commits_fail = True
        self.store.faults.go()
        await asyncio.sleep(0)
        self.store.faults.commits_fail = False

    async def rows(self) -> list[ServerRequest]:
        return [row for row in (await rows(self.store, 1)).downlinks if type(row) is ServerRequest]
