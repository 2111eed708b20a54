"""A network server in virtual time with a hand-driven LoRaWAN device: every frame is made and read in the test."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import grpc
import paho.mqtt.client as paho
from chirpstack_api import api, common, gw, integration
from paho.mqtt.enums import CallbackAPIVersion

from mock_network.chirpstack import device_queue
from mock_network.chirpstack.context import Event, Send, Warn
from mock_network.chirpstack.faults import make_faults
from mock_network.chirpstack.messages import to_dict
from mock_network.chirpstack.model import Device, QueueItem, Settings
from mock_network.chirpstack.network import NetworkServer
from mock_network.faults import Fault
from mock_network.lorawan.crypto import SessionKeys, session_keys_1_0, session_keys_1_1
from mock_network.lorawan.frames import (
    Data,
    FrameError,
    JoinRequest,
    MicInputs,
    open_data,
    open_join_accept,
    seal_data,
    seal_join_request,
)
from tests.waiting import until

START = 1_800_000_000.0
DEV_EUI = "70b3d57ed0000001"
JOIN_EUI = "0102030405060708"
NWK_KEY = bytes(range(16))
APP_KEY = bytes(range(16, 32))
GATEWAYS = ("00000000000000a1", "00000000000000a2")
TOKEN = "secret"
SF_OF_DR = {0: 12, 1: 11, 2: 10, 3: 9, 4: 8, 5: 7}


@dataclass
class Node:
    """A LoRaWAN device without radio: it seals uplinks and opens downlinks."""

    v1_1: bool = False
    dev_eui: str = DEV_EUI
    keys: SessionKeys | None = None
    dev_addr: int = 0
    f_cnt_up: int = 0
    f_cnt_down: int = 0
    dev_nonce: int = 0
    conf_f_cnt: int = 0
    request: JoinRequest | None = None

    def join_request(self) -> bytes:
        self.dev_nonce += 1
        self.request = JoinRequest(bytes.fromhex(JOIN_EUI), bytes.fromhex(self.dev_eui), self.dev_nonce)
        return seal_join_request(self.request, NWK_KEY)

    def joined(self, phy_payload: bytes) -> None:
        accept = open_join_accept(phy_payload, self.request, NWK_KEY)
        if accept.opt_neg:
            self.keys = session_keys_1_1(
                NWK_KEY, APP_KEY, join_nonce=accept.join_nonce, join_eui=self.request.join_eui, dev_nonce=self.dev_nonce
            )
        else:
            self.keys = session_keys_1_0(
                NWK_KEY, join_nonce=accept.join_nonce, net_id=accept.net_id, dev_nonce=self.dev_nonce
            )
        self.dev_addr, self.f_cnt_up, self.f_cnt_down = accept.dev_addr, 0, 0

    def up(self, payload: bytes = b"", f_port: int | None = None, *, dr: int = 5, **bits: Any) -> bytes:
        frame = Data(
            uplink=True, dev_addr=self.dev_addr, f_cnt=self.f_cnt_up, f_port=f_port, frm_payload=payload, **bits
        )
        self.f_cnt_up += 1
        mic = MicInputs(conf_f_cnt=self.conf_f_cnt, data_rate=dr, channel=0)
        return seal_data(frame, self.keys, v1_1=self.v1_1, mic=mic)

    def down(self, phy_payload: bytes) -> Data:
        for counter in range(self.f_cnt_down, self.f_cnt_down + 50):
            try:
                mic = MicInputs(conf_f_cnt=max(self.f_cnt_up - 1, 0))
                return open_data(phy_payload, counter, self.keys, v1_1=self.v1_1, mic=mic)
            except FrameError:
                continue
        raise AssertionError("no counter opens this downlink")


@dataclass
class World:
    """The server, one provisioned device and a gateway that answers each command with `answer` at once."""

    profile: dict[str, Any] = field(default_factory=dict)
    settings: Settings = field(default_factory=Settings)
    seed: int = 1
    answer: str | None = "OK"
    now: float = START
    events: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    frames: list[gw.DownlinkFrame] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.server = NetworkServer(self.settings, seed=self.seed, now=self.now, faults=make_faults(self.seed))
        tables = self.server.context.tables
        self.tenant = tables.tenants.create(api.Tenant(name="t", can_have_gateways=True), self.now)
        self.application = tables.applications.create(
            api.Application(name="a", tenant_id=str(self.tenant.id), tags={"from": "application"}), self.now
        )
        values = {"supports_otaa": True, "mac_version": common.LORAWAN_1_0_3, "region": common.EU868} | self.profile
        self.device_profile = tables.profiles.create(
            api.DeviceProfile(name="p", tenant_id=str(self.tenant.id), **values), self.now
        )
        message = api.Device(
            dev_eui=DEV_EUI,
            name="d",
            application_id=str(self.application.id),
            device_profile_id=str(self.device_profile.id),
            join_eui=JOIN_EUI,
        )
        self.device: Device = tables.devices.create(message, self.now)
        keys = api.DeviceKeys(dev_eui=DEV_EUI, nwk_key=NWK_KEY.hex(), app_key=APP_KEY.hex())
        tables.create_keys(keys, self.now)
        self.node = Node(v1_1=values["mac_version"] == common.LORAWAN_1_1_0)
        self._uplink_ids = itertools.count(1)

    @property
    def queue(self) -> list[QueueItem]:
        return device_queue.items(self.server.context.tables, self.device.dev_eui)

    def fault(self, kind: str, *, count: int | None = None, **params: Any) -> None:
        self.server.context.faults.add(Fault(kind, count=count, params=params))

    def run(self, seconds: float = 1.0) -> None:
        """Let virtual time pass, step by step, with the gateway answering."""
        end = self.now + seconds
        while True:
            self._carry_out()
            due = self.server.next_due()
            if due is None or due > end:
                break
            self.now = max(self.now, due)
            self.server.advance(self.now)
        self.now = end
        self.server.advance(end)
        self._carry_out()

    def _carry_out(self) -> None:
        while effects := self.server.drain():
            for effect in effects:
                if isinstance(effect, Event):
                    self.events.append((effect.kind, to_dict(effect.message)))
                    assert effect.kind in {"up", "join", "ack", "txack", "log", "status"}
                elif isinstance(effect, Send):
                    self.frames.append(effect.frame)
                    self.times.append(self.now)
                    if self.answer:
                        self.tx_ack(effect.frame, self.answer)
                elif isinstance(effect, Warn):
                    self.warnings.append(effect.text)

    def tx_ack(self, frame: gw.DownlinkFrame, *statuses: str) -> None:
        items = [gw.DownlinkTxAckItem(status=gw.TxAckStatus.Value(status)) for status in statuses]
        ack = gw.DownlinkTxAck(gateway_id=frame.gateway_id, downlink_id=frame.downlink_id, items=items)
        self.server.tx_ack(ack, self.now)

    def hear(
        self, phy_payload: bytes, *gateways: str, dr: int = 5, frequency: int = 868_100_000, snr: float = -3.0
    ) -> None:
        """Let gateways hear a frame now."""
        for gateway_id in gateways or GATEWAYS[:1]:
            lora = gw.LoraModulationInfo(bandwidth=125_000, spreading_factor=SF_OF_DR[dr], code_rate=gw.CR_4_5)
            frame = gw.UplinkFrame(
                phy_payload=phy_payload,
                tx_info=gw.UplinkTxInfo(frequency=frequency, modulation=gw.Modulation(lora=lora)),
                rx_info=gw.UplinkRxInfo(
                    gateway_id=gateway_id,
                    uplink_id=next(self._uplink_ids),
                    rssi=-90,
                    snr=snr,
                    context=gateway_id.encode(),
                    crc_status=gw.CRC_OK,
                ),
            )
            self.server.uplink(frame, self.now)

    def join(self) -> None:
        self.hear(self.node.join_request())
        self.run(1)
        self.node.joined(self.frames[-1].items[0].phy_payload)
        self.forget()

    def forget(self) -> None:
        """Look only at what comes from now on."""
        self.events.clear()
        self.frames.clear()
        self.times.clear()
        self.warnings.clear()

    def up(self, payload: bytes = b"", f_port: int | None = None, *, seconds: float = 1.0, **values: Any) -> None:
        """Send an uplink and let a second pass."""
        dr = values.pop("dr", 5)
        self.hear(self.node.up(payload, f_port, dr=dr, **values), dr=dr)
        self.run(seconds)

    def enqueue(self, data: bytes = b"hello", f_port: int = 10, **values: Any) -> UUID:
        item = device_queue.enqueue(
            self.server.context.tables,
            identifier=None,
            dev_eui=self.device.dev_eui,
            f_port=f_port,
            data=data,
            now=self.now,
            **({"confirmed": False} | values),
        )
        self.server.enqueued(self.device.dev_eui)
        self.now += 0.001
        return item.id

    def command(self, **values: Any) -> None:
        command = integration.DownlinkCommand(dev_eui=DEV_EUI, f_port=10, data=b"cmd")
        for name, value in values.items():
            setattr(command, name, value)
        self.server.command_down(str(self.application.id), command, self.now)

    def bodies(self, kind: str) -> list[dict[str, Any]]:
        return [body for seen, body in self.events if seen == kind]

    def only(self, kind: str) -> dict[str, Any]:
        (body,) = self.bodies(kind)
        return body

    def kinds(self) -> list[str]:
        return sorted(kind for kind, _ in self.events)

    def sent(self) -> Data:
        (frame,) = self.frames
        return self.node.down(frame.items[0].phy_payload)


class Stubs:
    """The real stubs on one channel, with the token."""

    def __init__(self, address: str, token: str = TOKEN) -> None:
        self.channel = grpc.aio.insecure_channel(address)
        self.auth = (("authorization", f"Bearer {token}"),)
        self.device = api.DeviceServiceStub(self.channel)
        self.tenant = api.TenantServiceStub(self.channel)
        self.application = api.ApplicationServiceStub(self.channel)
        self.profile = api.DeviceProfileServiceStub(self.channel)
        self.gateway = api.GatewayServiceStub(self.channel)
        self.internal = api.InternalServiceStub(self.channel)


async def provision(stubs: Stubs, dev_eui: str = DEV_EUI, **profile: Any) -> api.Device:
    """Make a tenant, an application, a profile and one device with keys over gRPC."""
    tenant = await stubs.tenant.Create(
        api.CreateTenantRequest(tenant=api.Tenant(name="t", can_have_gateways=True)), metadata=stubs.auth
    )
    application = await stubs.application.Create(
        api.CreateApplicationRequest(application=api.Application(name="a", tenant_id=tenant.id)), metadata=stubs.auth
    )
    values = {"supports_otaa": True, "mac_version": common.LORAWAN_1_0_3} | profile
    made = await stubs.profile.Create(
        api.CreateDeviceProfileRequest(
            device_profile=api.DeviceProfile(name="p", tenant_id=tenant.id, region=common.EU868, **values)
        ),
        metadata=stubs.auth,
    )
    device = api.Device(dev_eui=dev_eui, name="d", application_id=application.id, device_profile_id=made.id)
    await stubs.device.Create(api.CreateDeviceRequest(device=device), metadata=stubs.auth)
    keys = api.DeviceKeys(dev_eui=dev_eui, nwk_key=NWK_KEY.hex(), app_key=APP_KEY.hex())
    await stubs.device.CreateKeys(api.CreateDeviceKeysRequest(device_keys=keys), metadata=stubs.auth)
    return device


class MqttClient:
    """A plain MQTT client that keeps what it hears."""

    def __init__(self, broker: str, topic: str) -> None:
        host, port = broker.split(":")
        self.messages: list[tuple[str, bytes]] = []
        self.ready = False
        self._topic = topic
        self.client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
        self.client.on_connect = lambda client, *_: client.subscribe(self._topic, qos=1)
        self.client.on_subscribe = lambda *_: setattr(self, "ready", True)
        self.client.on_message = lambda _c, _u, message: self.messages.append((message.topic, message.payload))
        self.client.connect(host, int(port))
        self.client.loop_start()

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


@contextlib.asynccontextmanager
async def listening(broker: str, topic: str) -> AsyncIterator[MqttClient]:
    client = await asyncio.to_thread(MqttClient, broker, topic)
    try:
        await until(lambda: client.ready)
        yield client
    finally:
        await asyncio.to_thread(client.close)
