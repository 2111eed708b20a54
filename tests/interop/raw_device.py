"""A device as bytes: CoAP (RFC 7252 §3) written by hand, on a UDP socket bound to a chosen loopback address.

It shares no code with the bridge and does nothing by itself: a test says which message leaves, so that it can leave too
late, twice, or with somebody else's message identifier.
"""

import asyncio
import contextlib
import itertools
import socket
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

CON, NON, ACK, RST = range(4)

OBSERVE, LOCATION_PATH, URI_PATH, CONTENT_FORMAT, URI_QUERY, ACCEPT, BLOCK2, BLOCK1, SIZE1 = (
    6,
    8,
    11,
    12,
    15,
    17,
    23,
    27,
    60,
)

EMPTY, GET, POST, PUT, DELETE = 0, 1, 2, 3, 4
OBJECT_LINKS = "</1/0>,</3/0>,</5/0>,</3303/0>"


_TAKEN: set[int] = set()
"""Ports that devices of this run had. A server answers a known message identifier from a known port out of its memory
for 247 s (RFC 7252 §4.5): the next device that is given the port would get the answers of the last one."""


def code(text: str) -> int:
    """`code("2.05")` is 0x45."""
    return (int(text[0]) << 5) | int(text[2:])


@dataclass(frozen=True, slots=True)
class Message:
    """One CoAP message. `options` are (number, value) in any order; encoding sorts them."""

    type: int
    code: int
    mid: int
    token: bytes = b""
    options: tuple[tuple[int, bytes], ...] = ()
    payload: bytes = b""

    def option(self, number: int) -> bytes | None:
        return next((value for which, value in self.options if which == number), None)

    def path(self) -> str:
        return "/" + "/".join(value.decode() for which, value in self.options if which == URI_PATH)

    def dotted(self) -> str:
        return f"{self.code >> 5}.{self.code & 31:02d}"


def _extended(value: int) -> tuple[int, bytes]:
    if value < 13:
        return value, b""
    if value < 269:
        return 13, bytes([value - 13])
    return 14, (value - 269).to_bytes(2, "big")


def encode(message: Message) -> bytes:
    out = bytearray([0x40 | message.type << 4 | len(message.token), message.code])
    out += message.mid.to_bytes(2, "big") + message.token
    last = 0
    for number, value in sorted(message.options, key=lambda option: option[0]):
        delta, delta_more = _extended(number - last)
        length, length_more = _extended(len(value))
        out += bytes([delta << 4 | length]) + delta_more + length_more + value
        last = number
    if message.payload:
        out += b"\xff" + message.payload
    return bytes(out)


def decode(data: bytes) -> Message:
    token_end = 4 + (data[0] & 15)
    at, number, options = token_end, 0, []
    while at < len(data) and data[at] != 0xFF:
        sizes = []
        head = data[at]
        at += 1
        for nibble in (head >> 4, head & 15):
            if nibble == 13:
                sizes.append(data[at] + 13)
                at += 1
            elif nibble == 14:
                sizes.append(int.from_bytes(data[at : at + 2], "big") + 269)
                at += 2
            else:
                sizes.append(nibble)
        number += sizes[0]
        options.append((number, data[at : at + sizes[1]]))
        at += sizes[1]
    mid = int.from_bytes(data[2:4], "big")
    return Message(data[0] >> 4 & 3, data[1], mid, data[4:token_end], tuple(options), data[at + 1 :])


def block(number: int, more: bool, size: int) -> bytes:
    """Return the value of a Block1 or Block2 option (RFC 7959 §2.2)."""
    value = number << 4 | more << 3 | (size.bit_length() - 5)
    return value.to_bytes((value.bit_length() + 7) // 8, "big")


def unblock(value: bytes) -> tuple[int, bool, int]:
    """Return number, more, size."""
    raw = int.from_bytes(value, "big")
    return raw >> 4, bool(raw & 8), 16 << (raw & 7)


def uri(path: str, query: str = "") -> tuple[tuple[int, bytes], ...]:
    parts = [(URI_PATH, part.encode()) for part in path.split("/") if part]
    return (*parts, *((URI_QUERY, part.encode()) for part in query.split("&") if part))


@dataclass(slots=True)
class RawDevice:
    """A device at `address`:`port` (0 = any that no device had before) that talks to `server`, as a context manager."""

    server: tuple[str, int]
    address: str = "127.0.0.1"
    port: int = 0
    mids: "itertools.count[int]" = field(default_factory=lambda: itertools.count(0x1000))
    copies: int = 0
    """Copies that came of messages which are answered already: this machine was slow to answer."""
    _socket: socket.socket | None = None
    _heard: dict[int, bytes] = field(default_factory=dict)  # by message identifier
    _answers: dict[int, bytes] = field(default_factory=dict)

    def __enter__(self) -> Self:
        unfit = []  # kept open for now, or the system may give the same port again
        while True:
            self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self._socket.setblocking(False)
            self._socket.bind((self.address, self.port))
            port = self._socket.getsockname()[1]
            if self.port or port not in _TAKEN:
                break
            unfit.append(self._socket)
        for one in unfit:
            one.close()
        self.port = port
        _TAKEN.add(port)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the socket; another device may then take the address and port."""
        assert self._socket is not None
        self._socket.close()

    def send(self, message: Message) -> None:
        assert self._socket is not None
        data = encode(message)
        if message.type in (ACK, RST) and message.mid in self._heard:
            self._answers[message.mid] = data
        self._socket.sendto(data, self.server)

    async def receive(self, within: float = 5) -> Message:
        """Return the next message from the server; TimeoutError if there is none in time.

        A copy of a message that is answered already gets the same answer again (RFC 7252 §4.2) and is not given out.
        """
        assert self._socket is not None
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(within):
            while True:
                data, source = await loop.sock_recvfrom(self._socket, 2048)
                assert source == self.server, "only the server talks to us"
                message = decode(data)
                if self._heard.get(message.mid) != data or message.mid not in self._answers:
                    self._heard[message.mid] = data
                    return message
                self.copies += 1
                self._socket.sendto(self._answers[message.mid], self.server)

    async def silence(self, seconds: float) -> None:
        """Fail if anything arrives within this time."""
        with contextlib.suppress(TimeoutError):
            raise AssertionError(f"unexpected {await self.receive(seconds)}")

    async def request(self, message: Message) -> Message:
        """Send a CON request and return the message that acknowledges or rejects it."""
        self.send(message)
        answer = await self.receive()
        assert answer.mid == message.mid
        return answer

    def answer(self, request: Message, dotted: str, payload: bytes = b"", *options: tuple[int, bytes]) -> None:
        """Send a piggybacked response."""
        self.send(Message(ACK, code(dotted), request.mid, request.token, options, payload))

    def acknowledge(self, message: Message) -> None:
        self.send(Message(ACK, EMPTY, message.mid))

    def respond(
        self,
        request: Message,
        dotted: str,
        payload: bytes = b"",
        *options: tuple[int, bytes],
        mid: int,
        type_: int = CON,
    ) -> None:
        """Send a separate response, or a notification where `options` hold an Observe."""
        self.send(Message(type_, code(dotted), mid, request.token, options, payload))

    async def register(self, query: str, links: str = OBJECT_LINKS, type_: int = CON) -> Message:
        """Send a Register with this query and return the server's answer."""
        options = (*uri("/rd", query), (CONTENT_FORMAT, b"\x28"))
        return await self.exchange(type_, POST, options, links.encode())

    async def exchange(
        self, type_: int, code_: int, options: tuple[tuple[int, bytes], ...], payload: bytes = b""
    ) -> Message:
        """Send a request with a fresh message identifier and token and return the answer with that token."""
        mid = next(self.mids)
        token = mid.to_bytes(2, "big")
        self.send(Message(type_, code_, mid, token, options, payload))
        answer = await self.receive()
        assert answer.token == token
        return answer
