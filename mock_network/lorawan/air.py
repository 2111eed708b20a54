"""The air between devices and gateways: a discrete-event simulation. No I/O; time and randomness are passed in.

The owner calls `advance` when `next_at` is due, and before anything else it does here. The air gives a network server
(`radio.NetworkServer`) and a callable that takes the payloads of downlinks to a device.
"""

import heapq
import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from mock_network.lorawan.air_log import AirLog
from mock_network.lorawan.coap_poll import CoapPoll
from mock_network.lorawan.device import Device
from mock_network.lorawan.device_config import DeviceConfig
from mock_network.lorawan.gateway import Gateway, GatewayConfig, Scheduled
from mock_network.lorawan.memory import DeviceMemory
from mock_network.lorawan.radio import DownlinkFrame, NetworkServer, TxAck, UplinkFrame
from mock_network.lorawan.transmission import Transmission, Window

FADING = 2.0  # dB, standard deviation of RSSI and SNR about their means


@dataclass(slots=True)
class Link:
    """How one gateway and one device hear each other; changed at run time."""

    rssi: int = -90  # dBm
    snr: float = 8.0  # dB
    uplink_loss: float = 0.0  # probability 0..1
    downlink_loss: float = 0.0


class Air:
    """Devices, gateways and what passes between them. Every gateway hears every device unless `unlink` says not."""

    def __init__(
        self,
        rng: random.Random,
        now: float,
        server: NetworkServer,
        deliver: Callable[[str, bytes, int], None],
    ) -> None:
        self.now = now
        self.log = AirLog()
        self.devices: dict[str, Device] = {}
        self.gateways: dict[str, Gateway] = {}
        self.unknown_gateway = 0  # commands for a gateway that is not here
        self._links: dict[tuple[str, str], Link | None] = {}
        self._polls: dict[str, CoapPoll] = {}
        self._rng = rng
        self._server = server
        self._deliver = deliver
        self._order = itertools.count()
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._wakes: dict[str, float] = {}

    # Population

    def add_gateway(self, config: GatewayConfig) -> Gateway:
        """Add a gateway, or replace the one with this id."""
        gateway = Gateway(config, random.Random(self._rng.random()), self.now)
        self.gateways[config.gateway_id] = gateway
        return gateway

    def add_device(self, config: DeviceConfig, memory: DeviceMemory | None = None) -> Device:
        """Switch a device on, or replace the one with this DevEUI; it begins to join at once."""
        device = Device(config, random.Random(self._rng.random()), self.log, memory)
        self.devices[config.dev_eui] = device
        if config.poll_interval is not None:
            poll = CoapPoll(self._rng.randrange(1 << 16), confirmable=config.poll_confirmable)
            self._polls[config.dev_eui] = poll
            self._at(self.now + config.poll_interval, partial(self._poll, device, poll, config.poll_interval))
        self._touch(device)
        return device

    def remove_device(self, dev_eui: str) -> None:
        """Switch a device off. Raises KeyError."""
        del self.devices[dev_eui]
        self._polls.pop(dev_eui, None)
        self._wakes.pop(dev_eui, None)

    def link(self, dev_eui: str, gateway_id: str) -> Link:
        """Return the link of a device and a gateway, to read or to change; created again after `unlink`."""
        found = self._links.get((dev_eui, gateway_id))
        if found is None:
            found = self._links[dev_eui, gateway_id] = Link()
        return found

    def unlink(self, dev_eui: str, gateway_id: str) -> None:
        """Remove a device from a gateway's reach."""
        self._links[dev_eui, gateway_id] = None

    def _reach(self, dev_eui: str, gateway_id: str) -> Link | None:
        return self._links.get((dev_eui, gateway_id), _PLAIN)

    # Time

    def next_at(self) -> float | None:
        """Return when `advance` must be called."""
        return self._events[0][0] if self._events else None

    def advance(self, now: float) -> None:
        """Let everything happen that is due until `now`, each at its own time."""
        while self._events and self._events[0][0] <= now:
            at, _, event = heapq.heappop(self._events)
            self.now = max(self.now, at)
            event()
        self.now = max(self.now, now)

    def _at(self, when: float, event: Callable[[], None]) -> None:
        heapq.heappush(self._events, (max(when, self.now), next(self._order), event))

    # Devices

    def send(
        self, dev_eui: str, payload: bytes, *, confirmed: bool | None = None, f_port: int | None = None
    ) -> str | None:
        """Queue an uplink. None: accepted; else why it was dropped. Raises KeyError for an unknown device."""
        device = self.devices[dev_eui]
        why = device.send(payload, self.now, confirmed=confirmed, f_port=f_port)
        self._touch(device)
        return why

    def change(self, dev_eui: str, change: Callable[[Device, float], None]) -> None:
        """Do something to a device (`Device.rejoin`, `Device.poll`, ...) and see what follows. Raises KeyError."""
        device = self.devices[dev_eui]
        change(device, self.now)
        self._touch(device)

    def _touch(self, device: Device) -> None:
        """Set the device's wake-up time."""
        due = device.wake_at()
        name = device.config.dev_eui
        if due is None:
            self._wakes.pop(name, None)
            return
        due = max(due, self.now)
        if self._wakes.get(name) != due:
            self._wakes[name] = due
            self._at(due, partial(self._wake, device, due))

    def _wake(self, device: Device, due: float) -> None:
        name = device.config.dev_eui
        if self._wakes.get(name) != due or self.devices.get(name) is not device:
            return  # its time changed meanwhile, or it was removed
        del self._wakes[name]
        tx = device.wake(self.now)
        if tx is not None:
            self._at(tx.end, partial(self._uplink_over, device, tx))
        self._touch(device)

    def _poll(self, device: Device, poll: CoapPoll, interval: float) -> None:
        if self.devices.get(device.config.dev_eui) is not device:
            return
        if device.joined:
            device.send(poll.message(), self.now)
            self._touch(device)
        self._at(self.now + interval, partial(self._poll, device, poll, interval))

    # Up

    def _uplink_over(self, device: Device, tx: Transmission) -> None:
        for gateway_id, gateway in self.gateways.items():
            link = self._reach(device.config.dev_eui, gateway_id)
            if link is None or not gateway.hears(tx) or self._rng.random() < link.uplink_loss:
                continue
            rssi = round(self._rng.gauss(link.rssi, FADING))
            snr = round(self._rng.gauss(link.snr, FADING), 1)
            frame = gateway.receive(tx, rssi=rssi, snr=snr)
            self._at(self.now + gateway.config.latency, partial(self._forward, gateway, frame))

    def _forward(self, gateway: Gateway, frame: UplinkFrame) -> None:
        if not gateway.faults.offline:
            self._server.uplink(frame)

    # Down

    def downlink(self, frame: DownlinkFrame) -> None:
        """Take a command of the network server, at the time of the last `advance`."""
        gateway = self.gateways.get(frame.gateway_id)
        if gateway is None:
            self.unknown_gateway += 1
            return
        self._at(self.now + gateway.config.latency + gateway.faults.late, partial(self._command, gateway, frame))

    def _command(self, gateway: Gateway, frame: DownlinkFrame) -> None:
        if gateway.faults.offline:
            return
        ack, scheduled = gateway.command(frame, self.now)
        if scheduled is not None:
            self._at(scheduled.start, partial(self._downlink_begins, gateway, scheduled))
        if self._rng.random() >= gateway.faults.lost_tx_ack:
            self._at(self.now + gateway.config.latency, partial(self._acknowledge, gateway, ack))

    def _acknowledge(self, gateway: Gateway, ack: TxAck) -> None:
        if not gateway.faults.offline:
            self._server.tx_ack(ack)

    def _downlink_begins(self, gateway: Gateway, scheduled: Scheduled) -> None:
        if gateway.faults.offline:
            return
        item = scheduled.item
        for name, device in self.devices.items():
            if self._reach(name, gateway.config.gateway_id) is None:
                continue
            window = device.listening(item.frequency, item.data_rate, scheduled.start)
            if window is None:
                continue
            # First the frame, then the end of the window, which is at the same time.
            self._at(scheduled.end, partial(self._downlink_over, gateway, scheduled, device, window))
            device.begin_reception(scheduled.end)
            self._touch(device)

    def _downlink_over(self, gateway: Gateway, scheduled: Scheduled, device: Device, window: Window) -> None:
        name = device.config.dev_eui
        link = self._reach(name, gateway.config.gateway_id)
        if link is None or self.devices.get(name) is not device:
            return
        if self._rng.random() < link.downlink_loss:
            device.missed(window, self.now)
        else:
            snr = self._rng.gauss(link.snr, FADING)
            heard = device.heard(scheduled.item.phy_payload, window, snr, self.now)
            poll = self._polls.get(name)
            if heard is not None and not (poll is not None and poll.is_answer(heard.payload)):
                self._deliver(name, heard.payload, heard.f_port)
        self._touch(device)


_PLAIN = Link()
