"""The contract of transports holds for connections, too."""

import asyncio
from collections.abc import AsyncIterator
from typing import cast

import pytest

from bridge.north.contract import LinkState, NorthTransport
from mock_network.lab import free_port
from tests.north import connections
from tests.north.connections import ConnectionNorth, ConnectionServer
from tests.north.transport_contract import Noted, Stage, TransportContract, heard
from tests.waiting import until


class ConnectionStage(Stage):
    sources = (7, 8, 9)

    def __init__(self) -> None:
        self.listening = {"one": ConnectionServer(), "two": ConnectionServer()}
        self.servers = dict(self.listening)

    async def transport(self) -> NorthTransport:
        where = {key: ("127.0.0.1", server.port) for key, server in self.listening.items()}
        return ConnectionNorth({**where, "nowhere": ("127.0.0.1", free_port())})

    def block(self, transport: NorthTransport) -> None:
        cast("ConnectionNorth", transport).links[7, "one"].pause_writing()

    def unblock(self, transport: NorthTransport) -> None:
        cast("ConnectionNorth", transport).links[7, "one"].resume_writing()

    def limit_waiting(self, monkeypatch: pytest.MonkeyPatch, messages: int) -> None:
        monkeypatch.setattr(connections, "WAITING", messages)

    async def stranger_sends(self, transport: NorthTransport, message: bytes) -> bool:
        return False  # nobody can send into a connection of ours


@pytest.fixture
async def stage() -> AsyncIterator[ConnectionStage]:
    made = ConnectionStage()
    for server in made.listening.values():
        await server.start()
    yield made
    for server in made.listening.values():
        await server.stop()


class TestConnections(TransportContract):
    pass


async def test_what_is_sent_while_a_connection_opens_leaves_in_order_when_it_is_open(stage: ConnectionStage) -> None:
    noted = Noted()
    north = await stage.transport()
    await north.start(noted)
    for number in range(3):
        north.send(7, "one", bytes((number,)))
    assert north.link(7, "one").state is LinkState.OPENING
    assert [(await heard(stage.servers["one"]))[1] for _ in range(3)] == [b"\x00", b"\x01", b"\x02"]
    assert [link.state for _, _, link in noted.links] == [LinkState.OPENING, LinkState.OPEN]
    await north.stop()


async def test_a_connection_that_its_server_ends_is_opened_by_the_next_message(stage: ConnectionStage) -> None:
    north = await stage.transport()
    await north.start(Noted())
    north.send(7, "one", b"first")
    await heard(stage.servers["one"])
    await stage.listening["one"].stop()
    await until(lambda: north.link(7, "one").state is LinkState.CLOSED)
    await stage.listening["one"].start()
    north.send(7, "one", b"second")
    assert (await heard(stage.servers["one"]))[1] == b"second"
    await north.stop()


async def test_links_to_servers_that_an_endpoint_has_no_more_are_closed(stage: ConnectionStage) -> None:
    north = await stage.transport()
    await north.start(Noted())
    north.open(7, ["one", "two"])
    await until(lambda: all(north.link(7, key).state is LinkState.OPEN for key in ("one", "two")))
    north.open(7, ["two"])
    await asyncio.sleep(0)
    assert north.link(7, "one").state is LinkState.CLOSED
    assert north.link(7, "two").state is LinkState.OPEN
    await north.stop()
