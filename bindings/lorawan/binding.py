"""The LoRaWAN binding: the contract of `bindings.contract` over a ChirpStack v4 network server."""

import asyncio
import contextlib
import functools
import logging
from collections.abc import AsyncIterator, Awaitable, Mapping
from dataclasses import asdict
from typing import Any

from bindings import contract
from bindings.calls import Calls
from bindings.contract import (
    Ambiguous,
    Attempt,
    Cancellation,
    Events,
    Lookup,
    Memory,
    Presence,
    Refusal,
    Refused,
    SouthProfile,
    SubmitResult,
)
from bindings.diagnosis import Finding
from bindings.lorawan.chirpstack.catch_up import CatchUp
from bindings.lorawan.chirpstack.client import ChirpStackClient
from bindings.lorawan.chirpstack.diagnosis import diagnose
from bindings.lorawan.chirpstack.downlinks import Downlinks
from bindings.lorawan.chirpstack.http import HttpEvents
from bindings.lorawan.chirpstack.mqtt import MqttEvents
from bindings.lorawan.chirpstack.profiles import Profiles
from bindings.lorawan.chirpstack.provisioning import devices_of, provision, read_wanted, set_integration
from bindings.lorawan.chirpstack.queue import Queues
from bindings.lorawan.chirpstack.uplinks import Uplinks
from bindings.lorawan.identity import canonical_device, f_port_of
from bindings.lorawan.payload_size import SETTLING_UPLINKS, Plan, max_downlink, max_uplink
from bindings.lorawan.records import Profile, Record, Records
from bindings.lorawan.settings import LorawanSettings
from bindings.made_once import made_once, secret_path
from bindings.options import number_of_bytes
from bridge.errors import BindingError, ConfigurationError, StoreUnavailable

log = logging.getLogger(__name__)

_CLIENT_ID_KEY = "client id"
_NOTHING_KNOWN = Record()
_WRITE_EVERY = 10.0  # seconds between two writings of what uplinks change in the notes
DEFAULT_LIFETIME = 2592000  # seconds; OMA LwM2M Transport 1.2.2 §6.8.4, a Register without lt


class LorawanBinding:
    """One ChirpStack. Options of an endpoint: f_port, max_payload, confirmed_operations, block2."""

    def __init__(self, name: str, settings: LorawanSettings) -> None:
        """Check the settings, open nothing. Raises ConfigurationError."""
        self.name = name
        self._settings = settings
        self._client = ChirpStackClient(settings.api)
        self._http: HttpEvents | None = None
        self._mqtt: MqttEvents | None = None
        if settings.events == "http":
            self._http = HttpEvents(settings.http, self._take, self._count)
        else:
            self._mqtt = MqttEvents(settings.mqtt, settings.application_id, self._take, self._missed, self._count)
        self._events: Events | None = None
        self._calls = Calls(name, "lorawan_internal_errors", self._count)
        self._tasks: list[asyncio.Task[None]] = []

    @classmethod
    def settings(cls) -> type[LorawanSettings]:
        """Give the type of this binding's section in the configuration."""
        return LorawanSettings

    # Life

    async def start(self, events: Events, memory: Memory) -> None:
        """Take events. ChirpStack and the broker may still be away; the binding goes on trying.

        Raises BindingError (port taken), StoreUnavailable.
        """
        self._events = events
        self._records = Records(memory)
        self._queues = Queues()
        await self._client.open()
        self._profiles = Profiles(self._client, self._records, events)
        self._downlinks = Downlinks(self._settings, self._client, self._records, self._queues, events)
        self._uplinks = Uplinks(self._settings, self._records, self._queues, self._profiles, events, self._late)
        self._catch_up = CatchUp(self._settings, self._client, self._records, self._uplinks, events)
        try:
            if self._http is not None:
                await self._http.start(await secret_path(memory, self._settings.http.path))
            if self._mqtt is not None:
                client_id = self._settings.mqtt.client_id or "lwm2m-bridge-" + await made_once(memory, _CLIENT_ID_KEY)
                await self._mqtt.start(client_id)
        except BaseException:
            await self._client.close()
            raise
        self._calls.open = True
        self._tasks = [asyncio.create_task(self._watch()), asyncio.create_task(self._write_forever())]
        where = self._http.address if self._http is not None else (self._settings.mqtt.host, self._settings.mqtt.port)
        log.info(
            "network %s: ChirpStack %s, events over %s at %s port %d",
            self.name,
            self._settings.api.server,
            self._settings.events,
            *where,
        )

    async def stop(self) -> None:
        """Take no more events, finish the calls under way."""
        if not self._calls.open:
            return
        if self._mqtt is not None:
            await self._mqtt.stop()
        if self._http is not None:
            await self._http.stop()
        self._calls.open = False
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._catch_up.stop()
        await self._profiles.stop()
        await self._calls.finish()
        await self._downlinks.stop()
        try:
            await self._records.write()
        except StoreUnavailable as error:
            log.warning("network %s: the latest counters were not kept: %s", self.name, error)
        await self._client.close()

    def _take(self, kind: str, body: bytes) -> Awaitable[None]:
        return self._uplinks.take(kind, body)

    def _missed(self) -> None:
        """Events were lost, as far as the way here can tell: ask ChirpStack for all devices."""
        if self._calls.open:
            self._catch_up.all_devices()

    def _late(self, device: str) -> None:
        """Something of ours should have left the device's queue, and no event says so."""
        self._downlinks.settle(device, self._catch_up.device)

    async def _watch(self) -> None:
        """See that ChirpStack is there; after a start and after an outage, ask for what was missed."""
        asked = False
        pause = 1.0
        while True:
            if await self._downlinks.ping():
                pause = 30.0
                if not asked:
                    asked = True
                    self._catch_up.all_devices()
                await self._profiles.refresh()
            else:
                asked = False
                pause = min(pause * 2, 30.0) if pause < 30.0 else 1.0  # noqa: PLR2004  (as above)
            await asyncio.sleep(pause)

    async def _write_forever(self) -> None:
        while True:
            await asyncio.sleep(_WRITE_EVERY)
            try:
                await self._records.write()
            except StoreUnavailable as error:
                log.warning("network %s: counters wait for the store: %s", self.name, error)

    def _count(self, name: str) -> None:
        if self._events is not None:
            self._events.count(name)

    # Devices

    def canonical_device(self, device: str) -> str:
        """Give the one spelling of a DevEUI. Raises ConfigurationError."""
        return canonical_device(device)

    async def provision(self, device: str, options: Mapping[str, str]) -> None:
        """Note the device with its options, and learn its profile soon. Devices are made by `device add`, not here.

        Raises ConfigurationError for an option that is none, StoreUnavailable.
        """
        device = canonical_device(device)
        f_port, most = 0, 0
        for name, value in options.items():
            match name:
                case "f_port":
                    f_port = f_port_of(value)
                case "max_payload":
                    most = number_of_bytes(name, value)
                case contract.BLOCK2 if value not in {"true", "false"}:
                    raise ConfigurationError(f"option block2 {value!r} must be true or false")
                case contract.CONFIRMED_OPERATIONS | contract.BLOCK2:
                    pass  # the bridge reads it
                case _:
                    raise ConfigurationError(
                        f"unknown option {name!r}: a LoRaWAN endpoint has f_port, max_payload, confirmed_operations, "
                        "block2"
                    )
        record = self._records.get(device)
        if record is None or (record.f_port, record.max_payload) != (f_port, most):
            record = record or Record()
            record.f_port, record.max_payload = f_port, most
            await self._records.put(device, record)
        if not record.profile:
            self._profiles.learn(device)

    async def deprovision(self, device: str) -> None:
        """Forget the device; it stays in ChirpStack, its queue is left to its deadlines. Raises StoreUnavailable."""
        device = canonical_device(device)
        self._queues.drop_all(device)
        await self._records.remove(device)

    # Downlinks

    @property
    def capacity(self) -> int:
        """Return how many calls to ChirpStack there are at the same time."""
        return self._settings.api.connections

    async def submit(self, attempt: Attempt) -> SubmitResult:
        """Enqueue the attempt."""
        if not self._calls.open:
            return Refused(Refusal.UNREACHABLE, "the network instance is not running")
        largest = self.south_profile(attempt.device).max_downlink
        mistake: SubmitResult = Ambiguous("a mistake in the bridge, see the log")
        return await self._calls.run(self._downlinks.submit(attempt, largest), mistake)

    async def lookup(self, attempt: Attempt) -> Lookup:
        """Find an attempt in the device's queue by FPort and bytes."""
        return await self._calls.run(self._downlinks.lookup(attempt), Lookup(Presence.FAILED))

    async def cancel(self, device: str, handle: str) -> Cancellation:
        """Take a downlink out of the device's queue, if that can be done without harm; else say what is certain."""
        return await self._calls.run(self._downlinks.cancel(device, handle), Cancellation.UNKNOWN)

    # What the core and people ask

    def south_profile(self, device: str) -> SouthProfile:
        """Give the profile of App. C, with what fits at the device's data rate now."""
        record = self._records.get(device) or _NOTHING_KNOWN
        return self._south_profile(
            self._records.profile(record.profile),
            record.device_class,
            record.dr,
            record.joined_at > 0 and record.uplinks < SETTLING_UPLINKS,
            record.max_payload,
            record.fits,
            self._client.up is not False,
        )

    @functools.lru_cache(maxsize=1024)  # noqa: B019  # one instance for each network, as long as the process
    def _south_profile(
        self,
        profile: Profile,
        device_class: str,
        dr: int,
        settling: bool,
        max_payload: int,
        told: int,
        network_up: bool,
    ) -> SouthProfile:
        numbers = self._settings.downlinks
        plan = Plan(
            region=profile.region,
            revision=profile.revision,
            rx1_dr_offset=profile.rx1_dr_offset,
            rx2_dr=profile.rx2_dr,
            ping_slot_dr=None if profile.ping_slot_dr < 0 else profile.ping_slot_dr,
            first_window=numbers.rx_window,
            repeater=numbers.repeater_compatible,
            dwell=numbers.dwell_time_400ms,
        )
        data_rate = None if dr < 0 else dr
        fits = max_downlink(plan, device_class, data_rate, settling=settling)
        return SouthProfile(
            retransmit_interval=numbers.retransmit_interval,
            max_retransmit=numbers.max_retransmit,
            retransmit_confirmed=False,
            exchange_span=numbers.exchange_span,
            response_timeout=numbers.response_timeout,
            max_attempts=numbers.max_attempts,
            empty_is_poll=True,
            quick=device_class == "C",  # it listens all the time; A and B answer in minutes
            # Class A: ChirpStack notices an expiry only at the next uplink, so it is cancelled. Else: at once.
            can_cancel=device_class == "A",
            can_expire=True,
            max_downlink=min([fits, *(most for most in (max_payload, numbers.max_payload, told) if most)]),
            max_uplink=max_uplink(plan, data_rate, settling=settling),
            default_lifetime=DEFAULT_LIFETIME,
            network_up=network_up,
        )

    async def make_device(self, device: str, wanted: Mapping[str, Any]) -> Mapping[str, Any]:
        """Make a device in ChirpStack as the fields of `Wanted`, `Otaa` and `Abp` say; works also before the start.

        Gives application_id, profile_id and what was changed, in words; doing it twice changes nothing. Raises
        ConfigurationError, BindingError.
        """
        fields = {"application_id": self._settings.application_id, **wanted, "device": canonical_device(device)}
        asked = read_wanted(fields)
        async with self._any_client() as client:
            return asdict(await provision(client, asked))

    async def network_devices(self) -> list[tuple[str, str]]:
        """Give DevEUI and name of every device of the application; works also before the start. Raises BindingError."""
        async with self._any_client() as client:
            listed = await devices_of(client, self._settings.application_id)
        return [(canonical_device(one.dev_eui), one.name) for one in listed]

    @contextlib.asynccontextmanager
    async def _any_client(self) -> AsyncIterator[ChirpStackClient]:
        """Give the running client, or one for this purpose."""
        if self._calls.open:
            yield self._client
            return
        client = ChirpStackClient(self._settings.api)
        await client.open()
        try:
            yield client
        finally:
            await client.close()

    async def set_integration(self, application_id: str = "") -> bool:
        """Have ChirpStack post the application's events here; whether that was new. Raises BindingError.

        `application_id`: which one, if the settings name none.
        """
        if not self._calls.open or self._http is None:
            raise BindingError(f"network {self.name} takes no events over HTTP, or does not run")
        application_id = self._settings.application_id or application_id
        return await set_integration(self._client, application_id, self._http.url)

    def status(self) -> Mapping[str, Any]:
        """Give reachability, version, queues and events, as plain JSON values."""
        report: dict[str, Any] = {
            "provider": "chirpstack",
            "running": self._calls.open,
            "api": self._settings.api.server,
            "up": self._client.up,
            "calls": self._client.calls,
            "failures": self._client.failures,
            "events": {"over": self._settings.events},
        }
        if self._http is not None:
            host, port = self._http.address
            report["events"] |= {"bind": host, "port": port, "taken": self._http.taken}
        if self._mqtt is not None:
            report["events"] |= self._mqtt.status()
        if self._calls.open:
            report["version"] = self._downlinks.version
            report["queued"] = self._queues.count
            report["catch_up"] = self._catch_up.status()
        return report

    async def check(self) -> list[Finding]:
        """Look for what will hurt in the ChirpStack set-up; changes nothing there. Works also before the start."""
        async with self._any_client() as client:
            ways = (self._http, self._mqtt) if self._calls.open else (None, None)
            return await diagnose(self._settings, client, *ways)

    def _now(self) -> float:
        if self._events is None:
            raise BindingError(f"network {self.name} is not started")
        return self._events.now()
