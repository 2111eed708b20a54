"""Gateways over a real MQTT broker: ChirpStack v4's topics, protobuf and JSON."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import paho.mqtt.client as paho
import pytest
from chirpstack_api import gw
from google.protobuf.json_format import MessageToJson, Parse
from lorawan_small_server import APP_KEY, DEV_EUI, GATEWAY, NWK_KEY, SECOND_GATEWAY

from mock_network.lab import Broker as MqttBroker, free_port
from mock_network.lorawan import frames
from mock_network.lorawan.air_log import AirEventKind
from mock_network.lorawan.crypto import SessionKeys
from mock_network.lorawan.device_config import parse_device
from mock_network.lorawan.frames import Data
from mock_network.lorawan.gateway import GatewayConfig
from mock_network.lorawan.gateway_mqtt import Broker
from mock_network.lorawan.lorawan_service import LorawanService, Options
from mock_network.lorawan.radio_process import RadioProcess
from tests.waiting import until

KEYS = SessionKeys.of_1_0(bytes.fromhex(NWK_KEY), bytes.fromhex(APP_KEY))
DEV_ADDR = 0x01020304
ABP = {
    "dev_eui": DEV_EUI,
    "dev_addr": "01020304",
    "nwk_s_key": NWK_KEY,
    "app_s_key": APP_KEY,
    "duty_cycle": False,
}


class Listener:
    """The network server's side of the broker, as bytes."""

    def __init__(self, port: int) -> None:
        self.messages: list[tuple[str, bytes, bool]] = []
        self.ready = False
        self.client = paho.Client(paho.CallbackAPIVersion.VERSION2)
        self.client.on_message = lambda _c, _d, m: self.messages.append((m.topic, m.payload, m.retain))
        self.client.on_subscribe = lambda *_: setattr(self, "ready", True)
        self.client.on_connect = lambda client, *_: client.subscribe("eu868/#")
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()

    def of(self, path: str, gateway_id: str = GATEWAY) -> list[bytes]:
        return [payload for topic, payload, _ in self.messages if topic == f"eu868/gateway/{gateway_id}/{path}"]

    def command(self, kind: str, payload: bytes) -> None:
        self.client.publish(f"eu868/gateway/{GATEWAY}/command/{kind}", payload)

    def stop(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


@asynccontextmanager
async def running(port: int, *, as_json: bool = False, gateways: tuple[str, ...] = (GATEWAY,)) -> AsyncIterator[Any]:
    options = Options(
        broker=Broker(port=port, as_json=as_json),
        gateways=tuple(GatewayConfig(g) for g in gateways),
        devices=((parse_device(ABP), 0),),
    )
    listener = Listener(port)
    service = LorawanService(options)
    try:
        await until(lambda: listener.ready)
        await service.start()
        yield service, listener
    finally:
        await service.stop()
        listener.stop()


def decode(message: Any, payload: bytes, *, as_json: bool) -> Any:
    assert (b"gatewayId" in payload) is as_json  # how ChirpStack tells them apart
    if as_json:
        return Parse(payload, message)
    message.ParseFromString(payload)
    return message


def client_socket() -> socket.socket:
    found = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    found.bind(("127.0.0.1", 0))
    found.setblocking(False)
    return found


def downlink(up: gw.UplinkFrame, payload: bytes, *, delay: int = 1, f_cnt: int = 0) -> gw.DownlinkFrame:
    sealed = frames.seal_data(
        Data(uplink=False, dev_addr=DEV_ADDR, f_cnt=f_cnt, f_port=10, frm_payload=payload), KEYS, v1_1=False
    )
    frame = gw.DownlinkFrame(downlink_id=77, gateway_id=up.rx_info.gateway_id)
    item = frame.items.add(phy_payload=sealed)
    item.tx_info.frequency = up.tx_info.frequency
    item.tx_info.power = 14
    item.tx_info.modulation.CopyFrom(up.tx_info.modulation)
    item.tx_info.modulation.lora.polarization_inversion = True
    item.tx_info.timing.delay.delay.FromSeconds(delay)
    item.tx_info.context = up.rx_info.context
    return frame


@pytest.mark.parametrize("as_json", [False, True])
async def test_a_datagram_goes_up_as_a_frame_and_the_answer_comes_down_as_one(
    broker: MqttBroker, as_json: bool
) -> None:
    loop = asyncio.get_running_loop()
    async with running(broker.port, as_json=as_json) as (service, listener):
        with client_socket() as client:
            await loop.sock_sendto(client, b"up", service.radio.modem.address(DEV_EUI))
            (payload,) = await until(lambda: listener.of("event/up"))
            up = decode(gw.UplinkFrame(), payload, as_json=as_json)
            assert up.rx_info.gateway_id == GATEWAY
            assert up.rx_info.crc_status == gw.CRC_OK
            assert up.tx_info.modulation.lora.spreading_factor == 7
            assert up.tx_info.modulation.lora.bandwidth == 125_000
            assert up.tx_info.modulation.lora.code_rate == gw.CR_4_5
            assert frames.open_data(up.phy_payload, 0, KEYS, v1_1=False).frm_payload == b"up"

            command = downlink(up, b"down")
            listener.command("down", MessageToJson(command).encode() if as_json else command.SerializeToString())
            (payload,) = await until(lambda: listener.of("event/ack"))
            ack = decode(gw.DownlinkTxAck(), payload, as_json=as_json)
            assert (ack.gateway_id, ack.downlink_id) == (GATEWAY, 77)
            assert [item.status for item in ack.items] == [gw.OK]
            async with asyncio.timeout(5):
                assert await loop.sock_recv(client, 100) == b"down"


async def test_a_command_that_comes_too_late_is_told_so(broker: MqttBroker) -> None:
    async with running(broker.port) as (service, listener):
        await service.radio.act(DEV_EUI, "send", {"payload": "aa"})
        (payload,) = await until(lambda: listener.of("event/up"))
        up = decode(gw.UplinkFrame(), payload, as_json=False)
        service.radio.air.gateways[GATEWAY].faults.late = 1.5
        listener.command("down", downlink(up, b"late").SerializeToString())
        (payload,) = await until(lambda: listener.of("event/ack"))
        assert [item.status for item in gw.DownlinkTxAck.FromString(payload).items] == [gw.TOO_LATE]
        assert service.radio.air.log.of(DEV_EUI, AirEventKind.RECEIVED) == []


@pytest.mark.parametrize(
    ("kind", "payload"),
    [
        ("down", b"\xff\xff\xff"),
        ("down", b"{not json"),
        ("down", b""),
        ("down", gw.DownlinkFrame(downlink_id=1, gateway_id=SECOND_GATEWAY).SerializeToString()),
        ("down", gw.DownlinkFrame(downlink_id=1, gateway_id=GATEWAY).SerializeToString()),
        ("down", gw.DownlinkFrame(gateway_id=GATEWAY, items=[gw.DownlinkFrameItem()]).SerializeToString()),
        ("config", b"\xff\xff"),
        ("reboot", b""),
    ],
)
async def test_a_bad_command_is_counted_and_the_gateway_lives(broker: MqttBroker, kind: str, payload: bytes) -> None:
    async with running(broker.port) as (service, listener):
        listener.command(kind, payload)
        await until(lambda: service.gateways[GATEWAY].counts["bad"] == 1)
        await service.radio.act(DEV_EUI, "send", {"payload": "aa"})
        await until(lambda: listener.of("event/up"))


async def test_two_gateways_publish_one_frame_each_on_their_own_topic(broker: MqttBroker) -> None:
    async with running(broker.port, gateways=(GATEWAY, SECOND_GATEWAY)) as (service, listener):
        await service.radio.act(DEV_EUI, "link", {"gateway_id": SECOND_GATEWAY, "rssi": -118, "snr": -5})
        await service.radio.act(DEV_EUI, "send", {"payload": "aa"})
        ups = [
            gw.UplinkFrame.FromString((await until(lambda g=g: listener.of("event/up", g)))[0])
            for g in (GATEWAY, SECOND_GATEWAY)
        ]
        assert ups[0].phy_payload == ups[1].phy_payload
        assert ups[0].tx_info == ups[1].tx_info  # the key of deduplication
        assert ups[0].rx_info.rssi > ups[1].rx_info.rssi + 10


async def test_a_configuration_sets_channels_and_the_interval_of_statistics(broker: MqttBroker) -> None:
    async with running(broker.port) as (service, listener):
        configuration = gw.GatewayConfiguration(gateway_id=GATEWAY, version="v7")
        configuration.channels.add(frequency=868_800_000)
        configuration.stats_interval.FromMilliseconds(50)
        listener.command("config", configuration.SerializeToString())
        payload = (await until(lambda: [s for s in listener.of("event/stats") if b"v7" in s]))[0]
        assert gw.GatewayStats.FromString(payload).gateway_id == GATEWAY
        await service.radio.act(DEV_EUI, "send", {"payload": "aa"})
        await until(lambda: service.radio.air.log.of(DEV_EUI, AirEventKind.SENT))
        await asyncio.sleep(0.2)
        assert listener.of("event/up") == []  # the device's channels are others


async def test_connection_state_is_retained_and_goes_offline(broker: MqttBroker) -> None:
    async with running(broker.port) as (service, listener):
        await until(lambda: listener.of("state/conn"))
        assert gw.ConnState.FromString(listener.of("state/conn")[0]).state == gw.ConnState.ONLINE
        await service.gateways.stop()
        await until(lambda: len(listener.of("state/conn")) > 1)
        assert gw.ConnState.FromString(listener.of("state/conn")[-1]).state == gw.ConnState.OFFLINE


async def test_a_gateway_comes_back_with_the_broker(broker: MqttBroker) -> None:
    async with running(broker.port) as (service, listener):
        await until(lambda: listener.of("state/conn"))
        await asyncio.to_thread(broker.stop)
        await service.radio.act(DEV_EUI, "send", {"payload": "aa"})  # lost, as with real gateways
        await asyncio.to_thread(broker.start)
        async with asyncio.timeout(15):
            while not service.gateways[GATEWAY].counts["bad"]:  # until it is subscribed again
                listener.command("down", b"\xff\xff\xff")
                await asyncio.sleep(0.1)
        await service.radio.act(DEV_EUI, "send", {"payload": "bb"})
        heard = await until(lambda: listener.of("event/up"))
        up = gw.UplinkFrame.FromString(heard[-1])
        assert frames.open_data(up.phy_payload, 1, KEYS, v1_1=False).frm_payload == b"\xbb"


async def test_without_a_broker_the_start_fails_with_a_clear_error() -> None:
    service = LorawanService(Options(broker=Broker(port=free_port()), gateways=(GatewayConfig(GATEWAY),)))
    with pytest.raises(OSError, match="refused"):
        await service.start()
    await service.stop()


async def test_devices_keep_nonces_and_counters_in_a_file(tmp_path: Any) -> None:
    class Silent:
        def uplink(self, frame: object) -> None: ...
        def tx_ack(self, ack: object) -> None: ...

    path = tmp_path / "memory.json"
    for expected in (1, 2):
        radio = RadioProcess(Silent(), memory=path)
        radio.add_gateway(GatewayConfig(GATEWAY))
        await radio.add_device(parse_device(ABP))
        await radio.act(DEV_EUI, "send", {"payload": "aa"})
        await until(lambda radio=radio: radio.air.log.of(DEV_EUI, AirEventKind.SENT))
        assert radio.state(DEV_EUI)["f_cnt_up"] == expected
        await radio.stop()
    assert path.stat().st_mode & 0o077 == 0
