"""The one step toward a real Leshan: relay rules in real time, over the north side's own sockets.

The device is bytes, right behind the step; networks, the store and the service have no part here. Committed rows
are kept by the test's `World`, which can also lose its memory as a killed process does.
"""

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from itertools import count
from typing import Any

import cbor2
import pytest

from bridge.delivery.ledger import Downlink
from bridge.north.scheme import Scheme, build
from bridge.relay import events as ev
from bridge.relay.effects import Effect, SendToServer
from bridge.relay.model import ServerProfile
from tests.interop.free_ports import free_ports
from tests.interop.leshan_server import Leshan
from tests.interop.raw_device import (
    ACK,
    BLOCK1,
    CON,
    CONTENT_FORMAT,
    EMPTY,
    GET,
    LOCATION_PATH,
    OBJECT_LINKS,
    OBSERVE,
    POST,
    PUT,
    RST,
    Message,
    block,
    code,
    decode,
    encode,
    unblock,
    uri,
)
from tests.relay.world import NIDD, World

TEXT = (CONTENT_FORMAT, b"")  # 0, text/plain
SERVER = "srv"
SOURCES = count(10)  # an address for each endpoint: Leshan remembers the MIDs of the others for 247 s

pytestmark = pytest.mark.timeout(30)


class Bridge(World):
    """A World on the clock of this machine, with Leshan as its server and a queue of bytes as its device."""

    def __init__(self, leshan: Leshan, name: str, source: int, **world: Any) -> None:
        super().__init__(name=name, **world)
        self._loop = asyncio.get_running_loop()
        family = socket.AF_INET
        found = socket.getaddrinfo(leshan.host, leshan.coap_port, family, socket.SOCK_DGRAM)
        self._server: tuple[str, int] = found[0][4]  # type: ignore[assignment]
        self._source = source
        self._port = free_ports(1)[0]
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
            assert self.north.send(self._source, self._server, effect.data)
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


@pytest.fixture
async def bridges(leshan: Leshan) -> AsyncIterator[Any]:
    made: list[Bridge] = []

    def make(name: str, **world: Any) -> Bridge:
        made.append(Bridge(leshan, name, next(SOURCES), **world))
        return made[-1]

    yield make
    for bridge in made:
        bridge.close()


async def test_a_register_with_binding_n_and_nothing_else_is_made_fit(leshan, bridges):
    """R21: Leshan refuses a Register without ep or lwm2m."""
    bridge = bridges("core-fit")
    answer = await bridge.register(None)
    assert (answer.type, answer.dotted(), answer.mid, answer.token) == (ACK, "2.01", 1, b"\x01")
    registration = await leshan.registration("core-fit")
    assert (registration["binding"], registration["lwm2m"], registration["lifetime"]) == ("U", "1.1", 300)
    location = [value.decode() for number, value in answer.options if number == LOCATION_PATH]
    bridge.uplink(Message(CON, POST, 2, b"", uri("/" + "/".join(location), "lt=400")))
    assert (await bridge.downlink()).dotted() == "2.04"
    assert (await leshan.registration("core-fit"))["lifetime"] == 400


async def test_read_write_and_execute_with_a_one_byte_token_on_air(leshan, bridges):
    bridge = bridges("core-operations")
    await bridge.register("core-operations")
    for order, method, dotted in (("read", GET, "2.05"), ("write", PUT, "2.04"), ("execute", POST, "2.04")):
        path = "/3/0/4" if order == "execute" else "/3/0/14"
        started = await leshan.start(order, "core-operations", path, value="+02:00", format="TEXT")
        request = await bridge.downlink()
        assert (request.type, request.code, request.path(), len(request.token)) == (CON, method, path, 1)
        bridge.answer(request, dotted, *((b"+01:00", TEXT) if order == "read" else ()))
        result = await leshan.result(started)
        assert result["code"] == dotted
        assert result.get("values") == ({path: "+01:00"} if order == "read" else None)


async def test_a_burst_of_requests_goes_on_air_one_at_a_time(leshan, bridges):
    """R6: Leshan sends all at once."""
    bridge = bridges("core-burst")
    await bridge.register("core-burst")
    started = [await leshan.start("read", "core-burst", f"/3/0/{n}", format="TEXT") for n in (0, 1, 2)]
    for number in range(3):
        request = await bridge.downlink()
        assert request.path() == f"/3/0/{number}"
        await asyncio.sleep(0.1)
        assert bridge.downlinks_on_air.empty()
        bridge.answer(request, "2.05", b"x", TEXT)
    assert [(await leshan.result(n))["code"] for n in started] == ["2.05"] * 3


async def test_a_slow_answer_reaches_the_caller_and_survives_a_kill(leshan, bridges):
    """R5, R32: Empty ACK after the piggyback window; the answer comes after memory was lost."""
    bridge = bridges("core-slow")
    await bridge.register("core-slow")
    started = await leshan.start("read", "core-slow", "/3/0/0", timeout=20, format="TEXT")
    request = await bridge.downlink()
    await leshan.acknowledged(started)
    bridge.killed_and_started_again()
    bridge.answer(request, "2.05", b"ACME", TEXT)
    result = await leshan.result(started)
    assert (result["code"], result["values"]) == ("2.05", {"/3/0/0": "ACME"})
    rows = [row for row in bridge.rows(Downlink) if row["kind"] == "request"]
    assert [row["state"] for row in rows] == ["RESPONDED"]


async def test_without_an_answer_the_caller_gets_5_04_and_the_late_answer_disturbs_nobody(leshan, bridges):
    """R10, R12."""
    bridge = bridges("core-late", profile=ServerProfile(patience=3.0, margin=1.0))
    await bridge.register("core-late")
    result = await leshan.read("core-late", "/3/0/0", timeout=20)
    assert (result["state"], result["code"]) == ("response", "5.04")
    assert 1.5 < result["seconds"] < 15  # the bridge's patience, not the caller's
    bridge.answer(await bridge.downlink(), "2.05", b"ACME", TEXT)
    assert (await bridge.send(9, 20.5)).dotted() == "2.04"


async def test_observe_and_send_go_on_after_a_kill_without_a_new_register(leshan, bridges):
    bridge = bridges("core-restart")
    await bridge.register("core-restart")
    before = await leshan.registration("core-restart")
    started = await leshan.start("observe", "core-restart", "/3303/0/5700", format="TEXT")
    observe = await bridge.downlink()
    bridge.answer(observe, "2.05", b"20.5", TEXT, (OBSERVE, b"\x01"))
    assert (await leshan.result(started))["values"] == {"/3303/0/5700": 20.5}
    for life in (1, 2, 3):
        bridge.uplink(
            Message(CON, code("2.05"), 50 + life, observe.token, (TEXT, (OBSERVE, bytes([1 + life]))), b"21.%d" % life)
        )
        assert await bridge.downlink() == Message(ACK, EMPTY, 50 + life)
        assert (await leshan.event("notification", "core-restart"))["values"] == {"/3303/0/5700": 21 + life / 10}
        assert (await bridge.send(60 + life, 22.5 + life)).dotted() == "2.04"
        assert (await leshan.event("send", "core-restart"))["values"] == {"/3303/0/5700": 22.5 + life}
        bridge.killed_and_started_again()
    assert await leshan.registration("core-restart") == before


async def test_a_forgotten_observation_ends_on_the_device(leshan, bridges):
    """R19: the server's RST goes on to the device, again and again if it did not hear the first."""
    bridge = bridges("core-forgotten")
    await bridge.register("core-forgotten")
    started = await leshan.start("observe", "core-forgotten", "/3303/0/5700", format="TEXT")
    observe = await bridge.downlink()
    bridge.answer(observe, "2.05", b"20.5", TEXT, (OBSERVE, b"\x01"))
    assert (await leshan.result(started))["success"]
    await leshan.run("forget-observe", "core-forgotten", "/3303/0/5700")
    for mid in (70, 71, 72):
        bridge.uplink(Message(CON, code("2.05"), mid, observe.token, (TEXT, (OBSERVE, bytes([mid]))), b"%d" % mid))
        assert await bridge.downlink() == Message(RST, EMPTY, mid)


async def test_an_observation_of_the_registration_before_ends_on_the_device(leshan, bridges):
    """R20: Leshan drops its observations when a device registers anew."""
    bridge = bridges("core-again")
    await bridge.register("core-again")
    started = await leshan.start("observe", "core-again", "/3303/0/5700", format="TEXT")
    observe = await bridge.downlink()
    bridge.answer(observe, "2.05", b"20.5", TEXT, (OBSERVE, b"\x01"))
    assert (await leshan.result(started))["success"]
    assert (await bridge.register("core-again", "lt=301&b=N")).dotted() == "2.01"
    bridge.uplink(Message(CON, code("2.05"), 80, observe.token, (TEXT, (OBSERVE, b"\x02")), b"21.5"))
    assert await bridge.downlink() == Message(RST, EMPTY, 80)


async def test_a_cancel_on_the_wire_keeps_the_south_token(leshan, bridges):
    """R1: Leshan's GET with Observe 1 has the token of its Observe."""
    bridge = bridges("core-cancel")
    await bridge.register("core-cancel")
    started = await leshan.start("observe", "core-cancel", "/3303/0/5700", format="TEXT")
    observe = await bridge.downlink()
    bridge.answer(observe, "2.05", b"20.5", TEXT, (OBSERVE, b"\x01"))
    assert (await leshan.result(started))["success"]
    started = await leshan.start("cancel-observe", "core-cancel", "/3303/0/5700")
    cancel = await bridge.downlink()
    assert (cancel.option(OBSERVE), cancel.token) == (b"\x01", observe.token)
    bridge.answer(cancel, "2.05", b"20.5", TEXT)
    assert (await leshan.result(started))["success"]


async def test_a_write_too_large_for_the_radio_arrives_in_blocks_that_fit(leshan, bridges):
    """R25: refused with 4.13 and a size, Leshan sends it again block by block."""
    largest = 64
    bridge = bridges("core-blocks", south=replace(NIDD, max_downlink=largest))
    assert (await bridge.register("core-blocks")).dotted() == "2.01"
    value = bytes(range(200))
    started = await leshan.start("write", "core-blocks", "/5/0/0", value=value.hex(), format="OPAQUE")
    arrived = b""
    while True:
        part = await bridge.downlink()
        assert len(encode(part)) <= largest
        number, more, size = unblock(part.option(BLOCK1) or b"")
        assert len(arrived) == number * size
        arrived += part.payload
        bridge.answer(part, "2.31" if more else "2.04", b"", (BLOCK1, block(number, more=more, size=size)))
        if not more:
            break
    assert arrived == value
    assert (await leshan.result(started))["code"] == "2.04"


async def test_a_device_may_not_register_under_another_name(leshan, bridges):
    """R22."""
    assert (await bridges("core-honest").register("core-other")).dotted() == "4.03"
    assert await leshan.registration("core-other") is None
