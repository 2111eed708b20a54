"""Whether one more request for a device is taken at all, from a server or by the API (R3, R30)."""

from math import ceil

from bridge.coap.message import Message, Option, uint_value
from bridge.coap.numbers import Code, OptionNumber
from bridge.coap.transmission import EXCHANGE_LIFETIME
from bridge.delivery.downlinks import ServerRequest
from bridge.relay.identity import asks_a_proxy
from bridge.relay.state import Step
from bridge.relay.verdict import RETRY_LATER

TOO_MANY = "too many exchanges"

Refused = tuple[int, list[Option], str]
"""The response code, its options, and the reason as text."""


def refusal_of(step: Step, message: Message, makes_way: frozenset[int] = frozenset()) -> Refused | None:
    """Return why a request certainly cannot be accepted, or None.

    `makes_way`: downlinks that end if it is accepted, so that it takes their room in the queue and the quota.
    """
    state = step.state
    if message.has_option_from(OptionNumber.PROXY_URI) and asks_a_proxy(message):
        return Code.PROXYING_NOT_SUPPORTED, [], "the bridge is no forward proxy"  # RFC 7252 §5.10.2
    most = state.policy.max_requests
    live = state.deliveries.live
    if len(live) >= most and sum(type(row) is ServerRequest for row in live.values()) - len(makes_way) >= most:
        return Code.SERVICE_UNAVAILABLE, [(OptionNumber.MAX_AGE, bytes((RETRY_LATER,)))], "queue full"
    if state.account.limits.refuses:
        refused = _quota_refusal(step, message, makes_way)
        if refused is not None:
            return refused
    free_in = state.exchanges.free_in(step.wall)
    if free_in is not None:
        seconds = min(max(1, ceil(free_in)), int(EXCHANGE_LIFETIME))  # clocks are set back, too
        text = f"{TOO_MANY}: {state.exchanges.most} within {EXCHANGE_LIFETIME:.0f} s"
        return Code.SERVICE_UNAVAILABLE, [(OptionNumber.MAX_AGE, uint_value(seconds))], text
    if state.policy.refuse_when_down and not step.south.network_up:
        return Code.SERVICE_UNAVAILABLE, [(OptionNumber.MAX_AGE, bytes((RETRY_LATER,)))], "network down"
    return None


def _quota_refusal(step: Step, message: Message, makes_way: frozenset[int]) -> Refused | None:
    """Refuse a request if a quota is used up, or will be by the messages that wait already."""
    state = step.state
    waiting = [
        row
        for row in state.deliveries.live.values()
        if type(row) is ServerRequest and not row.attempts and row.id not in makes_way
    ]
    size = sum(map(state.south_hop.size, waiting)) + state.south_hop.size_of(b"\0", message.body)
    hold = state.account.refusal(len(waiting) + 1, size, step.wall)
    if hold is None:
        return None
    max_age = uint_value(max(1, ceil(hold.until - step.wall)))
    return Code.SERVICE_UNAVAILABLE, [(OptionNumber.MAX_AGE, max_age)], hold.why
