"""The NIDD binding: the contract of `bindings.contract` over T8 (3gpp-nidd/v1, TS 29.122 §4.4.5 and §5.6)."""

import functools
import logging
from collections.abc import Awaitable, Mapping
from typing import Any

import msgspec

from bindings.contract import (
    Ambiguous,
    Attempt,
    Cancellation,
    Events,
    Listener,
    Lookup,
    Memory,
    Presence,
    Refusal,
    Refused,
    SouthProfile,
    SubmitResult,
)
from bindings.diagnosis import Finding
from bindings.generated_values import secret_path
from bindings.guarded_calls import GuardedCalls
from bindings.http.messages import Request
from bindings.nidd.counters import COUNTERS
from bindings.nidd.diagnosis import diagnose
from bindings.nidd.downlinks import DownlinkCalls
from bindings.nidd.endpoint_options import with_options
from bindings.nidd.life_cycle import REPORTS
from bindings.nidd.models import read_notification
from bindings.nidd.notifications import Notifications
from bindings.nidd.packet_size import packet_bytes
from bindings.nidd.provisioned import provisioned_event
from bindings.nidd.provisioning import Provisioning
from bindings.nidd.records import DeviceNote, Records, State
from bindings.nidd.settings import NiddSettings
from bindings.nidd.zero_touch import TRIGGER, Newcomers
from bindings.reachability.watch import Watch
from bindings.t8.client import T8Client
from bindings.t8.identity import canonical_device
from bindings.t8.listener import t8_listener
from bindings.transmission import explanation
from bridge.errors import BindingError

log = logging.getLogger(__name__)

_NOTHING_KNOWN = DeviceNote()


class NiddBinding:
    """One SCEF or NEF.

    Options of an endpoint: max_packet_size, pdn_establishment_option, reliable_data_service, rds_port, buffer, block2.
    """

    def __init__(self, name: str, settings: NiddSettings) -> None:
        """Check the settings, open nothing. Raises ConfigurationError."""
        self.name = name
        self._settings = settings
        self._client = T8Client(settings)
        self._newcomers = Newcomers(settings.zero_touch, lambda: self._provisioning, lambda: self._running)
        doors = {
            REPORTS: lambda request: self._watch.take(request.body),
            TRIGGER: lambda request: self._newcomers.take(request.body),
        }
        self._listener = t8_listener(settings.callbacks, "nidd", self._take, self._count, doors=doors)
        self._events: Events | None = None
        self._calls = GuardedCalls(name, "nidd_internal_errors", self._count)

    @classmethod
    def settings(cls) -> type[NiddSettings]:
        """Return the type of this binding's section in the configuration."""
        return NiddSettings

    # Life

    async def start(self, events: Events, memory: Memory) -> None:
        """Open the listener and begin to see to the configurations.

        Raises BindingError (port taken), StoreUnavailable.
        """
        self._events = events
        self._records = Records(memory, self._publish)
        path = await secret_path(memory, self._settings.callbacks.path)
        self._client.open(events.now)
        self._watch = Watch(self._settings.reachability, self._client, memory, events)
        self._provisioning = Provisioning(self._settings, self._client, self._records, events, self._watch)
        self._downlinks = DownlinkCalls(
            self._settings, self._client, self._records, self._provisioning, events, self._watch
        )
        self._notifications = Notifications(
            self._records,
            self._provisioning,
            events,
            self._client.clock,
            self._downlinks.rds_is_disabled,
            self._watch.cannot_be_reached,
        )
        try:
            await self._listener.start(path)
        except BaseException:
            await self._client.close()
            raise
        await self._provisioning.start(self._listener.url)
        self._calls.open = True
        host, port = self._listener.address
        log.info("network %s: SCEF/NEF %s, callbacks on %s port %d", self.name, self._client.root, host, port)

    async def stop(self) -> None:
        """Take no more notifications, finish the calls under way; configurations stay at the SCEF."""
        if not self._calls.open:
            return
        self._calls.open = False
        await self._listener.stop()
        await self._watch.stop()
        await self._provisioning.stop()
        await self._calls.finish()
        await self._client.close()

    @property
    def _running(self) -> Events:
        if self._events is None:
            raise BindingError(f"network {self.name} is not started")
        return self._events

    def _take(self, request: Request) -> Awaitable[None]:
        return self._notifications.take(*read_notification(request.body))

    def _count(self, name: str) -> None:
        if self._events is not None:
            self._events.count(name)

    # Devices

    def canonical_device(self, device: str) -> str:
        """Return the one spelling of an External Identifier or MSISDN. Raises ConfigurationError."""
        return canonical_device(device)

    def listeners(self) -> list[Listener]:
        """Return the listener for callbacks."""
        callbacks = self._settings.callbacks
        return [Listener("callbacks.port", callbacks.bind, callbacks.port)]

    def explain_settings(self) -> list[str]:
        """Return for how long devices' repeats are recognised."""
        return [explanation(self._settings.downlinks.exchange_span)]

    def check_options(self, options: Mapping[str, str]) -> None:
        """Raise ConfigurationError for an option that is none."""
        with_options(DeviceNote(), options)

    async def provision(self, device: str, options: Mapping[str, str]) -> None:
        """Note that the device is wanted; its configuration is made or adopted soon, at the configured pace.

        Raises ConfigurationError for an option that is none, StoreUnavailable.
        """
        device = canonical_device(device)
        before = await self._provisioning.noted(device)
        record = with_options(before or DeviceNote(), options)
        if before is None:
            await self._provisioning.add(device, record)
        elif before.state is State.REMOVING:
            due = int(self._now())
            await self._provisioning.want(device, msgspec.structs.replace(record, state=State.LOST, due=due))
        elif record != before:
            await self._provisioning.want(device, record)
        elif not before.failures:
            self._publish(device, before, "")  # the reason of a failure was published when it failed

    def _publish(self, device: str, record: DeviceNote, trouble: str) -> None:
        event = provisioned_event(device, record, trouble)
        if event is not None and self._events is not None:
            self._events.deliver(event)

    async def deprovision(self, device: str) -> None:
        """Have the device's configuration deleted, soon. Raises StoreUnavailable."""
        device = canonical_device(device)
        record = await self._provisioning.noted(device)
        if record is not None:
            due = int(self._now())
            await self._provisioning.want(
                device, msgspec.structs.replace(record, state=State.REMOVING, due=due, failures=0)
            )

    # Downlinks

    @property
    def capacity(self) -> int:
        """Return how many connections to the SCEF there are at the same time."""
        return self._settings.http.pool_size

    async def submit(self, attempt: Attempt) -> SubmitResult:
        """POST the attempt; TS 29.122 §4.4.5.3.1. A missing configuration is made first."""
        if not self._calls.open:
            return Refused(Refusal.NETWORK_UNAVAILABLE, "the network instance is not running")
        mistake: SubmitResult = Ambiguous("a bug in the bridge, see the log")
        return await self._calls.run(self._downlinks.submit(attempt), mistake)

    async def lookup(self, attempt: Attempt) -> Lookup:
        """GET the pending deliveries and compare their data with the attempt's."""
        if not self._calls.open:
            return Lookup(Presence.FAILED)
        return await self._calls.run(self._downlinks.lookup(attempt), Lookup(Presence.FAILED))

    async def cancel(self, device: str, handle: str) -> Cancellation:
        """DELETE a pending delivery, where the SCEF offers that."""
        if not self._calls.open:
            return Cancellation.UNKNOWN
        return await self._calls.run(self._downlinks.cancel(device, handle), Cancellation.UNKNOWN)

    # What the core and people ask

    def south_profile(self, device: str) -> SouthProfile:
        """Return the profile: NIDD's numbers, and the packet size of the device's configuration once it is known."""
        record = self._records.held(device) or _NOTHING_KNOWN
        can_cancel = not self._calls.open or self._downlinks.can_cancel(record)
        return self._profile(record.packet_size, record.learned, record.max_packet_size, can_cancel)

    @functools.lru_cache(maxsize=256)  # noqa: B019  # one instance for each network, as long as the process
    def _profile(self, packet_size: int, learned: int, max_packet_size: int, can_cancel: bool) -> SouthProfile:
        numbers = self._settings.downlinks
        # Both ways: the UE was told the same maximum (TS 29.122, maximumPacketSize). What was learned is of downlinks.
        both = (packet_bytes(packet_size, numbers.packet_size_unit), max_packet_size, numbers.max_packet_size)
        return SouthProfile(
            retransmit_interval=numbers.retransmit_interval,
            max_retransmit=numbers.max_retransmit,
            retransmit_confirmed=True,
            exchange_span=numbers.exchange_span,
            response_timeout=numbers.response_timeout,
            max_attempts=numbers.max_attempts,
            empty_is_poll=False,
            quick=numbers.quick,
            can_cancel=can_cancel,
            can_expire=True,
            max_downlink=min((limit for limit in (*both, learned) if limit), default=None),
            max_uplink=min((limit for limit in both if limit), default=None),
        )

    @property
    def up(self) -> bool | None:
        """Whether the network's API answered the latest call; None before the first one."""
        return self._client.up

    def counters(self) -> Mapping[str, str]:
        """Return what each counter of the binding counts."""
        return COUNTERS

    def status(self) -> Mapping[str, Any]:
        """Return reachability, credentials, configurations by state and callbacks, as plain JSON values."""
        host, port = self._listener.address
        report: dict[str, Any] = {
            "provider": "t8",
            "running": self._calls.open,
            "api": self._client.root,
            "client": self._client.status(),
            "callbacks": {"bind": host, "port": port, "taken": self._listener.taken},
        }
        if self._calls.open:
            report["configurations"] = self._provisioning.status()
            report["reachability"] = self._watch.status()
            report["callbacks"]["test_notification_at"] = self._notifications.tested_at
        return report

    async def check(self) -> list[Finding]:
        """Look for what will hurt: SCEF reachable, credentials taken, callbacks reaching us; each with its cure."""
        if not self._calls.open:
            raise BindingError(f"network {self.name} is not running: start it before it is checked")
        return await diagnose(self._settings, self._client, self._listener, self._notifications, self._provisioning)

    def _now(self) -> float:
        return self._running.now()
