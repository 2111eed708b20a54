"""The LoRaWAN binding: the contract of `bindings.contract` over a LoRaWAN network server.

Data flows one way: the provider's events → `Inbound` → the bridge; the bridge's attempts → `Downlinks` → the provider.
Also, `CatchUp` reads the provider's history into `Replay`, and the `Reconciler` checks the devices that
`Inbound` and `Downlinks` put into `DoubtfulDevices`.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from dataclasses import replace
from math import inf
from typing import Any

import msgspec

from bindings.contract import (
    Ambiguous,
    Cancellation,
    DeviceMade,
    Events,
    Listener,
    Lookup,
    Memory,
    NetworkDevice,
    PostListener,
    Presence,
    ReadNote,
    Refusal,
    Refused,
    SouthProfile,
    Submission,
    SubmitResult,
)
from bindings.diagnosis import Finding, Grade
from bindings.guarded_calls import GuardedCalls
from bindings.lorawan.app_s_key import ZEROS, Keks
from bindings.lorawan.catch_up import CatchUp
from bindings.lorawan.clock import NetworkClock
from bindings.lorawan.counters import COUNTERS
from bindings.lorawan.device_checks import DeviceChecks
from bindings.lorawan.device_settings import DeviceSettings
from bindings.lorawan.downlinks import Downlinks
from bindings.lorawan.evidence import Evidence
from bindings.lorawan.identity import canonical_device
from bindings.lorawan.inbound import Inbound
from bindings.lorawan.lost_events import LostEvents
from bindings.lorawan.network_events import NetworkEvent
from bindings.lorawan.notes import UNKNOWN_PROFILE, DeviceNote, DeviceNotes
from bindings.lorawan.options import on_layers, read_options
from bindings.lorawan.outages import Outages
from bindings.lorawan.outstanding import DoubtfulDevices, Outstanding, QueuesToRead
from bindings.lorawan.pinger import Pinger
from bindings.lorawan.profiles import Profiles
from bindings.lorawan.provider import Provider
from bindings.lorawan.providers import make_provider
from bindings.lorawan.reconciler import Reconciler
from bindings.lorawan.replay import Replay
from bindings.lorawan.reports import Reports
from bindings.lorawan.sealing import Sealing
from bindings.lorawan.settings import LorawanSettings
from bindings.lorawan.south import SouthProfiles
from bindings.lorawan.uplinks import Uplinks
from bindings.lorawan.wanted_device import Abp, WantedDevice, read_wanted_device
from bindings.shown_calls import Seen
from bindings.transmission import explanation
from bridge.errors import BindingError, CallFailed, ConfigurationError, KeyUnavailable, StoreUnavailable

log = logging.getLogger(__name__)

_WRITE_EVERY = 10.0  # seconds between two writes of the notes that uplinks changed


class LorawanBinding:
    """One network server. Options of an endpoint: see `bindings.lorawan.options`."""

    def __init__(
        self,
        name: str,
        settings: LorawanSettings,
        provider_of: Callable[[LorawanSettings], Provider] = make_provider,
    ) -> None:
        """Check the settings, open nothing. Raises ConfigurationError."""
        self.name = name
        self._settings = settings
        self._keks = Keks(settings.end_to_end.keks)
        self._provider_of = provider_of
        self.provider = provider_of(settings)
        self._south = SouthProfiles(settings.downlinks)
        self._events: Events | None = None
        self._calls = GuardedCalls(name, "lorawan_internal_errors", self.count)
        self._tasks: list[asyncio.Task[None]] = []

    @classmethod
    def settings(cls) -> type[LorawanSettings]:
        """Return the type of this binding's section in the configuration."""
        return LorawanSettings

    # Life

    async def start(self, events: Events, memory: Memory) -> None:
        """Begin to accept events. The network server and the broker may still be down; the binding keeps trying.

        Raises BindingError (port taken), StoreUnavailable.
        """
        self._events = events
        settings, provider, monotonic = self._settings, self.provider, asyncio.get_running_loop().time
        records = self._records = DeviceNotes(memory, events.check_served)
        await records.start()
        outstanding = self._outstanding = Outstanding(records, monotonic)
        doubts, queues_to_read = DoubtfulDevices(), QueuesToRead(monotonic)
        clock = self._clock = NetworkClock()
        evidence = Evidence(provider, records, outstanding, clock, events)
        self._profiles = Profiles(provider, records, events)
        sealing = Sealing(self._keks, provider, records, events, required=settings.end_to_end.required)
        uplinks = Uplinks(settings, records, outstanding, self._profiles, sealing, clock, events)
        reports = Reports(outstanding, evidence, events)
        self._inbound = Inbound(records, outstanding, uplinks, reports, clock, doubts, events)
        self._downlinks = Downlinks(
            settings, provider, sealing, records, outstanding, evidence, clock, doubts, queues_to_read, events
        )
        self._catch_up = CatchUp(settings, provider, records, Replay(records, uplinks, reports, events), events)
        self._reconciler = Reconciler(
            doubts, queues_to_read, self._catch_up, evidence, records, provider, outstanding, events
        )
        self._pinger = Pinger(provider, self._catch_up, self._profiles, events)
        self._outages = Outages(memory, self._catch_up.all_devices, events.now)
        self._lost_events = LostEvents(events.check_served, self._catch_up.device_came, self._outages.tell)
        self._device_checks = DeviceChecks(provider, records, outstanding, clock, events)
        await provider.open()
        try:
            await provider.listen(self, memory)
        except BaseException:
            await provider.close()
            raise
        self._calls.open = True
        work = (
            self._pinger.run,
            self._reconciler.run,
            self._reconciler.check_queues_to_read,
            self._device_checks.run,
            self._outages.run,
            self._lost_events.run,
            self._write_forever,
        )
        self._tasks = [asyncio.create_task(self._calls.keep_up(one)) for one in work]

    @property
    def posts(self) -> PostListener | None:
        """Return the listener for events that are posted: see `bindings.contract.ReceivesPosts`."""
        return self.provider.posts

    async def receive(self, note: ReadNote) -> bool:
        """Open the listener before the start; False if there is none, or if its path is not known yet."""
        return await self.provider.receive(note)

    async def succeed(self, earlier: "LorawanBinding", events: Events, memory: Memory) -> None:
        """Take over the listener, which lets events wait until this returns; over MQTT the broker keeps them.

        Raises BindingError, StoreUnavailable: the earlier instance may have been stopped then.
        """
        await self.provider.inherit(earlier.provider)
        try:
            await earlier.stop()
            await self.start(events, memory)
        except BaseException:
            await self.provider.stop_listening()
            raise

    async def stop(self) -> None:
        """Accept no more events, and finish running calls."""
        if not self._calls.open:
            return
        await self.provider.stop_listening()
        self._calls.open = False
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._lost_events.stop()
        await self._outages.stop()
        await self._catch_up.stop()
        await self._profiles.stop()
        await self._calls.finish()
        await self._reconciler.stop()
        await self._downlinks.stop()
        try:
            await self._records.write()
        except StoreUnavailable as error:
            log.warning("network %s: the latest frame counters could not be stored: %s", self.name, error)
        await self.provider.close()

    async def _write_forever(self) -> None:
        while True:
            await asyncio.sleep(_WRITE_EVERY)
            try:
                await self._records.write()
            except StoreUnavailable as error:
                log.warning("network %s: frame counters cannot be stored yet: %s", self.name, error)

    # Called by the provider (`bindings.lorawan.provider.Sink`)

    def commit(self, event: NetworkEvent, *, within: float = inf) -> Awaitable[None]:
        """Commit an event. Raises StoreUnavailable or NotServedHere, now or when awaited."""
        return self._inbound.commit(event, within=within)

    def lost(self, device: str) -> None:
        """Have the node that serves a device read its history: an event was not committed, and does not come again."""
        if self._calls.open:
            self._lost_events.add(device)

    def missed(self) -> None:
        """Read the histories of all devices, on all nodes: events may have been lost."""
        if self._calls.open:
            self._outages.tell()

    def count(self, name: str, **labels: str) -> None:
        """Increment a counter for operators."""
        if self._events is not None:
            self._events.count(name, **labels)

    @property
    def calls_seen(self) -> Seen | None:
        """Return what shows calls about a device: see `bindings.contract.ShowsCalls`."""
        return self.provider.calls_seen

    @calls_seen.setter
    def calls_seen(self, seen: Seen | None) -> None:
        self.provider.calls_seen = seen

    @property
    def runs(self) -> bool:
        """Return whether the network instance takes messages now."""
        return self._calls.open

    # Devices

    def canonical_device(self, device: str) -> str:
        """Return the canonical form of a DevEUI. Raises ConfigurationError."""
        return canonical_device(device)

    async def provision(self, device: str, options: Mapping[str, str]) -> None:
        """Store the device with its options, and read its profile soon. Devices are created by `device add`, not here.

        Raises ConfigurationError for an unknown option, StoreUnavailable.
        """
        device = canonical_device(device)
        wanted = read_options(options)
        record = await self._records.get(device)
        new = record is None
        record = record or DeviceNote()
        settings = wanted.f_port, wanted.max_payload, wanted.server_ports
        changed = (record.f_port, record.max_payload, record.server_ports) != settings
        record.f_port, record.max_payload, record.server_ports = settings
        if wanted.app_s_key is not None:
            changed |= record.seal(wanted.app_s_key, personal=True)
        elif record.sealed is not None and record.sealed.personal:
            record.unseal()
            changed = True
        if new or changed:
            await self._records.put(device, record)
        if not record.profile:
            self._profiles.learn(device)
        elif not self._records.profile(record.profile).known:
            self._profiles.see(record.profile, record.region_config)

    def device_came(self, device: str) -> None:
        """Read the history of a device that another node has served so far (bindings.contract.RunsOnNodes)."""
        if self._calls.open:
            self._catch_up.device_came(canonical_device(device))
            self._device_checks.device_came()

    async def devices_left(self, devices: Collection[str], *, late: bool = False) -> None:
        """Write and forget what is known of devices (bindings.contract.ReleasesDevices)."""
        if not self._calls.open:
            return
        devices = frozenset(map(canonical_device, devices))
        self._profiles.release(devices)
        self._device_checks.release(devices)
        await self._catch_up.release(devices)
        await self._reconciler.release(devices)
        try:
            await self._records.release(devices, late=late)
        except StoreUnavailable as error:
            log.warning("network %s: notes of devices that another node serves now are old: %s", self.name, error)
        self._outstanding.release(devices)

    async def work_for_all_nodes(self, alive: Callable[[], Collection[str]]) -> None:
        """Take events that wait for nodes that are gone (bindings.contract.WorksForAllNodes)."""
        if self._calls.open:
            await self.provider.commit_for_others(alive)

    def node_was_lost(self, node: str) -> None:
        """Read all histories: what a node had received and not committed is only there."""
        if self._calls.open:
            log.info(
                "network %s: node %s ended without a hand-over; the histories of its devices are read", self.name, node
            )
            self._catch_up.all_devices()

    async def deprovision(self, device: str) -> None:
        """Forget the device; it stays in the network server, and its queue expires by the deadlines.

        Raises StoreUnavailable.
        """
        device = canonical_device(device)
        await self._records.get(device)
        self._outstanding.drop_all(device)
        await self._records.remove(device)

    # Downlinks

    @property
    def capacity(self) -> int:
        """Return how many calls to the network server there can be at the same time."""
        return self.provider.capacity

    async def submit(self, attempt: Submission) -> SubmitResult:
        """Enqueue the attempt."""
        if not self._calls.open:
            return Refused(Refusal.NETWORK_UNAVAILABLE, "the network instance is not running")
        largest = self.south_profile(attempt.device).max_downlink
        mistake: SubmitResult = Ambiguous("a bug in the bridge, see the log")
        return await self._calls.run(self._downlinks.submit(attempt, largest), mistake)

    async def lookup(self, attempt: Submission) -> Lookup:
        """Find an attempt in the device's queue by FPort and bytes."""
        if not self._calls.open:
            return Lookup(Presence.FAILED)
        return await self._calls.run(self._downlinks.lookup(attempt), Lookup(Presence.FAILED))

    async def cancel(self, device: str, handle: str) -> Cancellation:
        """Remove a downlink from the device's queue, if that does no harm to others; return what is certain."""
        if not self._calls.open:
            return Cancellation.UNKNOWN
        return await self._calls.run(self._downlinks.cancel(device, handle), Cancellation.UNKNOWN)

    def south_profile(self, device: str) -> SouthProfile:
        """Return the profile of App. C, with the payload size at the device's current data rate."""
        record = None if self._events is None else self._records.held(device)
        profile = self._records.profile(record.profile) if record is not None else UNKNOWN_PROFILE
        return self._south.of(record, profile, network_up=self.provider.up is not False)

    # For people

    def listeners(self) -> list[Listener]:
        """Return the listener for events that are posted."""
        http = self._settings.http
        return [Listener("http.port", http.bind, http.port)] if self._settings.events == "http" else []

    def check_for_nodes(self) -> None:
        """Raise ConfigurationError if ChirpStack would post to one node alone (bindings.contract.ChecksForNodes)."""
        http = self._settings.http
        if self._settings.events == "http" and not (http.public_url and http.path):
            raise ConfigurationError(
                "http: on several nodes, set public_url to the URL of a load balancer that leads to all of them, and "
                "path: ChirpStack posts to one URL, the same for all nodes"
            )

    def explain_settings(self) -> list[str]:
        """Return for how long devices' repeats are recognised."""
        usual = on_layers([self._settings.downlinks.f_port])
        return [*(f"downlinks.f_port: {one}" for one in usual), explanation(self._settings.downlinks.exchange_span)]

    def explain_options(self, options: Mapping[str, str]) -> list[str]:
        """Return what should be known about FPorts that ChirpStack may use itself."""
        wanted = read_options(options)
        return on_layers([*wanted.server_ports, wanted.f_port])

    def check_options(self, options: Mapping[str, str]) -> None:
        """Raise ConfigurationError for an unknown option, or one with an unreadable key."""
        envelope = read_options(options).app_s_key
        try:
            if envelope is not None:
                self._keks.unwrap(envelope)
        except KeyUnavailable as error:
            raise ConfigurationError(f"app_s_key: {error}") from None

    @classmethod
    def device_settings(cls) -> type[DeviceSettings]:
        """Return the settings type of a new device."""
        return DeviceSettings

    async def make_device(self, device: str, name: str, settings: DeviceSettings) -> DeviceMade:
        """Create a device in the network server, with profile and keys or session; a second time changes nothing.

        Raises ConfigurationError, BindingError.
        """
        configured = self._settings.application_id
        given = {**msgspec.structs.asdict(settings), "name": name, "device": canonical_device(device)}
        kek = given.pop("kek")
        wanted = read_wanted_device({**given, "application_id": settings.application_id or configured})
        options: dict[str, str] = {}
        if kek:
            wanted, options = self._kept_back(wanted, kek)
        async with self._any_provider() as provider:
            made = await provider.make_device(wanted)
        advice = () if configured else (f'put application_id = "{made.application_id}" into [networks.{self.name}]',)
        return DeviceMade(tuple(made.changes), made.application_id, advice, options)

    def _kept_back(self, wanted: WantedDevice, kek: str) -> tuple[WantedDevice, dict[str, str]]:
        """Return a device without the AppSKey for the network server, and options with the key.

        Raises ConfigurationError.
        """
        session = wanted.activation
        if not isinstance(session, Abp):
            raise ConfigurationError(
                "kek is for ABP only: the AppSKey of a device that joins is wrapped by the Join Server"
            )
        try:
            envelope = self._keks.wrap(kek, bytes.fromhex(session.app_s_key))
        except KeyUnavailable as error:
            raise ConfigurationError(f"kek: {error}") from None
        return replace(wanted, activation=replace(session, app_s_key=ZEROS.hex())), {"app_s_key": str(envelope)}

    async def network_devices(self) -> list[NetworkDevice]:
        """Return every device of the application. Raises ConfigurationError, BindingError."""
        async with self._any_provider() as provider:
            return [NetworkDevice(device, name) for device, name in await provider.devices()]

    async def set_integration(self, scope: str = "") -> bool:
        """Let the network server send an application's events to the bridge; return whether that was new.

        `scope`: the application's id, if the settings name none. Raises BindingError.
        """
        if not self._calls.open:
            raise BindingError(f"network {self.name} is not running")
        return await self.provider.set_integration(scope)

    async def check(self) -> list[Finding]:
        """Check the network server's set-up, and change nothing there; also before the start."""
        async with self._any_provider() as provider:
            findings = await provider.check(self._ports_of)
        if self._calls.open and provider.up:
            try:
                findings += await self._device_checks.check()
            except CallFailed as error:
                findings.append(Finding("devices", Grade.UNCHECKED, str(error)))
        return findings

    @property
    def up(self) -> bool | None:
        """Return whether the network's API answered the latest call; None before the first one."""
        return self.provider.up

    def counters(self) -> Mapping[str, str]:
        """Return the help text of each counter of the binding."""
        return COUNTERS

    def status(self) -> Mapping[str, Any]:
        """Return reachability, version, queues and events, as JSON values."""
        report = {"provider": self._settings.provider, "running": self._calls.open, **self.provider.status()}
        if self._calls.open:
            ahead = self._clock.ahead(self._events.now()) if self._events is not None else None
            report |= {
                "queued": self._outstanding.count,
                "catch_up": self._catch_up.status(),
                "devices": self._device_checks.status(),
                "clock_ahead": None if ahead is None else round(ahead, 1) + 0.0,  # never -0.0
            }
        return report

    async def _ports_of(self, device: str) -> tuple[int, ...]:
        """Return the FPorts of a device's LwM2M messages; before the start those of its endpoint are not known."""
        record = await self._records.get(device) if self._calls.open else None
        return (record or DeviceNote()).ports(self._settings.downlinks.f_port)

    @contextlib.asynccontextmanager
    async def _any_provider(self) -> AsyncIterator[Provider]:
        """Yield the running provider, or a temporary one."""
        if self._calls.open:
            yield self.provider
            return
        provider = self._provider_of(self._settings)
        await provider.open()
        try:
            yield provider
        finally:
            await provider.close()
