"""Blocks as bytes (RFC 7959): asking for smaller ones, cutting one out of a message, renumbering one for another size.

All other options of a message stay unchanged (two hops, R1).
"""

from collections.abc import Callable

import msgspec

from bridge.coap import udp
from bridge.coap.message import Message, encode_body, uint_value
from bridge.coap.numbers import Code, OptionNumber
from bridge.relay.size import BLOCK_VALUE, LARGEST_SZX, block_size, largest_szx

_OBSERVE = 4  # bytes of a response's Observe option at most: head, 3 of value (RFC 7641 §2)
_ANSWER = 3 + 3 + 3 + 1  # bytes: Content-Format, a Block2 of 2 bytes (block number below 4096), Size2, payload marker
_LONG_DELTA = 13  # from here an option's delta takes more than its nibble (RFC 7252 §3.1)
ANY_ANSWER = block_size(LARGEST_SZX) + udp.HEADER + 2 + _OBSERVE + _ANSWER
"""Bytes of the largest unsolicited response: a payload has at most 1024 bytes (RFC 7252 §4.6)."""

_NUMBERS = 1 << 20  # of block numbers (RFC 7959 §2.2): a late block may have no number in a smaller size

Fits = Callable[[bytes], bool]
"""Whether a message with this body can be carried."""


def anything_fits(_body: bytes) -> bool:
    """Set no limit."""
    return True


class Block(msgspec.Struct, frozen=True):
    """Value of a Block1 or Block2 option (RFC 7959 §2.2)."""

    number: int
    more: bool
    szx: int

    @property
    def size(self) -> int:
        return block_size(self.szx)

    @property
    def offset(self) -> int:
        """Return where the block begins, in bytes."""
        return self.number << self.szx + 4

    def value(self) -> bytes:
        return uint_value(self.number << 4 | self.more << 3 | self.szx)


def block_of(message: Message, option: int) -> Block | None:
    """Return a message's Block1 or Block2; None if it has none, or one that RFC 7959 §2.2 does not allow."""
    value = message.option(option)
    if value is None or len(value) > BLOCK_VALUE:
        return None
    number = int.from_bytes(value, "big")
    return None if number & 7 > LARGEST_SZX else Block(number >> 4, bool(number & 8), number & 7)


def with_block(message: Message, option: int, block: Block, payload: bytes) -> bytes:
    """Return the body of a message with another block option and payload."""
    options = [one for one in message.options if one[0] != option]
    return encode_body([*options, (option, block.value())], payload)


def asking_smaller(request: Message, largest: int) -> bytes | None:
    """Return the body of a GET or FETCH that asks for blocks that fit `largest` bytes.

    This is early negotiation (RFC 7959 §2.4). None if the request does so already, or if no size would fit. `request`
    has the token of the hop toward the device.
    """
    head = udp.HEADER + len(request.token) + _ANSWER
    if request.option(OptionNumber.OBSERVE) is not None:
        head += _OBSERVE
    asked: Block | None = None
    last = request.options[-1][0] if request.options else 0
    if last >= OptionNumber.BLOCK2 and request.option(OptionNumber.BLOCK2) is not None:
        asked = block_of(request, OptionNumber.BLOCK2)
        if asked is None:
            return None  # the device will answer what is wrong with it
        if asked.number:
            head += BLOCK_VALUE - 2
    if last >= OptionNumber.BLOCK1 and not _ends_transfer(request):
        return None  # it is answered 2.31; only the final block gets the real answer (RFC 7959 §3.3)
    szx = largest_szx(largest - head)
    if szx is None or szx >= (LARGEST_SZX if asked is None else asked.szx):
        return None
    wanted = Block(0 if asked is None else asked.offset >> szx + 4, more=False, szx=szx)
    if wanted.number >= _NUMBERS:
        return None
    delta = OptionNumber.BLOCK2 - last
    if 0 < delta < _LONG_DELTA and not request.payload:
        value = wanted.value()
        return request.body + bytes((delta << 4 | len(value),)) + value
    return with_block(request, OptionNumber.BLOCK2, wanted, request.payload)


def _ends_transfer(request: Message) -> bool:
    """Return whether a request has no Block1, or the final one."""
    block1 = request.uint(OptionNumber.BLOCK1)
    return block1 is None or not block1 & 8


def shorter_response(response: Message, fits: Fits, szx: int) -> bytes | None:
    """Return the body of a response that does not fit as its first block, of SZX at most `szx`; None: nothing fits.

    A diagnostic payload is left out instead: the code is enough (RFC 7252 §5.5.2).
    """
    if response.code >= Code.BAD_REQUEST and response.option(OptionNumber.CONTENT_FORMAT) is None:
        bare = encode_body(response.options, b"")
        return bare if fits(bare) else None
    there = block_of(response, OptionNumber.BLOCK2)
    return block_at(response, 0 if there is None else there.offset, szx, fits)


def block_at(response: Message, offset: int, szx: int, fits: Fits = anything_fits) -> bytes | None:
    """Return the body of the block that begins at `offset`, of SZX at most `szx`; None: none fits.

    `response` is the whole representation, or the one block of it that its own Block2 names.
    """
    there = block_of(response, OptionNumber.BLOCK2) or Block(0, more=False, szx=LARGEST_SZX)
    if response.option(OptionNumber.BLOCK2) is not None:
        szx = min(szx, there.szx)
    at = offset - there.offset
    if not 0 <= at < len(response.payload):
        return None
    options = [one for one in response.options if one[0] != OptionNumber.BLOCK2]
    if offset:  # Observe and Size2 are only in the first block (RFC 7959 §2.6, §4)
        options = [one for one in options if one[0] not in (OptionNumber.OBSERVE, OptionNumber.SIZE2)]
    end = there.offset + len(response.payload)
    for smaller in range(szx, -1, -1):
        size = block_size(smaller)
        last = Block(max(end - 1, 0) // size, more=True, szx=smaller)  # no option of the transfer is longer
        if last.number >= _NUMBERS:
            return None
        chunk = response.payload[at : at + size]
        if not fits(encode_body([*options, (OptionNumber.BLOCK2, last.value())], chunk)):
            continue
        block = Block(offset // size, more=at + len(chunk) < len(response.payload) or there.more, szx=smaller)
        return encode_body([*options, (OptionNumber.BLOCK2, block.value())], chunk)
    return None


def part_at(request: Message, offset: int, szx: int, fits: Fits = anything_fits) -> bytes | None:
    """Return the body of the part at `offset` of a request's block, of SZX at most `szx`; None: none fits."""
    whole = block_of(request, OptionNumber.BLOCK1)
    if whole is None:
        return None
    at = offset - whole.offset
    for smaller in range(min(szx, whole.szx), -1, -1):
        chunk = request.payload[at : at + block_size(smaller)]
        part = Block(offset >> smaller + 4, more=at + len(chunk) < len(request.payload) or whole.more, szx=smaller)
        if part.number >= _NUMBERS:
            return None
        options = request.options
        if part.more and not whole.more:
            options = tuple(one for one in options if one[0] != OptionNumber.BLOCK2)  # for the final part
        others = [one for one in options if one[0] != OptionNumber.BLOCK1]
        body = encode_body([*others, (OptionNumber.BLOCK1, part.value())], chunk)
        if fits(body):
            return body
    return None


def is_splittable(request: Message) -> bool:
    """Return whether a request is a block in mid-transfer that smaller blocks can replace (RFC 7959 §2.3)."""
    whole = block_of(request, OptionNumber.BLOCK1)
    if whole is None or not whole.number or not request.payload:
        return False
    return len(request.payload) == whole.size if whole.more else len(request.payload) <= whole.size
