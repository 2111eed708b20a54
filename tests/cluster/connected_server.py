"""An LwM2M server that is reached over TCP or TLS. It is strict: a registration belongs to one connection.

Over TCP alone a client is its connection: what it sends counts only after a Register or an Update on that connection
(RFC 8323 knows no other sign of it). Over TLS it is also its key's identity, which is its endpoint name.
"""

import asyncio
import socket
import time
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from bridge.coap import stream
from bridge.coap.message import decode_body, encode_body
from bridge.coap.numbers import Code, OptionNumber as Opt
from mock_network.lwm2m.formats import decode, parse_format
from mock_network.lwm2m.standard import type_of
from tests.north.session_servers import Connection, StreamServer
from tests.tls.peers import Wants

LOST = "lost"  # with its connection


@dataclass
class Client:
    """A registration. Times are of `time.monotonic`."""

    connection: Connection
    bound_at: list[float] = field(default_factory=list)  # when it came to each of its connections
    unbound: list[float] = field(default_factory=list)  # seconds from the end of a connection until it had the next one
    ended_at: float | None = None  # when its connection ended; None: it is there, as far as the server knows


@dataclass(frozen=True)
class _Asked:
    connection: Connection
    answer: "asyncio.Future[str]"


class ConnectedServer(StreamServer):
    """`keys`: of endpoints, by name, for TLS; None: TCP alone."""

    def __init__(self, keys: Mapping[str, bytes] | None = None) -> None:
        wants = None if keys is None else Wants({name.encode(): key for name, key in keys.items()}, stream=True)
        super().__init__(wants)
        self.clients: dict[str, Client] = {}
        self.sends: list[str] = []  # values that clients sent
        self.addresses: defaultdict[str, set[str]] = defaultdict(set)  # from which endpoints registered and sent
        self.refused: Counter[str] = Counter()  # requests that were refused, by what they were
        self._asked: dict[bytes, _Asked] = {}
        self._tokens = 0

    async def listen(self, listening: socket.socket) -> None:
        """Take connections at a socket that listens."""
        self._server = await asyncio.start_server(self._serve, sock=listening)

    async def read(self, endpoint: str, path: str, wait: float) -> str:
        """Read; return the code of the answer, "no answer", or LOST: the registration came to another connection."""
        client = self.clients[endpoint]
        self._tokens += 1
        token = self._tokens.to_bytes(4)
        segments = [(Opt.URI_PATH, one.encode()) for one in path.split("/") if one]
        asked = self._asked[token] = _Asked(client.connection, asyncio.get_running_loop().create_future())
        if client.ended_at is not None:
            asked.answer.set_result(LOST)
        else:
            client.connection.write(stream.frame(Code.GET, token, encode_body(segments, b"")))
        try:
            return await asyncio.wait_for(asked.answer, wait)
        except TimeoutError:
            return "no answer"
        finally:
            del self._asked[token]

    # -- StreamServer --------------------------------------------------------------------------------------------

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await super()._serve(reader, writer)
        finally:
            (one,) = [one for one in self.connections if one.writer is writer]
            self.connections.remove(one)
            for client in self.clients.values():
                if client.connection is one:
                    client.ended_at = time.monotonic()
            self._lose(one)

    def _message(self, one: Connection, message: stream.Frame) -> None:
        if message.code == stream.Signal.PING:
            one.write(stream.frame(stream.Signal.PONG, message.token, message.body))
        elif message.is_signal or message.code == Code.EMPTY:
            return
        elif message.code >= Code.CREATED:
            asked = self._asked.get(message.token)
            if asked is not None and asked.connection is one and not asked.answer.done():
                asked.answer.set_result(f"{message.code >> 5}.{message.code & 31:02}")
        else:
            code, body = self._answer(one, message)
            one.write(stream.frame(code, message.token, body))

    def _answer(self, one: Connection, message: stream.Frame) -> tuple[int, bytes]:
        options, payload = decode_body(message.body)
        path = [value.decode() for number, value in options if number == Opt.URI_PATH]
        if message.code == Code.POST and path[:1] == ["rd"]:
            return self._register(one, options, path)
        if message.code == Code.POST and path == ["dp"]:
            name = self._name(one)
            if name not in self.clients:
                self.refused["Send"] += 1
                return Code.BAD_REQUEST, encode_body([], b"no registration found")
            form = next(value for number, value in options if number == Opt.CONTENT_FORMAT)
            records = decode(parse_format(int.from_bytes(form)), (), payload, type_of)
            self.sends += [str(record.value) for record in records]
            self._note_address(name, one)
            return Code.CHANGED, b""
        self.refused["other"] += 1
        return Code.NOT_FOUND, b""

    def _register(self, one: Connection, options: tuple[tuple[int, bytes], ...], path: list[str]) -> tuple[int, bytes]:
        queries = dict(value.decode().partition("=")[::2] for number, value in options if number == Opt.URI_QUERY)
        is_new = len(path) == 1
        name = queries.get("ep", "") if is_new else path[1]
        if one.tls is not None and one.who != name.encode():
            self.refused["identity"] += 1
            return Code.FORBIDDEN, b""
        if not is_new and name not in self.clients:
            self.refused["Update"] += 1
            return Code.NOT_FOUND, b""
        self._bind(name, one)
        if is_new:
            return Code.CREATED, encode_body([(Opt.LOCATION_PATH, b"rd"), (Opt.LOCATION_PATH, name.encode())], b"")
        return Code.CHANGED, b""

    def _bind(self, name: str, one: Connection) -> None:
        self._note_address(name, one)
        client = self.clients.get(name)
        if client is not None and client.connection is one:
            return
        now = time.monotonic()
        if client is None:
            client = self.clients[name] = Client(one)
        else:
            self._lose(client.connection)
        if client.ended_at is not None:
            client.unbound.append(now - client.ended_at)
        client.connection, client.ended_at = one, None
        client.bound_at.append(now)

    def _name(self, one: Connection) -> str:
        if one.tls is not None:
            return bytes(one.who).decode()
        return next((name for name, client in self.clients.items() if client.connection is one), "")

    def _note_address(self, name: str, one: Connection) -> None:
        self.addresses[name].add(one.writer.get_extra_info("peername")[0])

    def _lose(self, one: Connection) -> None:
        """End what was asked over a connection: an answer can come over that alone."""
        for asked in self._asked.values():
            if asked.connection is one and not asked.answer.done():
                asked.answer.set_result(LOST)
