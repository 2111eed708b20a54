"""What operations need of a bridge. Implemented by the running service, and for a stopped one on its ledger."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Any, Protocol

from bindings.contract import Binding
from bridge.cluster.ledger import ClusterLedger
from bridge.config.difference import Difference
from bridge.delivery.downlinks import Downlink
from bridge.delivery.explain import Explanation
from bridge.directory import Directory, EndpointRecord
from bridge.north.contract import Link
from bridge.operations.codes import Codes
from bridge.operations.minutes import Minutes
from bridge.operations.types.state import Readiness, Status
from bridge.quota.limits import Quota
from bridge.quota.report import EndpointQuotas
from bridge.quota.usage import Amount
from bridge.relay.events import DirectRequest
from bridge.relay.registrations import Registration
from bridge.store.access import AccessTable
from bridge.store.contract import Reads
from bridge.store.direct import DirectTable
from bridge.store.fleet import Fleet, FleetCounts
from bridge.store.outbox import Outbox
from bridge.trace.traces import Traces


class Work(Protocol):
    """A long piece of work."""

    def step(self, number: int = 1) -> None:
        """Record that so many more steps are done."""


class DirectResults(Protocol):
    def of(self, endpoint: int, caller: str = "") -> AbstractAsyncContextManager[asyncio.Event]:
        """Return a context that gives an event: it is set whenever a message of an endpoint has its outcome."""


class Direct(Protocol):
    """Accepts requests by the API (`bridge.service.direct`)."""

    @property
    def watch(self) -> DirectResults: ...

    @property
    def next_id(self) -> Callable[[], int]:
        """Return what gives the id of one more downlink."""

    def lock(self, endpoint: int) -> asyncio.Lock:
        """Return the lock under which keys are looked up and a request to this endpoint is accepted."""

    async def accept(self, endpoint: int, request: DirectRequest) -> tuple[int, ...]:
        """Return when a request is accepted and committed: the older requests that make way for it.

        Raises RequestError, NotPossible, LimitReached, StoreUnavailable.
        """


class Bridge(Protocol):
    """A bridge for operations. A method raises `NotRunning` if this bridge cannot do it now."""

    @property
    def directory(self) -> Directory: ...

    @property
    def networks(self) -> Mapping[str, Binding]:
        """Return all configured network instances; they work only while the service runs."""

    def now(self) -> float:
        """Return wall-clock seconds."""

    @property
    def reads(self) -> Reads:
        """Return the queries of the ledger."""

    @property
    def fleet(self) -> Fleet:
        """Return the queries over all endpoints."""

    async def fleet_counts(self) -> FleetCounts:
        """Return numbers of all endpoints; they may be some seconds old. Raises StoreUnavailable."""

    @property
    def access(self) -> AccessTable:
        """Return the keys of the API and the audit log."""

    @property
    def outbox(self) -> Outbox:
        """Return the events and webhooks."""

    @property
    def known_direct(self) -> DirectTable:
        """Return the requests that came by the API, by their keys."""

    @property
    def direct(self) -> Direct:
        """Return what accepts requests by the API."""

    @property
    def has_events(self) -> bool:
        """Return whether events are kept at all."""

    def newer_events(self) -> asyncio.Event:
        """Return an asyncio event that is set when there may be newer events."""

    @property
    def traces(self) -> Traces:
        """Return the running traces of endpoints."""

    @property
    def codes(self) -> Codes:
        """Return the codes that sign a browser in, once each."""

    def minutes(self) -> Minutes:
        """Return by how much counters rose, minute by minute."""

    def webhooks_changed(self) -> None:
        """Notify the sender of webhooks that one was added or removed."""

    async def reload(self, *, dry_run: bool) -> Sequence[Difference]:
        """Read the configuration's file again, and put into force what needs no restart.

        Return the differences from the former configuration. Raises ConfigurationError or StoreUnavailable:
        the text says whether the former one, or which part of it, stays in force.
        """

    def work(self, name: str, total: int) -> AbstractContextManager[Work]:
        """Return a context that shows a long piece of work, of `total` steps, in the status for as long as it lasts."""

    def readiness(self) -> Readiness: ...

    async def status(self) -> Status: ...

    def network_states(self) -> Mapping[str, Mapping[str, Any]]:
        """Return the status of each network's binding; empty while the service is down."""

    async def forget_limits(self, network: str) -> str | None:
        """Forget the limits that a network was seen to keep; return what was known of them. Raises StoreUnavailable."""

    async def metrics_text(self) -> bytes:
        """Return all metrics in Prometheus' text format."""

    async def explain(self, endpoint: int) -> Sequence[Explanation]:
        """Return, for each downlink without an outcome, the reason for its state. Raises StoreUnavailable."""

    async def registrations(self, endpoint: int) -> Sequence[tuple[Registration, int]]:
        """Return an endpoint's registrations, each with the number of its server's observations.

        Raises StoreUnavailable.
        """

    @property
    def node(self) -> str:
        """Return the name of this node of a cluster."""

    def holder(self, shard: int) -> str | None:
        """Return the name of the node that serves a shard, "" if none does, as this node saw the cluster last.

        None without [cluster], and while the service is down.
        """

    @property
    def cluster(self) -> ClusterLedger:
        """Return the nodes that share the ledger. Raises NotPossible without [cluster]."""

    def check_served(self, record: EndpointRecord) -> None:
        """Return if this node serves an endpoint, or there is no cluster. Raises NotServedHere."""

    async def ask_owner(self, shard: int, operation: str, body: bytes, who: str, wait: float) -> bytes:
        """Have the node that holds a shard carry out an operation; return the result as JSON.

        `body`: the request as JSON, which may be carried out twice; `who`: the caller; `wait`: seconds that it may wait
        by itself. Raises the error of the operation; NotServedHere if no node serves the shard, StoreUnavailable.
        """

    def quotas(self) -> Sequence[tuple[Quota, str, Amount | None]]:
        """Return each quota with each group that uses it ("" for none), and what was used in its current period.

        None: each endpoint has the quota for itself.
        """

    async def quotas_of(self, endpoint: int) -> EndpointQuotas:
        """Return the quotas of an endpoint, and what was used of them. Raises NotFound, StoreUnavailable."""

    def links(self, record: EndpointRecord) -> Mapping[str, Link]:
        """Return the links of an endpoint to its servers."""

    async def cancel(self, downlink: Downlink) -> None:
        """Return when the wish to cancel a downlink is committed. Raises StoreUnavailable."""

    async def provision(self, record: EndpointRecord) -> None:
        """Ask its network to carry an endpoint's data.

        Raises NotServedHere, or BridgeError with the network's reason.
        """

    async def remove_endpoint(self, name: str) -> EndpointRecord:
        """End all messages of an endpoint, and remove the endpoint from its network and from the directory.

        Raises NotFound, StoreUnavailable, or BridgeError with the network's reason: then the endpoint stays.
        """
