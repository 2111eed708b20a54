"""Whole handshakes of real ends in records of small networks: the bridge cuts the server's and joins the ClientHello.

The client cuts its own records, as any end must whose frames are small. Its least sizes are those of the last message,
which is protected: 53 bytes with a tag of eight bytes, 61 with one of sixteen.
"""

import random
from collections.abc import Callable, Iterable

import pytest

from bridge.relay import client_hello
from bridge.relay.handshake import Fitting, records_of
from bridge.tls.contract import Backend, Phase
from bridge.tls.openssl import OpenSsl
from bridge.tls.settings import CERTIFICATE_SUITES, PSK_SUITES, SessionSettings, Suite
from mock_network.lwm2m.small_records import SmallRecords, records_of as cut_at_records
from tests.tls.peers import OpenSslPeer, Peer, Talk, Wants, Wire
from tests.tls.test_sessions import CLIENT, KEY, ROOT, SERVER, backend, certificate, own, peer

__all__ = ["backend", "peer"]  # fixtures

pytestmark = pytest.mark.timeout(60)

CCM_8, GCM = CERTIFICATE_SUITES
SIZES = {Suite.PSK_CCM_8: 53, CCM_8: 53, GCM: 61}


class SmallNetwork:
    """What the bridge and a device's own shim do to a handshake; `down` and `up` are the wires of a talk."""

    def __init__(self, largest: int, disturb: Wire = list) -> None:
        self._largest, self._disturb = largest, disturb
        self._cut = SmallRecords(largest)
        self._parts: list[client_hello.ClientHelloPart] = []
        self.sent = 0

    def down(self, datagrams: list[bytes]) -> list[bytes]:
        fitted: list[bytes] = []
        for datagram in datagrams:
            fitting = Fitting(self._largest, ())
            assert all(fitting.add(record) for record in records_of(datagram) or ())
            fitted += fitting.datagrams
        return self._over_the_air(fitted)

    def up(self, datagrams: list[bytes]) -> list[bytes]:
        small = [piece for one in datagrams for record in cut_at_records(one) for piece in self._cut.of(record)]
        return [whole for one in self._over_the_air(small) for whole in self._joined(one)]

    def _joined(self, datagram: bytes) -> Iterable[bytes]:
        part = client_hello.part_of(datagram)
        if part is None:
            return [datagram]
        whole = client_hello.assembled(part, reversed(self._parts))
        self._parts = [*self._parts, part] if whole is None else []
        return [] if whole is None else [whole]

    def _over_the_air(self, datagrams: list[bytes]) -> list[bytes]:
        assert all(len(one) <= self._largest for one in datagrams)
        self.sent += len(datagrams)
        return self._disturb(datagrams)


def ends(library: Backend, far: Callable[[Wants], Peer], suite: Suite, network: SmallNetwork) -> Talk:
    if suite in PSK_SUITES:
        client, server = library.client(SessionSettings((suite,)), KEY), far(Wants({KEY.identity: KEY.key}))
    else:
        client = library.client(certificate(suites=(suite,)), own(CLIENT))
        server = far(Wants(own=SERVER, clients=ROOT.pem))
    return Talk(client, server, up=network.up, down=network.down)


@pytest.mark.parametrize("suite", SIZES)
def test_it_succeeds_in_the_smallest_records_that_its_last_message_allows(
    backend: Backend, peer: Callable[[Wants], Peer], suite: Suite
) -> None:
    talk = ends(backend, peer, suite, SmallNetwork(SIZES[suite]))
    talk.shake()
    assert (talk.client.phase, talk.client.failure, talk.server.opened) == (Phase.OPEN, None, True)
    talk.client.send(b"up")
    talk.server.send(b"down")
    talk.quiet()
    assert (talk.at_server, talk.at_client) == ([b"up"], [b"down"])


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("suite", [Suite.PSK_CCM_8, CCM_8])
def test_it_succeeds_though_a_tenth_is_lost_and_a_tenth_comes_twice(suite: Suite, seed: int) -> None:
    draw = random.Random(seed)

    def disturbed(datagrams: list[bytes]) -> list[bytes]:
        return [one for one in datagrams for _ in range(draw.choice((0, 1, 1, 1, 1, 1, 1, 1, 1, 2)))]

    talk = ends(OpenSsl(), OpenSslPeer, suite, SmallNetwork(100, disturbed))
    talk.shake(40)
    assert (talk.client.phase, talk.server.opened) == (Phase.OPEN, True)


def test_it_succeeds_though_neighbours_change_places_in_the_first_flights() -> None:
    swaps = iter(range(2))

    def disturbed(datagrams: list[bytes]) -> list[bytes]:
        if len(datagrams) > 3 and next(swaps, None) is not None:
            datagrams[1], datagrams[2] = datagrams[2], datagrams[1]
        return datagrams

    talk = ends(OpenSsl(), OpenSslPeer, CCM_8, SmallNetwork(100, disturbed))
    talk.shake(40)
    assert (talk.client.phase, talk.server.opened) == (Phase.OPEN, True)


@pytest.mark.parametrize(("suite", "largest", "most"), [(CCM_8, 53, 110), (CCM_8, 222, 24), (Suite.PSK_CCM_8, 53, 20)])
def test_how_many_messages_it_takes(suite: Suite, largest: int, most: int) -> None:
    network = SmallNetwork(largest)
    ends(OpenSsl(), OpenSslPeer, suite, network).shake()
    assert network.sent <= most
