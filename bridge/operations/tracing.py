"""Operations on traces. Messages are decoded when a trace is read, not when they pass."""

from collections.abc import Iterable, Iterator

from bridge.coap import udp
from bridge.coap.message import Message
from bridge.coap.numbers import OptionNumber
from bridge.coap.words import code_name, option_name, option_value, target
from bridge.errors import MessageFormatError
from bridge.operations.bridge import Bridge
from bridge.operations.endpoints import existing
from bridge.operations.operation import Entry as Caller, Operation
from bridge.operations.traced_values import values_of
from bridge.operations.types.stories import OptionView
from bridge.operations.types.tracing import (
    LINES,
    BeginTrace,
    CoapView,
    EndTrace,
    ReadTrace,
    TraceBegun,
    TraceEnded,
    TraceLine,
    TracePage,
)
from bridge.operations.withheld import WITHHELD, blanked, is_withheld
from bridge.relay.opaque import is_record
from bridge.relay.operation import of_device, of_server
from bridge.trace.entry import Entry, EntryKind

_REQUESTER = {
    EntryKind.FROM_SERVER: "server",
    EntryKind.TO_DEVICE: "server",
    EntryKind.FROM_DEVICE: "device",
    EntryKind.TO_SERVER: "device",
}
"""The origin of requests in each direction."""
OLDER = 256  # lines before a page in which the requests of its responses are sought
_SERVER_HOP = frozenset({EntryKind.FROM_SERVER, EntryKind.TO_SERVER})


async def begin_trace(bridge: Bridge, asked: BeginTrace, asker: Caller) -> TraceBegun:
    traces = bridge.traces  # first: only a running service has traces
    record = await existing(bridge, asked.endpoint)
    whose = {"network": record.network, "device": record.device, "caller": asker.who}
    return TraceBegun(id=traces.begin(record.id, record.name, payload=asked.payload, **whose), endpoint=record.name)


async def read_trace(bridge: Bridge, asked: ReadTrace) -> TracePage:
    trace = await bridge.traces.wait(asked.id, asked.after, asked.wait)
    first, found = trace.after(asked.after, LINES)
    begin = max(trace.oldest, first - OLDER)
    older = trace.after(begin - 1, first - begin)[1]
    lines = _lines(older, found, first, payload=trace.payload)
    return TracePage(items=tuple(lines), next=first - 1 + len(found), lost=max(0, first - 1 - asked.after))


async def end_trace(bridge: Bridge, asked: EndTrace) -> TraceEnded:
    return TraceEnded(lines=bridge.traces.end(asked.id))


def _lines(older: Iterable[Entry], entries: Iterable[Entry], first: int, *, payload: bool) -> Iterator[TraceLine]:
    requests: dict[tuple[bool, str, str, bytes], tuple[str, str]] = {}
    for entry in older:
        _named(entry, _message(entry), requests)
    for number, entry in enumerate(entries, first):
        message = _message(entry)
        named = _named(entry, message, requests)
        withheld = message is not None and is_withheld(message, named[1])
        data, note = entry.data, entry.note or _kind_of_bytes(entry, message)
        if withheld and message is not None:
            data, note = blanked(data, message), f"{note}; {WITHHELD}" if note else WITHHELD
        shown = message if payload and not withheld else None
        yield TraceLine(
            number=number,
            at=entry.at,
            kind=entry.kind,
            peer=entry.peer,
            size=len(entry.data),
            coap=None if message is None else _coap(message, *named),
            note=note,
            payload=None if shown is None else shown.payload,
            values=() if shown is None else values_of(shown, named[1]),
            data=data if payload and data else None,
        )


def _message(entry: Entry) -> Message | None:
    try:
        return udp.decode(entry.data) if entry.data else None
    except MessageFormatError:
        return None


def _named(
    entry: Entry, message: Message | None, requests: dict[tuple[bool, str, str, bytes], tuple[str, str]]
) -> tuple[str, str]:
    """Return a message's LwM2M operation and path; a response has those of the request with its token."""
    if message is None or message.is_empty:
        return "", ""
    way = _REQUESTER[entry.kind]
    hop = entry.kind in _SERVER_HOP
    if message.is_request:
        name = of_server(message) if way == "server" else of_device(message, ())
        named = requests[hop, entry.peer, way, message.token] = name, target(message)
        return named
    return requests.get((hop, entry.peer, "device" if way == "server" else "server", message.token), ("", ""))


def _coap(message: Message, operation: str, path: str) -> CoapView:
    return CoapView(
        type=message.type.name,
        code=code_name(message.code),
        mid=message.mid,
        token=message.token.hex(),
        options=tuple(
            OptionView(number=number, name=option_name(number), value=option_value(number, value))
            for number, value in message.options
        ),
        operation=operation,
        path=path,
        content_format=message.uint(OptionNumber.CONTENT_FORMAT),
        payload_size=len(message.payload),
    )


def _kind_of_bytes(entry: Entry, message: Message | None) -> str:
    if not entry.data or message is not None:
        return ""
    return "DTLS, passed on as it is" if is_record(entry.data) else "no CoAP message"


OPERATIONS = (
    Operation(BeginTrace, begin_trace, names_caller=True),
    Operation(ReadTrace, read_trace),
    Operation(EndTrace, end_trace),
)
