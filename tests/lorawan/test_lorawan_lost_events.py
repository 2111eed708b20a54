"""ChirpStack posts an event once: what was answered 503 comes out of the history, without a restart and once."""

import asyncio
import contextlib

import pytest
from emulated_chirpstack import DEVICE
from lorawan_kit import DEV_EUI

from bindings.contract import UplinkMessage
from bindings.lorawan import catch_up, lost_events
from bindings.lorawan.lost_events import LostEvents
from bridge.errors import NotServedHere, StoreUnavailable
from tests.waiting import until

SHARD = 7
UNKNOWN = "70b3d57ed00000ff"


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(lost_events, "PAUSE", 0.05)
    monkeypatch.setattr(catch_up, "FIRST_RETRY", 0.2)


def caught_up(binding):
    status = binding.status()["catch_up"]
    return status["runs"] and not status["running"]


def payloads(side):
    return [one.payload for one in side.of(UplinkMessage)]


async def test_an_event_that_was_answered_503_comes_out_of_the_history(make, chirpstack, side):
    binding = await make()
    chirpstack.up(b"one", f_cnt=1)
    await until(lambda: side.of(UplinkMessage))
    await until(lambda: caught_up(binding))
    side.store_fails = True
    chirpstack.up(b"two", f_cnt=2)
    await until(lambda: side.counts["lorawan_events_store_unavailable"])
    side.store_fails = False
    await until(lambda: payloads(side) == [b"one", b"two"])
    await until(lambda: caught_up(binding))
    assert payloads(side) == [b"one", b"two"]


async def test_also_if_the_store_still_fails_when_the_history_is_read(make, chirpstack, side):
    binding = await make()
    await until(lambda: caught_up(binding))
    side.store_fails = True
    chirpstack.up(b"one", f_cnt=1)
    await until(lambda: side.counts["lorawan_catch_up_failures"])
    side.store_fails = False
    await until(lambda: payloads(side) == [b"one"])


async def test_an_event_for_another_node_that_cannot_be_passed_on_lets_all_nodes_read_histories(make, chirpstack, side):
    async def full(_post, _shard):
        raise StoreUnavailable("the inbox is full")

    chirpstack.memory.is_shared = True
    binding = await make()
    binding.posts.pass_on = full
    await until(lambda: caught_up(binding))
    side.elsewhere[DEVICE] = SHARD
    chirpstack.up(b"one", f_cnt=1)
    await until(lambda: "missed" in chirpstack.memory.notes)


async def test_a_node_that_stops_before_it_has_told_the_others_tells_them(make, chirpstack, side, monkeypatch):
    monkeypatch.setattr(lost_events, "PAUSE", 3600.0)
    chirpstack.memory.is_shared = True
    binding = await make()
    await until(lambda: caught_up(binding))
    side.store_fails = True
    chirpstack.up(b"one", f_cnt=1)
    await until(lambda: side.counts["lorawan_events_store_unavailable"])
    await binding.stop()
    assert "missed" in chirpstack.memory.notes


class Nodes:
    """What is read here, and how often all nodes are told."""

    def __init__(self):
        self.elsewhere = False
        self.ledger_is_away = False
        self.read = []
        self.told = 0
        self.lost_events = LostEvents(self.check_served, self.read.append, self.tell)

    async def check_served(self, _device):
        if self.ledger_is_away:
            raise StoreUnavailable("away")
        if self.elsewhere:
            raise NotServedHere("elsewhere", SHARD)

    def tell(self):
        self.told += 1


async def test_while_it_is_unknown_who_serves_a_device_it_is_kept():
    nodes = Nodes()
    nodes.ledger_is_away = True
    nodes.lost_events.add(DEV_EUI)
    await nodes.lost_events._sort()
    assert (nodes.read, nodes.told) == ([], 0)
    nodes.ledger_is_away = False
    await nodes.lost_events._sort()
    assert (nodes.read, nodes.told) == ([DEV_EUI], 0)
    nodes.lost_events.stop()
    assert nodes.told == 0


async def test_more_devices_than_are_kept_are_no_loss(monkeypatch):
    monkeypatch.setattr(lost_events, "MOST", 1)
    nodes = Nodes()
    nodes.lost_events.add(DEV_EUI)
    nodes.lost_events.add(DEVICE)
    nodes.lost_events.stop()
    assert nodes.told == 1


@contextlib.asynccontextmanager
async def at_work(nodes):
    running = asyncio.create_task(nodes.lost_events.run())
    try:
        yield
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_a_device_of_this_node_does_not_wait_until_all_nodes_can_be_told_again(monkeypatch):
    monkeypatch.setattr(lost_events, "TOLD", 3600.0)
    nodes = Nodes()
    async with at_work(nodes):
        nodes.elsewhere = True
        nodes.lost_events.add(DEVICE)
        await until(lambda: nodes.told == 1)
        nodes.lost_events.add(DEVICE)
        await until(lambda: not nodes.lost_events._devices)
        nodes.elsewhere = False
        nodes.lost_events.add(DEV_EUI)
        await until(lambda: nodes.read == [DEV_EUI])
    assert nodes.told == 1
    nodes.lost_events.stop()
    assert nodes.told == 2, "what all nodes were not told of yet is told at the stop"


async def test_all_nodes_are_told_again_after_a_while(monkeypatch):
    monkeypatch.setattr(lost_events, "PAUSE", 0.0)
    monkeypatch.setattr(lost_events, "TOLD", 0.1)
    nodes = Nodes()
    nodes.elsewhere = True
    async with at_work(nodes):
        nodes.lost_events.add(DEVICE)
        await until(lambda: nodes.told == 1)
        nodes.lost_events.add(DEV_EUI)
        await until(lambda: nodes.told == 2)


async def test_a_device_of_which_it_cannot_be_found_out_who_serves_it_holds_up_no_others():
    nodes = Nodes()

    async def check_served(device):
        if device == UNKNOWN:
            raise StoreUnavailable("its row cannot be read")

    nodes.lost_events._check_served = check_served
    nodes.lost_events.add(UNKNOWN)
    nodes.lost_events.add(DEV_EUI)
    await nodes.lost_events._sort()
    await nodes.lost_events._sort()
    assert nodes.read == [DEV_EUI]
