"""A relay between bridge and broker that sees which messages the bridge acknowledges (MQTT 5, QoS 1)."""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Self

PUBLISH, PUBACK = 3, 4  # MQTT 5 §2.1.2
PACKET_TYPE, QOS = 4, 1  # bits above which they stand in the first byte
REFUSED = 0x80  # reason codes from here on are failures (§2.4)


@dataclass
class Witness:
    """Listens on `port`; `acknowledged` has topic and payload of every PUBLISH that was given a PUBACK."""

    broker: int  # its port on loopback
    port: int = 0
    acknowledged: list[tuple[str, bytes]] = field(default_factory=list)
    _server: asyncio.Server | None = None
    _tasks: set["asyncio.Task[None]"] = field(default_factory=set)

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        pending: dict[int, tuple[str, bytes]] = {}

        def from_broker(first: int, body: bytes) -> None:
            if first >> PACKET_TYPE == PUBLISH and first >> QOS & 3:
                identifier, topic, payload = _published(body)
                pending[identifier] = (topic, payload)

        def from_bridge(first: int, body: bytes) -> None:
            if first >> PACKET_TYPE == PUBACK and (len(body) == 2 or body[2] < REFUSED):
                self.acknowledged.append(pending.pop(int.from_bytes(body[:2], "big")))

        with contextlib.suppress(OSError):
            upstream, to_broker = await asyncio.open_connection("127.0.0.1", self.broker)
            ways = (_relay(reader, to_broker, from_bridge), _relay(upstream, writer, from_broker))
            both = [asyncio.ensure_future(way) for way in ways]
            try:
                await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for one in both:
                    one.cancel()
                await asyncio.gather(*both, return_exceptions=True)
                to_broker.close()
                writer.close()
        self._tasks.discard(task)


async def _relay(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seen: Callable[[int, bytes], None]
) -> None:
    """Pass packets on whole, each noted before it is: an acknowledgement that is on its way was meant."""
    with contextlib.suppress(asyncio.IncompleteReadError, OSError):
        while True:
            head = await reader.readexactly(1)
            length = shift = 0
            while True:
                byte = await reader.readexactly(1)
                head += byte
                length |= (byte[0] & 0x7F) << shift
                shift += 7
                if byte[0] < 0x80:
                    break
            body = await reader.readexactly(length)
            seen(head[0], body)
            writer.write(head + body)
            await writer.drain()


def _published(body: bytes) -> tuple[int, str, bytes]:
    """Return packet identifier, topic and payload of a PUBLISH with QoS (§3.3)."""
    end = 2 + int.from_bytes(body[:2], "big")
    topic = body[2:end].decode()
    identifier = int.from_bytes(body[end : end + 2], "big")
    at, properties, shift = end + 2, 0, 0
    while True:
        byte = body[at]
        at += 1
        properties |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return identifier, topic, body[at + properties :]
