"""Applies changes of the directory to endpoints in memory, addresses toward servers, and networks."""

import contextlib

from bridge.cluster.contract import Shards
from bridge.directory import Directory, DirectoryChange, EndpointRecord
from bridge.errors import BridgeError, NotFound, NotServedHere, StoreUnavailable
from bridge.north.contract import NorthTransport
from bridge.relay import events as ev
from bridge.service.places import DISABLED, Places
from bridge.service.provisioning import Provisioning
from bridge.service.runner import Runner
from bridge.service.tasks import Tasks
from bridge.service.upkeep import persistently


class DirectoryFollower:
    """Subscribe `follow` to the directory after all other parts are made."""

    def __init__(
        self,
        directory: Directory,
        runner: Runner,
        north: NorthTransport,
        places: Places,
        provisioning: Provisioning,
        tasks: Tasks,
        shards: Shards | None = None,
    ) -> None:
        """`shards`: of this node, if there is a cluster."""
        self._directory = directory
        self._runner = runner
        self._north = north
        self._places = places
        self._provisioning = provisioning
        self._tasks = tasks
        self._shards = shards

    def follow(self, change: DirectoryChange) -> None:
        """Apply a durable change."""
        before, after = change.before, change.after
        if after is None:
            return  # `remove` has done everything
        if after.enabled and after.source is not None and self._north.opens_each:
            self._north.open(after.source, after.servers)
        moved = before is not None and (before.network, before.device) != (after.network, after.device)
        if before is not None:
            self._keep_up(change, before, after, moved=moved)
            if moved:
                self._tasks.begin(self._provisioning.end(before))
        if before is None and self._shards is not None and not self._shards.accepts(after.shard):
            return  # `NewEndpoints` of the node that serves the shard finds it
        if after.enabled and (before is None or moved or not before.enabled or self._options_differ(before, after)):
            self._tasks.begin(self._provisioning.begin(after))

    def _options_differ(self, before: EndpointRecord, after: EndpointRecord) -> bool:
        """Return whether the network has to know of other options; those can depend on the endpoint's servers."""
        return self._provisioning.options(before) != self._provisioning.options(after)

    async def remove(self, name: str) -> EndpointRecord:
        """End all messages of an endpoint, and remove the endpoint from its network and from the directory.

        Raises NotFound, or BridgeError: then the endpoint stays.
        """
        record = await self._directory.by_name(name)
        if record is None:
            raise NotFound(f"no endpoint {name!r}")
        self._directory.may_change(record)
        self._places.leaving.add(record.id)  # a message that came after this step would belong to no endpoint
        try:
            self._replace(record)
            await self._runner.stepped(record.id, ev.EndpointRemoved())
            # The network first: a crash in between leaves an endpoint that the next start provisions again.
            await self._provisioning.end(record)
            removed = await self._directory.remove(name)
        except BridgeError:
            self._tasks.begin(self._provisioning.begin(record))
            raise
        finally:
            self._places.leaving.discard(record.id)
            self._runner.forget(record.id)
        if record.source is not None:
            self._north.release(record.source)
        return removed

    def _keep_up(self, change: DirectoryChange, before: EndpointRecord, after: EndpointRecord, *, moved: bool) -> None:
        if moved:
            self._runner.forget(after.id)  # the notes of the other device have to be read first
        if not self._replace(after):
            return
        if moved:
            self._step(after.id, ev.NetworkFlushed("the endpoint has another device now"))
        if change.server_knew:
            self._runner.forget(after.id)  # the directory's transaction has stored it in the relay row
            self._step(after.id, ev.NorthChanged())
        if before.enabled and not after.enabled:
            self._step(after.id, ev.EndpointRemoved(DISABLED))

    def _step(self, endpoint: int, event: ev.Event) -> None:
        """Run a step that a durable change needs; where the store fails, again until it has been committed."""

        async def again() -> None:
            with contextlib.suppress(NotServedHere):  # its next holder takes up what waits
                await self._runner.stepped(endpoint, event)

        def done(error: BaseException | None) -> None:
            if isinstance(error, StoreUnavailable) and not self._runner.stopping:
                self._tasks.begin(persistently(again))

        self._runner.event(endpoint, event, done)

    def _replace(self, record: EndpointRecord) -> bool:
        """Update an endpoint in memory from the directory, or drop it if it is down; return whether it is up."""
        placed = self._places.of(record)
        if placed is None:
            self._runner.forget(record.id)
        else:
            self._runner.refresh(record.id, placed)
        return placed is not None
