"""What every `NorthTransport` promises, as tests. A transport's test file has a class that inherits `TransportContract`
and a fixture `stage` with its own `Stage`.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from bridge.coap import udp
from bridge.coap.message import CON, NON
from bridge.coap.numbers import Code
from bridge.north.contract import Link, LinkState, NorthTransport, Sending
from tests.waiting import until


def request(number: int, size: int = 0) -> bytes:
    """Return a request that is told by its token; `size` bytes of payload."""
    return udp.frame(CON, Code.GET, number, bytes((number,)), b"\xff" + bytes(size) if size else b"")


def answer(number: int) -> bytes:
    """Return a response of a server, not to any request; told by its token."""
    return udp.frame(NON, Code.CONTENT, number, bytes((number,)), b"")


def content(message: bytes) -> tuple[int, bytes, bytes]:
    """Return code, token and body: what every transport carries. Types and message IDs belong to datagrams."""
    _, code, _, token, body = udp.take_apart(message)
    return code, token, body


READY = 5.0  # seconds, at most, until something on loopback has happened


@dataclass
class Noted:
    """A receiver that keeps what it gets, and fails where a test wants it to."""

    messages: list[tuple[int, tuple[str, ...], bytes]] = field(default_factory=list)
    links: list[tuple[int, str | None, Link]] = field(default_factory=list)
    poison: int | None = None  # token of a message

    def message(self, source: int, servers: tuple[str, ...], message: bytes) -> None:
        self.messages.append((source, servers, message))
        if self.poison is not None and content(message)[1] == bytes((self.poison,)):
            raise RuntimeError("the receiver broke")

    def link_changed(self, source: int, server: str | None, link: Link) -> None:
        self.links.append((source, server, link))


class Server(ABC):
    """One LwM2M server at the far end. `who` is whatever it tells clients by: an address, a session, a connection."""

    @abstractmethod
    async def receive(self) -> tuple[Any, bytes]:
        """Return the next message and who sent it; a test fails that waits without success."""

    @abstractmethod
    async def send(self, who: Any, message: bytes) -> None:
        """Send a message to whoever sent one before."""


class Stage(ABC):
    """A transport and its servers. `servers` has the keys "one" and "two"; a server "nowhere" cannot be reached."""

    sources: Sequence[int]  # three that may be used
    servers: dict[str, Server]

    @abstractmethod
    async def transport(self) -> NorthTransport:
        """Return a transport that is not started. Made again it stands for a restart, with the same identities."""

    @abstractmethod
    def block(self, transport: NorthTransport) -> None:
        """Have the system take no more of what the first source sends, until `unblock`."""

    @abstractmethod
    def unblock(self, transport: NorthTransport) -> None: ...

    @abstractmethod
    def limit_waiting(self, monkeypatch: pytest.MonkeyPatch, messages: int) -> None:
        """Let only so many messages wait while the system takes none."""

    @abstractmethod
    async def stranger_sends(self, transport: NorthTransport, message: bytes) -> bool:
        """Have somebody who is no server send to the first source; False where that cannot be."""


async def started(stage: Stage, noted: Noted) -> NorthTransport:
    transport = await stage.transport()
    await transport.start(noted)
    return transport


async def heard(server: Server) -> tuple[Any, bytes]:
    return await asyncio.wait_for(server.receive(), READY)


class TransportContract:
    """Inherit it and return the fixture `stage`."""

    async def test_messages_arrive_whole_and_in_order_and_each_endpoint_is_somebody(self, stage: Stage) -> None:
        transport = await started(stage, Noted())
        first, second, _ = stage.sources
        sent = [(first, request(1)), (first, request(2, 1000)), (second, request(3))]
        for source, message in sent:
            assert transport.send(source, "one", message) is not Sending.DROPPED
        got = [await heard(stage.servers["one"]) for _ in sent]
        first_of_first = next(who for who, message in got if content(message)[1] == b"\1")
        by_first = [content(message) for who, message in got if who == first_of_first]
        assert [content(message) for source, message in sent if source == first] == by_first
        assert len({who for who, _ in got}) == 2
        await transport.stop()

    async def test_an_answer_reaches_the_endpoint_that_asked_with_the_server_that_sent_it(self, stage: Stage) -> None:
        noted = Noted()
        transport = await started(stage, noted)
        for key in ("one", "two"):
            for source in stage.sources[:2]:
                transport.send(source, key, request(1))
                who, _ = await heard(stage.servers[key])
                await stage.servers[key].send(who, answer(1))
                await until(lambda: [one for one in noted.messages if content(one[2])[0]])
                ((got, servers, message),) = (one for one in noted.messages if content(one[2])[0])
                assert (got, content(message)) == (source, content(answer(1)))
                assert servers == (key,)
                noted.messages.clear()
        await transport.stop()

    async def test_an_endpoint_is_the_same_one_after_a_restart(self, stage: Stage) -> None:
        seen = []
        for _ in range(2):
            transport = await started(stage, Noted())
            lives = []
            for source in stage.sources:
                transport.send(source, "one", request(1))
                lives.append((await heard(stage.servers["one"]))[0])
            seen.append(lives)
            await transport.stop()
        assert seen[0] == seen[1]

    async def test_a_link_is_opened_by_the_first_message_and_ended_by_a_release(self, stage: Stage) -> None:
        transport = await started(stage, Noted())
        source = stage.sources[0]
        transport.send(source, "one", request(1))
        assert content((await heard(stage.servers["one"]))[1]) == content(request(1))
        assert transport.link(source, "one").state is LinkState.OPEN
        transport.release(source)
        transport.release(source)
        transport.send(source, "one", request(2))  # it may come back: the endpoint was enabled again
        assert content((await heard(stage.servers["one"]))[1]) == content(request(2))
        await transport.stop()

    async def test_an_endpoint_that_is_left_to_another_process_may_come_back(self, stage: Stage) -> None:
        transport = await started(stage, Noted())
        source = stage.sources[0]
        transport.send(source, "one", request(1))
        await heard(stage.servers["one"])
        transport.leave(source)
        transport.leave(source)
        transport.send(source, "one", request(2))
        assert content((await heard(stage.servers["one"]))[1]) == content(request(2))
        await transport.stop()

    async def test_an_endpoint_may_be_opened_before_it_sends(self, stage: Stage) -> None:
        transport = await started(stage, Noted())
        source = stage.sources[0]
        transport.open(source, ["one"])
        transport.open(source, ["one"])
        await until(lambda: transport.link(source, "one").state is LinkState.OPEN)
        await transport.stop()

    async def test_a_server_that_cannot_be_reached_costs_others_nothing_and_says_why(self, stage: Stage) -> None:
        transport = await started(stage, Noted())
        source = stage.sources[0]
        assert transport.send(source, "nowhere", request(1)) in (Sending.DROPPED, Sending.WAITS)
        await until(lambda: transport.link(source, "nowhere").state is LinkState.FAILING)
        assert "nowhere" in transport.link(source, "nowhere").reason
        assert transport.send(source, "nowhere", request(2)) is Sending.DROPPED
        assert transport.counters().send_dropped >= 1
        transport.send(source, "one", request(3))
        assert content((await heard(stage.servers["one"]))[1]) == content(request(3))
        transport.unanswered(source, "nowhere")
        transport.unanswered(source, "unheard of")
        await transport.stop()

    async def test_a_message_that_may_not_wait_leaves_only_over_an_open_link_which_it_opens(self, stage: Stage) -> None:
        transport = await started(stage, Noted())
        source = stage.sources[0]
        open_already = transport.carries(source, "one", request(1))
        first = transport.send(source, "one", request(1), may_wait=False)
        assert first is (Sending.LEFT if open_already else Sending.DROPPED)
        await until(lambda: transport.carries(source, "one", request(1)))
        assert transport.send(source, "one", request(2), may_wait=False) is Sending.LEFT
        got = [content((await heard(stage.servers["one"]))[1])[1] for _ in range(2 if open_already else 1)]
        assert got[-1] == b"\2"
        assert not transport.carries(source, "nowhere", request(1))
        assert transport.send(source, "nowhere", request(3), may_wait=False) is Sending.DROPPED
        await until(lambda: transport.link(source, "nowhere").state is LinkState.FAILING)
        assert not transport.carries(source, "nowhere", request(1))
        assert not transport.carries(source, "unheard of", request(1))
        await transport.stop()

    async def test_a_server_that_is_not_configured_is_told_as_that(self, stage: Stage) -> None:
        transport = await started(stage, Noted())
        source = stage.sources[0]
        assert transport.send(source, "unheard of", request(1)) is Sending.DROPPED
        link = transport.link(source, "unheard of")
        assert (link.state, "is not configured" in link.reason) == (LinkState.CLOSED, True)
        await transport.stop()

    async def test_a_receiver_that_fails_hides_no_later_message(
        self, stage: Stage, caplog: pytest.LogCaptureFixture
    ) -> None:
        noted = Noted(poison=8)
        transport = await started(stage, noted)
        transport.send(stage.sources[0], "one", request(1))
        who, _ = await heard(stage.servers["one"])
        for number in (8, 9):
            await stage.servers["one"].send(who, answer(number))
        await until(lambda: [one for one in noted.messages if content(one[2])[1] == b"\x09"])
        assert transport.counters().receiver_failed == 1
        assert "the receiver broke" in caplog.text
        await transport.stop()

    async def test_what_the_system_does_not_take_waits_in_order_and_bounded(
        self, stage: Stage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        stage.limit_waiting(monkeypatch, 3)
        transport = await started(stage, Noted())
        source = stage.sources[0]
        transport.send(source, "one", request(0))
        await heard(stage.servers["one"])
        stage.block(transport)
        results = [transport.send(source, "one", request(n)) for n in range(1, 6)]
        assert results == [Sending.WAITS] * 3 + [Sending.DROPPED] * 2
        assert transport.counters().send_dropped == 2
        stage.unblock(transport)
        assert [content((await heard(stage.servers["one"]))[1])[1] for _ in range(3)] == [b"\1", b"\2", b"\3"]
        assert transport.send(source, "one", request(9)) is not Sending.DROPPED
        await transport.stop()

    async def test_a_stranger_is_not_heard(self, stage: Stage) -> None:
        noted = Noted()
        transport = await started(stage, noted)
        transport.open(stage.sources[0], ["one"])
        if await stage.stranger_sends(transport, request(1)):
            await until(lambda: transport.counters().strangers == 1)
        assert noted.messages == []
        await transport.stop()

    async def test_a_transport_that_is_stopped_drops_what_it_is_given(self, stage: Stage) -> None:
        noted = Noted()
        transport = await started(stage, noted)
        await transport.stop()
        await transport.stop()
        source = stage.sources[0]
        assert transport.send(source, "one", request(1)) is Sending.DROPPED
        assert transport.link(source, "one").state is LinkState.CLOSED
        transport.open(source, ["one"])
        transport.release(source)
        assert noted.messages == []
