"""DTLS records: relayed between the device and the server's DTLS port; only a handshake may be cut (R26)."""

from collections.abc import Iterator

from bridge.delivery.downlinks import OpaqueDownlink
from bridge.delivery.effects import Direction
from bridge.delivery.states import DownlinkState, UplinkState
from bridge.delivery.uplinks import OpaqueUplink
from bridge.enums import members
from bridge.relay import client_hello, secured
from bridge.relay.effects import Count, SendToServer, Settled
from bridge.relay.handshake import HANDSHAKE, HEADER, ROOM_OF_ENDS, Fitting, records_of, renumbered
from bridge.relay.model import Server
from bridge.relay.state import Step

_S = members(DownlinkState)
_U = members(UplinkState)

FIRST, LAST = 20, 63  # first bytes of DTLS records; CoAP version 1 is 64–127 (RFC 9443 §2 draws the same line)
_CANNOT_LEAVE = (
    "the server cannot be reached on its DTLS port: its name is not resolved, the endpoint's own address is closed, or "
    "the bridge itself has the sessions with this server; DTLS sends it again"
)
_PART = "a part of a ClientHello: the whole goes to the server once all are there, and nothing if they do not all come"
PIECES = 8  # pieces of handshakes that may wait for each other record that may
_ON_THE_WAY = {_S.QUEUED, _S.SUBMITTING, _S.BUFFERED}


def is_record(data: bytes) -> bool:
    """Return whether a datagram is DTLS, judged by its first byte."""
    return bool(data) and FIRST <= data[0] <= LAST


def from_device(
    step: Step, data: bytes, digest: bytes, duplicate_key: str | None, at_port: Server | None = None
) -> None:
    """Store a record and send it to the server's DTLS port, once: DTLS has retransmissions of its own.

    A part of a ClientHello is sent with the others, when all are there. The server is `at_port`, whose application port
    the record came on, else the endpoint's first (R23).
    """
    state = step.state
    if not state.endpoint.servers:
        return
    server = (at_port or state.endpoint.servers[0]).key
    endpoint = state.endpoint
    secured.record_unreadable(step)
    row = OpaqueUplink.received(
        step.work.new_id(), endpoint.id, endpoint.shard, step.heard_at, server, data, digest, duplicate_key
    )
    state.remember(row)
    step.work.insert(row)
    part = client_hello.part_of(data)
    to_send = data if part is None else client_hello.assembled(part, _earlier_parts(step, server))
    if to_send is None:
        row.move(_U.REPLACED, step.wall, _PART)
        step.effect(Count("hello_parts"))
    elif step.carries(server, to_send, secure=True):
        step.effect(SendToServer(server, to_send, secure=True))
        row.move(_U.FORWARDED, step.wall)
    else:
        row.move(_U.REJECTED, step.wall, _CANNOT_LEAVE)
        step.effect(Count("records_not_sent", server, f"a DTLS record to server {server} is dropped: {_CANNOT_LEAVE}"))
    row.keep_until = step.wall + max(state.deliveries.keep, state.policy.handshake_ttl)
    state.keep_uplink(row)
    step.effect(Settled(row.id, Direction.UP, row.operation, row.state, row.reason, step.wall - row.received_at))


def _earlier_parts(step: Step, server: str) -> Iterator[client_hello.ClientHelloPart]:
    """Return the parts of a ClientHello that wait for the rest of it, the newest first."""
    since = step.wall - step.state.policy.handshake_ttl
    for row in reversed(step.state.kept_others.values()):
        if type(row) is not OpaqueUplink or row.server != server:
            continue
        part = client_hello.part_of(row.body) if row.state is _U.REPLACED and row.received_at >= since else None
        if part is None:  # a whole one, or something else of a later time
            return
        yield part


def from_server(step: Step, server: str, data: bytes) -> None:
    """Queue a server's datagram, in pieces if it does not fit; drop it if it cannot be queued."""
    secured.record_unreadable(step)
    largest = step.south.max_downlink
    if largest is not None and largest < ROOM_OF_ENDS:
        _through_a_small_network(step, server, data, largest)
        return
    if step.state.renumbers:
        data = renumbered(data)
    waiting = _waiting(step)
    handshake = _is_plain_handshake(data)
    if handshake:
        for row in waiting:
            if row.state is _S.QUEUED and _same_handshake(row.body, data):
                row.body = data  # its retransmission, with a newer record number
                step.work.update(row)
                step.effect(Count("handshake_replaced"))
                return
    pieces = split(data, largest) if largest is not None and len(data) > largest else [data]
    if pieces is None:
        _refuse(step, server, largest)
    elif len(waiting) + len(pieces) > step.state.policy.max_opaque:
        step.effect(Count("requests_refused", "queue full"))
    else:
        for piece in pieces:
            _queue(step, server, piece, handshake=handshake)


def _through_a_small_network(step: Step, server: str, data: bytes, largest: int) -> None:
    """Queue a datagram whose handshake is cut as needed, and whose protected records stay as they are.

    Of a handshake, what waits already is not queued again, and eight times as many pieces may wait as other records.
    Pieces beyond that are dropped: with the server's next repetition those are queued that no longer wait.
    """
    waiting = _waiting(step)
    pieces = [row for row in waiting if _is_plain_handshake(row.body)]
    records = records_of(data)
    step.state.renumbers |= records is not None
    if records is None:
        datagrams = [data] if len(data) <= largest else None  # not DTLS 1.2
    else:
        fitting = Fitting(largest, (row.body for row in pieces if row.server == server and row.state in _ON_THE_WAY))
        datagrams = fitting.datagrams if all(fitting.add(record) for record in records) else None
        if fitting.left_out:
            step.effect(Count("handshake_replaced"))
    if datagrams is None:
        _refuse(step, server, largest)
        return
    if records is not None and fitting.cut:
        step.effect(Count("handshake_cut"))
    most = step.state.policy.max_opaque
    room = {True: most * PIECES - len(pieces), False: most - (len(waiting) - len(pieces))}
    for datagram in datagrams:
        handshake = _is_plain_handshake(datagram)
        if room[handshake] <= 0:
            step.effect(Count("requests_refused", "queue full"))
            return
        room[handshake] -= 1
        _queue(step, server, datagram, handshake=handshake)


def _waiting(step: Step) -> list[OpaqueDownlink]:
    return [row for row in step.state.deliveries.live.values() if type(row) is OpaqueDownlink]


def _refuse(step: Step, server: str, largest: int | None) -> None:
    text = (
        f"a DTLS record of server {server} has more than the {largest} bytes that the network carries now: have "
        "the server send smaller messages (a smaller block size), use a suite with a tag of eight bytes, or OSCORE"
    )
    step.effect(Count("requests_refused", "too large", text))


def _queue(step: Step, server: str, piece: bytes, *, handshake: bool) -> None:
    state = step.state
    ttl = state.policy.handshake_ttl if handshake else state.policy.record_ttl
    row = OpaqueDownlink.accepted(
        step.work.new_id(), state.endpoint.id, state.endpoint.shard, step.wall, step.wall + ttl, piece, server
    )
    state.deliveries.add(row, step.work)


def split(data: bytes, largest: int) -> list[bytes] | None:
    """Return the datagram in pieces of whole records, each of at most `largest` bytes; None if one record is larger."""
    pieces: list[bytes] = []
    current = b""
    for record in records_of(data) or ():
        if record.size > largest:
            return None
        if len(current) + record.size > largest:
            pieces.append(current)
            current = b""
        current += record.encode()
    return [*pieces, current] if current else None


def _is_plain_handshake(data: bytes) -> bool:
    return len(data) > HEADER and data[0] == HANDSHAKE and data[3:5] == b"\x00\x00"


def _same_handshake(one: bytes, other: bytes) -> bool:
    """Return whether two datagrams differ in nothing but the record number."""
    return len(one) == len(other) and one[:5] == other[:5] and one[11:] == other[11:]
