"""A connection to an MQTT 5 broker as the server keeps it: shared subscriptions, no session beyond the socket."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

log = logging.getLogger(__name__)

OnMessage = Callable[[str, bytes], None]
KEEP_ALIVE = 30  # seconds
CONNECT_TIMEOUT = 10.0  # seconds
SHARE_NAME = "chirpstack"


@dataclass(frozen=True, slots=True)
class BrokerAddress:
    """Where the broker listens."""

    host: str
    port: int = 1883

    @classmethod
    def parse(cls, text: str) -> "BrokerAddress":
        """Read `host:port`, with `mqtt://` or `tcp://` before it or not. Raises ValueError."""
        plain = text.removeprefix("mqtt://").removeprefix("tcp://").rstrip("/")
        host, colon, port = plain.rpartition(":")
        if not colon:
            return cls(plain)
        return cls(host.strip("[]"), int(port))


class Mqtt:
    """One connection. Messages arrive in the event loop's thread; it reconnects by itself and subscribes anew."""

    def __init__(self, address: BrokerAddress, topics: list[str], on_message: OnMessage, *, qos: int = 0) -> None:
        self._address, self._topics, self._on_message, self._qos = address, topics, on_message, qos
        self._loop = asyncio.get_running_loop()
        self._ready = asyncio.Event()
        self._subscriptions: set[int] = set()
        self._client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
        self._client.on_connect = self._connected
        self._client.on_subscribe = self._subscribed
        self._client.on_message = self._received
        self._client.on_disconnect = self._disconnected

    async def start(self) -> None:
        """Connect and subscribe. Raises OSError when there is no broker, TimeoutError when it stays silent."""
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call] # paho leaves it untyped
        properties.SessionExpiryInterval = 0
        await asyncio.to_thread(
            self._client.connect,
            self._address.host,
            self._address.port,
            KEEP_ALIVE,
            clean_start=False,
            properties=properties,
        )
        self._client.loop_start()
        async with asyncio.timeout(CONNECT_TIMEOUT):
            await self._ready.wait()

    async def stop(self) -> None:
        """Disconnect."""
        self._client.disconnect()
        await asyncio.to_thread(self._client.loop_stop)

    def publish(self, topic: str, payload: bytes, qos: int | None = None) -> None:
        """Send a message; while the broker is down, messages with QoS 0 are lost and others wait in memory."""
        self._client.publish(topic, payload, qos=self._qos if qos is None else qos, retain=False)

    def _connected(
        self, client: paho.Client, _data: object, _flags: object, reason: ReasonCode, properties: Properties | None
    ) -> None:
        if reason.is_failure:
            log.warning("broker refused the connection: %s", reason)
            return
        shared = getattr(properties, "SharedSubscriptionAvailable", 1)
        prefix = f"$share/{SHARE_NAME}/" if shared else ""
        topics = [(prefix + topic, SubscribeOptions(qos=self._qos)) for topic in self._topics]
        if topics:
            client.subscribe(topics)
        else:
            self._loop.call_soon_threadsafe(self._ready.set)

    def _subscribed(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._ready.set)

    def _received(self, _client: paho.Client, _data: object, message: paho.MQTTMessage) -> None:
        self._loop.call_soon_threadsafe(self._on_message, message.topic, bytes(message.payload))

    def _disconnected(
        self, _client: paho.Client, _data: object, _flags: object, reason: ReasonCode, _properties: object
    ) -> None:
        if reason.is_failure:
            log.warning("connection to the broker lost: %s", reason)
