"""The bridge's own answers to servers' requests: they say only what is certain (R10, R11, R12, R18, R27)."""

from bridge.coap.message import RST, Option, encode_body
from bridge.coap.numbers import Code, OptionNumber
from bridge.delivery.downlinks import CONTINUES, Downlink, ServerRequest
from bridge.delivery.states import DownlinkState, UplinkState
from bridge.delivery.uplinks import Verdict
from bridge.enums import members
from bridge.relay import awake, toward_server, transfers
from bridge.relay.effects import Count, SendToServer
from bridge.relay.hops import to_server
from bridge.relay.model import Observation, ServerProfile
from bridge.relay.state import Step

LONGEST_TEXT = 120  # characters of a diagnostic payload: servers show it to people
RETRY_LATER = 60  # seconds of Max-Age with 5.03 (RFC 7252 §5.9.3.4)
_PARTS_ARRIVED = "(the parts before this one arrived)"
NO_REQUEST = 0  # instead of a request, in a verdict about an observation
_S = members(DownlinkState)
_U = members(UplinkState)
_CODES: dict[DownlinkState, int] = {
    _S.EXPIRED: Code.GATEWAY_TIMEOUT,
    _S.UNANSWERED: Code.GATEWAY_TIMEOUT,
    _S.NACKED: Code.GATEWAY_TIMEOUT,
    _S.UNREACHABLE: Code.GATEWAY_TIMEOUT,
    _S.RATE_LIMITED: Code.GATEWAY_TIMEOUT,
    _S.UNKNOWN: Code.GATEWAY_TIMEOUT,
    _S.FAILED: Code.BAD_GATEWAY,
    _S.REJECTED: Code.BAD_GATEWAY,
    _S.CANCELLED: Code.SERVICE_UNAVAILABLE,
    _S.SUPERSEDED: Code.SERVICE_UNAVAILABLE,
    _S.TOO_LARGE: Code.SERVICE_UNAVAILABLE,
}


def profile_of(step: Step, server: str) -> ServerProfile:
    """Return the profile of a server, or the default one if the endpoint no longer has it."""
    known = step.state.server(server)
    return known.profile if known is not None else ServerProfile()


def answer_ended_requests(step: Step) -> None:
    """Answer servers' requests that reached their outcome without an answer from the device."""
    d = step.state.deliveries
    while d.ended:
        row = d.ended.pop(0)
        step.state.by_south_mid.pop(row.own_mid, None)
        if type(row) is ServerRequest and not row.answered and row.state is not _S.RESPONDED:
            if row.is_direct and row.priority >= CONTINUES:
                row.reason = f"{row.reason} {_came_before(row)}".lstrip()
            answer_instead(step, row, _CODES[row.state])


def _came_before(row: ServerRequest) -> str:
    """Return what is certain of the messages before a later one of an exchange."""
    return _PARTS_ARRIVED if transfers.is_later_part(row) else "(the device answered with the blocks before this one)"


def unanswered_in_time(step: Step, rows: list[Downlink]) -> None:
    """Answer for the device when a server's patience ends (R10)."""
    for row in rows:
        if type(row) is ServerRequest and not row.answered and row.answer_by <= step.wall:
            step.effect(Count("patience_ended", row.state.value))
            answer_instead(step, row, Code.GATEWAY_TIMEOUT)


def answer_instead(step: Step, row: ServerRequest, code: int) -> None:
    """Answer a request in place of the device; send nothing if the profile or OSCORE asks for silence."""
    _answered(step, row)
    if row.is_direct:
        return  # the outcome itself says it
    profile = profile_of(step, row.server)
    options: list[Option] = []
    if row.state is _S.TOO_LARGE:
        code, options = transfers.too_large(step, row)
    silent = code == Code.GATEWAY_TIMEOUT and (profile.silent_expiry or _knows_it_sleeps(step, row.server))
    if row.operation == "OSCORE" and code != Code.SERVICE_UNAVAILABLE:
        silent = True  # a server drops any other unprotected error (R27)
    if silent:
        awake.timed_out(step, row.server)
        _acknowledge_if_held(step, row)
        return
    if code == Code.SERVICE_UNAVAILABLE:
        options = [*options, (OptionNumber.MAX_AGE, bytes((RETRY_LATER,)))]
    text = f"{row.state.value}: {row.reason}"[:LONGEST_TEXT] if row.reason else row.state.value
    if transfers.is_later_part(row):
        text += f" {_PARTS_ARRIVED}"
    if row.operation == "OSCORE":
        text = ""
    verdict = _new_for_request(step, row, row.north_token)
    toward_server.respond(step, row, verdict, code, encode_body(options, text.encode()))


def _knows_it_sleeps(step: Step, server: str) -> bool:
    """Return whether a server knows that the device sleeps: then it handles silence itself (queue mode, R21)."""
    return any(one.queue_mode for one in step.state.registrations if one.server == server)


def _answered(step: Step, row: ServerRequest) -> None:
    row.answered = True
    step.state.deliveries.touch(row)  # nobody waits for it any more
    step.work.update(row)


def observation_ended(step: Step, observation: Observation) -> None:
    """Tell a server that an observation ended: it was replaced, since no notification came for long (R30)."""
    verdict = _new(
        step, observation.server, "Observe", step.wall + step.state.policy.long_ttl, observation.north_token, NO_REQUEST
    )
    step.effect(Count("observations_ended", "unheard"))
    toward_server.send_verdict(step, verdict, Code.SERVICE_UNAVAILABLE, encode_body([], b"the observation made way"))


def _new_for_request(step: Step, row: ServerRequest, north_token: bytes) -> Verdict:
    expires_at = max(row.answer_by, step.wall) + profile_of(step, row.server).margin + RETRY_LATER
    return _new(step, row.server, row.operation, expires_at, north_token, row.id)


def _new(step: Step, server: str, operation: str, expires_at: float, north_token: bytes, downlink: int) -> Verdict:
    endpoint = step.state.endpoint
    verdict = Verdict.new(
        step.work.new_id(),
        endpoint.id,
        endpoint.shard,
        step.wall,
        server,
        operation,
        expires_at,
        north_token,
        downlink,
    )
    step.state.uplinks[verdict.id] = verdict
    step.work.insert(verdict)
    return verdict


def reset(step: Step, row: ServerRequest) -> None:
    """Relay the device's Reset: as a Reset if the request is not acknowledged yet, else as 5.02 (R18)."""
    if step.state.empty_ack_due.pop(row.id, None) is None:
        answer_instead(step, row, Code.BAD_GATEWAY)
        return
    _answered(step, row)
    verdict = _new_for_request(step, row, b"")  # stored: a retransmission gets it again (R4)
    verdict.coap_type, verdict.north_mid = RST, row.north_mid
    datagram = to_server(verdict)
    step.state.exchanges.replied(verdict, datagram)
    step.effect(SendToServer(row.server, datagram))
    toward_server.settle(step, verdict, _U.FORWARDED)


def _acknowledge_if_held(step: Step, row: ServerRequest) -> None:
    if step.state.empty_ack_due.pop(row.id, None) is not None:
        toward_server.acknowledge(step, row.server, row.north_mid)
