"""The store alone: processor time per message on one core, with batches as real steps make them.

An event loop that is busy with other things commits the batches of many messages at a time, as the service does. The
same loop with a store that does nothing is what it costs by itself; all above that is the store's: its thread, and in
the loop the calls, the wake-ups and the hand-overs of the interpreter's lock.
"""

import asyncio
import os
import resource
import socket
import statistics
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from random import Random

from benchmarks.profiled import thread_times
from benchmarks.scenarios import DEVICES, IN_FLIGHT, ROUND
from benchmarks.sides import CORE_UNDER_TEST
from benchmarks.step import NIDD, TAKEN
from benchmarks.wire import CONTENT, GET, OBSERVE, coap, notify
from bridge.delivery.rows import Change
from bridge.delivery.work import Now
from bridge.relay import events as ev
from bridge.relay.effects import Effect, SendToServer, Submit
from bridge.relay.model import Endpoint, EndpointRows, Policy, Server
from bridge.relay.state import EndpointState
from bridge.relay.step import step
from bridge.store.contract import Done
from bridge.store.opening import open_store
from tests.store.postgres_server import PostgresServer, programs

BUSY = 60e-6  # seconds of processor time that the loop spends on other things for each batch
AT_ONCE = 16  # batches that one turn of the loop brings
PACE = 4000.0  # messages per second that the rows' own times tell of

Commit = Callable[[Sequence[Change], Done, int], None]


@dataclass(frozen=True, slots=True)
class Message:
    """One message's batches, each of which is committed when the one before it is told."""

    endpoint: int
    batches: list[list[Change]]


class Recorder:
    """One endpoint in virtual time, with its device and its server: what its steps ask to commit."""

    def __init__(self, number: int, ids: Iterator[int], clock: Callable[[], float], shard: int = 0) -> None:
        self._number = number
        self._ids = ids
        self._clock = clock
        self._random = Random(number).random
        place = Endpoint(number, shard, f"bench-{number}", "bench", f"d{number}@bench.example", (Server("bench"),))
        self._state = EndpointState(place, Policy(), EndpointRows(), self._random())
        self._batches: list[list[Change]] = []
        self._mid = 0
        self.observed = self._exchange(OBSERVE, notify(1))
        self._token = self._south_token

    def uplink(self) -> Message:
        """Let the device notify, and the server acknowledge."""
        self._mid += 1
        effects = self._event(ev.DeviceMessage(coap(1, 69, self._mid, self._token, notify(self._mid + 1))))
        (sent,) = (effect.data for effect in effects if isinstance(effect, SendToServer))
        self._event(ev.ServerDatagram("bench", coap(2, 0, sent[2] << 8 | sent[3], b"")))
        return self._message()

    def exchange(self) -> Message:
        """Let the server read, the network take it, and the device answer."""
        return self._exchange(GET, CONTENT)

    def _exchange(self, request: bytes, answer: bytes) -> Message:
        self._mid += 1
        token = self._number.to_bytes(4, "big") + self._mid.to_bytes(4, "big")
        effects = self._event(ev.ServerDatagram("bench", coap(0, 1, self._mid, token, request)))
        (attempt,) = (effect.attempt for effect in effects if isinstance(effect, Submit))
        self._event(ev.Submitted(attempt.downlink, attempt.number, TAKEN))
        sent = attempt.payload
        self._south_token = sent[4 : 4 + (sent[0] & 15)]
        self._event(ev.DeviceMessage(coap(2, 69, sent[2] << 8 | sent[3], self._south_token, answer)))
        return self._message()

    def _event(self, event: ev.Event) -> list[Effect]:
        wall = self._clock()
        result = step(self._state, event, Now(wall, wall), NIDD, self._random, lambda: next(self._ids))
        if result.changes:
            self._batches.append(result.changes)
        return result.effects

    def _message(self) -> Message:
        made, self._batches = self._batches, []
        return Message(self._number, made)


class Loop:
    """An event loop that is busy, and commits messages, IN_FLIGHT at a time."""

    def __init__(self, commit: Commit) -> None:
        self._commit = commit
        self._ready: deque[tuple[Message, int]] = deque()
        self._running = False
        self._here, self._there = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)

    def close(self) -> None:
        self._here.close()
        self._there.close()

    async def run(self, messages: Sequence[Message]) -> None:
        """Commit them all."""
        self._waiting = iter(messages)
        self._left = len(messages)
        self._finished = asyncio.get_running_loop().create_future()
        for _ in range(IN_FLIGHT):
            self._next()
        await self._finished

    def _next(self) -> None:
        message = next(self._waiting, None)
        if message is not None:
            self._arrived(message, 0)

    def _arrived(self, message: Message, index: int) -> None:
        self._ready.append((message, index))
        if not self._running:
            self._running = True
            asyncio.get_running_loop().call_soon(self._turn)

    def _turn(self) -> None:
        for _ in range(min(AT_ONCE, len(self._ready))):
            message, index = self._ready.popleft()
            self._be_busy()
            self._commit(message.batches[index], lambda e, m=message, i=index: self._told(e, m, i), message.endpoint)  # type: ignore[misc]  # a lambda with its defaults
        if self._ready:
            asyncio.get_running_loop().call_soon(self._turn)
        else:
            self._running = False

    def _told(self, error: BaseException | None, message: Message, index: int) -> None:
        if error is not None:
            raise error
        if index + 1 < len(message.batches):
            self._arrived(message, index + 1)
            return
        self._next()
        self._left -= 1
        if not self._left:
            self._finished.set_result(None)

    def _be_busy(self) -> None:
        until = time.thread_time() + BUSY
        self._here.send(b"x")
        self._there.recv(16)
        while time.thread_time() < until:
            pass


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one round: microseconds of processor time per message, and what else the store did, per message."""

    thread: float
    loop: float
    switches: float
    groups: float


async def _round(loop: Loop, messages: Sequence[Message], groups: Callable[[], int]) -> Cost:
    def read() -> tuple[float, float, int, int]:
        usage = resource.getrusage(resource.RUSAGE_SELF)
        thread = sum(thread_times().values())
        return thread, time.thread_time(), usage.ru_nvcsw + usage.ru_nivcsw, groups()

    before = read()
    await loop.run(messages)
    thread, own, switches, made = ((now - then) / len(messages) for now, then in zip(read(), before, strict=True))
    return Cost(thread * 1e6, own * 1e6, switches, made)


async def _measure(
    rounds: int, recorders: Sequence[Recorder], make: Callable[[Recorder], Message], server: PostgresServer | None
) -> list[Cost]:
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        store = open_store(Path(name) / "bridge.db" if server is None else server.uri())
        running = asyncio.get_running_loop()
        ours = Loop(lambda changes, done, endpoint: store.commit(changes, done, endpoint=endpoint))
        nothing = Loop(lambda _changes, done, _endpoint: running.call_soon(done, None) and None)
        costs = []
        try:
            await ours.run([recorder.observed for recorder in recorders])
            for number in range(rounds + 1):
                messages = [make(recorders[n % DEVICES]) for n in range(ROUND)]
                alone = await _round(nothing, messages, lambda: 0)
                cost = await _round(ours, messages, lambda: store.status()["groups"])
                if number:  # the first is a warm-up
                    costs.append(Cost(cost.thread, cost.loop - alone.loop, cost.switches - alone.switches, cost.groups))
        finally:
            ours.close()
            nothing.close()
            await store.close()
        return costs


def _recorders() -> list[Recorder]:
    began, made, ids = time.time(), count(), count(1)
    return [Recorder(n, ids, lambda: began + next(made) / PACE) for n in range(1, DEVICES + 1)]


def show_store(rounds: int) -> None:
    """Print what an uplink and an exchange cost in each kind of store; a database's server is not counted."""
    server = PostgresServer(durable=True) if programs() and find_spec("psycopg") else None
    try:
        os.sched_setaffinity(0, {CORE_UNDER_TEST % (os.cpu_count() or 1)})
        print(f"{'µs of one core, per message':30}{'thread':>8}{'loop':>8}{'both':>8}{'switches':>10}{'groups':>8}")
        _show("SQLite", rounds, None)
        if server is not None:
            _show("PostgreSQL", rounds, server)
    finally:
        if server is not None:
            server.stop()


def _show(kind: str, rounds: int, server: PostgresServer | None) -> None:
    for message, make in (("uplink", Recorder.uplink), ("exchange", Recorder.exchange)):
        name = f"{kind}, {message}"
        costs = asyncio.run(_measure(rounds, _recorders(), make, server))
        thread, loop, switches, groups = (
            statistics.median(getattr(cost, column) for cost in costs) for column in Cost.__slots__
        )
        print(f"{name:30}{thread:8.1f}{loop:8.1f}{thread + loop:8.1f}{switches:10.2f}{groups:8.3f}", flush=True)
