"""Answers of servers to the device's requests (R14, R20), and the registrations that begin and end with them."""

from bridge.coap.message import ACK, CON, Message, parse
from bridge.coap.numbers import Code, OptionNumber
from bridge.coap.transmission import EXCHANGE_LIFETIME
from bridge.delivery.uplinks import DeviceRequest
from bridge.relay import awake, observations, secured, toward_device, toward_server, waking
from bridge.relay.effects import Count, Noted, RegistrationNoted
from bridge.relay.register import DEFAULT_LIFETIME, NEARLY, asks_for_queue_mode, lifetime_of
from bridge.relay.registrations import Registration, path_for_device, segments, with_path
from bridge.relay.state import Step

_ABOUT_REGISTRATION = frozenset({"Register", "Update", "De-register"})


def process(step: Step, server: str, message: Message) -> None:
    """Process a server's response: piggybacked in its acknowledgement, or separate."""
    for row in step.state.uplinks.values():
        if type(row) is DeviceRequest and row.server == server and row.north_token == message.token:
            if message.type is ACK and message.mid != row.north_mid:
                continue
            _answered(step, row, message)
            return
    if message.type is CON:
        repeated = any(
            type(row) is DeviceRequest
            and row.server == server
            and row.server_mid == message.mid
            and row.north_token == message.token
            for row in step.state.kept_uplinks.values()
        )
        if repeated:
            toward_server.acknowledge(step, server, message.mid)
        else:
            toward_server.reset(step, server, message.mid)  # RFC 7252 §5.3.2: no request has this token
    step.effect(Count("responses_without_request", "north"))


def _answered(step: Step, row: DeviceRequest, message: Message) -> None:
    toward_server.acknowledged(step, row)
    if message.type is CON:
        row.server_mid = message.mid
        toward_server.acknowledge(step, row.server, message.mid)
    step.state.settle_uplink(row, max(row.received_at + step.south.exchange_span, step.wall + EXCHANGE_LIFETIME))
    step.work.update(row)
    body = _registration_follows(step, row, message)
    if row.operation == "Send":
        awake.reachable(step, step.wall)
    if _is_unwanted(row, message):
        if row.confirmable:
            toward_device.acknowledge(step, row, row.south_mid)
        return
    toward_device.respond(step, row, message.code, body, f"{row.operation} answer")


def _is_unwanted(row: DeviceRequest, message: Message) -> bool:
    """Return whether the device asked not to be sent such a response (No-Response, RFC 7967 §2.1)."""
    unwanted = row.no_response
    return unwanted is not None and bool(unwanted >> (message.code >> 5) - 1 & 1)


def _registration_follows(step: Step, row: DeviceRequest, message: Message) -> bytes:
    """Begin, renew or end a registration by the server's answer; return the answer's body for the device.

    If one begins or ends, the observations of the server's earlier registration end (R20).
    """
    if row.operation not in _ABOUT_REGISTRATION:
        return message.body
    asked = parse(row.code, row.body)
    if row.operation == "Register" and message.code == Code.CREATED:
        step.effect(RegistrationNoted(row.server, Noted.BEGUN))
        return _registered(step, row, asked, message)
    if row.operation == "Update" and message.code == Code.CHANGED:
        _refreshed(step, row, asked)
        step.effect(RegistrationNoted(row.server, Noted.CONFIRMED))
    elif (row.operation == "De-register" and message.code == Code.DELETED) or (
        row.operation == "Update" and message.code == Code.NOT_FOUND
    ):
        is_forgotten(step, row.server)
        step.effect(RegistrationNoted(row.server, Noted.ENDED))
    return message.body


def is_forgotten(step: Step, server: str) -> None:
    """End the registration with a server that forgot it; its observations end, too (R20)."""
    relay = step.relay_row()
    relay.registrations = [one for one in relay.registrations if one.server != server]
    observations.end_all(step, server)


def _registered(step: Step, row: DeviceRequest, asked: Message, message: Message) -> bytes:
    relay = step.relay_row()
    known = [one for one in relay.registrations if one.server != row.server]  # to the device, after a move as well
    others = [] if relay.refuse_update else known
    location = segments(message, OptionNumber.LOCATION_PATH)
    told = path_for_device(location, known)
    lifetime = lifetime_of(asked)
    queued = asks_for_queue_mode(asked) or False
    begun = Registration(row.server, location, told, step.wall, step.wall, lifetime, queued, step.wall)
    relay.registrations = [*others, begun]
    relay.refuse_update = False
    observations.end_all(step, row.server)
    secured.record_plain_text(step)
    if step.state.endpoint.wake is not None:
        waking.note_register(step, row.body)
    return message.body if told == location else with_path(message, OptionNumber.LOCATION_PATH, told)


def _refreshed(step: Step, row: DeviceRequest, asked: Message) -> None:
    """Record an Update; warn of a device that updates so seldom that its registration may lapse."""
    for one in step.state.registrations:
        if one.server != row.server:
            continue
        pause, lifetime = step.wall - one.refreshed_at, one.lifetime or DEFAULT_LIFETIME
        if pause > lifetime * NEARLY:
            name = step.state.endpoint.name
            text = f"endpoint {name} renewed its registration at {row.server} after {pause:.0f} of {lifetime} s only"
            cure = "raise its lifetime (/1/x/1), or let it send Updates more often"
            step.effect(Count("late_updates", row.server, f"{text}: one that is lost ends the registration; {cure}"))
        one.refreshed_at = step.wall
        one.lifetime = lifetime_of(asked) or one.lifetime
        queued = asks_for_queue_mode(asked)
        one.queue_mode = one.queue_mode if queued is None else queued
        one.awake_since = step.wall
        step.relay_row()
