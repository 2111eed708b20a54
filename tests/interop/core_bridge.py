"""The one step between a real Leshan and a device of bytes, in real time, over the north side's own sockets.

Networks, the store and the service have no part here. Committed rows are kept by the test's `World`, which can also
lose its memory as a killed process does.
"""

import asyncio
import socket
import time
from typing import Any

import cbor2

from bridge.north.contract import Sending
from bridge.north.udp.scheme import Scheme, build
from bridge.relay import events as ev
from bridge.relay.effects import Effect, SendToServer
from mock_network.lab import free_port
from tests.interop.leshan_server import Leshan
from tests.interop.raw_device import (
    ACK,
    CON,
    CONTENT_FORMAT,
    OBJECT_LINKS,
    POST,
    Message,
    code,
    decode,
    encode,
    uri,
)
from tests.relay.world import World

SERVER = "srv"


class Bridge(World):
    """A World on the clock of this machine, with Leshan as its server and a queue of bytes as its device."""

    def __init__(self, leshan: Leshan, name: str, source: int, **world: Any) -> None:
        super().__init__(name=name, **world)
        self._loop = asyncio.get_running_loop()
        family = socket.AF_INET
        found = socket.getaddrinfo(leshan.host, leshan.coap_port, family, socket.SOCK_DGRAM)
        self._server: tuple[str, int] = found[0][4]  # type: ignore[assignment]
        self._source = source
        self._port = free_port()
        self._timer: asyncio.TimerHandle | None = None
        self.downlinks_on_air: asyncio.Queue[Message] = asyncio.Queue()
        self._open()

    def _open(self) -> None:
        self.north = build(
            Scheme.PREFIX, [self._server], prefixes=("127.65.0.0/24",), port=self._port, ports=range(1, 2)
        )
        self.north.listen(lambda _source, _remote, data: self.event(ev.ServerDatagram(SERVER, data)))
        self.north.open(self._source)

    def event(self, event: ev.Event) -> None:
        self.wall, self.mono = time.time(), time.monotonic()
        super().event(event)
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if self.wake is None else self._loop.call_later(self.wake + 0.001, self.event, ev.Tick())

    def _release(self, effect: Effect) -> None:
        super()._release(effect)
        if isinstance(effect, SendToServer):
            assert self.north.send(self._source, self._server, effect.data) is Sending.LEFT
        on_air, self.submitted = self.submitted, []
        for submit in on_air:
            self.downlinks_on_air.put_nowait(decode(submit.attempt.payload))

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self.north.close()

    def killed_and_started_again(self) -> None:
        """Lose sockets, timers and memory; come back with the committed rows."""
        self.close()
        self._open()
        self.wall = time.time()
        self.restart()

    # -- the device ------------------------------------------------------------------------------------------------

    def uplink(self, message: Message) -> None:
        self.event(ev.DeviceMessage(encode(message)))

    async def downlink(self, within: float = 5) -> Message:
        return await asyncio.wait_for(self.downlinks_on_air.get(), within)

    def answer(self, to: Message, dotted: str, payload: bytes = b"", *options: tuple[int, bytes]) -> None:
        self.uplink(Message(ACK, code(dotted), to.mid, to.token, options, payload))

    async def register(self, name: str | None, query: str = "lt=300&b=N") -> Message:
        query = query if name is None else f"ep={name}&{query}"
        options = (*uri("/rd", query), (CONTENT_FORMAT, b"\x28"))
        self.uplink(Message(CON, POST, 1, b"\x01", options, OBJECT_LINKS.encode()))
        return await self.downlink()

    async def send(self, mid: int, value: float) -> Message:
        payload = cbor2.dumps([{0: "/3303/0/5700", 2: value}])
        self.uplink(Message(CON, POST, mid, b"\x02", (*uri("/dp"), (CONTENT_FORMAT, b"\x70")), payload))
        return await self.downlink()
