"""Messages toward a server that the endpoint no longer has are ended: nothing more is sent there (R24)."""

from bridge.delivery import words
from bridge.delivery.downlinks import DIRECT, ServerRequest
from bridge.delivery.states import UplinkState
from bridge.delivery.uplinks import CoapUplink
from bridge.enums import members
from bridge.relay import observations, toward_server
from bridge.relay.state import EndpointState, Step

_U = members(UplinkState)

WHY = "the endpoint no longer has this server"


def is_own(state: EndpointState, server: str) -> bool:
    """Return whether a server is one of the endpoint's, or the API's callers are meant."""
    return server == DIRECT or any(own.key == server for own in state.endpoint.servers)


def end_what_waits(step: Step) -> None:
    """End messages to removed servers, their requests and observations. A message that the device repeats is new."""
    state = step.state
    for observation in state.observations.values():
        if not is_own(state, observation.server):
            observations.cancel(step, observation)
    for up in list(state.uplinks.values()):
        if is_own(state, up.server):
            continue
        if up.state is _U.RECEIVED:
            toward_server.settle(step, up, _U.EXPIRED, WHY)
        elif isinstance(up, CoapUplink):
            toward_server.abandon_response(step, up)
    for row in list(state.deliveries.live.values()):
        if type(row) is ServerRequest and not is_own(state, row.server):
            row.answered = True  # no server is notified
            state.deliveries.touch(row)
            words.cancel_asked(state.deliveries, row.id, step.work, step.south)
