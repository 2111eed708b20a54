"""DTLS records: relayed unchanged between the device and the server's DTLS port (R26)."""

from bridge.delivery.downlinks import OpaqueDownlink
from bridge.delivery.effects import Direction
from bridge.delivery.states import DownlinkState, UplinkState
from bridge.delivery.uplinks import OpaqueUplink
from bridge.enums import members
from bridge.relay import secured
from bridge.relay.effects import Count, SendToServer, Settled
from bridge.relay.model import Server
from bridge.relay.state import Step

_S = members(DownlinkState)
_U = members(UplinkState)

FIRST, LAST = 20, 63  # first bytes of DTLS records; CoAP version 1 is 64–127 (RFC 9443 §2 draws the same line)
_HANDSHAKE = 22  # content type, RFC 6347 §4.1
_DTLS_MAJOR = b"\xfe"  # records without it, or with a connection id, have other headers and are not split
_CANNOT_LEAVE = (
    "the server cannot be reached on its DTLS port: its name is not resolved, the endpoint's own address is closed, or "
    "the bridge itself has the sessions with this server; DTLS sends it again"
)
_HEADER = 13  # bytes of a DTLS 1.2 record header, RFC 6347 §4.1


def is_record(data: bytes) -> bool:
    """Whether a datagram is DTLS, judged by its first byte."""
    return bool(data) and FIRST <= data[0] <= LAST


def from_device(
    step: Step, data: bytes, digest: bytes, duplicate_key: str | None, at_port: Server | None = None
) -> None:
    """Store a record and send it to the server's DTLS port, once: DTLS has retransmissions of its own.

    The server is `at_port`, whose application port the record came on, else the endpoint's first (R23).
    """
    state = step.state
    if not state.endpoint.servers:
        return
    server = (at_port or state.endpoint.servers[0]).key
    endpoint = state.endpoint
    secured.seen(step)
    row = OpaqueUplink.received(
        step.work.new_id(), endpoint.id, endpoint.shard, step.heard_at, server, data, digest, duplicate_key
    )
    state.remember(row)
    step.work.insert(row)
    if step.carries(server, secure=True):
        step.effect(SendToServer(server, data, secure=True))
        row.move(_U.FORWARDED, step.wall)
    else:
        row.move(_U.REJECTED, step.wall, _CANNOT_LEAVE)
        step.effect(Count("records_not_sent", server, f"a DTLS record to server {server} is dropped: {_CANNOT_LEAVE}"))
    row.keep_until = step.wall + state.deliveries.keep
    state.keep_uplink(row)
    step.effect(Settled(row.id, Direction.UP, row.operation, row.state, row.reason, step.wall - row.received_at))


def from_server(step: Step, server: str, data: bytes) -> None:
    """Queue a server's datagram, split at record boundaries if it does not fit; drop it if it cannot be queued."""
    state = step.state
    secured.seen(step)
    waiting = [row for row in state.deliveries.live.values() if type(row) is OpaqueDownlink]
    handshake = _is_plain_handshake(data)
    if handshake:
        for row in waiting:
            if row.state is _S.QUEUED and _same_handshake(row.body, data):
                row.body = data  # its retransmission, with a newer record number
                step.work.update(row)
                step.effect(Count("handshake_replaced"))
                return
    largest = step.south.max_downlink
    pieces = split(data, largest) if largest is not None and len(data) > largest else [data]
    if pieces is None:
        text = (
            f"a DTLS record of server {server} has more than the {largest} bytes that the network carries now: have "
            "the server fragment its handshake (its MTU), use pre-shared keys, or OSCORE"
        )
        step.effect(Count("requests_refused", "too large", text))
        return
    if len(waiting) + len(pieces) > state.policy.max_opaque:
        step.effect(Count("requests_refused", "queue full"))
        return
    ttl = state.policy.handshake_ttl if handshake else state.policy.record_ttl
    for piece in pieces:
        row = OpaqueDownlink.accepted(
            step.work.new_id(),
            state.endpoint.id,
            state.endpoint.shard,
            step.wall,
            step.wall + ttl,
            piece,
            server,
        )
        state.deliveries.add(row, step.work)


def split(data: bytes, largest: int) -> list[bytes] | None:
    """Return the datagram in pieces of whole records, each of at most `largest` bytes; None if one record is larger."""
    pieces: list[bytes] = []
    current = b""
    at = 0
    while at < len(data):
        end = at + _HEADER + int.from_bytes(data[at + 11 : at + _HEADER], "big")
        record = data[at:end]
        if data[at + 1 : at + 2] != _DTLS_MAJOR or end > len(data) or len(record) > largest:
            return None
        if len(current) + len(record) > largest:
            pieces.append(current)
            current = b""
        current += record
        at = end
    return [*pieces, current]


def _is_plain_handshake(data: bytes) -> bool:
    return len(data) > _HEADER and data[0] == _HANDSHAKE and data[3:5] == b"\x00\x00"


def _same_handshake(one: bytes, other: bytes) -> bool:
    """Whether two datagrams differ in nothing but the record number."""
    return len(one) == len(other) and one[:5] == other[:5] and one[11:] == other[11:]
