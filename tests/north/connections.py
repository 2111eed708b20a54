"""A transport of connections, as small as can be: it shows that the contract is not UDP's.

One TCP connection for each endpoint and server. It begins with the number of the endpoint, as a certificate would say
who it is, and every message has its length before it. Nothing of this is CoAP over TCP (RFC 8323).
"""

import asyncio
import logging
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any, cast

from bridge.north.contract import Counters, Link, LinkState, Receiver, Sending
from tests.north.transport_contract import Server

_log = logging.getLogger("bridge.north")

WAITING = 16  # messages, at most, that wait for a connection
RETRY_AFTER = 30.0

Key = tuple[int, str]


class Connection(asyncio.Protocol):
    """One link: closed again when the connection ends."""

    def __init__(self, north: "ConnectionNorth", key: Key) -> None:
        self.state = LinkState.CLOSED
        self.reason = ""
        self._north, self._key = north, key
        self._transport: asyncio.WriteTransport | None = None
        self._paused = False
        self._waiting: deque[bytes] = deque()
        self._received = b""
        self._opening: asyncio.Task[None] | None = None

    def open(self) -> None:
        if self.state is LinkState.CLOSED:
            self._becomes(LinkState.OPENING)
            self._opening = asyncio.create_task(self._connect())

    async def _connect(self) -> None:
        _, server = self._key
        try:
            await asyncio.get_running_loop().create_connection(lambda: self, *self._north.servers[server])
        except OSError as error:
            self._north.counted.send_dropped += len(self._waiting)
            self._waiting.clear()
            self._becomes(LinkState.FAILING, f"server {server!r} cannot be reached: {error}")
            asyncio.get_running_loop().call_later(RETRY_AFTER, self._becomes, LinkState.CLOSED)

    def send(self, message: bytes) -> Sending:
        self.open()
        if self.state is LinkState.FAILING or len(self._waiting) >= WAITING:
            self._north.counted.send_dropped += 1
            return Sending.DROPPED
        self._waiting.append(message)
        if self.state is LinkState.OPEN and not self._paused:
            self._write()
            return Sending.LEFT
        self._north.counted.deferred += 1
        return Sending.WAITS

    def close(self) -> None:
        if self._opening is not None:
            self._opening.cancel()
        if self._transport is not None:
            self._transport.close()
        self._waiting.clear()

    def _becomes(self, state: LinkState, reason: str = "") -> None:
        self.state, self.reason = state, reason
        self._north.tell(self._key, Link(state, reason))

    def _write(self) -> None:
        while self._waiting and not self._paused and self._transport is not None:
            message = self._waiting.popleft()
            self._transport.write(len(message).to_bytes(2) + message)
            self._north.counted.sent += 1

    # asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)
        self._transport.write(self._key[0].to_bytes(4))
        self._becomes(LinkState.OPEN)
        self._write()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._becomes(LinkState.CLOSED, str(exc) if exc is not None else "the connection ended")

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        self._write()

    def data_received(self, data: bytes) -> None:
        self._received += data
        while len(self._received) >= 2 and len(self._received) >= 2 + (size := int.from_bytes(self._received[:2])):
            message, self._received = self._received[2 : 2 + size], self._received[2 + size :]
            self._north.deliver(self._key, message)


class ConnectionNorth:
    """`bridge.north.contract.NorthTransport`."""

    opens_each = True
    descriptor_each = True

    def __init__(self, servers: Mapping[str, tuple[str, int]]) -> None:
        self.servers = servers
        self.counted = Counters()
        self.links: dict[Key, Connection] = {}
        self._receiver: Receiver | None = None

    async def start(self, receiver: Receiver) -> None:
        self._receiver = receiver

    async def stop(self) -> None:
        self._receiver = None
        for link in self.links.values():
            link.close()
        self.links.clear()
        await asyncio.sleep(0)

    def open(self, source: int, servers: Iterable[str]) -> None:
        if self._receiver is None:
            return
        wanted = {(source, server) for server in servers}
        for key in [key for key in self.links if key[0] == source and key not in wanted]:
            self.links.pop(key).close()
        for key in wanted:
            self._of(key).open()

    def release(self, source: int) -> None:
        for key in [key for key in self.links if key[0] == source]:
            self.links.pop(key).close()

    def leave(self, source: int) -> None:
        self.release(source)

    def link(self, source: int, server: str) -> Link:
        if server not in self.servers:
            return Link(LinkState.CLOSED, f"server {server!r} is not configured")
        found = self.links.get((source, server))
        return Link(LinkState.CLOSED) if found is None else Link(found.state, found.reason, RETRY_AFTER)

    def send(
        self,
        source: int,
        server: str,
        message: bytes,
        *,
        opaque: bool = False,
        may_wait: bool = True,
        first: bool = False,
    ) -> Sending:
        if self._receiver is None or server not in self.servers or opaque:
            self.counted.send_dropped += 1
            return Sending.DROPPED
        if not may_wait and not self.carries(source, server, message):
            self._of((source, server)).open()
            self.counted.send_dropped += 1
            return Sending.DROPPED
        return self._of((source, server)).send(message)

    def carries(self, source: int, server: str, message: bytes, *, opaque: bool = False) -> bool:
        found = None if opaque else self.links.get((source, server))
        return found is not None and found.state is LinkState.OPEN

    def address(self, server: str) -> str | None:
        host, port = self.servers.get(server, ("", 0))
        return f"{host}:{port}" if host else None

    def pause(self, source: int, server: str) -> None:
        pass

    def proceed(self, source: int, server: str) -> None:
        pass

    def unrecorded(self, source: int, server: str) -> None:
        pass

    def unanswered(self, source: int, server: str) -> None:
        pass

    def counters(self) -> Counters:
        return self.counted

    def tell(self, key: Key, link: Link) -> None:
        if self._receiver is not None:
            self._receiver.link_changed(*key, link)

    def deliver(self, key: Key, message: bytes) -> None:
        if self._receiver is None:
            return
        source, server = key
        self.counted.received += 1
        try:
            self._receiver.message(source, (server,), message)
        except Exception:  # noqa: BLE001  # whatever it is, the next message must be taken
            self.counted.receiver_failed += 1
            _log.exception("a message could not be handled")

    def _of(self, key: Key) -> Connection:
        return self.links.setdefault(key, Connection(self, key)) if key not in self.links else self.links[key]


class ConnectionServer(Server):
    """Takes connections, and tells clients by what they say at the beginning."""

    def __init__(self) -> None:
        self._arrived: asyncio.Queue[tuple[int, bytes]] = asyncio.Queue()
        self._writers: dict[int, asyncio.StreamWriter] = {}
        self.port = 0

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        self._server.close()
        for writer in self._writers.values():
            writer.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            who = int.from_bytes(await reader.readexactly(4))
            self._writers[who] = writer
            while True:
                size = int.from_bytes(await reader.readexactly(2))
                self._arrived.put_nowait((who, await reader.readexactly(size)))
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def receive(self) -> tuple[Any, bytes]:
        return await self._arrived.get()

    async def send(self, who: Any, message: bytes) -> None:
        self._writers[who].write(len(message).to_bytes(2) + message)
