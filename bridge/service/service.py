"""The service: starts all parts of a configuration in order, and stops them in reverse (R32)."""

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

from bindings.contract import Binding
from bridge.cluster.ledger import ClusterLedger
from bridge.config import Config, checked
from bridge.config.difference import Difference
from bridge.config.store_keys import store_seal
from bridge.delivery.downlinks import Downlink
from bridge.delivery.explain import Explanation, explain
from bridge.directory import Directory, EndpointRecord
from bridge.errors import BridgeError, NotFound, NotPossible, NotRunning, StoreUnavailable
from bridge.metrics import Metrics
from bridge.north.contract import Link, LinkState
from bridge.operations.codes import Codes
from bridge.operations.minutes import Minutes
from bridge.operations.registry import call_for_other
from bridge.operations.types.state import Phase, Readiness, Status, StoreStatus, WorkView
from bridge.quota.limits import Quota
from bridge.quota.report import EndpointQuotas
from bridge.quota.usage import Amount
from bridge.relay import events as ev
from bridge.relay.registrations import Registration
from bridge.service.announcer import Announcer
from bridge.service.clock import Clock, RealClock, SteadyClock, moment
from bridge.service.counters import describe
from bridge.service.direct import DirectRequests
from bridge.service.gauges import FleetGauges, watch_build, watch_calls, watch_networks, watch_north, watch_store
from bridge.service.history import counters, sample_each_minute
from bridge.service.inbox import InboxWork
from bridge.service.joining import node_of, shards_of
from bridge.service.networks import status_of
from bridge.service.node import CHORE, Chore, Node
from bridge.service.owner_requests import AskOwners
from bridge.service.parts import Parts, built, seed
from bridge.service.placed import NO_SOURCE
from bridge.service.places import own_source
from bridge.service.progress import Progress, Work
from bridge.service.quota_change import change_quotas, recheck_held
from bridge.service.receiving import Receiving
from bridge.service.reconfiguring import Reconfiguring
from bridge.service.reload import Reloader
from bridge.service.sealing import opened_notes, seal_the_rest, sealed
from bridge.service.standing_by import open_when_free, release
from bridge.service.state_directory import make_state_directory
from bridge.service.tasks import Tasks
from bridge.service.upkeep import (
    give_addresses,
    load_unfinished,
    persistently,
    provision_all,
    prune_forever,
    watch_clock,
)
from bridge.service.webhooks import Webhooks
from bridge.store.access import AccessTable
from bridge.store.contract import Reads, Store
from bridge.store.direct import DirectTable
from bridge.store.fleet import Fleet, FleetCounts
from bridge.store.opening import open_ingress
from bridge.store.outbox import Outbox
from bridge.store.sealing import SealedIngress, SealedOwnerRequests
from bridge.trace.traces import Traces

log = logging.getLogger(__name__)


class Service:
    """One running bridge, and its operations (`bridge.operations.bridge.Bridge`).

    `open` opens the ledger: from then on the state can be asked. `start` returns when messages of servers and networks
    are accepted; the rest of the start runs in the background. `stop` returns when everything is on disk.
    """

    def __init__(self, config: Config, clock: Clock | None = None) -> None:
        self.config = config
        self.clock = SteadyClock(clock or RealClock(), self._wall_clock_was_set)
        self.metrics = Metrics()
        self._phase = Phase.DOWN
        self._networks: dict[str, Binding] = {}
        self._store: Store | None = None
        self._outbox: Outbox | None = None
        self._parts: Parts | None = None
        self._gauges: FleetGauges | None = None
        self._announcer = Announcer(self.clock) if config.events.keep > 0 else None
        self._webhooks: Webhooks | None = None
        self._receiving: Receiving | None = None
        self._minutes: Minutes | None = None
        self._node: Node | None = None  # of a cluster
        self._owners: AskOwners | None = None  # for what other nodes serve
        self._keeping: asyncio.Task[None]  # the work of that node
        self.codes = Codes(self.clock.monotonic)
        self.ledger_lost: Callable[[], None] = lambda: None  # ends the process at once, from any thread
        self.reloader: Reloader | None = None  # set by the caller that knows the file
        self._progress = Progress(self.clock.monotonic)
        self._tasks = Tasks(self.metrics.count)
        self._stack = contextlib.AsyncExitStack()

    # -- life ----------------------------------------------------------------------------------------------------

    async def open(self) -> None:
        """Make the networks and open the ledger. Raises a LocalError; nothing stays open then."""
        self._phase = Phase.STARTING
        self._networks = dict(checked(self.config))
        make_state_directory(self.config.state_directory)
        stands_by = self.config.standby.enabled
        if (stands_by or self.config.cluster.enabled) and isinstance(self.config.database, str):
            ingress = SealedIngress(open_ingress(self.config.database), store_seal(self.config))
            self._stack.push_async_callback(ingress.close)
            note = opened_notes(ingress, self.config)
            self._receiving = Receiving(self._networks, ingress, note, self.metrics.count)
            self._stack.push_async_callback(self._receiving.close)
        meanwhile = self._receiving.open if self._receiving is not None and stands_by else None
        self._store = await open_when_free(self.config, self.ledger_lost, meanwhile)
        self._stack.push_async_callback(self._store.close)
        self._stack.push_async_callback(release, self.config)  # before another bridge can have the ledger
        try:
            self._outbox = await sealed(self._store, self.config)
        except BaseException:
            self._store = None
            await self._stack.aclose()
            raise
        self._watch(self._store)

    async def start(self) -> None:
        """Start all parts. Raises a LocalError that says what is wrong and the cure; nothing stays open then."""
        try:
            if self._store is None:
                await self.open()
            await self._start(self.store)
        except BaseException:
            await self._stack.aclose()
            raise

    async def _start(self, store: Store) -> None:
        shards = await shards_of(self.config, store, self.clock)
        building = built(
            self.config,
            self.clock,
            self.metrics.count,
            self.metrics.observe,
            self._announcer,
            store,
            self._networks,
            self._tasks,
            self._progress,
            shards,
            self._receiving,
        )
        parts = await self._stack.enter_async_context(building)
        watch_north(self.metrics, parts.north)
        watch_calls(self.metrics, parts.calls)
        self.metrics.describe("endpoints_in_memory", "Endpoints whose state is loaded.")
        self.metrics.watch("endpoints_in_memory", lambda: len(parts.runner.loaded))
        self._parts = parts
        self._phase = Phase.RUNNING
        chores = self._chores(store)
        if shards is not None and isinstance(store, ClusterLedger):
            # Other nodes store events, too: readers are woken after each look.
            looked = (lambda: None) if self._announcer is None else self._announcer.committed
            requests = SealedOwnerRequests(store.owner_requests, store_seal(self.config))
            owners = AskOwners(requests, self.config.cluster.lease, self.metrics.count)
            self._node = await node_of(
                self.config, store, parts, chores, self._progress, self._tasks, self.metrics, looked, self._carry_out,
                requests, self.clock.machine, owners.tell,
            )  # fmt: skip
            self._owners = owners
            self._keeping = asyncio.create_task(self._node.run())
        else:
            directory, progress = parts.directory, self._progress
            for work in (
                partial(load_unfinished, store, parts.runner, progress),
                partial(give_addresses, directory, parts.north, progress),
                partial(provision_all, directory, parts.provisioning, progress),
            ):
                self._tasks.keep_up("work after the start", persistently, work)
            for chore in chores:
                self._tasks.keep_up(CHORE, chore)
        if store.inbox is not None and shards is None:
            seal, count = store_seal(self.config), self.metrics.count
            inbox = InboxWork(store.inbox, store, self._networks, self._receiving, count, seal=seal)
            # Without [standby] nobody adds posts, but an earlier run with it may have left some.
            takes = (persistently, inbox.take_what_waits) if self._receiving is None else (inbox.run,)
            self._tasks.keep_up("taking posts of the inbox", *takes)
        if self.config.service.store_key and self._receiving is not None:  # the ledger is shared
            self._tasks.keep_up("sealing rows", persistently, partial(seal_the_rest, store, self._progress))
        self._tasks.keep_up("watching the wall clock", watch_clock, self.clock.wall)
        self._tasks.keep_up("keeping learned limits", parts.limits.run)
        self._minutes = Minutes(self.now(), counters(self.metrics))
        self._tasks.keep_up("sampling counters", sample_each_minute, self._minutes, self.metrics, self.clock)

    def _chores(self, store: Store) -> list[Chore]:
        """Return the work in the background that is done once, however many nodes there are."""
        chores: list[Chore] = [partial(prune_forever, store, self.clock.wall, self._retention, self.metrics.count)]
        if self._announcer is not None:
            self._webhooks = Webhooks(self.outbox, self._announcer, self.clock.wall, self.metrics.count)
            chores.append(self._webhooks.run)
        return chores

    async def stop(self) -> None:
        """Accept nothing more, finish running calls, commit, close. Harmless before a start, and when called twice."""
        self._phase = Phase.STOPPING
        if self._node is not None:
            self._keeping.cancel()
            await asyncio.gather(self._keeping, return_exceptions=True)
            node, self._node = self._node, None
            await node.leave()
        if self._receiving is not None:
            self._receiving.keep_again()
        await self._tasks.stop()
        if self.reloader is not None:
            await self.reloader.close()
        if self._parts is not None:
            parts, self._parts = self._parts, None
            parts.traces.end_all()
            parts.actor.stop()
            for calls in parts.calls.values():
                calls.close()
            parts.runner.stop()
            while parts.store.backlog or parts.actor.busy or parts.runner.is_loading:
                await parts.store.committed(())  # it ends after all earlier commits, so their effects are released
                await parts.actor.finish()
            with contextlib.suppress(StoreUnavailable):
                await parts.notes.flush()
        await self._stack.aclose()

    def _watch(self, store: Store) -> None:
        describe(self.metrics, self._networks, self.config.servers)
        watch_build(self.metrics)
        watch_store(self.metrics, store)
        watch_networks(self.metrics, self._networks)
        self._gauges = FleetGauges(self.metrics, store.fleet, self._networks, self.clock.wall)

    def _wall_clock_was_set(self, by: float, forward: float) -> None:
        self.metrics.count("clock_set", direction="back" if by < 0 else "forward")
        text = f"the wall clock was set by {by:+.0f} s"
        if self.clock.ahead:
            text += (
                f": deadlines stay, and times are {self.clock.ahead:.0f} s ahead of it until the service is restarted"
            )
        log.warning("%s", text, extra={"sample": "clock set"})
        if forward and self._parts is not None:
            self._parts.runner.hasten(forward)

    # -- operations ----------------------------------------------------------------------------------------

    @property
    def parts(self) -> Parts:
        """Return all parts of the service. Raises NotRunning before they are made, and after a stop."""
        if self._parts is None:
            raise NotRunning(f"the service is {self.summary()}; ask again later")
        return self._parts

    def summary(self) -> str:
        """Return the state of the service in one line: its phase, and running long work."""
        works = "; ".join(map(str, self._progress))
        return f"{self._phase.value}{': ' if works else ''}{works}"

    @property
    def ready(self) -> bool:
        """Return whether messages of servers and networks are accepted."""
        return self._phase is Phase.RUNNING

    @property
    def store(self) -> Store:
        """Return the ledger. Raises NotRunning before it is open."""
        if self._store is None:
            raise NotRunning("the ledger is not open yet; ask again later")
        return self._store

    @property
    def directory(self) -> Directory:
        return self.parts.directory

    @property
    def networks(self) -> Mapping[str, Binding]:
        return self._networks

    @property
    def reads(self) -> Reads:
        return self.store.reads

    @property
    def fleet(self) -> Fleet:
        return self.store.fleet

    async def fleet_counts(self) -> FleetCounts:
        if self._gauges is None:
            raise NotRunning("the ledger is not open yet; ask again later")
        return await self._gauges.counts()

    @property
    def outbox(self) -> Outbox:
        if self._outbox is None:
            raise NotRunning("the ledger is not open yet; ask again later")
        return self._outbox

    @property
    def has_events(self) -> bool:
        return self.config.events.keep > 0

    def newer_events(self) -> asyncio.Event:
        if self._announcer is None:
            raise NotPossible("this bridge stores no events; set keep in [events]")
        return self._announcer.newer

    @property
    def known_direct(self) -> DirectTable:
        return self.store.direct

    @property
    def direct(self) -> DirectRequests:
        return self.parts.direct

    @property
    def traces(self) -> Traces:
        return self.parts.traces

    def minutes(self) -> Minutes:
        if self._minutes is None:
            raise NotRunning(f"the service is {self.summary()}; ask again later")
        self._minutes.note(self.now(), counters(self.metrics))
        return self._minutes

    def webhooks_changed(self) -> None:
        if self._webhooks is not None:
            self._webhooks.changed()

    async def reload(self, *, dry_run: bool) -> Sequence[Difference]:
        if self.reloader is None:
            raise NotPossible("this service was not started from a file")
        allow = None if self._node is None else self._node.agreement.allow
        return await self.reloader.reload(dry_run=dry_run, allow=allow)

    async def change_quotas(self, config: Config) -> None:
        """Put the quotas of a configuration into force; messages that wait for a quota are then checked again.

        Raises StoreUnavailable; then the former quotas stay in force.
        """
        parts = self.parts
        quotas = [settings.quota() for settings in config.quotas]
        if tuple(quotas) == parts.quotas.quotas:
            return
        await change_quotas(parts.quotas, quotas, parts.runner, parts.store, self.now())
        self._tasks.begin(recheck_held(parts.runner, parts.calls, self._progress))

    async def change(
        self, before: Config, after: Config, made: Mapping[str, Binding]
    ) -> tuple[Config, Sequence[BridgeError]]:
        """Bring servers, networks and policies into force: see `bridge.service.reload.Change`."""
        changing = Reconfiguring(self.parts, self._tasks, self._progress, partial(describe, self.metrics, servers=()))
        change = partial(changing.change, before, after, made)
        if self._node is not None:
            change = partial(self._node.agreement.through, before, after, change, self._tasks.begin)
        self.config, failures = await change()
        return self.config, failures

    async def forget_limits(self, network: str) -> str | None:
        return await self.parts.limits.forget(network)

    def _retention(self) -> tuple[float, float]:
        return self.config.service.retention, self.config.events.keep

    def begin(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something in the background, until the service stops."""
        self._tasks.begin(work)

    async def seed(self, config: Config) -> None:
        """Add the endpoints of a configuration that do not exist yet. Raises ConfigurationError, StoreUnavailable."""
        await seed(config, self.directory, self._progress)

    @property
    def access(self) -> AccessTable:
        return self.store.access

    def now(self) -> float:
        return self.clock.wall()

    def work(self, name: str, total: int) -> AbstractContextManager[Work]:
        return self._progress.work(name, total)

    def readiness(self) -> Readiness:
        if not self.ready:
            return Readiness(ready=False, phase=self._phase, reason=self.summary())
        if self.store.is_failing:
            return Readiness(ready=False, phase=self._phase, reason="the latest commit failed: nothing is accepted")
        return Readiness(ready=True, phase=self._phase)

    async def status(self) -> Status:
        parts, node = self._parts, None
        if self._node is not None and self._gauges is not None:
            counts = await self._gauges.latest()
            node = None if self._node is None else self._node.status(counts)
        return Status(
            phase=self._phase,
            ready=self.ready,
            work=tuple(WorkView(name=work.name, done=work.done, total=work.total or None) for work in self._progress),
            time=self.now(),
            endpoints=self.store.directory.size if node is None else counts.total,
            node=node,
            in_memory=None if parts is None else len(parts.runner.loaded),
            scheme=None if parts is None else parts.scheme,
            store=StoreStatus(**self.store.status()),
            servers={key: None if parts is None else parts.north.address(key) for key in self.config.servers},
            networks=dict(self.network_states()),
        )

    def network_states(self) -> Mapping[str, dict[str, Any]]:
        parts = self._parts
        if parts is None:
            return {name: {} for name in self._networks}
        now = moment(self.clock)
        down = parts.running.down
        return {
            name: {
                **({"error": f"it is down: {down[name]}"} if name in down else status_of(binding)),
                "calls": parts.calls[name].status(now),
            }
            for name, binding in self._networks.items()
        }

    async def metrics_text(self) -> bytes:
        if self._gauges is not None:
            await self._gauges.refresh()
        return self.metrics.text()

    async def explain(self, endpoint: int) -> Sequence[Explanation]:
        loaded = await self.parts.runner.for_reading(endpoint)
        if loaded is None:
            return ()
        placed, state, now = loaded.placed, loaded.state, moment(self.clock)
        south, condition = placed.south_profile(placed.endpoint.device), placed.calls.condition(endpoint, now)
        return explain(state.deliveries, now.wall, south, condition, state.policy.max_ttl)

    async def registrations(self, endpoint: int) -> Sequence[tuple[Registration, int]]:
        loaded = await self.parts.runner.for_reading(endpoint)
        if loaded is None:
            return ()
        active = Counter(one.server for one in loaded.state.observations.values() if one.is_active)
        return [(one, active[one.server]) for one in loaded.state.registrations]

    @property
    def node(self) -> str:
        return self.config.cluster.name

    def holder(self, shard: int) -> str | None:
        return None if self._node is None else self._node.work.holder(shard)

    @property
    def cluster(self) -> ClusterLedger:
        if isinstance(self.store, ClusterLedger):
            return self.store
        raise NotPossible("this bridge shares its ledger with no other; see [cluster] in the configuration")

    def check_served(self, record: EndpointRecord) -> None:
        self.parts.directory.may_change(record)

    async def ask_owner(self, shard: int, operation: str, body: bytes, who: str, wait: float) -> bytes:
        if self._owners is None:
            raise NotRunning(f"the service is {self.summary()}; ask again later")
        return await self._owners.carry_out(shard, operation, body, who, wait)

    async def _carry_out(self, operation: str, body: bytes, who: str) -> bytes:
        return await call_for_other(self, operation, body, who)

    def quotas(self) -> Sequence[tuple[Quota, str, Amount | None]]:
        return self.parts.quotas.standing(self.now())

    async def quotas_of(self, endpoint: int) -> EndpointQuotas:
        loaded = await self.parts.runner.for_reading(endpoint)
        if loaded is None:
            raise NotFound("the endpoint is down: its network is not configured")
        placed = loaded.placed
        quotas = loaded.state.account.standing(placed.limits, self.now())
        return EndpointQuotas(tuple(quotas), placed.south_profile(placed.endpoint.device).max_downlink)

    def links(self, record: EndpointRecord) -> Mapping[str, Link]:
        source = own_source(self.parts.directory, record)
        if source is None:
            return dict.fromkeys(record.servers, Link(LinkState.CLOSED, NO_SOURCE))
        return {server: self.parts.north.link(source, server) for server in record.servers}

    async def cancel(self, downlink: Downlink) -> None:
        await self.parts.runner.stepped(downlink.endpoint, ev.CancelAsked(downlink.id))

    async def provision(self, record: EndpointRecord) -> None:
        self.check_served(record)  # another node's network instance would not know of it
        await self.parts.provisioning.ask(record)

    async def remove_endpoint(self, name: str) -> EndpointRecord:
        return await self.parts.changes.remove(name)
