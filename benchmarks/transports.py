"""What each transport toward servers costs the bridge, in one run: opening a session, a message, memory; ratios to UDP.

Server and clients talk over sockets. The server is a process of its own: only this process's time counts.
"""

import asyncio
import time
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any

from benchmarks.sessions import resident
from bridge.coap import udp
from bridge.coap.message import Type, encode_body
from bridge.north.combined import CombinedNorth
from bridge.north.contract import Link, LinkState
from bridge.north.dtls.transport import DtlsNorth, DtlsServer as DtlsSettings
from bridge.north.sessions.gate import OpeningRate
from bridge.north.sessions.transport import LinkSettings
from bridge.north.tcp.transport import StreamNorth, StreamServer as StreamSettings
from bridge.north.udp.prefix import PrefixScheme
from bridge.north.udp.prefixes import LOOPBACK_PREFIX, pools
from bridge.north.udp.servers import ServerName, Servers
from bridge.north.udp.transport import UdpNorth
from bridge.tls.credentials import CertificateKey, Credentials, PreSharedKey
from bridge.tls.openssl import OpenSsl
from bridge.tls.settings import CERTIFICATE_SUITES, PSK_SUITES, SessionSettings, Suite, Trust
from mock_network.lab import free_port
from tests.north.session_servers import DtlsServer, StreamServer
from tests.tls.peers import Wants
from tests.tls.pki import Authority, Issued

SOURCES = range(1, 301)
EXCHANGES = 4000
AT_ONCE = 32  # exchanges
_PATIENCE = 60.0  # seconds
_CONTENT = 69  # 2.05
_KEYS = {b"fleet/%d" % source: bytes(range(16)) for source in SOURCES}
_BODY = encode_body([(11, b"3"), (11, b"0"), (12, b"\x2a")], bytes(90))
_LINKS = LinkSettings(OpeningRate(10_000.0, 64))


@dataclass(frozen=True)
class Kind:
    """One transport. `suites` is empty where nothing is encrypted."""

    name: str
    stream: bool = False
    suites: tuple[Suite, ...] = ()

    @property
    def certified(self) -> bool:
        return self.suites == CERTIFICATE_SUITES


KINDS = (
    Kind("coap (UDP)"),
    Kind("coaps PSK (DTLS)", suites=PSK_SUITES),
    Kind("coaps X.509 (DTLS)", suites=CERTIFICATE_SUITES),
    Kind("coap+tcp", stream=True),
    Kind("coaps+tcp PSK (TLS)", stream=True, suites=PSK_SUITES),
    Kind("coaps+tcp X.509 (TLS)", stream=True, suites=CERTIFICATE_SUITES),
)


@dataclass(frozen=True)
class Pki:
    """Certificates of both ends."""

    authority: bytes
    server: Issued
    client: Issued


def _wants(kind: Kind, pki: Pki) -> Wants | None:
    if not kind.suites:
        return None
    if kind.certified:
        return Wants(own=pki.server, clients=pki.authority, stream=kind.stream)
    return Wants(_KEYS, stream=kind.stream)


def _answer(message: bytes) -> bytes:
    taken = udp.take_apart(message)
    return udp.frame(Type.ACK, 69, taken[2], taken[3], b"\xff" + bytes(90))


class _Plain(asyncio.DatagramProtocol):
    def connection_made(self, transport: Any) -> None:
        self._socket = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self._socket.sendto(_answer(data), addr)


async def _serve(kind: Kind, pki: Pki, ours: Connection) -> None:
    """Answer each message until told to stop."""
    loop, wants = asyncio.get_running_loop(), _wants(kind, pki)
    ended: asyncio.Future[None] = loop.create_future()
    loop.add_reader(ours.fileno(), lambda: ended.done() or ended.set_result(None))
    if wants is None and not kind.stream:
        transport, _ = await loop.create_datagram_endpoint(_Plain, local_addr=("127.0.0.1", 0))
        ours.send(transport.get_extra_info("sockname")[1])
        await ended
        transport.close()
        return
    server = StreamServer(wants) if kind.stream else DtlsServer(wants or Wants())
    answering = asyncio.ensure_future(_answer_all(server))
    await server.start()
    ours.send(server.port)
    await ended
    answering.cancel()
    await server.stop()


async def _answer_all(server: StreamServer | DtlsServer) -> None:
    while True:
        who, message = await server.receive()
        await server.send(who, _answer(message))


class _Counting:
    """`bridge.north.contract.Receiver`: counts links that open, and answers."""

    def __init__(self, links: int) -> None:
        self.left = links
        self.opened = asyncio.Event()
        self.answers = 0
        self.done = asyncio.Event()
        self.next = lambda: False  # sends a further message; False: there is none

    def message(self, source: int, servers: tuple[str, ...], message: bytes) -> None:  # noqa: ARG002
        """Count an answer, and send the next message."""
        if message[1] == _CONTENT:
            self.answers += 1
            if not self.next() and self.answers == EXCHANGES:
                self.done.set()

    def link_changed(self, source: int, server: str | None, link: Link) -> None:  # noqa: ARG002
        """Count a link that opened."""
        if link.state is LinkState.OPEN and server is not None:
            self.left -= 1
            if not self.left:
                self.opened.set()


async def _measure(kind: Kind, pki: Pki, port: int) -> dict[str, float]:
    receiver = _Counting(len(SOURCES))
    north = await _north(kind, pki, port)
    await north.start(receiver)
    memory, begin = resident(), time.process_time()
    if kind.stream or kind.suites:
        for source in SOURCES:
            north.open(source, ("srv",))
        async with asyncio.timeout(_PATIENCE):
            await receiver.opened.wait()
    opening, held = time.process_time() - begin, resident() - memory
    numbers = iter(range(EXCHANGES))

    def further() -> bool:
        number = next(numbers, None)
        if number is not None:
            token = number.to_bytes(4, "big")
            north.send(SOURCES[number % len(SOURCES)], "srv", udp.frame(Type.CON, 2, number, token, _BODY))
        return number is not None

    receiver.next = further
    begin = time.process_time()
    for _ in range(AT_ONCE):
        further()
    async with asyncio.timeout(_PATIENCE):
        await receiver.done.wait()
    spent = time.process_time() - begin
    await north.stop()
    return {
        "open_ms": opening / len(SOURCES) * 1e3,
        "exchange_us": spent / EXCHANGES * 1e6,
        "kib_per_session": held / len(SOURCES) / 1024,
    }


async def _north(kind: Kind, pki: Pki, port: int) -> CombinedNorth:
    servers = Servers([ServerName("srv", "127.0.0.1", port, port, kind.stream)])
    await servers.resolve()
    scheme = PrefixScheme(pools([LOOPBACK_PREFIX]), free_port())
    datagrams = UdpNorth(scheme, servers)
    trust = Trust(pki.authority, name="lwm2m.example") if kind.certified else None
    session = SessionSettings(kind.suites, trust, stream=kind.stream) if kind.suites else None

    def identify(source: int, _server: str) -> "asyncio.Future[Credentials]":
        found: asyncio.Future[Credentials] = asyncio.get_running_loop().create_future()
        identity = b"fleet/%d" % source
        own = CertificateKey(pki.client.pem, pki.client.key_pem)
        found.set_result(own if kind.certified else PreSharedKey(identity, _KEYS[identity]))
        return found

    secured = {} if session is None or kind.stream else {"srv": DtlsSettings(OpenSsl(), session, _LINKS)}
    over = StreamSettings(_LINKS) if session is None else StreamSettings(_LINKS, OpenSsl(), session)
    dtls = DtlsNorth(datagrams, secured, identify)
    streams = StreamNorth(
        servers,
        {"srv": over} if kind.stream else {},
        lambda source, family: scheme.local(source, family)[0],
        identify,
        time.time,
    )
    found = CombinedNorth(datagrams, dtls, streams)
    found.reach(frozenset(secured), frozenset({"srv"} if kind.stream else ()))
    return found


def _serve_here(kind: Kind, pki: Pki, theirs: Connection) -> None:
    asyncio.run(_serve(kind, pki, theirs))


def _measured(kind: Kind, pki: Pki) -> dict[str, float]:
    """Measure in a process of its own, so that no kind inherits memory of another."""
    ours, theirs = get_context("fork").Pipe()
    server = get_context("fork").Process(target=_serve_here, args=(kind, pki, theirs))
    server.start()
    try:
        port = ours.recv()
        back, result = get_context("fork").Pipe(duplex=False)
        client = get_context("fork").Process(target=lambda: result.send(asyncio.run(_measure(kind, pki, port))))
        client.start()
        result.close()
        found: dict[str, float] = back.recv()
        client.join()
    finally:
        ours.send("stop")
        server.join()
    return found


def show_transports(figures: dict[str, Any]) -> None:
    """Print a table, and add its figures: processor time of the bridge's side."""
    root = Authority()
    pki = Pki(root.pem, root.issue("server", names=("lwm2m.example",)), root.issue("fleet"))
    print(f"\n{'transport toward a server':34}{'open, ms':>12}{'exchange, us':>16}{'/ UDP':>8}{'KiB a session':>16}")
    plain = 0.0
    for kind in KINDS:
        found = _measured(kind, pki)
        plain = plain or found["exchange_us"]
        found["exchange_over_udp"] = found["exchange_us"] / plain
        figures[f"transport {kind.name}"] = found
        print(f"{kind.name:34}{found['open_ms']:12.2f}{found['exchange_us']:16.1f}", end="")
        print(f"{found['exchange_over_udp']:8.2f}{found['kib_per_session']:16.1f}", flush=True)
