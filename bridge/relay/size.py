"""How a request that does not fit the network is refused (size, R25; RFC 7959 §2.9.3)."""

from bindings.contract import SouthProfile
from bridge.coap.message import Message, Option, uint_value
from bridge.coap.numbers import Code, OptionNumber

LARGEST_SZX = 6  # 1024 bytes; 7 is reserved (RFC 7959 §2.2)
BLOCK_OPTION_ROOM = 5  # bytes that a Block1 option of a later block needs at most: head, its extension, 3 of value
BLOCK_VALUE = 3  # bytes of a block option's value at most (RFC 7959 §2.2)


def block_size(szx: int) -> int:
    """Return the bytes of a block for its SZX (RFC 7959 §2.2)."""
    return 16 << szx


def largest_szx(room: int) -> int | None:
    """Return the largest SZX whose blocks fit `room` bytes, or None."""
    for szx in range(LARGEST_SZX, -1, -1):
        if block_size(szx) <= room:
            return szx
    return None


def refusal_for(south: SouthProfile, message: Message, size: int, largest: int) -> tuple[int, list[Option], str] | None:
    """Return how a request of `size` bytes is refused where `largest` fit; None: it is not, for it fits soon.

    If no block fits now, but one will fit soon, the server is offered that size.
    """
    code, options = refusal(message, size, largest)
    fits = largest
    if code == Code.SERVICE_UNAVAILABLE and south.max_downlink_soon is not None:
        if fits_soon(south, size):
            return None
        fits = south.max_downlink_soon
        code, options = refusal(message, size, fits)
    return code, options, f"too large: {size} bytes, {fits} fit"


def block_room(message: Message, south_size: int, largest: int) -> int:
    """Return the bytes that are left for payload in any block of a request that takes `south_size` bytes now."""
    value = message.option(OptionNumber.BLOCK1)
    head = south_size - len(message.payload) + (BLOCK_OPTION_ROOM if value is None else BLOCK_VALUE - len(value))
    return largest - head


def fits_soon(south: SouthProfile, size: int) -> bool:
    """Return whether a message that does not fit now will fit after a few more messages of the device."""
    return south.max_downlink_soon is not None and size <= south.max_downlink_soon


def refusal(message: Message, south_size: int, largest: int) -> tuple[int, list[Option]]:
    """Return the code and options that refuse a request of `south_size` bytes where `largest` fit.

    4.13 with a smaller Block1 size lets the server go on block-wise; if no block fits, it is 5.03.
    """
    if message.option(OptionNumber.OSCORE) is not None:
        return Code.SERVICE_UNAVAILABLE, []  # the bridge does not handle blocks of OSCORE messages (R27)
    block1 = message.uint(OptionNumber.BLOCK1)
    at_start = block1 is None or block1 >> 4 == 0
    if message.payload and at_start:
        now = block_size(min(block1 & 7, LARGEST_SZX)) if block1 is not None else len(message.payload)
        szx = largest_szx(min(block_room(message, south_size, largest), now - 1))
        if szx is not None:
            return Code.REQUEST_ENTITY_TOO_LARGE, [(OptionNumber.BLOCK1, uint_value(szx))]
    return Code.SERVICE_UNAVAILABLE, []
