"""The observations of an endpoint: how one begins and ends on both sides, and how many there may be (R19, R20, R30)."""

from hashlib import blake2b
from math import ceil

from bridge.coap.message import Message, encode_body, parse
from bridge.coap.numbers import OptionNumber
from bridge.delivery.downlinks import ServerRequest
from bridge.enums import members
from bridge.relay import verdict
from bridge.relay.model import Observation, ObservationState
from bridge.relay.state import Step
from bridge.relay.verdict import RETRY_LATER

_O = members(ObservationState)
_NO_CACHE_KEY = (OptionNumber.ETAG, OptionNumber.OBSERVE, OptionNumber.BLOCK2, OptionNumber.BLOCK1)
_HEARD_EVERY = 3600.0  # seconds: the time of an observation's latest notification is stored no more often


def follow(step: Step, row: ServerRequest, message: Message) -> None:
    """Begin, keep or end an observation as the response says (RFC 7641 §3.1, §3.6)."""
    if row.observe is None:
        return
    state = step.state
    begins = row.observe == 0 and message.code >> 5 == 2 and message.option(OptionNumber.OBSERVE) is not None  # noqa: PLR2004
    there = state.observations.get(row.south_token)
    if not begins:
        drop_observation(step, row.south_token)
    elif there is None:
        _begin(step, row, _O.ACTIVE)
    else:
        there.heard_at = step.wall
        step.work.update(there)


def _begin(step: Step, row: ServerRequest, state: ObservationState) -> None:
    """Record a new observation. The observation replaces an older one of the same resource (RFC 7641 §3.1)."""
    endpoint = step.state.endpoint
    asked = parse(row.code, row.body)
    asks = what_is_asked(asked)
    if state is _O.ACTIVE:
        for older in step.state.observations.values():
            if older.asks == asks and older.server == row.server:
                cancel(step, older)
    path = "/" + "/".join(asked.strings(OptionNumber.URI_PATH))
    observation = Observation(
        endpoint.id,
        row.south_token,
        endpoint.shard,
        row.server,
        row.north_token,
        step.wall,
        state,
        path,
        asks,
        step.wall,
    )
    step.state.observations[row.south_token] = observation
    step.work.insert(observation)


def begun_too_late(step: Step, row: ServerRequest, south_token: bytes) -> None:
    """Record an observation that no server waits for: it is cancelled from the beginning."""
    state = step.state
    if south_token in state.observations:
        return
    if not _has_room(step, 0):
        state.retire(south_token)
        return
    _begin(step, row, _O.CANCELLED)


def record_notification(step: Step, observation: Observation) -> None:
    """Record that a notification came."""
    if step.wall - observation.heard_at > _HEARD_EVERY:
        observation.heard_at = step.wall
        step.work.update(observation)


def end_all(step: Step, server: str | None) -> None:
    """End all observations of a server, or of all (None); later notifications are answered with a Reset (R20)."""
    for observation in step.state.observations.values():
        if server in (None, observation.server):
            cancel(step, observation)


def cancel(step: Step, observation: Observation) -> None:
    """End an observation in the bridge; later notifications of the device are answered with a Reset (R19, R20).

    Its token is not used again, not even after a restart, until another observation needs the room (R1, R30).
    """
    if observation.state is not _O.CANCELLED:
        observation.state = _O.CANCELLED
        step.work.update(observation)


def seconds_until_room(step: Step, server: str, request: Message) -> int | None:
    """Return the seconds until there is room for one more observation; None: now (R30)."""
    state = step.state
    if state.observation_of(server, request.token) is not None:
        return None  # the same observation again
    asks = what_is_asked(request)
    if any(one.asks == asks and one.server == server and one.is_active for one in state.observations.values()):
        return None  # it replaces the other
    pending = sum(type(row) is ServerRequest and row.observe == 0 for row in state.deliveries.live.values())
    if _has_room(step, pending):
        return None
    heard_at = [one.heard_at for one in state.observations.values()]
    free_at = min(heard_at, default=step.wall) + state.policy.observation_idle
    return max(RETRY_LATER, ceil(min(free_at - step.wall, state.policy.observation_idle)))


def what_is_asked(request: Message) -> bytes:
    """Return a digest that is equal for requests of the same: method and cache-key, without the server.

    Two Observes with one digest are one (RFC 7641 §3.1): the newer replaces the older. Observe, ETag, blocks, and
    options whose number says NoCacheKey (RFC 7252 §5.4.6) are left out.
    """
    options = [one for one in request.options if one[0] & 0x1E != 0x1C and one[0] not in _NO_CACHE_KEY]  # noqa: PLR2004
    return blake2b(bytes((request.code,)) + encode_body(options, request.payload), digest_size=12).digest()


def _has_room(step: Step, pending: int) -> bool:
    """Return whether there is room for one more observation.

    The oldest cancelled one is replaced, then the one without a notification for longest, if that is long enough.
    """
    state = step.state
    observations = state.observations
    if len(observations) + pending < state.policy.max_observations:
        return True
    for observation in observations.values():
        if observation.state is _O.CANCELLED:
            drop_observation(step, observation.south_token)
            return True
    unheard = min(observations.values(), key=_heard_at, default=None)
    if unheard is None or step.wall - unheard.heard_at < state.policy.observation_idle:
        return False
    drop_observation(step, unheard.south_token)
    verdict.observation_ended(step, unheard)
    return True


def _heard_at(observation: Observation) -> float:
    return observation.heard_at


def drop_observation(step: Step, south_token: bytes) -> None:
    observation = step.state.observations.pop(south_token, None)
    if observation is not None:
        step.state.retire(south_token)
        step.work.delete(observation)
