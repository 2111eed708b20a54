"""The story of one message: everything that the ledger has of it, in the order of time."""

from collections.abc import Iterator, Sequence

from msgspec.structs import asdict

from bridge.coap.words import code_name, option_name, option_value, target
from bridge.delivery.attempts import Attempt
from bridge.delivery.downlinks import DIRECT, Answer, CoapDownlink, Downlink
from bridge.delivery.knowledge import Knowledge
from bridge.delivery.uplinks import DeviceUplink, Response, Uplink, Verdict
from bridge.errors import NotFound
from bridge.operations.bridge import Bridge
from bridge.operations.message_views import downlink_views, message_of, uplink_views
from bridge.operations.operation import Operation
from bridge.operations.types.messages import DownlinkView, UplinkView
from bridge.operations.types.stories import (
    AttemptView,
    DownlinkStory,
    GetDownlinkPayload,
    GetUplinkPayload,
    Moment,
    OptionView,
    PayloadView,
    ShowDownlink,
    ShowUplink,
    UplinkStory,
)
from bridge.operations.withheld import is_withheld

_KNOWN = {
    Knowledge.PENDING: "the network is being called",
    Knowledge.IN_DOUBT: "it is unknown whether the network accepted it",
    Knowledge.HELD: "the network has it and will transmit it",
    Knowledge.GONE: "the network no longer has it, and may have transmitted it",
    Knowledge.REFUSED: "the network refused it",
    Knowledge.TAKEN_BACK: "removed from the network before it was transmitted",
    Knowledge.LEFT: "transmitted toward the device",
    Knowledge.NACKED: "transmitted, and not acknowledged by the device's modem or MAC",
    Knowledge.DELIVERED: "the device has it",
}


async def existing_downlink(bridge: Bridge, id_: int) -> Downlink:
    """Return a downlink of the ledger. Raises NotFound, StoreUnavailable."""
    row = await bridge.reads.downlink(id_)
    if row is None:
        other = await bridge.reads.uplink(id_)
        raise NotFound(f"no downlink {id_}" + ("" if other is None else ": it is an uplink, a message from the device"))
    return row


async def existing_uplink(bridge: Bridge, id_: int) -> Uplink:
    """Return an uplink of the ledger. Raises NotFound, StoreUnavailable."""
    row = await bridge.reads.uplink(id_)
    if row is None:
        other = await bridge.reads.downlink(id_)
        raise NotFound(f"no uplink {id_}" + ("" if other is None else ": it is a downlink, a message to the device"))
    return row


async def show_downlink(bridge: Bridge, asked: ShowDownlink) -> DownlinkStory:
    row = await existing_downlink(bridge, asked.id)
    (view,) = await downlink_views(bridge, [row])
    answers = await uplink_views(bridge, await bridge.reads.answers([row]))
    return DownlinkStory(
        **asdict(view),
        code=code_name(row.code) if isinstance(row, CoapDownlink) and row.code else None,
        made=tuple(map(_attempt, row.attempts)),
        answers=answers,
        moments=_in_order(_of_downlink(view, row, answers, await _origin(bridge, view))),
    )


async def show_uplink(bridge: Bridge, asked: ShowUplink) -> UplinkStory:
    row = await existing_uplink(bridge, asked.id)
    (view,) = await uplink_views(bridge, [row])
    replied = isinstance(row, DeviceUplink) and row.reply_type is not None
    return UplinkStory(
        **asdict(view),
        reply=code_name(row.reply_code) if isinstance(row, DeviceUplink) and row.reply_code else None,
        reply_downlink=row.reply_downlink if isinstance(row, DeviceUplink) and replied else None,
        moments=_in_order(_of_uplink(view)),
    )


async def get_downlink_payload(bridge: Bridge, asked: GetDownlinkPayload) -> PayloadView:
    row = await existing_downlink(bridge, asked.id)
    begun = await bridge.reads.uplink(row.answers) if isinstance(row, Answer) and row.answers is not None else None
    return _payload(row, begun)


async def get_uplink_payload(bridge: Bridge, asked: GetUplinkPayload) -> PayloadView:
    row = await existing_uplink(bridge, asked.id)
    return _payload(row, await bridge.reads.downlink(row.downlink) if isinstance(row, Response | Verdict) else None)


def _attempt(one: Attempt) -> AttemptView:
    return AttemptView(
        number=one.number,
        known=one.known.name.lower(),
        at=one.at,
        handle=one.handle,
        refusal=None if one.why is None else one.why.value,
        detail=one.detail,
        left_at=one.left_at,
    )


def _in_order(moments: Iterator[Moment]) -> tuple[Moment, ...]:
    return tuple(sorted(moments, key=lambda moment: moment.at))


async def _origin(bridge: Bridge, view: DownlinkView) -> str:
    if view.server != DIRECT:
        return f"accepted from {view.server}" if view.server else "made by the bridge, as its answer to the device"
    note = await bridge.known_direct.note(view.id)
    return "made by the bridge, for one more block" if note is None else f"accepted by the API from {note.who}"


def _of_downlink(view: DownlinkView, row: Downlink, answers: Sequence[UplinkView], origin: str) -> Iterator[Moment]:
    yield Moment(at=view.accepted_at, what=origin)
    for one in row.attempts:
        if one.left_at is not None and one.known is not Knowledge.LEFT:
            yield Moment(at=one.left_at, what=f"attempt {one.number}: {_KNOWN[Knowledge.LEFT]}")
        detail = f": {one.detail}" if one.detail else ""
        yield Moment(at=one.at, what=f"attempt {one.number}: {_KNOWN[one.known]}{detail}")
    for answer in answers:
        yield from _of_answer(answer)
    if view.finished_at is not None:
        reason = f": {view.reason}" if view.reason else ""
        yield Moment(at=view.finished_at, what=f"outcome {view.state}{reason}")


def _of_answer(answer: UplinkView) -> Iterator[Moment]:
    code = answer.code or "an Empty message"
    who = "the bridge answers the server" if answer.kind == "verdict" else "the device responds"
    yield Moment(at=answer.received_at, what=f"{who}: {code} (uplink {answer.id})")
    if answer.finished_at is not None:
        yield Moment(at=answer.finished_at, what=f"uplink {answer.id}: {answer.state}")


def _of_uplink(view: UplinkView) -> Iterator[Moment]:
    yield Moment(at=view.received_at, what="made by the bridge" if view.kind == "verdict" else "received")
    if view.finished_at is not None:
        reason = f": {view.reason}" if view.reason else ""
        yield Moment(at=view.finished_at, what=f"{view.state}{reason}")


def _payload(row: Downlink | Uplink, request: Downlink | Uplink | None) -> PayloadView:
    """Return the content of a message; `request`: what it answers, if it is an answer and that is known."""
    message = message_of(row)
    if message is None:
        return PayloadView(code=None, options=(), payload=row.body, text=None)
    asked = message if message.is_request or request is None else message_of(request)
    withheld = is_withheld(message, target(asked or message))
    payload = b"" if withheld else message.payload
    return PayloadView(
        code=code_name(message.code),
        options=tuple(
            OptionView(number=number, name=option_name(number), value=option_value(number, value))
            for number, value in message.options
        ),
        payload=payload,
        text=text_of(payload),
        withheld=withheld,
    )


def text_of(payload: bytes) -> str | None:
    """Return a payload as text; None where it is not printable UTF-8."""
    try:
        text = payload.decode()
    except UnicodeDecodeError:
        return None
    return text if all(c.isprintable() or c in "\r\n\t" for c in text) else None


OPERATIONS = (
    Operation(ShowDownlink, show_downlink),
    Operation(ShowUplink, show_uplink),
    Operation(GetDownlinkPayload, get_downlink_payload),
    Operation(GetUplinkPayload, get_uplink_payload),
)
