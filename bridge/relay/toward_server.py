"""Messages toward servers: accepted as rows, sent once committed, repeated until acknowledged (R2, R5, R15, R17)."""

from bridge.coap import udp
from bridge.coap.message import ACK, CON, NON, RST
from bridge.coap.transmission import EXCHANGE_LIFETIME, MAX_RETRANSMIT, Retransmission
from bridge.delivery.downlinks import ServerRequest
from bridge.delivery.effects import Direction
from bridge.delivery.states import UplinkState
from bridge.delivery.uplinks import (
    CoapUplink,
    DeviceRequest,
    DeviceUplink,
    Notification,
    Originated,
    Response,
    Verdict,
)
from bridge.enums import members
from bridge.relay import awake
from bridge.relay.effects import Count, SendToServer, ServerSilent, Settled
from bridge.relay.events import AddressCame, LeftForServer
from bridge.relay.hops import to_server
from bridge.relay.operation import REGISTRATION
from bridge.relay.state import Step

_U = members(UplinkState)

_NOT_ACKNOWLEDGED = "the server did not acknowledge in time"
_COULD_NOT_LEAVE = (
    "it could not leave for the server: the link was down, or the server had not shown yet that it has its address"
)


def add(step: Step, row: DeviceUplink) -> None:
    """Add a new row of a device's message; it is committed with this step."""
    step.state.uplinks[row.id] = row
    step.state.remember(row)
    step.work.insert(row)


def originate(step: Step, row: Originated) -> None:
    """Make a queued row a message toward its server; `send_queued` sends it when its turn comes."""
    row.coap_type = CON
    row.north_mid = mid = step.state.north_mids.allocate(step.state.by_north_mid)
    step.state.by_north_mid[mid] = row


def respond(step: Step, request: ServerRequest, row: Response | Verdict, code: int, body: bytes) -> None:
    """Answer a server's request: piggybacked if its acknowledgement was not sent yet, else separately (R5).

    A caller of the API reads the answer in the ledger.
    """
    state = step.state
    row.code, row.body = code, body
    if request.is_direct:
        settle(step, row, _U.FORWARDED)
        return
    is_unacknowledged = state.empty_ack_due.pop(request.id, None) is not None
    datagram = _answer_that_goes_once(step, request, row, is_unacknowledged=is_unacknowledged)
    if datagram is None:
        row.coap_type = CON
        row.north_mid = mid = state.north_mids.allocate(state.by_north_mid)
        state.by_north_mid[mid] = row
        datagram = to_server(row)
    step.effect(SendToServer(row.server, datagram))
    if row.coap_type == CON:
        state.retransmissions[row.id] = Retransmission.begin(step.mono, step.work.random())
    else:
        settle(step, row, _U.FORWARDED)


def _answer_that_goes_once(
    step: Step, request: ServerRequest, row: Response | Verdict, *, is_unacknowledged: bool
) -> bytes | None:
    """Make an answer an acknowledgement, or a NON, and return the datagram.

    None: it must go as a message that is repeated, since the request allows nothing else, or it would not leave now.
    """
    state = step.state
    if request.confirmable and not is_unacknowledged:
        return None
    row.coap_type = ACK if is_unacknowledged else NON
    row.north_mid = mid = request.north_mid if is_unacknowledged else state.north_mids.allocate(state.by_north_mid)
    datagram = to_server(row)
    if not step.carries(row.server, datagram):
        return None
    if is_unacknowledged:
        state.exchanges.replied(row, datagram)
    else:
        state.by_north_mid[mid] = row
    return datagram


def send_verdict(step: Step, row: Verdict, code: int, body: bytes) -> None:
    """Send a verdict without a waiting request: confirmable, until the server has it or the verdict expires."""
    state = step.state
    row.code, row.body = code, body
    row.coap_type = CON
    row.north_mid = mid = state.north_mids.allocate(state.by_north_mid)
    state.by_north_mid[mid] = row
    state.retransmissions[row.id] = Retransmission.begin(step.mono, step.work.random())
    step.effect(SendToServer(row.server, to_server(row)))


def settle(step: Step, row: CoapUplink, outcome: UplinkState, reason: str = "") -> None:
    """Set the outcome of an uplink; it is remembered as long as its sender may repeat it."""
    row.move(outcome, step.wall, reason)
    step.state.settle_uplink(row, step.wall + step.state.deliveries.keep)
    step.work.update(row)
    if outcome is _U.FORWARDED and step.state.relay is not None:
        awake.forwarded(step, row)
    step.effect(Settled(row.id, Direction.UP, row.operation, outcome, reason, step.wall - row.received_at))


def send_queued(step: Step) -> None:
    """Send the next device-originated message to every server that has none outstanding (R17).

    A notification waits for the response with its token: an observation begins before it continues.
    """
    state = step.state
    responding: set[bytes] = set()
    for row in state.uplinks.values():
        if row.state is not _U.RECEIVED:
            continue
        if type(row) is Response:
            responding.add(row.south_token)
        elif type(row) is not Verdict and (row.server not in state.active or _may_overtake(step, row)):
            if responding and type(row) is Notification and row.south_token in responding:
                continue
            state.active[row.server] = row.id
            state.retransmissions[row.id] = Retransmission.begin(step.mono, step.work.random())
            _send(step, row)


def _is_never_acknowledged(step: Step, row: CoapUplink) -> bool:
    if type(row) is not Notification:
        return False
    server = step.state.server(row.server)
    return server is not None and not server.profile.acknowledges_notifications


def _send(step: Step, row: CoapUplink) -> None:
    """Send a message: as CON, or as NON, which is all that can be done where the server acknowledges no notification.

    `end_sent_notification` ends a NON that was sent. While the link is down, the NON stays, and is sent again under its
    message ID.
    """
    unconfirmed = _is_never_acknowledged(step, row)
    if unconfirmed is not (row.coap_type == NON):  # also if the server's profile was changed meanwhile
        row.coap_type = NON if unconfirmed else CON
        step.work.update(row)
    step.effect(SendToServer(row.server, to_server(row), row=row.id if unconfirmed else None))


def end_sent_notification(step: Step, event: LeftForServer) -> None:
    """End a notification that was sent as NON: no more will be known of it, except by a Reset."""
    row = step.state.uplinks.get(event.row)
    if row is not None and row.coap_type == NON:
        settle(step, row, _U.FORWARDED, "sent as NON: this server acknowledges no notification")


def _may_overtake(step: Step, row: CoapUplink) -> bool:
    """Return whether a registration message may be sent before one that its server ignores.

    After MAX_RETRANSMIT a message no longer counts as outstanding (RFC 7252 §4.2, §4.7). A server that drops one
    notification in silence must not block the device's registration while the notification is stored.
    """
    state = step.state
    active = state.uplinks.get(state.active[row.server])
    if active is None or row.operation not in REGISTRATION or active.operation in REGISTRATION:
        return False
    timer = state.retransmissions.get(active.id)
    return timer is not None and timer.count > MAX_RETRANSMIT and row.id not in state.retransmissions


def acknowledged(step: Step, row: CoapUplink) -> None:
    """Record that the server has the message. A request still waits for its response."""
    row.acknowledged = True
    if type(row) is not DeviceRequest:
        settle(step, row, _U.FORWARDED)
        return
    step.state.on_its_way_no_longer(row)
    if row.state is _U.RECEIVED:
        row.move(_U.FORWARDED, step.wall)
        # The device expects an answer within its exchange (R14); the server gets a minimum of time in any case.
        waits_until = max(row.received_at + step.south.exchange_span, step.wall + EXCHANGE_LIFETIME)
        row.expires_at = waits_until if row.expires_at is None else min(row.expires_at, waits_until)
        awake.forwarded(step, row)
        step.work.update(row)
        step.effect(Settled(row.id, Direction.UP, row.operation, _U.FORWARDED, "", step.wall - row.received_at))


def awaiting(step: Step, server: str, mid: int) -> CoapUplink | None:
    """Return the message that a server's acknowledgement or Reset with this message ID belongs to."""
    row = step.state.by_north_mid.get(mid)
    return row if row is not None and row.server == server and row.coap_type == CON else None


def repeat_due(step: Step) -> None:
    """Send again messages that no server acknowledged in time, and resume those that a restart interrupted."""
    state = step.state
    for row_id, timer in list(state.retransmissions.items()):
        if timer.at <= step.mono:
            row = state.uplinks[row_id]
            timer.again(step.mono)
            if _is_never_acknowledged(step, row):  # its link was down, or its server's profile was changed
                _send(step, row)
                continue
            if timer.count == 1:
                step.effect(Count("north_retransmissions", row.KIND))
            if timer.count == MAX_RETRANSMIT:
                step.effect(ServerSilent(row.server))
            _send(step, row)


def resume(step: Step) -> None:
    """Send responses and verdicts again after a restart, with their message ID (R5); `send_queued` sends the queue."""
    state = step.state
    for row in state.uplinks.values():
        awaited = isinstance(row, Response | Verdict) and row.state is _U.RECEIVED
        if awaited and row.id not in state.retransmissions:
            state.retransmissions[row.id] = Retransmission.begin(step.mono, step.work.random())
            step.effect(SendToServer(row.server, to_server(row)))


def hasten(step: Step, server: str) -> None:
    """Shorten long retransmission intervals, since the server was heard."""
    for row_id, timer in step.state.retransmissions.items():
        if timer.is_long and step.state.uplinks[row_id].server == server:
            timer.hasten(step.mono)


def repeat_now(step: Step, server: str) -> None:
    """Send unacknowledged messages again: a link toward the server opened. A NON did not wait for the link."""
    for row_id, timer in step.state.retransmissions.items():
        row = step.state.uplinks[row_id]
        if row.server == server and (timer.count or row.coap_type == NON):
            timer.begin_again(step.mono)


def send_what_waits(step: Step, _event: AddressCame) -> None:
    """Send all unacknowledged messages as if they were new: none of them could leave until now."""
    state = step.state
    for row_id in [*state.retransmissions]:
        state.retransmissions[row_id] = Retransmission.begin(step.mono, step.work.random())
        _send(step, state.uplinks[row_id])


def expire(step: Step) -> None:
    """End uplinks that nobody waits for any more (R15)."""
    for row in list(step.state.uplinks.values()):
        if row.expires_at is None or row.expires_at > step.wall:
            continue
        if row.state is _U.RECEIVED:
            settle(step, row, _U.EXPIRED, _COULD_NOT_LEAVE if row.coap_type == NON else _NOT_ACKNOWLEDGED)
        else:
            abandon_response(step, row)


def abandon_response(step: Step, row: CoapUplink) -> None:
    """End a forwarded request whose response did not come."""
    step.state.settle_uplink(row, step.wall + EXCHANGE_LIFETIME)
    step.work.update(row)
    step.effect(Count("responses_missing", "north"))


def sent_unconfirmed(step: Step, server: str, mid: int) -> Notification | None:
    """Return the notification, sent as NON, that a server's Reset with this message ID belongs to."""
    for row in (step.state.by_north_mid.get(mid), *step.state.kept_uplinks.values()):
        if type(row) is Notification and (row.server, row.north_mid, row.coap_type) == (server, mid, NON):
            return row
    return None


def reset(step: Step, server: str, mid: int) -> None:
    """Send a Reset to a server."""
    step.effect(SendToServer(server, udp.empty(RST, mid)))


def acknowledge(step: Step, server: str, mid: int) -> None:
    """Send an Empty acknowledgement to a server."""
    step.effect(SendToServer(server, udp.empty(ACK, mid)))
