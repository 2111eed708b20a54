"""What arrives for an endpoint that is not in memory waits until the store has read it: in order, and bounded (R30)."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from time import time

import pytest

from bindings.contract import MISS, Miss
from bridge.coap.message import Type
from bridge.coap.numbers import Code
from bridge.coap.udp import frame
from bridge.delivery.rows import Change
from bridge.delivery.states import UplinkState
from bridge.directory import EndpointRecord
from bridge.directory.keys import ByDevice, ById, BySource, Key, keys_of
from bridge.errors import BridgeError, StoreUnavailable, UnknownDevice
from bridge.relay import events as ev
from bridge.relay.effects import Effect
from bridge.relay.model import Endpoint, EndpointRows, Observation, Policy, RelayState, Server
from bridge.relay.registrations import Registration
from bridge.relay.set_back import has_times_ahead
from bridge.service import waiting
from bridge.service.clock import RealClock
from bridge.service.network_calls import NetworkCalls
from bridge.service.placed import Placed
from bridge.service.runner import Runner
from bridge.store.contract import Done, FoundEndpoint, StoredEndpoint
from tests.service.scripted_binding import PROFILE
from tests.store.conftest import make_downlink, make_uplink

AHEAD = time() + 86400
RECORD = EndpointRecord(1, 0, "ep", "net", "dev", ("srv",), "", None, None, False, {}, True, 0.0, 0.0, "prefix", 7)
DEVICE = ByDevice("net", "dev")
SOURCE = BySource("prefix", 7)
ID = ById(1)


def notification(number: int) -> ev.DeviceMessage:
    return ev.DeviceMessage(frame(Type.NON, Code.POST, number, bytes((number,)), b"\xb2dp"), f"key {number}")


def datagram(mid: int) -> ev.ServerDatagram:
    return ev.ServerDatagram("srv", frame(Type.CON, Code.GET, mid, bytes((mid,)), b"\xb1\x33"))


@dataclass
class Shelf:
    """A store whose reads end when the test says so; commits are told at once."""

    asked: list[tuple[Key, FoundEndpoint]] = field(default_factory=list)
    slow: bool = False  # commits wait in `given`
    given: list[Done] = field(default_factory=list)
    ids: int = 0

    def load(self, key: Key, now: float, done: FoundEndpoint) -> None:
        self.asked.append((key, done))

    def commit(
        self, changes: Sequence[Change], done: Done, *, endpoint: int | None = None, shard: int | None = None
    ) -> None:
        if self.slow:
            self.given.append(done)
        else:
            done(None)

    def next_id(self) -> int:
        self.ids += 1
        return self.ids

    def answer(self, found: StoredEndpoint | None, error: BridgeError | None = None) -> None:
        """End the oldest read."""
        _, done = self.asked.pop(0)
        done(found, error)


@dataclass
class Side:
    """A runner over a shelf, and what it did."""

    store: Shelf = field(default_factory=Shelf)
    cache: dict[Key, EndpointRecord] = field(default_factory=dict)
    counted: list[str] = field(default_factory=list)
    effects: list[Effect] = field(default_factory=list)
    held: dict[tuple[str, str], dict[str, bytes]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        endpoint = Endpoint(1, 0, "ep", "net", "dev", (Server("srv"),))
        calls = NetworkCalls("net", 8, lambda: 0.5, lambda name, **_labels: self.counted.append(name))
        placed = Placed(endpoint, 7, lambda _device: PROFILE, calls)
        self.runner = Runner(
            self.store,
            self,
            self,
            RealClock(),
            Policy(),
            lambda _record: placed,
            self,
            lambda: 0.5,
            lambda name, **_labels: self.counted.append(name),
        )

    def cached(self, key: Key) -> EndpointRecord | Miss:
        return self.cache.get(key, MISS)

    def keep(self, found: EndpointRecord) -> None:
        self.cache.update(dict.fromkeys(keys_of(found), found))

    def hold(self, network: str, device: str, notes: Mapping[str, bytes]) -> None:
        self.held[network, device] = dict(notes)

    def release(self, network: str, device: str) -> None:
        del self.held[network, device]

    def act(self, _placed: Placed, effect: Effect, _result: object) -> None:
        self.effects.append(effect)

    def carries(self, _placed: Placed, _server: str, _message: bytes, _secure: bool) -> bool:
        return True

    def call_in_flight(self, _endpoint: int) -> None:
        return None


@pytest.fixture
async def side() -> Side:
    made = Side()
    yield made
    made.runner.stop()


FOUND = StoredEndpoint(RECORD, EndpointRows())


def told(*events: ev.Event, side: Side, key: ByDevice | BySource = DEVICE) -> list[BaseException | None]:
    results: list[BaseException | None] = []
    for event in events:
        side.runner.arrive(key, event, results.append)
    return results


async def test_one_read_serves_all_that_waits_for_a_device(side):
    results = told(*(notification(n) for n in range(5)), side=side)
    assert [key for key, _ in side.store.asked] == [DEVICE]
    assert results == []
    side.store.answer(FOUND)
    assert results == [None] * 5
    assert not side.runner.is_loading


async def test_a_hit_reads_nothing(side):
    told(notification(1), side=side)
    side.store.answer(FOUND)
    assert told(notification(2), side=side) == [None]
    assert side.store.asked == []


async def test_messages_of_a_device_are_stepped_in_the_order_of_arrival(side):
    """Whatever else brings the endpoint into memory meanwhile."""
    stepped: list[str] = []
    told_in_order = [lambda _e, name=name: stepped.append(name) for name in "abcd"]
    side.runner.arrive(DEVICE, notification(1), told_in_order[0])
    side.runner.event(1, ev.Tick())
    side.store.asked.reverse()
    side.store.answer(FOUND)  # the tick's read is first: the endpoint is in memory now, and its record cached
    side.runner.arrive(DEVICE, notification(2), told_in_order[1])
    assert stepped == []
    side.store.answer(FOUND)
    side.runner.arrive(DEVICE, notification(3), told_in_order[2])
    assert stepped == ["a", "b", "c"]


async def test_events_of_an_endpoint_do_not_overtake_those_that_wait_for_its_read(side):
    """A read under another key brings the endpoint into memory: what waits under its id is stepped with it."""
    stepped: list[str] = []
    side.keep(RECORD)
    side.runner.arrive(SOURCE, datagram(1), lambda _e: stepped.append("first"))
    side.cache.clear()
    side.runner.arrive(DEVICE, notification(1))
    side.store.asked.reverse()
    side.store.answer(FOUND)  # of the device
    side.runner.arrive(SOURCE, datagram(2), lambda _e: stepped.append("second"))
    assert stepped == ["first", "second"]
    side.store.answer(FOUND)  # nobody waits for this one any more
    assert stepped == ["first", "second"]


async def test_a_late_read_does_not_replace_what_is_in_memory(side):
    told(notification(1), side=side)
    side.runner.event(1, datagram(1))
    side.store.asked.reverse()
    side.store.answer(FOUND)
    there = side.runner.loaded[1]
    side.store.answer(FOUND)
    assert side.runner.loaded[1] is there


async def test_an_endpoint_is_not_read_while_commits_of_its_dropped_memory_are_under_way(side):
    side.store.slow = True
    told(notification(1), side=side)
    side.store.answer(FOUND)
    side.runner.forget(1)
    results = told(notification(2), side=side)
    assert (side.store.asked, results) == ([], [])
    side.store.given.pop()(None)
    assert [key for key, _ in side.store.asked] == [ID]
    side.store.slow = False
    side.store.answer(FOUND)
    assert results == [None]


async def test_a_read_that_ends_while_they_are_under_way_is_not_believed(side):
    results = told(notification(1), side=side)
    side.store.slow = True
    side.runner.event(1, datagram(1))
    side.store.asked.reverse()
    side.store.answer(FOUND)
    side.runner.forget(1)
    side.store.answer(FOUND)  # of the device: read before the commit that is under way
    assert (side.runner.loaded, results) == ({}, [])
    side.store.given.pop()(None)
    side.store.slow = False
    side.store.answer(FOUND)
    assert results == [None]


async def test_a_device_that_no_endpoint_has_is_said_to_whoever_waits(side):
    results = told(notification(1), notification(2), side=side)
    side.store.answer(None)
    assert [type(result) for result in results] == [UnknownDevice] * 2
    told(notification(3), side=side)
    assert len(side.store.asked) == 1, "the device may have been added since"


async def test_a_store_that_cannot_be_read_refuses_what_waits_and_is_asked_again(side):
    results = told(notification(1), side=side)
    side.store.answer(None, StoreUnavailable("I/O error"))
    assert [type(result) for result in results] == [StoreUnavailable]
    assert side.counted == ["failed_loads"]
    again = told(notification(1), side=side)
    side.store.answer(FOUND)
    assert again == [None]


async def test_r30_what_waits_for_one_endpoint_is_bounded_and_refused_by_name(side, monkeypatch):
    monkeypatch.setattr(waiting, "EACH", 3)
    results = told(*(notification(n) for n in range(5)), side=side)
    assert [str(result) for result in results] == ["too many messages wait for the store to be read"] * 2
    assert side.counted == ["waiting_events_refused"] * 2
    side.store.answer(FOUND)
    assert results[2:] == [None] * 3


async def test_r30_what_waits_in_all_is_bounded(side, monkeypatch):
    monkeypatch.setattr(waiting, "ALL", 3)
    for number in range(5):
        told(notification(number), side=side, key=ByDevice("net", f"device {number}"))
    assert len(side.store.asked) == 3
    assert side.counted == ["waiting_events_refused"] * 2
    for _ in range(3):
        side.store.answer(None)
    told(notification(9), side=side)
    assert len(side.store.asked) == 1


async def test_the_bridges_own_events_are_never_refused(side, monkeypatch):
    """A timer that was refused would not ring again."""
    monkeypatch.setattr(waiting, "ALL", 0)
    results: list[BaseException | None] = []
    for _ in range(3):
        side.runner.event(1, ev.Tick(), results.append)
    side.store.answer(FOUND)
    assert results == [None] * 3


async def test_an_endpoint_that_is_down_or_gone_takes_nothing(side):
    side.runner.place = lambda _record: None
    results = told(notification(1), side=side)
    side.store.answer(FOUND)
    assert results == [None]
    side.runner.event(1, ev.Tick(), results.append)
    side.store.answer(None)
    assert results == [None, None]
    assert side.runner.loaded == {}


async def test_a_stop_refuses_what_waits(side):
    results = told(notification(1), side=side)
    side.runner.stop()
    side.store.answer(FOUND)
    assert [type(result) for result in results] == [StoreUnavailable]
    side.runner.arrive(ByDevice("net", "other"), notification(2), results.append)
    assert [type(result) for result in results] == [StoreUnavailable] * 2
    assert side.store.asked == []


async def test_an_endpoint_in_memory_is_shown_and_one_that_only_waits_is_read(side):
    shown = side.runner.for_reading(1)
    task = asyncio.ensure_future(shown)
    await asyncio.sleep(0)
    side.store.answer(FOUND)
    assert (await task).placed.endpoint.name == "ep"


@pytest.mark.parametrize(
    "kept",
    [
        EndpointRows(relay=RelayState(1, 0, joined_at=AHEAD)),
        EndpointRows(relay=RelayState(1, 0, [Registration("srv", (b"rd",), (b"rd",), 1.0, AHEAD)])),
        EndpointRows(relay=RelayState(1, 0, [Registration("srv", (b"rd",), (b"rd",), 1.0, 1.0, awake_since=AHEAD)])),
        EndpointRows(observations=[Observation(1, b"t", 0, "srv", b"t", 1.0, heard_at=AHEAD)]),
        EndpointRows(downlinks=[make_downlink(1, accepted_at=AHEAD, over=True, keep_until=AHEAD + 247)]),
        EndpointRows(uplinks=[make_uplink(1, received_at=AHEAD, state=UplinkState.FORWARDED, keep_until=AHEAD + 247)]),
    ],
)
async def test_a_clock_that_was_set_back_is_noticed_also_where_nothing_waits(side, kept):
    """A start leaves such endpoints alone otherwise: nothing of theirs is to be resumed."""
    told(notification(1), side=side)
    side.store.answer(StoredEndpoint(RECORD, kept))
    assert not has_times_ahead(side.runner.loaded[1].state, time())
