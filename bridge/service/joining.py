"""A node of a cluster, put together from the parts of a running bridge."""

from collections.abc import Callable, Sequence

from bridge.cluster.contract import ShardFollower
from bridge.cluster.ledger import ClusterLedger
from bridge.cluster.requests import OwnerRequests
from bridge.cluster.shards import NodeShards
from bridge.config import WAKE_UPS, Config
from bridge.config.store_keys import store_seal
from bridge.metrics import Metrics
from bridge.service.clock import SteadyClock
from bridge.service.inbox import InboxWork
from bridge.service.new_endpoints import NewEndpoints
from bridge.service.node import Chore, Node
from bridge.service.node_agreement import NodeAgreement
from bridge.service.node_clock import NodeClock, keep_the_databases_time
from bridge.service.node_inbox import NodeInbox
from bridge.service.other_nodes import LostNodes, WorkForAllNodes
from bridge.service.owner_requests import CarryOut, OwnerWork
from bridge.service.parts import Parts
from bridge.service.progress import Progress
from bridge.service.quota_allotments import QuotaAllotments
from bridge.service.shard_addresses import shard_addresses
from bridge.service.shard_endpoints import ShardCaches, ShardEndpoints
from bridge.service.shard_limits import ShardLimits
from bridge.service.shard_links import ClosesLinks, OpensLinks
from bridge.service.shard_sending import ShardSending
from bridge.service.tasks import Tasks
from bridge.store.contract import Store


async def shards_of(config: Config, store: Store, clock: SteadyClock) -> NodeShards | None:
    """Return the shards of a node of a cluster, none yet, and set the clock by the database's; else None.

    Call it before anything reads the clock. Raises StoreUnavailable.
    """
    if not isinstance(store, ClusterLedger):
        return None
    await keep_the_databases_time(clock, store)
    return NodeShards(config.cluster.name)


async def node_of(
    config: Config,
    ledger: ClusterLedger,
    parts: Parts,
    chores: Sequence[Chore],
    progress: Progress,
    tasks: Tasks,
    metrics: Metrics,
    looked: Callable[[], None],
    carry_out: CarryOut,
    requests: OwnerRequests,
    wall: Callable[[], float],
    answered: Callable[[], None],
) -> Node:
    """Return the node whose parts these are; its `run` takes shards, and `tasks` has what goes on beside.

    `looked` is called after each look at the cluster. `carry_out` carries out what was asked of other nodes,
    in `requests`. `wall` is the machine's wall clock. `answered` is
    called whenever a node has answered a request of another one.

    Raises StoreUnavailable.
    """
    store, shards = parts.store, parts.shards
    if shards is None or parts.addresses is None:
        raise AssertionError("the parts are of no node")
    addresses = shard_addresses(config, metrics)
    await addresses.release_all()
    added = NewEndpoints(store.directory, shards, parts.provisioning.begin)
    await added.begin()
    owner = OwnerWork(requests, shards, carry_out, metrics.count)
    tasks.keep_up("carrying out requests of other nodes", owner.run)
    followers: list[ShardFollower] = [ShardCaches(parts.directory, store.memories, parts.networks)]
    if store.inbox is not None and parts.order is not None:
        work = InboxWork(
            store.inbox, store, parts.networks, None, metrics.count,
            others={WAKE_UPS: parts.runner.wake_ups}, seal=store_seal(config),
        )  # fmt: skip
        inbox = NodeInbox(store.inbox, work, parts.order, owner.tell, answered)
        followers.append(inbox)
        tasks.keep_up("taking posts of the inbox", inbox.run)
    limits = ShardLimits(parts.limits, ledger)
    followers += [
        ClosesLinks(parts.directory, parts.north),
        limits,
        ShardEndpoints(
            store, parts.directory, parts.runner, parts.provisioning, parts.networks, progress, tasks.begin, limits.came
        ),
        addresses,
        ShardSending(parts.addresses, parts.runner.event, lambda: store.committed(())),
        OpensLinks(parts.directory, parts.north, tasks.begin),
    ]
    tasks.keep_up("finding new endpoints", added.run)
    tasks.keep_up("releasing addresses", addresses.run)
    quotas = QuotaAllotments(parts.quotas, ledger, parts.runner, metrics.count)
    lost = LostNodes(parts.networks, shards.node)

    def has_looked() -> None:
        looked()
        if node.work.view is not None:
            lost.compare(node.work.view)

    for_all = WorkForAllNodes(parts.networks, lambda: node.work.alive, metrics.count)
    node = Node(
        ledger, shards, followers, [*chores, for_all.run], config.cluster.renew, metrics, has_looked,
        addresses.release_rest, quotas, NodeClock(ledger, wall), NodeAgreement(ledger, shards.node, config),
    )  # fmt: skip
    return node
