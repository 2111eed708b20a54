"""No message leaves for a server while the addresses of the endpoint's shard are not on this node.

What waited goes at once when they are there, and nothing counts as sent that was held back.
"""

import asyncio
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from bridge.cluster.shards import NodeShards
from bridge.coap.message import CON, Type
from bridge.coap.numbers import Code
from bridge.coap.udp import decode, frame
from bridge.errors import StoreUnavailable
from bridge.north.contract import Link, LinkState, Sending
from bridge.relay import events as ev
from bridge.relay.effects import SendToServer
from bridge.service.actor import NetworkActor
from bridge.service.placed import Placed
from bridge.service.shard_sending import PATIENCE, AddressesHere, ShardSending
from tests.service.runner_bench import ENDPOINT, Bench
from tests.service.scripted_binding import PROFILE

SEND = ev.DeviceMessage(frame(Type.NON, Code.POST, 7, b"7", b"\xb2dp"), "key 7")


class Command:
    """`bridge.cluster.contract.ShardFollower`: moves addresses, when it may."""

    def __init__(self) -> None:
        self.may_end = asyncio.Event()
        self.withdrawn = asyncio.Event()

    async def taken(self, _shard: int, _epoch: int) -> None:
        await self.may_end.wait()

    async def released(self, _shard: int) -> None:
        self.withdrawn.set()


class OneNode:
    """A node with one endpoint, the addresses of whose shard a command moves."""

    def __init__(self, bench: Bench, shard: int) -> None:
        self.left: list[bytes] = []
        self.counted: list[str] = []
        self.bench = bench
        self.shard = shard
        north: Any = SimpleNamespace(
            send=self._send, carries=lambda *_, **__: True, link=lambda *_: Link(LinkState.OPEN)
        )
        self.addresses = AddressesHere()
        self.actor = NetworkActor(north, {}, lambda name, **_: self.counted.append(name), addresses=self.addresses)
        self.bench.runner.actor = self.actor
        self.command = Command()
        self.shards = NodeShards("one")
        self.bench.runner.shards = self.shards
        self.shards.follow(self.command)
        runner, store = self.bench.runner, self.bench.store
        self.shards.follow(ShardSending(self.addresses, runner.event, lambda: store.committed(())))
        self.placed = Placed(replace(ENDPOINT, shard=shard), 1, lambda _device: PROFILE, self.bench.calls)
        self.bench.placed = self.placed

    def _send(self, _source: int, _server: str, message: bytes, **_how: bool) -> Sending:
        self.left.append(message)
        return Sending.LEFT

    async def begins_to_take(self) -> "asyncio.Task[None]":
        taking = asyncio.create_task(self.shards.take(self.shard, 1))
        await asyncio.sleep(0)
        return taking


@pytest.fixture
async def node(bench: Bench) -> OneNode:
    (record,) = await bench.store.directory.newer(0, 2)
    return OneNode(bench, record.shard)


async def test_a_message_waits_for_the_addresses_of_its_shard_and_goes_at_once_when_they_are_there(
    node: OneNode,
) -> None:
    taking = await node.begins_to_take()
    await node.bench.take(SEND)
    assert node.left == []
    assert node.counted == []  # it is not lost
    node.command.may_end.set()
    await taking
    assert [decode(one).type for one in node.left] == [CON]  # no time has passed
    await node.bench.take(ev.Tick())
    assert len(node.left) == 1


async def test_what_no_server_acknowledges_has_left_only_when_the_addresses_are_there(node: OneNode) -> None:
    told = list[ev.Event]()
    node.actor.act(node.placed, SendToServer("srv", b"@", row=5), lambda _placed, event: told.append(event))
    await asyncio.sleep(0)
    assert (node.left, told) == ([], [])
    assert not node.actor.carries(node.placed, "srv", b"@", False)  # so an answer goes as CON
    assert node.addresses.came(node.shard) == {ENDPOINT.id}
    node.actor.act(node.placed, SendToServer("srv", b"@", row=5), lambda _placed, event: told.append(event))
    await asyncio.sleep(0)
    assert (node.left, told) == ([b"@"], [ev.LeftForServer(5)])
    assert node.actor.carries(node.placed, "srv", b"@", False)


async def test_what_is_decided_before_a_release_leaves_before_the_addresses_do_and_nothing_after(node: OneNode) -> None:
    node.command.may_end.set()
    await node.shards.take(node.shard, 1)
    node.bench.store.faults.commits_wait = True
    await node.bench.event(SEND)  # its commit has no result yet
    releasing = asyncio.create_task(node.shards.release(node.shard))
    await asyncio.sleep(0)
    assert not node.actor.carries(node.placed, "srv", b"@", False)  # what is decided from now on does not count as sent
    assert not node.command.withdrawn.is_set()
    await node.bench.go()
    await releasing
    assert len(node.left) == 1
    told = list[ev.Event]()
    node.actor.act(node.placed, SendToServer("srv", b"@", row=5), lambda _placed, event: told.append(event))
    node.actor.act(node.placed, SendToServer("srv", b"A"), lambda _placed, event: told.append(event))
    await asyncio.sleep(0)
    assert len(node.left) == 1
    assert told == []


@pytest.mark.parametrize("error", [StoreUnavailable("away"), None])
async def test_a_release_does_not_wait_for_a_ledger_that_is_away(
    error: Exception | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.service.shard_sending.PATIENCE", PATIENCE / 100)

    async def committed() -> None:
        if error is not None:
            raise error
        await asyncio.Event().wait()

    addresses = AddressesHere()
    sending = ShardSending(addresses, lambda *_: None, committed)
    await sending.taken(3, 1)
    await sending.released(3)
    assert not addresses.lets(3, 1)
