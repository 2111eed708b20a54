"""Later blocks of large answers to a device: cut from the answer that is kept, without asking its server again (R25).

The row of the device's request keeps the whole answer, as it does for repeats (R13). `toward_device` cuts the first
block of it; what the device asks for next is cut here, in the size that fits then.
"""

from bridge.coap.codec import Message, decode
from bridge.coap.numbers import OptionNumber
from bridge.delivery.ledger import Uplink, UplinkState
from bridge.enums import members
from bridge.relay import toward_device, toward_server
from bridge.relay.blocks import ANY_ROOM, block_at, block_of
from bridge.relay.effects import Count
from bridge.relay.state import Step

_FITTED_QUERIES = ("Register", "Update")  # R21 changes these: what the device asked is not what the server was asked
_U = members(UplinkState)


def asks_later_block(message: Message) -> bool:
    """Whether a device asks for more of an answer."""
    asked = block_of(message, OptionNumber.BLOCK2)
    return asked is not None and asked.number > 0


def serve(step: Step, message: Message, operation: str, server: str, digest: bytes, duplicate_key: str | None) -> bool:
    """Answer a request for a later block out of the kept answer; False: it is none, or the answer is not kept."""
    asked = block_of(message, OptionNumber.BLOCK2)
    if asked is None or not asked.number or operation == "OSCORE":
        return False
    kept = _kept_answer(step, message, operation, server)
    answer = None if kept is None or kept.answer is None else decode(kept.answer)
    body = None if answer is None else block_at(answer, asked.offset, asked.szx, ANY_ROOM)
    if kept is None or answer is None or body is None:
        return False
    kept.keep_until = max(kept.keep_until, step.wall + step.south.exchange_span)
    step.state.kept_uplinks.renew(kept)
    step.work.update(kept)
    row = toward_server.take_uplink(
        step,
        "request",
        server,
        operation,
        message,
        digest=digest,
        duplicate_key=duplicate_key,
        expires_at=None,
    )
    toward_server.settle(step, row, _U.DUPLICATE, "a further block of an answer that the bridge keeps")
    step.effect(Count("kept_blocks"))
    toward_device.respond(step, row, answer.code, body, f"{operation} answer")
    return True


def _kept_answer(step: Step, message: Message, operation: str, server: str) -> Uplink | None:
    """Give the device's request whose answer is asked for further: the latest one like it (RFC 7959 §2.4)."""
    path, query = message.strings(OptionNumber.URI_PATH), message.strings(OptionNumber.URI_QUERY)
    for row in reversed(step.state.kept_uplinks.values()):
        if row.kind != "request" or row.operation != operation or row.server != server:
            continue
        if row.answer is None or row.state is not _U.FORWARDED or row.keep_until <= step.wall:
            continue
        asked = decode(row.payload)
        if asked.code != message.code or asked.strings(OptionNumber.URI_PATH) != path:
            continue
        if operation in _FITTED_QUERIES or asked.strings(OptionNumber.URI_QUERY) == query:
            return row
    return None
