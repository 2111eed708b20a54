"""The NIDD binding: the contract of `bindings.contract` over T8 (3gpp-nidd/v1, TS 29.122 §4.4.5 and §5.6)."""

import functools
from collections.abc import Awaitable, Collection, Mapping
from typing import Any, Self

import msgspec

from bindings.contract import DeviceState, Events, Memory, SouthProfile
from bindings.diagnosis import Finding
from bindings.http.messages import Answer, Request
from bindings.nidd.counters import COUNTERS
from bindings.nidd.diagnosis import diagnose
from bindings.nidd.downlinks import DownlinkCalls
from bindings.nidd.endpoint_options import with_options
from bindings.nidd.life_cycle import REPORTS
from bindings.nidd.models import read_notification
from bindings.nidd.notes import DeviceNote, DeviceNotes, State
from bindings.nidd.notifications import Notifications
from bindings.nidd.packet_size import packet_bytes
from bindings.nidd.provisioned import provisioned_event
from bindings.nidd.provisioning import Provisioning
from bindings.nidd.settings import NiddSettings
from bindings.nidd.zero_touch import ACCEPTED, TRIGGER, Newcomers
from bindings.reachability.watch import ReachabilityMonitor
from bindings.t8.binding import T8Binding
from bindings.t8.identity import canonical_device
from bindings.transmission import explanation
from bridge.errors import BindingError

_NOTHING_KNOWN = DeviceNote()


def answer_kept(request: Request) -> Answer | None:
    """Return the answer to a notification that is kept or passed on; None: 204."""
    return ACCEPTED if request.sub_path == TRIGGER else None


class NiddBinding(T8Binding[NiddSettings, DownlinkCalls]):
    """One SCEF or NEF. Configurations stay there when the binding stops.

    Options of an endpoint: max_packet_size, pdn_establishment_option, reliable_data_service, rds_port, server_ports,
    buffer, block2, and the network parameters of `bindings.reachability`.
    """

    def __init__(self, name: str, settings: NiddSettings) -> None:
        """Check the settings, open nothing. Raises ConfigurationError."""
        self._newcomers = Newcomers(settings.zero_touch, lambda: self._provisioning, lambda: self._running)
        handlers = {
            REPORTS: lambda request: self._watch.commit(request.body),
            TRIGGER: lambda request: self._newcomers.commit(request.body),
        }
        super().__init__(name, settings, "nidd", "SCEF/NEF", handlers, answer_kept)
        self._inherited: DeviceNotes | None = None  # of an earlier instance

    @classmethod
    def settings(cls) -> type[NiddSettings]:
        """Return the type of this binding's section in the configuration."""
        return NiddSettings

    # Life

    def _inherit(self, earlier: Self) -> None:
        self._inherited = earlier.records

    def _open(self, events: Events, memory: Memory) -> None:
        self.records = self._inherited or DeviceNotes(memory)
        self.records.changed = self._publish
        self._watch = ReachabilityMonitor(self._settings.reachability, self._client, memory, events)
        self._provisioning = Provisioning(self._settings, self._client, self.records, events, self._watch)
        self._downlinks = DownlinkCalls(
            self._settings, self._client, self.records, self._provisioning, events, self._watch
        )
        self._notifications = Notifications(
            self.records,
            self._provisioning,
            events,
            self._client.clock,
            self._downlinks.rds_is_disabled,
            self._watch.cannot_be_reached,
            self._watch.heard,
        )

    async def _begin(self, events: Events, url: str) -> None:  # noqa: ARG002
        if self._inherited is None:
            await self.records.count()
        await self._watch.start()
        self._provisioning.start(url)

    @property
    def _longest_call(self) -> float:
        return max(super()._longest_call, self._settings.downlinks.rds_timeout)

    async def _end(self) -> None:
        await self._watch.stop()
        await self._provisioning.stop()

    @property
    def _running(self) -> Events:
        if self._events is None:
            raise BindingError(f"network {self.name} is not started")
        return self._events

    def _commit(self, request: Request) -> Awaitable[Answer | None]:
        return self._notifications.commit(*read_notification(request.body))

    # Devices

    def explain_settings(self) -> list[str]:
        """Return for how long devices' repeats are recognised."""
        return [explanation(self._settings.downlinks.exchange_span)]

    def check_options(self, options: Mapping[str, str]) -> None:
        """Raise ConfigurationError for an unknown option."""
        with_options(DeviceNote(), options)

    def device_came(self, device: str) -> None:
        """Forget what is cached of a device that another node has served so far (bindings.contract.RunsOnNodes)."""
        device = canonical_device(device)
        self._provisioning.device_came(device)
        self._watch.device_came(device)

    def shards_came(self) -> None:
        """Read again what other nodes have noted (bindings.contract.ReadsShards)."""
        self._provisioning.shards_came()
        self._watch.shards_came()

    async def devices_left(self, devices: Collection[str], *, late: bool = False) -> None:  # noqa: ARG002  # nothing waits to be written
        """Forget what is cached of devices that another node serves now (bindings.contract.ReleasesDevices)."""
        for device in devices if self._calls.open else ():
            canonical = canonical_device(device)
            self._provisioning.device_left(canonical)
            self._watch.device_left(canonical)

    async def provision(self, device: str, options: Mapping[str, str]) -> None:
        """Record that the device is wanted; its configuration is created or adopted soon, at the configured pace.

        Raises ConfigurationError for an unknown option, StoreUnavailable.
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
        """Schedule the deletion of the device's configuration. Raises StoreUnavailable."""
        device = canonical_device(device)
        record = await self._provisioning.noted(device)
        if record is not None:
            due = int(self._now())
            await self._provisioning.want(
                device, msgspec.structs.replace(record, state=State.REMOVING, due=due, failures=0)
            )

    # For the core and for people

    def south_profile(self, device: str) -> SouthProfile:
        """Return the profile: NIDD's values, and the packet size of the device's configuration if known."""
        record = _NOTHING_KNOWN if self._events is None else self.records.held(device) or _NOTHING_KNOWN
        can_cancel = not self._calls.open or self._downlinks.can_cancel(record)
        return self._profile(record.packet_size, record.learned, record.max_packet_size, can_cancel)

    @functools.lru_cache(maxsize=256)  # noqa: B019  # one instance for each network, as long as the process
    def _profile(self, packet_size: int, learned: int, max_packet_size: int, can_cancel: bool) -> SouthProfile:
        numbers = self._settings.downlinks
        # In both directions: the UE has the same maximum (TS 29.122, maximumPacketSize). A learned limit is for
        # downlinks.
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

    def device_state(self, device: str) -> DeviceState | None:
        """Return what the SCEF reported of a device that cannot be reached (bindings.contract.KnowsDevices)."""
        return None if self._events is None else self._watch.device_state(canonical_device(device))

    @property
    def up(self) -> bool | None:
        """Return whether the network's API answered the latest call; None before the first one."""
        return self._client.up

    def counters(self) -> Mapping[str, str]:
        """Return the help text of each counter of the binding."""
        return COUNTERS

    def status(self) -> Mapping[str, Any]:
        """Return reachability, credentials, configurations by state and callbacks, as JSON values."""
        report = {**super().status()}
        if self._calls.open:
            report["configurations"] = self._provisioning.status()
            report["reachability"] = self._watch.status()
            tested = {"test_notification_at": self._notifications.tested_at}
            report["callbacks"] = {**report["callbacks"], **tested}
        return report

    async def check(self) -> list[Finding]:
        """Check that the SCEF is reachable, accepts the credentials, and reaches the bridge; with the cures."""
        self._check_running()
        return await diagnose(
            self._settings,
            self._client,
            self.listener,
            self._notifications,
            self._provisioning,
            is_shared=self.is_shared,
        )

    def _now(self) -> float:
        return self._running.now()
