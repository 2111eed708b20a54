"""What a datagram may cause, judged from outside over real sockets: a rate, and three times its bytes."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from bridge.coap import udp
from bridge.coap.message import ACK, CON, NON, RST
from bridge.north.contract import Sending
from bridge.north.udp import peers as limits
from bridge.north.udp.peers import AMPLIFICATION, PEERS, WAITING, Key, Peers, is_answer
from bridge.north.udp.prefix import PrefixScheme
from bridge.north.udp.prefixes import LOOPBACK_PREFIX, pools
from bridge.north.udp.servers import ServerName, Servers
from bridge.north.udp.transport import UdpNorth
from mock_network.lab import free_port
from tests.north.transport_contract import Noted
from tests.waiting import until

SOURCE = 7
GET = udp.frame(CON, 1, 21, b"token", b"\xb1\x33")
ANSWER = udp.frame(ACK, 69, 21, b"token", b"\xff" + bytes(400))


class Outside:
    """A socket at a server's address, of somebody who may or may not be the server."""

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.setblocking(False)
        self.sent = self.heard = 0

    @property
    def port(self) -> int:
        return int(self.socket.getsockname()[1])

    def send(self, data: bytes, to: tuple[str, int]) -> None:
        self.sent += len(data)
        self.socket.sendto(data, to)

    async def receive(self) -> bytes:
        async with asyncio.timeout(8):
            data = await asyncio.get_running_loop().sock_recv(self.socket, 4096)
        self.heard += len(data)
        return data

    def nothing_more(self) -> bool:
        try:
            self.heard += len(self.socket.recv(4096))
        except BlockingIOError:
            return True
        return False


@asynccontextmanager
async def transport(outside: Outside, rate: float = 0.0) -> AsyncIterator[tuple[UdpNorth, Noted, tuple[str, int]]]:
    servers = Servers([ServerName("one", "127.0.0.1", outside.port, 5684)])
    await servers.resolve()
    scheme = PrefixScheme(pools([LOOPBACK_PREFIX]), free_port())
    north, noted = UdpNorth(scheme, servers, rate=rate), Noted()
    await north.start(noted)
    try:
        yield north, noted, scheme.local(SOURCE, socket.AF_INET)
    finally:
        await north.stop()
        outside.socket.close()


async def test_who_sends_from_a_servers_address_gets_three_times_the_bytes_and_no_more() -> None:
    outside = Outside()
    async with transport(outside) as (north, noted, at):
        for _ in range(50):
            outside.send(GET, at)
            seen = len(noted.messages)
            await until(lambda seen=seen: len(noted.messages) > seen)  # type: ignore[misc]
            north.send(SOURCE, "one", ANSWER)
        while not outside.nothing_more():
            pass
        assert 0 < outside.heard <= AMPLIFICATION * outside.sent
        assert north.counters().pings >= 1


@pytest.mark.parametrize("kind", [RST, ACK])  # what RFC 7252 has, and what some servers send
async def test_an_answer_waits_until_the_server_has_answered_a_ping_and_then_all_go_at_once(kind: int) -> None:
    outside = Outside()
    async with transport(outside) as (north, noted, at):
        outside.send(GET, at)
        await until(lambda: len(noted.messages) == 1)
        assert north.send(SOURCE, "one", ANSWER) is Sending.WAITS
        assert north.send(SOURCE, "one", ANSWER) is Sending.WAITS  # a repetition waits once
        ping = await outside.receive()
        assert (len(ping), ping[:2]) == (4, b"\x40\x00")
        outside.send(udp.empty(kind, int.from_bytes(ping[2:], "big")), at)
        assert await outside.receive() == ANSWER
        assert north.send(SOURCE, "one", ANSWER) is Sending.LEFT
        assert await outside.receive() == ANSWER
        assert len(noted.messages) == 1  # the Reset is not the relay's
        assert north.counters().unproven == 0


async def test_a_link_carries_only_what_a_server_may_get_before_it_has_shown_its_address() -> None:
    outside = Outside()
    small = udp.frame(ACK, 69, 21, b"token", b"\xff20.5")
    async with transport(outside) as (north, noted, at):
        assert not north.carries(SOURCE, "one", small)  # nothing came from its address yet
        outside.send(GET, at)
        await until(lambda: len(noted.messages) == 1)
        assert (north.carries(SOURCE, "one", small), north.carries(SOURCE, "one", ANSWER)) == (True, False)
        assert north.counters().pings == 0  # to ask changes nothing
        assert north.send(SOURCE, "one", ANSWER) is Sending.WAITS
        ping = await outside.receive()
        outside.send(udp.empty(RST, int.from_bytes(ping[2:], "big")), at)
        assert await outside.receive() == ANSWER
        assert north.carries(SOURCE, "one", ANSWER)


async def test_a_link_carries_no_message_that_a_server_may_take_for_its_ping() -> None:
    outside = Outside()
    async with transport(outside) as (north, noted, at):
        outside.send(GET, at)
        await until(lambda: len(noted.messages) == 1)
        north.send(SOURCE, "one", ANSWER)
        ping = await outside.receive()
        late = udp.frame(NON, 69, int.from_bytes(ping[2:], "big"), b"token", b"")
        assert not north.carries(SOURCE, "one", late)
        assert north.send(SOURCE, "one", late) is Sending.DROPPED


async def test_a_small_answer_and_what_the_device_asks_itself_need_no_proof() -> None:
    outside = Outside()
    async with transport(outside) as (north, noted, at):
        register = udp.frame(CON, 2, 5, b"t", b"\xff" + bytes(500))
        assert north.send(SOURCE, "one", register) is Sending.LEFT
        outside.send(GET, at)
        await until(lambda: len(noted.messages) == 1)
        small = udp.frame(ACK, 69, 21, b"token", b"\xff20.5")
        assert north.send(SOURCE, "one", small) is Sending.LEFT
        assert [await outside.receive(), await outside.receive()] == [register, small]
        assert north.counters().pings == 0


async def test_a_flood_to_one_endpoint_is_cut_to_its_rate_and_another_endpoint_is_heard() -> None:
    outside = Outside()
    async with transport(outside, rate=10.0) as (north, noted, at):
        for _ in range(200):
            outside.send(GET, at)
        other = (north.addresses.local(SOURCE + 1, socket.AF_INET)[0], at[1])
        outside.send(GET, other)
        await until(lambda: any(source == SOURCE + 1 for source, _, _ in noted.messages))
        counters = north.counters()
        assert counters.limited + len(noted.messages) == counters.received == 201
        assert counters.limited > 100


class TestPeers:
    """Without a socket, in virtual time."""

    KEY: Key = (SOURCE, "192.0.2.1", 5683)

    def peers(self, rate: float = 0.0) -> Peers:
        self.now = 0.0
        self.drawn = iter(range(1000, 2_000_000))
        return Peers(lambda: self.now, lambda: next(self.drawn) & 0xFFFF, rate)

    def test_the_rate_is_kept_over_time(self) -> None:
        peers = self.peers(rate=10.0)
        taken = 0
        for tick in range(1000):
            self.now = tick / 100
            taken += sum(peers.received(self.KEY, GET).accepted for _ in range(5))
        assert 10 * self.now <= taken <= 10 * self.now + 20 + 1

    def test_a_response_to_the_devices_own_request_is_a_proof_and_a_response_to_another_is_none(self) -> None:
        peers = self.peers()
        peers.request(self.KEY, udp.frame(CON, 2, 5, b"\x01\x02\x03\x04", b""))
        peers.received(self.KEY, udp.frame(ACK, 65, 5, b"\x01\x02\x03\x05", b""))
        assert not peers.answer(self.KEY, ANSWER).now
        arrival = peers.received(self.KEY, udp.frame(ACK, 65, 5, b"\x01\x02\x03\x04", b""))
        assert arrival.accepted
        assert arrival.answers == (ANSWER,)
        assert peers.answer(self.KEY, ANSWER).now

    def test_a_response_proves_nothing_where_its_token_can_be_guessed(self) -> None:
        peers = self.peers()
        for token in (b"", b"\x01"):
            peers.request(self.KEY, udp.frame(CON, 2, 5, token, b""))
            peers.received(self.KEY, udp.frame(ACK, 65, 5, token, b""))
            assert not peers.answer(self.KEY, ANSWER).now

    def test_without_a_limit_all_answers_go(self) -> None:
        peers = Peers(lambda: 0.0, lambda: 0, amplification=0)
        assert peers.answer(self.KEY, ANSWER).now

    def test_who_guesses_message_ids_of_pings_is_locked_out(self) -> None:
        peers = self.peers()
        tried = 0
        for second in range(300):
            self.now = float(second)
            peers.received(self.KEY, GET)
            if peers.answer(self.KEY, ANSWER).ping:
                tried += limits.GUESSES
                for mid in range(limits.GUESSES):
                    peers.received(self.KEY, udp.empty(RST, mid))
        assert tried <= limits.GUESSES * (300 / limits.LOCKED + 1)
        assert peers.counted.pings <= 300 / limits.LOCKED + 1

    def test_no_message_uses_the_message_id_of_a_ping_while_the_server_may_remember_it(self) -> None:
        peers = self.peers()
        peers.received(self.KEY, GET)
        ping = peers.answer(self.KEY, ANSWER).ping
        mid = int.from_bytes(ping[2:], "big")
        notification = udp.frame(CON, 69, mid, b"t", b"")
        assert peers.taken(self.KEY, notification)
        assert not peers.taken(self.KEY, udp.frame(CON, 69, mid + 1, b"t", b""))
        assert not peers.taken(self.KEY, udp.frame(ACK, 69, mid, b"t", b""))  # the server's own message ID
        self.now = limits.LIFETIME
        assert not peers.taken(self.KEY, notification)

    @pytest.mark.parametrize("last", [0, 20_000, 65_535])
    @pytest.mark.parametrize("drawn", [0, 40_000, 65_535])
    def test_the_endpoints_own_message_ids_do_not_soon_come_to_that_of_a_ping(self, last: int, drawn: int) -> None:
        for own in (udp.frame(CON, 2, last, b"t", b""), udp.frame(CON, 69, last, b"t", bytes(400))):
            peers = Peers(lambda: 0.0, lambda: drawn)
            peers.received(self.KEY, GET)
            if is_answer(own):
                ping = peers.answer(self.KEY, own).ping
            else:
                peers.request(self.KEY, own)
                ping = peers.answer(self.KEY, ANSWER).ping
            assert 10_000 < (int.from_bytes(ping[2:], "big") - last) & 0xFFFF < 55_536

    def test_a_server_at_a_new_address_from_which_nothing_has_come_is_pinged_as_well(self) -> None:
        peers = self.peers()
        ping = peers.answer(self.KEY, ANSWER).ping
        assert peers.received(self.KEY, udp.empty(RST, int.from_bytes(ping[2:], "big"))).answers == (ANSWER,)

    def test_an_answer_that_waited_too_long_is_dropped_and_counted(self) -> None:
        peers = self.peers()
        peers.received(self.KEY, GET)
        ping = peers.answer(self.KEY, ANSWER).ping
        self.now = limits.PATIENCE
        reset = udp.empty(RST, int.from_bytes(ping[2:], "big"))
        assert peers.received(self.KEY, reset).answers == ()
        assert peers.counted.unproven == 1

    def test_a_proven_server_stays_proven_whatever_addresses_are_forged(self) -> None:
        peers = self.peers()
        peers.request(self.KEY, udp.frame(CON, 2, 5, b"\x01\x02\x03\x04", b""))
        peers.received(self.KEY, udp.frame(ACK, 65, 5, b"\x01\x02\x03\x04", b""))
        for source in range(SOURCE + 1, SOURCE + 1 + 2 * PEERS):
            peers.received((source, "192.0.2.1", 5683), GET)
        assert peers.answer(self.KEY, ANSWER).now

    def test_a_notification_is_an_answer_since_the_request_to_observe_may_be_forged(self) -> None:
        peers = self.peers()
        notification = udp.frame(CON, 69, 7, b"token", b"\x61\x01\xff" + bytes(100))
        assert is_answer(notification)
        ping = peers.answer(self.KEY, notification).ping
        assert peers.received(self.KEY, udp.empty(RST, int.from_bytes(ping[2:], "big"))).answers == (notification,)

    @pytest.mark.parametrize("count", [2 * PEERS])
    def test_memory_is_bounded_whatever_addresses_are_forged(self, count: int) -> None:
        peers = self.peers()
        for source in range(count):
            key = (source, "192.0.2.1", 5683)
            peers.received(key, GET)
            if source % 8 == 0:
                peers.answer(key, ANSWER)
        assert len(peers._peers) <= PEERS
        assert len(peers._waiting) <= WAITING
        assert len(peers._pinged) <= WAITING
