"""Gauges: numbers that are read from their parts when metrics are scraped."""

import asyncio
import platform
import time
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from importlib.metadata import version

from bindings.contract import Binding, KnowsReachability
from bindings.provisioning import ProvisioningState
from bridge.delivery.states import DownlinkState
from bridge.errors import StoreUnavailable
from bridge.metrics import Labels, Metrics
from bridge.north.contract import NorthTransport
from bridge.service.network_calls import NetworkCalls
from bridge.store.contract import Store
from bridge.store.fleet import Fleet, FleetCounts

FRESH = 15.0  # seconds for which counts of the whole fleet are reused: they read an index of all endpoints

WAITING = (
    DownlinkState.QUEUED,
    DownlinkState.SUBMITTING,
    DownlinkState.BUFFERED,
    DownlinkState.SENT,
    DownlinkState.DELIVERED,
    DownlinkState.UNKNOWN,
)
"""States in which a downlink may be without an outcome."""

_STORE = {
    "store_rows": ("rows", "Rows committed."),
    "store_commits": ("groups", "Transactions committed; each holds the changes of many messages."),
    "store_commit_failures": ("failures", "Commits that failed; nothing of them was acknowledged."),
    "store_volume_full": ("volume_full", "Transactions refused because the disk lacks room."),
    "store_files_lost": ("files_lost", "Transactions refused because a file of the ledger was removed or replaced."),
}
_NORTH = {
    "north_received_messages": ("received", "Messages received from servers."),
    "north_received_bytes": ("received_bytes", "Bytes received from servers."),
    "north_sent_messages": ("sent", "Messages sent to servers."),
    "north_sent_bytes": ("sent_bytes", "Bytes sent to servers."),
    "north_deferred_messages": (
        "deferred",
        "Messages to servers that waited: the link was not open yet, or the socket would have blocked.",
    ),
    "north_send_dropped_messages": (
        "send_dropped",
        "Messages to servers that were dropped: too many waited, or the link is failing.",
    ),
    "north_send_failed_messages": (
        "send_failed",
        "Messages to servers that the system refused: no route, too large, filtered.",
    ),
    "north_foreign_messages": ("foreign", "Messages that arrived for an address that cannot belong to an endpoint."),
    "north_strangers_messages": ("strangers", "Messages dropped because their sender is not a configured server."),
    "north_limited_messages": (
        "limited",
        "Messages dropped because they came too fast from one server to one endpoint.",
    ),
    "north_pings": ("pings", "CoAP pings to servers that have not yet shown that they receive at their address."),
    "north_unproven_messages": (
        "unproven",
        "Answers dropped because the server did not show in time that it receives at its address.",
    ),
    "north_socket_errors": ("receive_failed", "Errors on sockets toward servers, ICMP among them."),
    "north_receiver_failed_messages": (
        "receiver_failed",
        "Messages from servers whose processing failed because of a bug in the bridge: please report.",
    ),
    "north_receive_overflow_messages": (
        "receive_overflow",
        "Messages from servers that the kernel dropped: a receive buffer was full.",
    ),
    "north_links_opened": ("opened", "Sessions and connections toward servers that were opened."),
    "north_links_resumed": ("resumed", "Of the sessions that were opened, those resumed from earlier ones."),
    "north_link_failures": ("open_failed", "Failed attempts to open a session or connection toward a server."),
    "north_links_ended": (
        "ended_by_server",
        "Open sessions and connections that the server closed, or that broke off.",
    ),
    "north_links_closed_unrecorded": (
        "closed_unrecorded",
        "Connections that were closed because what came over them could not be recorded, or an answer was dropped.",
    ),
    "north_ocsp_questions": ("ocsp_asked", "Questions to OCSP responders about servers' certificates."),
    "north_ocsp_refusals": (
        "ocsp_refused",
        "Sessions refused because an OCSP responder says that the server's certificate is revoked, or unknown.",
    ),
    "north_ocsp_closed": (
        "ocsp_closed",
        "Open sessions that were closed because an OCSP responder says so of the server's certificate meanwhile.",
    ),
    "north_listed_refusals": (
        "listed_refused",
        "Sessions refused because a revocation list that is newer than the last reload has the server's certificate.",
    ),
    "north_listed_closed": (
        "listed_closed",
        "Open sessions that were closed because a newer revocation list has the server's certificate.",
    ),
    "north_ocsp_unproven": (
        "ocsp_unproven",
        "Openings of sessions for which no OCSP responder had a valid answer; ocsp_unavailable decides about them.",
    ),
}


def watch_build(metrics: Metrics) -> None:
    """Expose the release, and when the process started."""
    metrics.describe("build_info", "The release of the bridge and of Python; always 1.")
    metrics.gauge("build_info", 1, version=version("lwm2m-nonip-bridge"), python=platform.python_version())
    metrics.describe("start_time_seconds", "When the bridge started, in seconds since the epoch.")
    metrics.gauge("start_time_seconds", time.time())


def watch_store(metrics: Metrics, store: Store) -> None:
    """Expose the counters of the store."""

    def read(key: str) -> float:
        return store.status()[key]

    for name, (key, text) in _STORE.items():
        metrics.describe(name, text)
        metrics.watch(name, partial(read, key), counter=True)
    metrics.describe("store_commits_waiting", "Commits that wait for the disk.")
    metrics.watch("store_commits_waiting", lambda: store.backlog)
    metrics.describe("store_bytes", "Bytes of the database on disk, with its write-ahead log.")
    metrics.watch("store_bytes", partial(read, "bytes"))


def watch_north(metrics: Metrics, north: NorthTransport) -> None:
    """Expose the counters of the transport toward servers, each under its own name with its unit."""

    def read(key: str) -> float:
        return float(getattr(north.counters(), key))

    for name, (key, text) in _NORTH.items():
        metrics.describe(name, text)
        metrics.watch(name, partial(read, key), counter=True)


def watch_networks(metrics: Metrics, networks: Mapping[str, Binding]) -> None:
    """Expose whether each network answers; a network has no series until that is known."""

    def up() -> Mapping[str, float]:
        known = {name: one.up for name, one in networks.items() if isinstance(one, KnowsReachability)}
        return {name: float(is_up) for name, is_up in known.items() if is_up is not None}

    metrics.describe("network_up", "Whether the network's API answered the latest call: 1 or 0.")
    metrics.watch("network_up", up, label="network")


def watch_calls(metrics: Metrics, calls: Mapping[str, NetworkCalls]) -> None:
    """Expose how busy each network's API is."""
    metrics.describe("network_calls", "Calls of the network's API that are under way.")
    metrics.watch("network_calls", lambda: {name: one.under_way for name, one in calls.items()}, label="network")
    metrics.describe("endpoints_waiting_for_network", "Endpoints that wait for their turn to call the network's API.")
    metrics.watch(
        "endpoints_waiting_for_network", lambda: {name: one.waiting for name, one in calls.items()}, label="network"
    )


_FLEET = {
    "endpoints": "Endpoints by network, whether they are enabled, and state of their provisioning.",
    "endpoints_registered": "Endpoints with a live registration at some server, as far as the bridge can read it.",
    "downlinks_waiting": "Messages to devices without an outcome, by state.",
    "uplinks_waiting": "Messages from devices that wait for their server.",
}


class FleetGauges:
    """Numbers of endpoints and of unfinished messages. They are read again at most every FRESH seconds."""

    def __init__(
        self, metrics: Metrics, fleet: Fleet, networks: Mapping[str, Binding], wall: Callable[[], float]
    ) -> None:
        self._metrics = metrics
        self._fleet = fleet
        self._networks = networks
        self._wall = wall
        self._counts: FleetCounts | None = None
        self._read_at = 0.0
        self._reading = asyncio.Lock()
        for name, text in _FLEET.items():
            metrics.describe(name, text)

    async def counts(self) -> FleetCounts:
        """Return the numbers, at most FRESH seconds old. Raises StoreUnavailable."""
        async with self._reading:  # many ask at once: one reads
            if self._counts is None or time.monotonic() - self._read_at >= FRESH:
                self._counts = await self._fleet.counts(self._wall())
                self._read_at = time.monotonic()
            return self._counts

    async def latest(self) -> FleetCounts:
        """Return the numbers; while the store cannot be read, those that it had before, or none at all."""
        try:
            return await self.counts()
        except StoreUnavailable:
            return self._counts or FleetCounts()

    async def refresh(self) -> None:
        """Set the gauges. While the store cannot be read, the old numbers stay."""
        try:
            counts = await self.counts()
        except StoreUnavailable:
            self._metrics.count("failed_loads")
            return
        waiting = {_labels(state=state): float(counts.downlinks.get(state, 0)) for state in WAITING}
        self._metrics.replace("endpoints", self._endpoints(counts))
        self._metrics.gauge("endpoints_registered", counts.registered)
        self._metrics.replace("downlinks_waiting", waiting)
        self._metrics.gauge("uplinks_waiting", counts.uplinks)

    def _endpoints(self, counts: FleetCounts) -> Mapping[Labels, float]:
        found: Counter[Labels] = Counter()
        for network in self._networks:
            for state in ProvisioningState:
                found[_labels(network=network, enabled="true", provisioning=state)] = 0
        for (network, enabled, state), number in counts.endpoints.items():
            found[_labels(network=network, enabled="true" if enabled else "false", provisioning=state)] += number
        return {labels: float(number) for labels, number in found.items()}


def _labels(**labels: str) -> Labels:
    return tuple(sorted(labels.items()))
