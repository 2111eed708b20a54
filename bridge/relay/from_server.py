"""Datagrams of servers: requests, repeats, acknowledgements, answers (R1, R3, R4, R5, R10, R12, R19, R25, R28)."""

from bridge.coap.message import ACK, CON, NON, RST, Message, Option, encode_body, parse, uint_value
from bridge.coap.numbers import Code, OptionNumber
from bridge.coap.udp import decode, empty, frame
from bridge.delivery.downlinks import ServerRequest
from bridge.delivery.states import DownlinkState, UplinkState
from bridge.delivery.uplinks import DeviceRequest, Notification, Response
from bridge.enums import members
from bridge.errors import MessageFormatError
from bridge.relay import (
    awake,
    new_link,
    observations,
    opaque,
    operation,
    secured,
    server_answers,
    toward_device,
    toward_server,
    transfer_times,
    transfers,
)
from bridge.relay.admission import TOO_MANY, Refused, refusal_of
from bridge.relay.blocks import ANY_ANSWER, block_of
from bridge.relay.effects import Count, SendToServer
from bridge.relay.events import ServerDatagram
from bridge.relay.exchanges import Key
from bridge.relay.model import Observation, ObservationState
from bridge.relay.size import refusal_for
from bridge.relay.state import Step
from bridge.relay.verdict import RETRY_LATER, profile_of

_S = members(DownlinkState)
_U = members(UplinkState)
_O = members(ObservationState)

_NAMED = 2**32  # seconds; a longer TTL is not written out in the log: an option has room for any number
_BLOCK_OPTIONS = (OptionNumber.BLOCK1, OptionNumber.BLOCK2)


def datagram(step: Step, event: ServerDatagram) -> None:
    """Process a datagram that a server sent to this endpoint's own address."""
    server, data = event.server, event.data
    if step.state.retransmissions:
        toward_server.hasten(step, server)
    if opaque.is_record(data):
        if _may_ask(step, server):
            opaque.from_server(step, server, data)
        return
    try:
        message = decode(data)
    except MessageFormatError as error:
        step.effect(Count("malformed_messages", "north", f"from server {server}: {error}"))
        return
    if message.is_empty:
        _empty(step, server, message)
    elif message.is_request:
        _request(step, server, message)
    else:
        _response(step, server, message)


def _response(step: Step, server: str, message: Message) -> None:
    """Process an answer to the device's request, or a response in the acknowledgement of another message."""
    if message.token == awake.TOKEN and new_link.process_update_answer(step, server, message):
        return
    sent = toward_server.awaiting(step, server, message.mid) if message.type is ACK else None
    if sent is None or type(sent) is DeviceRequest:
        server_answers.process(step, server, message)
    elif message.code == Code.NOT_FOUND:
        _reset(step, server, message.mid)  # the server does not know the observation (R19)
    else:
        _acknowledged(step, server, message.mid)


def _empty(step: Step, server: str, message: Message) -> None:
    if message.type is ACK:
        _acknowledged(step, server, message.mid)
    elif message.type is RST:
        _reset(step, server, message.mid)
    elif message.type is CON:
        toward_server.reset(step, server, message.mid)  # a CoAP ping (RFC 7252 §4.3)


def _may_ask(step: Step, server: str) -> bool:
    """Return whether the endpoint has this server in the directory. Another may only answer messages that it got."""
    if step.state.server(server) is not None:
        return True
    text = f"server {server} asked endpoint {step.state.endpoint.name}, which is not one of its servers: dropped"
    step.effect(Count("requests_of_strangers", server, text))
    return False


def _acknowledged(step: Step, server: str, mid: int) -> None:
    row = toward_server.awaiting(step, server, mid)
    if row is None:
        step.effect(Count("acknowledgements_without_message", "north"))
        return
    toward_server.acknowledged(step, row)
    if type(row) is Notification and row.confirmable and row.reply_type is None:
        toward_device.acknowledge(step, row, row.south_mid)


def _reset(step: Step, server: str, mid: int) -> None:
    row = toward_server.awaiting(step, server, mid) or toward_server.sent_unconfirmed(step, server, mid)
    if row is None or row.state is _U.REJECTED:
        step.effect(Count("resets_without_message", "north"))
        return
    toward_server.settle(step, row, _U.REJECTED, "the server answered with a Reset")
    if type(row) is DeviceRequest and row.confirmable:
        toward_device.reset(step, row, row.south_mid)
    elif type(row) is Notification:
        observation = step.state.observations.get(row.south_token)
        if observation is not None:
            _cancel_observation(step, observation)
        if row.confirmable and row.reply_type is None:
            toward_device.reset(step, row, row.south_mid)
    elif type(row) is Response:
        observation = step.state.observations.get(row.south_token)
        if observation is not None:
            _cancel_observation(step, observation)


def _cancel_observation(step: Step, observation: Observation) -> None:
    """Cancel an observation for its server: drop stored notifications, and answer the next one with a Reset (R19)."""
    observations.cancel(step, observation)
    for row in list(step.state.uplinks.values()):
        if type(row) is Notification and row.south_token == observation.south_token:
            toward_server.settle(step, row, _U.REJECTED, "the server cancelled the observation")


def _request(step: Step, server: str, message: Message) -> None:
    state = step.state
    key = server, message.mid, message.token
    known = state.exchanges.find(key, step.wall)
    if known is not None:
        _repeat(step, known)
        return
    if state.exchanges.faded and _repeat_acknowledgement(step, key, message):
        return
    if not _may_ask(step, server):
        return
    if state.exchanges.refused and _repeat_refusal(step, key, message):
        return
    observe = message.uint(OptionNumber.OBSERVE)
    refused = _refuse(step, server, message, observe)
    if refused is not None:
        _answer_at_once(step, server, message, *refused)
        return
    row = _accept(step, server, message, observe)
    if isinstance(row, tuple):
        _answer_at_once(step, server, message, *row)
    elif row.confirmable:
        held_for = row.answer_by - step.wall if needs_piggybacking(step, row) else state.policy.piggyback_window
        state.empty_ack_due[row.id] = step.mono + held_for


def needs_piggybacking(step: Step, row: ServerRequest) -> bool:
    """Return whether the server accepts the answer to a block only inside the acknowledgement, however late (R5)."""
    if not profile_of(step, row.server).piggybacked_blocks:
        return False
    return block_of(transfers.parsed(row), OptionNumber.BLOCK1) is not None


def _repeat(step: Step, row: ServerRequest) -> None:
    """Answer a server's retransmission with its row's latest answer; it never reaches the radio (R4)."""
    step.effect(Count("server_retransmissions"))
    if not row.confirmable or row.id in step.state.empty_ack_due:
        return
    reply = step.state.exchanges.replies.get(row.id)
    step.effect(SendToServer(row.server, empty(ACK, row.north_mid) if reply is None else reply))


def _repeat_acknowledgement(step: Step, key: Key, message: Message) -> bool:
    """Acknowledge a retransmission of a request of which only the IDs are remembered; return whether it is one."""
    reply = step.state.exchanges.answered_before(key, step.wall)
    if reply is None:
        return False
    step.effect(Count("server_retransmissions"))
    if message.type is CON:
        step.effect(SendToServer(key[0], reply or empty(ACK, message.mid)))
    return True


def _repeat_refusal(step: Step, key: Key, message: Message) -> bool:
    """Refuse a retransmission of a refused request again, even if there is room now; return whether it is one."""
    refusal = step.state.exchanges.refusal(key, step.wall)
    if refusal is None:
        return False
    step.effect(Count("server_retransmissions"))
    if message.type is CON:
        step.effect(SendToServer(key[0], refusal))
    return True


def _refuse(step: Step, server: str, message: Message, observe: int | None) -> Refused | None:
    """Refuse a request that certainly cannot be accepted (R3). No row is written."""
    refused = refusal_of(step, message)
    full_for = observations.seconds_until_room(step, server, message) if refused is None and observe == 0 else None
    if full_for is not None:
        return Code.SERVICE_UNAVAILABLE, [(OptionNumber.MAX_AGE, uint_value(full_for))], "too many observations"
    return refused


def _answer_at_once(step: Step, server: str, message: Message, code: int, options: list[Option], text: str) -> None:
    why = "quota" if text.startswith("quota ") else text.partition(":")[0]
    step.effect(Count("requests_refused", why, f"{step.state.endpoint.name}: {text}" if why == TOO_MANY else ""))
    if message.option(OptionNumber.OSCORE) is not None:
        if code != Code.SERVICE_UNAVAILABLE:
            return  # the server drops any other unprotected error (R27)
        text = ""
    body = encode_body(options, text.encode())
    if message.type is CON:
        told = frame(ACK, code, message.mid, message.token, body)
    else:
        mid = step.state.north_mids.allocate(step.state.by_north_mid)
        step.relay_row().north_mid = mid  # a refusal has no row: its message ID is stored here (R2)
        told = frame(NON, code, mid, message.token, body)
    step.effect(SendToServer(server, told))
    awake.record_accepted_update(step, server)
    step.state.exchanges.refuse((server, message.mid, message.token), step.wall, told)


def _accept(step: Step, server: str, message: Message, observe: int | None) -> ServerRequest | Refused:
    """Make the row that accepts a request, or refuse one that cannot fit (R25)."""
    state = step.state
    name = operation.of_server(message)
    if name == "OSCORE":
        secured.record_unreadable(step)
    profile = profile_of(step, server)
    if message.has_option_from(OptionNumber.BLOCK1):
        slow = transfer_times.too_slow(step, message, profile)
        if slow is not None:
            return Code.SERVICE_UNAVAILABLE, [(OptionNumber.MAX_AGE, bytes((RETRY_LATER,)))], f"too slow: {slow}"
    token = _south_token(step, server, message, observe)
    wanted, body = _strip_ttl(message, state.policy.ttl_option)
    longest = state.policy.max_ttl
    ttl = None if wanted is None else float(min(wanted, longest))
    largest, uplink = step.south.max_downlink, step.south.max_uplink
    if uplink is not None and uplink < ANY_ANSWER and message.code in (Code.GET, Code.FETCH):
        smaller = transfers.asks_smaller(step, name, parse(message.code, body, token))
        body = body if smaller is None else smaller
    if largest is not None:
        size = state.south_hop.size_of(token, body)
        if size > largest and not transfers.can_be_split(step, parse(message.code, body, token), name, largest):
            refused = refusal_for(step.south, message, size, largest)
            if refused is not None:
                code, options, text = refused
                if code == Code.SERVICE_UNAVAILABLE:
                    options = [*options, (OptionNumber.MAX_AGE, bytes((RETRY_LATER,)))]
                return code, options, text
    answer_by = step.wall + profile.patience - profile.margin
    if message.has_option_from(OptionNumber.BLOCK1):
        answer_by = transfer_times.answer_by(step, server, message, profile, answer_by)
    if ttl is None:
        ttl = state.endpoint.default_ttl
    row = ServerRequest.accepted(
        step.work.new_id(),
        state.endpoint.id,
        state.endpoint.shard,
        step.wall,
        name,
        name in operation.REPEATABLE,
        step.wall + ttl if ttl is not None else answer_by,
        body,
        message.type,
        message.code,
        state.south_mids.allocate(state.by_south_mid),
        token,
        server,
        message.mid,
        message.token,
        observe,
        1 if _continues_transfer(message) else 0,
        answer_by,
    )
    state.deliveries.add(row, step.work)
    state.index_request(row)
    if wanted is not None and wanted > longest:
        step.effect(Count("deadlines_cut", server, _cut(step, server, wanted)))
    return row


def _cut(step: Step, server: str, wanted: int) -> str:
    longest = step.state.policy.max_ttl
    return (
        f"endpoint {step.state.endpoint.name}: server {server} gave a request a time to live of {_seconds(wanted)} s; "
        f"it has {longest:g} s, the longest that a server may ask for: see [policy] max_ttl"
    )


def _seconds(number: int) -> str:
    return str(number) if number < _NAMED else f"more than {_NAMED}"


def _south_token(step: Step, server: str, message: Message, observe: int | None) -> bytes:
    """Return the south token: that of the observation if the server's token belongs to one, else a new one (R1)."""
    state = step.state
    if observe is not None:
        observation = state.observation_of(server, message.token)
        if observation is not None:
            return observation.south_token
        for row in state.deliveries.live.values():
            if type(row) is not ServerRequest or row.observe is None:
                continue
            if row.server == server and row.north_token == message.token:
                return row.south_token
    return state.allocate_token()


def _strip_ttl(message: Message, number: int) -> tuple[int | None, bytes]:
    """Return the request's TTL in seconds, as large as it may be, and its body without that option (R10)."""
    value = message.option(number)
    if value is None:
        return None, message.body
    options = [option for option in message.options if option[0] != number]
    return int.from_bytes(value, "big"), encode_body(options, message.payload)


def _continues_transfer(message: Message) -> bool:
    return message.has_option_from(OptionNumber.BLOCK2) and any(
        (message.uint(number) or 0) >> 4 > 0 for number in _BLOCK_OPTIONS
    )


def send_due_empty_acks(step: Step) -> None:
    """Send the Empty ACKs whose piggyback window ended, or whose request cannot be answered within it (R5)."""
    state = step.state
    next_soon = state.deliveries.is_next_soon
    sends_soon = step.south.sends_soon
    for downlink, due in list(state.empty_ack_due.items()):
        row = state.deliveries.live.get(downlink)
        if type(row) is not ServerRequest:
            del state.empty_ack_due[downlink]
            continue
        is_out = row.state is _S.SUBMITTING or row.state is _S.SENT or (sends_soon and row.state is _S.BUFFERED)
        may_be_quick = step.south.quick and (is_out or row is next_soon)
        if due <= step.mono or not (may_be_quick or needs_piggybacking(step, row)):
            del state.empty_ack_due[downlink]
            step.effect(SendToServer(row.server, empty(ACK, row.north_mid)))
