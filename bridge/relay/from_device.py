"""Messages of a device: repeats, requests, answers, refusals (R13, R14, R15, R18, R21, R22, R24, R28, R29)."""

from hashlib import blake2b

from bridge.coap.message import ACK, CON, RST, Message, Type, parse
from bridge.coap.numbers import Code, OptionNumber
from bridge.delivery import words
from bridge.delivery.downlinks import Answer, ServerRequest
from bridge.delivery.states import DownlinkState, UplinkState
from bridge.delivery.uplinks import DeviceRequest, DeviceUplink, OpaqueUplink
from bridge.enums import members
from bridge.errors import MessageFormatError
from bridge.relay import (
    awake,
    identity,
    kept_answers,
    opaque,
    operation,
    register,
    responses,
    secured,
    toward_device,
    toward_server,
    verdict,
)
from bridge.relay.effects import Count
from bridge.relay.events import DeviceMessage
from bridge.relay.model import Server
from bridge.relay.registrations import segments, with_path
from bridge.relay.removed_servers import is_own
from bridge.relay.servers import server_of
from bridge.relay.state import EndpointState, Step

_S = members(DownlinkState)
_U = members(UplinkState)


def digest_of(data: bytes, port: str | None = None) -> bytes:
    """Return a digest that tells a device's message from its others, and from equal ones on other ports (R13)."""
    return blake2b(data, digest_size=12, key=b"" if port is None else port.encode()[:64]).digest()


def message(step: Step, event: DeviceMessage) -> None:
    """Process bytes from the device. Whatever they are, the device is awake: waiting messages may be sent."""
    state = step.state
    data, duplicate_key = event.data, event.duplicate_key
    # A network's clock may be ahead: no message was heard later than now.
    step.heard_at = step.wall if event.heard_at is None else min(event.heard_at, step.wall)
    step.accepted_at = step.wall if event.kept_at is None else min(event.kept_at, step.wall)
    if state.deliveries.live:
        words.heard(state.deliveries, step.work, step.south, step.heard_at)
    if duplicate_key is not None and duplicate_key in state.by_duplicate_key:
        step.effect(Count("network_duplicates"))
        return
    state.account.heard(len(data), step.work)
    at_port: Server | None = None
    if state.by_port and event.port is not None:
        if event.port not in state.by_port:
            step.effect(Count("uplinks_dropped", "unknown port", _unknown_port(state, event.port)))
            return
        step.port = event.port
        at_port = state.by_port[event.port]
    digest = digest_of(data, step.port)
    if opaque.is_record(data):
        if digest not in state.by_digest:
            opaque.from_device(step, data, digest, duplicate_key, at_port)
        return
    try:
        coap = state.south_hop.decode(data)
    except MessageFormatError as error:
        step.effect(Count("malformed_messages", "south", f"from device {state.endpoint.device}: {error}"))
        return
    if coap.is_empty:
        _empty(step, coap)
        return
    known = state.by_digest.get(digest)
    if known is not None and not isinstance(known, OpaqueUplink) and _is_repeat(step, known):
        toward_device.repeat_answer(step, known)
    elif coap.is_request:
        _request(step, coap, digest, duplicate_key, at_port)
    else:
        responses.from_device(step, coap, digest, duplicate_key)


def _is_repeat(step: Step, known: DeviceUplink) -> bool:
    """Return whether the same bytes are a repetition, or a new exchange that happens to be equal (R13).

    Most devices register after a restart, and use the same message IDs as before. So a Register is new if
    the device certainly got the answer to the last one; then it ends all earlier exchanges.
    """
    if step.heard_at - known.received_at >= step.south.exchange_span or not is_own(step.state, known.server):
        return False
    if type(known) is not DeviceRequest:
        return True
    if known.operation == "Register":
        answered = known.reply_downlink
        return not (known.reply_delivered or (answered is not None and _has_sent_since(step, known, answered)))
    return not _has_sent_since(step, known, known.id, "Register")


def _has_sent_since(step: Step, known: DeviceRequest, row: int, operation: str = "") -> bool:
    """Return whether the device has sent the same server another request since a row, if given, of this operation."""
    return any(
        type(other) is DeviceRequest
        and other.id > row
        and other.south_mid != known.south_mid
        and other.server == known.server
        and operation in ("", other.operation)
        for other in step.state.device_uplinks()
    )


def note_delivered_reply(step: Step, row: Answer) -> None:
    """End an exchange whose answer certainly reached the device: the same Register again is a new one (R13)."""
    if row.answers is None or row.state is not _S.DELIVERED:
        return
    up = step.state.uplink(row.answers)
    if type(up) is DeviceRequest and up.reply_downlink == row.id:
        up.reply_delivered = True
        step.work.update(up)


def _empty(step: Step, coap: Message) -> None:
    if coap.type is ACK or coap.type is RST:
        row = step.state.by_south_mid.get(coap.mid)
        if type(row) is ServerRequest and row.attempts:
            _acknowledged_or_reset(step, row, coap.type)
            return
        step.effect(Count("acknowledgements_without_message", "south"))
    elif coap.type is CON and not step.south.empty_is_poll:
        toward_device.reset(step, None, coap.mid)  # a CoAP ping (RFC 7252 §4.3)
        awake.reachable(step, step.heard_at)
    else:
        step.effect(Count("polls"))
        awake.reachable(step, step.heard_at)


def _acknowledged_or_reset(step: Step, row: ServerRequest, kind: Type) -> None:
    """Process an Empty ACK, after which nothing is sent again, or a Reset, which the server gets, too (R18)."""
    if kind is ACK:
        words.delivered(step.state.deliveries, row, step.work, step.south)
        return
    step.state.deliveries.answered(row, _S.REJECTED, step.work, "the device answered with a Reset")
    if not row.answered:
        verdict.reset(step, row)


def _unknown_port(state: EndpointState, port: str) -> str:
    known = ", ".join(state.by_port)
    return (
        f"endpoint {state.endpoint.name}: a message came on port {port}, which is none of its servers' ({known}); "
        "name it in the endpoint's option server_ports"
    )


def _request(step: Step, coap: Message, digest: bytes, duplicate_key: str | None, at_port: Server | None) -> None:
    state = step.state
    if not state.endpoint.servers:
        step.effect(Count("uplinks_dropped", "no server", f"endpoint {state.endpoint.name} has no server"))
        return
    name = operation.of_device(coap, [registration.told for registration in state.registrations])
    server = server_of(step, coap, name, at_port)
    if name == "OSCORE":
        secured.record_unreadable(step)
    # The device repeats its message from when it was heard; the time that a server may be down counts from when the
    # bridge took it: now, or when it was put into the inbox.
    expires_at = (
        step.heard_at + step.south.exchange_span
        if name in operation.REGISTRATION
        else step.accepted_at + state.policy.long_ttl
    )
    row = DeviceRequest.received(
        step.work.new_id(),
        state.endpoint.id,
        state.endpoint.shard,
        step.heard_at,
        server.key,
        name,
        expires_at,
        coap.code,
        b"",
        (step.work.new_id() & 0xFFFFFFFF).to_bytes(4, "big"),
        coap.type is CON,
        coap.mid,
        coap.token,
        digest,
        duplicate_key,
        coap.uint(OptionNumber.NO_RESPONSE),
        None,
        False,
    )
    if not coap.payload and kept_answers.serve(step, row, coap):
        return
    refused, body = _fit(step, coap, name, server)
    if refused is None and not responses.make_room(step):
        return
    toward_server.add(step, row)
    if refused is not None:
        toward_server.settle(step, row, _U.REJECTED, refused.text)
        step.effect(Count("device_requests_refused", name, f"{state.endpoint.name}: {refused.text}"))
        _answer_for_server(step, row, refused)
        return
    if expires_at <= step.wall:
        toward_server.settle(step, row, _U.EXPIRED, "the network delivered it after the device had stopped waiting")
        return
    _replace_older(step, row)
    row.body = body
    toward_server.originate(step, row)


def _fit(step: Step, coap: Message, name: str, server: Server) -> tuple[identity.MessageRefusal | None, bytes]:
    """Return the body that the server gets, or the answer that the device gets instead."""
    state = step.state
    if name != "OSCORE":
        own = [registration for registration in state.registrations if registration.server == server.key]
        refused = identity.refusal(coap, name, state.endpoint, own)
        if refused is not None:
            step.effect(Count("identity_refusals", name))
            return refused, b""
    if name in ("Register", "Update") and kept_answers.asks_later_block(coap):
        return identity.MessageRefusal(Code.REQUEST_ENTITY_INCOMPLETE, "the answer is no longer stored"), b""
    if name == "Register":
        fitted = register.fit_register(coap, state.endpoint, server.profile, step.south.default_lifetime)
        return (fitted, b"") if isinstance(fitted, identity.MessageRefusal) else (None, fitted)
    if name in ("Update", "De-register"):
        return _fit_to_registration(state, coap, name, server)
    return None, coap.body if name == "OSCORE" else _at_location(state, coap, server)


def _at_location(state: EndpointState, coap: Message, server: Server) -> bytes:
    """Return a message's body with the server's own path, if its path is the device's name of a registration."""
    path = segments(coap)
    for one in state.registrations:
        if one.told == path != one.location and one.server == server.key:
            return with_path(coap, OptionNumber.URI_PATH, one.location)
    return coap.body


def _fit_to_registration(
    state: EndpointState, coap: Message, name: str, server: Server
) -> tuple[identity.MessageRefusal | None, bytes]:
    """Return an Update or De-register for its server, or the answer that the device gets instead."""
    path = segments(coap)
    registration = next((one for one in state.registrations if one.told == path and one.server == server.key), None)
    if registration is None:
        return identity.MessageRefusal(Code.NOT_FOUND, "not the location of this device's registration"), b""
    if name == "Update" and state.relay is not None and state.relay.refuse_update:
        return identity.MessageRefusal(Code.NOT_FOUND, "register anew: the endpoint's address or server changed"), b""
    body = register.fit_update(coap, server.profile) if name == "Update" else coap.body
    if registration.location != path:
        body = with_path(parse(coap.code, body), OptionNumber.URI_PATH, registration.location)
    return None, body


def _answer_for_server(step: Step, row: DeviceRequest, refused: identity.MessageRefusal) -> None:
    payload = b"\xff" + refused.text.encode() if refused.text else b""
    largest = step.south.max_downlink
    if largest is not None and step.state.south_hop.size_of(row.south_token, payload) > largest:
        payload = b""  # the code is enough
    toward_device.respond(step, row, refused.code, payload, f"{row.operation} refused")


def _replace_older(step: Step, new: DeviceRequest) -> None:
    """End what this one replaces: a Register ends older Registers and Updates, an Update bare Updates (R15)."""
    if new.operation not in ("Register", "Update"):
        return
    for row in list(step.state.uplinks.values()):
        if row is new or type(row) is not DeviceRequest:
            continue
        if row.server != new.server or row.state is not _U.RECEIVED:
            continue
        if new.operation == "Register":
            moot = row.operation in ("Register", "Update")
        else:
            moot = row.operation == "Update" and _is_bare(row)
        if moot:
            toward_server.settle(step, row, _U.REPLACED, f"a newer {new.operation} came")


def _is_bare(row: DeviceRequest) -> bool:
    update = parse(row.code, row.body)
    return update.option(OptionNumber.URI_QUERY) is None and not update.payload
