"""The two ends of a week: an LwM2M server and devices, as bytes on UDP sockets; what each has seen is the evidence."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import count
from typing import Any

from tests.interop.raw_device import (
    ACK,
    CON,
    CONTENT_FORMAT,
    EMPTY,
    GET,
    LOCATION_PATH,
    OBJECT_LINKS,
    POST,
    PUT,
    RST,
    Message,
    code,
    decode,
    encode,
    uri,
)  # fmt: skip

Address = tuple[str, int]
TTL = 65052  # the bridge's option for a request's time to live
REFUSALS = {"4.13", "5.03"}
_REPEATS = (60.0, 120.0)  # seconds after which a device sends what was not acknowledged again
_SERVER_TAKES = 0.5  # seconds to answer a device
_REMEMBERED = 247.0  # seconds; RFC 7252 §4.8.2 EXCHANGE_LIFETIME

KINDS = {
    "Read": (GET, uri("/3/0/0"), b""),
    "Write": (PUT, (*uri("/3/0/14"), (CONTENT_FORMAT, b"")), b"+02:00"),
    "Execute": (POST, uri("/3303/0/5605"), b""),
}


class Udp(asyncio.DatagramProtocol):
    """A socket whose datagrams go to a function."""

    transport: asyncio.DatagramTransport

    def __init__(self, take: Callable[[bytes, Address], None]) -> None:
        self._take = take

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self._take(data, addr)

    @classmethod
    async def open(cls, take: Callable[[bytes, Address], None], **where: Any) -> "Udp":
        loop = asyncio.get_running_loop()
        _, protocol = await loop.create_datagram_endpoint(lambda: cls(take), **where)
        return protocol


@dataclass
class Server:
    """Registers who comes, acknowledges what is confirmable, and asks."""

    asked: set[str] = field(default_factory=set)
    acknowledged: set[str] = field(default_factory=set)
    taken: list[str] = field(default_factory=list)  # payload digests of Sends
    answers: Counter[str] = field(default_factory=Counter)
    where: dict[str, Address] = field(default_factory=dict)  # by endpoint
    _mids: "count[int]" = field(default_factory=lambda: count(1))
    _pending: dict[tuple[Address, int], str] = field(default_factory=dict)  # tokens of what is not acknowledged
    _known: dict[tuple[Address, int], float] = field(default_factory=dict)  # messages, and when each was taken first

    async def open(self) -> Address:
        self._udp = await Udp.open(self._take, local_addr=("127.0.0.1", 0))
        address: Address = self._udp.transport.get_extra_info("sockname")
        return address

    def close(self) -> None:
        self._udp.transport.close()

    def ask(self, name: str, kind: str, ttl: int | None, payload: bytes) -> str:
        """Send a request to an endpoint and return its token, in hexadecimal."""
        number = next(self._mids)
        method, options, default = KINDS[kind]
        token = number.to_bytes(4, "big")
        if ttl is not None:
            options = (*options, (TTL, ttl.to_bytes(4, "big").lstrip(b"\0")))
        self.asked.add(token.hex())
        message = Message(CON, method, number & 0xFFFF, token, options, payload or default)
        self._pending[self.where[name], message.mid] = token.hex()
        self._udp.transport.sendto(encode(message), self.where[name])
        return token.hex()

    def _take(self, data: bytes, source: Address) -> None:
        message = decode(data)
        if message.type == ACK:
            token_of_request = self._pending.pop((source, message.mid), None)
            if token_of_request is not None and message.dotted() not in REFUSALS:
                self.acknowledged.add(token_of_request)
        if message.code >= 64:
            self.answers[message.dotted()] += 1
            if message.type == CON:
                self._reply(source, Message(ACK, EMPTY, message.mid))
        elif message.code:
            self._serve(message, source)

    def _serve(self, message: Message, source: Address) -> None:
        answer, options = "2.04", ()
        if message.path() == "/rd":
            query = dict(value.decode().split("=") for number, value in message.options if number == 15)
            self.where[query["ep"]] = source
            answer, options = "2.01", ((LOCATION_PATH, b"rd"), (LOCATION_PATH, query["ep"].encode()))
        elif message.path() == "/dp" and not self._is_repeated(source, message.mid):
            self.taken.append(sha256(message.payload).hexdigest()[:16])
        reply = Message(ACK, code(answer), message.mid, message.token, options)
        asyncio.get_running_loop().call_later(_SERVER_TAKES, self._reply, source, reply)

    def _is_repeated(self, source: Address, mid: int) -> bool:
        """Return whether a message ID is one of a message that is remembered; else remember it from now on."""
        now = asyncio.get_running_loop().time()
        if now - self._known.get((source, mid), -_REMEMBERED) < _REMEMBERED:
            return True
        self._known[source, mid] = now
        return False

    def _reply(self, source: Address, message: Message) -> None:
        if not self._udp.transport.is_closing():
            self._udp.transport.sendto(encode(message), source)


@dataclass
class Device:
    """One LwM2M client of few words behind a modem. `mood` draws how it treats a request."""

    name: str
    modem: Address
    rng: random.Random
    mood: Callable[[random.Random], str]
    executed: Counter[bytes] = field(default_factory=Counter)  # requests carried out, as bytes
    _mids: "count[int]" = field(default_factory=lambda: count(1))
    _kept: dict[int, tuple[float, bytes, bytes]] = field(default_factory=dict)  # answers, by message ID
    _waiting: dict[int, asyncio.TimerHandle] = field(default_factory=dict)  # what is not acknowledged, by message ID

    async def open(self) -> None:
        self._udp = await Udp.open(self._take, remote_addr=self.modem)
        self._loop = asyncio.get_running_loop()

    def close(self) -> None:
        for timer in self._waiting.values():
            timer.cancel()
        self._udp.transport.close()

    def register(self) -> None:
        options = (*uri("/rd", f"ep={self.name}&lt=2592000&lwm2m=1.1&b=N"), (CONTENT_FORMAT, b"\x28"))
        self._confirmed(Message(CON, POST, 0, b"r", options, OBJECT_LINKS.encode()))

    def send(self, payload: bytes) -> None:
        """Send data of its own (Send, POST /dp)."""
        self._confirmed(Message(CON, POST, 0, b"s", (*uri("/dp"), (CONTENT_FORMAT, b"")), payload))

    def _confirmed(self, message: Message) -> None:
        mid = next(self._mids) & 0xFFFF
        message = Message(message.type, message.code, mid, message.token, message.options, message.payload)
        self._transmit(mid, encode(message), _REPEATS)

    def _transmit(self, mid: int, data: bytes, pauses: tuple[float, ...]) -> None:
        self._udp.transport.sendto(data)
        if pauses:
            self._waiting[mid] = self._loop.call_later(pauses[0], self._transmit, mid, data, pauses[1:])
        else:
            self._waiting.pop(mid, None)

    def _take(self, data: bytes, _: Address) -> None:
        message = decode(data)
        if message.type in (ACK, RST) and (timer := self._waiting.pop(message.mid, None)) is not None:
            timer.cancel()
        if not 0 < message.code < 32:
            return
        now = self._loop.time()
        since, request, answer = self._kept.get(message.mid, (0.0, b"", b""))
        if request == data and now - since < _REMEMBERED:
            if answer:
                self._udp.transport.sendto(answer)
            return
        self._carry_out(data, message, now)

    def _carry_out(self, data: bytes, message: Message, now: float) -> None:
        mood = self.mood(self.rng)
        answer = Message(ACK, code("2.05" if message.code == GET else "2.04"), message.mid, message.token)
        if mood == "reset":
            answer = Message(RST, EMPTY, message.mid)
        else:
            self.executed[data] += 1
        encoded = b"" if mood == "silent" else encode(answer)
        if mood == "separate":
            encoded = encode(Message(ACK, EMPTY, message.mid))
            self._loop.call_later(self.rng.uniform(5, 40), self._respond, answer)
        self._kept[message.mid] = (now, data, encoded)
        if encoded:
            self._loop.call_later(self.rng.uniform(0.1, 2.0), self._udp.transport.sendto, encoded)

    def _respond(self, answer: Message) -> None:
        if not self._udp.transport.is_closing():
            self._confirmed(Message(CON, answer.code, 0, answer.token))
