"""Views of the ledger's rows."""

from collections.abc import Sequence

from bridge.coap.message import ACK, NON, RST, Message, parse
from bridge.coap.numbers import OptionNumber
from bridge.coap.words import code_name, target
from bridge.delivery.downlinks import CoapDownlink, Downlink, OpaqueDownlink, ServerRequest
from bridge.delivery.states import UplinkState
from bridge.delivery.uplinks import CoapUplink, OpaqueUplink, Response, Uplink, Verdict
from bridge.errors import MessageFormatError
from bridge.operations.bridge import Bridge
from bridge.operations.types.messages import BlockView, DownlinkView, UplinkView
from bridge.relay.blocks import block_of
from bridge.relay.hops import PLAIN, north_size


async def downlink_views(bridge: Bridge, rows: Sequence[Downlink]) -> tuple[DownlinkView, ...]:
    """Return the views of downlinks, in the same order. Raises StoreUnavailable."""
    answers: dict[int, list[Response | Verdict]] = {}
    for one in await bridge.reads.answers([row for row in rows if type(row) is ServerRequest]):
        answers.setdefault(one.downlink, []).append(one)
    names = await _names(bridge, rows)
    return tuple(_downlink(row, names[row.endpoint], answers.get(row.id, ())) for row in rows)


async def uplink_views(bridge: Bridge, rows: Sequence[Uplink]) -> tuple[UplinkView, ...]:
    """Return the views of uplinks, in the same order. Raises StoreUnavailable."""
    names = await _names(bridge, rows)
    return tuple(_uplink(row, names[row.endpoint]) for row in rows)


def message_of(row: Downlink | Uplink) -> Message | None:
    """Return the CoAP message of a row, without its frame; None for opaque bytes."""
    if not isinstance(row, CoapDownlink | CoapUplink):
        return None
    try:
        return parse(row.code, row.body)
    except MessageFormatError:  # a row that another release wrote differently is still shown
        return None


async def _names(bridge: Bridge, rows: Sequence[Downlink | Uplink]) -> dict[int, str]:
    names: dict[int, str] = {}
    for endpoint in {row.endpoint for row in rows}:
        record = await bridge.directory.by_id(endpoint)
        names[endpoint] = "" if record is None else record.name
    return names


def _downlink(row: Downlink, name: str, answers: Sequence[Response | Verdict]) -> DownlinkView:
    request = row if type(row) is ServerRequest else None
    message = None if request is None else message_of(request)
    responses = [one for one in answers if isinstance(one, Response)]
    verdicts = [one for one in answers if isinstance(one, Verdict)]
    return DownlinkView(
        id=row.id,
        endpoint=name,
        endpoint_id=row.endpoint,
        kind=row.KIND,
        operation=row.operation,
        target="" if message is None else target(message),
        block=None if message is None else _block(message),
        server=row.server if isinstance(row, ServerRequest | OpaqueDownlink) else "",
        state=row.state,
        over=row.over,
        cancel_asked=row.cancel_asked,
        late=request is not None and request.late,
        response=code_name(responses[-1].code) if responses else None,
        verdict=code_name(verdicts[-1].code) if verdicts and verdicts[-1].code else None,
        reason=row.reason,
        attempts=row.attempts[-1].number if row.attempts else 0,
        sent=sum(one.left_at is not None for one in row.attempts),
        bytes=PLAIN.size(row),
        accepted_at=row.accepted_at,
        deliver_by=row.deliver_by,
        answer_by=None if request is None or request.is_direct else request.answer_by,
        not_before=row.not_before,
        finished_at=row.finished_at,
    )


def _block(message: Message) -> BlockView | None:
    block = block_of(message, OptionNumber.BLOCK1)
    if block is None:
        return None
    length = len(message.payload)
    known = message.uint(OptionNumber.SIZE1) or (None if block.more else block.offset + length)
    return BlockView(number=block.number, offset=block.offset, bytes=length, more=block.more, total=known)


def _what_is_not_known(row: Uplink) -> str:
    """Return words on a FORWARDED message that nothing acknowledges, as docs/guarantees.md has it; else ""."""
    if row.state is not UplinkState.FORWARDED:
        return ""
    if isinstance(row, OpaqueUplink):
        return _GOES_ONCE
    once = isinstance(row, Response | Verdict) and row.coap_type in (ACK, NON, RST)
    return _GOES_ONCE if once else ""


_GOES_ONCE = "it goes once and nothing acknowledges it: the link carried it then, and the server may not have it"


def _uplink(row: Uplink, name: str) -> UplinkView:
    message = message_of(row)
    return UplinkView(
        id=row.id,
        endpoint=name,
        endpoint_id=row.endpoint,
        kind=row.KIND,
        operation=row.operation,
        code=code_name(row.code) if isinstance(row, CoapUplink) and row.code else None,
        target=target(message) if message is not None and message.is_request else "",
        server=row.server,
        state=row.state,
        acknowledged=isinstance(row, CoapUplink) and row.acknowledged,
        reason=row.reason or _what_is_not_known(row),
        bytes=north_size(row),
        downlink=row.downlink if isinstance(row, Response | Verdict) else None,
        received_at=row.received_at,
        expires_at=row.expires_at,
        finished_at=row.finished_at,
    )
