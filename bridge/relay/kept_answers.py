"""Later blocks of large answers to a device: cut from the stored answer, without asking its server again (R25).

The row of the device's request has the whole answer, as it does for repeats (R13). `toward_device` cuts the first
block; this module cuts the later ones that the device asks for, in the size that fits then.
"""

from bridge.coap.message import Message, parse
from bridge.coap.numbers import OptionNumber
from bridge.delivery.states import UplinkState
from bridge.delivery.uplinks import DeviceRequest
from bridge.enums import members
from bridge.relay import toward_device, toward_server
from bridge.relay.blocks import block_at, block_of
from bridge.relay.effects import Count
from bridge.relay.state import Step

_FITTED_QUERIES = ("Register", "Update")  # R21 changes these: the server got another request than the device sent
_U = members(UplinkState)


def asks_later_block(message: Message) -> bool:
    """Return whether a device asks for a later block of an answer."""
    asked = block_of(message, OptionNumber.BLOCK2)
    return asked is not None and asked.number > 0


def serve(step: Step, asking: DeviceRequest, message: Message) -> bool:
    """Answer a request for a later block from the stored answer; False: it is not one, or the answer is not stored.

    `asking` is the request as a new row, not added yet.
    """
    asked = block_of(message, OptionNumber.BLOCK2)
    if asked is None or not asked.number or asking.operation == "OSCORE":
        return False
    kept = _kept_answer(step, asking, message)
    if kept is None:
        return False
    answer = parse(kept.reply_code, kept.reply_body)
    body = block_at(answer, asked.offset, asked.szx)
    if body is None:
        return False
    kept.keep_until = max(kept.keep_until, step.wall + step.south.exchange_span)
    step.state.kept_uplinks.renew(kept)
    step.work.update(kept)
    asking.expires_at = None
    toward_server.add(step, asking)
    toward_server.settle(step, asking, _U.DUPLICATE, "a further block of an answer that the bridge keeps")
    step.effect(Count("kept_blocks"))
    toward_device.respond(step, asking, answer.code, body, f"{asking.operation} answer")
    return True


def _kept_answer(step: Step, asking: DeviceRequest, message: Message) -> DeviceRequest | None:
    """Return the device's earlier request that has the answer: the latest that is equal (RFC 7959 §2.4)."""
    path, query = message.strings(OptionNumber.URI_PATH), message.strings(OptionNumber.URI_QUERY)
    for row in reversed(step.state.kept_uplinks.values()):
        if type(row) is not DeviceRequest or row.operation != asking.operation or row.server != asking.server:
            continue
        if row.reply_type is None or row.state is not _U.FORWARDED or row.keep_until <= step.wall:
            continue
        if row.code != message.code:
            continue
        asked = parse(row.code, row.body)
        if asked.strings(OptionNumber.URI_PATH) != path:
            continue
        if asking.operation in _FITTED_QUERIES or asked.strings(OptionNumber.URI_QUERY) == query:
            return row
    return None
