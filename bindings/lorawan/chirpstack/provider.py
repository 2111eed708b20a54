"""ChirpStack v4 as a network server of the binding: calls over gRPC-Web or gRPC, events over HTTP or MQTT."""

import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Mapping
from contextlib import aclosing, suppress
from math import inf
from typing import Any

from chirpstack_api import api

from bindings.commits import NOTHING_TO_COMMIT
from bindings.contract import Memory, PostListener, ReadNote
from bindings.diagnosis import Finding
from bindings.generated_values import generated_value, known_path, secret_path
from bindings.lorawan.chirpstack import events, provisioning, values
from bindings.lorawan.chirpstack.client import ChirpStackClient
from bindings.lorawan.chirpstack.diagnosis import FLUSH_SPARES_PENDING, diagnose, version_of
from bindings.lorawan.chirpstack.http import HttpEvents
from bindings.lorawan.chirpstack.mqtt import MqttEvents
from bindings.lorawan.chirpstack.sessions import SessionsOfOthers, note_session
from bindings.lorawan.identity import canonical_device
from bindings.lorawan.network_events import NetworkEvent
from bindings.lorawan.notes import Profile
from bindings.lorawan.provider import DeviceSnapshot, NewItem, PortsOf, Provider, QueuedItem, ServerRecord, Sink
from bindings.lorawan.settings import LorawanSettings
from bindings.lorawan.wanted_device import ProvisioningResult, WantedDevice
from bindings.shown_calls import Seen
from bridge.errors import BindingError, CallFailed, CallTrouble, NotificationError

log = logging.getLogger(__name__)

_CLIENT_ID_KEY = "client id"
_NAME = "lwm2m-bridge-"


class ChirpStack:
    """One ChirpStack: a `bindings.lorawan.provider.Provider`."""

    def __init__(self, settings: LorawanSettings) -> None:
        """Check the settings, open nothing. Raises ConfigurationError."""
        self._settings = settings
        self.client = ChirpStackClient(settings.api)
        self.http: HttpEvents | None = None
        self.mqtt: MqttEvents | None = None
        if settings.events == "http":
            self.http = HttpEvents(settings.http, self._commit, self._count, lost=self._lost)
        else:
            self.mqtt = self._subscription()
        self._inherited: HttpEvents | None = None  # an earlier instance's listener, until `listen`
        self.version = ""
        self._sink: Sink | None = None
        self._memory: Memory | None = None  # of nodes that share a subscription
        self._regions: dict[str, api.GetRegionResponse] = {}

    @property
    def up(self) -> bool | None:
        """Return whether the last call was answered; None: no call was made."""
        return self.client.up

    @property
    def calls_seen(self) -> Seen | None:
        return self.client.seen

    @calls_seen.setter
    def calls_seen(self, seen: Seen | None) -> None:
        self.client.seen = seen

    @property
    def capacity(self) -> int:
        """Return how many calls there can be at the same time."""
        return self._settings.api.connections

    @property
    def answers_pass(self) -> bool:
        """Return whether flush_queue of Enqueue does not remove a pending item: ChirpStack 4.18 or newer."""
        return version_of(self.version) >= FLUSH_SPARES_PENDING

    # Life

    async def open(self) -> None:
        await self.client.open()

    async def inherit(self, earlier: Provider) -> None:
        if isinstance(earlier, ChirpStack) and earlier.http is not None and self.http is not None:
            await earlier.http.prepare(self.http)
            earlier.http.pause()
            self._inherited, earlier.http = earlier.http, None

    def _subscription(self, missed: Callable[[], None] | None = None) -> MqttEvents:
        settings = self._settings
        return MqttEvents(settings.mqtt, settings.application_id, self._commit, missed or self._missed, self._count)

    @property
    def posts(self) -> PostListener | None:
        return self.mqtt if self.mqtt is not None and self.mqtt.is_shared else self.http

    async def receive(self, note: ReadNote) -> bool:
        path = None if self.http is None else await known_path(note, self._settings.http.path)
        if self.http is None or path is None:
            return False
        await self.http.start(path)
        return True

    async def listen(self, sink: Sink, memory: Memory) -> None:
        self._sink = sink
        if self.http is not None:
            path = await secret_path(memory, self._settings.http.path)
            if self._inherited is None:
                await self.http.start(path)
            else:
                self._inherited.replace_with(self.http, path, self._settings.http.overlap)
                self.http, self._inherited = self._inherited, None
                self.http.proceed()
            where = self.http.address
        if self.mqtt is not None:
            await self._subscribe(self.mqtt, memory)
            where = (self._settings.mqtt.host, self._settings.mqtt.port)
        over = self._settings.events
        log.info("ChirpStack %s, events over %s at %s port %d", self._settings.api.server, over, *where)

    async def _subscribe(self, mqtt: MqttEvents, memory: Memory) -> None:
        configured = self._settings.mqtt
        name = configured.client_id or _NAME + await generated_value(memory, _CLIENT_ID_KEY)
        if not memory.is_shared:
            await mqtt.start(name)
            return
        group = configured.shared_group or _NAME + await generated_value(memory, _CLIENT_ID_KEY)
        client_id = f"{name}-{memory.node}"
        await note_session(memory, client_id, mqtt.shared_topic(group))
        self._memory = memory
        await mqtt.start(client_id, group)

    async def commit_for_others(self, alive: Callable[[], Collection[str]]) -> None:
        main = self.mqtt
        if main is None or self._memory is None:
            return

        def make() -> MqttEvents:
            one = self._subscription(lambda: None)
            one.pass_on = main.pass_on
            return one

        await SessionsOfOthers(self._memory, make, self._count).run(alive)

    async def stop_listening(self) -> None:
        if self.mqtt is not None:
            await self.mqtt.stop()
        for listener in (self.http, self._inherited):
            if listener is not None:
                await listener.stop()

    async def close(self) -> None:
        await self.client.close()

    # Events

    def _commit(self, kind: str, body: bytes, *, within: float = inf) -> Awaitable[None]:
        """Commit one event; `within`: see `bindings.lorawan.provider.Sink.take`.

        Raises, now or when awaited, NotificationError if it is not an event, or StoreUnavailable.
        """
        event = self._read(kind, body)
        if event is None or self._sink is None:
            return NOTHING_TO_COMMIT
        return self._sink.commit(event, within=within)

    def _read(self, kind: str, body: bytes) -> NetworkEvent | None:
        """Return an event, None if it belongs to another application. Raises NotificationError."""
        try:
            application, event, code = events.read(kind, body)
        except NotificationError:
            self._count("lorawan_malformed_events")
            raise
        if self._settings.application_id not in ("", application):
            self._count("lorawan_other_applications")
            log.info(
                "an event of application %s is dropped: another application is configured",
                application,
                extra={"sample": "lorawan application"},
            )
            return None
        if code:
            self._count("lorawan_log_events", code=code)
        return event

    def _lost(self, kind: str, body: bytes) -> None:
        """Tell the binding of an event that was not committed, and that ChirpStack does not post again."""
        if self._sink is None:
            return
        with suppress(NotificationError):
            application, event, _ = events.read(kind, body)
            if event is not None and self._settings.application_id in ("", application):
                self._sink.lost(event.device)

    def _missed(self) -> None:
        if self._sink is not None:
            self._sink.missed()

    def _count(self, name: str, **labels: str) -> None:
        if self._sink is not None:
            self._sink.count(name, **labels)

    # GuardedCalls

    async def ping(self) -> None:
        told = await self.client.version()
        version = told or self._settings.api.version
        if version != self.version:
            log.info("ChirpStack is version %s", version if told else f"{version}, as api.version says")
            self.version = version
            if not self.answers_pass and self._settings.downlinks.flush_for_answers:
                log.warning(
                    "ChirpStack %s cannot send an answer before a request that waits: 4.18 or newer can", version
                )

    async def enqueue(self, item: NewItem, *, passing: bool) -> str:
        return await self.client.enqueue(values.to_queue_item(item), flush=passing)

    async def next_f_cnt_down(self, device: str) -> int:
        return await self.client.next_f_cnt_down(device)

    async def queue(self, device: str) -> list[QueuedItem]:
        return [values.from_queue_item(item) for item in await self.client.queue(device)]

    async def flush(self, device: str) -> None:
        await self.client.flush(device)

    async def server_record(self, device: str) -> ServerRecord:
        return values.server_record_of(await self.client.get_device(device), self._settings.application_id)

    async def snapshot(self, device: str) -> DeviceSnapshot:
        server_record = await self.server_record(device)
        return DeviceSnapshot(server_record, values.session_of(await self.client.get_activation(device)))

    async def radio(self, profile: str, region_config: str) -> Profile:
        found = await self.client.get_profile(profile)
        region = await self._region(found.region_config_id or region_config, found.region)
        try:
            return values.profile_of(found, region)
        except ValueError as error:
            raise CallFailed(CallTrouble.INVALID, f"device profile {profile}: {error}", unsure=False) from error

    async def _region(self, identifier: str, region: int) -> api.GetRegionResponse | None:
        """Return a region's configuration; without its name, the only one of that region. None: it cannot be read."""
        try:
            if not identifier:
                named = [one.id for one in await self.client.regions() if one.region == region]
                identifier = named[0] if len(named) == 1 else ""
            if not identifier:
                return None
            if identifier not in self._regions:
                self._regions[identifier] = await self.client.get_region(identifier)
            return self._regions[identifier]
        except CallFailed as error:
            if error.out_of_reach:
                raise
            if error.trouble is not CallTrouble.DENIED:
                log.info(
                    "region %s cannot be read from ChirpStack: %s",
                    identifier,
                    error,
                    extra={"sample": "lorawan region"},
                )
            return None

    async def history(self, device: str, *, expected: bool) -> AsyncGenerator[NetworkEvent]:
        patience = self._settings.catch_up.patience
        async with aclosing(self.client.events(device, patience, expected=expected)) as items:
            async for item in items:
                try:
                    event = self._read(item.description, item.body.encode())
                except NotificationError as error:
                    log.info(
                        "an item in the history of device %s cannot be read: %s",
                        device,
                        error,
                        extra={"sample": "lorawan history"},
                    )
                    continue
                if event is not None:
                    yield event

    @property
    def why_cut_off(self) -> str:
        return (
            "a proxy before ChirpStack holds back streamed answers (of nginx: proxy_buffering), or "
            "monitoring.per_device_event_log_max_history is 0"
        )

    # For people

    def status(self) -> Mapping[str, Any]:
        over: dict[str, Any] = {"over": self._settings.events}
        if self.http is not None:
            host, port = self.http.address
            over |= {"bind": host, "port": port, "taken": self.http.taken}
        if self.mqtt is not None:
            over |= self.mqtt.status()
        return {
            "api": self._settings.api.server,
            "up": self.up,
            "version": self.version,
            "calls": self.client.calls,
            "failures": self.client.failures,
            "events": over,
        }

    async def check(self, ports_of: PortsOf) -> list[Finding]:
        ways = (self.http, self.mqtt) if self._sink is not None else (None, None)
        return await diagnose(self._settings, self.client, *ways, ports_of)

    async def make_device(self, wanted: WantedDevice) -> ProvisioningResult:
        return await provisioning.provision(self.client, wanted)

    async def devices(self) -> list[tuple[str, str]]:
        listed = await provisioning.devices_of(self.client, self._settings.application_id)
        return [(canonical_device(one.dev_eui), one.name) for one in listed]

    async def set_integration(self, application_id: str) -> bool:
        if self._sink is None or self.http is None:
            raise BindingError("events do not come over HTTP, or the network instance does not run")
        application_id = self._settings.application_id or application_id
        return await provisioning.set_integration(self.client, application_id, self.http.url)
