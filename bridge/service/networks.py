"""The bridge as a binding sees it: takes the binding's events, and says when they are committed."""

import asyncio
from collections.abc import Mapping
from functools import partial
from typing import Any

from bindings.commits import Commit
from bindings.contract import Binding, BindingEvent, Flushed, Joined, Provisioned, Reachable, Report, UplinkMessage
from bindings.option_names import SERVER_PORTS
from bridge.directory import Directory, Draft
from bridge.directory.keys import ByDevice
from bridge.errors import BindingError, NotServedHere, StoreUnavailable, UnknownDevice
from bridge.relay import events as ev
from bridge.relay.from_device import digest_of
from bridge.service.actor import CountFunction
from bridge.service.clock import Clock
from bridge.service.crash_points import reached
from bridge.service.inbox import giving_back, in_inbox, is_of_inbox, waited
from bridge.service.inbox_order import InboxOrder
from bridge.service.provisioning import ProvisioningNotes
from bridge.service.runner import Runner
from bridge.store.contract import Store

BACKLOG = 20_000  # commits that wait for the disk; beyond that, networks have to send again later


class NetworkEvents:
    """`bindings.contract.Events` of one network instance."""

    def __init__(
        self,
        network: str,
        directory: Directory,
        runner: Runner,
        store: Store,
        provisioning: ProvisioningNotes,
        clock: Clock,
        count: CountFunction,
        order: InboxOrder | None = None,
    ) -> None:
        """`order`: of a node of a cluster, lets events wait for earlier posts that are in the inbox."""
        self._loop = asyncio.get_running_loop()
        self._order = order
        self._network = network
        self._directory = directory
        self._runner = runner
        self._store = store
        self._provisioning = provisioning
        self._clock = clock
        self._count = count

    def deliver(self, event: BindingEvent) -> asyncio.Future[None]:
        """Take an event. The returned future completes when it is committed.

        The future raises StoreUnavailable, UnknownDevice, or BindingError if `event` is not one.
        """
        if isinstance(event, Provisioned):
            return self._provisioning.store_report(self._network, event)
        committed = Commit(loop=self._loop)
        of_inbox = is_of_inbox()
        try:
            device, taken = _translate(event, self.now() if of_inbox and waited() else None)
        except BindingError as error:
            committed.set_exception(error)
            return committed
        if self._store.backlog > BACKLOG or (self._order is not None and len(self._order) > BACKLOG):
            self._count("store_full", network=self._network)
            committed.set_exception(StoreUnavailable("too many commits wait for the disk"))
            return committed

        if of_inbox and isinstance(event, UplinkMessage | Report):  # others come before the message that they belong to
            taken = in_inbox(taken)
        give_back = giving_back() if taken.inbox else None

        def done(error: BaseException | None) -> None:
            if committed.done():
                return
            reached("before notification answer")
            if isinstance(error, UnknownDevice):
                if give_back is not None:
                    give_back(taken)
                error = self._unknown(device)
            committed.complete(error)

        key = ByDevice(self._network, device)
        if self._order is None or of_inbox or self._order.is_open:
            self._runner.arrive(key, taken, done)
        else:
            self._order.enter(key, partial(self._runner.arrive, key, taken, done))
        return committed

    async def check_served(self, device: str) -> None:
        """Raise NotServedHere if another node serves a device. Raises StoreUnavailable."""
        shards = self._runner.shards
        record = None if shards is None else await self._directory.by_device(self._network, device)
        if shards is not None and record is not None and not shards.accepts(record.shard):
            raise NotServedHere(f"shard {record.shard}, device {device}'s, is not served by this node", record.shard)

    def _unknown(self, device: str) -> UnknownDevice:
        self._count("unknown_devices", network=self._network)
        return UnknownDevice(
            f"network {self._network!r} names device {device!r}, which no endpoint has; "
            f"add it: lwm2m-bridge endpoint add --network {self._network} --address {device}"
        )

    async def add_endpoint(self, device: str, name: str, options: Mapping[str, str]) -> bool:
        """Add an endpoint; return whether its device is new. Raises DirectoryError or StoreUnavailable."""
        if await self._directory.by_device(self._network, device) is not None:
            return False
        await self._directory.add_all([Draft(network=self._network, device=device, name=name, options=dict(options))])
        return True

    async def has_taken(self, uplink: UplinkMessage, within: float) -> bool:
        """Return whether the ledger has an uplink, or one of which it is a repeat. Raises StoreUnavailable."""
        record = await self._directory.by_device(self._network, uplink.device)
        if record is None:
            return False
        digest, at = (
            digest_of(uplink.payload, uplink.port if SERVER_PORTS in self._directory.options(record) else None),
            uplink.received_at,
        )
        # Either may be the other's repeat: history can bring a lost original after its repeat was stored.
        return await self._store.reads.has_uplink(record.id, uplink.duplicate_key, digest, at - within, at + within)

    def now(self) -> float:
        """Return the wall time: where a post out of the inbox is interpreted, that at which it was received."""
        return self._clock.wall() - waited()

    def count(self, name: str, **labels: str) -> None:
        self._count(name, network=self._network, **labels)


def _translate(event: BindingEvent, came_at: float | None) -> tuple[str, ev.Event]:
    """Return the device, and the core's event for a binding's event.

    `came_at`: the wall time at which its post was received, if that was put into the inbox.
    """
    if isinstance(event, UplinkMessage):
        heard_at = event.received_at if came_at is None else min(event.received_at, came_at)
        return event.device, ev.DeviceMessage(event.payload, event.duplicate_key, heard_at, event.port, came_at)
    if isinstance(event, Report):
        report = ev.Reported(event.handle, event.outcome, event.detail, event.retry_at, event.nack)
        return event.device, report
    if isinstance(event, Reachable):
        return event.device, ev.DeviceReachable(came_at)
    if isinstance(event, Joined):
        return event.device, ev.DeviceJoined(event.queue_kept)
    if isinstance(event, Flushed):
        return event.device, ev.NetworkFlushed(event.detail, event.handle)
    raise BindingError(f"a binding reported {type(event).__name__}, which the bridge does not know")


def status_of(binding: Binding) -> dict[str, Any]:
    """Return what a network instance says of its state, or why it cannot."""
    try:
        return dict(binding.status())
    except BindingError as error:
        return {"error": str(error)}
