"""Operations for direct requests: sent by the API or a command, without a server."""

import asyncio
import contextlib
from collections.abc import Sequence
from hashlib import blake2b

import msgspec

from bridge.coap.message import Message, Option, uint_value
from bridge.coap.numbers import Code, OptionNumber
from bridge.coap.words import code_name, target
from bridge.delivery.direct import DirectNote
from bridge.delivery.downlinks import ServerRequest
from bridge.delivery.uplinks import Response
from bridge.directory import EndpointRecord
from bridge.errors import KeyReused, LimitReached, NotFound, NotPossible, RequestError
from bridge.lwm2m.formats import SENML_CBOR, Value, decoded
from bridge.lwm2m.objects import resource_at
from bridge.lwm2m.paths import RESOURCE_INSTANCE, Path, shown
from bridge.lwm2m.registered import content_formats
from bridge.lwm2m.requests import Content, Format, Operation as LwM2M, Request, request_of
from bridge.lwm2m.values import as_json
from bridge.operations.bridge import Bridge
from bridge.operations.endpoints import existing
from bridge.operations.message_views import downlink_views, message_of
from bridge.operations.operation import Entry, Operation
from bridge.operations.stories import text_of
from bridge.operations.types.direct import (
    LARGEST_OPTIONS,
    LARGEST_PAYLOAD,
    CoapOption,
    CoapRequest,
    DeviceResponse,
    DirectView,
    GetOutcome,
    Method,
    Priority,
    SendDownlink,
    ValueView,
)
from bridge.operations.withheld import is_withheld
from bridge.relay.blocks import block_of
from bridge.relay.events import DirectRequest
from bridge.relay.transfers import ends_early

_PRIORITIES = {Priority.LOW: -1, Priority.NORMAL: 0, Priority.HIGH: 1}
_METHODS = {method: getattr(Code, method.upper()) for method in Method}
OTHERS = 0.5  # seconds between two looks at a request that another node may be carrying out
LATEST = 200  # uplinks among which the last Register is looked for
_LONGEST_SEGMENT = 255  # bytes, RFC 7252 §5.10
_LONGEST_OPTION = 65535 + 269  # bytes, RFC 7252 §3.1


async def send_downlink(bridge: Bridge, asked: SendDownlink, entry: Entry) -> DirectView:
    record = await existing(bridge, asked.endpoint)
    digest = _digest(asked)
    superseded: tuple[int, ...] = ()
    async with bridge.direct.lock(record.id):
        known = None
        if asked.idempotency_key is not None:
            known = await bridge.known_direct.known(record.id, asked.idempotency_key)
        if known is None:
            request = _request(asked, await _formats(bridge, record, asked))
            id_, superseded = await _accept(bridge, record, asked, request, digest, entry.who)
        elif known.digest != digest:
            raise KeyReused(
                f"idempotency key {asked.idempotency_key!r} is that of another request, downlink {known.id}"
            )
        else:
            id_ = known.id
    await entry.write("done")  # before the wait, which may end with the caller or the process
    return await _outcome(bridge, id_, asked.wait, entry.who, superseded)


async def get_outcome(bridge: Bridge, asked: GetOutcome, entry: Entry) -> DirectView:
    return await _outcome(bridge, asked.id, asked.wait, entry.who)


async def _accept(
    bridge: Bridge, record: EndpointRecord, asked: SendDownlink, request: Request, digest: bytes, who: str
) -> tuple[int, tuple[int, ...]]:
    if not record.enabled:
        raise NotPossible(f"endpoint {record.name!r} is disabled; enable it first")
    now = bridge.now()
    deliver_by = asked.deliver_by if asked.ttl is None else now + asked.ttl
    if asked.ttl is not None and asked.deliver_by is not None:
        raise RequestError("name `ttl` or `deliver_by`, not both")
    if deliver_by is not None and deliver_by <= now:
        raise RequestError("deliver_by (now and ttl) is in the past: nothing could be delivered in time")
    supersedes: Sequence[int] = ()
    if asked.supersede_key is not None:
        supersedes = await bridge.known_direct.waiting(record.id, asked.supersede_key)
    id_ = bridge.direct.next_id()
    note = DirectNote(id_, record.id, now, who, asked.idempotency_key, digest, asked.supersede_key)
    event = DirectRequest(
        id_,
        request.code,
        tuple(request.options),
        request.payload,
        note,
        deliver_by,
        _PRIORITIES[asked.priority],
        asked.confirmed,
        tuple(supersedes),
    )
    return id_, await bridge.direct.accept(record.id, event)


def _digest(asked: SendDownlink) -> bytes:
    """Return what two requests under one idempotency key must have in common: all but how long their answers wait."""
    plain = msgspec.structs.replace(asked, wait=0.0)
    return blake2b(msgspec.json.encode(plain, order="deterministic"), digest_size=16).digest()


# -- the request -----------------------------------------------------------------------------------------------------


async def _formats(bridge: Bridge, record: EndpointRecord, asked: SendDownlink) -> frozenset[int]:
    """Return the content formats that the device named when it registered last, where they decide something.

    Raises NotPossible if SenML CBOR is wanted and the device named other formats. Where the Register is no longer
    among the latest uplinks, or named none, nothing is known: then the device itself answers (4.15).
    """
    if asked.format is not Format.SENML_CBOR and (asked.operation is not LwM2M.WRITE_COMPOSITE or asked.format):
        return frozenset()
    rows = await bridge.reads.uplinks(endpoint=record.id, limit=LATEST)
    last = next((row for row in rows if row.operation == "Register"), None)
    message = None if last is None else message_of(last)
    named = None if message is None else content_formats(message.payload)
    if named is not None and asked.format is Format.SENML_CBOR and SENML_CBOR not in named:
        raise NotPossible(
            f"{record.name} does not read senml-cbor: it registered with ct={' '.join(map(str, sorted(named)))}"
        )
    return named or frozenset()


def _request(asked: SendDownlink, formats: frozenset[int]) -> Request:
    """Return the CoAP request that is asked for. Raises RequestError."""
    if (asked.operation is None) == (asked.coap is None):
        raise RequestError("name an `operation`, or give a CoAP request as `coap`; not both")
    if asked.operation is not None:
        content = Content(asked.value, asked.values, asked.format, asked.payload, asked.content_format)
        request = request_of(
            asked.operation,
            asked.path,
            paths=asked.paths,
            content=content,
            instance=asked.instance,
            arguments=asked.arguments,
            attributes=asked.attributes,
            accept=asked.accept,
            formats=formats,
        )
    else:
        request = _raw(asked)
    for number, value in request.options:
        longest = _LONGEST_SEGMENT if number in (OptionNumber.URI_PATH, OptionNumber.URI_QUERY) else _LONGEST_OPTION
        if len(value) > longest:
            raise RequestError(f"option {number} has {len(value)} bytes, and may have {longest}")
    for what, size, largest in (
        ("the payload", len(request.payload), LARGEST_PAYLOAD),
        ("the options", sum(len(value) + 1 for _, value in request.options), LARGEST_OPTIONS),
    ):
        if size > largest:
            raise RequestError(f"{what} as CoAP has {size} bytes, and may have {largest}")
    return request


def _raw(asked: SendDownlink) -> Request:
    coap = asked.coap
    if coap is None:
        raise AssertionError("there is no CoAP request")
    alone = SendDownlink(
        endpoint=asked.endpoint,
        coap=coap,
        ttl=asked.ttl,
        deliver_by=asked.deliver_by,
        priority=asked.priority,
        confirmed=asked.confirmed,
        supersede_key=asked.supersede_key,
        idempotency_key=asked.idempotency_key,
        wait=asked.wait,
    )
    if alone != asked:
        raise RequestError("`coap` says all of the request: path, payload and options belong into it")
    return Request(_METHODS[coap.method], _options(coap), coap.payload)


def _options(coap: CoapRequest) -> list[Option]:
    path = coap.path.removeprefix("/")
    segments = path.split("/") if path else []
    options: list[Option] = [(OptionNumber.URI_PATH, segment.encode()) for segment in segments]
    options += [(OptionNumber.URI_QUERY, query.encode()) for query in coap.queries]
    return options + [(one.number, _option_value(one)) for one in coap.options]


def _option_value(one: CoapOption) -> bytes:
    given = [one.value is not None, one.text is not None, one.uint is not None]
    if sum(given) > 1:
        raise RequestError(f"option {one.number} has one value: `value`, `text` or `uint`")
    if one.text is not None:
        return one.text.encode()
    return one.value or b"" if one.uint is None else uint_value(one.uint)


# -- the outcome -----------------------------------------------------------------------------------------------------


async def _outcome(bridge: Bridge, id_: int, wait: float, caller: str, superseded: tuple[int, ...] = ()) -> DirectView:
    """Return a direct request as it is, or as soon as it is over, if that is within `wait` seconds. Raises NotFound."""
    note = await bridge.known_direct.note(id_)
    if note is None:
        raise NotFound(f"downlink {id_} is no direct request, or is removed")
    if wait <= 0:
        return await _view(bridge, note, superseded)
    every = None if bridge.holder(0) is None else OTHERS  # nobody wakes who waits for another node's endpoint
    with contextlib.suppress(TimeoutError, LimitReached):  # then the caller looks again later
        async with bridge.direct.watch.of(note.endpoint, caller) as changed, asyncio.timeout(wait):
            while True:
                changed.clear()
                view = await _view(bridge, note, superseded)
                if view.over:
                    return view
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(changed.wait(), every)
    return await _view(bridge, note, superseded)


async def _view(bridge: Bridge, note: DirectNote, superseded: tuple[int, ...]) -> DirectView:
    parts = await bridge.known_direct.parts(note.endpoint, note.north_token)
    if not parts:
        raise NotFound(f"downlink {note.id} is removed: its retention has ended")
    (last,) = await downlink_views(bridge, parts[-1:])
    answers = [one for one in await bridge.reads.answers(parts) if isinstance(one, Response)]
    return DirectView(
        id=note.id,
        downlink=last,
        messages=len(parts),
        over=last.over,
        response=_response(parts, answers) if last.over else None,
        superseded=superseded,
        who=note.who,
    )


def _response(parts: Sequence[ServerRequest], answers: Sequence[Response]) -> DeviceResponse | None:
    """Return the device's answer, put together from its blocks; None: it gave none to the last message."""
    of_last = [one for one in answers if one.downlink == parts[-1].id]
    if not of_last:
        return None
    final = of_last[-1]
    message = _message(final)
    blocks = [_message(one) for one in answers if block_of(_message(one), OptionNumber.BLOCK2) is not None]
    payload, complete = (
        _joined(blocks) if block_of(message, OptionNumber.BLOCK2) is not None else (message.payload, True)
    )
    complete = complete and not ends_early(parts[-1], message)
    content_format = message.uint(OptionNumber.CONTENT_FORMAT)
    withheld = is_withheld(msgspec.structs.replace(message, payload=payload), _target(parts[0]))
    payload = b"" if withheld else payload
    is_readable = message.code >> 5 == 2 and complete and not withheld  # noqa: PLR2004  # a success
    found = decoded(content_format, payload, _path(parts[0])) if is_readable else None
    return DeviceResponse(
        code=code_name(final.code),
        content_format=content_format,
        values=None if found is None else tuple(map(_value, found)),
        payload=payload,
        text=text_of(payload),
        complete=complete,
        received_at=final.received_at,
        late=parts[-1].late,
        withheld=withheld,
    )


def _joined(blocks: Sequence[Message]) -> tuple[bytes, bool]:
    """Return the payload of an answer in blocks, and whether it is all there, and of one representation (RFC 7959)."""
    payload = b""
    more = True
    for one in blocks:
        block = block_of(one, OptionNumber.BLOCK2)
        if block is None or block.offset != len(payload):
            return payload, False
        payload += one.payload
        more = block.more
    same = len({one.option(OptionNumber.ETAG) for one in blocks}) <= 1
    return payload, same and not more


def _message(response: Response) -> Message:
    message = message_of(response)
    if message is None:
        raise NotPossible(f"uplink {response.id} cannot be read")
    return message


def _target(request: ServerRequest) -> str:
    message = message_of(request)
    return "" if message is None else target(message)


def _path(request: ServerRequest) -> Path:
    """Return the path of resources that a request names; () where it names none."""
    message = message_of(request)
    segments = [] if message is None else message.strings(OptionNumber.URI_PATH)
    if len(segments) > RESOURCE_INSTANCE or not all(one.isascii() and one.isdigit() for one in segments):
        return ()
    return tuple(int(one[:6]) for one in segments)


def _value(found: Value) -> ValueView:
    known = resource_at(found.path)
    return ValueView(
        path=shown(found.path),
        value=as_json(found.value),
        type=found.type,
        name=None if known is None else known.name,
    )


OPERATIONS = (
    Operation(SendDownlink, send_downlink, names_caller=True),
    Operation(GetOutcome, get_outcome, names_caller=True),
)
