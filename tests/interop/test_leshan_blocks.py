"""R25 toward a real Leshan: transfers in blocks while the radio changes under them. The device is bytes."""

from dataclasses import replace

import pytest

from tests.interop.core_bridge import Bridge
from tests.interop.raw_device import (
    BLOCK1,
    BLOCK2,
    CON,
    CONTENT_FORMAT,
    GET,
    OBSERVE,
    Message,
    block,
    encode,
    unblock,
    uri,
)
from tests.relay.world import LORAWAN, NIDD

OPAQUE = (CONTENT_FORMAT, b"\x2a")  # 42, application/octet-stream
TLV = (CONTENT_FORMAT, b"\x2d\x16")  # 11542, application/vnd.oma.lwm2m+tlv
LINKS = (CONTENT_FORMAT, b"\x28")  # 40, application/link-format

pytestmark = pytest.mark.timeout(30)


class Radio:
    """What the device gets and says; nothing is larger than the network carries."""

    def __init__(self, bridge: Bridge) -> None:
        self.bridge = bridge
        self.body = b""
        self.blocks: list[tuple[int, bool, int]] = []

    def carries(self, down: int, up: int | None = None) -> None:
        """Change the data rate."""
        self.bridge.south = replace(self.bridge.south, max_downlink=down, max_uplink=up)

    async def takes_block(self) -> bool:
        """Take the next block of a Write in; False: it was the last."""
        part = await self.bridge.downlink()
        assert len(encode(part)) <= (self.bridge.south.max_downlink or 0)
        number, more, size = unblock(part.option(BLOCK1) or b"")
        assert len(self.body) == number * size, "a block is missing or came twice"
        self.blocks.append((number, more, size))
        self.body += part.payload
        self.part = part
        return more

    def acknowledges(self) -> None:
        number, more, size = self.blocks[-1]
        option = (BLOCK1, block(number, more=more, size=size))
        self.bridge.answer(self.part, "2.31" if more else "2.04", b"", option)

    async def gives_block(self, body: bytes, *options: tuple[int, bytes]) -> bool:
        """Answer a GET with the block that it asks for; False: it was the last."""
        ask = await self.bridge.downlink()
        number, _, size = unblock(ask.option(BLOCK2) or b"")
        chunk = body[number * size : (number + 1) * size]
        more = (number + 1) * size < len(body)
        self.blocks.append((number, more, size))
        answer = Message(2, 0x45, ask.mid, ask.token, (*options, (BLOCK2, block(number, more=more, size=size))), chunk)
        assert len(encode(answer)) <= (self.bridge.south.max_uplink or 0)
        self.bridge.uplink(answer)
        return more


async def ready(bridges, name: str, down: int, up: int | None = None, south=NIDD, **more) -> Radio:  # type: ignore[no-untyped-def]
    bridge = bridges(name, south=replace(south, max_downlink=1358, max_uplink=up), **more)
    assert (await bridge.register(name)).dotted() == "2.01"
    radio = Radio(bridge)
    radio.carries(down, up)
    return radio


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


async def test_the_size_falls_in_mid_transfer_and_leshan_goes_on_with_smaller_blocks(leshan, bridges):
    """R25: the relayed 2.31 says the new size; Leshan counts on from there (RFC 7959 §2.5)."""
    radio = await ready(bridges, "blocks-lowered", 600)
    value = bytes(range(256)) * 6
    started = await leshan.start("write", "blocks-lowered", "/5/0/0", value=value.hex(), format="OPAQUE")
    assert await radio.takes_block()
    radio.carries(84)  # before the device answers
    radio.acknowledges()
    while await radio.takes_block():
        radio.acknowledges()
    radio.acknowledges()
    assert radio.body == value
    assert radio.blocks[0] == (0, True, 512)
    assert radio.blocks[1:] == [(number, number < 23, 64) for number in range(8, 24)]
    assert (await leshan.result(started))["code"] == "2.04"
    assert set(radio.bridge.states()) == {"RESPONDED"}
    assert len(radio.bridge.downlinks()) == len(radio.blocks)


@pytest.mark.parametrize("killed", [False, True])
async def test_a_block_that_no_longer_fits_is_split_and_leshan_has_one_answer(leshan, bridges, killed):
    """R25: it was asked for at the old size, so it is on its way when the size falls."""
    name = f"blocks-split-{killed}".lower()
    radio = await ready(bridges, name, 600)
    value = bytes(range(256)) * 6
    started = await leshan.start("write", name, "/5/0/0", value=value.hex(), format="OPAQUE")
    assert await radio.takes_block()
    radio.acknowledges()
    radio.carries(150)  # Leshan's next 512 bytes are on the way
    while await radio.takes_block():
        if killed and len(radio.blocks) == 3:
            radio.bridge.killed_and_started_again()
        radio.acknowledges()
    radio.acknowledges()
    assert radio.body == value
    assert radio.blocks[1:5] == [(number, True, 128) for number in range(4, 8)]  # Leshan's block 1
    assert radio.blocks[5:] == [(number, number < 11, 128) for number in range(8, 12)]  # its own choice now
    assert (await leshan.result(started))["code"] == "2.04"
    assert len(radio.bridge.uplinks("response")) == len(radio.blocks)
    assert [row["state"] for row in radio.bridge.uplinks("response")].count("REPLACED") == 3


async def test_a_large_answer_comes_in_blocks_that_fit_the_uplink(leshan, bridges):
    """R25: Leshan did not ask for blocks, and fetches the rest of the answer."""
    radio = await ready(bridges, "blocks-read", 242, 51, LORAWAN, profile=None)
    value = bytes(range(150))
    started = await leshan.start("read", "blocks-read", "/5/0/0", format="OPAQUE")
    while await radio.gives_block(value, OPAQUE):
        pass
    assert radio.blocks == [(number, number < 4, 32) for number in range(5)]
    result = await leshan.result(started)
    assert (result["code"], result["values"]) == ("2.05", {"/5/0/0": value.hex()})


async def test_the_uplink_narrows_while_leshan_fetches(leshan, bridges):
    """R25: the block that it asks for is lowered and its number counted anew; Leshan follows."""
    radio = await ready(bridges, "blocks-narrow", 242, 222, LORAWAN)
    value = bytes(range(256)) + bytes(100)
    started = await leshan.start("read", "blocks-narrow", "/5/0/0", format="OPAQUE")
    assert await radio.gives_block(value, OPAQUE)
    radio.carries(242, 51)
    while await radio.gives_block(value, OPAQUE):
        pass
    assert radio.blocks[0] == (0, True, 128)
    assert radio.blocks[1:] == [(number, number < 11, 32) for number in range(4, 12)]
    result = await leshan.result(started)
    assert (result["code"], result["values"]) == ("2.05", {"/5/0/0": value.hex()})


async def test_an_observation_and_its_notifications_come_in_blocks(leshan, bridges):
    radio = await ready(bridges, "blocks-observe", 242, 51, LORAWAN)
    value, newer = bytes(range(50)), bytes(range(50, 110))
    started = await leshan.start("observe", "blocks-observe", "/5/0/0", format="OPAQUE")
    ask = await radio.bridge.downlink()
    assert unblock(ask.option(BLOCK2) or b"") == (0, False, 32)
    first = (OPAQUE, (OBSERVE, b"\x01"), (BLOCK2, block(0, more=True, size=32)))
    radio.bridge.answer(ask, "2.05", value[:32], *first)
    assert not await radio.gives_block(value, OPAQUE)
    assert (await leshan.result(started))["values"] == {"/5/0/0": value.hex()}
    told = (OPAQUE, (OBSERVE, b"\x02"), (BLOCK2, block(0, more=True, size=32)))
    radio.bridge.uplink(Message(CON, 0x45, 700, ask.token, told, newer[:32]))
    while True:
        message = await radio.bridge.downlink()
        if message.code == GET:
            break
    number, _, size = unblock(message.option(BLOCK2) or b"")
    assert (number, size) == (1, 32)
    radio.bridge.answer(message, "2.05", newer[32:], OPAQUE, (BLOCK2, block(1, more=False, size=32)))
    notification = await leshan.event("notification", "blocks-observe")
    assert notification["values"] == {"/5/0/0": newer.hex()}


async def test_an_answer_of_leshan_that_does_not_fit_is_served_in_blocks(leshan, bridges):
    """R25: Leshan is asked once, and answers once."""
    radio = await ready(bridges, "blocks-served", 1358)
    whole = await _well_known_core(radio.bridge, 10)
    assert (whole.dotted(), whole.option(CONTENT_FORMAT)) == ("2.05", b"\x28")
    assert len(whole.payload) > 16
    radio.carries(30)
    asked = len(radio.bridge.uplinks("request"))
    got, mid = b"", 20
    answer = await _well_known_core(radio.bridge, mid)
    radio.bridge.killed_and_started_again()
    while True:
        assert len(encode(answer)) <= 30
        number, more, size = unblock(answer.option(BLOCK2) or b"")
        assert number * size == len(got)
        got += answer.payload
        if not more:
            break
        mid += 1
        answer = await _well_known_core(radio.bridge, mid, (BLOCK2, block(number + 1, more=False, size=size)))
    assert got == whole.payload
    states = [row["state"] for row in radio.bridge.uplinks("request")[asked:]]
    assert states == ["FORWARDED"] + ["DUPLICATE"] * (len(states) - 1)


async def _well_known_core(bridge: Bridge, mid: int, *options: tuple[int, bytes]) -> Message:
    """Ask for what every Californium server has (RFC 6690 §4)."""
    bridge.uplink(Message(CON, GET, mid, mid.to_bytes(1, "big"), (*uri("/.well-known/core"), *options)))
    answer = await bridge.downlink()
    assert answer.mid == mid
    return answer
