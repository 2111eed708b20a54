"""An endpoint with what effects need."""

from collections.abc import Callable
from dataclasses import dataclass

from bindings.contract import SouthProfile
from bridge.quota.limits import NO_LIMITS, Limits
from bridge.relay import events as ev
from bridge.relay.model import Endpoint
from bridge.service.network_calls import NetworkCalls

NO_SOURCE = (
    "it has no address under this bridge's [north] settings: a start without [cluster] assigns one, while no node "
    "runs; nodes need the [north] under which it got one"
)
"""Why nothing goes between an endpoint whose `source` is None and its servers, with the cure."""


@dataclass(frozen=True, slots=True)
class Placed:
    """An endpoint with its number toward servers, and its network's current south profile."""

    endpoint: Endpoint
    source: int | None  # None: it has no address of its own, and cannot reach its servers
    south_profile: Callable[[str], SouthProfile]
    calls: NetworkCalls  # of its network
    limits: Limits = NO_LIMITS  # its quotas
    takes: bool = (
        True  # False: it is disabled or being removed; nothing new is accepted, its messages get their outcome
    )
    leaves: bool = False  # it is being removed: whoever sends it a message learns that nothing keeps it
    at_load: ev.EndpointRemoved | ev.NetworkRemoved | None = None  # ends what waits, when the endpoint is loaded
