"""The parts of a running bridge, built in one place and in order. Each part is complete when it is made."""

import asyncio
import contextlib
import logging
import random
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from functools import partial

from bindings.contract import Binding, Events, Memory
from bridge.cluster.contract import Shards
from bridge.cluster.ledger import ClusterLedger
from bridge.cluster.shards import NodeShards
from bridge.config import WAKE_UPS, Config, catalogue, drafts
from bridge.directory import Directory, EndpointRecord, Sources
from bridge.directory.directory import RECORD_BYTES
from bridge.errors import ConfigurationError, NotServedHere
from bridge.north.contract import NorthTransport
from bridge.quota.allotments import Allotments
from bridge.quota.shared import SharedQuotas
from bridge.quota.usage import needed_since
from bridge.service.actor import NetworkActor
from bridge.service.announcer import Announcer
from bridge.service.call_taps import CallTaps
from bridge.service.changes import DirectoryFollower
from bridge.service.clock import Clock
from bridge.service.direct import DirectRequests, DirectResults
from bridge.service.from_servers import FromServers
from bridge.service.inbox_order import InboxOrder
from bridge.service.learned_limits import LearnedLimits
from bridge.service.network_calls import NetworkCalls
from bridge.service.networks import NetworkEvents
from bridge.service.north import North, udp_north
from bridge.service.places import Places
from bridge.service.progress import Progress
from bridge.service.provisioning import Provisioning, ProvisioningNotes
from bridge.service.quota_change import recheck_held
from bridge.service.receiving import Receiving
from bridge.service.runner import Runner
from bridge.service.running_networks import RunningNetworks
from bridge.service.shard_sending import AddressesHere
from bridge.service.tasks import Tasks
from bridge.store.contract import Store
from bridge.trace.traces import Traces

log = logging.getLogger(__name__)

RECORDS = 8  # this part of the memory for endpoints is for records of the directory, the rest for their state
Count = Callable[..., None]


@dataclass(frozen=True, slots=True)
class Parts:
    """Data flows from north and networks through the runner to the actor, and from there to north and networks."""

    store: Store
    networks: Mapping[str, Binding]
    calls: Mapping[str, NetworkCalls]  # of each network
    north: NorthTransport
    ways: North
    running: RunningNetworks
    places: Places
    scheme: str  # of endpoints' addresses toward servers
    directory: Directory
    actor: NetworkActor
    runner: Runner
    quotas: SharedQuotas
    provisioning: Provisioning
    notes: ProvisioningNotes
    changes: DirectoryFollower
    traces: Traces
    direct: DirectRequests
    limits: LearnedLimits
    shards: NodeShards | None  # of this node; None: there is no cluster
    order: InboxOrder | None  # of this node
    addresses: AddressesHere | None  # on this node


@contextlib.asynccontextmanager
async def built(
    config: Config,
    clock: Clock,
    count: Count,
    observe: Count,
    announcer: Announcer | None,
    store: Store,
    networks: dict[str, Binding],
    tasks: Tasks,
    progress: Progress,
    shards: NodeShards | None = None,
    receiving: Receiving | None = None,
) -> AsyncIterator[Parts]:
    """Build everything over an open store, and listen to servers and networks for as long as the context lasts.

    `shards`: of this node, if there is a cluster; `receiving` then keeps what is posted for other nodes.

    Raises a LocalError that says what is wrong and the cure; nothing stays open then.
    """
    udp = await udp_north(config)
    sources = Sources.of(udp.addresses)
    cache = config.service.cache_mib << 20
    for_records = cache // RECORDS
    directory = Directory(
        store.directory, catalogue(config, networks, sources), clock.wall, for_records // RECORD_BYTES
    )
    ways = North(config, udp, directory, clock.wall)
    north = ways.transport
    quotas = await _quotas(config, store, clock)
    draw = random.Random()  # noqa: S311  # jitter and first message IDs, seeded by the system; a system call each costs too much

    def new_calls(network: str, capacity: int) -> NetworkCalls:
        return NetworkCalls(network, capacity, draw.random, count)

    calls = {name: new_calls(name, binding.capacity) for name, binding in networks.items()}
    places = Places(directory, networks, calls, quotas, count)
    watch = DirectResults()
    addresses = None if shards is None else AddressesHere()
    actor = NetworkActor(north, networks, count, observe, watch, addresses)
    runner = Runner(
        store,
        directory,
        store.memories,
        clock,
        config.policy.policy(),
        places.of,
        actor,
        draw.random,
        count,
        cache - for_records,
        announcer,
        quotas,
        shards=shards,
    )
    if shards is not None:
        if not sources.divided:
            raise ConfigurationError(
                f"{config.where('[cluster]')} needs addresses that can be divided among nodes: set [north] scheme = "
                '"prefix", and prefixes with at least 65536 addresses each'
            )
        directory.may_change = partial(_refuse_elsewhere, shards)
        directory.is_current = lambda record: shards.accepts(record.shard)

    def try_again(held: NetworkCalls) -> None:
        runner.turns.serve(held)
        tasks.begin(recheck_held(runner, {held.network: held}, progress))

    limits = LearnedLimits(store.memories.table, calls, clock, try_again, "" if shards is None else shards.node)
    await limits.restore()
    direct = DirectRequests(runner, watch, store.next_id)
    traces = Traces(
        (runner, actor, CallTaps(networks)), clock.wall, clock.monotonic, asyncio.get_running_loop().call_later
    )

    order = None if shards is None else InboxOrder(directory.cached)

    def given(network: str) -> tuple[Events, Memory]:
        memory = store.memories.of(network)
        memory.bring = runner.bring
        memory.is_shared = shards is not None
        memory.node = "" if shards is None else shards.node
        return NetworkEvents(network, directory, runner, store, notes, clock, count, order), memory

    def started(network: str, binding: Binding) -> None:
        if shards is not None and receiving is not None:
            receiving.pass_on(network, binding)

    if shards is not None and receiving is not None:
        runner.wake_ups.pass_on = receiving.keeper(WAKE_UPS)
    running = RunningNetworks(networks, calls, new_calls, given, runner.turns.serve, started)
    notes = ProvisioningNotes(store.fleet, clock.wall, tasks, announcer)
    provisioning = Provisioning(networks, running.down, notes, count, directory.options)
    changes = DirectoryFollower(directory, runner, north, places, provisioning, tasks, shards)
    await seed(config, directory, progress)
    async with contextlib.AsyncExitStack() as stack:
        await north.start(FromServers(runner, directory, north, sources.scheme, count))
        stack.push_async_callback(north.stop)
        directory.subscribe(changes.follow)
        stack.push_async_callback(limits.keep_last)
        stack.push_async_callback(running.stop)
        await running.start_all(config.networks)
        yield Parts(
            store,
            networks,
            calls,
            north,
            ways,
            running,
            places,
            sources.scheme,
            directory,
            actor,
            runner,
            quotas,
            provisioning,
            notes,
            changes,
            traces,
            direct,
            limits,
            shards,
            order,
            addresses,
        )  # fmt: skip


def _refuse_elsewhere(shards: Shards, record: EndpointRecord) -> None:
    """Raise NotServedHere unless this node serves an endpoint: it has the endpoint's state in memory."""
    if not shards.accepts(record.shard):
        raise NotServedHere(
            f"endpoint {record.name!r} (shard {record.shard}) is not served by this node; ask the others", record.shard
        )


async def _quotas(config: Config, store: Store, clock: Clock) -> SharedQuotas:
    """Return all quotas, with the usage of the shared ones. Raises StoreUnavailable."""
    allotments = Allotments(clock.monotonic) if isinstance(store, ClusterLedger) else None
    quotas = SharedQuotas([settings.quota() for settings in config.quotas], allotments)
    if quotas.needs_sums:
        accounted = await store.accounted() if isinstance(store, ClusterLedger) else None
        now = clock.wall() if accounted is None else accounted[1]
        quotas.load(await store.reads.usage_since(needed_since(now)), now, accounted)  # read after `accounted`
    return quotas


async def seed(config: Config, directory: Directory, progress: Progress) -> None:
    """Add the configuration's endpoints that do not exist yet. Raises ConfigurationError if one cannot be added."""
    with progress.work("endpoints of the configuration are added", len(config.endpoints)) as work:
        seeded = await directory.seed(drafts(config), work.step)
    for draft, why in seeded.refused:
        raise ConfigurationError(f"{config.where('[[endpoints]]')} {draft.name}: {why}")
    for name in seeded.different:
        log.info("endpoint differs from the configuration; the entry of the directory stays", extra={"endpoint": name})
