"""Messages toward servers: accepted as rows, sent once committed, repeated until acknowledged (R2, R5, R15, R17)."""

from bridge.coap.codec import ACK, CON, NON, RST, Message, empty, frame
from bridge.coap.transmission import EXCHANGE_LIFETIME, MAX_RETRANSMIT, Retransmission
from bridge.delivery.ledger import Downlink, Uplink, UplinkState
from bridge.enums import members
from bridge.relay.effects import Count, SendToServer, ServerSilent, Settled
from bridge.relay.operation import REGISTRATION
from bridge.relay.state import Step

QUEUED_KINDS = ("request", "notification")  # one confirmable of these at a time per server (R17)
_U = members(UplinkState)


def take_uplink(
    step: Step,
    kind: str,
    server: str,
    operation: str,
    message: Message | None,
    *,
    expires_at: float | None,
    digest: bytes = b"",
    duplicate_key: str | None = None,
    downlink: int | None = None,
    north_token: bytes = b"",
    north_confirmable: bool = True,
    north_mid: int | None = None,
    payload: bytes = b"",
) -> Uplink:
    """Make the row of a message from the device, or of the bridge's verdict; it is committed with this step.

    `message` is what the device said, where that is CoAP.
    """
    state = step.state
    row = Uplink(  # by position: with 17 names it takes four times as long
        step.work.new_id(),
        state.endpoint.id,
        state.endpoint.shard,
        kind,
        step.wall,
        server,
        operation,
        message is not None and message.type is CON,
        None if message is None else message.mid,
        b"" if message is None else message.token,
        digest,
        duplicate_key,
        downlink,
        north_token,
        north_confirmable,
        north_mid,
        payload,
        expires_at=expires_at,
    )
    state.uplinks[row.id] = row
    if digest:
        state.by_digest[digest] = row
    if duplicate_key is not None:
        state.by_duplicate_key[duplicate_key] = row
    if kind == "request":
        state.last_request = row.id
    step.work.insert(row)
    return row


def originate(step: Step, row: Uplink, code: int, body: bytes) -> None:
    """Give a queued row its CoAP message toward the server; `pump` sends it when its turn comes."""
    row.north_mid = step.state.allocate_north_mid()
    row.payload = frame(CON, code, row.north_mid, row.north_token, body)


def respond(step: Step, request: Downlink, row: Uplink, code: int, body: bytes) -> None:
    """Answer a server's request: piggybacked where its acknowledgement is still held, else separately (R5)."""
    state = step.state
    if state.empty_ack_due.pop(request.id, None) is not None:
        row.north_mid = request.north_mid
        row.payload = frame(ACK, code, request.north_mid or 0, request.north_token, body)
        state.exchanges.replied(row)
    elif request.confirmable:
        row.north_mid = state.allocate_north_mid()
        row.payload = frame(CON, code, row.north_mid, request.north_token, body)
    else:
        row.north_mid = state.allocate_north_mid()
        row.payload = frame(NON, code, row.north_mid, request.north_token, body)
    step.effect(SendToServer(row.server, row.payload))
    if row.payload[0] >> 4 & 3 == CON:
        state.retransmissions[row.id] = Retransmission.begin(step.mono, step.work.random())
    else:
        settle(step, row, _U.FORWARDED)


def settle(step: Step, row: Uplink, outcome: UplinkState, reason: str = "") -> None:
    """Give an uplink its outcome; it stays known for as long as its sender may repeat it."""
    row.move(outcome, step.wall, reason)
    step.state.settle_uplink(row, step.wall + step.state.deliveries.keep)
    step.work.update(row)
    step.effect(Settled(row.id, "up", row.operation, outcome, reason))


def pump(step: Step) -> None:
    """Send the next device-originated message to every server that has none on its way (R17).

    A notification waits for the response of its own token: an observation begins before it goes on.
    """
    state = step.state
    responding: set[bytes] = set()
    for row in state.uplinks.values():
        if row.state is not _U.RECEIVED:
            continue
        if row.kind == "response":
            responding.add(row.south_token)
        elif row.kind in QUEUED_KINDS and (row.server not in state.active or _may_overtake(step, row)):
            if row.kind == "notification" and row.south_token in responding:
                continue
            state.active[row.server] = row.id
            state.retransmissions[row.id] = Retransmission.begin(step.mono, step.work.random())
            step.effect(SendToServer(row.server, row.payload))


def _may_overtake(step: Step, row: Uplink) -> bool:
    """Whether a registration need not wait for what its server ignores.

    After MAX_RETRANSMIT a message counts no more as outstanding (RFC 7252 §4.2, §4.7); a server that drops one
    notification in silence must not keep the device from registering as long as that is stored.
    """
    state = step.state
    active = state.uplinks.get(state.active[row.server])
    if active is None or row.operation not in REGISTRATION or active.operation in REGISTRATION:
        return False
    timer = state.retransmissions.get(active.id)
    return timer is not None and timer.count > MAX_RETRANSMIT and row.id not in state.retransmissions


def acknowledged(step: Step, row: Uplink) -> None:
    """The server has the message. A request goes on waiting for its response."""
    row.acknowledged = True
    if row.kind != "request":
        settle(step, row, _U.FORWARDED)
        return
    step.state.on_its_way_no_longer(row)
    if row.state is _U.RECEIVED:
        row.move(_U.FORWARDED, step.wall)
        # The device knows its request no longer than its exchange (R14); the server gets a while in any case.
        waits_until = max(row.received_at + step.south.exchange_span, step.wall + EXCHANGE_LIFETIME)
        row.expires_at = waits_until if row.expires_at is None else min(row.expires_at, waits_until)
        step.work.update(row)
        step.effect(Settled(row.id, "up", row.operation, _U.FORWARDED, ""))


def awaiting(step: Step, server: str, mid: int) -> Uplink | None:
    """Give the message that a server's acknowledgement or Reset with this MID is for."""
    for row in step.state.uplinks.values():
        if row.north_mid == mid and row.server == server and row.payload[0] >> 4 & 3 == CON:
            return row
    return None


def repeat_due(step: Step) -> None:
    """Send again what no server has acknowledged in time, and resume what a restart interrupted."""
    state = step.state
    for row_id, timer in list(state.retransmissions.items()):
        if timer.at <= step.mono:
            row = state.uplinks[row_id]
            timer.again(step.mono)
            if timer.count == 1:
                step.effect(Count("north_retransmissions", row.kind))
            if timer.count == MAX_RETRANSMIT:
                step.effect(ServerSilent(row.server))
            step.effect(SendToServer(row.server, row.payload))


def resume(step: Step) -> None:
    """After a restart: responses and verdicts go again at once, with their own MID (R5); the queue goes by `pump`."""
    state = step.state
    for row in state.uplinks.values():
        if row.kind in ("response", "verdict") and row.state is _U.RECEIVED and row.id not in state.retransmissions:
            state.retransmissions[row.id] = Retransmission.begin(step.mono, step.work.random())
            step.effect(SendToServer(row.server, row.payload))


def hasten(step: Step, server: str) -> None:
    """The server was heard: do not wait out a long interval."""
    for row_id, timer in step.state.retransmissions.items():
        if timer.is_long and step.state.uplinks[row_id].server == server:
            timer.hasten(step.mono)


def expire(step: Step) -> None:
    """End what nobody waits for any more (R15)."""
    for row in list(step.state.uplinks.values()):
        if row.expires_at is None or row.expires_at > step.wall:
            continue
        if row.state is _U.RECEIVED:
            settle(step, row, _U.EXPIRED, "the server did not acknowledge in time")
        else:
            await_no_longer(step, row)


def await_no_longer(step: Step, row: Uplink) -> None:
    """Let go of a forwarded request whose response did not come."""
    step.state.settle_uplink(row, step.wall + EXCHANGE_LIFETIME)
    step.work.update(row)
    step.effect(Count("responses_missing", "north"))


def reset(step: Step, server: str, mid: int) -> None:
    """Send a Reset to a server."""
    step.effect(SendToServer(server, empty(RST, mid)))


def acknowledge(step: Step, server: str, mid: int) -> None:
    """Send an Empty acknowledgement to a server."""
    step.effect(SendToServer(server, empty(ACK, mid)))
