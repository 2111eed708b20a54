"""Emulated devices and gateways under the emulated ChirpStack: in one process, and over a real broker."""

import asyncio
import socket
from typing import Any

import grpc
import pytest
from chirpstack_api import api, common
from lorawan_small_server import APP_KEY, DEV_EUI, GATEWAY, NWK_KEY, SECOND_GATEWAY

from mock_network.chirpstack.mqtt import BrokerAddress
from mock_network.chirpstack.service import ChirpStack, Options as ChirpStackOptions
from mock_network.clock import ClockThread, clock_loop_factory
from mock_network.lab import Broker as MqttBroker
from mock_network.lorawan.air_log import AirEventKind
from mock_network.lorawan.device_config import parse_device
from mock_network.lorawan.gateway import GatewayConfig
from mock_network.lorawan.gateway_mqtt import Broker
from mock_network.lorawan.lorawan_service import LorawanService, Options
from mock_network.lorawan.radio_process import RadioProcess
from tests.waiting import until

AUTH = (("authorization", "Bearer emulated"),)
RATE = 4.0  # virtual seconds per second: a join takes five
VERSIONS = {"1.0.3": common.LORAWAN_1_0_3, "1.1.0": common.LORAWAN_1_1_0}


async def provision(channel: grpc.aio.Channel, mac_version: str, **profile: Any) -> None:
    """Tenant, application, profile, device, keys: the order that docs/real-chirpstack.md gives."""
    tenant = await api.TenantServiceStub(channel).Create(
        api.CreateTenantRequest(tenant=api.Tenant(name="t")), metadata=AUTH
    )
    application = await api.ApplicationServiceStub(channel).Create(
        api.CreateApplicationRequest(application=api.Application(name="a", tenant_id=tenant.id)), metadata=AUTH
    )
    made = await api.DeviceProfileServiceStub(channel).Create(
        api.CreateDeviceProfileRequest(
            device_profile=api.DeviceProfile(
                name="p",
                tenant_id=tenant.id,
                region=common.EU868,
                mac_version=VERSIONS[mac_version],
                supports_otaa=True,
                **profile,
            )
        ),
        metadata=AUTH,
    )
    devices = api.DeviceServiceStub(channel)
    device = api.Device(dev_eui=DEV_EUI, name="d", application_id=application.id, device_profile_id=made.id)
    await devices.Create(api.CreateDeviceRequest(device=device), metadata=AUTH)
    nwk_key = NWK_KEY if mac_version == "1.1.0" else APP_KEY  # 1.0.x: the AppKey goes there
    keys = api.DeviceKeys(dev_eui=DEV_EUI, nwk_key=nwk_key, app_key=APP_KEY)
    await devices.CreateKeys(api.CreateDeviceKeysRequest(device_keys=keys), metadata=AUTH)


async def enqueue(channel: grpc.aio.Channel, data: bytes, *, confirmed: bool = False) -> None:
    item = api.DeviceQueueItem(dev_eui=DEV_EUI, f_port=10, data=data, confirmed=confirmed)
    await api.DeviceServiceStub(channel).Enqueue(api.EnqueueDeviceQueueItemRequest(queue_item=item), metadata=AUTH)


async def queued(channel: grpc.aio.Channel) -> int:
    request = api.GetDeviceQueueItemsRequest(dev_eui=DEV_EUI)
    return int((await api.DeviceServiceStub(channel).GetQueue(request, metadata=AUTH)).total_count)


def device(mac_version: str, **changes: object) -> dict[str, Any]:
    body: dict[str, Any] = {"dev_eui": DEV_EUI, "app_key": APP_KEY, "mac_version": mac_version, "duty_cycle": False}
    if mac_version == "1.1.0":
        body["nwk_key"] = NWK_KEY
    return {**body, **changes}


async def exchange(radio: RadioProcess, channel: grpc.aio.Channel) -> None:
    """Join, send, and get an unconfirmed and a confirmed downlink through the modem's port."""
    await until(lambda: radio.air.log.of(DEV_EUI, AirEventKind.JOINED), wait=60)
    await enqueue(channel, b"plain")
    await enqueue(channel, b"sure", confirmed=True)
    loop = asyncio.get_running_loop()
    address = radio.modem.address(DEV_EUI)
    assert address is not None
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.bind(("127.0.0.1", 0))
        client.setblocking(False)
        await loop.sock_sendto(client, b"up", address)
        async with asyncio.timeout(60):
            assert await loop.sock_recv(client, 300) == b"plain"
            assert await loop.sock_recv(client, 300) == b"sure"  # fetched by an empty uplink, for FPending
    await until(lambda: [e for e in radio.air.log.of(DEV_EUI, AirEventKind.SENT) if e.ack], wait=60)
    async with asyncio.timeout(30):
        while await queued(channel):
            await asyncio.sleep(0.1)
    assert radio.air.log.of(DEV_EUI, AirEventKind.REJECTED, AirEventKind.DUPLICATE) == []


@pytest.mark.parametrize(("mac_version", "device_class"), [("1.0.3", "A"), ("1.1.0", "A"), ("1.0.3", "C")])
def test_in_one_process(mac_version: str, device_class: str) -> None:
    async def main() -> None:
        server = ChirpStack(ChirpStackOptions())
        await server.start()
        radio = RadioProcess(server.radio)
        server.radio.radio_side = radio
        try:
            async with grpc.aio.insecure_channel(server.grpc_address) as channel:
                await provision(channel, mac_version, supports_class_c=device_class == "C", class_c_timeout=10)
                radio.add_gateway(GatewayConfig(GATEWAY))
                radio.add_gateway(GatewayConfig(SECOND_GATEWAY))
                await radio.add_device(parse_device(device(mac_version, device_class=device_class)))
                await exchange(radio, channel)
        finally:
            await radio.stop()
            await server.stop()

    with ClockThread(rate=RATE) as clock, asyncio.Runner(loop_factory=clock_loop_factory(clock.url)) as runner:
        runner.run(main())


@pytest.mark.parametrize("as_json", [False, True])
def test_over_a_real_broker(broker: MqttBroker, as_json: bool) -> None:
    async def main() -> None:
        server = ChirpStack(ChirpStackOptions(gateway_mqtt=BrokerAddress("127.0.0.1", broker.port)))
        await server.start()
        service = LorawanService(
            Options(
                broker=Broker(port=broker.port, as_json=as_json),
                gateways=(GatewayConfig(GATEWAY), GatewayConfig(SECOND_GATEWAY)),
                devices=((parse_device(device("1.0.3")), 0),),
            )
        )
        try:
            async with grpc.aio.insecure_channel(server.grpc_address) as channel:
                await provision(channel, "1.0.3")
                await service.start()
                await exchange(service.radio, channel)
        finally:
            await service.stop()
            await server.stop()

    with ClockThread(rate=RATE) as clock, asyncio.Runner(loop_factory=clock_loop_factory(clock.url)) as runner:
        runner.run(main())
