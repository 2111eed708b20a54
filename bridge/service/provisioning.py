"""Asks networks to carry the data of devices, and stores the provisioning state that they report."""

import asyncio
import logging
from asyncio import Future
from collections.abc import Callable, Mapping

from bindings.contract import Binding, Provisioned
from bindings.provisioning import ProvisioningState
from bridge.background import report
from bridge.directory import EndpointRecord
from bridge.directory.record import binding_options
from bridge.errors import BindingError, BridgeError, NotFound, StoreUnavailable
from bridge.service.announcer import Announcer
from bridge.service.tasks import Tasks
from bridge.store.fleet import Fleet, Provisioning as Kept, ProvisioningNote

log = logging.getLogger(__name__)

GATHER = 0.2  # seconds in which reports are collected: only the last one about a device is stored
AGAIN = 2.0  # seconds from a failure of the store to the next attempt


class ProvisioningNotes:
    """Stores the provisioning state of each device.

    A report about a device replaces an earlier one, also one that is just being stored and may fail to be. What is only
    presumed (`unless_known`) replaces none.
    """

    def __init__(
        self, fleet: Fleet, now: Callable[[], float], tasks: Tasks, announcer: Announcer | None = None
    ) -> None:
        """`now` returns wall-clock seconds."""
        self._fleet = fleet
        self._now = now
        self._tasks = tasks
        self._announcer = announcer
        self._gathered: dict[tuple[str, str], ProvisioningNote] = {}
        self._futures: list[Future[None]] = []  # completed when the reports collected so far are durable
        self._storing = asyncio.Lock()  # one `flush` at a time: the next one also waits for what this one stores

    def store_report(self, network: str, event: Provisioned) -> Future[None]:
        """Store a binding's report. The returned future completes when it is durable."""
        return self.note(network, event.device, event.state, event.reason, event.retry_at)

    def note(
        self,
        network: str,
        device: str,
        state: ProvisioningState,
        reason: str = "",
        retry_at: float | None = None,
        *,
        unless_known: bool = False,
    ) -> Future[None]:
        """Store the state of a device, named in canonical form. `unless_known`: only if no state is stored yet.

        The returned future completes when it is durable.
        """
        kept = Kept(state, reason, self._now(), retry_at)
        _add(self._gathered, ProvisioningNote(network, device, kept, unless_known))
        if not self._futures:
            self._futures.append(asyncio.get_running_loop().create_future())
            self._tasks.keep_up("storing the provisioning state of devices", self._keep_soon)
        return self._futures[-1]

    async def flush(self) -> None:
        """Store all reports that came before this call, also those that are just being stored.

        Raises StoreUnavailable; then they stay collected for the next attempt.
        """
        async with self._storing:
            gathered, self._gathered = self._gathered, {}
            futures, self._futures = self._futures, []
            try:
                if self._announcer is None:
                    await self._fleet.note([*gathered.values()])
                else:
                    await self._fleet.note([*gathered.values()], self._announcer.of_provisioning)
                    self._announcer.committed()
            except BaseException:
                for newer in self._gathered.values():
                    _add(gathered, newer)
                self._gathered = gathered
                self._futures = futures + self._futures
                raise
            for one in futures:
                if not one.done():
                    one.set_result(None)

    async def _keep_soon(self) -> None:
        pause = GATHER
        while self._gathered:
            await asyncio.sleep(pause)
            try:
                await self.flush()
            except StoreUnavailable as error:
                pause = AGAIN
                log.warning(
                    "the provisioning state of devices is not stored yet: %s", error, extra={"sample": "provisioning"}
                )
            else:
                return


def _add(gathered: dict[tuple[str, str], ProvisioningNote], newer: ProvisioningNote) -> None:
    """Add a report to those that are not stored yet; what is only presumed replaces no report."""
    key = newer.network, newer.device
    if not (newer.unless_known and key in gathered):
        gathered[key] = newer


class Provisioning:
    """Asks bindings to provision and deprovision devices."""

    def __init__(
        self,
        networks: Mapping[str, Binding],
        down: Mapping[str, str],
        notes: ProvisioningNotes,
        count: Callable[..., None],
        options_of: Callable[[EndpointRecord], Mapping[str, str]],
    ) -> None:
        """`down` has the networks whose instance could not be started, and why: those are not asked.

        `options_of` returns the options in force for an endpoint: its own, and what its network sets for it.
        """
        self._networks = networks
        self._down = down
        self._notes = notes
        self._count = count
        self._options_of = options_of

    def options(self, record: EndpointRecord) -> Mapping[str, str]:
        """Return what a network gets to know of an endpoint's options."""
        return binding_options(self._options_of(record))

    async def ask(self, record: EndpointRecord) -> None:
        """Provision an endpoint in its network. Raises NotFound, or BridgeError with the network's reason."""
        binding = self._networks.get(record.network)
        if binding is None:
            known = ", ".join(self._networks) or "none"
            raise NotFound(f"network {record.network!r} is not configured (known: {known})")
        self._check_started(record.network)
        self._notes.note(record.network, record.device, ProvisioningState.PENDING, unless_known=True)
        await binding.provision(record.device, self.options(record))

    async def begin(self, record: EndpointRecord) -> None:
        """Do what `ask` does; a failure is stored with the endpoint, logged and counted."""
        try:
            await self.ask(record)
        except BridgeError as error:
            self._notes.note(record.network, record.device, ProvisioningState.FAILED, str(error))
            self._count("provision_failures", network=record.network)
            log.warning("not provisioned: %s", error, extra={"endpoint": record.name, "sample": "provision"})
        except Exception as bug:  # noqa: BLE001  # the endpoints after this one must not wait for the next start
            self._notes.note(
                record.network, record.device, ProvisioningState.FAILED, "a bug in the bridge, see the log"
            )
            self._count("provision_failures", network=record.network)
            report(f"endpoint {record.name}: not provisioned because of a bug in the bridge", bug)

    async def end(self, record: EndpointRecord) -> None:
        """Deprovision an endpoint's device in its network; a failure is logged and counted."""
        binding = self._networks.get(record.network)
        if binding is None:
            return
        try:
            self._check_started(record.network)
            await binding.deprovision(record.device)
        except BridgeError as error:
            self._count("deprovision_failures", network=record.network)
            log.warning("not deprovisioned: %s", error, extra={"endpoint": record.name, "sample": "deprovision"})

    async def flush(self) -> None:
        """Store the states that networks have reported, before another node reports newer ones.

        Raises StoreUnavailable.
        """
        await self._notes.flush()

    def _check_started(self, network: str) -> None:
        if network in self._down:
            raise BindingError(f"network {network} is down: {self._down[network]}")
