"""CoAP from servers and devices: the codec, block options, and the step of an endpoint with all that happens to it."""

from bridge.coap.message import Type, decode_body, encode_body
from bridge.coap.numbers import OptionNumber
from bridge.coap.oscore import kid_of
from bridge.coap.udp import decode, empty, frame
from bridge.errors import MessageFormatError
from bridge.relay import events as ev
from bridge.relay.blocks import asking_smaller, block_at, block_of, part_at, shorter_response
from tests.fuzz.target import Target, joined, pieces
from tests.relay.world import LORAWAN, NIDD, World

UINTS = (OptionNumber.OBSERVE, OptionNumber.BLOCK1, OptionNumber.BLOCK2, OptionNumber.ACCEPT)
TEXTS = (OptionNumber.URI_PATH, OptionNumber.URI_QUERY)
GET = frame(Type.CON, 1, 7, b"\1", encode_body([(11, b"3"), (11, b"0")], b""))
REGISTER = frame(Type.CON, 2, 9, b"\2", encode_body([(11, b"rd"), (15, b"ep=urn:dev:1"), (15, b"lt=60")], b"</1/0>"))
BLOCK = frame(Type.CON, 3, 8, b"\3", encode_body([(11, b"5"), (27, b"\x0e"), (12, b"\x2a")], b"x" * 100))
ANSWER = frame(Type.ACK, 69, 7, b"\1", encode_body([(23, b"\x0e"), (6, b"\5")], b"y" * 80))
SAMPLES = [GET, REGISTER, BLOCK, ANSWER, empty(Type.CON, 4)]


def codec(data: bytes) -> None:
    """What is read can be written, and is then read as the same."""
    try:
        message = decode(data)
    except MessageFormatError:
        return
    for number in UINTS:
        message.uint(number)
    for number in TEXTS:
        message.strings(number)
    again = decode(frame(message.type, message.code, message.mid, message.token, message.body))
    assert again == message
    body = encode_body(message.options, message.payload)  # the shortest, which the one that came may not be
    assert decode_body(body) == (message.options, message.payload)


def blocks(data: bytes) -> None:
    """Cutting messages to any size gives bodies that fit, or none."""
    if len(data) < 4:
        return
    room, szx, offset = data[0], data[1] % 7, data[2] * 16
    try:
        message = decode(data[3:])
    except MessageFormatError:
        return

    def fits(body: bytes) -> bool:
        return len(body) <= room

    one, two = block_of(message, OptionNumber.BLOCK1), block_of(message, OptionNumber.BLOCK2)
    body = None
    if message.is_request and one is not None and 0 <= offset - one.offset < len(message.payload):
        body = part_at(message, offset, szx, fits)
    elif message.is_response:
        body = block_at(message, offset if two is None else two.offset, szx, fits)
        shorter_response(message, fits, szx)
    assert body is None or fits(body)
    if message.is_request:
        asking_smaller(message, room)


def step(data: bytes) -> None:
    """Whatever a server, a device and time do to an endpoint, the step raises nothing and an outcome never changes."""
    world = World(LORAWAN if data[:1] == b"L" else NIDD)
    for piece in pieces(data[1:]):
        what, content = piece[:1], piece[1:]
        if what == b"s":
            world.event(ev.ServerDatagram("srv", content))
        elif what == b"d":
            world.event(ev.DeviceMessage(content))
        elif what == b"n":
            world.event(ev.DeviceMessage(content[1:], content[:1].hex()))
        elif what == b"t":
            world.passes(min(int.from_bytes(content[:2], "big"), 2000))
        elif what == b"r":
            world.restart()


def oscore_option(data: bytes) -> None:
    """A kid is what stands behind the partial IV and the kid context, or there is none."""
    kid = kid_of(data)
    if kid is None:
        return
    flags, partial_iv = data[0], data[0] & 7
    context = data[1 + partial_iv :][: 1 + data[1 + partial_iv]] if flags & 16 else b""
    assert flags < 32
    assert flags & 8
    assert data == data[: 1 + partial_iv] + context + kid


def _steps() -> list[bytes]:
    walk = joined(b"d" + REGISTER, b"s" + GET, b"t\0\2", b"d" + ANSWER, b"r", b"s" + BLOCK, b"t\1\0", b"n\1" + REGISTER)
    return [b"N" + walk, b"L" + walk]


CODEC = Target("coap", codec, lambda: SAMPLES)
BLOCKS = Target("blocks", blocks, lambda: [bytes((40, 2, 1)) + sample for sample in SAMPLES])
OSCORE_OPTION = Target(
    "oscore-option", oscore_option, lambda: [b"", b"\x09\x01\xa2", b"\x19\x01\x02\xc0\xc1\xa2", b"\x08"]
)
STEP = Target("step", step, _steps)
