"""Brings changed servers, networks and policies into force while messages are under way.

Servers come first, since everything is refused if they cannot be reached with the addresses that endpoints have. Then
each network for itself: one that cannot be started stays as it was. What waits toward a server or a network that is
gone gets its outcome at the end, when nothing new can come for it; where the store fails, this is repeated.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence, Set as AbstractSet
from dataclasses import replace
from functools import partial

from bindings.contract import Binding
from bridge.config import Config, catalogue
from bridge.config.walk import is_of
from bridge.directory import EndpointRecord
from bridge.errors import BindingError, BridgeError, ConfigurationError, StoreUnavailable
from bridge.relay import events as ev
from bridge.service.parts import Parts
from bridge.service.progress import Progress
from bridge.service.tasks import Tasks
from bridge.service.upkeep import give_addresses, persistently, provision_all

log = logging.getLogger(__name__)

AT_ONCE = 100  # endpoints seen to before other work gets its turn


class Reconfiguring:
    """Changes one running service."""

    def __init__(
        self, parts: Parts, tasks: Tasks, progress: Progress, introduce: Callable[[Mapping[str, Binding]], None]
    ) -> None:
        """`introduce` is called with networks that are new, before they are started."""
        self._parts = parts
        self._tasks = tasks
        self._progress = progress
        self._introduce = introduce

    async def change(
        self, before: Config, after: Config, made: Mapping[str, Binding]
    ) -> tuple[Config, Sequence[BridgeError]]:
        """Bring servers, networks and policies of `after` into force: see `bridge.service.reload.Change`."""
        parts = self._parts
        renewed = frozenset(key for key in after.servers if _sessions_differ(before, after, key))
        servers_differ = bool(renewed) or before.servers != after.servers
        if servers_differ or before.north != after.north:
            await parts.ways.change(after, renewed)
        # From here on nothing is refused any more. Networks that go stay in the catalogue until they are gone.
        self._take_catalogue(replace(after, networks={**before.networks, **after.networks}))
        parts.runner.policy = after.policy.policy()
        reached, failures = await self._change_networks(before, after, made)
        self._take_catalogue(reached)
        gone = before.servers.keys() - after.servers.keys(), before.networks.keys() - after.networks.keys()
        follow = partial(self._refresh_endpoints, *gone)
        try:
            await follow()
        except StoreUnavailable as error:
            failures.append(
                StoreUnavailable(
                    "endpoints do not all follow the changes yet, and what waits for removed networks and servers may "
                    f"have no outcome yet, which is tried again until the store works: {error}"
                )
            )
            self._begin(follow)
        if servers_differ and parts.north.opens_each:
            self._begin(partial(give_addresses, parts.directory, parts.north, self._progress))
        return reached, failures

    async def _change_networks(
        self, before: Config, after: Config, made: Mapping[str, Binding]
    ) -> tuple[Config, list[BridgeError]]:
        running, provisioning = self._parts.running, self._parts.provisioning
        networks = dict(after.networks)
        files = after.files
        failures: list[BridgeError] = []
        to_provision: list[str] = []
        for name, network in after.networks.items():
            earlier = before.networks.get(name)
            instance = running.bindings.get(name)
            try:
                if earlier is None:
                    self._introduce({name: made[name]})
                    await running.add(network, made[name])
                elif name in running.down or _network_differs(before, after, name):
                    await running.replace(earlier, network, made[name])
                elif earlier.server_ports == network.server_ports:
                    continue
            except Exception as error:  # noqa: BLE001  # the other networks go on
                failures.append(_failure(error, name, is_new=earlier is None, is_down=name in running.down))
                if name in running.down:
                    continue  # what was tried counts as reached: then a file with the former settings differs from it
                del networks[name]
                if earlier is not None:
                    networks[name] = earlier
                    files = _files_reached(files, before, name)
                    if running.bindings[name] is not instance:  # another one was started with the former settings
                        to_provision.append(name)
            else:
                to_provision.append(name)
                log.info("network %s is %s", name, "new" if earlier is None else "as the file says now")
        for name in before.networks.keys() - after.networks.keys():
            await running.remove(name)
            log.info("network %s is gone", name)
        for name in to_provision:
            self._begin(
                partial(
                    provision_all,
                    self._parts.directory,
                    provisioning,
                    self._progress,
                    network=name,
                    shards=self._parts.shards,
                )
            )
        return replace(after, networks=networks, files=files), failures

    def _take_catalogue(self, config: Config) -> None:
        directory = self._parts.directory
        directory.catalogue = catalogue(config, self._parts.networks, directory.catalogue.sources)

    async def _refresh_endpoints(self, servers: AbstractSet[str], networks: AbstractSet[str]) -> None:
        """Refresh all endpoints in memory; end what waits for `servers` and `networks`, unless they are back.

        Raises StoreUnavailable; it can then be repeated from its beginning.
        """
        await self._refresh_placed()
        gone = servers - self._parts.directory.catalogue.servers.keys(), networks - self._parts.networks.keys()
        if gone[0] or gone[1]:
            await self._end_what_waits(*gone)

    async def _refresh_placed(self) -> None:
        """Let all endpoints in memory know their servers, network and policy as they are now."""
        runner, places = self._parts.runner, self._parts.places
        async for record in self._records([*runner.loaded]):
            placed = places.of(record)
            if placed is None:
                runner.forget(record.id)
            else:
                runner.refresh(record.id, placed)

    async def _end_what_waits(self, servers: AbstractSet[str], networks: AbstractSet[str]) -> None:
        """End what waits for networks and servers that are gone. What was accepted before is committed by now."""
        runner, store = self._parts.runner, self._parts.store
        await store.committed(())
        shards = self._parts.shards
        unfinished = [
            endpoint async for part in store.unfinished(None if shards is None else shards.held) for endpoint in part
        ]
        async for record in self._records(dict.fromkeys((*unfinished, *runner.loaded))):
            if record.network in networks:
                await runner.stepped(record.id, ev.NetworkRemoved())
            if not servers.isdisjoint(record.servers):
                await runner.stepped(record.id, ev.ServersChanged())

    async def _records(self, endpoints: Iterable[int]) -> AsyncIterator[EndpointRecord]:
        for number, endpoint in enumerate(endpoints, 1):
            record = await self._parts.directory.by_id(endpoint)
            if record is not None:
                yield record
            if number % AT_ONCE == 0:
                await asyncio.sleep(0)

    def _begin(self, work: Callable[[], Awaitable[None]]) -> None:
        self._tasks.begin(persistently(work))


def _failure(error: Exception, network: str, *, is_new: bool, is_down: bool) -> BridgeError:
    """Return why a network is not as the file says, and what is in force instead."""
    instead = "is down now" if is_down else "is not in force" if is_new else "stays as it was"
    if isinstance(error, BridgeError):
        kind = type(error) if isinstance(error, ConfigurationError | StoreUnavailable) else BindingError
        return kind(f"{error}; network {network} {instead}")
    log.error("network %s could not be changed because of a bug in its binding", network, exc_info=error)
    return BindingError(f"network {network} failed by a mistake of its binding, see the log, and {instead}: {error!r}")


def _files_reached(files: Mapping[str, str], before: Config, network: str) -> Mapping[str, str]:
    """Return the digests of files where one network still uses its files of before."""
    others = {name: digest for name, digest in files.items() if not is_of(name, "networks", network)}
    return others | _files(before, "networks", network)


def _network_differs(before: Config, after: Config, name: str) -> bool:
    """Return whether a network needs another instance."""
    old, new = before.networks[name], after.networks[name]
    if (old.binding, old.settings) != (new.binding, new.settings):
        return True
    return _files(before, "networks", name) != _files(after, "networks", name)


def _sessions_differ(before: Config, after: Config, server: str) -> bool:
    """Return whether sessions with a server are made in another way now."""
    old = before.servers.get(server)
    if old is None or old.security != after.servers[server].security:
        return True
    return _files(before, "servers", server) != _files(after, "servers", server)


def _files(config: Config, kind: str, key: str) -> dict[str, str]:
    return {name: digest for name, digest in config.files.items() if is_of(name, kind, key)}
