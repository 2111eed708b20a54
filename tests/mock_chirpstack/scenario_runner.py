"""Runs the scripted scenarios against a network server: an emulated one in virtual time, or a live one.

The live one may be a real ChirpStack v4: devices and gateways are played over its gateway MQTT topics, queues are
filled over gRPC, events are read from its MQTT integration. Events of one step may come in any order; what a step does
not name must not happen.
"""

import asyncio
import contextlib
import json
import os
import secrets
import subprocess
import tomllib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Protocol

from chirpstack_api import api, gw
from mock_chirpstack_kit import GATEWAYS, SF_OF_DR, MqttClient, Node, Stubs, World, listening, provision
from paho.mqtt.client import topic_matches_sub

from mock_network.chirpstack.values import timestamp

SCENARIOS = Path(__file__).parent / "scenarios"
KINDS = {"up", "join", "ack", "txack", "log"}
QUIET = 0.7  # seconds without anything more, after which a live step is over
PATIENCE = 8.0  # seconds for what a live step expects


class Backend(Protocol):
    """What a scenario needs of a server: `events` and `frames` grow as things happen."""

    events: list[tuple[str, dict[str, Any]]]
    frames: list[gw.DownlinkFrame]
    node: Node

    async def hear(self, phy_payload: bytes, gateways: list[dict[str, Any]], dr: int) -> None: ...
    async def enqueue(self, data: bytes, f_port: int, *, confirmed: bool, expires_in: float | None) -> str: ...
    async def queue(self) -> list[str]: ...
    async def wait(self, seconds: float) -> None: ...
    async def settle(self, events: int, frames: int) -> None: ...
    async def restart(self) -> None: ...


class VirtualBackend:
    """An emulated server in virtual time."""

    def __init__(self, profile: dict[str, Any]) -> None:
        self._world = World(profile=profile)
        self.events, self.frames, self.node = self._world.events, self._world.frames, self._world.node

    async def hear(self, phy_payload: bytes, gateways: list[dict[str, Any]], dr: int) -> None:
        for gateway in gateways:
            number = gateway["number"]
            self._world.hear(phy_payload, GATEWAYS[number], dr=dr, snr=gateway["snr"])

    async def enqueue(self, data: bytes, f_port: int, *, confirmed: bool, expires_in: float | None) -> str:
        expires_at = None if expires_in is None else self._world.now + expires_in
        return str(self._world.enqueue(data, f_port, confirmed=confirmed, expires_at=expires_at))

    async def queue(self) -> list[str]:
        return [str(item.id) for item in self._world.queue]

    async def wait(self, seconds: float) -> None:
        self._world.run(seconds)

    async def settle(self, events: int, frames: int) -> None:
        del events, frames
        self._world.run(1)

    async def restart(self) -> None:
        self._world.server.restart(self._world.now)


class LiveBackend:
    """A server behind gRPC and a broker. `restart_command` restarts it; without one, that scenario cannot run."""

    def __init__(self, stubs: Stubs, mqtt: MqttClient, dev_eui: str, prefix: str, restart_command: str | None) -> None:
        self._stubs, self._mqtt, self._prefix, self._restart = stubs, mqtt, prefix, restart_command
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.frames: list[gw.DownlinkFrame] = []
        self.node = Node(dev_eui=dev_eui)
        self._gateways = [secrets.token_hex(8) for _ in GATEWAYS]
        self._uplink_id = 0
        mqtt.client.on_message = lambda _c, _u, message: self._message(message.topic, message.payload)

    def _message(self, topic: str, payload: bytes) -> None:
        if topic_matches_sub(f"{self._prefix}/gateway/+/command/down", topic):
            frame = gw.DownlinkFrame.FromString(payload)
            if frame.gateway_id not in self._gateways:
                return
            ack = gw.DownlinkTxAck(gateway_id=frame.gateway_id, downlink_id=frame.downlink_id)
            ack.items.add(status=gw.OK)
            self._mqtt.client.publish(f"{self._prefix}/gateway/{frame.gateway_id}/event/ack", ack.SerializeToString())
            frame.gateway_id = GATEWAYS[self._gateways.index(frame.gateway_id)]
            self.frames.append(frame)
        elif topic_matches_sub(f"application/+/device/{self.node.dev_eui}/event/+", topic):
            kind = topic.rpartition("/")[2]
            if kind in KINDS:
                self.events.append((kind, json.loads(payload)))

    async def hear(self, phy_payload: bytes, gateways: list[dict[str, Any]], dr: int) -> None:
        for gateway in gateways:
            number = gateway["number"]
            lora = gw.LoraModulationInfo(bandwidth=125_000, spreading_factor=SF_OF_DR[dr], code_rate=gw.CR_4_5)
            self._uplink_id += 1
            gateway_id = self._gateways[number]
            frame = gw.UplinkFrame(
                phy_payload=phy_payload,
                tx_info=gw.UplinkTxInfo(frequency=868_100_000, modulation=gw.Modulation(lora=lora)),
                rx_info=gw.UplinkRxInfo(
                    gateway_id=gateway_id,
                    uplink_id=self._uplink_id,
                    rssi=-90,
                    snr=gateway["snr"],
                    context=bytes(4),
                    crc_status=gw.CRC_OK,
                ),
            )
            topic = f"{self._prefix}/gateway/{gateway_id}/event/up"
            self._mqtt.client.publish(topic, frame.SerializeToString(), qos=1)

    async def enqueue(self, data: bytes, f_port: int, *, confirmed: bool, expires_in: float | None) -> str:
        item = api.DeviceQueueItem(dev_eui=self.node.dev_eui, f_port=f_port, data=data, confirmed=confirmed)
        if expires_in is not None:
            item.expires_at.GetCurrentTime()
            item.expires_at.CopyFrom(timestamp(item.expires_at.ToNanoseconds() / 1e9 + expires_in))
        request = api.EnqueueDeviceQueueItemRequest(queue_item=item)
        return str((await self._stubs.device.Enqueue(request, metadata=self._stubs.auth)).id)

    async def queue(self) -> list[str]:
        request = api.GetDeviceQueueItemsRequest(dev_eui=self.node.dev_eui)
        answer = await self._stubs.device.GetQueue(request, metadata=self._stubs.auth)
        return [item.id for item in answer.result]

    async def wait(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def settle(self, events: int, frames: int) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                while len(self.events) < events or len(self.frames) < frames:
                    await asyncio.sleep(0.02)
        await asyncio.sleep(QUIET)

    async def restart(self) -> None:
        await asyncio.to_thread(subprocess.run, self._restart, shell=True, check=True)


@contextlib.asynccontextmanager
async def live(
    profile: dict[str, Any],
    *,
    grpc: str,
    token: str,
    mqtt: str,
    prefix: str = "eu868",
    restart_command: str | None = None,
) -> AsyncIterator[LiveBackend]:
    """Provision a fresh device on a live server and play its gateways; nothing of it stays there."""
    stubs = Stubs(grpc, token)
    try:
        dev_eui = secrets.token_hex(8)
        device = await provision(stubs, dev_eui, **profile)
        try:
            async with listening(mqtt, "#") as client:
                yield LiveBackend(stubs, client, dev_eui, prefix, restart_command)
        finally:
            made = await stubs.application.Get(
                api.GetApplicationRequest(id=device.application_id), metadata=stubs.auth, wait_for_ready=True
            )
            tenant = api.DeleteTenantRequest(id=made.application.tenant_id)
            await stubs.tenant.Delete(tenant, metadata=stubs.auth)
    finally:
        await stubs.channel.close()


def from_environment() -> dict[str, str] | None:
    """Return where a real server is: CHIRPSTACK_GRPC, CHIRPSTACK_MQTT (host:port each), CHIRPSTACK_TOKEN; else None."""
    if not os.environ.get("CHIRPSTACK_GRPC"):
        return None
    found = {
        "grpc": os.environ["CHIRPSTACK_GRPC"],
        "mqtt": os.environ["CHIRPSTACK_MQTT"],
        "token": os.environ["CHIRPSTACK_TOKEN"],
        "prefix": os.environ.get("CHIRPSTACK_TOPIC_PREFIX", "eu868"),
    }
    restart = os.environ.get("CHIRPSTACK_RESTART")
    return found | ({"restart_command": restart} if restart else {})


def load(name: str) -> dict[str, Any]:
    """Read a scenario."""
    return tomllib.loads((SCENARIOS / f"{name}.toml").read_text())


async def run(scenario: dict[str, Any], backend: Backend, record: list[Any] | None = None) -> None:
    """Play a scenario; AssertionError tells where the server behaves otherwise.

    `record` gets one entry for each event: the number of its step, its kind, and its body as it was published.
    """
    refs: dict[str, str] = {}
    last = b""
    for number, step in enumerate(scenario["steps"], 1):
        where = f"step {number} ({step['do']})"
        backend.events.clear()
        backend.frames.clear()
        gateways = step.get("gateways", [{"number": 0, "snr": 5.0}])
        dr = step.get("dr", 5)
        if step["do"] == "join":
            await backend.hear(backend.node.join_request(), gateways, dr)
        elif step["do"] == "uplink":
            payload = bytes.fromhex(step.get("data", ""))
            bits = {"ack": step.get("ack", False), "confirmed": step.get("confirmed", False)}
            last = backend.node.up(payload, step.get("f_port"), dr=dr, **bits)
            await backend.hear(last, gateways, dr)
        elif step["do"] == "repeat":
            await backend.hear(last, gateways, dr)
        elif step["do"] == "enqueue":
            data = bytes(step["size"]) if "size" in step else bytes.fromhex(step["data"])
            refs[step["ref"]] = await backend.enqueue(
                data, step["f_port"], confirmed=step.get("confirmed", False), expires_in=step.get("expires_in")
            )
        elif step["do"] == "wait":
            await backend.wait(step["seconds"])
        elif step["do"] == "restart":
            await backend.restart()
        else:
            raise AssertionError(f"{where}: unknown step")
        await backend.settle(len(step.get("events", [])), len(step.get("downlinks", [])))
        if record is not None:
            record += [[number, kind, body] for kind, body in backend.events]
        _check_downlinks(where, step.get("downlinks", []), list(backend.frames), backend.node)
        _check_events(where, step.get("events", []), list(backend.events), refs)
        if "queue" in step:
            assert await backend.queue() == [refs[ref] for ref in step["queue"]], f"{where}: the queue"


def _field(body: dict[str, Any], path: str) -> Any:
    value: Any = body
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _check_events(
    where: str, wanted: list[dict[str, Any]], seen: list[tuple[str, dict[str, Any]]], refs: dict[str, str]
) -> None:
    left = list(seen)
    for expected in wanted:
        fields = {key: value for key, value in expected.items() if key not in ("type", "receptions")}
        fields = {key: refs[value[1:]] if str(value).startswith("$") else value for key, value in fields.items()}

        def fits(entry: tuple[str, dict[str, Any]], expected=expected, fields=fields) -> bool:
            kind, body = entry
            if kind != expected["type"] or len(body.get("rxInfo", [])) != expected.get(
                "receptions", len(body.get("rxInfo", []))
            ):
                return False
            return all(_field(body, key) == value for key, value in fields.items())

        found = next((entry for entry in left if fits(entry)), None)
        assert found, f"{where}: no event like {expected}; there were {left}"
        left.remove(found)
    assert not left, f"{where}: events nobody expected: {left}"


def _check_downlinks(where: str, wanted: list[dict[str, Any]], seen: list[gw.DownlinkFrame], node: Node) -> None:
    assert len(seen) == len(wanted), f"{where}: {len(seen)} downlinks instead of {len(wanted)}"
    for expected, frame in zip(wanted, seen, strict=True):
        first = frame.items[0]
        if "gateway" in expected:
            assert frame.gateway_id == GATEWAYS[expected["gateway"]], f"{where}: the gateway"
        if "timing" in expected:
            assert first.tx_info.timing.WhichOneof("parameters") == expected["timing"], f"{where}: the timing"
        if expected["kind"] == "join accept":
            node.joined(first.phy_payload)
            continue
        data = node.down(first.phy_payload)
        actual = {
            "ack": data.ack,
            "confirmed": data.confirmed,
            "f_pending": data.f_pending,
            "f_cnt": data.f_cnt,
            "f_port": -1 if data.f_port is None else data.f_port,
            "data": data.frm_payload.hex(),
        }
        for key in actual.keys() & expected.keys():
            assert actual[key] == expected[key], f"{where}: {key} of the downlink is {actual[key]}"
