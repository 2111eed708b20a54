"""The service: everything that a configuration asks for, brought up in order, and down in reverse (R32)."""

import asyncio
import contextlib
import logging
import random
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from bindings.contract import Binding
from bridge.config import Config
from bridge.delivery.explain import Explanation, explain
from bridge.delivery.ledger import Downlink
from bridge.directory import Directory, DirectoryChange, Draft, Record, Sources
from bridge.errors import (
    BindingError,
    BridgeError,
    ConfigurationError,
    NotFound,
    StoreUnavailable,
)
from bridge.metrics import Metrics
from bridge.north.contract import Link, LinkState
from bridge.north.udp.servers import Servers
from bridge.north.udp.transport import UdpNorth
from bridge.operations.types.state import Phase, Readiness, Status, StoreStatus
from bridge.relay import events as ev
from bridge.service.actor import NetworkActor
from bridge.service.catalogue import catalogue, make_state_directory
from bridge.service.clock import Clock, RealClock
from bridge.service.from_servers import FromServers
from bridge.service.networks import NetworkEvents
from bridge.service.runner import Placed, Runner
from bridge.store.contract import Reads, Store
from bridge.store.sqlite import SqliteStore

log = logging.getLogger(__name__)

TAKEN_UP_AT_ONCE = 100  # endpoints taken up after a start, before other work gets its turn
RESOLVE_PATIENCE = 5.0  # seconds that a start waits for the names of servers; the look-ups go on beside
PRUNE_EVERY = 3600.0  # seconds between two clean-ups of the ledger


class Service:
    """One running bridge. `start` returns when uplinks and datagrams are taken; `stop` when all is on disk."""

    def __init__(self, config: Config, clock: Clock | None = None) -> None:
        self.config = config
        self.clock = clock or RealClock()
        self.metrics = Metrics()
        self.networks: dict[str, Binding] = {}
        self.ready = False
        self.store: Store
        self._moved: list[DirectoryChange] = []
        self._leaving: set[int] = set()  # endpoints that are being removed
        self._tasks: set[asyncio.Task[None]] = set()
        self._stack = contextlib.AsyncExitStack()

    async def start(self) -> None:
        """Bring everything up. Raises a LocalError that says what is wrong and the cure; nothing stays open then."""
        try:
            await self._start()
        except BaseException:
            await self._stack.aclose()
            raise

    async def _start(self) -> None:
        config = self.config
        make_state_directory(config.state_directory)
        servers = Servers(config.places())
        servers.restrict(config.north.families())
        await servers.resolve(within=RESOLVE_PATIENCE)
        self.store = SqliteStore.open(config.database)
        self._stack.push_async_callback(self.store.close)
        self.networks = {name: network.create() for name, network in config.networks.items()}
        addresses = config.north.addresses(servers.destinations())
        servers.restrict(addresses.families)
        self.north = UdpNorth(addresses, servers, config.north.resolve_interval)
        self.scheme = addresses.scheme
        sources = Sources.of(addresses)
        self.directory = Directory(
            self.store.directory, catalogue(config, lambda: self.networks, sources), self.clock.wall
        )
        self.actor = NetworkActor(self.north, self.networks, self.metrics.count)
        draw = random.Random()  # noqa: S311  # jitter and first message IDs, seeded by the system; a system call each costs too much
        self.runner = self.actor.runner = Runner(
            self.store,
            self.directory,
            self.clock,
            config.policy.policy(),
            self._place,
            self.actor,
            draw.random,
            self.metrics.count,
        )
        await self.north.start(FromServers(self.runner, self.directory, self.scheme, self.metrics.count))
        self._stack.push_async_callback(self.north.stop)
        self.metrics.watch("store", self._stored, counter=True)
        self.metrics.watch("store_commits_waiting", lambda: self.store.backlog)
        self.metrics.watch("store_bytes", lambda: self.store.status()["bytes"])
        self.metrics.watch("endpoints_in_memory", lambda: len(self.runner.loaded))
        self.metrics.watch("north", lambda: asdict(self.north.counters()), counter=True)
        await self._fill_directory()
        if self.north.opens_each:
            async for record in self.directory.all(enabled=True):
                self._open(record)
        for name, binding in self.networks.items():
            events = NetworkEvents(name, self.directory, self.runner, self.store, self.clock, self.metrics.count)
            try:
                await binding.start(events, self.store.memory(name))
            except (ConfigurationError, BindingError) as error:
                kind = ConfigurationError if isinstance(error, ConfigurationError) else BindingError
                raise kind(f"{config.networks[name].where} {error}") from error
            self._stack.push_async_callback(binding.stop)
        self.directory.subscribe(self._directory_changed)
        for change in self._moved:
            self._north_changed(change)
        self.ready = True
        for work in (self._take_up_all(), self._provision_all(), self._prune_forever()):
            self._begin(work)

    async def stop(self) -> None:
        """Stop taking in, finish what is in flight, commit, close."""
        self.ready = False
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if hasattr(self, "runner"):
            self.runner.stop()
            while self.store.backlog or self.actor.busy or self.runner.is_loading:
                await self.store.committed(())  # told in its turn: what earlier commits let go has gone
                await self.actor.finish()
        await self._stack.aclose()

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something beside, until the service stops. It must not end by an error."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self.metrics.count("failed_tasks")
            log.error("work beside the endpoints failed", exc_info=task.exception())

    # -- parts ---------------------------------------------------------------------------------------------------

    def _stored(self) -> dict[str, float]:
        status = self.store.status()
        return {name: status[name] for name in ("rows", "groups", "failures")}

    async def _fill_directory(self) -> None:
        """Seed from the configuration, which never deletes, and see that every endpoint has its own address."""
        drafts = [
            Draft(
                network=e.network,
                device=e.address,
                name=e.name,
                servers=tuple(e.servers),
                profile=e.profile,
                default_ttl=e.default_ttl,
                object_list=e.object_list,
                confirmed=e.confirmed,
                options=e.options,
            )
            for e in self.config.endpoints
        ]
        moved: list[DirectoryChange] = []
        self.directory.subscribe(moved.append)
        seeded = await self.directory.seed(drafts)
        for draft, why in seeded.refused:
            raise ConfigurationError(f"[[endpoints]] {draft.name}: {why}")
        for name in seeded.different:
            log.info("endpoint differs from the configuration; the directory is kept", extra={"endpoint": name})
        await self.directory.renew_sources()
        self.directory.unsubscribe(moved.append)
        self._moved = [change for change in moved if change.server_knew]

    def _place(self, record: Record) -> Placed | None:
        binding = self.networks.get(record.network)
        if binding is None:
            self.metrics.count("endpoints_without_network", network=record.network)
            log.error(
                "endpoint %s is down: network %r is not configured",
                record.name,
                record.network,
                extra={"sample": "endpoint down"},
            )
            return None
        takes = record.enabled and record.id not in self._leaving
        try:
            return Placed(self.directory.endpoint(record), record.source, binding.south_profile, takes)
        except ConfigurationError as error:
            log.error("endpoint is down: %s", error, extra={"sample": "endpoint down"})  # noqa: TRY400  # no trace helps
            return None

    # -- changes of the directory ------------------------------------------------------------------------------------

    def _north_changed(self, change: DirectoryChange) -> None:
        if change.after is not None:
            self.runner.forget(change.after.id)  # the directory's own transaction has noted it in the relay's row
            self.runner.event(change.after.id, ev.NorthChanged())

    def _directory_changed(self, change: DirectoryChange) -> None:
        before, after = change.before, change.after
        if after is None:
            return  # `remove_endpoint` did it all
        if after.enabled:
            self._open(after)
        moved = before is not None and (before.network, before.device) != (after.network, after.device)
        if before is not None:
            if self._replace(after):
                if moved:
                    self.runner.event(after.id, ev.NetworkFlushed("the endpoint has another device now"))
                if change.server_knew:
                    self._north_changed(change)
                if before.enabled and not after.enabled:
                    self.runner.event(after.id, ev.EndpointRemoved("the endpoint was disabled"))
            if moved:
                self._begin(self._deprovision(before))
        if after.enabled and (before is None or moved or not before.enabled):
            self._begin(self._provision(after))

    def _open(self, record: Record) -> None:
        if record.source is not None:
            self.north.open(record.source)

    async def remove_endpoint(self, name: str) -> Record:
        """Give all that waits for an endpoint its outcome, and take it out of the directory and off its network."""
        record = await self.directory.by_name(name)
        if record is None:
            raise NotFound(f"no endpoint {name!r}")
        self._leaving.add(record.id)  # what came in after this step would be nobody's
        try:
            self._replace(record)
            await self.runner.stepped(record.id, ev.EndpointRemoved())
            await self._deprovision(record)  # before: a crash in between leaves an endpoint that start provisions again
            removed = await self.directory.remove(name)
        except BridgeError:
            self._begin(self._provision(record))
            raise
        finally:
            self._leaving.discard(record.id)
            self.runner.forget(record.id)
        if record.source is not None:
            self.north.release(record.source)
        return removed

    def _replace(self, record: Record) -> bool:
        """Let an endpoint in memory know its present place, or drop it if it has none; whether it has one."""
        placed = self._place(record)
        if placed is None:
            self.runner.forget(record.id)
        else:
            self.runner.refresh(record.id, placed)
        return placed is not None

    # -- beside --------------------------------------------------------------------------------------------------

    async def _take_up_all(self) -> None:
        """Take up what an earlier life left unfinished, paced; servers and devices are served meanwhile.

        Those with messages of which nobody knows where they are come first: they send nothing until that is known.
        """
        taken_up = 0
        async for part in self.store.unfinished():
            for start in range(0, len(part), TAKEN_UP_AT_ONCE):
                some = part[start : start + TAKEN_UP_AT_ONCE]
                await asyncio.gather(*map(self._take_up, some))
                taken_up += len(some)
                await asyncio.sleep(0.01)
        if taken_up:
            log.info("unfinished endpoints taken up", extra={"endpoints": taken_up})

    async def _take_up(self, endpoint: int) -> None:
        """Take up one endpoint; a store that fails meanwhile has it tried again later."""
        with contextlib.suppress(StoreUnavailable):
            record = await self.directory.by_id(endpoint)
            if record is not None and not record.enabled:  # disabled while the service was down
                await self.runner.stepped(endpoint, ev.EndpointRemoved("the endpoint was disabled"))
            else:
                await self.runner.take_up(endpoint)

    async def _provision_all(self) -> None:
        async for record in self.directory.all(enabled=True):
            await self._provision(record)

    async def _provision(self, record: Record) -> None:
        if record.network not in self.networks:
            return
        try:
            await self.provision(record)
        except BridgeError as error:
            self.metrics.count("provision_failures", network=record.network)
            log.warning("not provisioned: %s", error, extra={"endpoint": record.name, "sample": "provision"})

    async def _deprovision(self, record: Record) -> None:
        binding = self.networks.get(record.network)
        if binding is None:
            return
        try:
            await binding.deprovision(record.device)
        except BridgeError as error:
            self.metrics.count("deprovision_failures", network=record.network)
            log.warning("not deprovisioned: %s", error, extra={"endpoint": record.name, "sample": "deprovision"})

    async def _prune_forever(self) -> None:
        retention = self.config.service.retention
        while True:
            await asyncio.sleep(PRUNE_EVERY)
            try:
                removed = await self.store.prune(self.clock.wall() - retention)
            except BridgeError as error:
                log.warning("the ledger was not cleaned up: %s", error)
            else:
                self.metrics.count("rows_pruned", removed)

    # -- what one can ask (bridge.operations) --------------------------------------------------------------------

    def now(self) -> float:
        return self.clock.wall()

    @property
    def reads(self) -> Reads:
        return self.store.reads

    @property
    def _phase(self) -> Phase:
        return Phase.RUNNING if self.ready else Phase.STARTING

    def readiness(self) -> Readiness:
        return Readiness(ready=self.ready, phase=self._phase)

    def status(self) -> Status:
        return Status(
            phase=self._phase,
            ready=self.ready,
            time=self.now(),
            endpoints=self.directory.size,
            in_memory=len(self.runner.loaded),
            scheme=self.scheme,
            store=StoreStatus(**self.store.status()),
            servers={key: self.north.address(key) for key in self.config.servers},
            networks={name: _status(binding) for name, binding in self.networks.items()},
        )

    def metrics_text(self) -> bytes:
        return self.metrics.text()

    async def explain(self, endpoint: int) -> Sequence[Explanation]:
        loaded = await self.runner.look(endpoint)
        if loaded is None:
            return ()
        return explain(loaded.state.deliveries, self.now(), loaded.placed.south_profile(loaded.placed.endpoint.device))

    def links(self, record: Record) -> Mapping[str, Link]:
        if record.source is None:
            return dict.fromkeys(record.servers, Link(LinkState.CLOSED, "the endpoint has no address of its own"))
        return {server: self.north.link(record.source, server) for server in record.servers}

    async def cancel(self, downlink: Downlink) -> None:
        await self.runner.stepped(downlink.endpoint, ev.CancelAsked(downlink.id))

    async def provision(self, record: Record) -> None:
        binding = self.networks.get(record.network)
        if binding is None:
            raise NotFound(f"network {record.network!r} is not configured")
        await binding.provision(record.device, record.options)


def _status(binding: Binding) -> dict[str, Any]:
    try:
        return dict(binding.status())
    except BindingError as error:
        return {"error": str(error)}
