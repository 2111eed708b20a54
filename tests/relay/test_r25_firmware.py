"""R25: a firmware of 100 KiB, pushed by blocks, in virtual time: whole and in order, whatever the network carries."""

from dataclasses import replace

import pytest
from world import LORAWAN, NIDD, World, ack, request, response

from bridge.coap.message import Message, Type, uint_value
from bridge.coap.numbers import Code, OptionNumber as Opt
from bridge.config.profiles import PROFILES

SIZE = 100 * 1024
PACKAGE = bytes(number * 7 % 251 for number in range(SIZE))
LESHAN = PROFILES["leshan"]
BLOCK = 512  # bytes: Californium's PREFERRED_BLOCK_SIZE
PUT = 3
TAKEN = {Code.CONTINUE, Code.CHANGED}


def block_value(message: Message) -> tuple[int, bool, int]:
    """Return number, more and size of a message's Block1."""
    value = message.uint(Opt.BLOCK1)
    assert value is not None
    return value >> 4, bool(value & 8), 16 << (value & 7)


class Push:
    """A server as Californium is one: it goes on at the size that it was answered, and ends at any other answer."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.offset = 0
        self.size = BLOCK
        self.taken = b""
        self.mid = 0

    def send(self) -> list[Message]:
        """Send the block at the present place; return what the bridge answers at once, if only with an Empty ACK."""
        self.mid += 1
        number, chunk = self.offset // self.size, PACKAGE[self.offset : self.offset + self.size]
        more = self.offset + len(chunk) < SIZE
        value = number << 4 | more << 3 | (self.size.bit_length() - 5)
        options = [(int(Opt.BLOCK1), uint_value(value))] + ([] if number else [(int(Opt.SIZE1), uint_value(SIZE))])
        return self.world.server_sends(request(PUT, "5/0/0", self.mid % 65536, b"t%d" % self.mid, chunk, options))

    def answer(self) -> Message:
        """Have the server acknowledge what the bridge sent last, and go by it; return it."""
        last = self.world.last_north()
        if last.type is Type.CON:
            self.world.server_sends(ack(last))
        if last.code in TAKEN:
            number, _, size = block_value(last)
            self.offset = (number + 1) * size if size < self.size else self.offset + self.size
            self.size = size
        elif last.code == Code.REQUEST_ENTITY_TOO_LARGE:
            self.size = block_value(last)[2]
        return last

    def device_takes(self, after: float) -> None:
        """Have the device take in all blocks that reach it now, each after so many seconds."""
        seen = len(self.world.submitted)
        while True:
            part = self.world.last_south()
            number, more, size = block_value(part)
            assert number * size == len(self.taken), "a block is missing, or came twice"
            self.taken += part.payload
            self.world.passes(after)
            code = Code.CONTINUE if more else Code.CHANGED
            option = (int(Opt.BLOCK1), part.option(Opt.BLOCK1) or b"")
            self.world.device_sends(response(part, code, b"", [option]), f"k{len(self.taken)}")
            if len(self.world.submitted) == seen:
                return
            seen = len(self.world.submitted)


@pytest.mark.parametrize(("south", "carries"), [(NIDD, 1358), (NIDD, 128), (LORAWAN, 51)])
def test_r25_a_firmware_of_100_kib_arrives_whole_in_the_time_that_the_server_gives(south, carries):
    """Each block takes a quarter of a minute."""
    world = World(replace(south, max_downlink=carries), replace(LESHAN, patience=86400.0, transfer=2 * 86400.0))
    push = Push(world)
    last = None
    while last is None or last.code != Code.CHANGED:
        if all(one.code == 0 for one in push.send()):  # it was accepted, not refused with 4.13 and a smaller size
            push.device_takes(15.0)
        last = push.answer()
        assert last.code in {*TAKEN, Code.REQUEST_ENTITY_TOO_LARGE}, last
    assert push.taken == PACKAGE
    assert {row["state"] for row in world.downlinks()} <= {"RESPONDED"}


def test_r25_with_two_minutes_for_all_of_it_it_is_refused_before_anything_goes_to_the_radio():
    world = World(NIDD, LESHAN)
    world.server_sends(request(mid=1, token=b"pace"))
    world.passes(2)
    world.device_sends(response(world.last_south()), "pace")
    if world.last_north().type is Type.CON:
        world.server_sends(ack(world.last_north()))
    before = len(world.submitted)
    (refused,) = Push(world).send()
    assert refused.code == Code.SERVICE_UNAVAILABLE
    text = refused.payload.decode()
    assert all(said in text for said in ("too slow", "102400 bytes", "400 s", "120 s"))
    assert len(world.submitted) == before
