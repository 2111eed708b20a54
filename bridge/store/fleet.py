"""Queries over all endpoints: the state of each, filters, counts. Part of `bridge.store.contract`."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from bindings.provisioning import ProvisioningState
from bridge.delivery.rows import Change
from bridge.delivery.states import DownlinkState
from bridge.directory.record import EndpointRecord
from bridge.relay.register import DEFAULT_LIFETIME, NEARLY
from bridge.relay.registrations import Registration
from bridge.store.order import Order


@dataclass(frozen=True, slots=True)
class Provisioning:
    """The state of an endpoint's provisioning, since when, and when it is tried again. Times are wall-clock seconds."""

    state: ProvisioningState
    reason: str = ""
    since: float | None = None
    retry_at: float | None = None


def lapses_at(registration: Registration) -> float:
    """Return when a registration lapses at its server, unless the device updates it before."""
    return registration.refreshed_at + (registration.lifetime or DEFAULT_LIFETIME)


def is_late(registration: Registration, now: float) -> bool:
    """Return whether a registration should have been renewed by now, and is not over yet."""
    lifetime = registration.lifetime or DEFAULT_LIFETIME
    return lifetime * NEARLY < now - registration.refreshed_at < lifetime


UNKNOWN_PROVISIONING = Provisioning(ProvisioningState.WANTED)


@dataclass(frozen=True, slots=True)
class ProvisioningNote:
    """A report about the provisioning of a device. `unless_known`: it counts only if there is none yet."""

    network: str
    device: str
    provisioning: Provisioning
    unless_known: bool = False


@dataclass(frozen=True, slots=True)
class ProvisioningChange:
    """An endpoint whose provisioning state changed, or that failed for another reason."""

    endpoint: int
    name: str
    before: ProvisioningState
    after: Provisioning


@dataclass(frozen=True, slots=True)
class LatestMessage:
    """The latest message of an endpoint in one direction."""

    id: int
    at: float


@dataclass(frozen=True, slots=True)
class FleetEntry:
    """The state of one endpoint."""

    record: EndpointRecord
    provisioning: Provisioning = UNKNOWN_PROVISIONING
    registrations: tuple[Registration, ...] = ()
    uplink: LatestMessage | None = None  # from the device
    downlink: LatestMessage | None = None  # to the device
    waiting: int = 0  # downlinks without an outcome


@dataclass(frozen=True, slots=True)
class EndpointConditions:
    """Which endpoints are asked for: all conditions must hold. None: no condition."""

    network: str | None = None
    server: str | None = None
    enabled: bool | None = None
    prefix: str = ""  # prefix of the name
    text: str = ""  # anywhere in the name or address, whatever the case (bridge/store/searching.py)
    provisioning: frozenset[ProvisioningState] | None = None
    registered: bool | None = None  # at some server, as of `now`
    waiting: bool | None = None  # whether a downlink has no outcome yet
    silent_since: float | None = None  # no message came from the device after this time
    names: frozenset[str] | None = None  # only these endpoints
    now: float = 0.0


@dataclass(frozen=True, slots=True)
class PageEnd:
    """The end of a page: the sort value and the id of its last endpoint."""

    value: str | float
    id: int


@dataclass(frozen=True, slots=True)
class FleetCounts:
    """Numbers of endpoints and of unfinished messages."""

    endpoints: Mapping[tuple[str, bool, ProvisioningState], int] = field(
        default_factory=dict
    )  # network, enabled, state
    registered: int = 0  # at some server
    downlinks: Mapping[DownlinkState, int] = field(default_factory=dict)  # without an outcome
    uplinks: int = 0  # that wait for a server
    shards: Mapping[int, int] = field(default_factory=dict)  # endpoints of each shard that has some

    @property
    def total(self) -> int:
        """Return the number of endpoints."""
        return sum(self.shards.values())

    def of_shards(self, shards: Iterable[int]) -> int:
        """Return the number of endpoints of some shards."""
        return sum(self.shards.get(shard, 0) for shard in shards)


Also = Callable[[Sequence[ProvisioningChange]], Sequence[Change]]
"""Returns the changes that are committed together with changes of provisioning."""


def nothing_else(_changes: Sequence[ProvisioningChange]) -> Sequence[Change]:
    return ()


class Fleet(Protocol):
    """All raise StoreUnavailable. Answers contain all commits."""

    async def page(
        self,
        conditions: EndpointConditions,
        *,
        order: Order = Order.NAME,
        descending: bool = False,
        after: PageEnd | None = None,
        limit: int,
    ) -> list[FleetEntry]:
        """Return at most `limit` endpoints in order, beginning after `after`."""

    async def count(self, conditions: EndpointConditions) -> int:
        """Return the number of endpoints that match."""

    async def counts(self, now: float) -> FleetCounts: ...

    async def note(self, notes: Sequence[ProvisioningNote], also: Also = nothing_else) -> list[ProvisioningChange]:
        """Store reports about provisioning; those about devices that no endpoint has are dropped.

        Return the changes, when they are durable. The rows that `also` returns for them are committed together with
        them; it may be called in another thread, and twice.
        """


def page_end_of(standing: FleetEntry, order: Order) -> PageEnd:
    """Return the end of a page whose last endpoint is this one."""
    record = standing.record
    values: dict[Order, str | float] = {
        Order.NAME: record.name,
        Order.ADDRESS: record.device,
        Order.CREATED: record.created_at,
        Order.UPLINK: 0.0 if standing.uplink is None else standing.uplink.at,
        Order.DOWNLINK: 0.0 if standing.downlink is None else standing.downlink.at,
        Order.WAITING: standing.waiting,
    }
    return PageEnd(values[order], record.id)
