"""Learned limits over every kind of store: kept over a restart, shown, forgotten on request (LPW-6)."""

import logging

import pytest

from bindings.contract import Accepted, LimitOf, NetworkState, Refusal, Refused
from bridge.delivery.work import Now
from bridge.errors import StoreUnavailable
from bridge.relay import events as ev
from bridge.service.learned_limits import LearnedLimits
from bridge.service.network_calls import NetworkCalls

START = 1_796_040_000.0  # 2026-11-30 12:00 UTC


class SetClock:
    """Two clocks that a test sets."""

    def __init__(self) -> None:
        self.time = Now(START, 1000.0)

    def wall(self) -> float:
        return self.time.wall

    def monotonic(self) -> float:
        return self.time.mono


class Bridge:
    """The limits of one network over a store, and the calls that teach them."""

    def __init__(self, store, clock, node="") -> None:
        self.calls = NetworkCalls("net", 4, lambda: 0.5, lambda *_names, **_labels: None)
        self.clock = clock
        self.tried_again = []
        self.limits = LearnedLimits(store.memories.table, {"net": self.calls}, clock, self.tried_again.append, node)

    def refused(self, endpoint, whose=LimitOf.DEVICE, wish=None) -> None:
        retry_at = None if wish is None else self.clock.time.wall + wish
        self._came(endpoint, Refused(Refusal.RATE_LIMITED, "429", retry_at, limit_of=whose))

    def taken(self, endpoint) -> None:
        self._came(endpoint, Accepted("h", NetworkState.SENT))

    def _came(self, endpoint, result) -> None:
        self.calls.stepped(endpoint, begins_call=True, waits=None)
        self.calls.ended(endpoint, ev.Submitted(1, 1, result), self.clock.time)

    def wait(self, endpoint):
        until = self.calls.condition(endpoint, self.clock.time).limited_until
        return None if until is None else until - self.clock.time.wall


@pytest.fixture
def clock():
    return SetClock()


async def restarted(stores, clock, node=""):
    """Open the store again, as a process does that begins with another monotonic clock."""
    store = await stores.open()
    clock.time = Now(clock.time.wall + 60.0, 3.0)
    bridge = Bridge(store, clock, node)
    await bridge.limits.restore()
    return store, bridge


async def test_after_a_restart_the_limits_are_those_of_before(stores, clock):
    store = await stores.open()
    bridge = Bridge(store, clock)
    await bridge.limits.restore()
    bridge.refused(7, wish=3600.0)
    bridge.refused(8, LimitOf.NETWORK, wish=600.0)
    await bridge.limits.keep()
    said = bridge.calls.limits(clock.time)
    await store.close()
    store, bridge = await restarted(stores, clock)
    assert (bridge.wait(1), bridge.calls.pause(clock.time)) == (540.0, 540.0)
    clock.time = Now(clock.time.wall + 541.0, 544.0)
    assert bridge.wait(7) == pytest.approx(3600 - 60 - 541)
    assert bridge.wait(1) is None
    assert bridge.calls.limits(clock.time) == said
    assert "12:00:00Z" in said
    await store.close()


async def test_forgotten_is_forgotten_for_the_next_start_too(stores, clock):
    store = await stores.open()
    bridge = Bridge(store, clock)
    await bridge.limits.restore()
    bridge.refused(7, wish=3600.0)
    await bridge.limits.keep()
    bridge.refused(9, wish=3600.0)  # not written yet
    assert "2 devices were refused" in await bridge.limits.forget("net")
    assert bridge.tried_again == [bridge.calls]
    assert bridge.wait(7) is None
    assert await bridge.limits.forget("net") is None
    await bridge.limits.keep()
    await store.close()
    store, bridge = await restarted(stores, clock)
    assert bridge.calls.limits(clock.time) is None
    assert bridge.calls.is_calm
    await store.close()


async def test_a_clock_that_was_set_back_while_the_bridge_was_down_lengthens_nothing(stores, clock):
    store = await stores.open()
    bridge = Bridge(store, clock)
    await bridge.limits.restore()
    bridge.refused(7, wish=3600.0)
    await bridge.limits.keep()
    await store.close()
    clock.time = Now(clock.time.wall - 30 * 86_400.0, 0.0)
    store, bridge = await restarted(stores, clock)
    assert bridge.wait(7) == 3600.0
    await store.close()


async def test_what_the_store_does_not_take_is_written_later(stores, clock):
    store = await stores.open()
    bridge = Bridge(store, clock)
    await bridge.limits.restore()
    bridge.refused(7, wish=3600.0)
    stores.fail_commits(store, True)
    with pytest.raises(StoreUnavailable):
        await bridge.limits.keep()
    await bridge.limits.keep_last()  # nor does a stop fail
    stores.fail_commits(store, False)
    await bridge.limits.keep()
    await store.close()
    store, bridge = await restarted(stores, clock)
    assert bridge.wait(7) == 3540.0
    await store.close()


async def test_a_note_that_cannot_be_read_costs_what_it_says_and_no_start(stores, clock, caplog):
    store = await stores.open()
    await store.memories.of("limits of net").put("7", b"\xc1 of another release")
    await store.memories.of("limits of net").put("seven", b"")
    bridge = Bridge(store, clock)
    with caplog.at_level(logging.WARNING):
        await bridge.limits.restore()
    assert len([one for one in caplog.records if "cannot be read" in one.message]) == 2
    assert bridge.calls.limits(clock.time) is None
    assert [one async for one in store.memories.of("limits of net").items()] == []
    await store.close()


async def two_nodes(store, clock) -> tuple[Bridge, Bridge]:
    """Return the nodes "one" and "two", which have read what they had learned before."""
    nodes = Bridge(store, clock, "one"), Bridge(store, clock, "two")
    for node in nodes:
        await node.limits.restore()
    return nodes


async def test_each_node_keeps_its_own(stores, clock):
    store = await stores.open()
    one, two = await two_nodes(store, clock)
    one.refused(7, wish=3600.0)
    two.refused(8, LimitOf.NETWORK, wish=600.0)
    await one.limits.keep()
    await two.limits.keep()
    await store.close()
    store, one = await restarted(stores, clock, "one")
    assert one.wait(7) == 3540.0
    assert one.wait(8) is None
    await store.close()


async def test_what_a_node_learned_of_a_device_is_known_to_the_node_that_takes_it(stores, clock):
    """Not what it learned of the network: each node is refused by itself. What was refused last counts."""
    store = await stores.open()
    one, two = await two_nodes(store, clock)
    two.refused(7, wish=60.0)
    clock.time = Now(clock.time.wall + 30.0, clock.time.mono + 30.0)
    one.refused(7, wish=3600.0)
    one.refused(8, wish=3600.0)  # it stays
    one.refused(9, LimitOf.NETWORK, wish=600.0)
    await one.limits.keep()
    await two.limits.came({"net": {7}, "other": {8}}, ["one", "two", "gone"])
    assert two.wait(7) == pytest.approx(3600.0)
    assert two.wait(8) is two.wait(9) is None
    await two.limits.keep()
    await store.close()
    store, two = await restarted(stores, clock, "two")
    assert two.wait(7) == pytest.approx(3540.0), "its note is this node's now"
    await store.close()


async def test_a_node_that_has_left_the_cluster_is_asked_for_what_it_has_learned_too(stores, clock):
    """The node removes its row when its last shard is handed over, and the next holder reads a moment later."""
    store = await stores.open()
    one, two = await two_nodes(store, clock)
    one.refused(7, wish=3600.0)
    await one.limits.keep_last()
    await two.limits.came({"net": {7}}, ["two"])
    assert two.wait(7) == pytest.approx(3600.0)
    await store.close()
