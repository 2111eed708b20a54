"""A network server of a few lines: enough to talk to emulated devices, frame by frame, in virtual time."""

import itertools
import random
from collections import defaultdict, deque
from dataclasses import dataclass, field, replace

from mock_network.lorawan import crypto, frames
from mock_network.lorawan.air import Air
from mock_network.lorawan.crypto import SessionKeys
from mock_network.lorawan.device_config import DeviceConfig, Otaa, parse_device
from mock_network.lorawan.frames import Data, FType, JoinAccept, JoinRequest, MicInputs
from mock_network.lorawan.gateway import GatewayConfig
from mock_network.lorawan.radio import Delay, DownlinkFrame, DownlinkItem, Immediately, LoRa, TxAck, UplinkFrame
from mock_network.lorawan.regions import EU868, EU868_CF_LIST, Region, pack_cf_list

GATEWAY = "0016c001ff10a235"
SECOND_GATEWAY = "0016c001ff10a236"
DEV_EUI = "70b3d57ed0000001"
APP_KEY = "0102030405060708090a0b0c0d0e0f10"
NWK_KEY = "100f0e0d0c0b0a090807060504030201"
START = 1_800_000_000.0


def device_config(**changes: object) -> DeviceConfig:
    """Return an OTAA 1.0.3 class A device without duty cycle."""
    return parse_device({"dev_eui": DEV_EUI, "app_key": APP_KEY, "duty_cycle": False, **changes})


@dataclass
class Peer:
    """What the server knows of one device."""

    otaa: Otaa
    dev_addr: int = 0
    keys: SessionKeys | None = None
    v1_1: bool = False
    f_cnt_up: int | None = None
    n_f_cnt_down: int = 0
    a_f_cnt_down: int = 0
    confirmed_down: int = 0
    to_send: deque[Data] = field(default_factory=deque)


class SmallServer:
    """Accepts joins, verifies uplinks, answers with what waits in `Peer.to_send`; acknowledges when `acks` is on."""

    def __init__(self, region: Region = EU868) -> None:
        self.region = region
        self.air: Air = None  # type: ignore[assignment]  # set by `world`
        self.heard: list[UplinkFrame] = []
        self.uplinks: list[Data] = []
        self.tx_acks: list[TxAck] = []
        self.peers: dict[str, Peer] = {}
        self.accepts_joins = True
        self.acks = True
        self.rx1_delay = 1
        self.rx2_only = False
        self.join_nonces = itertools.count(1)
        self.downlink_ids = itertools.count(1)
        self.dev_nonces: dict[str, list[int]] = defaultdict(list)
        self._seen: set[tuple[float, bytes]] = set()

    def uplink(self, frame: UplinkFrame) -> None:
        self.heard.append(frame)
        key = (frame.received_at, frame.phy_payload)
        if key in self._seen:
            return
        self._seen.add(key)
        if frames.frame_type(frame.phy_payload) is FType.JOIN_REQUEST:
            self.join(frame)
        else:
            self.data(frame)

    def tx_ack(self, ack: TxAck) -> None:
        self.tx_acks.append(ack)

    def join(self, frame: UplinkFrame) -> None:
        request = frames.parse_join_request(frame.phy_payload)
        name = request.dev_eui.hex()
        self.dev_nonces[name].append(request.dev_nonce)
        if not self.accepts_joins or name not in self.peers:
            return
        peer = self.peers[name]
        root = peer.otaa.nwk_key or peer.otaa.app_key
        frames.open_join_request(frame.phy_payload, root)
        join_nonce = next(self.join_nonces)
        accept = JoinAccept(
            join_nonce=join_nonce,
            net_id=0,
            dev_addr=0x01000000 + join_nonce,
            rx_delay=self.rx1_delay,
            rx2_data_rate=self.region.rx2_data_rate,
            opt_neg=peer.otaa.nwk_key is not None,
            cf_list=pack_cf_list(EU868_CF_LIST) if self.region.dynamic else b"",
        )
        self.activate(peer, accept, request)
        self.send(frame, frames.seal_join_accept(accept, request, root), 5)

    def activate(self, peer: Peer, accept: JoinAccept, request: JoinRequest) -> None:
        peer.dev_addr, peer.v1_1, peer.f_cnt_up = accept.dev_addr, accept.opt_neg, None
        peer.n_f_cnt_down = peer.a_f_cnt_down = 0
        if accept.opt_neg:
            peer.keys = crypto.session_keys_1_1(
                peer.otaa.nwk_key or b"",
                peer.otaa.app_key,
                join_nonce=accept.join_nonce,
                join_eui=request.join_eui,
                dev_nonce=request.dev_nonce,
            )
        else:
            peer.keys = crypto.session_keys_1_0(
                peer.otaa.app_key, join_nonce=accept.join_nonce, net_id=accept.net_id, dev_nonce=request.dev_nonce
            )

    def data(self, frame: UplinkFrame) -> None:
        parsed = frames.parse_data(frame.phy_payload)
        peer = next(p for p in self.peers.values() if p.dev_addr == parsed.dev_addr)
        assert peer.keys is not None
        index = self.region.index(frame.data_rate, uplink=True)
        channels = [c.frequency for c in self.region.channels] + list(EU868_CF_LIST)
        mic = MicInputs(peer.confirmed_down, index or 0, channels.index(frame.frequency))
        f_cnt = frames.full_f_cnt(parsed.f_cnt, peer.f_cnt_up)
        uplink = frames.open_data(frame.phy_payload, f_cnt, peer.keys, v1_1=peer.v1_1, mic=mic)
        self.uplinks.append(uplink)
        peer.f_cnt_up = f_cnt
        if peer.to_send:
            answer = replace(peer.to_send.popleft(), ack=uplink.confirmed and self.acks)
        elif uplink.confirmed and self.acks:
            answer = Data(uplink=False, dev_addr=0, f_cnt=0, ack=True)
        else:
            return
        self.send(frame, self.seal(peer, answer), self.rx1_delay)

    def seal(self, peer: Peer, answer: Data) -> bytes:
        """Put counter and address into a downlink and seal it."""
        application = peer.v1_1 and bool(answer.f_port)
        f_cnt = peer.a_f_cnt_down if application else peer.n_f_cnt_down
        if application:
            peer.a_f_cnt_down += 1
        else:
            peer.n_f_cnt_down += 1
        if answer.confirmed:
            peer.confirmed_down = f_cnt
        answer = replace(answer, uplink=False, dev_addr=peer.dev_addr, f_cnt=f_cnt)
        assert peer.keys is not None
        return frames.seal_data(answer, peer.keys, v1_1=peer.v1_1, mic=MicInputs(peer.f_cnt_up or 0))

    def send(self, frame: UplinkFrame, phy_payload: bytes, delay: float) -> None:
        index = self.region.index(frame.data_rate, uplink=True)
        assert index is not None
        channels = [c.frequency for c in self.region.channels]
        channel = channels.index(frame.frequency) if frame.frequency in channels else 0
        frequency, rate = self.region.rx1(channel, frame.frequency, index, 0)
        rx1 = DownlinkItem(phy_payload, frequency, self.region.data_rates[rate], Delay(delay), 14, frame.context)
        rx2 = DownlinkItem(
            phy_payload,
            self.region.rx2_frequency,
            self.region.data_rates[self.region.rx2_data_rate],
            Delay(delay + 1),
            14,
            frame.context,
        )
        items = (rx2,) if self.rx2_only else (rx1, rx2)
        self.air.downlink(DownlinkFrame(next(self.downlink_ids), frame.gateway_id, items))

    def send_now(self, peer: Peer, answer: Data) -> None:
        """Class C: at once, with RX2's parameters."""
        rx2 = DownlinkItem(self.seal(peer, answer), 869_525_000, LoRa(12, 125_000), Immediately())
        self.air.downlink(DownlinkFrame(next(self.downlink_ids), GATEWAY, (rx2,)))


def down(payload: bytes = b"", f_port: int | None = None, **changes: object) -> Data:
    """Return a downlink for `Peer.to_send`."""
    frame = Data(uplink=False, dev_addr=0, f_cnt=0, f_port=f_port, frm_payload=payload)
    return replace(frame, **changes)  # type: ignore[arg-type]


@dataclass
class World:
    """Air, server and what reached the modems."""

    air: Air
    server: SmallServer
    delivered: list[tuple[str, bytes]]

    def run(self, seconds: float) -> None:
        self.air.advance(self.air.now + seconds)

    def peer(self, dev_eui: str = DEV_EUI) -> Peer:
        return self.server.peers[dev_eui]


def world(*configs: DeviceConfig, gateways: tuple[str, ...] = (GATEWAY,), seed: int = 1) -> World:
    """Build devices, gateways and a server that knows the devices."""
    region = configs[0].region if configs else EU868
    server = SmallServer(region)
    delivered: list[tuple[str, bytes]] = []
    air = Air(random.Random(seed), START, server, lambda name, payload, _: delivered.append((name, payload)))
    server.air = air
    for gateway_id in gateways:
        air.add_gateway(GatewayConfig(gateway_id, region))
    for config in configs:
        if isinstance(config.activation, Otaa):
            server.peers[config.dev_eui] = Peer(config.activation)
        air.add_device(config)
    return World(air, server, delivered)
