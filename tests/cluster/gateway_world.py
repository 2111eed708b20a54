"""Nodes on a ChirpStack that is a server of its own, real or emulated, with LoRaWAN devices on gateways over MQTT.

The devices and gateways are those of `mock lorawan`, down to encrypted frames; all that reaches the server goes through
its broker, and all that it publishes is kept here. The nodes share a subscription at that broker.
"""

import asyncio
import base64
import contextlib
import json
import os
import secrets
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
from chirpstack_api import api, common

from mock_network.lab import Api, LabProcess
from tests.cluster.nodes import Cluster
from tests.mock_chirpstack.mock_chirpstack_kit import MqttClient, listening
from tests.store.stores import postgres_server
from tests.waiting import until

DEVICES = 6
RX1_DELAY = 3  # seconds from an uplink until a device listens; it listens again one second later
WINDOWS = RX1_DELAY + 2.0  # seconds from an uplink until both windows have ended
GATEWAYS = ("0016c001ff10a235", "0016c001ff10a236")  # two: a gateway that transmits hears nothing
EVERY_UPLINK = b"\xb2dp\xff"  # Uri-Path dp, and the payload marker: a LwM2M Send
AT_ITS_END = ("SENT", "DELIVERED", "RESPONDED", "UNANSWERED", "UNKNOWN")
NEVER_SENT = ("EXPIRED", "CANCELLED", "FAILED", "lost")


@dataclass(frozen=True)
class Where:
    """A ChirpStack: HOST:PORT of its API and of its broker, a key for its API, and the region's topic prefix."""

    grpc: str
    mqtt: str
    token: str
    prefix: str = "eu868"

    @property
    def auth(self) -> tuple[tuple[str, str]]:
        """Return the metadata of a call."""
        return (("authorization", f"Bearer {self.token}"),)


def from_environment() -> Where | None:
    """Return where a real server is, by the variables of `tests/mock_chirpstack/scenario_runner.py`; else None."""
    if not os.environ.get("CHIRPSTACK_GRPC"):
        return None
    given = (os.environ[name] for name in ("CHIRPSTACK_GRPC", "CHIRPSTACK_MQTT", "CHIRPSTACK_TOKEN"))
    return Where(*given, os.environ.get("CHIRPSTACK_TOPIC_PREFIX", "eu868"))


@dataclass
class GatewayWorld:
    """`l0` to `l5` are the endpoints."""

    cluster: Cluster
    radio: Api
    heard: MqttClient  # everything that the broker has passed on
    where: Where
    euis: list[str]
    said: list[str] = field(default_factory=list)  # payloads of the devices' Sends

    async def rounds(self, *numbers: int) -> None:
        """In each round have an Execute accepted for each device, and let it send."""
        for number in numbers:
            for n in range(DEVICES):
                await self.cluster.execute(f"l{n}")
                await self.send(n, number)
                await asyncio.sleep(0.5)  # or the gateways have more to transmit in one window than they can
            await asyncio.sleep(WINDOWS)

    async def send(self, n: int, number: int) -> None:
        """Let a device send a LwM2M Send, which is a NON."""
        said = f"l{n}.{number}."
        head = b"\x52\x02\x00" + bytes([number, 7, number])
        await self._act(self.euis[n], "send", payload=(head + EVERY_UPLINK + said.encode()).hex())
        self.said.append(said)

    async def _act(self, eui: str, action: str, **body: Any) -> None:
        await self.radio.post(f"/devices/{eui}/{action}", body)

    def published(self) -> list[str]:
        """Return the payloads of Sends that ChirpStack has published."""
        found = []
        for topic, body in self.heard.messages:
            if topic.endswith("/event/up") and any(f"/device/{eui}/" in topic for eui in self.euis):
                data = base64.b64decode(json.loads(body).get("data") or "")
                if EVERY_UPLINK in data:
                    found.append(data.rpartition(b"\xff")[2].decode())
        return found

    def taken(self) -> list[str]:
        """Return the payloads of the Sends in the ledger."""
        found = self.cluster.rows("SELECT body FROM uplink WHERE operation = 'Send' ORDER BY id")
        return [bytes(body).rpartition(b"\xff")[2].decode(errors="replace") for (body,) in found]

    async def all_taken(self, wait: float = 60.0) -> None:
        """Wait until the ledger has exactly the Sends that ChirpStack has published, each once."""
        published = self.published()
        assert len(published) > len(self.said) * 0.7, f"the test shows little: {len(published)} of {len(self.said)}"
        assert len(published) == len(set(published)), "ChirpStack has published an uplink twice"
        await until(
            lambda: set(self.taken()) >= set(published), wait, every=0.2,
            why=f"not all are taken: {set(published) - set(self.taken())}",
        )  # fmt: skip
        await until(lambda: not self.cluster.rows("SELECT id FROM inbox"), wait, why="what was taken stays", every=0.2)
        assert sorted(self.taken()) == sorted(published), "each once"

    async def all_ended(self, wait: float = 180.0) -> None:
        """Let devices open their windows until every Execute that was accepted is at its end."""
        end = time.monotonic() + wait
        while not set(self.states().values()) <= {*AT_ITS_END, *NEVER_SENT}:
            assert time.monotonic() < end, self.states()
            for eui in self.euis:
                await self._act(eui, "poll")
                await asyncio.sleep(0.5)
            await asyncio.sleep(WINDOWS)

    def states(self) -> dict[str, str]:
        """Return the state of each accepted Execute, by its argument."""
        rows = dict(self.cluster.rows("SELECT id, state FROM downlink"))
        return {one.argument: rows.get(one.id, "lost") for one in self.cluster.accepted}

    async def received(self) -> Counter[str]:
        """Return how often a device received each Execute that was accepted, by its argument, repeats of frames too."""
        air = [one for one in await self.radio.get("/air") if one["what"] in ("received", "duplicate", "missed")]
        payloads = [bytes.fromhex(one["payload"]) for one in air]
        arguments = [one.argument for one in self.cluster.accepted]
        return Counter({text: sum(text.encode() in payload for payload in payloads) for text in arguments})

    async def queue_again(self) -> None:
        """Let somebody else queue a downlink that a device has received."""
        air = await self.radio.get("/air")
        one = next(one for one in air if one["what"] == "received" and one["payload"])
        item = api.DeviceQueueItem(dev_eui=one["dev_eui"], f_port=one["f_port"], data=bytes.fromhex(one["payload"]))
        async with grpc.aio.insecure_channel(self.where.grpc) as channel:
            await api.DeviceServiceStub(channel).Enqueue(
                api.EnqueueDeviceQueueItemRequest(queue_item=item), metadata=self.where.auth
            )

        async def is_received() -> bool:
            await self._act(one["dev_eui"], "poll")
            return sum(same["payload"] == one["payload"] for same in await self.radio.get("/air")) > 1

        await until(is_received, 60, why="it is not received again", every=WINDOWS)

    async def node_took(self, node: str) -> int:
        """Return how many events a node took from the broker since it was started."""
        return int((await self.cluster.ask(node, "status"))["networks"]["lorawan"]["events"]["taken"])

    async def subscribed(self, *nodes: str) -> None:
        """Wait until these nodes are connected to the broker."""
        for node in nodes:

            async def is_connected(node: str = node) -> bool:
                status = await self.cluster.ask(node, "status")
                return bool(status["networks"]["lorawan"]["events"]["connected"])

            await until(is_connected, 30, why=f"{node} does not come to the broker")

    async def joined(self) -> None:
        """Wait until all devices have joined."""

        async def have_joined() -> bool:
            return all(one["joined"] for one in await self.radio.get("/devices"))

        await until(have_joined, 120, why="not all devices have joined", every=0.5)


@contextlib.asynccontextmanager
async def _application(where: Where, keys: dict[str, str]) -> AsyncIterator[str]:
    """Make devices by DevEUI and AppKey, with all that they need, and remove them at the end; yield the application."""
    auth = where.auth
    async with grpc.aio.insecure_channel(where.grpc) as channel:
        tenants = api.TenantServiceStub(channel)
        made = api.CreateTenantRequest(tenant=api.Tenant(name="nodes", can_have_gateways=True))
        tenant = (await tenants.Create(made, metadata=auth)).id
        try:
            application = await api.ApplicationServiceStub(channel).Create(
                api.CreateApplicationRequest(application=api.Application(name="nodes", tenant_id=tenant)),
                metadata=auth,
            )
            profile = api.DeviceProfile(
                name="nodes", tenant_id=tenant, region=common.EU868, mac_version=common.LORAWAN_1_0_3,
                reg_params_revision=common.A, supports_otaa=True, adr_algorithm_id="default", rx1_delay=RX1_DELAY,
            )  # fmt: skip
            profiles = api.DeviceProfileServiceStub(channel)
            used = await profiles.Create(api.CreateDeviceProfileRequest(device_profile=profile), metadata=auth)
            devices = api.DeviceServiceStub(channel)
            for eui, key in keys.items():
                device = api.Device(
                    dev_eui=eui, name=eui, application_id=application.id, device_profile_id=used.id, join_eui=16 * "0"
                )
                await devices.Create(api.CreateDeviceRequest(device=device), metadata=auth)
                its = api.DeviceKeys(dev_eui=eui, nwk_key=key)  # 1.0.x: the AppKey goes there
                await devices.CreateKeys(api.CreateDeviceKeysRequest(device_keys=its), metadata=auth)
            yield application.id
        finally:
            await tenants.Delete(api.DeleteTenantRequest(id=tenant), metadata=auth)


@contextlib.asynccontextmanager
async def gateway_world(folder: Path, where: Where, nodes: str = "ab") -> AsyncIterator[GatewayWorld]:
    """Start nodes, devices and gateways on a ChirpStack that runs; yield when all devices have joined."""
    keys = {secrets.token_hex(8): secrets.token_hex(16) for _ in range(DEVICES)}
    async with (
        _application(where, keys) as application,
        listening(where.mqtt, "application/#") as heard,
        Cluster(folder, postgres_server(), devices=0) as cluster,
    ):
        host, _, port = where.mqtt.rpartition(":")
        text = f"""
[networks.lorawan]
binding = "lorawan"
api = {{ server = "{where.grpc}", key = "{where.token}" }}
application_id = "{application}"
events = "mqtt"
mqtt = {{ host = "{host}", port = {port}, keepalive = 5 }}
downlinks = {{ response_timeout = 2.0, max_retransmit = 0 }}
"""
        text += "".join(
            f'[[endpoints]]\nname = "l{n}"\nnetwork = "lorawan"\naddress = "{eui}"\n' for n, eui in enumerate(keys)
        )
        cluster.more = lambda _port: text
        cluster.ttl = 600.0
        for name in nodes:
            await cluster.start(name)
            await cluster.ready(name)
        await cluster.balanced(*nodes)
        population = "".join(f'[[gateway]]\ngateway_id = "{name}"\n' for name in GATEWAYS) + "".join(
            f'[[device]]\ndev_eui = "{eui}"\napp_key = "{key}"\nduty_cycle = false\n' for eui, key in keys.items()
        )
        file = folder / "population.toml"
        file.write_text(population)
        words = ["-m", "bridge.cli", "mock", "lorawan", "--mqtt", where.mqtt, "--prefix", where.prefix]
        process = LabProcess("radio", [*words, "--population", str(file)], folder / "radio.log")
        process.start()
        try:
            radio = Api((await process.ready_line())["control"])
            try:
                world = GatewayWorld(cluster, radio, heard, where, list(keys))
                await world.subscribed(*nodes)
                await world.joined()
                yield world
            finally:
                await radio.close()
        finally:
            process.stop()
