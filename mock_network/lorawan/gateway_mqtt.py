"""Emulated gateways as ChirpStack v4 sees them: over an MQTT broker, one connection each.

Topics, with `prefix/` in front where one is set: `gateway/{id}/event/{up,ack,stats}` and `gateway/{id}/state/conn` out,
`gateway/{id}/command/{down,config}` in. Messages are lost while the broker is down, as with real gateways.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.reasoncodes import ReasonCode

from mock_network.lorawan import gateway_messages as messages
from mock_network.lorawan.gateway_messages import GatewayMessageError, GatewaySettings
from mock_network.lorawan.radio import DownlinkFrame, TxAck, UplinkFrame

log = logging.getLogger(__name__)

KEEP_ALIVE = 30  # seconds
CONNECT_TIMEOUT = 10.0  # seconds
RECONNECT_DELAY = 2  # seconds at most, between attempts
DEFAULT_STATS_INTERVAL = 30.0  # seconds
SHOWN = 120  # characters of a bad message in the log


@dataclass(frozen=True, slots=True)
class Broker:
    """Where gateways connect to, and how they speak."""

    host: str = "127.0.0.1"
    port: int = 1883
    prefix: str = "eu868"  # regions.gateway.backend.mqtt.topic_prefix; empty: none
    as_json: bool = False
    username: str | None = None
    password: str | None = None
    qos: int = 0


class MqttGateway:
    """One gateway's connection. Made and used on the event loop; `start` connects."""

    def __init__(
        self,
        gateway_id: str,
        broker: Broker,
        downlink: Callable[[DownlinkFrame], None],
        configure: Callable[[str, GatewaySettings], None],
    ) -> None:
        self.gateway_id = gateway_id
        self.counts: Counter[str] = Counter()  # up, ack, down, config, bad
        self.config_version = ""
        self._broker = broker
        self._downlink = downlink
        self._configure = configure
        self._loop = asyncio.get_running_loop()
        self._settled = asyncio.Event()
        self._refused = ""
        self._reported: Counter[str] = Counter()
        client = paho.Client(CallbackAPIVersion.VERSION2, client_id=f"gateway-{gateway_id}", protocol=paho.MQTTv311)
        if broker.username is not None:
            client.username_pw_set(broker.username, broker.password)
        client.reconnect_delay_set(1, RECONNECT_DELAY)
        client.will_set(self._topic("state/conn"), self._conn(online=False), qos=broker.qos, retain=True)
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_disconnect = self._on_disconnect
        client.on_message = self._on_message
        self._client = client

    async def start(self) -> None:
        """Connect and subscribe. Raises OSError if the broker is absent or refuses us, TimeoutError if it is silent."""
        await asyncio.to_thread(self._client.connect, self._broker.host, self._broker.port, KEEP_ALIVE)
        self._client.loop_start()
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT):
                await self._settled.wait()
        except TimeoutError:
            await self._disconnect()
            raise
        if self._refused:
            await self._disconnect()
            raise OSError(f"the broker refuses gateway {self.gateway_id}: {self._refused}")

    async def stop(self) -> None:
        """Disconnect with a last message."""
        done = self._publish("state/conn", self._conn(online=False), retain=True)
        if self._client.is_connected():
            await asyncio.to_thread(done.wait_for_publish, 2.0)
        await self._disconnect()

    async def _disconnect(self) -> None:
        self._client.disconnect()
        await asyncio.to_thread(self._client.loop_stop)

    def uplink(self, frame: UplinkFrame, *, gps: bool) -> None:
        """Publish the event `up`."""
        self._event("up", messages.encode(messages.uplink(frame, gps=gps), as_json=self._broker.as_json))

    def tx_ack(self, ack: TxAck) -> None:
        """Publish the event `ack`."""
        self._event("ack", messages.encode(messages.tx_ack(ack), as_json=self._broker.as_json))

    def stats(self, now: float, *, emitted: int) -> None:
        """Publish the event `stats`; `emitted` is the number of frames sent since the start."""
        since = self.counts - self._reported
        message = messages.stats(
            self.gateway_id,
            now,
            received=since["up"],
            commands=since["down"],
            emitted=emitted - self._reported["emitted"],
            config_version=self.config_version,
        )
        self._reported = self.counts.copy()
        self._reported["emitted"] = emitted
        self._publish("event/stats", messages.encode(message, as_json=self._broker.as_json))

    def _event(self, kind: str, payload: bytes) -> None:
        self.counts[kind] += 1
        self._publish(f"event/{kind}", payload)

    def _publish(self, path: str, payload: bytes, *, retain: bool = False) -> paho.MQTTMessageInfo:
        return self._client.publish(self._topic(path), payload, qos=self._broker.qos, retain=retain)

    def _topic(self, path: str) -> str:
        prefix = f"{self._broker.prefix}/" if self._broker.prefix else ""
        return f"{prefix}gateway/{self.gateway_id}/{path}"

    def _conn(self, *, online: bool) -> bytes:
        return messages.encode(messages.conn_state(self.gateway_id, online=online), as_json=self._broker.as_json)

    # Called in paho's thread

    def _on_connect(
        self, client: paho.Client, _data: object, _flags: object, reason: ReasonCode, _properties: object
    ) -> None:
        if reason.is_failure:
            log.error("gateway %s: the broker refuses us: %s", self.gateway_id, reason)
            self._refused = str(reason)
            self._soon(self._settled.set)
            return
        self._refused = ""
        client.subscribe(self._topic("command/+"), qos=self._broker.qos)
        self._publish("state/conn", self._conn(online=True), retain=True)

    def _on_subscribe(self, *_: object) -> None:
        self._soon(self._settled.set)

    def _on_disconnect(
        self, _client: paho.Client, _data: object, _flags: object, reason: ReasonCode, _properties: object
    ) -> None:
        if reason.is_failure:
            log.warning("gateway %s: lost the broker: %s", self.gateway_id, reason)

    def _on_message(self, _client: paho.Client, _data: object, message: paho.MQTTMessage) -> None:
        self._soon(self._command, message.topic.rpartition("/")[2], bytes(message.payload))

    def _soon(self, call: Callable[..., None], *values: object) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(call, *values)

    # Back on the event loop

    def _command(self, kind: str, payload: bytes) -> None:
        try:
            if kind == "down":
                frame = messages.parse_downlink(payload, self.gateway_id)
                self.counts["down"] += 1
                self._downlink(frame)
            elif kind == "config":
                settings = messages.parse_configuration(payload)
                self.counts["config"] += 1
                self.config_version = settings.version
                self._configure(self.gateway_id, settings)
            else:
                self._bad(f"unknown command {kind}")
        except GatewayMessageError as error:
            self._bad(str(error))

    def _bad(self, why: str) -> None:
        self.counts["bad"] += 1
        log.warning("gateway %s: command dropped: %s", self.gateway_id, why[:SHOWN])


class MqttGateways:
    """All gateways of a process: the `NetworkServer` that its radio side talks to."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._gateways: dict[str, MqttGateway] = {}
        self._gps: dict[str, bool] = {}

    async def add(
        self,
        gateway_id: str,
        *,
        gps: bool,
        downlink: Callable[[DownlinkFrame], None],
        configure: Callable[[str, GatewaySettings], None],
    ) -> MqttGateway:
        """Connect a gateway. Raises OSError or TimeoutError."""
        gateway = MqttGateway(gateway_id, self._broker, downlink, configure)
        await gateway.start()
        self._gateways[gateway_id] = gateway
        self._gps[gateway_id] = gps
        return gateway

    async def stop(self) -> None:
        """Disconnect all."""
        await asyncio.gather(*(gateway.stop() for gateway in self._gateways.values()))
        self._gateways.clear()

    def uplink(self, frame: UplinkFrame) -> None:
        """Publish a frame that a gateway heard."""
        gateway = self._gateways.get(frame.gateway_id)
        if gateway is not None:
            gateway.uplink(frame, gps=self._gps[frame.gateway_id])

    def tx_ack(self, ack: TxAck) -> None:
        """Publish a gateway's answer to a command."""
        gateway = self._gateways.get(ack.gateway_id)
        if gateway is not None:
            gateway.tx_ack(ack)

    def __getitem__(self, gateway_id: str) -> MqttGateway:
        return self._gateways[gateway_id]
