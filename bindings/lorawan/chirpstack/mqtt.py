"""Events over MQTT 5: QoS 1, a session that the broker keeps, and PUBACK only when an event is committed.

Several nodes share a subscription, and each has a session of its own: the broker gives each event to one of them.

paho's network thread only passes messages on; everything else runs in the event loop.
"""

import asyncio
import logging
import ssl
import sys
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from bindings.contract import Keep, PassOn, Post
from bindings.lorawan.chirpstack.committing import CommitEvent, first_in, query_of
from bindings.lorawan.settings import Mqtt
from bindings.tls import client_context
from bridge.errors import NotificationError, NotServedHere, StoreUnavailable

log = logging.getLogger(__name__)

_RETRY = 1.0  # seconds until an event that could not be stored is tried again; the broker waits meanwhile
_MAX_RETRY = 30.0


class MqttEvents:
    """One subscription. `missed` is called if the broker did not keep events while it, or the bridge, was down.

    The class is also a `bindings.contract.PostListener`: events of other nodes' devices are passed on as if they were
    posted.
    """

    def __init__(
        self,
        settings: Mqtt,
        application_id: str,
        commit_event: CommitEvent,
        missed: Callable[[], None],
        count: Callable[[str], None],
    ) -> None:
        """Open nothing yet. Raises ConfigurationError."""
        self._context = (
            client_context("mqtt", settings.ca_bundle, settings.client_certificate, settings.client_key)
            if settings.tls
            else None
        )
        topic = settings.topic.replace("{application}", application_id or "+")
        self.topic = f"$share/{settings.shared_group}/{topic}" if settings.shared_group else topic
        self._settings = settings
        self._commit_event = commit_event
        self._missed = missed
        self._count = count
        self._client: paho.Client | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping = False
        self._had_session = False
        self._is_shared = False
        self._heir = False
        self._connected_at = 0.0  # on the event loop's clock
        self._answered = False  # whether the ending connection was refused with a reason
        self._connection = 0  # number of the connection, changed in paho's thread when one begins and when it ends
        self._acknowledging = threading.Lock()  # held while that number changes, and while an acknowledgement is queued
        self._latest = 0  # the latest connection of which the event loop knows
        self._session_began = 0  # the connection with which the session at the broker began
        self.connected = False
        self.subscribed = False
        self.last_error = ""  # why there is no connection or subscription; empty if both exist
        self.taken = 0
        self.lower_qos = 0  # events that came with QoS 0
        self._unkept: set[asyncio.Task[None]] = (
            set()
        )  # those of such events that wait for the store: nobody else has them
        self._has_dropped = False  # whether such an event was dropped, since too many waited
        self.connections = 0
        self.is_over = False  # whether the connection ended, or was not made, of one that is not made again
        self.session_present = False  # whether the broker had kept the session when it was last connected
        self.keep: Keep | None = None
        self.pass_on: PassOn | None = None

    def shared_topic(self, group: str) -> str:
        """Return the subscription of nodes, with this name unless the settings have another."""
        return self.topic if self._settings.shared_group else f"$share/{group}/{self.topic}"

    async def start(self, client_id: str, group: str = "", topic: str = "") -> None:
        """Begin to connect; the bridge keeps trying if the broker is down.

        `group`: nodes share a subscription with this name, unless the settings have another. `topic`: the
        subscription of another node that is gone; only what its session has is taken, and a connection that breaks is
        not made again.
        """
        settings = self._settings
        self._loop = asyncio.get_running_loop()
        self._heir, self._is_shared = bool(topic), bool(group)
        if topic:
            self.topic = topic
        elif group:
            self.topic = self.shared_topic(group)
        client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            protocol=paho.MQTTv5,
            manual_ack=True,
            reconnect_on_failure=not self._heir,
        )
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
        """Accept nothing more; events that are not committed stay with the broker for the next start.

        The subscription stays, also where nodes share it: with no other node there, the broker would drop what comes
        until the next start. Other nodes take what waits (`bindings.lorawan.chirpstack.sessions`).
        """
        self._stopping = True
        client, self._client = self._client, None
        if client is not None:
            await self._loop.run_in_executor(None, self._close, client)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # Events that another node has received (`bindings.contract.PostListener`)

    def pause(self) -> None:
        """Do nothing: the broker waits by itself."""

    def proceed(self) -> None:
        """Do nothing."""

    def commit_kept(self, post: Post) -> Awaitable[None]:
        """Take an event that another node has received."""
        return self._commit_event(first_in(post.query, "event"), post.body, within=0.0)

    @staticmethod
    def _close(client: paho.Client) -> None:
        client.disconnect()
        client.loop_stop()

    @property
    def is_busy(self) -> bool:
        """Return whether an event is being committed."""
        return bool(self._tasks)

    @property
    def is_shared(self) -> bool:
        """Return whether nodes share the subscription."""
        return self._is_shared

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
        self._count_connection()
        if reason.is_failure:
            self._in_loop(self._refused_connection, str(reason))
            return
        if self._heir:
            client.unsubscribe(self.topic)
        else:
            # Retained messages are no events; with the subscription in the session, this changes nothing at the broker.
            client.subscribe(self.topic, options=SubscribeOptions(qos=1, retainHandling=2))
        self._in_loop(self._connected, flags.session_present, self._connection)

    def _on_connect_fail(self, _client: paho.Client, _user: Any) -> None:
        self._in_loop(
            self._away, _why(sys.exc_info()[1])
        )  # paho calls it while it handles the error, without passing it

    def _on_subscribe(self, _client: paho.Client, _user: Any, _mid: int, reasons: Any, _more: Any) -> None:
        for reason in reasons:
            if reason.is_failure:
                self._in_loop(self._refused, f"subscription to {self.topic}: {reason}{self._shared_cure}")
            else:
                self._in_loop(self._has_subscribed)

    def _on_disconnect(self, _client: paho.Client, _user: Any, _flags: Any, reason: Any, _more: Any) -> None:
        self._count_connection()
        self._in_loop(self._disconnected, str(reason))

    def _on_message(self, _client: paho.Client, _user: Any, message: paho.MQTTMessage) -> None:
        self._in_loop(self._begin, message, self._connection)

    def _count_connection(self) -> None:
        """Begin another number. What was queued for the former connection is never sent: paho empties its queue."""
        with self._acknowledging:
            self._connection += 1

    def _in_loop(self, call: Callable[..., None], *arguments: Any) -> None:
        try:
            self._loop.call_soon_threadsafe(call, *arguments)
        except RuntimeError:  # the loop has ended: there is no receiver
            return

    # In the event loop

    def _connected(self, session_present: bool, connection: int) -> None:
        self.connected = True
        self._latest = connection
        if not session_present:
            self._session_began = connection
        self._connected_at = self._loop.time()
        self.session_present = session_present
        self.connections += 1
        self.last_error = ""
        log.info("connected to the MQTT broker", extra={"session_kept": session_present})
        if not session_present:
            if self._had_session:
                self._count("lorawan_mqtt_sessions_lost")
                log.warning("the MQTT broker did not keep the session: events were lost, ChirpStack is asked for them")
            if self._had_session or not self._is_shared:  # other nodes got what came before this one's first connection
                self._missed()
        elif self.lower_qos:
            self._missed()  # a session keeps no events of QoS 0
        self._had_session = True

    def _has_subscribed(self) -> None:
        self.subscribed = True

    def _disconnected(self, reason: str) -> None:
        self.is_over |= self._heir
        if self.connected and not self._stopping:
            self._count("lorawan_mqtt_disconnects")
            log.warning(
                "the connection to the MQTT broker was lost: %s; the bridge reconnects",
                reason,
                extra={"sample": "mqtt gone"},
            )
            self.last_error = reason
        elif not self._answered:
            self._away(f"the broker closed the connection without an answer ({reason}): see mqtt.tls and mqtt.port")
        self.connected = self.subscribed = self._answered = False

    def _away(self, reason: str) -> None:
        self.is_over |= self._heir
        if self._stopping:
            return
        self.last_error = reason
        self._count("lorawan_mqtt_unreachable")
        place = f"{self._settings.host}:{self._settings.port}"
        log.warning(
            "the MQTT broker %s cannot be reached: %s; the bridge tries again",
            place,
            reason,
            extra={"sample": "mqtt away"},
        )

    def _refused_connection(self, reason: str) -> None:
        self._answered = True
        self._refused(f"{reason}; the bridge tries again")

    def _refused(self, reason: str) -> None:
        self.last_error = reason
        self._count("lorawan_mqtt_refusals")
        log.error("the MQTT broker refuses the connection: %s", reason, extra={"sample": "mqtt refuses"})

    def _begin(self, message: paho.MQTTMessage, connection: int) -> None:
        if self._stopping:
            return
        task = self._loop.create_task(self._work(message, connection))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _work(self, message: paho.MQTTMessage, connection: int) -> None:
        """Commit an event, then acknowledge it over the connection on which it came; while the store is down, neither.

        On a later connection its packet identifier may be that of another event, which is not committed yet. The broker
        sends what it misses an acknowledgement for again (MQTT 5, 4.4), or has forgotten it with the session.
        """
        kind = _kind_of(message)
        pause = _RETRY
        # What was made before the connection may have waited at the broker, however much of that there is.
        within = 0.0 if self._heir else self._loop.time() - self._connected_at
        while not self._comes_again(message, connection):
            try:
                await self._commit_event(kind, bytes(message.payload), within=within)
            except NotificationError as error:
                log.warning("an event of ChirpStack is dropped: %s", error, extra={"sample": "lorawan event"})
            except NotServedHere as elsewhere:
                if not await self._passed_on(kind, message, elsewhere):
                    if self._is_dropped(message):
                        return
                    within = 0.0
                    await asyncio.sleep(pause)
                    pause = min(pause * 2, _MAX_RETRY)
                    continue
            except StoreUnavailable as error:
                within = 0.0  # it waits here
                log.warning(
                    "an event of ChirpStack waits, and is not acknowledged yet: %s",
                    error,
                    extra={"sample": "lorawan store"},
                )
                self._count("lorawan_events_store_unavailable")
                if self._is_dropped(message):
                    return
                await asyncio.sleep(pause)
                pause = min(pause * 2, _MAX_RETRY)
                continue
            except Exception:
                log.exception("an event of ChirpStack is dropped because of a bug in the bridge")
                self._count("lorawan_internal_errors")
            break
        else:
            return
        self.taken += 1
        if self._has_dropped:
            self._has_dropped = False
            self._missed()
        if message.qos == 0:
            if not self.lower_qos and self.connections > 1:
                self._missed()  # only now it is certain that nothing was kept during the outages before
            self.lower_qos += 1
        with self._acknowledging:  # else the connection could become another one between the comparison and the queue
            if self._client is not None and connection == self._connection:
                self._client.ack(message.mid, message.qos)

    def _is_dropped(self, message: paho.MQTTMessage) -> bool:
        """Let an event of QoS 0 wait for the store, or return True if as many wait already as may be unacknowledged.

        The broker does not bound such events. Histories are read for them when an event was taken again.
        """
        task = asyncio.current_task()
        if message.qos or task is None or task in self._unkept:
            return False
        if len(self._unkept) < self._settings.receive_maximum:
            self._unkept.add(task)
            task.add_done_callback(self._unkept.discard)
            return False
        self._has_dropped = True
        log.warning(
            "an event of ChirpStack that came with QoS 0 is dropped: %d wait for the store; histories are read later",
            len(self._unkept),
            extra={"sample": "lorawan dropped"},
        )
        return True

    def _comes_again(self, message: paho.MQTTMessage, connection: int) -> bool:
        """Return whether the broker sends an event again over a new connection: then the earlier one waits no more.

        Else each new connection would add all events that wait while the store is down. The broker sends events again
        only if it has kept the session since the event came, over all connections; what paho's thread knows already is
        not used here, since whether the session was kept follows in the event loop.
        """
        return message.qos > 0 and self._session_began <= connection < self._latest

    async def _passed_on(self, kind: str, message: paho.MQTTMessage, elsewhere: NotServedHere) -> bool:
        """Commit an event for the node that serves its device; return whether that was done."""
        try:
            if self.pass_on is None:
                raise elsewhere  # noqa: TRY301  # it waits like one that cannot be passed on
            await self.pass_on(Post("", query_of(kind), bytes(message.payload)), elsewhere.shard)
        except StoreUnavailable as error:
            log.warning("an event of ChirpStack for another node waits: %s", error, extra={"sample": "lorawan store"})
            self._count("lorawan_events_store_unavailable")
            return False
        except Exception:
            log.exception(
                "an event of ChirpStack for another node waits because of a bug in the bridge",
                extra={"sample": "lorawan pass on bug"},
            )
            self._count("lorawan_internal_errors")
            return False
        return True

    @property
    def _shared_cure(self) -> str:
        return "; several nodes need a broker with shared subscriptions of MQTT 5" if self._is_shared else ""


def _kind_of(message: paho.MQTTMessage) -> str:
    """Return the kind of an event by its topic; "", which is none, if a lax broker passed on what is no text."""
    try:
        return message.topic.rpartition("/")[2]
    except UnicodeDecodeError:
        return ""


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
