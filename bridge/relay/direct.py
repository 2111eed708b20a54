"""Requests that come by the API instead of from a server: accepted like those, and carried out block by block.

The row is a `ServerRequest` whose server is DIRECT. There is no datagram to send back: the caller reads the outcome and
the device's response in the ledger. Its north token is the id of the first row, which all parts of one exchange
have. The bridge is the CoAP client here: a payload that does not fit goes in blocks (Block1), and further blocks of an
answer are asked for (Block2; RFC 7959).
"""

from bridge.coap.message import CON, Message, encode_body, parse
from bridge.coap.numbers import Code, OptionNumber
from bridge.delivery import words
from bridge.delivery.attempts import nobody_has_it
from bridge.delivery.direct import token_of
from bridge.delivery.downlinks import DIRECT, Downlink, ServerRequest
from bridge.delivery.rows import FOREVER
from bridge.delivery.states import DownlinkState
from bridge.enums import members
from bridge.relay import operation, secured, transfers
from bridge.relay.admission import Refused, refusal_of
from bridge.relay.blocks import ANY_ANSWER, Block, block_of, part_at, with_block
from bridge.relay.effects import Count, DirectAnswer
from bridge.relay.events import DirectRequest
from bridge.relay.size import LARGEST_SZX, block_size, fits_soon
from bridge.relay.state import Step

_S = members(DownlinkState)

LARGEST_ANSWER = 1 << 16  # bytes of an answer, after which no further block is asked for
MOST_BLOCKS = 256  # of an answer, as well: each is a downlink, and a device may send 16 bytes in each
_GETS = (Code.GET, Code.FETCH)
_BLOCKS = (OptionNumber.BLOCK1, OptionNumber.BLOCK2)


def accept_request(step: Step, event: DirectRequest) -> None:
    """Accept a request, or refuse it with the reason."""
    body = encode_body(event.options, event.payload)
    message = parse(event.code, body)
    accepted = _refusal(step, message, _makes_way(step, event)) or _accept(step, event, message)
    if isinstance(accepted, ServerRequest):
        step.effect(DirectAnswer(event.id, superseded=_supersede(step, event)))
        return
    code, _, text = accepted
    why = "quota" if text.startswith("quota ") else text.partition(":")[0]
    step.effect(Count("requests_refused", why))
    step.effect(DirectAnswer(event.id, code, text))


def _makes_way(step: Step, event: DirectRequest) -> frozenset[int]:
    """Return the requests that are certain to end when this one is accepted: its queue and quota have their room."""
    live = step.state.deliveries.live
    rows = (row for id_ in event.supersedes if (row := live.get(id_)) is not None)
    return frozenset(row.id for row in rows if _may_be_replaced(row))


def _may_be_replaced(row: Downlink) -> bool:
    """Return whether a request waits in the bridge, and certainly never left it."""
    return row.state is _S.QUEUED and not row.cancel_asked and nobody_has_it(row.attempts)


def _refusal(step: Step, message: Message, makes_way: frozenset[int]) -> Refused | None:
    if message.option(OptionNumber.OBSERVE) is not None:
        return Code.BAD_OPTION, [], "observe: observations belong to servers; an answer once is all that there is here"
    if message.option(step.state.policy.ttl_option) is not None:
        return Code.BAD_OPTION, [], "ttl: the option of servers is not sent to devices; name `ttl` beside the request"
    if secured.is_secured(step) and message.option(OptionNumber.OSCORE) is None:
        text = "secured: the device speaks DTLS or OSCORE with its servers, and is asked nothing in plain text"
        return Code.UNAUTHORIZED, [], text
    return refusal_of(step, message, makes_way)


def _accept(step: Step, event: DirectRequest, message: Message) -> ServerRequest | Refused:
    state = step.state
    name = operation.of_server(message)
    token = state.allocate_token()
    whole, body = _in_blocks(step, name, parse(message.code, message.body, token))
    uplink, largest = step.south.max_uplink, step.south.max_downlink
    if whole is None and uplink is not None and uplink < ANY_ANSWER and message.code in _GETS:
        body = transfers.asks_smaller(step, name, parse(message.code, body, token)) or body
    size = state.south_hop.size_of(token, body)
    if largest is not None and size > largest and not fits_soon(step.south, size):
        return Code.REQUEST_ENTITY_TOO_LARGE, [], f"too large: {size} bytes, {largest} fit"
    ttl = state.policy.long_ttl if state.endpoint.default_ttl is None else state.endpoint.default_ttl
    row = ServerRequest.accepted(
        event.id,
        state.endpoint.id,
        state.endpoint.shard,
        step.wall,
        name,
        name in operation.REPEATABLE,
        step.wall + ttl if event.deliver_by is None else event.deliver_by,
        body,
        CON,
        message.code,
        state.south_mids.allocate(state.by_south_mid),
        token,
        DIRECT,
        0,
        token_of(event.id),
        None,
        event.priority,
        FOREVER,
        event.confirmed,
    )
    row.split_from = whole
    state.deliveries.add(row, step.work)
    state.index_request(row)
    step.work.insert(event.note)
    return row


def _in_blocks(step: Step, name: str, request: Message) -> tuple[bytes | None, bytes]:
    """Return the whole body of a request that must go in blocks, else None, and the body that goes first."""
    largest = step.south.max_downlink
    fits = step.state.fits(request.token, largest or 1 << 20)
    names_blocks = any(request.option(number) is not None for number in _BLOCKS)
    if not request.payload or name == "OSCORE" or names_blocks:
        return None, request.body
    if len(request.payload) <= block_size(LARGEST_SZX) and fits(request.body):
        return None, request.body
    whole = with_block(request, OptionNumber.BLOCK1, Block(0, more=False, szx=LARGEST_SZX), request.payload)
    part = part_at(parse(request.code, whole), 0, LARGEST_SZX, fits)
    return (None, request.body) if part is None else (whole, part)


def _supersede(step: Step, event: DirectRequest) -> tuple[int, ...]:
    """Have older requests under the same key make way, unless they left for the device; return which do."""
    deliveries = step.state.deliveries
    made_way: list[int] = []
    for id_ in event.supersedes:
        row = deliveries.live.get(id_)
        if row is None or row.cancel_asked:
            continue
        if _may_be_replaced(row):
            deliveries.end(row, _S.SUPERSEDED, step.work, f"downlink {event.id} took its place")
        elif row.state in (_S.BUFFERED, _S.SUBMITTING):
            row.reason = f"downlink {event.id} is to take its place"
            words.cancel_asked(deliveries, id_, step.work, step.south)
        else:
            continue
        made_way.append(id_)
    return tuple(made_way)


def current(step: Step, downlink: int) -> int:
    """Return the message that an exchange is at, if this is the first of one that came by the API; else `downlink`."""
    live = step.state.deliveries.live
    if downlink in live:
        return downlink
    token = token_of(downlink)
    for row in live.values():
        if type(row) is ServerRequest and row.is_direct and row.north_token == token:
            return row.id
    return downlink


# -- blocks of an answer ---------------------------------------------------------------------------------------------


def next_block(row: ServerRequest, message: Message) -> bytes | None:
    """Return the body that asks for the block after the one that a device answered with; None: there is none."""
    block = block_of(message, OptionNumber.BLOCK2)
    if not row.is_direct or row.code not in _GETS or row.operation == "OSCORE" or block is None or not block.more:
        return None
    sent = transfers.parsed(row)
    before = block_of(sent, OptionNumber.BLOCK2)
    if before is not None and before.number:
        if row.north_token == token_of(row.id):
            return None  # the caller wants this block, and no other
        if before.offset != block.offset:
            return None  # not the block that was asked for
    if before is None and block.number:
        return None
    at = block.offset + len(message.payload)
    wanted = Block(at >> block.szx + 4, more=False, szx=block.szx)
    if len(message.payload) != block.size or at >= LARGEST_ANSWER or wanted.number >= MOST_BLOCKS:
        return None
    in_blocks = block_of(sent, OptionNumber.BLOCK1) is not None
    options = [one for one in sent.options if one[0] not in (*_BLOCKS, OptionNumber.SIZE1)]
    return encode_body([*options, (OptionNumber.BLOCK2, wanted.value())], b"" if in_blocks else sent.payload)
