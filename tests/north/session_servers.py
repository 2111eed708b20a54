"""LwM2M servers for the tests of transports with sessions: DTLS over a socket, CoAP over TCP, and over TLS."""

import asyncio
import socket
from dataclasses import dataclass, field
from typing import Any

from bridge.coap import stream, udp
from bridge.coap.message import ACK, CON
from tests.north.transport_contract import Server
from tests.tls.peers import OpenSslPeer, Wants


class DtlsServer(Server):
    """Tells clients by their PSK identities. A ClientHello from a known address begins a new session."""

    def __init__(self, wants: Wants, port: int = 0) -> None:
        self.wants = wants
        self.muted = False  # takes everything, says nothing
        self.handshakes = 0
        self.peers: dict[tuple[str, int], OpenSslPeer] = {}
        self._randoms: dict[tuple[str, int], bytes] = {}
        self._arrived: asyncio.Queue[tuple[Any, bytes]] = asyncio.Queue()
        self._at = port

    async def start(self) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", self._at))
        self.socket.setblocking(False)
        self._at = self.port
        asyncio.get_running_loop().add_reader(self.socket, self._read)

    async def stop(self) -> None:
        asyncio.get_running_loop().remove_reader(self.socket)
        self.socket.close()

    def forget(self) -> None:
        """Lose all sessions without a word, as a restart does."""
        self.peers.clear()

    @property
    def port(self) -> int:
        return int(self.socket.getsockname()[1])

    def _read(self) -> None:
        data, who = self.socket.recvfrom(4096)
        if self.muted:
            return
        peer = self.peers.get(who)
        if data[0] == 22 and data[3:5] == b"\0\0" and data[13] == 1:
            random = data[27:59]  # which a repeat has, too
            if peer is None or peer.opened or self._randoms.get(who) != random:
                peer = self.peers[who] = OpenSslPeer(self.wants)
            self._randoms[who] = random
        if peer is None:
            return
        before = peer.opened
        messages = peer.receive(data)
        self.handshakes += peer.opened and not before
        self._flush(who, peer)
        for message in messages:
            self._arrived.put_nowait((peer.identity or who, message))

    def _flush(self, who: tuple[str, int], peer: OpenSslPeer) -> None:
        for datagram in peer.outgoing():
            self.socket.sendto(datagram, who)

    async def receive(self) -> tuple[Any, bytes]:
        return await self._arrived.get()

    def _of(self, who: Any) -> tuple[tuple[str, int], OpenSslPeer]:
        return next((at, peer) for at, peer in self.peers.items() if who in (peer.identity, at))

    async def send(self, who: Any, message: bytes) -> None:
        at, peer = self._of(who)
        peer.send(message)
        self._flush(at, peer)

    def close_session(self, who: Any) -> None:
        at, peer = self._of(who)
        peer.close()
        self._flush(at, peer)
        del self.peers[at]


@dataclass(eq=False)
class Connection:
    """A client of a stream server. `frames` are those that came, signaling messages included."""

    writer: asyncio.StreamWriter
    tls: OpenSslPeer | None
    who: Any
    frames: list[stream.Frame] = field(default_factory=list)
    reader: stream.Reader = field(default_factory=stream.Reader)

    def write(self, data: bytes) -> None:
        if self.tls is None:
            self.writer.write(data)
            return
        self.tls.send(data)
        for piece in self.tls.outgoing():
            self.writer.write(piece)


class StreamServer(Server):
    """Tells clients by their PSK identities over TLS, else by their addresses. It acknowledges by Pong."""

    def __init__(self, wants: Wants | None = None) -> None:
        self.wants = wants
        self.greeting = stream.csm()
        self.answers_pings = True
        self.connections: list[Connection] = []
        self.port = 0
        self._arrived: asyncio.Queue[tuple[Any, bytes]] = asyncio.Queue()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        self._server.close()
        for one in self.connections:
            one.writer.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tls = None if self.wants is None else OpenSslPeer(self.wants)
        one = Connection(writer, tls, writer.get_extra_info("peername")[0])
        self.connections.append(one)
        greeted = False
        try:
            while data := await reader.read(4096):
                pieces = [data] if tls is None else tls.receive(data)
                if tls is not None:
                    for piece in tls.outgoing():
                        writer.write(piece)
                    if not tls.opened:
                        continue
                    one.who = tls.identity or one.who
                if not greeted:
                    greeted = True
                    if self.greeting:
                        one.write(self.greeting)
                for piece in pieces:
                    for message in one.reader.feed(piece):
                        self._message(one, message)
        except OSError:
            pass  # the client is gone, or its machine
        finally:
            writer.close()

    def _message(self, one: Connection, message: stream.Frame) -> None:
        one.frames.append(message)
        if message.code == stream.Signal.PING and self.answers_pings:
            one.write(stream.frame(stream.Signal.PONG, message.token, message.body))
        elif not message.is_signal and message.code:
            self._arrived.put_nowait((one.who, udp.frame(CON, message.code, 0, message.token, message.body)))

    async def receive(self) -> tuple[Any, bytes]:
        """Return a message as if it had come as a datagram."""
        return await self._arrived.get()

    async def send(self, who: Any, message: bytes) -> None:
        """Send what a datagram says."""
        _, code, _, token, body = udp.take_apart(message)
        self.connection(who).write(stream.frame(code, token, body))

    def connection(self, who: Any) -> Connection:
        """Return a client's last connection."""
        return next(one for one in reversed(self.connections) if one.who == who)


def acknowledged(mid: int) -> bytes:
    return udp.empty(ACK, mid)


def confirmable(mid: int, token: bytes, code: int = 1, body: bytes = b"") -> bytes:
    return udp.frame(CON, code, mid, token, body)
