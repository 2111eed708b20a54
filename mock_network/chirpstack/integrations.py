"""Where integration events go: an MQTT broker, and each application's HTTP endpoints. At most once, in any order."""

import asyncio
import logging
from collections.abc import Callable

import aiohttp
from chirpstack_api import api, integration
from google.protobuf.json_format import Parse, ParseError
from google.protobuf.message import DecodeError

from mock_network.faults import Faults

from . import messages
from .context import Event
from .mqtt import BrokerAddress, Mqtt
from .post_log import PostLog

log = logging.getLogger(__name__)

HTTP_TIMEOUT = 5.0  # seconds (integration/http.rs)
OnCommand = Callable[[str, integration.DownlinkCommand], None]
COMMAND_LEVELS = 6  # application/{id}/device/{eui}/command/{type}


class MqttIntegration:
    """Publishes to `application/{id}/device/{eui}/event/{type}` and takes `.../command/down`."""

    via = "mqtt"

    def __init__(self, broker: BrokerAddress, on_command: OnCommand, *, qos: int = 0, json: bool = True) -> None:
        self._json = json
        self._on_command = on_command
        self._mqtt = Mqtt(broker, ["application/+/device/+/command/+"], self._message, qos=qos)

    async def start(self) -> None:
        """Connect. Raises OSError or TimeoutError."""
        await self._mqtt.start()

    async def stop(self) -> None:
        """Disconnect."""
        await self._mqtt.stop()

    def publish(self, event: Event) -> None:
        """Send one event."""
        body = messages.to_json(event.message) if self._json else event.message.SerializeToString()
        self._mqtt.publish(f"application/{event.application_id}/device/{event.dev_eui}/event/{event.kind}", body)

    def _message(self, topic: str, payload: bytes) -> None:
        levels = topic.split("/")
        if len(levels) != COMMAND_LEVELS or levels[5] != "down":
            log.warning("command on %s ignored: unknown command type", topic)
            return
        try:
            command = (
                Parse(payload, integration.DownlinkCommand())
                if self._json
                else integration.DownlinkCommand.FromString(payload)
            )
        except (ParseError, DecodeError, ValueError, RecursionError) as error:
            log.warning("command on %s ignored: %s", topic, error)
            return
        if command.dev_eui != levels[3]:
            log.warning("command on %s ignored: payload dev_eui %s does not match", topic, command.dev_eui)
            return
        self._on_command(levels[1], command)


class HttpIntegration:
    """Posts events to `url?event={type}`: one try, 5 s, an answer's body unread; endpoints one after another."""

    via = "http"

    def __init__(self, endpoints: Callable[[Event], api.HttpIntegration | None], clock: Callable[[], float]) -> None:
        self._endpoints = endpoints
        self._clock = clock
        self.log = PostLog()
        self._session: aiohttp.ClientSession | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Make ready to post."""
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=HTTP_TIMEOUT))

    async def stop(self) -> None:
        """Drop outstanding messages."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    def publish(self, event: Event) -> None:
        """Post one event, if its application has the integration."""
        settings = self._endpoints(event)
        if settings is None:
            return
        task = asyncio.create_task(self._post_all(event, settings))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _post_all(self, event: Event, settings: api.HttpIntegration) -> None:
        if settings.encoding == api.JSON:
            body, content_type = messages.to_json(event.message), "application/json"
        else:
            body, content_type = event.message.SerializeToString(), "application/octet-stream"
        headers = {**settings.headers, "Content-Type": content_type}
        for url in settings.event_endpoint_url.split(","):
            await self._post(url.strip(), event, body, headers)

    async def _post(self, url: str, event: Event, body: bytes, headers: dict[str, str]) -> None:
        if self._session is None:
            return
        post = self.log.begin(event, self._clock())
        try:
            async with self._session.post(url, params={"event": event.kind}, data=body, headers=headers) as answer:
                post.status = answer.status
                if not answer.ok:
                    log.warning("%s event of %s: endpoint answered %s", event.kind, event.dev_eui, answer.status)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            log.warning("%s event of %s not delivered: %r", event.kind, event.dev_eui, error)


class Integrations:
    """All of them, with the seeded faults of delivery: loss and duplicates, for one way (`via`) or for all."""

    def __init__(self, sinks: list[MqttIntegration | HttpIntegration], faults: Faults) -> None:
        self._sinks, self._faults = sinks, faults

    async def start(self) -> None:
        """Connect all. Raises OSError or TimeoutError."""
        for sink in self._sinks:
            await sink.start()

    async def stop(self) -> None:
        """Disconnect all."""
        for sink in self._sinks:
            await sink.stop()

    def publish(self, event: Event) -> None:
        """Send one event everywhere."""
        for sink in self._sinks:
            where = {"dev_eui": event.dev_eui, "event": event.kind, "via": sink.via}
            if self._faults.draw("event_lost", **where):
                continue
            sink.publish(event)
            if self._faults.draw("event_twice", **where):
                sink.publish(event)
