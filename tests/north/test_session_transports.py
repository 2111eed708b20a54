"""The contract of transports over DTLS, TCP and TLS."""

import asyncio
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any, cast

import pytest

from bridge.north.combined import CombinedNorth
from bridge.north.contract import NorthTransport
from bridge.north.dtls.transport import DtlsNorth, DtlsServer as DtlsSettings
from bridge.north.sessions import link as links
from bridge.north.sessions.gate import OpeningRate
from bridge.north.sessions.transport import LinkSettings
from bridge.north.tcp.channel import StreamChannel
from bridge.north.tcp.transport import StreamNorth, StreamServer as StreamSettings
from bridge.north.udp import datagrams
from bridge.north.udp.prefix import PrefixScheme
from bridge.north.udp.prefixes import LOOPBACK_PREFIX, pools
from bridge.north.udp.servers import ServerName, Servers
from bridge.north.udp.transport import UdpNorth
from bridge.tls.contract import Backend
from bridge.tls.credentials import Credentials, PreSharedKey
from bridge.tls.settings import PSK_SUITES, SessionSettings
from mock_network.lab import free_port
from tests.north.session_servers import DtlsServer, StreamServer
from tests.north.test_udp_transport import Blocking
from tests.north.transport_contract import Server, Stage, TransportContract
from tests.tls.peers import LIBRARIES, Wants

KEY = bytes(range(16))
SOURCES = (7, 8, 9)
KEYS = {b"urn:dev:%d" % source: KEY for source in SOURCES}


def identify(source: int, _server: str, key: bytes = KEY) -> "asyncio.Future[Credentials]":
    future: asyncio.Future[Credentials] = asyncio.get_running_loop().create_future()
    future.set_result(PreSharedKey(b"urn:dev:%d" % source, key))
    return future


async def combined(
    kind: str,
    ports: dict[str, int],
    backend: Callable[[], Backend] = LIBRARIES[0],
    link: LinkSettings = LinkSettings(),  # noqa: B008  # frozen
    own_port: int = 0,
    key: bytes = KEY,
) -> CombinedNorth:
    """Return a transport to servers of one kind, dtls, tcp or tls, on loopback; "nowhere" has no address."""
    stream = kind != "dtls"
    names = [ServerName(key, "127.0.0.1", port, port, stream) for key, port in ports.items()]
    servers = Servers([*names, ServerName("nowhere", "no.such.host.invalid", 5684, 5684, stream)])
    await servers.resolve()
    scheme = PrefixScheme(pools([LOOPBACK_PREFIX]), own_port or free_port())
    udp = UdpNorth(scheme, servers)
    keys = frozenset((*ports, "nowhere"))
    secure = DtlsSettings(backend(), SessionSettings(PSK_SUITES), link)
    over = (
        StreamSettings(link)
        if kind == "tcp"
        else StreamSettings(link, backend(), SessionSettings(PSK_SUITES, stream=True))
    )
    who = partial(identify, key=key)
    dtls = DtlsNorth(udp, {} if stream else dict.fromkeys(keys, secure), who)
    streams = StreamNorth(
        servers,
        dict.fromkeys(keys, over) if stream else {},
        lambda source, family: scheme.local(source, family)[0],
        who,
        lambda: 1_700_000_000.0,
    )
    nobody: frozenset[str] = frozenset()
    combined = CombinedNorth(udp, dtls, streams)
    combined.reach(*((nobody, keys) if stream else (keys, nobody)))
    return combined


class SessionStage(Stage):
    sources = SOURCES

    def __init__(self, kind: str, backend: Callable[[], Backend]) -> None:
        self.kind = kind
        self._backend = backend
        self._port = free_port()
        self._blocked: Any = None
        self.listening = {key: self._server() for key in ("one", "two")}
        self.servers = cast("dict[str, Server]", dict(self.listening))

    def _server(self) -> DtlsServer | StreamServer:
        if self.kind == "dtls":
            return DtlsServer(Wants(KEYS))
        return StreamServer(Wants(KEYS, stream=True) if self.kind == "tls" else None)

    async def transport(self) -> NorthTransport:
        ports = {key: server.port for key, server in self.listening.items()}
        return await combined(self.kind, ports, self._backend, own_port=self._port)

    def _channel(self, transport: NorthTransport) -> StreamChannel:
        return cast(
            "StreamChannel", cast("StreamNorth", cast("CombinedNorth", transport)._streams).links[7, "one"].channel
        )

    def block(self, transport: NorthTransport) -> None:
        if self.kind != "dtls":
            self._channel(transport).pause_writing()
            return
        out = cast("PrefixScheme", cast("CombinedNorth", transport)._udp.addresses)._ipv4
        assert out is not None
        self._blocked = Blocking(out.socket)
        out._sock = self._blocked

    def unblock(self, transport: NorthTransport) -> None:
        if self.kind != "dtls":
            self._channel(transport).resume_writing()
        else:
            self._blocked.blocked = False

    def limit_waiting(self, monkeypatch: pytest.MonkeyPatch, messages: int) -> None:
        monkeypatch.setattr(links, "WAITING", messages)
        monkeypatch.setattr(datagrams, "QUEUE", messages)

    async def stranger_sends(self, transport: NorthTransport, message: bytes) -> bool:
        return False


@pytest.fixture(params=[("dtls", library) for library in LIBRARIES] + [("tcp", LIBRARIES[0]), ("tls", LIBRARIES[0])])
async def stage(request: pytest.FixtureRequest) -> AsyncIterator[SessionStage]:
    made = SessionStage(*request.param)
    for server in made.listening.values():
        await server.start()
    yield made
    for server in made.listening.values():
        await server.stop()


class TestSessions(TransportContract):
    pass


assert OpeningRate().at_once > 1
