"""Splits requests of servers into blocks that fit the radio at the time of sending (R25, RFC 7959).

A block of a request that no longer fits is split. Its row becomes the first part; when the device asks for more,
the next part gets a row of its own. The server gets one answer: the answer to the last part.
"""

from bindings.option_names import BLOCK2
from bridge.coap.message import Message, Option, encode_body, parse
from bridge.coap.numbers import Code, OptionNumber
from bridge.delivery.attempts import nobody_has_it
from bridge.delivery.downlinks import CONTINUES, Answer, CoapDownlink, Downlink, ServerRequest
from bridge.delivery.states import DownlinkState
from bridge.delivery.uplinks import DeviceUplink, Uplink
from bridge.enums import members
from bridge.relay import toward_device
from bridge.relay.blocks import ANY_ANSWER, Block, Fits, asking_smaller, block_of, is_splittable, part_at, with_block
from bridge.relay.size import block_room, fits_soon, largest_szx, refusal
from bridge.relay.state import Step

_GETS = (Code.GET, Code.FETCH)
_S = members(DownlinkState)


def parsed(row: CoapDownlink) -> Message:
    """Return the message of a row, parsed."""
    return parse(row.code, row.body, row.south_token)


# -- before a request is sent ----------------------------------------------------------------------------------------


def asks_smaller(step: Step, operation: str, request: Message) -> bytes | None:
    """Return a request's body that asks for an answer which fits one message of the device.

    `request` has the token of the hop toward the device. None: the request needs no change.
    """
    uplink, largest = step.south.max_uplink, step.south.max_downlink
    if uplink is None or uplink >= ANY_ANSWER or request.code not in _GETS or operation == "OSCORE":
        return None
    if step.state.endpoint.options.get(BLOCK2) == "false":
        return None
    smaller = asking_smaller(request, uplink)
    if smaller is None or largest is None:
        return smaller
    size = step.state.south_hop.size_of
    return None if size(request.token, smaller) > largest >= size(request.token, request.body) else smaller


def uplink_changed(step: Step) -> None:
    """Change the waiting requests so that the device answers in the size that it can send now."""
    for row in step.state.deliveries.live.values():
        if type(row) is ServerRequest and row.state is _S.QUEUED and nobody_has_it(row.attempts) and row.code in _GETS:
            smaller = asks_smaller(step, row.operation, parsed(row))
            if smaller is not None:
                row.body = smaller
                step.work.update(row)


def can_be_split(step: Step, message: Message, operation: str, largest: int) -> bool:
    """Return whether a request that does not fit is a block in mid-transfer that can be split into parts that fit."""
    block = block_of(message, OptionNumber.BLOCK1)
    if block is None or operation == "OSCORE" or not is_splittable(message):
        return False
    return part_at(message, block.offset, block.szx, step.state.fits(message.token, largest)) is not None


def too_large(step: Step, row: ServerRequest) -> tuple[int, list[Option]]:
    """Return the code and options that refuse a server's request which does not fit now."""
    size = step.state.south_hop.size(row)
    return refusal(parsed(row), size, size if step.south.max_downlink is None else step.south.max_downlink)


def fit(step: Step, row: Downlink) -> None:
    """Shrink the next message if it does not fit, or end it."""
    largest = step.south.max_downlink
    deliveries = step.state.deliveries
    if isinstance(row, CoapDownlink) and largest is not None and nobody_has_it(row.attempts):
        smaller = None
        if row.operation != "OSCORE":
            fits = step.state.fits(row.south_token, largest)
            if type(row) is ServerRequest:
                smaller = _part(row, fits)
            elif type(row) is Answer:
                smaller = toward_device.shortened(_answered_by(step, row), parsed(row), fits)
        if smaller is not None:
            row.body = smaller
            step.work.update(row)
            return
        if type(row) is ServerRequest and fits_soon(step.south, step.state.south_hop.size(row)):
            deliveries.wait_for_size(row, step.work, step.south)
            return
    deliveries.too_large(row, step.work, step.south)
    if row.over and type(row) is Answer:
        toward_device.unavailable(step, _answered_by(step, row), row)


def _answered_by(step: Step, row: Answer) -> DeviceUplink | None:
    """Return the device's message that an answer belongs to."""
    uplink: Uplink | None = None if row.answers is None else step.state.uplink(row.answers)
    return uplink if isinstance(uplink, DeviceUplink) else None


def _part(row: ServerRequest, fits: Fits) -> bytes | None:
    """Return the part of a block for its row: the first one, or the same in a smaller size."""
    now = parsed(row)
    block = block_of(now, OptionNumber.BLOCK1)
    whole = row.body if row.split_from is None else row.split_from
    if block is None or (row.split_from is None and not is_splittable(now)):
        return None
    body = part_at(parse(row.code, whole), block.offset, block.szx, fits)
    if body is not None:
        row.split_from = whole
    return body


def is_later_part(row: ServerRequest) -> bool:
    """Return whether a row is a part of a block of which the device has other parts."""
    if row.split_from is None:
        return False
    part = block_of(parsed(row), OptionNumber.BLOCK1)
    whole = block_of(parse(row.code, row.split_from), OptionNumber.BLOCK1)
    return part is not None and whole is not None and part.offset > whole.offset


# -- when the device answers -----------------------------------------------------------------------------------------


def next_part(row: ServerRequest, message: Message) -> bytes | None:
    """Return the body of the next part after the device's answer to a part; None: that answer is for the server."""
    if row.split_from is None:
        return None
    part, whole = parsed(row), parse(row.code, row.split_from)
    sent, block = block_of(part, OptionNumber.BLOCK1), block_of(whole, OptionNumber.BLOCK1)
    wanted = block_of(message, OptionNumber.BLOCK1)
    if sent is None or block is None or wanted is None or message.code >> 5 != 2:  # noqa: PLR2004
        return None
    at = sent.offset + len(part.payload)
    if at >= block.offset + len(whole.payload):
        return None
    return part_at(whole, at, min(sent.szx, wanted.szx))


def ends_early(row: ServerRequest, message: Message) -> bool:
    """Return whether the device answers a part with success although it did not get all bytes of the block."""
    if row.split_from is None or message.code >> 5 != 2:  # noqa: PLR2004
        return False
    part, whole = parsed(row), parse(row.code, row.split_from)
    sent, block = block_of(part, OptionNumber.BLOCK1), block_of(whole, OptionNumber.BLOCK1)
    if sent is None or block is None:
        return False
    return sent.offset + len(part.payload) < block.offset + len(whole.payload)


def is_of_last_block(row: ServerRequest) -> bool:
    """Return whether a part is of the last block of a server's transfer: success for it says that the whole arrived."""
    whole = None if row.split_from is None else block_of(parse(row.code, row.split_from), OptionNumber.BLOCK1)
    return whole is not None and not whole.more


def send_next(step: Step, before: ServerRequest, body: bytes) -> None:
    """Queue the next message of an exchange as a row of its own; it takes over the server's exchange.

    If the exchange is to be cancelled, the row ends at once: its outcome says that the device never gets this part.
    """
    state = step.state
    row = ServerRequest.accepted(
        step.work.new_id(),
        before.endpoint,
        before.shard,
        before.accepted_at,
        before.operation,
        before.repeatable,
        before.deliver_by,
        body,
        before.coap_type,
        before.code,
        state.south_mids.allocate(state.by_south_mid),
        state.allocate_token(),
        before.server,
        before.north_mid,
        before.north_token,
        None,  # parts observe nothing
        CONTINUES,
        before.answer_by,
        before.confirmed,
    )
    row.split_from, before.split_from = before.split_from, None
    state.deliveries.add(row, step.work)
    state.index_request(row)
    due = state.empty_ack_due.pop(before.id, None)
    if due is not None:
        state.empty_ack_due[row.id] = due
    if before.cancel_asked:
        row.cancel_asked = True
        state.deliveries.end(row, _S.CANCELLED, step.work, "cancelled on request")


def relayed_body(step: Step, row: ServerRequest, message: Message) -> bytes:
    """Return the body of a device's answer for the server: with the server's block number, and the size that fits now.

    RFC 7959 §2.3: the number is that of the acknowledged block, the size is for all further blocks.
    """
    whole = parse(row.code, row.body if row.split_from is None else row.split_from, row.south_token)
    asked, block = block_of(whole, OptionNumber.BLOCK1), block_of(message, OptionNumber.BLOCK1)
    if asked is None or block is None or row.operation == "OSCORE":
        return message.body
    szx = min(asked.szx, block.szx)
    if asked.more and message.code >> 5 == 2 and step.south.max_downlink is not None:  # noqa: PLR2004
        # Size1 comes with the first block only (RFC 7959 §4).
        options = [one for one in whole.options if one[0] != OptionNumber.SIZE1]
        size = step.state.south_hop.size_of(whole.token, encode_body(options, whole.payload))
        fits = largest_szx(block_room(whole, size, step.south.max_downlink))
        szx = szx if fits is None else min(szx, fits)
    relayed = Block(block.number if row.split_from is None else asked.number, block.more, szx)
    return message.body if relayed == block else with_block(message, OptionNumber.BLOCK1, relayed, message.payload)
