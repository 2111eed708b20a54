"""Requests of servers in blocks that fit the radio, whatever it carries when they go (R25, RFC 7959).

A request's block that no longer fits is split: its row goes on with the first part, and when the device has asked for
more, the next part is a row of its own. The server's one answer is the answer to the last part.
"""

from bindings.contract import BLOCK2
from bridge.coap.codec import HEADER, Message, decode, encode_body, frame
from bridge.coap.numbers import Code, OptionNumber
from bridge.delivery.deliveries import ANSWER, REQUEST
from bridge.delivery.ledger import Downlink, DownlinkState, Uplink
from bridge.enums import members
from bridge.relay import toward_device
from bridge.relay.blocks import (
    ANY_ANSWER,
    ANY_ROOM,
    Block,
    asking_smaller,
    block_of,
    is_splittable,
    part_at,
    with_block,
)
from bridge.relay.size import block_room, largest_szx
from bridge.relay.state import Step

_GETS = (Code.GET, Code.FETCH)
_S = members(DownlinkState)


# -- before a request is sent ----------------------------------------------------------------------------------------


def asks_smaller(step: Step, operation: str, payload: bytes, decoded: Message | None = None) -> bytes:
    """Give a request of a server so that the device's answer fits what it can say in one message.

    `decoded` has the same options and payload, if it is at hand.
    """
    uplink, largest = step.south.max_uplink, step.south.max_downlink
    if uplink is None or uplink >= ANY_ANSWER or payload[1] not in _GETS or operation == "OSCORE":
        return payload
    if step.state.endpoint.options.get(BLOCK2) == "false":
        return payload
    smaller = asking_smaller(payload, uplink, decoded or decode(payload))
    return payload if largest is not None and len(smaller) > largest >= len(payload) else smaller


def uplink_changed(step: Step) -> None:
    """What waits is to be answered in the size that the device can send now."""
    state = step.state
    for row in state.deliveries.live.values():
        if row.kind == REQUEST and row.state is _S.QUEUED and row.never_left:
            smaller = asks_smaller(step, row.operation, row.payload)
            if smaller is not row.payload:
                row.payload = smaller
                step.work.update(row)


def can_be_split(message: Message, operation: str, south_token: bytes, largest: int) -> bool:
    """Whether a request that does not fit is a block in mid-transfer, parts of which do."""
    block = block_of(message, OptionNumber.BLOCK1)
    if block is None or operation == "OSCORE" or not is_splittable(message):
        return False
    return part_at(message, block.offset, block.szx, largest - HEADER - len(south_token)) is not None


def fit(step: Step, row: Downlink) -> None:
    """Make what is to go now but does not fit smaller, or end it."""
    largest = step.south.max_downlink
    deliveries = step.state.deliveries
    if largest is not None and row.state is _S.QUEUED and row.never_left and row.operation != "OSCORE":
        smaller = None
        if row.kind == REQUEST:
            smaller = _part(row, largest)
        elif row.kind == ANSWER:
            smaller = toward_device.shortened(_answered_by(step, row), row.payload, largest)
        if smaller is not None:
            row.payload = smaller
            step.work.update(row)
            return
    deliveries.too_large(row, step.work, step.south)
    if row.over and row.kind == ANSWER:
        toward_device.unavailable(step, _answered_by(step, row), row)


def _answered_by(step: Step, row: Downlink) -> Uplink | None:
    """Give the device's message that an answer is for."""
    if row.answers is None:
        return None
    return step.state.uplink(row.answers)


def _part(row: Downlink, largest: int) -> bytes | None:
    """Give the part of a block with which its row begins, or goes on in a smaller size."""
    now = decode(row.payload)
    block = block_of(now, OptionNumber.BLOCK1)
    whole = row.split_from or row.payload
    if block is None or (row.split_from is None and not is_splittable(now)):
        return None
    head = row.payload[: HEADER + len(now.token)]
    body = part_at(decode(whole), block.offset, block.szx, largest - len(head))
    if body is None:
        return None
    row.split_from = whole
    return head + body


def is_later_part(row: Downlink) -> bool:
    """Whether a row is a part of a block, other parts of which the device has."""
    if row.split_from is None:
        return False
    part = block_of(decode(row.payload), OptionNumber.BLOCK1)
    whole = block_of(decode(row.split_from), OptionNumber.BLOCK1)
    return part is not None and whole is not None and part.offset > whole.offset


# -- when the device answers -----------------------------------------------------------------------------------------


def next_part(row: Downlink, message: Message) -> bytes | None:
    """Give the body of the part that follows on the device's answer to a part; None: that answer is the server's."""
    if row.split_from is None:
        return None
    part, whole = decode(row.payload), decode(row.split_from)
    sent, block = block_of(part, OptionNumber.BLOCK1), block_of(whole, OptionNumber.BLOCK1)
    wanted = block_of(message, OptionNumber.BLOCK1)
    if sent is None or block is None or wanted is None or message.code >> 5 != 2:  # noqa: PLR2004
        return None
    at = sent.offset + len(part.payload)
    if at >= block.offset + len(whole.payload):
        return None
    return part_at(whole, at, min(sent.szx, wanted.szx), ANY_ROOM)


def send_next(step: Step, before: Downlink, body: bytes) -> None:
    """Queue the next part of a block as a row of its own; it takes the server's exchange over."""
    state = step.state
    mid, token = state.allocate_south_mid(), state.allocate_token()
    payload = frame(before.payload[0] >> 4 & 3, before.payload[1], mid, token, body)
    row = Downlink(
        id=step.work.new_id(),
        endpoint=before.endpoint,
        shard=before.shard,
        kind=before.kind,
        accepted_at=before.accepted_at,
        server=before.server,
        north_mid=before.north_mid,
        north_token=before.north_token,
        confirmable=before.confirmable,
        operation=before.operation,
        observe=None,
        repeatable=before.repeatable,
        south_mid=mid,
        south_token=token,
        answers=None,
        priority=1,
        payload=payload,
        deliver_by=before.deliver_by,
        answer_by=before.answer_by,
        cancel_asked=before.cancel_asked,
        split_from=before.split_from,
    )
    before.split_from = None
    state.deliveries.add(row, step.work)
    state.index_downlink(row)
    due = state.empty_ack_due.pop(before.id, None)
    if due is not None:
        state.empty_ack_due[row.id] = due


def relayed_body(step: Step, row: Downlink, message: Message) -> bytes:
    """Give the body of a device's answer as the server understands it: of its own block, with the size that fits now.

    RFC 7959 §2.3: the number is that of the block acknowledged, the size that of all further ones.
    """
    whole = decode(row.split_from or row.payload)
    asked, block = block_of(whole, OptionNumber.BLOCK1), block_of(message, OptionNumber.BLOCK1)
    if asked is None or block is None or row.operation == "OSCORE":
        return message.body
    szx = min(asked.szx, block.szx)
    if asked.more and message.code >> 5 == 2 and step.south.max_downlink is not None:  # noqa: PLR2004
        # Size1 comes with the first block only (RFC 7959 §4).
        options = [one for one in whole.options if one[0] != OptionNumber.SIZE1]
        size = HEADER + len(whole.token) + len(encode_body(options, whole.payload))
        fits = largest_szx(block_room(whole, size, step.south.max_downlink))
        szx = szx if fits is None else min(szx, fits)
    relayed = Block(block.number if row.split_from is None else asked.number, block.more, szx)
    return message.body if relayed == block else with_block(message, OptionNumber.BLOCK1, relayed, message.payload)
