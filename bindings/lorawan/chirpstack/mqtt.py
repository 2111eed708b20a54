"""Events over MQTT 5: QoS 1, a session that the broker keeps, and PUBACK only when an event is committed.

paho's network thread only passes messages on; everything else runs in the event loop.
"""

import asyncio
import logging
import ssl
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from bindings.lorawan.settings import Mqtt
from bindings.tls import client_context
from bridge.errors import NotificationError, StoreUnavailable

log = logging.getLogger(__name__)

_RETRY = 1.0  # seconds until an event that could not be stored is tried again; the broker waits meanwhile
_MAX_RETRY = 30.0

Take = Callable[[str, bytes], Awaitable[None]]
"""Commits one event: its kind and body. Raises, now or when awaited, NotificationError or StoreUnavailable."""


class MqttEvents:
    """One subscription. `missed` is called if the broker did not keep events while it, or the bridge, was down."""

    def __init__(
        self, settings: Mqtt, application_id: str, take: Take, missed: Callable[[], None], count: Callable[[str], None]
    ) -> None:
        """Open nothing yet. Raises ConfigurationError."""
        self._context = (
            client_context("mqtt", settings.ca_bundle, settings.client_certificate, settings.client_key)
            if settings.tls
            else None
        )
        topic = settings.topic.replace("{application}", application_id or "+")
        self._topic = f"$share/{settings.shared_group}/{topic}" if settings.shared_group else topic
        self._settings = settings
        self._take = take
        self._missed = missed
        self._count = count
        self._client: paho.Client | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping = False
        self._had_session = False
        self._answered = False  # whether the ending connection was refused with a reason
        self.connected = False
        self.subscribed = False
        self.last_error = ""  # why there is no connection or subscription; empty if both exist
        self.taken = 0
        self.lower_qos = 0  # events that came with QoS 0
        self.connections = 0

    async def start(self, client_id: str) -> None:
        """Begin to connect; the bridge keeps trying if the broker is down."""
        settings = self._settings
        self._loop = asyncio.get_running_loop()
        client = paho.Client(CallbackAPIVersion.VERSION2, client_id=client_id, protocol=paho.MQTTv5, manual_ack=True)
        if settings.username:
            client.username_pw_set(settings.username, settings.password or None)
        if self._context is not None:
            client.tls_set_context(self._context)
        client.on_connect = self._on_connect
        client.on_connect_fail = self._on_connect_fail
        client.on_disconnect = self._on_disconnect
        client.on_message = self._on_message
        client.on_subscribe = self._on_subscribe
        client.reconnect_delay_set(1, 30)
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho leaves it without
        properties.SessionExpiryInterval = settings.session_expiry
        properties.ReceiveMaximum = settings.receive_maximum
        client.connect_async(
            settings.host, settings.port, keepalive=settings.keepalive, clean_start=False, properties=properties
        )
        self._client = client
        client.loop_start()

    async def stop(self) -> None:
        """Accept nothing more; events that are not committed stay with the broker for the next start."""
        self._stopping = True
        client, self._client = self._client, None
        if client is not None:
            await self._loop.run_in_executor(None, self._close, client)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @staticmethod
    def _close(client: paho.Client) -> None:
        client.disconnect()
        client.loop_stop()

    def status(self) -> dict[str, Any]:
        """Return the state for an operator, as JSON values."""
        return {
            "broker": f"{self._settings.host}:{self._settings.port}",
            "connected": self.connected,
            "last_error": self.last_error,
            "connections": self.connections,
            "taken": self.taken,
        }

    # In paho's thread

    def _on_connect(self, client: paho.Client, _user: Any, flags: paho.ConnectFlags, reason: Any, _more: Any) -> None:
        if reason.is_failure:
            self._in_loop(self._refused_connection, str(reason))
            return
        # Retained messages are no events; with the subscription in the session, this changes nothing at the broker.
        client.subscribe(self._topic, options=SubscribeOptions(qos=1, retainHandling=2))
        self._in_loop(self._connected, flags.session_present)

    def _on_connect_fail(self, _client: paho.Client, _user: Any) -> None:
        self._in_loop(
            self._away, _why(sys.exc_info()[1])
        )  # paho calls it while it handles the error, without passing it

    def _on_subscribe(self, _client: paho.Client, _user: Any, _mid: int, reasons: Any, _more: Any) -> None:
        for reason in reasons:
            if reason.is_failure:
                self._in_loop(self._refused, f"subscription to {self._topic}: {reason}")
            else:
                self._in_loop(self._has_subscribed)

    def _on_disconnect(self, _client: paho.Client, _user: Any, _flags: Any, reason: Any, _more: Any) -> None:
        self._in_loop(self._disconnected, str(reason))

    def _on_message(self, _client: paho.Client, _user: Any, message: paho.MQTTMessage) -> None:
        self._in_loop(self._begin, message)

    def _in_loop(self, call: Callable[..., None], *arguments: Any) -> None:
        try:
            self._loop.call_soon_threadsafe(call, *arguments)
        except RuntimeError:  # the loop has ended: there is no receiver
            return

    # In the event loop

    def _connected(self, session_present: bool) -> None:
        self.connected = True
        self.connections += 1
        self.last_error = ""
        log.info("connected to the broker", extra={"session_kept": session_present})
        if not session_present:
            if self._had_session:
                self._count("lorawan_mqtt_sessions_lost")
                log.warning("the broker did not keep the session: events were lost, ChirpStack is asked for them")
            self._missed()
        elif self.lower_qos:
            self._missed()  # a session keeps no events of QoS 0
        self._had_session = True

    def _has_subscribed(self) -> None:
        self.subscribed = True

    def _disconnected(self, reason: str) -> None:
        if self.connected and not self._stopping:
            self._count("lorawan_mqtt_disconnects")
            log.warning(
                "the connection to the broker was lost: %s; the bridge reconnects",
                reason,
                extra={"sample": "mqtt gone"},
            )
            self.last_error = reason
        elif not self._answered:
            self._away(f"the broker closed the connection without an answer ({reason}): see mqtt.tls and mqtt.port")
        self.connected = self.subscribed = self._answered = False

    def _away(self, reason: str) -> None:
        if self._stopping:
            return
        self.last_error = reason
        self._count("lorawan_mqtt_unreachable")
        place = f"{self._settings.host}:{self._settings.port}"
        log.warning(
            "the broker %s cannot be reached: %s; the bridge tries again", place, reason, extra={"sample": "mqtt away"}
        )

    def _refused_connection(self, reason: str) -> None:
        self._answered = True
        self._refused(f"{reason}; the bridge tries again")

    def _refused(self, reason: str) -> None:
        self.last_error = reason
        self._count("lorawan_mqtt_refusals")
        log.error("the broker refuses the connection: %s", reason, extra={"sample": "mqtt refuses"})

    def _begin(self, message: paho.MQTTMessage) -> None:
        if self._stopping:
            return
        task = self._loop.create_task(self._work(message))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _work(self, message: paho.MQTTMessage) -> None:
        """Commit an event, then acknowledge it; while the store is down, neither."""
        kind = message.topic.rpartition("/")[2]
        pause = _RETRY
        while True:
            try:
                await self._take(kind, bytes(message.payload))
            except NotificationError as error:
                log.warning("event dropped: %s", error, extra={"sample": "lorawan event"})
            except StoreUnavailable as error:
                log.warning("event waits: %s", error, extra={"sample": "lorawan store"})
                self._count("lorawan_events_store_unavailable")
                await asyncio.sleep(pause)
                pause = min(pause * 2, _MAX_RETRY)
                continue
            except Exception:
                log.exception("event dropped: a bug in the bridge")
                self._count("lorawan_internal_errors")
            break
        self.taken += 1
        if message.qos == 0:
            if not self.lower_qos and self.connections > 1:
                self._missed()  # only now it is certain that nothing was kept during the outages before
            self.lower_qos += 1
        if self._client is not None:
            self._client.ack(message.mid, message.qos)


def _why(error: BaseException | None) -> str:
    """Return in a few words why there is no connection."""
    match error:
        case ssl.SSLCertVerificationError():
            return f"TLS: {error.verify_message}"
        case ssl.SSLError():
            return f"TLS: {error.reason or error}"
        case OSError():
            return error.strerror or str(error) or type(error).__name__
        case _:
            return repr(error)
